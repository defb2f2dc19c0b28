"""The browser's check and Python's agree: on what holds, in words, and on what is refused, by whom it is meant."""

import json
import random
import zipfile

import pytest

from tests.browser import verify_tables
from tests.browser.verify_fixtures import b64, browser, harness, packed, python_verdict, zipped
from tests.evidence_world import BED_1, BED_2, LEDGER_KEY, POLICY, POLICY_TEXT, World
from vitaledger import checkpoint, evidence, policy
from vitaledger.cli.verify import words
from vitaledger.entry import Kind, PartType
from vitaledger.evidence import MANIFEST, RAW_AND_WAVES
from vitaledger.keys import CosignatureSigner
from vitaledger.note import cosign

WORLD = World()
FILES = WORLD.files(2, 4)


@pytest.fixture(scope="module")
def page(request):
    with browser(request) as found:
        yield harness(found)


def lines(page, files, text=POLICY_TEXT):
    return page.evaluate("([files, policy]) => harness.lines(files, policy)", [packed(files), text.decode()])


def verdicts(page, base, changes, text=POLICY_TEXT):
    told = [[[name, None if data is None else b64(data)] for name, data in change.items()] for change in changes]
    return page.evaluate(
        "([base, changes, policy]) => harness.evidence(base, changes, policy)", [packed(base), told, text.decode()]
    )


def agree(page, base, changes, *, places=True):
    """Both take or refuse each of these, for the same kind of reason and at the same file or entry.

    Of two files that are wrong each may name another: then without `places`.
    """
    found = verdicts(page, base, changes)
    told = []
    for change, verdict in zip(changes, found, strict=True):
        files = {name: data for name, data in {**base, **change}.items() if data is not None}
        expected = python_verdict(files, POLICY)
        assert (verdict is None) == (expected is None), (change, verdict, expected)
        if expected is not None and places:
            assert verdict["kind"] == expected["kind"], (verdict, expected)
            assert verdict["message"].split(": ")[0] == expected["message"].split(": ")[0], (verdict, expected)
        told.append(verdict)
    return told


def test_the_tables_are_those_of_python():
    assert verify_tables.TABLES.read_text("utf-8") == verify_tables.tables()


@pytest.mark.parametrize("name", [BED_1, BED_2])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("withheld", [(), RAW_AND_WAVES, (*RAW_AND_WAVES, PartType.VALUES)])
def test_it_says_what_the_command_prints(page, name, after, withheld):
    last = 5 if name == BED_1 else 2
    files = WORLD.files(0, last, name, after=after and PartType.VALUES not in withheld, withheld=withheld)
    assert lines(page, files) == "\n".join(words(evidence.verify(files, POLICY), POLICY)).split("\n")


def test_findings_and_witnesses(page):
    event = [(PartType.EVENT, b"\x82\x18\x63\x01")]
    world = World(extra=[(BED_1, Kind.DEVICE_EVENT, event), (BED_1, Kind.ASSOCIATION, event)])
    witness = CosignatureSigner("w.example/w1", b"\x09" * 32)
    signed = world.ledger.checkpoint()
    text = signed.decode().partition("\n\n")[0] + "\n"
    cosigned = checkpoint.add_signatures(signed, [cosign(text, witness, 1_760_000_000)])
    world.ledger.checkpoint = lambda: cosigned
    rules = f"log {LEDGER_KEY.vkey}\nwitness w {witness.vkey}\nquorum w\n".encode()
    files = world.files(2, 7)
    told = lines(page, files, rules)
    trusted = policy.parse(rules)
    assert told == "\n".join(words(evidence.verify(files, trusted), trusted)).split("\n")
    assert sum(line.startswith("  FINDING") for line in told) == 2
    assert any("seen by w.example/w1" in line for line in told)
    (refused,) = verdicts(page, FILES, [{}], rules)
    assert "expected cosignatures for the quorum 'w', found those of none" in refused["message"]


def test_every_file_changed_somewhere(page):
    rng = random.Random(44)
    changes = [{name: None} for name in FILES]
    for name, data in FILES.items():
        places = rng.sample(range(len(data)), min(8, len(data)))
        changes += [{name: mutated(rng, data, at)} for at in places]
    refused = [each for each in agree(page, FILES, changes) if each]
    assert len(refused) > 0.95 * len(changes)
    assert any(each["entry"] and each["entry"]["seq"] == 3 for each in refused)


