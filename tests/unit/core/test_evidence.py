"""Evidence: what is built verifies, and whatever is changed in it is refused."""

import random
from dataclasses import replace
from itertools import combinations

import pytest

from tests.evidence_world import (
    BED_1,
    BED_2,
    BEGAN,
    GATEWAY_KEY,
    LEDGER,
    LEDGER_KEY,
    ORIGIN,
    POLICY,
    Ed25519Signer,
    World,
    finished,
)
from vitaledger import checkpoint, evidence, policy, statement
from vitaledger.cli.verify import words
from vitaledger.entry import PartType
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.evidence import MANIFEST, RAW_AND_WAVES, complete, verify
from vitaledger.evidence_files import RENDERED, TABLE
from vitaledger.keys import CosignatureSigner
from vitaledger.note import cosign

WORLD = World()
FILES = WORLD.files(2, 4)
REFUSED = (MalformedError, VerificationError)
RUNS = [(BED_1, a, b) for a in range(6) for b in range(a, 6)] + [(BED_2, a, b) for a in range(3) for b in range(a, 3)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("name", "first", "last"), RUNS)
def test_every_run_verifies(name, first, last, after):
    found = verify(WORLD.files(first, last, name, after=after), POLICY)
    assert found.claim == WORLD.claim(first, last, name)
    assert [each.entry.seq for each in found.entries] == list(range(first, last + 1))
    assert {each.entry.chain for each in found.entries} == {name}
    assert (found.findings, found.withheld) == ((), ())
    assert (found.gateway, found.gateway_vkey) == ("g1", str(GATEWAY_KEY.vkey))
    assert (found.gateway_size, found.anchored_ms) == (14, BEGAN + 60_000)
    assert found.after_ms == (BEGAN - 3_600_000 if after else None)
    assert found.ledger.checkpoint.origin == LEDGER


def test_what_it_holds():
    found = verify(FILES, POLICY)
    assert sum(each.reading_count for each in found.entries) == 7
    assert sum(each.sample_count for each in found.entries) == 6
    assert found.entries[0].values.series[0].values == (97, 98, None, 97)


def test_parts_may_be_left_out():
    found = verify(WORLD.files(2, 4, withheld=RAW_AND_WAVES), POLICY)
    assert found.withheld == (PartType.WAVES, PartType.RAW)
    assert sum(each.reading_count for each in found.entries) == 7
    assert sum(each.sample_count for each in found.entries) == 0
    assert found.entries[0].raw is None
    everything = verify(WORLD.files(2, 4, withheld=(*RAW_AND_WAVES, PartType.VALUES), after=False), POLICY)
    assert everything.withheld == (PartType.VALUES, PartType.WAVES, PartType.RAW)


def test_a_heads_entry_whose_event_is_left_out_proves_nothing():
    with pytest.raises(MalformedError, match="nor a heads entry"):
        verify(WORLD.files(2, 5, withheld=(PartType.EVENT,), after=False), POLICY)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_needed(name):
    with pytest.raises(REFUSED):
        verify({each: data for each, data in FILES.items() if each != name}, POLICY)


def test_the_after_proof_may_be_left_out_as_a_whole():
    """By whoever makes the file; from one that is made it cannot be taken, because the README speaks of it."""
    core = {name: data for name, data in WORLD.core(2, 4).items() if not name.startswith("ledger/after")}
    assert verify(finished(core), POLICY).after_ms is None
    with pytest.raises(VerificationError, match=r"^README\.txt: line 16 is not what the entries say"):
        verify({name: data for name, data in FILES.items() if not name.startswith("ledger/after")}, POLICY)


@pytest.mark.parametrize(
    "name",
    ["README", "entries/", "entries/000000000004", "entries/4.leaf", "entries/000000000099.leaf", "entries/x.body",
     "ledger/anchor", "ledger/other.statement", "entries/000000000005.leaf.leaf", "../manifest.json", "",
     "entries/000000000099.tlog-proof", "ledger/after.statement ", "MANIFEST.JSON"],
)  # fmt: skip
def test_no_file_is_let_through_unseen(name):
    for data in (b"", FILES["entries/000000000004.leaf"], FILES[MANIFEST]):
        with pytest.raises(REFUSED):
            verify({**FILES, name: data}, POLICY)


