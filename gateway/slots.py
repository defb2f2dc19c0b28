"""The journal's table: its rows stand in slots, which are written over.

    slot, n, length, data       row n of the journal is the first `length` bytes of data; zeros follow

A row goes into the first slot that holds no row of the journal, that is whose n is below the journal's first. What
stands in such a slot means nothing. SQLite writes over a cell that keeps its size where it lies, and only those of its
pages that change; a row that is deleted and one that is inserted change the pages of both, the list of free pages and
the first page besides.

The seal's digest is over every slot, so that any change of the table is found: SHA-256 of, slot by slot, SHA-256(i64
slot ‖ i64 n ‖ i64 length ‖ data). Under a seal of before there were slots it is over the rows alone; a store that was
brought from there to here has one slot for each row, and no zeros.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Self

from gateway.seal import Seal
from vitaledger.errors import VerificationError

ROWS_AS_SLOTS = "SELECT row_number() OVER (ORDER BY n) - 1, n, length(data), data"
_SLOTTED = 3  # the first version of the seal whose digest is over slots
_SMALL = 2048  # a slot of up to this size is kept for a shorter row, and one of up to four times the row's length
# In pages of 512 bytes, what fits on the tree's page with the numbers before it, and what each page behind it takes: of
# other sizes SQLite would leave 39 bytes on the first, and a row of a thousand would be on four pages instead of three.
_LOCAL, _OVERFLOW = 455, 508


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of the table. `data`: the journal's row and zeros."""

    slot: int
    n: int
    length: int
    data: bytes

    @property
    def row(self) -> bytes:
        """The journal's row."""
        return self.data[: self.length]

    @property
    def hash(self) -> bytes:
        """What the seal's digest covers of it."""
        numbers = b"".join(each.to_bytes(8, signed=True) for each in (self.slot, self.n, self.length))
        return sha256(numbers + self.data).digest()


@dataclass(frozen=True, slots=True)
class _Kept:
    n: int
    size: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Slots:
    """What the writer knows of the table, which it alone changes. A new one for each step: the old one until COMMIT."""

    kept: Mapping[int, _Kept]

    @classmethod
    def of(cls, found: Sequence[Slot]) -> Self:
        """Of what stands in the table."""
        return cls({each.slot: _Kept(each.n, len(each.data), each.hash) for each in found})

    def digest(self) -> bytes:
        """The digest for the seal."""
        return sha256(b"".join(self.kept[slot].hash for slot in sorted(self.kept))).digest()

    def holds(self, first: int, end: int) -> bool:
        """Whether of all rows from `first` on there are exactly those up to `end`."""
        return sorted(each.n for each in self.kept.values() if each.n >= first) == list(range(first, end))

    def put(self, db: sqlite3.Connection, first: int, n: int, row: bytes) -> Self:
        """Write row `n` over a slot that is free once the journal begins at `first`, and read it back.

        Raises:
            VerificationError: it was read back changed.
        """
        slot = next(slot for slot in count() if slot not in self.kept or self.kept[slot].n < first)
        now = self.kept[slot].size if slot in self.kept else 0
        new = Slot(slot, n, len(row), row.ljust(_room(len(row), now), b"\0"))
        if slot in self.kept:
            db.execute("UPDATE journal SET n = ?, length = ?, data = ? WHERE slot = ?", (n, len(row), new.data, slot))
        else:
            db.execute("INSERT INTO journal (slot, n, length, data) VALUES (?, ?, ?, ?)", (slot, n, len(row), new.data))
        found = db.execute("SELECT slot, n, length, data FROM journal WHERE slot = ?", (slot,)).fetchone()
        if found is None or Slot(*found) != new:
            raise VerificationError("a row of the journal was read back changed; nothing was stored")
        return type(self)({**self.kept, slot: _Kept(n, len(new.data), new.hash)})


def _room(length: int, now: int) -> int:
    """The size of a slot for a row: that which it has, unless that is too little or far too much."""
    if length <= now <= max(_SMALL, 4 * length):
        return now
    return _LOCAL + max(0, -(-(length + length // 4 - _LOCAL) // _OVERFLOW)) * _OVERFLOW


def read_slots(db: sqlite3.Connection) -> list[Slot]:
    """All slots in order; VerificationError where one is not stored as it should be."""
    return _typed(db.execute("SELECT slot, n, length, data FROM journal ORDER BY slot"))


def read_rows(db: sqlite3.Connection) -> list[Slot]:
    """The same of a table of before there were slots, as it is brought to here."""
    return _typed(db.execute(f"{ROWS_AS_SLOTS} FROM journal ORDER BY n"))


def _typed(rows: sqlite3.Cursor) -> list[Slot]:
    found = []
    for slot, n, length, data in rows:
        if not isinstance(data, bytes) or not isinstance(n, int) or not isinstance(length, int):
            raise VerificationError(f"journal: slot {slot} is not stored as two numbers and bytes")
        if not 0 <= length <= len(data):
            raise VerificationError(f"journal: slot {slot} says {length} bytes, it has {len(data)}")
        found.append(Slot(slot, n, length, data))
    return found


def verify_slots(seal: Seal, found: Sequence[Slot]) -> list[bytes]:
    """Hold the table against the seal; answers the journal's rows, in order.

    Raises:
        VerificationError: a row is missing, is one too many or was changed.
    """
    slotted = seal.version >= _SLOTTED
    rows = sorted((each for each in found if not slotted or each.n >= seal.journal_first), key=lambda each: each.n)
    if [each.n for each in rows] != list(range(seal.journal_first, seal.journal_end)):
        numbers = ", ".join(str(each.n) for each in rows[:8]) or "none"
        raise VerificationError(
            f"journal: rows {numbers}, the seal says from {seal.journal_first} on and before {seal.journal_end}"
        )
    if not slotted and any(each.slot != at or each.length != len(each.data) for at, each in enumerate(rows)):
        raise VerificationError("journal: slots were written over under a seal of before there were any")
    hashes = (sha256(each.data).digest() for each in rows)
    digest = Slots.of(found).digest() if slotted else sha256(b"".join(hashes)).digest()
    if digest != seal.journal_digest:
        raise VerificationError(
            f"journal: digest expected {seal.journal_digest.hex()[:16]}…, found {digest.hex()[:16]}…"
        )
    return [each.row for each in rows]
