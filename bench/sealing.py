"""Sealing at the gateway: linked, hashed, in the tree, signed, committed FULL; against plain SQLite.

Readings an entry: 20 (one signal, as a 1 Hz series of 20 s would be; values only, no raw bytes). The plain side writes
the very bytes that the gateway's store wrote, into tables of the same shape, in the same transactions, with the same
settings of the database, on the same file system: leaves and bodies, the tiles that became full, the newest signed
head. So what is measured is linking, hashing, signing and checking, over storing. The second ratio is against a plain
side that writes leaves and bodies alone. The third is what this language allows: no object is made and nothing is
checked or read back; cbor2, hashlib and cryptography make the same bytes out of lists that stand ready, and the plain
side's code writes them.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from gateway.draft import Draft, Instant
from gateway.reader import Reader
from gateway.schema import connect
from gateway.store import Store
from vitaledger import vitals
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.content import NO_CONTEXT, Series, Values
from vitaledger.entry import Kind
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import Category, Check, Provenance, Use
from vitaledger.merkle import CompactRange

Written = tuple[list[tuple[int, bytes, bytes | None]], list[tuple[int, int, bytes | None]], bytes]  # of one commit
READINGS = 20
SLICES = 20  # turns a run
# entries a commit, entries, goals: the ratio and readings/s
_SIZES = ((1, 1000, 0.7, None), (10, 5000, 0.5, None), (100, 20_000, 0.25, 500_000))
WORN_IN = 10_000  # entries before the measured ones: the WAL has its size then, as in a store that has been at work


def drafts(first: int, count: int) -> list[Draft]:
    """`count` entries of 20 readings of one device, from the first-th on."""
    times = tuple(n * 1_000_000 for n in range(READINGS))
    made = []
    for n in range(first, first + count):
        series = Series(
            "spo2", 150456, vitals.PERCENT, Category.MEASURED, 0, 0,
            tuple(94 + (n + k) % 5 for k in range(READINGS)), (), (),
        )  # fmt: skip
        values = Values(
            "nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, NO_CONTEXT,
            (times,), (series,), None,
        )  # fmt: skip
        began = Instant(n * 20_000_000, 1_700_000_000_000 + n * 20_000, 3, bytes(16))
        made.append(Draft(Kind.READINGS, "nonin:port:bed-1", began, values=values))
    return made


def _batches(count: int, size: int) -> list[range]:
    return [range(at, min(at + size, count)) for at in range(0, count, size)]


class Plain:
    """Tables of the same shape, filled without looking at what is in the rows."""

    def __init__(self, folder: Path, *, whole: bool) -> None:
        folder.mkdir()
        self._db = connect(folder)
        self._whole = whole
        self.seconds = 0.0
        self._db.execute("CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB)")
        self._db.execute(
            "CREATE TABLE tiles (level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL, "
            "PRIMARY KEY (level, n)) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), checkpoint BLOB, seal BLOB)")
        self._db.execute("INSERT INTO head VALUES (1, x'', zeroblob(300))")

    def work(self, commits: Sequence[Written]) -> None:
        """Write what the store wrote, a transaction for each of its own."""
        ready = self._prepared(commits)
        began = time.perf_counter()
        for commit in ready:
            rows, tiles, head = self._made(commit)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
            if self._whole:
                if tiles:
                    self._db.executemany("INSERT INTO tiles VALUES (?, ?, ?)", tiles)
                self._db.execute("UPDATE head SET checkpoint = ? WHERE id = 1", (head,))
            self._db.execute("COMMIT")
        self.seconds += time.perf_counter() - began

    def _prepared(self, commits: Sequence[Written]) -> Sequence[Written]:
        return commits

    def _made(self, commit: Written) -> Written:
        return commit

    def close(self) -> None:
        """Close the database."""
        self._db.close()


class Least(Plain):
    """Makes the same bytes before it writes them, with nothing but the calls into C that their format asks for."""

    def __init__(self, folder: Path, signer: Ed25519Signer) -> None:
        super().__init__(folder, whole=True)
        self._signer = signer
        self._range = CompactRange()
        self._prev = b""
        self._items: Iterator[list[tuple[list[Any], list[list[Any]]]]] = iter(())

    def _prepared(self, commits: Sequence[Written]) -> Sequence[Written]:
        items = [[_items_of(leaf, body or b"") for _, leaf, body in rows] for rows, _, _ in commits]
        self._prev = items[0][0][0][4]
        self._items = iter(items)
        return commits

    def _made(self, commit: Written) -> Written:
        made = []
        for (index, _, _), (leaf, parts) in zip(commit[0], next(self._items), strict=True):
            leaf[4] = self._prev
            for part, committed in zip(parts, leaf[6], strict=True):
                os.urandom(16)  # another salt than this would make other bytes
                part[2] = cbor2.dumps(part[2])
                committed[1] = sha256(part[1] + part[2]).digest()
            row = (index, cbor2.dumps(leaf), cbor2.dumps(parts))
            self._prev = sha256(b"\x00" + row[1]).digest()
            self._range.append(self._prev)
            made.append(row)
        head = sign_checkpoint(Checkpoint(self._signer.name, self._range.size, self._range.root()), self._signer)
        if head != commit[2]:
            raise SystemExit("sealing: the entries made without checks are not those of the store")
        return made, commit[1], head


def _items_of(leaf: bytes, body: bytes) -> tuple[list[Any], list[list[Any]]]:
    parts = [[kind, salt, cbor2.loads(content)] for kind, salt, content in cbor2.loads(body)]
    return cbor2.loads(leaf), parts


@dataclass(slots=True)
class Sides:
    """The stores, open, and the seconds that the sealing one has taken."""

    store: Store
    reader: Reader
    plain: Plain
    entries_alone: Plain
    least: Least
    seconds: float = 0.0

    def work(self, first: int, count: int, entries_a_commit: int) -> None:
        """Let one side and then the others take the next entries, in turn."""
        fresh = drafts(first, count)  # as in a gateway: made a moment ago
        batches = [fresh[part.start : part.stop] for part in _batches(count, entries_a_commit)]
        began = time.perf_counter()
        done = [self.store.commit(batch) for batch in batches]
        self.seconds += time.perf_counter() - began
        commits = [self._written(made.first, made.size, made.checkpoint or b"") for made in done]
        for plain in (self.plain, self.entries_alone, self.least):
            plain.work(commits)

    def _written(self, first: int, end: int, head: bytes) -> Written:
        rows = [(first + n, *pair) for n, pair in enumerate(self.reader.entries(first, end))]
        tiles = [
            (level, n, self.reader.full_tile(level, n))
            for level in range(3)
            for n in range(first >> 8 * (level + 1), end >> 8 * (level + 1))
        ]
        return rows, tiles, head

    def rest(self) -> None:
        """Forget the seconds that were taken so far."""
        self.seconds = self.plain.seconds = self.entries_alone.seconds = self.least.seconds = 0.0


@contextmanager
def sides() -> Iterator[Sides]:
    """All empty, with the gateway's own settings: pages, WAL, FULL and when the WAL is carried over."""
    signer = Ed25519Signer("bench.example/gateway/b1", os.urandom(32))
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        folder = Path(name)
        with (
            Store.open(folder / "sealed", signer, random=os.urandom) as store,
            Reader.open(folder / "sealed") as reader,
            closing(Plain(folder / "plain", whole=True)) as plain,
            closing(Plain(folder / "entries", whole=False)) as entries_alone,
            closing(Least(folder / "least", signer)) as least,
        ):
            yield Sides(store, reader, plain, entries_alone, least)


