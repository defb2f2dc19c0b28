"""A live gateway: what eight devices cost it in CPU, memory and bytes written.

The real programs, as an engineer would start them, on this machine: devices on pseudo-terminals, `vitaledger-gateway
run` with its defaults (an anchor every 10 s, one commit a second, raw bytes kept), the embedded broker, and
`vitaledger-collector run`, which answers with receipts. Counted is the gateway's process alone, and what is counted is
the kernel's: nanoseconds on a CPU, resident pages, and pages of 4 KiB that were made to be written to the disk.

CPU is measured in windows, one after another, scaled to an hour. Bytes written are those of all windows, in which the
write-ahead log grows, and those that it takes to bring that log into the database: so every entry is counted as often
as it is written. A gateway brings it in once in a quarter of an hour; here this program does so, when the windows begin
and when they end, and counts what it wrote.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from bench.ward import MIX, Spent, Ward, rss_mb, spent
from gateway.config import MqttConfig
from gateway.reader import Reader
from gateway.schema import DATABASE
from vitaledger.entry import PartType, parse_body
from vitaledger.errors import MisuseError
from vitaledger.marks import Direction
from vitaledger.raw import Chunk, decode_raw

WINDOW_S = 24
LEAST_S = 6  # every device has sealed some entries by then
SETTLE_S = 15  # chains have begun, identities are told, what is loaded once is loaded
_DAY_S, _HOUR_S = 86_400, 3_600


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    spent: Spent
    rss_mb: float
    entries: int
    rows: int  # of the journal, so far: one for each commit in which a device had sent something


@contextmanager
def running(settle_s: float, anchor_s: float) -> Iterator[Ward]:
    """A ward at work, `settle_s` after its devices were switched on; all of it is stopped behind the block."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        ward = Ward(Path(name), seed=7, anchor_s=anchor_s)
        try:
            ward.start()
            state = ward.gateway_state
            ward.await_condition("what the devices send is sealed", 60, lambda: size_of(state) > 2 * len(MIX))
            time.sleep(settle_s)
            yield ward
        finally:
            ward.stop_all()


def measure(effort: Effort) -> Iterator[Figure]:
    """CPU and memory in windows of a run, bytes written over all of it."""
    window_s, anchor_s = max(effort.of(WINDOW_S), LEAST_S), MqttConfig().anchor_every_s
    with running(effort.of(SETTLE_S), anchor_s) as ward:
        _bring_in(ward.gateway_state)
        moments = [_moment(ward)]
        for _ in range(effort.runs):
            time.sleep(window_s)
            ward.check()
            moments.append(_moment(ward))
        first, last = moments[0], moments[-1]
        received = _received(ward.gateway_state, first.entries, last.entries)
        brought = _bring_in(ward.gateway_state)
    seconds = last.at - first.at
    written = (last.spent.written - first.spent.written + brought) / seconds
    at = (
        f"{len(ward.devices)} devices, {received / seconds:,.0f} bytes/s received; "
        f"{(last.entries - first.entries) / seconds:.1f} entries/s, "
        f"{(last.rows - first.rows) / seconds:.2f} commits/s, anchor every {anchor_s:.0f} s, windows of {window_s} s"
    )
    hour = [
        (after.spent.cpu_s - before.spent.cpu_s) * _HOUR_S / (after.at - before.at)
        for before, after in pairwise(moments)
    ]
    yield of_runs("CPU of the gateway, an hour", hour, "s", Goal(most=36), at)
    yield of_runs(
        "… of that, waking up and reading", list(_reading(effort)), "s", None, "the intake and a bare thread a line"
    )
    yield of_runs("resident memory", [each.rss_mb for each in moments[1:]], "MB", Goal(most=64), at)
    ratio, gigabytes = written * seconds / received, written * _DAY_S / 1e9
    yield of_runs("written to disk, for each byte received", [ratio], "bytes", Goal(most=8), at)
    yield of_runs("written to disk, a day", [gigabytes], "GB", Goal(most=1), at)


def _reading(effort: Effort) -> Iterator[float]:
    """CPU seconds an hour of a process that reads such lines and does nothing else (`bench.bare`), by windows."""
    window_s = max(effort.of(WINDOW_S), LEAST_S)
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        ward = Ward(Path(name), seed=7)
        try:
            ward.start_bare()
            ward.await_condition("the devices are heard", 60, ward.heard)
            time.sleep(effort.of(SETTLE_S))
            for _ in range(effort.runs):
                before, began = spent(ward.pid("bare")), time.monotonic()
                time.sleep(window_s)
                ward.check()
                seconds = spent(ward.pid("bare")).cpu_s - before.cpu_s
                yield seconds * _HOUR_S / (time.monotonic() - began)
        finally:
            ward.stop_all()


def _moment(ward: Ward) -> _Moment:
    pid = ward.pid("gateway")
    with Reader.open(ward.gateway_state) as log:
        seal = log.seal()
        return _Moment(time.monotonic(), spent(pid), rss_mb(pid), log.size, seal.journal_end if seal else 0)


def _bring_in(state: Path) -> int:
    """Bring the write-ahead log into the database; answers the bytes that this wrote."""
    before = spent(os.getpid()).written
    with closing(sqlite3.connect(state / DATABASE, timeout=5)) as db:
        if db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0]:
            raise MisuseError(f"{state}: another program is bringing the log into the database")
    return spent(os.getpid()).written - before


def size_of(state: Path) -> int:
    """How many entries a gateway's log has; 0 as long as the gateway is still making its store."""
    try:
        with Reader.open(state) as log:
            return log.size
    except MisuseError:
        return 0


def _received(state: Path, first: int, end: int) -> int:
    """The bytes of the devices in some entries."""
    with Reader.open(state) as log:
        return sum(len(chunk.data) for _, body in log.entries(first, end) for chunk in raw_of(body))


def raw_of(body: bytes | None) -> list[Chunk]:
    """What the device had sent, out of an entry's body."""
    return [
        chunk
        for part in parse_body(body or b"\x80")
        if part.type == PartType.RAW
        for chunk in decode_raw(part.content)
        if chunk.direction is Direction.RECEIVED
    ]
