"""The store: one SQLite file (WAL, synchronous=FULL), one writer at a time, any number of readers.

    with store.transaction():     BEGIN IMMEDIATE … COMMIT; when it returns, what was written is durable
        …

A second process may write as well (`enroll` beside `run`): transactions exclude one another, and each new head of the
ledger is a compare-and-swap on the last (size, root), so that whoever worked from an older head loses its transaction
(`LostSwapError`), loads again and repeats. What the ledger and the mirrors need of a store is stated by them, as
Protocols; nothing else here is SQLite's.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Self

from collector.reader import EDGE_VERSION, FILE_NAME, LEDGER, MAX_LOG, SCHEMA_VERSION, Reader, entry_id
from collector.rows import CarriedRow, ChainRow, LedgerHead, LogRow, Position, Presence, Refusal, SuccessionRow
from vitaledger import merkle
from vitaledger.errors import MisuseError, VitaledgerError
from vitaledger.merkle import TILE_WIDTH
from vitaledger.tiles import FullTile, TileRoot

__all__ = [
    "FILE_NAME",
    "LEDGER",
    "MAX_LOG",
    "ChainRow",
    "LedgerHead",
    "LogRow",
    "LostSwapError",
    "Position",
    "Presence",
    "Reader",
    "Refusal",
    "Store",
    "entry_id",
]

MAX_FORKS = 1000  # of one log: whoever has its key could make any number, and the thousandth proves nothing new
MAX_REFUSALS = 10_000
MAX_REFUSAL_BYTES = 16 * 1024 * 1024


class LostSwapError(VitaledgerError):
    """Another process wrote a newer head first: roll back, load again, repeat."""


class Store(Reader):
    """The writer. Belongs to one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._refused: int | None = None  # bytes in `refusals`; None: to be counted

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store's file for writing; MisuseError where there is none or it is of a newer version."""
        if not path.is_file():
            raise MisuseError(f"no store at {path}: `vitaledger-collector init` makes one")
        store = cls(connect(path))
        store._migrate()
        return store

    def _migrate(self) -> None:
        """Bring a store of an older version to this one: each version's tables stand below its mark in schema.sql."""
        found = int(self.meta("schema") or b"0")
        for version in range(found + 1, SCHEMA_VERSION + 1):
            with self.transaction():
                for statement in _schema_of(version):
                    self._db.execute(statement)
                if version == EDGE_VERSION:
                    self._fill_edge()
                    self._has_edge = True
                self._db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(version).encode(),))

    def _fill_edge(self) -> None:
        """The edges of all logs, from their full tiles as they are stored."""
        counts = "SELECT log, level, max(n) + 1 FROM tiles GROUP BY log, level"
        for log, level, count in self._db.execute(counts).fetchall():
            for n in range(count - count % TILE_WIDTH, count):
                tile = self.tile(log, level, n)
                if isinstance(tile, bytes):  # what is wrong with a tile is said by whoever needs it, and by `verify`
                    row = (log, level, n, merkle.tile_root(tile))
                    self._db.execute("INSERT INTO edge (log, level, n, root) VALUES (?, ?, ?, ?)", row)

    @classmethod
    def create(cls, path: Path, provider: str, vkey: str, head: LedgerHead) -> Self:
        """Make a new store whose ledger has this (empty) head; MisuseError where the file is there already."""
        if path.exists():
            raise MisuseError(f"{path} is there already: nothing was changed")
        connection = connect(path)
        schema = files("collector").joinpath("schema.sql").read_text("utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}")
        facts = {"schema": str(SCHEMA_VERSION), "provider": provider, "vkey": vkey}
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)", [(key, value.encode()) for key, value in facts.items()]
        )
        connection.execute(
            "INSERT INTO ledger (id, size, root, checkpoint) VALUES (1, ?, ?, ?)",
            (head.size, head.root, head.checkpoint),
        )
        connection.execute("COMMIT")
        return cls(connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it returns."""
        self.abandon()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._refused = None
            self.forget_edges()  # what they were made of may never have been committed
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def abandon(self) -> None:
        """End a transaction whose own rollback failed, so that nothing is read that was never committed."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # -- the ledger ---------------------------------------------------------------------------------------------------

    def add_statement(self, index: int, leaf: bytes) -> None:
        """Store a leaf of the ledger; LostSwapError where another process has stored one there."""
        try:
            self._db.execute("INSERT INTO statements (idx, leaf) VALUES (?, ?)", (index, leaf))
        except sqlite3.IntegrityError as error:
            raise LostSwapError(f"ledger: another process wrote statement {index}") from error

    def add_tiles(self, log: int, tiles: Sequence[FullTile], roots: Iterable[TileRoot]) -> None:
        """Store full tiles, and the roots of those under a partial one; those under a tile that is full now go."""
        rows = [(log, tile.level, tile.n, tile.data) for tile in tiles]
        self._db.executemany("INSERT INTO tiles (log, level, n, hashes) VALUES (?, ?, ?, ?)", rows)
        edge = [(log, *each) for each in roots]
        self._db.executemany("INSERT INTO edge (log, level, n, root) VALUES (?, ?, ?, ?)", edge)
        done = [(log, tile.level - 1, (tile.n + 1) * TILE_WIDTH) for tile in tiles if tile.level]
        self._db.executemany("DELETE FROM edge WHERE log = ? AND level = ? AND n < ?", done)

    def swap_head(self, last: LedgerHead, new: LedgerHead) -> None:
        """Put `new` in the place of `last`; LostSwapError where the head is no longer `last`."""
        changed = self._db.execute(
            "UPDATE ledger SET size = ?, root = ?, checkpoint = ? WHERE id = 1 AND size = ? AND root = ?",
            (new.size, new.root, new.checkpoint, last.size, last.root),
        ).rowcount
        if changed != 1:
            raise LostSwapError(f"ledger: expected head {last.size}, another process wrote a newer one")

    # -- a gateway's log ----------------------------------------------------------------------------------------------

    def add_log(self, gateway: str, origin: str, vkey: str, enrolled: int) -> int:
        """Enrol a log; its number."""
        cursor = self._db.execute(
            "INSERT INTO logs (gateway, origin, vkey, enrolled) VALUES (?, ?, ?, ?)", (gateway, origin, vkey, enrolled)
        )
        if cursor.lastrowid is None:
            raise MisuseError(f"log of {origin} was not stored")
        return cursor.lastrowid

    def set_witnessed(self, row: LogRow, size: int, note: bytes, statement: int) -> LogRow:
        """Record the head witnessed now in the place of the one in `row`, and the statement that anchors it."""
        changed = self._db.execute(
            "UPDATE logs SET witnessed = ?, checkpoint = ? WHERE log = ? AND witnessed = ? AND checkpoint IS ?",
            (size, note, row.log, row.witnessed, row.checkpoint),
        ).rowcount
        if changed != 1:
            raise LostSwapError(f"{row.origin}: another process witnessed a newer head")
        self._db.execute(
            "INSERT INTO anchors (log, size, statement) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (row.log, size, statement),
        )
        return replace(row, witnessed=size, checkpoint=note)

    def set_stored(self, row: LogRow, stored: int) -> LogRow:
        """Record that entries [0, stored) are here."""
        changed = self._db.execute(
            "UPDATE logs SET stored = ? WHERE log = ? AND stored = ?", (stored, row.log, row.stored)
        ).rowcount
        if changed != 1:
            raise LostSwapError(f"{row.origin}: another process stored entries")
        return replace(row, stored=stored)

    def set_custody(self, row: LogRow, statement: int) -> LogRow:
        """Record the newest custody statement."""
        self._db.execute("UPDATE logs SET custody = ? WHERE log = ?", (statement, row.log))
        return replace(row, custody=statement)

    def add_entries(self, log: int, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Store (index, leaf, body); an entry that is there already is never overwritten: IntegrityError."""
        self._db.executemany(
            "INSERT INTO entries (id, leaf, body) VALUES (?, ?, ?)",
            [(entry_id(log, index), leaf, body) for index, leaf, body in rows],
        )

    def set_ranges(self, log: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Record what is stored beyond a hole, as [first, end)."""
        self._db.execute("DELETE FROM ranges WHERE log = ?", (log,))
        self._db.executemany(
            "INSERT INTO ranges (log, first, last) VALUES (?, ?, ?)", [(log, first, end - 1) for first, end in ranges]
        )

    def add_finding(self, log: int, index: int, statement: int) -> None:
        """Record which statement holds the finding about an entry."""
        self._db.execute("INSERT INTO findings (log, idx, statement) VALUES (?, ?, ?)", (log, index, statement))

    def put_chain(self, row: ChainRow) -> ChainRow:
        """Record a micro-chain's head; a chain numbered 0 is a new one and gets its number."""
        if row.chain:
            self._db.execute(
                "UPDATE chains SET next_seq = ?, last = ?, broken = ? WHERE chain = ?",
                (row.next_seq, row.last, row.broken, row.chain),
            )
            return row
        cursor = self._db.execute(
            "INSERT INTO chains (log, name, next_seq, last, broken) VALUES (?, ?, ?, ?, ?)",
            (row.log, row.name, row.next_seq, row.last, row.broken),
        )
        return replace(row, chain=cursor.lastrowid or 0)

    def add_positions(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Record (chain, seq, index, wall ms); where a seq is taken, the first entry keeps it."""
        self._db.executemany(
            "INSERT INTO positions (chain, seq, idx, wall_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
        )

    # -- copies and rollbacks -----------------------------------------------------------------------------------------

    def add_fork(self, log: int, at_ms: int, size: int, root: bytes, evidence: bytes, message: bytes) -> bool:
        """Keep the evidence of a fork; False where that head is kept already, or a thousand others of the log are."""
        (kept,) = self._db.execute("SELECT count(*) FROM forks WHERE log = ?", (log,)).fetchone()
        if kept >= MAX_FORKS:
            return False
        done = self._db.execute(
            "INSERT INTO forks (at_ms, log, size, root, evidence, message) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (at_ms, log, size, root, evidence, message),
        )
        return done.rowcount == 1

    def put_succession(self, row: SuccessionRow) -> None:
        """Record a succession; one numbered 0 is new."""
        if row.id:
            self._db.execute(
                "UPDATE successions SET state = ?, statement = ? WHERE id = ?", (row.state, row.statement, row.id)
            )
            return
        self._db.execute(
            "INSERT INTO successions (at_ms, log, origin, vkey, note, state, statement) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.at_ms, row.log, row.origin, row.vkey, row.note, row.state, row.statement),
        )

    def checkpoint_file(self) -> None:
        """Bring everything from the write-ahead log into the file itself, and leave no other file beside it."""
        self._db.execute("PRAGMA journal_mode = DELETE")

    def halt(self, at_ms: int, gateway: str, shown: bytes) -> None:
        """Record what shows that this ledger must not be signed on."""
        self._db.execute("INSERT INTO halted (at_ms, gateway, shown) VALUES (?, ?, ?)", (at_ms, gateway, shown))

    def add_loss(self, log: int, statement: int, first: int, end: int) -> None:
        """Record which statement states the loss of [first, end)."""
        row = (statement, log, first, end - 1)
        self._db.execute("INSERT INTO losses (statement, log, first, last) VALUES (?, ?, ?, ?)", row)

    def add_carried(self, rows: Iterable[CarriedRow]) -> None:
        """Record what entries carry over."""
        self._db.executemany(
            "INSERT INTO carried (log, idx, origin, at, chain, seq, wall_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(row.log, row.idx, row.origin, row.at, row.chain, row.seq, row.wall_ms) for row in rows],
        )

    # -- what is not proven -------------------------------------------------------------------------------------------

    def add_refusal(self, refusal: Refusal) -> None:
        """Keep a refusal; the oldest go beyond 10,000 rows or 16 MiB of messages."""
        if self._refused is None:
            (self._refused,) = self._db.execute("SELECT coalesce(sum(length(message)), 0) FROM refusals").fetchone()
        cursor = self._db.execute(
            "INSERT INTO refusals (at_ms, gateway, topic, status, reason, message) VALUES (?, ?, ?, ?, ?, ?)",
            (refusal.at_ms, refusal.gateway, refusal.topic, refusal.status, refusal.reason, refusal.message),
        )
        total = (self._refused or 0) + len(refusal.message)
        total -= self._drop_refusals("id <= ?", (cursor.lastrowid or 0) - MAX_REFUSALS)
        while total > MAX_REFUSAL_BYTES:
            total -= self._drop_refusals("id IN (SELECT id FROM refusals ORDER BY id LIMIT ?)", 64)
        self._refused = total

    def _drop_refusals(self, which: str, argument: int) -> int:
        query = f"DELETE FROM refusals WHERE {which} RETURNING length(message)"  # noqa: S608
        return sum(length for (length,) in self._db.execute(query, (argument,)).fetchall())

    def set_presence(self, gateway: str, at_ms: int, status: bytes | None, health: bytes | None) -> None:
        """Keep what a gateway said of itself; what is None stays as it was."""
        self._db.execute(
            "INSERT INTO presence (gateway, at_ms, status, health) VALUES (?, ?, ?, ?) ON CONFLICT (gateway) DO UPDATE"
            " SET at_ms = excluded.at_ms, status = coalesce(excluded.status, status),"
            " health = coalesce(excluded.health, health)",
            (gateway, at_ms, status, health),
        )


def _schema_of(version: int) -> list[str]:
    """The statements that make version `version` out of the one before."""
    text = files("collector").joinpath("schema.sql").read_text("utf-8")
    part = text.split(f"\n-- schema {version}:")[1].split("\n-- schema ")[0]
    lines = (line.partition("--")[0] for line in part.splitlines()[1:])
    return [each for each in "\n".join(lines).split(";") if each.strip()]


def connect(path: Path) -> sqlite3.Connection:
    """The file as the store opens it: WAL, each commit durable."""
    # check_same_thread: the service opens the store in one thread and hands it to the ingest thread
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