def test_a_surplus_after_proof_is_refused():
    files = WORLD.files(2, 4, after=False)
    with pytest.raises(MalformedError, match="no file of an evidence file"):
        verify({**files, "ledger/after.consistency": FILES["ledger/after.consistency"]}, POLICY)


@pytest.mark.parametrize("index", [5, 8, 11, 0, 13])
def test_entries_of_others_are_refused(index):
    with pytest.raises(MalformedError, match=f"entries/{index:012d}.leaf: neither of {BED_1} nor a heads entry"):
        verify(WORLD.files(2, 4, indices=[*WORLD.indices(2, 4), index]), POLICY)


def test_any_two_files_swapped():
    for one, other in combinations(FILES, 2):
        if FILES[one] != FILES[other]:
            with pytest.raises(REFUSED):
                verify({**FILES, one: FILES[other], other: FILES[one]}, POLICY)


def test_files_of_another_world():
    """The same entries in another log under another key, proof by proof."""
    other = World(gateway_key=Ed25519Signer(ORIGIN, b"\x07" * 32)).files(2, 4)
    assert verify(other, POLICY).gateway_vkey != str(GATEWAY_KEY.vkey)
    for name in FILES:
        if FILES[name] != other[name]:
            with pytest.raises(REFUSED):
                verify({**FILES, name: other[name]}, POLICY)


def test_every_byte_of_a_small_one():
    files = WORLD.files(0, 0, after=False)
    base = verify(files, POLICY)
    for name, data in files.items():
        for at in range(len(data)):
            flipped = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
            check_change(files, base, name, at, flipped)


def test_every_byte_of_the_table():
    """With every value that the byte could have besides."""
    files = WORLD.files(0, 0, after=False)
    table = files[TABLE]
    for at in range(len(table)):
        for value in range(256):
            if value != table[at]:
                with pytest.raises(VerificationError, match=r"^readings\.csv: line \d+ is not what the entries say"):
                    evidence._verify_same(TABLE, table, table[:at] + bytes([value]) + table[at + 1 :])
        with pytest.raises(VerificationError, match=r"^readings\.csv: "):
            verify({**files, TABLE: table[:at] + table[at + 1 :]}, POLICY)


def test_bytes_of_a_large_one():
    base, rng = verify(FILES, POLICY), random.Random(20)
    for name, data in FILES.items():
        for at in rng.sample(range(len(data)), min(40, len(data))):
            change = rng.choice(["flip", "delete", "insert", "truncate", "double"])
            changed = {
                "flip": data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :],
                "delete": data[:at] + data[at + 1 :],
                "insert": data[:at] + rng.randbytes(1) + data[at:],
                "truncate": data[:at],
                "double": data + data,
            }[change]
            check_change(FILES, base, name, at, changed)


def check_change(files, base, name, at, changed):
    """A changed file is refused, and also where the one who changed it wrote table and texts again.

    But for the exporter's claims, which are shown as claims.
    """
    with pytest.raises(REFUSED):
        verify({**files, name: changed}, POLICY)
    if name in RENDERED:
        return
    core = {each: data for each, data in files.items() if each not in RENDERED}
    try:
        _, found = complete({**core, name: changed}, POLICY)
    except REFUSED:
        return
    assert name == MANIFEST, f"{name} byte {at} was changed and nobody saw it"
    assert at > files[MANIFEST].index(b'"elsewhere"') - 1
    assert replace(found, claim=base.claim) == base
    assert (found.claim.first, found.claim.last, found.claim.chain) == (
        base.claim.first, base.claim.last, base.claim.chain
    )  # fmt: skip


# -- the run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ([4], "expected entry 2, found entry 3"),
        ([6], "expected entry 3, found entry 4"),
        ([10], "nothing shows that entry 4 is the last"),
        ([9, 10], "expected entries to 5"),
        ([3], "expected the run to begin with entry 1, found 2"),
        ([3, 4], "expected the run to begin with entry 1, found 3"),
    ],
)
def test_a_run_with_a_hole(left_out, why):
    indices = [index for index in WORLD.indices(2, 4) if index not in left_out]
    with pytest.raises(VerificationError, match=why):
        verify(WORLD.files(2, 4, indices=indices), POLICY)


