"""The seal: what a gateway signs besides its log, so that a change of what no leaf covers is found.

A note by the gateway's key. With it `verify` finds a receipt that was taken away, a body that was cleared without
having been pruned, and a journal that was changed:

    vitaledger seal v3
    <origin>
    receipts <how many> <digest, hex>
    pruned <bodies of entries below this index were pruned>
    journal <first row> <end> <digest, hex>

where the receipts' digest = SHA-256(digest before ‖ i64 size ‖ i64 at_ms ‖ SHA-256(statement) ‖ SHA-256(proof)), over
every receipt in order from 32 zero bytes; the journal's is over all its slots, see `gateway.slots`. In version 2, of
stores made before there were slots, it is SHA-256 of the SHA-256 of its rows, one after another. Version 1 has no
journal line: there was no journal.

>>> seal = Seal("h.example/gateway/g1", 0, bytes(32), 0)
>>> parse_seal(seal.text) == seal
True
>>> parse_seal(seal.text.replace("v3", "v1")[: seal.text.index("journal")]).version
1
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from vitaledger.errors import MalformedError
from vitaledger.text import parse_decimal

VERSION = 3
NO_JOURNAL = sha256(b"").digest()
_SEAL = re.compile(
    r"vitaledger seal v([123])\n([^\n]+)\n"
    r"receipts ([0-9]+) ([0-9a-f]{64})\npruned ([0-9]+)\n(?:journal ([0-9]+) ([0-9]+) ([0-9a-f]{64})\n)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Seal:
    """What the gateway signs besides its log: its receipts, in order, how far bodies were pruned, and the journal."""

    origin: str
    receipts: int
    digest: bytes
    pruned: int
    journal_first: int = 0
    journal_end: int = 0
    journal_digest: bytes = NO_JOURNAL
    version: int = VERSION

    @property
    def text(self) -> str:
        """The text of the note."""
        head = f"vitaledger seal v{self.version}\n{self.origin}\n"
        log = f"receipts {self.receipts} {self.digest.hex()}\npruned {self.pruned}\n"
        journal = f"journal {self.journal_first} {self.journal_end} {self.journal_digest.hex()}\n"
        return head + log + (journal if self.version > 1 else "")


def parse_seal(text: str) -> Seal:
    """A seal from a note's text; MalformedError where it is none."""
    match = _SEAL.fullmatch(text)
    if match is None or (match[1] == "1") != (match[8] is None):
        raise MalformedError("seal: expected the lines 'vitaledger seal v3', origin, receipts, pruned and journal")
    version, origin, count, digest, pruned, first, end, journal = match.groups()
    return Seal(
        origin,
        parse_decimal(count, "seal receipts"),
        bytes.fromhex(digest),
        parse_decimal(pruned, "seal pruned"),
        parse_decimal(first or "0", "seal journal"),
        parse_decimal(end or "0", "seal journal"),
        bytes.fromhex(journal) if journal else NO_JOURNAL,
        int(version),
    )


def chain_receipt(digest: bytes, size: int, at_ms: int, statement: bytes, proof: bytes) -> bytes:
    """The digest over one receipt more."""
    row = (
        size.to_bytes(8, signed=True)
        + at_ms.to_bytes(8, signed=True)
        + sha256(statement).digest()
        + sha256(proof).digest()
    )
    return sha256(digest + row).digest()
