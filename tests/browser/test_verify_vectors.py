"""The browser's modules against the project's vectors, and the public ones where they lie beside the repository."""

import base64
import json
import random

import cbor2
import pytest

from tests.browser.verify_fixtures import b64, browser, harness
from tests.unit.core.test_vectors import CORE, READERS, pair
from tests.unit.tlog.test_vectors import FILES, SHARED, TLOG
from vitaledger import cbor, checkpoint, policy, proof
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.opened import open_entry

READ = ("leaf", "body", "values", "waves", "raw", "event", "statement")
PUBLIC = {
    "inclusion": ("verifyInclusion", ("leafHash", "leafIdx", "treeSize", "proof", "root")),
    "consistency": ("verifyConsistency", ("size1", "root1", "size2", "root2", "proof")),
    "subtree-inclusion": ("verifySubtreeInclusion", ("leafHash", "leafIdx", "start", "end", "proof", "root")),
    "subtree-consistency": ("verifySubtreeConsistency", ("start", "end", "root1", "size", "root2", "proof")),
}


@pytest.fixture(scope="module")
def page(request):
    with browser(request) as found:
        yield harness(found)


def merkle(page, cases):
    told = [[name, [wire(argument) for argument in arguments]] for name, arguments in cases]
    return page.evaluate("cases => harness.merkle(cases)", told)


def wire(argument):
    if argument is None:
        return []
    if isinstance(argument, list):
        return [{"b64": each} for each in argument]
    return {"b64": argument} if isinstance(argument, str) else argument


def test_merkle_proofs(page):
    cases = [
        ("verifyInclusion", [case[key] for key in ("leaf", "index", "size", "proof", "root")])
        for case in TLOG["inclusion"]
    ]
    cases += [
        ("verifySubtreeConsistency", [case[key] for key in ("start", "end", "part", "size", "root", "proof")])
        for case in TLOG["consistency"]
    ]
    found = merkle(page, cases)
    assert [each is None for each in found] == [case["ok"] for case in TLOG["inclusion"] + TLOG["consistency"]]
    assert {each["kind"] for each in found if each} == {"VerificationError"}


@pytest.mark.skipif(not (SHARED / "vectors").exists(), reason="the public vectors are not here")
def test_public_merkle_proofs(page):
    cases, expected = [], []
    for name, (function, keys) in PUBLIC.items():
        for case in json.loads((SHARED / "vectors" / "merkle" / f"{name}.json").read_text()):
            cases.append((function, [case[key] for key in keys]))
            expected.append(not case["wantErr"])
    assert len(cases) == 518
    assert [each is None for each in merkle(page, cases)] == expected


def test_entries_say_what_the_vectors_say(page):
    cases = CORE["entries"] + CORE["findings"]
    found = page.evaluate("cases => harness.entries(cases)", [[case["leaf"], case["body"]] for case in cases])
    for case, each in zip(cases, found, strict=True):
        assert each["entry"] == case["entry"]
        assert each["hash"] == case["hash"]
        assert (each["refused"] is None) == (case in CORE["entries"]), case["what"]
        for part in ("event", "values", "waves", "raw"):
            if part in case:
                assert without_type(each["opened"][part]) == case[part], case["what"]


def without_type(value):
    """A record without its word, and with integers that JavaScript cannot hold as numbers."""
    if not isinstance(value, dict):
        return value
    told = {key: each for key, each in value.items() if key != "type"}
    return {key: int(each["int"]) if isinstance(each, dict) and "int" in each else each for key, each in told.items()}


def test_findings_are_refused_for_the_same_reason(page):
    found = page.evaluate("all => harness.entries(all)", [[case["leaf"], case["body"]] for case in CORE["findings"]])
    for case, each in zip(CORE["findings"], found, strict=True):
        with pytest.raises(MalformedError) as error:
            open_entry(*pair(case))
        assert each["refused"]["kind"] == "MalformedError"
        assert each["refused"]["message"].split(": ")[:2] == str(error.value).split(": ")[:2], case["what"]


