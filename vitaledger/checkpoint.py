"""Checkpoints: the signed head of a log (C2SP tlog-checkpoint 1.0.0).

A signed note (`vitaledger.note`) whose text is

    <origin>                     also the name of the log's key
    <size, decimal>
    <root hash, base64>
    <extension lines>            kept where found; none is written here

    >>> from vitaledger.keys import Ed25519Signer, verifier_of
    >>> from vitaledger.merkle import EMPTY_ROOT
    >>> head = Checkpoint("example.com/log", 0, EMPTY_ROOT)
    >>> print(encode_text(head), end="")
    example.com/log
    0
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
    >>> parse_text(encode_text(head)) == head
    True

A checkpoint is believed only when it is opened with keys, and the log's own key is among those that signed it:

    >>> log_key = Ed25519Signer("example.com/log", bytes(32))
    >>> signed = sign_checkpoint(head, log_key)
    >>> open_checkpoint(signed, [verifier_of(log_key.vkey)]).checkpoint.size
    0
    >>> open_checkpoint(signed, [verifier_of(Ed25519Signer("other", bytes(32)).vkey)])
    Traceback (most recent call last):
    vitaledger.errors.VerificationError: note: expected a signature by other+c78a95d7; found example.com/log+1dde4531
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from vitaledger import note
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.merkle import HASH_SIZE
from vitaledger.note import KeyType, Note, Signature, Signer, Verifier, cosignature_time
from vitaledger.text import MAX_NUMBER, base64_decode, base64_encode, check_key_name, parse_decimal

_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its origin, how many leaves, and their 32-byte root. MisuseError where it cannot be one."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_NUMBER or len(self.root) != HASH_SIZE:
            raise MisuseError(f"checkpoint of {self.origin}: expected a size below 2^63 and a root of 32 bytes")
        if self.extensions and any(not line or any(char < " " for char in line) for line in self.extensions):
            raise MisuseError(f"checkpoint of {self.origin}: expected extension lines that are not empty")
        try:
            check_key_name(self.origin)
        except MalformedError as error:
            raise MisuseError(f"checkpoint: {error}") from error


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Who saw a checkpoint by when: a verified cosignature of type 04, its time in POSIX seconds."""

    name: str
    key_id: bytes
    time: int


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint that its log has signed; made by `open_checkpoint` alone.

    `raw` is the note as it came, `verified` the signatures by known keys, `cosignatures` those with a time.
    """

    checkpoint: Checkpoint
    note: Note
    raw: bytes
    verified: tuple[Signature, ...]
    cosignatures: tuple[Cosignature, ...]


def encode_text(checkpoint: Checkpoint) -> str:
    """The text that is signed."""
    lines = (checkpoint.origin, str(checkpoint.size), base64_encode(checkpoint.root), *checkpoint.extensions)
    return "".join(f"{line}\n" for line in lines)


def parse_text(text: str) -> Checkpoint:
    """A checkpoint from a note's text, or MalformedError. `encode_text` gives the same text back."""
    lines = text.split("\n")
    if len(lines) <= _LINES or lines.pop():
        raise MalformedError("checkpoint: expected the lines origin, size and root, each ending in LF")
    origin, size, root, *extensions = lines
    head = base64_decode(root, "checkpoint root")
    if len(head) != HASH_SIZE:
        raise MalformedError(f"checkpoint root: expected 32 bytes, found {len(head)}")
    try:
        return Checkpoint(origin, parse_decimal(size, "checkpoint size"), head, tuple(extensions))
    except MisuseError as error:
        raise MalformedError(str(error)) from error


@lru_cache(maxsize=1)  # whoever reads a proof reads its checkpoint twice: to know what it is, and to believe it
def parse_unverified(data: bytes) -> tuple[Checkpoint, Note]:
    """What a checkpoint's bytes say, believed by no one yet; or MalformedError."""
    found = note.parse(data)
    return parse_text(found.text), found


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The checkpoint as a note signed by its log.

    A log never signs two checkpoints of which one is not a prefix of the other: the caller sees to that.
    """
    if signer.name != checkpoint.origin:
        raise MisuseError(f"checkpoint of {checkpoint.origin}: expected the key of that name, got {signer.name}")
    signed = note.sign_note(encode_text(checkpoint), signer)
    # without extensions it is three lines of checked fields: short, and read as no other
    return note.encode(signed) if checkpoint.extensions else note.written(signed)


def add_signatures(data: bytes, signatures: Iterable[Signature]) -> bytes:
    """The note with more signature lines below the others, those left out that it has already."""
    found = note.parse(data)
    added = tuple(dict.fromkeys((*found.signatures, *signatures)))
    return note.encode(Note(found.text, added))


def open_checkpoint(data: bytes, verifiers: Iterable[Verifier]) -> SignedCheckpoint:
    """A checkpoint that is signed by the known key whose name is its origin.

    Raises MalformedError, or VerificationError where that signature is missing or any known key's is wrong. Which
    cosignatures are enough is for a policy to say.
    """
    checkpoint, found = parse_unverified(data)
    known = list(verifiers)
    verified = note.verify_note(found, known)
    types = {(key.name, key.key_id): key.type for key in known}
    cosigned = [each for each in verified if types[each.name, each.key_id] == KeyType.COSIGNATURE]
    if not any(each.name == checkpoint.origin for each in verified if each not in cosigned):
        raise VerificationError(
            f"checkpoint of {checkpoint.origin}: expected a signature by the log, "
            f"found only those of {', '.join(each.name for each in verified)}"
        )
    times = tuple(Cosignature(each.name, each.key_id, cosignature_time(each)) for each in cosigned)
    return SignedCheckpoint(checkpoint, found, data, verified, times)
