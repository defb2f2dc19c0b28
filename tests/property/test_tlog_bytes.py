"""Every change of one byte of what is signed or proven is refused."""

import pytest

from vitaledger import checkpoint, merkle, note, policy, proof, prover, witness
from vitaledger.checkpoint import Checkpoint, add_signatures, sign_checkpoint
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.tiles import MemoryTiles

LOG = note.Ed25519Signer("example.com/log", bytes(range(32)))
WITNESS = note.CosignatureSigner("witness.example", bytes(range(1, 33)))
LEAVES = [merkle.leaf_hash(b"%d" % i) for i in range(10)]
TILES = MemoryTiles(LEAVES)
HEAD = Checkpoint("example.com/log", 10, TILES.root())
SIGNED = sign_checkpoint(HEAD, LOG)
COSIGNED = add_signatures(SIGNED, [note.cosign(checkpoint.encode_text(HEAD), WITNESS, 1_700_000_000)])
RULES = policy.parse(f"log {LOG.vkey}\nwitness w {WITNESS.vkey}\nquorum w\n".encode())
KEYS = [note.verifier_of(LOG.vkey)]
PROOF = proof.encode(proof.TlogProof(6, tuple(prover.inclusion_proof(TILES, 6, 10)), COSIGNED))
STATE = witness.Witnessed(6, prover.root_from_tiles(TILES, 6), b"")
REQUEST = witness.encode_request(6, prover.consistency_proof(TILES, 6, 10), SIGNED)


def check_request(data):
    answer = witness.decide(KEYS if is_known(data) else None, STATE, data)
    if answer.status != 200:
        raise VerificationError(str(answer.status))


def is_known(data):
    try:
        return witness.request_origin(data) == "example.com/log"
    except MalformedError:
        return False


CHECKS = {
    "note": (SIGNED, lambda data: note.verify_note(note.parse(data), KEYS)),
    "checkpoint": (SIGNED, lambda data: checkpoint.open_checkpoint(data, KEYS)),
    "cosigned checkpoint": (COSIGNED, RULES.verify_checkpoint),
    "proof": (PROOF, lambda data: proof.verify(proof.parse(data), LEAVES[6], RULES)),
    "request": (REQUEST, check_request),
}


@pytest.mark.parametrize("name", CHECKS)
def test_one_byte_changed(name):
    data, check = CHECKS[name]
    check(data)
    for at in range(len(data)):
        for change in (0x01, 0x02, 0x04, 0x10, 0x20, 0x80, data[at] ^ 0x0A, data[at] ^ 0x20):
            if change:
                changed = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
                with pytest.raises((MalformedError, VerificationError)):
                    check(changed)


@pytest.mark.parametrize("name", CHECKS)
def test_one_byte_lost_or_added(name):
    data, check = CHECKS[name]
    for at in range(len(data) + 1):
        for changed in (data[:at] + data[at + 1 :], data[:at] + b"\n" + data[at:], data[:at] + b"A" + data[at:]):
            if changed != data:
                with pytest.raises((MalformedError, VerificationError)):
                    check(changed)


def test_the_extra_line_is_not_authenticated():
    found = proof.parse(PROOF)
    for extra in (b"", b"anything"):
        proof.verify(proof.TlogProof(found.index, found.hashes, found.checkpoint, extra), LEAVES[6], RULES)