def mutated(rng, data, at):
    change = rng.choice(["flip", "delete", "insert", "truncate", "double"])
    return {
        "flip": data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :],
        "delete": data[:at] + data[at + 1 :],
        "insert": data[:at] + rng.randbytes(1) + data[at:],
        "truncate": data[:at],
        "double": data + data,
    }[change]


def test_files_swapped(page):
    rng = random.Random(45)
    names = list(FILES)
    changes = []
    for one in names:
        other = rng.choice([name for name in names if FILES[name] != FILES[one]])
        changes.append({one: FILES[other], other: FILES[one]})
    assert all(agree(page, FILES, changes, places=False))


def test_no_file_is_let_through_unseen(page):
    leaf = FILES["entries/000000000004.leaf"]
    changes = [
        {name: data}
        for name in ("README", "entries/", "entries/4.leaf", "entries/x.body", "ledger/other.statement", "",
                     "ledger/predecessor-1.statement", "ledger/predecessor-1.tlog-proof", "manifest.JSON")
        for data in (b"", leaf)
    ]  # fmt: skip
    assert all(agree(page, FILES, changes))


@pytest.mark.parametrize(
    ("left_out", "why"),
    [([4], "expected entry 2, found entry 3"), ([10], "nothing shows that entry 4 is the last"),
     ([9, 10], "expected entries to 5"), ([3], "expected the run to begin with entry 1, found 2")],
)  # fmt: skip
def test_a_run_with_a_hole(page, left_out, why):
    changes = [{name: None for name in FILES if any(name.startswith(f"entries/{n:012d}") for n in left_out)}]
    (found,) = agree(page, FILES, changes)
    assert why in found["message"]


GOOD = FILES[MANIFEST].decode()


def test_manifests(page):
    claim = json.loads(GOOD)
    others = [
        {**claim, "first": 2**53}, {**claim, "first": 5}, {**claim, "last": 3}, {**claim, "chain": "gateway"},
        {**claim, "origin": "h.example/gateway/g2"}, {**claim, "vitaledger-evidence": 1}, {**claim, "rendering": 2},
        {**claim, "elsewhere": ["b c", "a b"]}, {**claim, "elsewhere": ["h.example/gateway/g2 x", "😀 x"]},
        {**claim, "by": "a\u202eb"}, {**claim, "by": "é 😀"}, {**claim, "first": -1}, {**claim, "more": 1},
    ]  # fmt: skip
    texts = [json.dumps(each, ensure_ascii=False, indent=1) + "\n" for each in others] + [
        "", "null", "[]", "{}", "[" * 100_000, "\ufeff" + GOOD, GOOD + " ", GOOD.replace(" ", ""),
        GOOD.replace('"first": 2', '"first": 2.0'), GOOD.replace('"first": 2', '"first": true'),
        GOOD.replace('"first": 2', '"first": 1,\n "first": 2'), GOOD.replace('"first": 2', '"first": NaN'),
        GOOD.replace("Ada", "\\u0041da"), GOOD.replace("Ada", "\\ud800"),
    ]  # fmt: skip
    assert all(agree(page, FILES, [{MANIFEST: text.encode()} for text in texts]))


def test_zips(page):
    good = zipped(FILES)
    stored = zipped(FILES, zipfile.ZIP_STORED)
    rng = random.Random(46)
    spoilt = [
        good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :]
        for at in rng.sample(range(len(good)), 150)
    ]
    spoilt += [good[: len(good) // 2], b"", b"x" * 100, good + b"x", stored[:-1]]
    told = page.evaluate("archives => harness.zips(archives)", [b64(each) for each in (good, stored, *spoilt)])
    assert dict(told[0]) == dict(told[1]) == {name: b64(data) for name, data in FILES.items()}
    for found in told[2:]:
        # what still opens holds the same bytes: date and system in a zip's list say nothing
        assert isinstance(found, dict) or sorted(found) == sorted(told[0])
    assert sum(isinstance(found, dict) for found in told[2:]) > 100
