"""The files of evidence that people read: manifest, README, policy and table; and what stands as a finding."""

import re
from dataclasses import replace

import pytest

from tests.evidence_world import (
    BED_1,
    BED_2,
    LEDGER,
    LEDGER_KEY,
    ORIGIN,
    POLICY,
    Ed25519Signer,
    World,
)
from vitaledger import events, evidence, policy
from vitaledger.cli.verify import words
from vitaledger.entry import Kind, PartType
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.evidence import MANIFEST, Claim, verify
from vitaledger.evidence_files import README, RENDERED, TABLE
from vitaledger.marks import GapReason

WORLD = World()
FILES = WORLD.files(2, 4)
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
