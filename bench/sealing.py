"""Sealing at the gateway: linked, hashed, in the tree, signed, committed FULL; against plain SQLite.


Readings an entry: 20 (one signal, as a 1 Hz series of 20 s would be; values only, no raw bytes). The plain side inserts
the very leaves and bodies that the gateway sealed, into a table of the same shape, in the same transactions, on the
same file system.
"""

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.scratch import scratch
from gateway.draft import Draft, Instant
from gateway.schema import PAGE_SIZE
from gateway.store import Store
from vitaledger import vitals
from vitaledger.content import Context, Series, Values
from vitaledger.entry import Kind
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import Category, Check, Provenance, Use

READINGS = 20


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


def _seal(folder: Path, work: list[Draft], size: int) -> tuple[float, list[tuple[int, bytes, bytes]]]:
    signer = Ed25519Signer("bench.example/gateway/b1", os.urandom(32))
    store = Store.open(folder / "sealed", signer, random=os.urandom)
    try:
        began = time.perf_counter()
        for batch in _batches(len(work), size):
            store.commit(work[batch.start : batch.stop])
        took = time.perf_counter() - began
    finally:
        store.close()
    with closing(sqlite3.connect(folder / "sealed" / "log.db")) as db:
        return took, db.execute("SELECT idx, leaf, body FROM entries ORDER BY idx").fetchall()


def _plain(folder: Path, rows: list[tuple[int, bytes, bytes]], size: int) -> float:
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB)")
        began = time.perf_counter()
        for batch in _batches(len(rows), size):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows[batch.start : batch.stop])
            db.execute("COMMIT")
        return time.perf_counter() - began


def measure(entries_a_commit: int, *, runs: int, entries: int) -> Figure:
    """Run both sides after one another, `runs` times."""
    work = drafts(entries)
    sealed, plain = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
            took, rows = _seal(Path(name), work, entries_a_commit)
            sealed.append(entries * READINGS / took)
            plain.append(entries * READINGS / _plain(Path(name), rows, entries_a_commit))
    ratios = [a / b for a, b in zip(sealed, plain, strict=True)]
    return Figure(entries_a_commit, median(sealed), median(plain), median(ratios), (min(ratios), max(ratios)))
