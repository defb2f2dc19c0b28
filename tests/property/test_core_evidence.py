"""Evidence over any run with any parts left out: it verifies, and no change of any kind passes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as made
from tests.evidence_world import BED_1, BED_2, POLICY, World
from vitaledger.entry import PartType, parse_body
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.evidence import MANIFEST, complete, verify, withhold
from vitaledger.evidence_files import RENDERED
from vitaledger.rows import ReadingRow, rows

WORLD = World()
PARTS = (PartType.VALUES, PartType.WAVES, PartType.RAW)


@st.composite
def evidence(draw):
    """(files, micro-chain, first, last, types left out, with an after proof)."""
    name, count = draw(st.sampled_from([(BED_1, 6), (BED_2, 3)]))
    first = draw(st.integers(0, count - 1))
    last = draw(st.integers(first, count - 1))
    withheld, after = tuple(sorted(draw(st.sets(st.sampled_from(PARTS))))), draw(st.booleans())
    return WORLD.files(first, last, name, withheld=withheld, after=after), name, first, last, withheld, after


@settings(max_examples=60)
@given(evidence())
def test_what_is_built_verifies(case):
    files, name, first, last, withheld, after = case
    found = verify(files, POLICY)
    assert [each.entry.seq for each in found.entries] == list(range(first, last + 1))
    assert {each.entry.chain for each in found.entries} == {name}
    assert set(found.withheld) <= set(withheld)
    assert (found.after_ms is not None) == after
    shown = [row for each in found.entries for row in rows(each) if isinstance(row, ReadingRow)]
    assert len(shown) == sum(each.reading_count for each in found.entries)
    assert not (shown and PartType.VALUES in withheld)


@settings(max_examples=300)
@given(evidence(), st.data())
def test_what_is_changed_does_not(case, data):
    files = case[0]
    base = verify(files, POLICY)
    name = data.draw(st.sampled_from(sorted(files)))
    changed = data.draw(made.mutated(st.just(files[name])))
    if changed == files[name]:
        return
    with pytest.raises((MalformedError, VerificationError)):
        verify({**files, name: changed}, POLICY)
    if name in RENDERED:
        return
    try:  # whoever changed it may have written table and texts again
        _, found = complete({**core_of(files), name: changed}, POLICY)
    except (MalformedError, VerificationError):
        return
    assert name == MANIFEST
    assert replace(found, claim=base.claim) == base
    silent = {"exported": "", "by": "", "program": "", "elsewhere": ()}
    assert replace(found.claim, **silent) == replace(base.claim, **silent)


def core_of(files):
    return {name: data for name, data in files.items() if name not in RENDERED}


@settings(max_examples=100)
@given(evidence(), st.data())
def test_nothing_of_it_may_be_missing(case, data):
    files, _, _, _, _, after = case
    left_out = data.draw(st.sets(st.sampled_from(sorted(files)), min_size=1))
    rest = {name: each for name, each in files.items() if name not in left_out}
    quoted = {name for name in files if name.startswith("ledger/after")}
    spare = {name for name in files if name.startswith("entries/000000000001.")}
    with pytest.raises((MalformedError, VerificationError)):
        verify(rest, POLICY)
    if quoted <= left_out and left_out - quoted in (set(), spare):  # the proof of a time after which, as a whole
        assert after
        assert complete(core_of(rest), POLICY)[1].after_ms is None


@settings(max_examples=60)
@given(st.sampled_from(WORLD.gateway.entries), st.sets(st.sampled_from(PARTS)))
def test_withholding_leaves_the_rest_as_it_is(sealed, types):
    _, body = sealed
    assert parse_body(withhold(body, tuple(types))) == tuple(
        part for part in parse_body(body) if part.type not in types
    )
