"""Reading a gateway's store without being able to write it: for the uplink's thread and for the command line.

A `Reader` sees what was committed when it looks, also while the gateway runs. It believes what it reads; whoever needs
to be sure verifies (`gateway.verify`).
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway import schema
from gateway.bodies import unpack
from gateway.schema import blob
from gateway.seal import Seal, parse_seal
from gateway.slots import Slot, read_rows, read_slots
from vitaledger import merkle, note, prover
from vitaledger.checkpoint import Checkpoint, parse_unverified
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.merkle import HASH_SIZE, TILE_WIDTH, leaf_hash
from vitaledger.tiles import TileRoot

Stored = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A receipt as it stands in the store."""

    size: int
    at_ms: int
    statement: bytes
    proof: bytes


class Rows:
    """The reads that writer and readers share, over one connection; also a TileReader of the log."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def meta(self) -> dict[str, str]:
        """What the store says of itself."""
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, a note; None before the first commit."""
        row = self._db.execute("SELECT checkpoint FROM head").fetchone()
        return None if row is None else blob(row[0], "checkpoint")

    def head(self) -> Checkpoint | None:
        """The same, read and not verified."""
        data = self.checkpoint()
        return None if data is None else parse_unverified(data)[0]

    @property
    def size(self) -> int:
        """How many entries the newest checkpoint covers."""
        head = self.head()
        return head.size if head else 0

    def stored_size(self) -> int:
        """One more than the greatest index that is stored."""
        row = self._db.execute("SELECT max(idx) FROM entries").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def seal_note(self) -> note.Note | None:
        """The seal's note, not verified."""
        row = self._db.execute("SELECT seal FROM head").fetchone()
        return None if row is None else note.parse(blob(row[0], "seal"))

    def seal(self) -> Seal | None:
        """What the seal says, not verified."""
        found = self.seal_note()
        return None if found is None else parse_seal(found.text)

    def numbered(self, first: int, end: int) -> list[tuple[int, bytes, bytes | None]]:
        """The rows of entries [first, end), bodies as they stand; VerificationError where one is missing."""
        rows = self._db.execute(
            "SELECT idx, leaf, body FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", (first, end)
        ).fetchall()
        if len(rows) != end - first:  # the index is unique: as many rows as numbers are those numbers
            found = [idx for idx, _, _ in rows]
            missing = next((n for n, idx in enumerate(found, start=first) if idx != n), first + len(found))
            raise VerificationError(f"entry {missing} is missing from the store")
        return rows

    def entries(self, first: int, end: int) -> list[Stored]:
        """(leaf, body or None where pruned) of entries [first, end); VerificationError where one is missing."""
        return [(leaf, body and unpack(body)) for _, leaf, body in self.numbered(first, end)]

    def leaves(self, first: int, end: int) -> list[bytes]:
        """The leaves of entries [first, end), without reading bodies."""
        rows = self._db.execute("SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx", (first, end))
        found = [leaf for (leaf,) in rows]
        if len(found) != end - first:
            raise VerificationError(f"entries [{first}, {end}): {len(found)} of {end - first} are in the store")
        return found

    def full_tile(self, level: int, n: int) -> bytes | None:
        """A full tile, or None where it is not stored."""
        row = self._db.execute("SELECT hashes FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()
        return None if row is None else blob(row[0], f"tile {level}/{n}")

    def edge(self) -> list[TileRoot]:
        """The roots of the full tiles under partial ones, as they are stored; none in a store of before version 4."""
        if schema.version(self._db) < schema.EDGE_VERSION:
            return []
        return [TileRoot(*row) for row in self._db.execute("SELECT level, n, root FROM edge ORDER BY level, n")]

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile; partial ones come from the leaves, and above these from the edge.

        A root that the edge lacks is made from its tile.
        """
        known: dict[int, object] = {}
        if level and width < TILE_WIDTH and schema.version(self._db) >= schema.EDGE_VERSION:
            query = "SELECT n, root FROM edge WHERE level = ? AND n >= ? AND n < ?"
            known = dict(self._db.execute(query, (level - 1, n * TILE_WIDTH, n * TILE_WIDTH + width)))
        return self._tile(level, n, width, known)

    def tile_without_edge(self, level: int, n: int, width: int) -> bytes:
        """The same from full tiles and leaves alone: 0.1 ms for each full tile below a partial one."""
        return self._tile(level, n, width, {})

    def _tile(self, level: int, n: int, width: int, known: Mapping[int, object]) -> bytes:
        full = None if known else self.full_tile(level, n)
        if full is not None:
            return full
        first = n * TILE_WIDTH
        if level == 0:
            return b"".join(leaf_hash(leaf) for leaf in self.leaves(first, first + width))
        if width == TILE_WIDTH:
            raise VerificationError(f"tile {level}/{n} is missing from the store")
        return b"".join(self._root_of(level - 1, m, known.get(m)) for m in range(first, first + width))

    def _root_of(self, level: int, n: int, known: object) -> bytes:
        """The root of a full tile, as it is known or else made from it."""
        if isinstance(known, bytes) and len(known) == HASH_SIZE:
            return known
        hashes = self.full_tile(level, n)
        if hashes is None:
            raise VerificationError(f"tile {level}/{n} is missing from the store")
        return merkle.tile_root(hashes)

    def root_at(self, size: int) -> bytes | None:
        """The root of the first `size` entries; None where there are fewer."""
        return prover.root_from_tiles(self, size) if size <= self.size else None

    def consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        """What shows that the first `size1` entries are a prefix of the first `size2`."""
        return prover.consistency_proof(self, size1, size2)

    def subtree_proof(self, first: int, end: int, size: int) -> list[bytes]:
        """What shows that the tree of `size` entries holds the run [first, end)."""
        return prover.subtree_consistency_proof(self, first, end, size)

    def newest_receipt(self) -> ReceiptRow | None:
        """The custody receipt of the greatest size."""
        row = self._db.execute(
            "SELECT size, at_ms, statement, proof FROM receipts ORDER BY size DESC LIMIT 1"
        ).fetchone()
        return None if row is None else ReceiptRow(*row)

    def receipts(self, above: int = -1) -> Iterator[ReceiptRow]:
        """Receipts of a size greater than `above`, in order."""
        query = "SELECT size, at_ms, statement, proof FROM receipts WHERE size > ? ORDER BY size LIMIT 64"
        while page := [ReceiptRow(*row) for row in self._db.execute(query, (above,))]:
            yield from page
            above = page[-1].size

    @property
    def reusable(self) -> int:
        """Bytes in the store's file that were freed and will be used again."""
        query = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
        return int(self._db.execute(query).fetchone()[0])

    def journal(self) -> list[Slot]:
        """The journal's slots, as they stand; none in a store that an earlier version made and left."""
        version = schema.version(self._db)
        if version < schema.JOURNAL_VERSION:
            return []
        return read_rows(self._db) if version < schema.SLOTS_VERSION else read_slots(self._db)

    def last_entry_of(self, chain: str, before: int, reach: int) -> tuple[int, bytes, bytes | None] | None:
        """(index, leaf, body) of the last entry of a chain in [before − reach, before), found by its name's bytes."""
        mark = bytes([0x60 + len(chain)]) if len(chain) < 24 else bytes([0x78, len(chain)])
        row = self._db.execute(
            "SELECT idx, leaf, body FROM entries WHERE idx >= ? AND idx < ? AND instr(leaf, ?) "
            "ORDER BY idx DESC LIMIT 1",
            (before - reach, before, mark + chain.encode()),
        ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]), row[2] and unpack(row[2]))


class Reader(Rows):
    """A read-only view of a store directory. One thread at a time."""

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a store for reading; works while the gateway runs.

        Raises:
            MisuseError: no store there, or one that a newer program made.
            MalformedError: the file is no database.
        """
        connection = schema.connect_reader(directory)
        try:
            schema.check_version(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise MalformedError(f"{directory / schema.DATABASE}: {error}") from error
        if schema.version(connection) == 0:
            connection.close()
            raise MisuseError(f"{directory}: the store is empty; the gateway has not run yet")
        return cls(connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection beneath, for `gateway.verify`."""
        return self._db

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
