"""A day of one device leaves the collector: as evidence, and for the check in a reader's own browser.

24 hours of three signals at 1 Hz, 17,280 entries with 259,200 readings, out of a log of twice that size (`bench.day`).
*Handed over* is all that the collector does for Verify here: entries and tiles as they are stored, in pages, up to the
bytes that go to the browser. *Exported* is `vitaledger-collector export` without waves and raw bytes, from the store to
the zip, and *verified* `vitaledger verify` of that file, from its bytes on. Processor time, of one process.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import cbor2

from bench.day import ENTRIES_A_DAY, READINGS, Day, make_day
from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from collector import unchecked
from collector.exports import EVIDENCE, Made, make
from collector.exports.extract import Request
from collector.history import Device, Span, devices
from collector.reader import Reader
from collector.verified import VerifiedStore
from vitaledger import evidence, policy
from vitaledger.cli.verify import read_zip

T = TypeVar("T")
_HANDED_S = Goal(most=3.0)
_MOST_RUNS = 3


def measure(effort: Effort) -> Iterator[Figure]:
    """What a day costs the collector and whoever verifies it, and how large it is."""
    entries, runs = effort.of(ENTRIES_A_DAY), min(effort.runs, _MOST_RUNS)
    for full in (False,) if effort.short else (False, True):
        with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
            day = make_day(Path(name), entries, full=full)
            what = "values, waves and raw bytes" if full else "values"
            at = f"{READINGS} readings an entry, {entries} entries, {what} in the store"
            yield from _measured(day, entries, runs, at)


def _measured(day: Day, entries: int, runs: int, at: str) -> Iterator[Figure]:
    handed, exported, verified = [], [], []
    trusted = policy.parse(f"log {day.vkey}\nquorum none\n".encode())
    for _ in range(runs):
        with Reader.open(day.path) as reader, reader.snapshot():
            store = VerifiedStore(reader, day.vkey)
            device = devices(reader)[0]
            seconds, size = _timed(lambda: _handed(store, device, day))  # noqa: B023  called at once
            handed.append(seconds)
            seconds, made = _timed(lambda: _exported(store, device, day))  # noqa: B023
            exported.append(seconds)
        seconds, _ = _timed(lambda: evidence.verify(read_zip(day.path, made.data), trusted))  # noqa: B023
        verified.append(seconds)
    thousands = entries * READINGS / 1000
    yield of_runs("handed over for Verify here", handed, "s", _HANDED_S, at)
    yield Figure("handed over, for 1,000 readings", size / 1000 / thousands, "KB", 0, 0, 1, None, at)
    yield of_runs("evidence exported", exported, "s", None, at)
    yield of_runs("evidence verified", verified, "s", None, at)
    yield Figure("evidence, for 1,000 readings", len(made.data) / 1000 / thousands, "KB", 0, 0, 1, None, at)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def _handed(store: VerifiedStore, device: Device, day: Day) -> int:
    """The bytes that go to the browser."""
    answer = unchecked.overview(store, device, day.from_us, day.to_us)
    size = len(answer)
    for origin, _, _, _, _, runs, *_ in cbor2.loads(answer)[2]:
        for first, last in runs:
            following: int | None = first
            while following is not None:
                page = unchecked.page(store, device, origin, store.reader.anchors(1)[-1][0], following, last)
                following = cbor2.loads(page)[3]
                size += len(page)
    return size


def _exported(store: VerifiedStore, device: Device, day: Day) -> Made:
    request = Request(day.to_us, "", "bench")
    return make(store, device, Span(day.from_us, day.to_us - 1), request, EVIDENCE)