def measure(effort: Effort) -> Iterator[Figure]:
    """Rates and ratios at 1, 10 and 100 entries a commit, all on one core: what the kernel does for a commit too."""
    with one_core():
        for entries_a_commit, entries, least, rate in _SIZES:
            goal = Goal(rate) if rate else None
            yield from _measured(entries_a_commit, effort.runs, effort.of(entries), Goal(least), goal)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on the first of its cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _measured(entries_a_commit: int, runs: int, entries: int, goal: Goal, rate: Goal | None) -> Iterator[Figure]:
    """Let the sides take turns, a slice of the entries each, so that what else the machine does meets all."""
    size = max(entries // SLICES, entries_a_commit)
    sealed, plain, ratios, alone, least = [], [], [], [], []
    for _ in range(runs):
        with sides() as every:
            for part in _batches(WORN_IN, 500):
                every.work(part.start, len(part), 100)
            every.rest()
            for part in _batches(entries, size):
                every.work(part.start, len(part), entries_a_commit)
        sealed.append(entries * READINGS / every.seconds)
        plain.append(entries * READINGS / every.plain.seconds)
        ratios.append(every.plain.seconds / every.seconds)
        alone.append(every.entries_alone.seconds / every.seconds)
        least.append(every.plain.seconds / every.least.seconds)
    at = f"{READINGS} readings an entry, {entries_a_commit} entries a commit, one core"
    yield of_runs("sealed and committed", sealed, "readings/s", rate, at)
    yield of_runs("plain SQLite, the same bytes", plain, "readings/s", None, at)
    yield of_runs("sealing over plain SQLite", ratios, "", goal, at)
    yield of_runs("sealing over plain SQLite, its entries alone", alone, "", None, at)
    yield of_runs("the same bytes made unchecked, over plain SQLite", least, "", None, at)
