"""Signed notes: a text and the signatures on it (C2SP signed-note 1.0.0).

    <text, ending in LF>
    <empty line>
    — <key name> <base64 of key ID (4 bytes) and signature>      one line or more; the dash is U+2014

Signatures cover the text with its last LF. The text may hold empty lines: the last one of the note is the divider. All
is UTF-8 without control characters but LF. A key name is not empty and has no '+' and no Unicode space.

Keys (`vitaledger.keys`) are known by name and key ID. A line of an unknown key says nothing and is passed over; one of
a known key that does not verify refuses the whole note; a note on which no known key verifies is refused.

    >>> example = '''This is an example message.
    ...
    ... — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
    ... '''.encode()
    >>> key = Ed25519Verifier.from_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    >>> [signature.key_id.hex() for signature in verify_note(parse(example), [key])]
    ['530d903a']
    >>> verify_note(parse(example.replace(b"This", b"That")), [key])
    Traceback (most recent call last):
    vitaledger.errors.VerificationError: note: the signature by example.com/foo+530d903a is not of this text
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import (
    KEY_ID_SIZE,
    TIME_SIZE,
    CosignatureSigner,
    CosignatureVerifier,
    EcdsaVerifier,
    Ed25519Signer,
    Ed25519Verifier,
    KeyType,
    Signer,
    Verifier,
    Vkey,
    is_verifiable,
    parse_vkey,
    verifier_of,
    vkey_of,
)
from vitaledger.text import base64_decode, base64_encode, check_key_name

__all__ = [
    "MAX_NOTE",
    "MAX_SIGNATURES",
    "CosignatureSigner",
    "CosignatureVerifier",
    "EcdsaVerifier",
    "Ed25519Signer",
    "Ed25519Verifier",
    "KeyType",
    "Note",
    "Signature",
    "Signer",
    "Verifier",
    "Vkey",
    "cosign",
    "cosignature_time",
    "encode",
    "is_verifiable",
    "parse",
    "parse_signatures",
    "parse_vkey",
    "sign_note",
    "verifier_of",
    "verify_note",
    "vkey_of",
    "written",
]

MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 100
_DASH = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, its 4-byte ID and what the key made of the text."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its LF."""
        return f"{_DASH}{self.name} {base64_encode(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in LF, and its signatures. Nothing is verified yet."""

    text: str
    signatures: tuple[Signature, ...]


def parse(data: bytes) -> Note:
    """A note from its bytes, or MalformedError. `encode` gives the same bytes back."""
    text, divider, lines = _checked_text(data).rpartition("\n\n")
    if not divider or not lines.endswith("\n"):
        raise MalformedError("note: expected a text, an empty line and signature lines, each ending in LF")
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """The signatures of signature lines alone, as a witness answers them; or MalformedError."""
    if not lines.endswith("\n") or lines.count("\n") > MAX_SIGNATURES:
        raise MalformedError(f"note: expected 1 to {MAX_SIGNATURES} signature lines, each ending in LF")
    return tuple(_parse_line(line) for line in lines[:-1].split("\n"))


def encode(note: Note) -> bytes:
    """The note's bytes; MisuseError where they would not be a note."""
    try:
        data = written(note)
        if parse(data) == note:
            return data
    except (MalformedError, UnicodeEncodeError) as error:
        raise MisuseError(f"cannot be written as a note: {error}") from error
    raise MisuseError("cannot be written as a note: it would be read as another")


def written(note: Note) -> bytes:
    """The bytes of what the caller knows to be a note; `encode` is for everything else."""
    return f"{note.text}\n{''.join([signature.line for signature in note.signatures])}".encode()


def _checked_text(data: bytes) -> str:
    if len(data) > MAX_NOTE:
        raise MalformedError(f"note: expected at most {MAX_NOTE} bytes, found {len(data)}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"note: expected UTF-8 at byte {error.start}") from error
    if _CONTROL.search(text):
        raise MalformedError("note: found a control character other than LF")
    return text


def _parse_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise MalformedError(f"signature line: expected '— <name> <base64>', found {line[:60]!r}")
    check_key_name(name)
    blob = base64_decode(encoded, "signature line")
    if len(blob) <= KEY_ID_SIZE:
        raise MalformedError(f"signature line of {name}: expected a key ID and a signature, found {len(blob)} bytes")
    return Signature(name, blob[:KEY_ID_SIZE], blob[KEY_ID_SIZE:])


def sign_note(text: str, signer: Signer) -> Note:
    """A note of this text with one signature."""
    return Note(text, (Signature(signer.name, signer.key_id, signer.sign(text.encode())),))


def cosign(checkpoint_text: str, signer: CosignatureSigner, posix_seconds: int) -> Signature:
    """The cosignature of a checkpoint, to be put below the others."""
    return Signature(signer.name, signer.key_id, signer.sign(checkpoint_text.encode(), posix_seconds))


def cosignature_time(signature: Signature) -> int:
    """The POSIX seconds in a cosignature (type 04)."""
    return int.from_bytes(signature.signature[:TIME_SIZE])


def verify_note(note: Note, verifiers: Iterable[Verifier]) -> tuple[Signature, ...]:
    """The signatures by known keys, every one verified, in the note's order.

    Raises VerificationError where a known key's signature is wrong or no known key signed; MisuseError where two of
    the verifiers have the same name and key ID.
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise MisuseError(f"two keys of the name {verifier.name} and the key ID {verifier.key_id.hex()}")
    text, verified = note.text.encode(), []
    for signature in note.signatures:
        if signer := known.get((signature.name, signature.key_id)):
            signer.verify(text, signature.signature)
            verified.append(signature)
    if not verified:
        wanted = ", ".join(f"{name}+{found.hex()}" for name, found in known) or "no key at all"
        found = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in note.signatures)
        raise VerificationError(f"note: expected a signature by {wanted}; found {found}")
    return tuple(verified)
