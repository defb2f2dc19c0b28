"""Sealing at the gateway: linked, hashed, in the tree, signed, committed FULL; against plain SQLite.

Readings an entry: 20 (one signal, as a 1 Hz series of 20 s would be; values only, no raw bytes). The plain side inserts
the very leaves and bodies that the gateway sealed, into a table of the same shape, in the same transactions, with the
same settings of the database, on the same file system.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.scratch import scratch
from gateway.draft import Draft, Instant
from gateway.reader import Reader
from gateway.schema import connect
from gateway.store import Store
from vitaledger import vitals
from vitaledger.content import Context, Series, Values
from vitaledger.entry import Kind
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import Category, Check, Provenance, Use

READINGS = 20
SLICES = 20  # turns a run
WORN_IN = 10_000  # entries before the measured ones: the WAL has its size then, as in a store that has been at work


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians with their range; rates in readings a second."""

    entries_a_commit: int
    sealed: float
    plain: float
    ratio: float
    ratio_range: tuple[float, float]


def drafts(count: int) -> list[Draft]:
    """Entries of 20 readings of one device."""
    times = tuple(n * 1_000_000 for n in range(READINGS))
    made = []
    for n in range(count):
        series = Series(
            "spo2", 150456, vitals.PERCENT, Category.MEASURED, 0, 0,
            tuple(94 + (n + k) % 5 for k in range(READINGS)), (), (),
        )  # fmt: skip
        values = Values(
            "nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, Context(None, None, None),
            (times,), (series,), None,
        )  # fmt: skip
        began = Instant(n * 20_000_000, 1_700_000_000_000 + n * 20_000, 3, bytes(16))
        made.append(Draft(Kind.READINGS, "nonin:port:bed-1", began, values=values))
    return made


def _batches(count: int, size: int) -> list[range]:
    return [range(at, min(at + size, count)) for at in range(0, count, size)]


@dataclass(slots=True)
class Sides:
    """Both stores, open, and the seconds that each has taken."""

    store: Store
    reader: Reader
    plain: sqlite3.Connection
    sealed_s: float = 0.0
    plain_s: float = 0.0

    def work(self, drafts: list[Draft], entries_a_commit: int) -> None:
        """Let one side and then the other take these entries."""
        first, clock = self.store.size, time.perf_counter
        began = clock()
        for batch in _batches(len(drafts), entries_a_commit):
            self.store.commit(drafts[batch.start : batch.stop])
        self.sealed_s += clock() - began
        rows = [(first + n, *pair) for n, pair in enumerate(self.reader.entries(first, self.store.size))]
        began = clock()
        for batch in _batches(len(rows), entries_a_commit):
            self.plain.execute("BEGIN IMMEDIATE")
            self.plain.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows[batch.start : batch.stop])
            self.plain.execute("COMMIT")
        self.plain_s += clock() - began


@contextmanager
def sides() -> Iterator[Sides]:
    """Both, empty, with the gateway's own settings: pages, WAL, FULL and when the WAL is carried over."""
    signer = Ed25519Signer("bench.example/gateway/b1", os.urandom(32))
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        folder = Path(name)
        (folder / "plain").mkdir()
        with (
            Store.open(folder / "sealed", signer, random=os.urandom) as store,
            Reader.open(folder / "sealed") as reader,
            closing(connect(folder / "plain")) as plain,
        ):
            plain.execute("CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB)")
            yield Sides(store, reader, plain)


def measure(entries_a_commit: int, *, runs: int, entries: int, worn_in: int = WORN_IN) -> Figure:
    """Let both sides take turns, a slice of the entries each, so that what else the machine does meets both."""
    before, work = drafts(worn_in), drafts(entries)
    slices = _batches(entries, max(entries // SLICES, entries_a_commit))
    sealed, plain = [], []
    for _ in range(runs):
        with sides() as both:
            both.work(before, 100)
            both.sealed_s = both.plain_s = 0.0
            for part in slices:
                both.work(work[part.start : part.stop], entries_a_commit)
        sealed.append(entries * READINGS / both.sealed_s)
        plain.append(entries * READINGS / both.plain_s)
    ratios = [a / b for a, b in zip(sealed, plain, strict=True)]
    return Figure(entries_a_commit, median(sealed), median(plain), median(ratios), (min(ratios), max(ratios)))