def test_a_run_of_nothing():
    with pytest.raises(VerificationError, match=f"{BED_1}: the evidence file holds no entry of it"):
        verify(WORLD.files(2, 4, indices=[]), POLICY)


def test_the_end_needs_heads():
    without = [index for index in WORLD.indices(2, 5) if index != WORLD.last_heads]
    with pytest.raises(VerificationError, match="nothing shows that entry 5 is the last"):
        verify(WORLD.files(2, 5, indices=without), POLICY)
    assert len(verify(WORLD.files(2, 5), POLICY).entries) == 4


def test_heads_of_before_the_last_entry_do_not_prove_the_end():
    indices = [index for index in WORLD.indices(2, 5) if index != WORLD.last_heads]
    with pytest.raises(VerificationError, match="nothing shows"):
        verify(WORLD.files(2, 5, indices=[*indices, 7]), POLICY)


def test_heads_that_speak_of_more():
    """The last two entries are left out, and the heads entry behind them says so."""
    with pytest.raises(VerificationError, match=r"speaks of next entry 6 .* the run ends with next entry 4"):
        verify(WORLD.files(2, 3, indices=[3, 4, 6, WORLD.last_heads]), POLICY)


def test_heads_show_how_it_stood_then():
    """At heads entry 7, entry 3 was the last of its micro-chain."""
    assert len(verify(WORLD.files(2, 3, indices=[3, 4, 6, 7]), POLICY).entries) == 2


def test_the_last_of_two_heads_counts():
    with pytest.raises(VerificationError, match="speaks of next entry 6"):
        verify(WORLD.files(2, 3, indices=[3, 4, 6, 7, WORLD.last_heads]), POLICY)


# -- before and after -------------------------------------------------------------------------------------------------


def test_after_needs_the_heads_that_quote_it():
    shown = WORLD.files(2, 4)
    shown = {name: data for name, data in shown.items() if not name.startswith("entries/000000000001.")}
    with pytest.raises(VerificationError, match="no heads entry before the others quotes that ledger head"):
        verify(shown, POLICY)


def test_after_needs_heads_before_all_others():
    """Heads entry 7 quotes the same, and stands behind entry 2 of the run."""
    files = WORLD.files(2, 4, indices=[*WORLD.indices(2, 4), 7])
    files = {name: data for name, data in files.items() if not name.startswith("entries/000000000001.")}
    with pytest.raises(VerificationError, match="no heads entry before the others"):
        verify(files, POLICY)


def test_after_is_of_the_head_that_was_quoted():
    files = WORLD.files(2, 4)
    core = evidence.build(
        WORLD.claim(2, 4),
        [WORLD.gateway.shown(index) for index in [1, *WORLD.indices(2, 4)]],
        WORLD.ledger.proven(WORLD.anchored),
        WORLD.ledger.proven(WORLD.enrolled),
        WORLD.ledger.checkpoint(),
        WORLD.after(2),
    )
    assert set(core) == set(files) - set(RENDERED)
    with pytest.raises(VerificationError, match="no heads entry before the others quotes"):
        complete(core, POLICY)


@pytest.mark.parametrize("data", [b"", b"\n", b"x\n", b"AAAA\n", b"\xff\n", b"AAAA"])
def test_a_consistency_file_that_is_none(data):
    with pytest.raises(REFUSED, match=r"ledger/after\.consistency"):
        verify({**FILES, "ledger/after.consistency": data}, POLICY)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_another_policy():
    other = policy.parse(f"log {Ed25519Signer(LEDGER, bytes(32)).vkey}\nquorum none\n".encode())
    with pytest.raises(VerificationError, match=r"ledger/anchor\.tlog-proof: .*expected a signature by"):
        verify(FILES, other)


WITNESS = CosignatureSigner("w.example/w1", b"\x09" * 32)
WITNESSED = policy.parse(f"log {LEDGER_KEY.vkey}\nwitness w {WITNESS.vkey}\nquorum w\n".encode())


def test_a_policy_that_asks_for_a_witness():
    with pytest.raises(VerificationError, match="expected cosignatures for the quorum 'w'"):
        verify(FILES, WITNESSED)


