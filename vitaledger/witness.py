"""The witness's add-checkpoint: who finds a log's new head consistent cosigns it (C2SP tlog-witness 1.0.0).

A request is

    old <size that the witness cosigned last>
    <consistency proof from old to the checkpoint's size: at most 63 lines of base64>
    <empty line>
    <checkpoint, a signed note>

and the answer is the first of these that applies:

    404  the origin is not known
    403  no signature by a key trusted for the origin, or a wrong one
    400  malformed, or old is above the checkpoint's size
    409  old is not the size cosigned last (0 if never); the body is that size and LF
    422  a proof for old = 0; a wrong proof; size 0 and not the empty root; the same size and another root
    200  checked and recorded; the body is the cosignature lines

`decide` is that table as a function: the state goes in, the answer and the new state come out. Whoever calls it
compares and records in one atomic step, durable before the answer is sent; else two requests can roll a log back.

    >>> from vitaledger.checkpoint import sign_checkpoint
    >>> log_key = note.Ed25519Signer("example.com/log", bytes(32))
    >>> signed = sign_checkpoint(Checkpoint("example.com/log", 1, merkle.leaf_hash(b"")), log_key)
    >>> request = encode_request(0, [], signed)
    >>> print(request.decode().splitlines()[0])
    old 0
    >>> answer = decide([note.verifier_of(log_key.vkey)], None, request)
    >>> answer.status, answer.state.size
    (200, 1)
    >>> again = decide([note.verifier_of(log_key.vkey)], answer.state, request)
    >>> again.status, again.body, again.state
    (409, b'1\\n', None)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vitaledger import merkle, note
from vitaledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, parse_unverified
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import CosignatureSigner, Verifier
from vitaledger.text import MAX_NUMBER, base64_decode, base64_encode, parse_decimal

MAX_PROOF = 63
CONTENT_TYPE_TEXT = "text/plain; charset=utf-8"
CONTENT_TYPE_SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Request:
    """An add-checkpoint request. `checkpoint` is the note as it came; nothing is verified yet."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What a witness keeps of a log: the head that it cosigned last, and its note."""

    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """A witness's answer.

    state: what is to be recorded, only with 200.
    fork: the request is well signed and inconsistent with what was witnessed: keep `evidence`, raise an alarm.
    proven: the two signed heads alone contradict each other (one size, two roots); else the proof alone was wrong,
        which a request garbled on its way can be too.
    evidence: the request, where fork.
    """

    status: int
    body: bytes = b""
    content_type: str = CONTENT_TYPE_TEXT
    state: Witnessed | None = None
    fork: bool = False
    proven: bool = False
    evidence: bytes | None = None


def encode_request(old: int, proof: Sequence[bytes], checkpoint_note: bytes) -> bytes:
    """The bytes of a request; MisuseError, or MalformedError where the note is not a checkpoint."""
    if not 0 <= old <= MAX_NUMBER or len(proof) > MAX_PROOF or any(len(each) != merkle.HASH_SIZE for each in proof):
        raise MisuseError(f"add-checkpoint: expected an old size and at most {MAX_PROOF} hashes of 32 bytes")
    parse_unverified(checkpoint_note)
    lines = [f"old {old}", *map(base64_encode, proof), ""]
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint_note


def parse_request(data: bytes) -> Request:
    """A request from its bytes, or MalformedError. `encode_request` gives the same bytes back."""
    head, checkpoint = _split(data)
    parse_unverified(checkpoint)
    return Request(*_parse_head(head), checkpoint)


def request_origin(data: bytes) -> str:
    """The origin of the request's checkpoint, to look its keys and state up by; or MalformedError (answer 400)."""
    return parse_unverified(_split(data)[1])[0].origin


def _split(data: bytes) -> tuple[bytes, bytes]:
    head, divider, checkpoint = data.partition(b"\n\n")
    if not divider:
        raise MalformedError("add-checkpoint: expected an empty line before the checkpoint")
    return head, checkpoint