def test_statements(page):
    found = page.evaluate("all => harness.read(all)", [["statement", case["hex"]] for case in CORE["statements"]])
    for case, each in zip(CORE["statements"], found, strict=True):
        assert each["type"].lower() == case["what"]
        assert without_type(each) == case["fields"]


def test_what_must_be_refused(page):
    cases = [case for case in CORE["refused"] if case["of"] in READ]
    assert len(cases) > 60
    found = page.evaluate("all => harness.readers(all)", [[case["of"], case["hex"]] for case in cases])
    assert [case["what"] for case, each in zip(cases, found, strict=True) if each is None] == []
    assert {each["kind"] for each in found} == {"MalformedError"}


def test_records_changed_at_random(page):
    """Every record of the vectors, mutated: the two readers take the same bytes."""
    rng, cases = random.Random(47), []
    for case in CORE["entries"]:
        records = [("leaf", case["leaf"]), ("body", case["body"])]
        for part, _, content in cbor2.loads(bytes.fromhex(case["body"])):
            records.append(({1: "values", 2: "waves", 3: "raw", 4: "event"}[part], content.hex()))
        for of, hexed in records:
            cases += [(of, spoilt(rng, bytes.fromhex(hexed))) for _ in range(30)]
    for case in CORE["statements"]:
        cases += [("statement", spoilt(rng, bytes.fromhex(case["hex"]))) for _ in range(30)]
    found = page.evaluate("all => harness.readers(all)", [[of, data.hex()] for of, data in cases])
    for (of, data), verdict in zip(cases, found, strict=True):
        assert (verdict is None) == takes(READERS[of], data), (of, data.hex(), verdict)
    assert any(verdict is None for verdict in found)


def spoilt(rng, data):
    at = rng.randrange(len(data))
    kind = rng.randrange(4)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.randbytes(1) + data[at + 1 :]
    return data[:at] + data[at + 1 :] if kind == 2 else data[:at] + rng.randbytes(1) + data[at:]


def takes(reader, data):
    try:
        reader(data)
    except MalformedError:
        return False
    return True


ITEMS = [
    "00", "17", "1817", "1818", "18ff", "1900ff", "190100", "1a0000ffff", "1a00010000", "1b00000000ffffffff",
    "1b0000000100000000", "1b7fffffffffffffff", "1b8000000000000000", "20", "3b7fffffffffffffff", "3b8000000000000000",
    "3bffffffffffffffff", "f6", "f4", "f5", "f7", "e0", "f90000", "fa00000000", "fb0000000000000000", "a0", "a10000",
    "5f4100ff", "7f6161ff", "9f00ff", "ff", "40", "4100", "5800", "580100", "60", "6161", "61ff", "62c328", "62c3a9",
    "63eda080", "64f0908080", "63efbbbf", "6100", "80", "81", "8100", "9800", "818181818181818181818180",
    "81818181818181818181818180", "8181818181818181818181818180", "c000", "c240", "c24101", "d84040", "d8404100",
    "d84840", "d84841ff", "d8484101", "d845420001", "d845420100", "d8454101", "d8464400000100", "d846440000000100",
    "d84d420080", "d84d42ff00", "d84e4400000080", "d84100", "d840f6", "d84081", "d9d9f700", "d81c80", "d81d00",
    "0000", "f6f6", "", "1c", "3f", "9b0000000000000001", "9bffffffffffffffff", "5bffffffffffffffff", "9a7fffffff",
    "820001", "8200", "82f6f6f6", "d80000", "c6", "d84740",
]  # fmt: skip


def test_cbor_items(page):
    rng = random.Random(48)
    items = [bytes.fromhex(each) for each in ITEMS] + [rng.randbytes(rng.randrange(1, 6)) for _ in range(2000)]
    found = page.evaluate("all => harness.readers(all)", [["cbor", data.hex()] for data in items])
    for data, verdict in zip(items, found, strict=True):
        # a typed array's samples are looked at where its record says that one is expected
        expected = takes(cbor.decode, data)
        assert (verdict is None) == expected or (verdict is None and 0xD8 in data), (data.hex(), verdict)