def test_a_witness_that_was_asked_for():
    world = World()
    signed = world.ledger.checkpoint()
    cosigned = checkpoint.add_signatures(
        signed, [cosign(signed.decode().partition("\n\n")[0] + "\n", WITNESS, 1_760_000_000)]
    )
    world.ledger.checkpoint = lambda: cosigned
    files = world.files(2, 4)
    told = words(verify(files, WITNESSED), WITNESSED)
    assert "               seen by w.example/w1 at 2025-10-09 08:53:20.000 UTC" in told
    assert not any("no witness's cosignature" in line for line in told)
    # who does not know the witness is told nothing of it
    assert not any("seen by" in line for line in words(verify(files, POLICY), POLICY))
    for name in ("ledger/anchor.tlog-proof", "ledger/enrolment.tlog-proof", "ledger/after.tlog-proof"):
        with pytest.raises(REFUSED):
            verify({**files, name: FILES[name]}, WITNESSED)


def test_a_checkpoint_that_another_key_signed():
    """Enrolled is one key, the anchor bears the signature of another."""
    thief = Ed25519Signer(ORIGIN, b"\x08" * 32)
    world = World()
    world.gateway.key = thief
    world.anchored = world.ledger.add(statement.Anchor(BEGAN, world.gateway.checkpoint()))
    with pytest.raises(VerificationError, match=r"ledger/anchor\.statement: .*expected a signature by"):
        verify(world.files(2, 4), POLICY)


@pytest.mark.parametrize(
    ("vkey", "why"),
    [("nonsense", "vkey"), (str(Ed25519Signer("h.example/other", bytes(32)).vkey), "expected a signature")],
)
def test_an_enrolment_of_no_use(vkey, why):
    world = World()
    world.enrolled = world.ledger.add(statement.Enrolment(0, "g1", ORIGIN, vkey))
    world.anchored = world.ledger.add(statement.Anchor(BEGAN, world.gateway.checkpoint()))
    with pytest.raises(REFUSED, match=rf"^ledger/(enrolment|anchor)\.statement: .*{why}"):
        verify(world.files(2, 4, after=False), POLICY)


def test_a_key_that_was_enrolled_behind_the_anchor():
    world = World()
    world.enrolled = world.ledger.add(statement.Enrolment(BEGAN, "g1", ORIGIN, str(GATEWAY_KEY.vkey)))
    with pytest.raises(VerificationError, match=r"ledger/enrolment\.statement: at 5, behind the anchor at 2"):
        verify(world.files(2, 4), POLICY)


def test_statements_of_another_kind_or_origin():
    world = World()
    anchored, enrolled = world.anchored, world.enrolled
    other = world.ledger.add(statement.Enrolment(0, "g2", "h.example/gateway/g2", str(GATEWAY_KEY.vkey)))
    world.anchored = world.ledger.add(statement.Anchor(BEGAN, world.gateway.checkpoint()))
    world.enrolled = other
    with pytest.raises(VerificationError, match=r"enrols h\.example/gateway/g2, expected h\.example/gateway/g1"):
        verify(world.files(2, 4), POLICY)
    world.enrolled = anchored
    with pytest.raises(VerificationError, match="expected Enrolment or Succession, found Anchor"):
        verify(world.files(2, 4), POLICY)
    world.enrolled, world.anchored = enrolled, enrolled
    with pytest.raises(MisuseError, match="expected an anchor statement, found Enrolment"):
        world.files(2, 4)


def test_a_claim_of_another_origin():
    claim = replace(WORLD.claim(2, 4), origin="h.example/gateway/g2")
    with pytest.raises(VerificationError, match=r"enrols h\.example/gateway/g1, expected h\.example/gateway/g2"):
        verify(WORLD.files(2, 4, claim=claim), POLICY)


@pytest.mark.parametrize(
    ("field", "value"), [("chain", BED_2), ("first", 1), ("first", 3), ("last", 3), ("last", 5), ("last", 2**63 - 1)]
)
def test_a_claim_of_another_run(field, value):
    with pytest.raises(REFUSED):
        verify(WORLD.files(2, 4, claim=replace(WORLD.claim(2, 4), **{field: value})), POLICY)
