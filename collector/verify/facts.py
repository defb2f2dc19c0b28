"""What the ledger's statements say, kept aside while the logs are checked: on disk, because there may be many."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vitaledger.statement import Loss, Revocation, Succession

_SCHEMA = """
CREATE TABLE heads (origin TEXT, size INTEGER, anchor INTEGER, root BLOB, idx INTEGER);
CREATE TABLE findings (origin TEXT, at INTEGER, idx INTEGER, reason TEXT, PRIMARY KEY (origin, at)) WITHOUT ROWID;
CREATE TABLE enrolled (origin TEXT PRIMARY KEY, gateway TEXT, vkey TEXT, idx INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The root that a statement gives for a size of a gateway's log: an anchor's is its gateway's word."""

    size: int
    is_anchor: bool
    root: bytes
    statement: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Which key the ledger gives an origin; `gateway` is None where a succession does not say."""

    gateway: str | None
    vkey: str
    statement: int


class Facts:
    """A temporary database of its own, gone when it is closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self.successions: dict[int, Succession] = {}  # few: each is an alarm
        self.ledgers: list[Succession] = []  # how this ledger goes on in the place of others; its own first
        self.losses: dict[int, Loss] = {}  # few: an operator states each
        self._db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add_head(self, origin: str, head: Head) -> None:
        """An anchor or a custody statement."""
        row = (origin, head.size, head.is_anchor, head.root, head.statement)
        self._db.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", row)

    def add_finding(self, origin: str, at: int, statement: int, reason: str) -> bool:
        """A finding about entry `at`; False where there was one already."""
        row = (origin, at, statement, reason)
        return self._db.execute("INSERT OR IGNORE INTO findings VALUES (?, ?, ?, ?)", row).rowcount == 1

    def enrol(self, origin: str, enrolled: Enrolled) -> bool:
        """An enrolment; False where the origin has a key already."""
        row = (origin, enrolled.gateway, enrolled.vkey, enrolled.statement)
        return self._db.execute("INSERT OR IGNORE INTO enrolled VALUES (?, ?, ?, ?)", row).rowcount == 1

    def add_succession(self, statement: int, said: Succession) -> None:
        """A succession statement."""
        self.successions[statement] = said

    def add_loss(self, statement: int, said: Loss | Revocation) -> None:
        """A loss statement."""
        if isinstance(said, Loss):
            self.losses[statement] = said

    def index(self) -> None:
        """To be called once, when all statements are in."""
        self._db.execute("CREATE INDEX heads_by_size ON heads (origin, size)")

    def enrolled(self, origin: str) -> Enrolled | None:
        """The key of an origin."""
        row = self._db.execute("SELECT gateway, vkey, idx FROM enrolled WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Enrolled(*row)

    def origins(self) -> Iterator[str]:
        """Every origin that was enrolled."""
        for (origin,) in self._db.execute("SELECT origin FROM enrolled ORDER BY idx"):
            yield origin

    def heads(self, origin: str, most: int) -> Iterator[Head]:
        """The heads of an origin up to a size, ascending; of one size the anchor first."""
        query = "SELECT size, anchor, root, idx FROM heads WHERE origin = ? AND size <= ? ORDER BY size, anchor DESC"
        for size, anchor, root, idx in self._db.execute(query, (origin, most)):
            yield Head(size, bool(anchor), root, idx)

    def newest(self, origin: str, *, anchor: bool) -> Head | None:
        """The newest anchor, or the newest custody, of an origin."""
        query = "SELECT size, anchor, root, idx FROM heads WHERE origin = ? AND anchor = ? ORDER BY idx DESC LIMIT 1"
        row = self._db.execute(query, (origin, anchor)).fetchone()
        return None if row is None else Head(row[0], bool(row[1]), row[2], row[3])

    def count_anchors(self, origin: str) -> int:
        """How many anchors an origin has."""
        query = "SELECT count(*) FROM heads WHERE origin = ? AND anchor = 1"
        return int(self._db.execute(query, (origin,)).fetchone()[0])

    def findings_between(self, origin: str, first: int, end: int) -> dict[int, tuple[int, str]]:
        """By entry of [first, end): the statement and the reason of the finding about it."""
        query = "SELECT at, idx, reason FROM findings WHERE origin = ? AND at >= ? AND at < ?"
        return {at: (idx, reason) for at, idx, reason in self._db.execute(query, (origin, first, end))}

    def findings(self, origin: str) -> Iterator[tuple[int, int]]:
        """(entry's index, statement) of every finding about an origin."""
        yield from self._db.execute("SELECT at, idx FROM findings WHERE origin = ? ORDER BY at", (origin,))
