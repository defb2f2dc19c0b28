"""Random changes to a collector's store: `verify` finds every one and names the first bad entry."""

import os
import shutil
from collections import Counter
from random import Random

import pytest

from collector.verify import verify_store
from tests.fault.changes import change
from tests.fault.ward import add_oddities, make_ward

TOTAL = int(os.environ.get("VITALEDGER_TAMPER", "100"))
CHUNKS = 10


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=270)
    add_oddities(made)
    made.close()
    return made


def cannot_be_found(table, column, key):
    """What no verification can find, because nothing that is signed says otherwise (see collector.verify)."""
    log, index = divmod(key[0], 1 << 40) if table == "entries" else (0, 0)
    behind_a_hole = log == 3 and index >= 512
    unreadable_leaf = log == 2 and column == "body" and index in UNREADABLE
    return (behind_a_hole and column != "body") or unreadable_leaf


UNREADABLE: set[int] = set()


def test_a_clean_store_raises_no_alarm(ward):
    report = verify_store(ward.path, ward.vkey)
    assert report.failures == []
    assert report.ok
    assert report.untouched == ["g1", "g2", "g3"]
    assert report.counts.entries == ward.gateways[0].size + ward.gateways[1].size + 256 + 28


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_change_is_found(ward, chunk, tmp_path):
    UNREADABLE.update(n for n, (leaf, _) in enumerate(ward.gateways[1].sealed) if leaf.startswith(b"\x9f"))
    counts = Counter()
    for number in range(chunk, TOTAL, CHUNKS):
        path = tmp_path / "store.sqlite"
        shutil.copyfile(ward.path, path)
        made = change(path, Random(number), cannot_be_found)
        report = verify_store(path, ward.vkey)
        assert not report.ok, f"change {number} was not found: {made}"
        if made.table == "entries":
            if not {log for log, _ in made.entries} & {1, 2, 3}:
                assert any("which there is not" in failure.reason for failure in report.failures)
                continue
            first = report.first_entry
            assert first is not None, (number, made, report.failures[:3])
            named = (int(first.entry.gateway[1:]), first.entry.index)
            assert named in made.entries or _is_new(made, named), (number, made, str(first))
            if not {log for log, _ in made.entries} & {1}:
                assert "g1" in report.untouched
        counts[made.table, made.kind] += 1
    print(sorted(counts.items()))


def _is_new(made, named):
    """An entry that was put where none belongs is named, or else what it displaced."""
    return made.kind in {"swap", "truncate"} and any(log == named[0] for log, _ in made.entries)
