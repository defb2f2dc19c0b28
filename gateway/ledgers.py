"""Which provider ledgers this gateway believes: the pinned one, and those that it was told go on in its place.

    <state>/ledgers     <vkey>                    pinned by the configuration when the gateway started
                        <vkey> <note, base64>     named by a ledger above in a succession note, and believed since

One line a ledger, in the order in which they came to be believed; the last is the ledger that goes on. A collector that
was restored from an old copy cannot sign its ledger on and begins the next. The first note that the key of the newest
ledger signed is taken. A second successor of a ledger above is not: either the collector was restored twice from the
same copy, or somebody else has such a copy. A person finds out which, and pins the right key in the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.config import Config
from gateway.generations import read_file, write_file
from vitaledger import proof, succession
from vitaledger.checkpoint import open_checkpoint
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.keys import Ed25519Verifier, parse_vkey
from vitaledger.text import base64_decode, base64_encode

FILE_NAME = "ledgers"


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The keys that are believed, the newest last, and for each the note that named it; None where it was pinned."""

    keys: tuple[Ed25519Verifier, ...]
    named_by: tuple[bytes | None, ...]

    @classmethod
    def pinned(cls, key: Ed25519Verifier) -> Self:
        """The one ledger that a person has pinned."""
        return cls((key,), (None,))

    @property
    def newest(self) -> Ed25519Verifier:
        """The key of the ledger that goes on."""
        return self.keys[-1]

    @property
    def notes(self) -> tuple[bytes, ...]:
        """Every note that was believed, in order."""
        return tuple(note for note in self.named_by if note is not None)

    def pin(self, key: Ed25519Verifier) -> "Ledgers":
        """With a key that a person has pinned; as they are where it is among them."""
        return self if self._knows(str(key.vkey)) else Ledgers((*self.keys, key), (*self.named_by, None))

    def follow(self, notes: Sequence[bytes]) -> "Ledgers":
        """With the ledgers that notes lead to from the newest; notes that lead elsewhere, or nowhere new, are left.

        Raises:
            MalformedError: not a succession note.
            VerificationError: not signed by the key that it speaks of, or a second successor of an older ledger.
        """
        found = self
        for note in notes:
            said = succession.parse_unverified(note)
            old = next((key for key in reversed(found.keys) if key.name == said.old_origin), None)
            if old is None or found._knows(said.new_vkey):
                continue
            succession.open_succession(note, old.vkey)
            if old.vkey != found.newest.vkey:
                raise VerificationError(
                    f"{said.new_origin} is a second successor of the ledger {old.name}; {found.newest.name} was the "
                    f"first, and is believed. Ask the provider; if it is right, set ledger_vkey = {said.new_vkey}"
                )
            named = Ed25519Verifier(parse_vkey(said.new_vkey))
            found = Ledgers((*found.keys, named), (*found.named_by, note))
        return found

    def covers(self, receipt_proof: bytes) -> bool:
        """Whether a receipt's proof is of the ledger that goes on: what an older one had, that one may have lost."""
        try:
            open_checkpoint(proof.parse(receipt_proof).checkpoint, [self.newest])
        except (MalformedError, VerificationError):
            return False
        return True

    def _knows(self, vkey: str) -> bool:
        return any(str(key.vkey) == vkey for key in self.keys)


def load(config: Config) -> Ledgers:
    """What is believed, with the key that the configuration pins.

    Raises:
        MalformedError, VerificationError: a line of the file is not one, or its note is not signed by a key above it.
    """
    path = _path(config)
    found = Ledgers((), ())
    lines = read_file(path).decode("ascii", "replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        vkey, _, text = line.partition(" ")
        where = f"{path} line {number}"
        try:
            note = base64_decode(text, "note") if text else None
            found = found.pin(Ed25519Verifier(parse_vkey(vkey))) if note is None else _named(found, note, vkey)
        except (MalformedError, VerificationError) as error:
            raise type(error)(f"{where}: {error}") from error
    return found.pin(config.ledger_verifier)


def _named(found: Ledgers, note: bytes, vkey: str) -> Ledgers:
    more = found.follow([note])
    if str(more.newest.vkey) != vkey or len(more.keys) != len(found.keys) + 1:
        raise VerificationError(f"its note does not lead to {vkey}")
    return more


def save(config: Config, ledgers: Ledgers) -> None:
    """Keep what is believed; durable when this returns."""
    path = _path(config)
    lines = [
        f"{key.vkey}\n" if note is None else f"{key.vkey} {base64_encode(note)}\n"
        for key, note in zip(ledgers.keys, ledgers.named_by, strict=True)
    ]
    data = "".join(lines).encode()
    if not path.is_file() or read_file(path) != data:
        write_file(path, data)


def _path(config: Config) -> Path:
    return (config.state if config.generation == 1 else config.state.parent) / FILE_NAME
