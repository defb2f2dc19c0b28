"""Evidence: what is built verifies, and whatever is changed in it is refused."""

import random
import re
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
from vitaledger import checkpoint, events, evidence, policy, statement
from vitaledger.cli.verify import words
from vitaledger.entry import Kind, PartType
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.evidence import MANIFEST, RAW_AND_WAVES, Claim, complete, verify
from vitaledger.evidence_files import README, RENDERED, TABLE
from vitaledger.keys import CosignatureSigner
from vitaledger.marks import GapReason
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


# -- manifest ---------------------------------------------------------------------------------------------------------

GOOD = FILES[MANIFEST].decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        "\ufeff" + GOOD,
        GOOD + " ",
        GOOD.replace(" ", ""),
        GOOD.replace('"first": 2', '"first": 2.0'),
        GOOD.replace('"first": 2', '"first": true'),
        GOOD.replace('"first": 2', '"first": -2'),
        GOOD.replace('"first": 2', '"first": 1,\n "first": 2'),
        GOOD.replace('"first": 2', f'"first": {"9" * 4000}').replace('"last": 4', f'"last": {"9" * 4000}'),
        GOOD.replace('"first": 2', f'"first": {"9" * 5000}'),
        GOOD.replace('"first": 2', '"first": NaN'),
        GOOD.replace('"first": 2', '"first": 5'),
        GOOD.replace("evidence", "evidence-2"),
        GOOD.replace('evidence": 2', 'evidence": 1'),
        GOOD.replace('evidence": 2', 'evidence": 3'),
        GOOD.replace('evidence": 2', 'evidence": true'),
        GOOD.replace('rendering": 1', 'rendering": 2'),
        GOOD.replace('rendering": 1', 'rendering": 0'),
        GOOD.replace('elsewhere": []', 'elsewhere": "h.example/gateway/g2 masimo:sn:1"'),
        GOOD.replace('elsewhere": []', 'elsewhere": [\n  "b b",\n  "a a"\n ]'),
        GOOD.replace('elsewhere": []', 'elsewhere": [\n  "a a",\n  "a a"\n ]'),
        GOOD.replace('elsewhere": []', 'elsewhere": ["a a"]'),
        GOOD.replace('elsewhere": []', 'elsewhere": [\n  ""\n ]'),
        GOOD.replace('"by"', '"for"'),
        GOOD.replace("nonin", "\\u006eonin"),
        GOOD.replace("vitaledger 0.1.0", "\\u001b[2J"),
        GOOD.replace("vitaledger 0.1.0", "x\\n  signed by    somebody else"),
        GOOD.replace("vitaledger 0.1.0", "\\ud800"),
        GOOD.replace("vitaledger 0.1.0", "\u202e"),
        GOOD.replace("vitaledger 0.1.0", "x" * 300),
    ],
    ids=lambda text: text[:30],
)
def test_a_manifest_that_is_none(text):
    with pytest.raises(MalformedError, match=r"^manifest\.json"):
        verify({**FILES, MANIFEST: text.encode("utf-8", "surrogatepass")}, POLICY)


def test_a_manifest_that_is_not_utf_8():
    with pytest.raises(MalformedError, match=r"^manifest\.json: not JSON"):
        verify({**FILES, MANIFEST: FILES[MANIFEST].replace(b"vitaledger 0", b"\xff")}, POLICY)


# -- table and texts --------------------------------------------------------------------------------------------------


def test_what_the_readme_says():
    text = FILES[README].decode()
    for line in (
        "  entries        2 to 4: 3, none between them missing",
        "  readings       7, of which 1 are stated absences",
        "  use            demo",
        "  sealed before  2025-06-15T15:07:40.000000Z, by the collector's clock",
        "  left out       nothing",
        "  exported       2025-06-15T15:06:40Z by Ada, records, with vitaledger 0.1.0",
        "  elsewhere      the same device is known from: none",
    ):
        assert line in text.splitlines()


def test_the_policy_is_one_and_trusts_the_ledger():
    trusted = policy.parse(FILES["policy.txt"])
    assert verify(FILES, trusted).claim == WORLD.claim(2, 4)


def test_a_policy_that_names_another_key_is_seen():
    other = Ed25519Signer(LEDGER, bytes(32)).vkey
    forged = FILES["policy.txt"].replace(str(LEDGER_KEY.vkey).encode(), str(other).encode())
    with pytest.raises(VerificationError, match=r"^policy\.txt: line 3 is not what"):
        verify({**FILES, "policy.txt": forged}, POLICY)


def test_a_value_of_the_table_that_was_changed_is_named():
    table = FILES[TABLE].replace(b",spo2,98,", b",spo2,89,")
    with pytest.raises(VerificationError, match=r"^readings\.csv: line 4 is not .*expected .*,spo2,98,.*found .*,89,"):
        verify({**FILES, TABLE: table}, POLICY)


@pytest.mark.parametrize("name", RENDERED)
def test_a_line_more_or_less_is_seen(name):
    for changed in (FILES[name] + b"\n", FILES[name] + b"x\n", FILES[name][:-1], b"\xff" + FILES[name], b""):
        with pytest.raises(VerificationError, match=rf"^{re.escape(name)}: "):
            verify({**FILES, name: changed}, POLICY)


def test_other_logs_are_told_as_a_claim():
    other = "h.example/gateway/g2 masimo:sn:0000056661"
    files = WORLD.files(0, 2, BED_2, claim=replace(WORLD.claim(0, 2, BED_2), elsewhere=(other,)))
    found = verify(files, POLICY)
    assert f"known from: {other}\n" in files[README].decode()
    assert f"  elsewhere    {other} (the exporter's word)" in words(found, POLICY)


# -- findings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "contents", "why"),
    [
        (Kind.READINGS, [(PartType.VALUES, b"\x80")], "values part: expected an array of 9 items"),
        (Kind.DEVICE_EVENT, [(PartType.EVENT, b"\x82\x18\x63\x00")], "unknown event 99; a newer version may know it"),
        (Kind.DEVICE_EVENT, [(PartType.EVENT, events.encode(events.Stop("")))], "does not belong on this micro-chain"),
        (Kind.ASSOCIATION, [], "kind association is reserved"),
        (Kind.READINGS, [(9, b"")], "do not fit kind readings"),
    ],
)
def test_what_is_proven_and_cannot_be_read_is_a_finding(kind, contents, why):
    gap = events.encode(events.Gap(GapReason.UNREADABLE, None, "", None))
    after = (BED_1, Kind.DEVICE_EVENT, [(PartType.EVENT, gap)])
    world = World(extra=[(BED_1, kind, contents), after])
    found = verify(world.files(2, 7), POLICY)
    assert [each.entry.seq for each in found.entries] == [2, 3, 4, 5, 7]
    assert len(found.findings) == 1
    assert why in found.findings[0]
    assert f"{BED_1} entry 6" in found.findings[0]
    assert [line for line in words(found, POLICY) if "FINDING" in line] == [f"  FINDING      {found.findings[0]}"]
    # beside the run it is none of its business
    assert verify(world.files(2, 5), POLICY).findings == ()


def test_build_wants_an_anchor():
    with pytest.raises(MisuseError):
        evidence.build(Claim(ORIGIN, BED_1, 0, 0, "", "", ""), [], WORLD.ledger.proven(1), WORLD.ledger.proven(0), b"")
