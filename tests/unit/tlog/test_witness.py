"""The witness's answers, in their order, and what counts as a fork."""

import pytest

from vitaledger import merkle, note, prover, witness
from vitaledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.tiles import MemoryTiles
from vitaledger.witness import Witnessed, decide, encode_request

LOG = note.Ed25519Signer("example.com/log", bytes(range(32)))
KEYS = [note.verifier_of(LOG.vkey)]
COSIGNER = note.CosignatureSigner("witness.example", bytes(range(1, 33)))
TILES = MemoryTiles(merkle.leaf_hash(b"%d" % i) for i in range(20))
FORKED = MemoryTiles(merkle.leaf_hash(b"%d" % (i if i != 3 else 99)) for i in range(20))


def head(size, tiles=TILES, root=None):
    root = prover.root_from_tiles(tiles, size) if root is None else root
    return sign_checkpoint(Checkpoint("example.com/log", size, root), LOG)


def state(size, tiles=TILES):
    return Witnessed(size, prover.root_from_tiles(tiles, size), head(size, tiles))


def request(old, size, tiles=TILES, proof=None):
    proof = prover.consistency_proof(tiles, old, size) if proof is None else proof
    return encode_request(old, proof, head(size, tiles))


OTHER = note.Ed25519Signer("example.com/log", bytes(32))
FOREIGN = sign_checkpoint(Checkpoint("example.com/log", 5, prover.root_from_tiles(TILES, 5)), OTHER)
WRONG = head(5).replace(b"\n5\n", b"\n6\n")
SOME = merkle.leaf_hash(b"?")


@pytest.mark.parametrize(
    ("name", "keys", "known", "data", "status", "fork", "proven"),
    [
        ("not a request", None, None, b"old 0\n", 400, False, False),
        ("not a checkpoint", None, None, b"old 0\n\njunk\n", 400, False, False),
        ("unknown origin", None, None, request(0, 5), 404, False, False),
        ("unknown origin before a bad old size", None, None, b"old x\n\n" + head(5), 404, False, False),
        ("another key", KEYS, None, encode_request(0, [], FOREIGN), 403, False, False),
        ("wrong signature", KEYS, None, encode_request(0, [], WRONG), 403, False, False),
        ("no key trusted", [], None, request(0, 5), 403, False, False),
        ("bad old size", KEYS, None, b"old 00\n\n" + head(5), 400, False, False),
        ("no old line", KEYS, None, b"new 0\n\n" + head(5), 400, False, False),
        ("bad base64", KEYS, None, b"old 0\nAAAA=\n\n" + head(5), 400, False, False),
        ("short hash", KEYS, None, b"old 0\nAAAA\n\n" + head(5), 400, False, False),
        ("64 hashes", KEYS, None, b"old 0\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + head(5), 400, False, False),
        ("old above size", KEYS, state(7), request(7, 5, proof=[]), 400, False, False),
        ("first request, old not 0", KEYS, None, request(3, 5), 409, False, False),
        ("stale old", KEYS, state(4), request(3, 5), 409, False, False),
        ("stale old, same size, other root", KEYS, state(5), request(3, 5, FORKED), 409, True, True),
        ("older head", KEYS, state(7), request(3, 5), 409, False, False),
        ("proof for old 0", KEYS, None, request(0, 5, proof=[SOME]), 422, False, False),
        ("wrong proof", KEYS, state(3), request(3, 5, proof=[SOME] * 3), 422, True, False),
        ("no proof", KEYS, state(3), request(3, 5, proof=[]), 422, True, False),
        ("forked log", KEYS, state(6), request(6, 11, FORKED), 422, True, False),
        ("size 0, a root", KEYS, None, encode_request(0, [], head(0, root=SOME)), 422, True, True),
        ("same size, other root", KEYS, state(5), request(5, 5, FORKED), 422, True, True),
        ("same head, a proof", KEYS, state(5), request(5, 5, proof=[SOME]), 422, False, False),
        ("first", KEYS, None, request(0, 5), 200, False, False),
        ("first, empty", KEYS, None, request(0, 0), 200, False, False),
        ("after an empty one", KEYS, state(0), request(0, 5), 200, False, False),
        ("next", KEYS, state(5), request(5, 13), 200, False, False),
        ("same again", KEYS, state(5), request(5, 5), 200, False, False),
    ],
)  # fmt: skip
def test_answers(name, keys, known, data, status, fork, proven):
    answer = decide(keys, known, data, COSIGNER, 1_700_000_000)
    assert (answer.status, answer.fork, answer.proven) == (status, fork, proven), name
    assert answer.evidence == (data if fork else None)
    assert (answer.state is not None) == (status == 200)
    assert answer.body.endswith(b"\n")
    if status == 409:
        assert answer.body == b"%d\n" % (known.size if known else 0)
        assert answer.content_type == "text/x.tlog.size"
    if status == 200:
        note_bytes = witness.parse_request(data).checkpoint
        checkpoint = open_checkpoint(note_bytes + answer.body, [*KEYS, note.verifier_of(COSIGNER.vkey)])
        assert checkpoint.cosignatures[0].time == 1_700_000_000
        assert answer.state == Witnessed(checkpoint.checkpoint.size, checkpoint.checkpoint.root, note_bytes)


def test_without_a_cosigner_the_body_is_empty():
    assert decide(KEYS, None, request(0, 5)).body == b""


def test_origin_is_found_before_keys_are():
    assert witness.request_origin(request(0, 5)) == "example.com/log"
    assert witness.request_origin(b"old junk\n\n" + head(5)) == "example.com/log"
    for data in (b"", b"old 0\n", b"old 0\n\n\n"):
        with pytest.raises(MalformedError):
            witness.request_origin(data)


@pytest.mark.parametrize(("old", "proof"), [(-1, []), (2**63, []), (0, [SOME] * 64), (0, [b"short"])])
def test_requests_that_cannot_be(old, proof):
    with pytest.raises(MisuseError):
        encode_request(old, proof, head(5))


def test_a_log_followed_size_by_size():
    known = None
    for size in range(1, 21):
        old = known.size if known else 0
        answer = decide(KEYS, known, request(old, size))
        assert answer.status == 200
        known = answer.state
    assert known.root == TILES.root()
