"""Proof files: what is refused, and what an `extra` line may hold."""

import pytest

from vitaledger import merkle, note, policy, proof, prover
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.proof import TlogProof
from vitaledger.tiles import MemoryTiles

LOG = note.Ed25519Signer("example.com/log", bytes(range(32)))
KEYS = [note.verifier_of(LOG.vkey)]
LEAVES = [merkle.leaf_hash(b"%d" % i) for i in range(10)]
TILES = MemoryTiles(LEAVES)
HEAD = sign_checkpoint(Checkpoint("example.com/log", 10, TILES.root()), LOG)
PROOF = TlogProof(6, tuple(prover.inclusion_proof(TILES, 6, 10)), HEAD)
DATA = proof.encode(PROOF)


def test_verified_with_keys_or_with_a_policy():
    assert proof.verify(proof.parse(DATA), LEAVES[6], KEYS).checkpoint.size == 10
    rules = policy.parse(f"log {LOG.vkey}\nquorum none\n".encode())
    assert proof.verify(proof.parse(DATA), LEAVES[6], rules).raw == HEAD


def test_another_leaf_index_or_key_is_refused():
    other = [note.verifier_of(note.Ed25519Signer("example.com/log", bytes(32)).vkey)]
    for index, leaf, keys in ((6, LEAVES[5], KEYS), (5, LEAVES[6], KEYS), (16, LEAVES[6], KEYS), (6, LEAVES[6], other)):
        with pytest.raises(VerificationError):
            proof.verify(TlogProof(index, PROOF.hashes, HEAD), leaf, keys)


def test_a_log_of_one_entry_needs_no_hash():
    head = sign_checkpoint(Checkpoint("example.com/log", 1, LEAVES[0]), LOG)
    data = proof.encode(TlogProof(0, (), head))
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/log\n1\n")
    proof.verify(proof.parse(data), LEAVES[0], KEYS)


@pytest.mark.parametrize(
    ("line", "extra"),
    [("extra AAE=", b"\x00\x01"), ("extra AAE", b"\x00\x01"), ("extra ", b""), ("extra AAF=", b"\x00\x01")],
)
def test_extra(line, extra):
    data = DATA.replace(b"\nindex", f"\n{line}\nindex".encode(), 1)
    found = proof.parse(data)
    assert found == TlogProof(6, PROOF.hashes, HEAD, extra)
    assert proof.parse(proof.encode(found)) == found
    proof.verify(found, LEAVES[6], KEYS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"c2sp", b" c2sp"),
        (b"index 6", b"index 06"),
        (b"index 6", b"index +6"),
        (b"index 6", b"index 6_0"),
        (b"index 6", "index ٦".encode()),
        (b"index 6", b"index  6"),
        (b"index 6", b"index"),
        (b"index 6\n", b""),
        (b"index 6", b"index 6\nindex 6"),
        (b"index 6", b"extra AA==\nextra AA==\nindex 6"),
        (b"index 6", b"extra A\nindex 6"),
        (b"index 6", b"extra A A=\nindex 6"),
        (b"index 6", b"index 6\nextra AA=="),
        (b"index 6", b"index 6\nAAAA"),
        (b"index 6", b"index 6\n" + (b"A" * 43 + b"=\n") * 63),
        (b"index 6\n", b"index 6\n\n"),
        (b"\n\nexample", b"\nexample"),
        (b"\n", b"\r\n"),
        (b"\n10\n", b"\n010\n"),
    ],
)
def test_what_is_no_proof(old, new):
    with pytest.raises(MalformedError):
        proof.parse(DATA.replace(old, new))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"c2sp.org/tlog-proof@v1\n\n" + HEAD, HEAD, DATA + bytes(256 * 1024)])
def test_what_is_not_at_all(data):
    with pytest.raises(MalformedError):
        proof.parse(data)


@pytest.mark.parametrize(
    "bad",
    [TlogProof(-1, (), HEAD), TlogProof(2**63, (), HEAD), TlogProof(0, (b"short",), HEAD),
     TlogProof(0, (LEAVES[0],) * 64, HEAD), TlogProof(0, (), HEAD, bytes(256 * 1024))],
)  # fmt: skip
def test_proofs_that_cannot_be(bad):
    with pytest.raises(MisuseError):
        proof.encode(bad)