def test_policies(page):
    log, witness = FILES["log"], FILES["witness"]
    good = FILES["policy"]
    one, both = f"log {log}\n", f"log {log}\nwitness w {witness}\n"
    none = "quorum none\n"
    texts = [
        good, good + "# é\n", good.replace("\n", "\r\n"), good + good, good.replace(" ", "\t"), one, one + none,
        f"log {log} http://x \xff\n{none}", one + "quorum w\n", none, one + one + none, f"log {witness}\n{none}",
        "log x\n" + none, "\x00", "", both + "group g 1 w\nquorum g\n", both + "group g 2 w\nquorum g\n",
        both + "group g all w w\nquorum g\n", f"{one}witness none {witness}\n{none}",
        both + "group g any w\ngroup h any w\nquorum g\n", one + none + none, f"log {log[:-1]}A\n{none}",
        f"log {log.replace('+', ' ', 1)}\n{none}", f"frog {log}\n{none}",
    ]  # fmt: skip
    cases = [text.encode("latin-1", "replace") for text in texts]
    rng = random.Random(49)
    cases += [spoilt(rng, good.encode()) for _ in range(200)]
    found = page.evaluate("all => harness.policies(all)", [b64(case) for case in cases])
    for case, verdict in zip(cases, found, strict=True):
        assert (verdict is None) == takes(policy.parse, case), (case, verdict)
    assert found[0] is None


def test_checkpoints_and_proofs(page):
    rules, note = FILES["policy"].encode(), (FILES["checkpoint"] + FILES["cosignature"]).encode()
    rng = random.Random(50)
    notes = [note, FILES["checkpoint"].encode(), *(spoilt(rng, note) for _ in range(150))]
    found = page.evaluate("all => harness.checkpoints(all)", [[b64(rules), b64(each)] for each in notes])
    trusted = policy.parse(rules)
    for each, verdict in zip(notes, found, strict=True):
        assert verdict == verdict_of(trusted.verify_checkpoint, each, verdict), each
    assert [each is None for each in found[:2]] == [True, False]
    file, leaf = FILES["proof"].encode(), FILES["proof leaf"]
    files = [file, file.replace(b"\nindex", b"\nextra AAA\nindex"), *(spoilt(rng, file) for _ in range(150))]

    def check(data):
        return proof.verify(proof.parse(data), base64.b64decode(leaf), trusted)

    told = page.evaluate("all => harness.proofs(all)", [[b64(rules), b64(each), leaf] for each in files])
    for each, verdict in zip(files, told, strict=True):
        assert verdict == verdict_of(check, each, verdict), each
    assert [each is None for each in told[:2]] == [True, True]


def verdict_of(check, data, found):
    """The verdict as the page has it where the kinds agree."""
    try:
        check(data)
    except (MalformedError, VerificationError) as error:
        return found if found and found["kind"] == type(error).__name__ else str(error)
    return None


def test_a_log_with_an_ecdsa_key(page):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from vitaledger.keys import KeyType, vkey_of
    from vitaledger.note import Note, Signature, written

    key = ec.derive_private_key(4711, ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    vkey = vkey_of("e.example/log", KeyType.ECDSA, public)
    head = checkpoint.encode_text(checkpoint.Checkpoint("e.example/log", 1, bytes(32)))
    notes = []
    for _ in range(8):  # r and s of all lengths that come
        signature = key.sign(head.encode(), ec.ECDSA(hashes.SHA256()))
        notes += [(signature, True), (signature[:-1] + bytes([signature[-1] ^ 1]), False), (signature + b"\0", False)]
    data = [written(Note(head, (Signature(vkey.name, vkey.key_id, each),))) for each, _ in notes]
    found = page.evaluate("all => harness.opened(all)", [[str(vkey), b64(each)] for each in data])
    assert [each is None for each in found] == [good for _, good in notes]