def _parse_head(head: bytes) -> tuple[int, tuple[bytes, ...]]:
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("add-checkpoint: expected ASCII before the checkpoint") from error
    if not first.startswith("old "):
        raise MalformedError(f"add-checkpoint: expected 'old <size>', found {first[:60]!r}")
    if len(lines) > MAX_PROOF:
        raise MalformedError(f"add-checkpoint: expected at most {MAX_PROOF} proof lines, found {len(lines)}")
    proof = tuple(base64_decode(line, "add-checkpoint proof") for line in lines)
    if any(len(each) != merkle.HASH_SIZE for each in proof):
        raise MalformedError("add-checkpoint proof: expected hashes of 32 bytes")
    return parse_decimal(first[4:], "add-checkpoint old size"), proof


def decide(
    known: Iterable[Verifier] | None,
    state: Witnessed | None,
    request: bytes,
    cosigner: CosignatureSigner | None = None,
    now: int = 0,
) -> Decision:
    """What a witness answers to a request, and what it is to record.

    known: the keys trusted for the request's origin, None where that origin is unknown.
    state: what was recorded for that origin last, None if nothing ever was.
    cosigner, now: who signs the lines of a 200, at which POSIX second; without, its body is left empty.
    """
    try:
        head, checkpoint = _split(request)
        parse_unverified(checkpoint)
    except MalformedError as error:
        return _answer(400, str(error))
    if known is None:
        return _answer(404, "add-checkpoint: the origin is not known")
    try:
        signed = open_checkpoint(checkpoint, known)
    except VerificationError as error:
        return _answer(403, str(error))
    try:
        old, proof = _parse_head(head)
    except MalformedError as error:
        return _answer(400, str(error))
    return _judge(signed, old, proof, state, request, cosigner, now)


def _judge(
    signed: SignedCheckpoint,
    old: int,
    proof: tuple[bytes, ...],
    state: Witnessed | None,
    request: bytes,
    cosigner: CosignatureSigner | None,
    now: int,
) -> Decision:
    head, last = signed.checkpoint, state.size if state else 0
    contradiction = _contradiction(head, state)
    if old > head.size:
        return _answer(400, f"add-checkpoint: old {old} is above the checkpoint's size {head.size}")
    if old != last:
        fork = bool(contradiction)
        evidence = request if fork else None
        return Decision(409, b"%d\n" % last, CONTENT_TYPE_SIZE, fork=fork, proven=fork, evidence=evidence)
    if contradiction:
        return Decision(422, f"{contradiction}\n".encode(), fork=True, proven=True, evidence=request)
    if old == 0 and proof:
        return _answer(422, "add-checkpoint: expected no proof for old 0")
    if state and old:
        try:
            merkle.verify_consistency(old, state.root, head.size, head.root, proof)
        except VerificationError as error:
            # A proof where none belongs (equal heads) accuses no one.
            fork = head.size != old
            evidence = request if fork else None
            return Decision(422, f"{error}\n".encode(), fork=fork, evidence=evidence)
    lines = note.cosign(signed.note.text, cosigner, now).line.encode() if cosigner else b""
    return Decision(200, lines, state=Witnessed(head.size, head.root, signed.raw))


def _contradiction(head: Checkpoint, state: Witnessed | None) -> str | None:
    """Why the signed head is false whatever a proof says, if it is."""
    if head.size == 0 and head.root != merkle.EMPTY_ROOT:
        return f"checkpoint of {head.origin}: size 0 with the root {head.root[:4].hex()}…, not the empty root"
    if state and head.size == state.size and head.root != state.root:
        return (
            f"checkpoint of {head.origin}: two roots at size {head.size}, "
            f"expected {state.root[:4].hex()}…, found {head.root[:4].hex()}…"
        )
    return None


def _answer(status: int, why: str) -> Decision:
    return Decision(status, f"{why}\n".encode())
