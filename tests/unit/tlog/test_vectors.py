"""Our own vectors; and those of transparency-dev/merkle where they lie beside the repository."""

import json
import os
import runpy
from base64 import b64decode
from functools import partial
from pathlib import Path

import pytest

from vitaledger import checkpoint, merkle, note, policy, proof, witness
from vitaledger.errors import VerificationError

ROOT = Path(__file__).parents[3]
OWN = ROOT / "tests" / "vectors"
SHARED = ROOT.parent / "shared"
PUBLIC = {
    "inclusion": lambda c: partial(
        merkle.verify_inclusion, b64(c["leafHash"]), c["leafIdx"], c["treeSize"], hashes(c), b64(c["root"])
    ),
    "consistency": lambda c: partial(
        merkle.verify_consistency, c["size1"], b64(c["root1"]), c["size2"], b64(c["root2"]), hashes(c)
    ),
    "subtree-inclusion": lambda c: partial(
        merkle.verify_subtree_inclusion,
        b64(c["leafHash"]), c["leafIdx"], c["start"], c["end"], hashes(c), b64(c["root"]),
    ),
    "subtree-consistency": lambda c: partial(
        merkle.verify_subtree_consistency,
        c["start"], c["end"], b64(c["root1"]), c["size"], b64(c["root2"]), hashes(c),
    ),
}  # fmt: skip


def b64(text):
    return b64decode(text, validate=True)


def hashes(case):
    return [b64(each) for each in case["proof"] or []]


def expect(check, ok):
    if ok:
        check()
    else:
        with pytest.raises(VerificationError):
            check()


def public_cases():
    for name in PUBLIC:
        path = SHARED / "vectors" / "merkle" / f"{name}.json"
        if path.exists():
            for case in json.loads(path.read_text()):
                yield pytest.param(name, case, id=f"{name}:{case['name']}")


PUBLIC_CASES = list(public_cases())

if PUBLIC_CASES:

    @pytest.mark.parametrize(("name", "case"), PUBLIC_CASES)
    def test_public_vector(name, case):
        expect(PUBLIC[name](case), not case["wantErr"])


if PUBLIC_CASES or (os.environ.get("VITALEDGER_REQUIRE_ALL") == "1" and SHARED.exists()):

    def test_all_public_vectors_were_found():
        assert len(PUBLIC_CASES) == 518


TLOG = json.loads((OWN / "tlog.json").read_text())
FILES = TLOG["files"]


def test_generating_again_gives_the_same_file():
    generate = runpy.run_path(str(OWN / "generate.py"))["generate"]
    assert generate() == (OWN / "tlog.json").read_text()


@pytest.mark.parametrize("case", TLOG["inclusion"], ids=lambda c: f"{c['index']}/{c['size']}:{c['what']}")
def test_inclusion(case):
    check = partial(merkle.verify_inclusion, b64(case["leaf"]), case["index"], case["size"])
    expect(partial(check, hashes(case), b64(case["root"])), case["ok"])


@pytest.mark.parametrize("case", TLOG["consistency"], ids=lambda c: f"{c['start']}-{c['end']}/{c['size']}:{c['what']}")
def test_consistency(case):
    check = partial(merkle.verify_subtree_consistency, case["start"], case["end"], b64(case["part"]))
    expect(partial(check, case["size"], b64(case["root"]), hashes(case)), case["ok"])


def test_checkpoint_and_policy():
    cosigned = FILES["checkpoint"] + FILES["cosignature"]
    rules = policy.parse(FILES["policy"].encode())
    signed = rules.verify_checkpoint(cosigned.encode())
    assert signed.checkpoint.size == 13
    assert [each.time for each in signed.cosignatures] == [FILES["time"]]
    with pytest.raises(VerificationError, match="quorum"):
        rules.verify_checkpoint(FILES["checkpoint"].encode())


def test_our_signatures_are_these():
    head = checkpoint.parse_unverified(FILES["checkpoint"].encode())[0]
    signer = note.Ed25519Signer(head.origin, b"\x01" * 32)
    assert str(signer.vkey) == FILES["log"]
    assert checkpoint.sign_checkpoint(head, signer) == FILES["checkpoint"].encode()
    cosigner = note.CosignatureSigner("witness.example/w1", b"\x02" * 32)
    assert str(cosigner.vkey) == FILES["witness"]
    assert note.cosign(checkpoint.encode_text(head), cosigner, FILES["time"]).line == FILES["cosignature"]


def test_proof_file():
    found = proof.parse(FILES["proof"].encode())
    assert proof.encode(found) == FILES["proof"].encode()
    rules = policy.parse(FILES["policy"].encode())
    assert proof.verify(found, b64(FILES["proof leaf"]), rules).checkpoint.size == 13
    with pytest.raises(VerificationError):
        proof.verify(found, merkle.leaf_hash(b"another entry"), rules)


def test_witness_request():
    request = FILES["request"].encode()
    keys = [note.Ed25519Verifier.from_vkey(FILES["log"])]
    old = FILES["request old"]
    state = witness.Witnessed(old, b64(FILES["request old root"]), b"")
    cosigner = note.CosignatureSigner("witness.example/w1", b"\x02" * 32)
    answer = witness.decide(keys, state, request, cosigner, FILES["time"])
    assert (answer.status, answer.body.decode()) == (200, FILES["cosignature"])
    assert answer.state == witness.Witnessed(
        13, checkpoint.parse_unverified(FILES["checkpoint"].encode())[0].root, FILES["checkpoint"].encode()
    )
