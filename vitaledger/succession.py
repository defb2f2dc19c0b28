"""The succession note: a log that cannot go on names the log that goes on in its place.

A log whose store was restored from an old copy, or that runs twice, must not sign on: what it would sign contradicts
what it has signed. It begins again under the next origin with a fresh key, and says so in a note (`vitaledger.note`)
that its old key signs. Gateways' logs and the provider ledger do it alike. The note's text is

    vitaledger succession v1
    <old origin>                 also the name of the key that signs the note
    <size, decimal>              of the last checkpoint that the signer's store holds of the old log
    <its root hash, base64>
    <new vkey>                   its name is the new origin: the old one's next number or a later one

    >>> old = Ed25519Signer("h.example/gateway/g1", bytes(32))
    >>> new = Ed25519Signer("h.example/gateway/g1/2", bytes(range(32)))
    >>> said = Succession("h.example/gateway/g1", 0, EMPTY_ROOT, str(new.vkey))
    >>> print(encode_text(said), end="")
    vitaledger succession v1
    h.example/gateway/g1
    0
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
    h.example/gateway/g1/2+de1b979c+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4
    >>> open_succession(sign_succession(said, old), old.vkey) == said
    True

Whoever holds the old key can make such a note: it moves the trust in the old key to a new one, and adds none. So the
first of an origin is taken with an alarm, and a second one, which only a second copy can have made, by a person alone.
"""

from dataclasses import dataclass

from vitaledger import note
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import Ed25519Signer, KeyType, Vkey, parse_vkey, verifier_of
from vitaledger.merkle import EMPTY_ROOT, HASH_SIZE
from vitaledger.text import MAX_NUMBER, base64_decode, base64_encode, check_key_name, parse_decimal

__all__ = [
    "EMPTY_ROOT",
    "Ed25519Signer",
    "Succession",
    "encode_text",
    "generation",
    "open_succession",
    "parse_text",
    "parse_unverified",
    "sign_succession",
    "successor_origin",
]

HEADER = "vitaledger succession v1"
_MAX_GENERATION = 1_000_000


@dataclass(frozen=True, slots=True)
class Succession:
    """What a succession note says. MisuseError where the new origin is not one that can follow the old one."""

    old_origin: str
    size: int
    root: bytes
    new_vkey: str

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_NUMBER or len(self.root) != HASH_SIZE:
            raise MisuseError(f"succession of {self.old_origin}: expected a size below 2^63 and a root of 32 bytes")
        try:
            check_key_name(self.old_origin)
            key = parse_vkey(self.new_vkey)
            old, new = generation(self.old_origin), generation(key.name)
        except MalformedError as error:
            raise MisuseError(f"succession of {self.old_origin}: {error}") from error
        if key.type != KeyType.ED25519 or old[0] != new[0] or new[1] <= old[1]:
            raise MisuseError(
                f"succession of {self.old_origin}: expected an Ed25519 key named {successor_origin(self.old_origin)}, "
                f"or with a higher number, found {key.name}"
            )

    @property
    def new_origin(self) -> str:
        """The origin that goes on."""
        return parse_vkey(self.new_vkey).name


def generation(origin: str) -> tuple[str, int]:
    """An origin without its number, and that number: 1 where it bears none.

    >>> generation("h.example/ledger"), generation("h.example/gateway/g1/3")
    (('h.example/ledger', 1), ('h.example/gateway/g1', 3))
    """
    parts = origin.split("/")
    if len(parts) == (4 if parts[1:2] == ["gateway"] else 3):
        number = parse_decimal(parts[-1], f"number of {origin[:300]}")
        if not 1 < number <= _MAX_GENERATION:
            raise MalformedError(f"origin {origin[:300]!r}: expected a number from 2 on behind the last slash")
        return "/".join(parts[:-1]), number
    return origin, 1


def successor_origin(origin: str, least: int = 0) -> str:
    """The origin that follows: its next number, or `least` where that is higher.

    >>> successor_origin("h.example/ledger"), successor_origin("h.example/gateway/g1/2", least=7)
    ('h.example/ledger/2', 'h.example/gateway/g1/7')
    """
    stem, number = generation(origin)
    return f"{stem}/{max(number + 1, least)}"


def encode_text(said: Succession) -> str:
    """The text that is signed."""
    lines = (HEADER, said.old_origin, str(said.size), base64_encode(said.root), said.new_vkey)
    return "".join(f"{line}\n" for line in lines)


def parse_text(text: str) -> Succession:
    """A succession from a note's text, or MalformedError. `encode_text` gives the same text back."""
    lines = text.split("\n")
    if len(lines) != 6 or lines[0] != HEADER or lines[5]:
        raise MalformedError(f"succession: expected '{HEADER}', old origin, size, root and new vkey, each ending in LF")
    _, origin, size, root, vkey, _ = lines
    try:
        return Succession(origin, parse_decimal(size, "succession size"), base64_decode(root, "succession root"), vkey)
    except MisuseError as error:
        raise MalformedError(str(error)) from error


def parse_unverified(data: bytes) -> Succession:
    """What a note's bytes say, believed by no one yet; or MalformedError."""
    return parse_text(note.parse(data).text)


def sign_succession(said: Succession, old: Ed25519Signer) -> bytes:
    """The note, signed by the old log's key; MisuseError for another key."""
    if old.name != said.old_origin:
        raise MisuseError(f"succession of {said.old_origin}: expected the key of that name, got {old.name}")
    return note.encode(note.sign_note(encode_text(said), old))


def open_succession(data: bytes, old: Vkey) -> Succession:
    """A succession that the old log's key has signed.

    Raises:
        MalformedError: not a succession note.
        VerificationError: not signed by that key, or it speaks of another log than that key's.
    """
    found = note.parse(data)
    said = parse_text(found.text)
    note.verify_note(found, [verifier_of(old)])
    if said.old_origin != old.name:
        raise VerificationError(f"succession: signed by {old.name}, and it speaks of {said.old_origin}")
    return said
