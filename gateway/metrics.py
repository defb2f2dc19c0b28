"""What the gateway tells Prometheus, where the configuration has a [metrics] section: made at each scrape.

It listens on 127.0.0.1 unless told otherwise, without encryption or password: it says how much is recorded and how the
machine does, never a reading. Labels are the ports of the configuration. The server is prometheus-client's own.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.clock import Clock
from gateway.counts import BUCKETS_S, Counts
from gateway.reader import Reader
from vitaledger.entry import parse_leaf
from vitaledger.errors import MisuseError, VitaledgerError

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

_NAME = "vitaledger_gateway"


class Line(Protocol):
    """A line, as far as it is measured."""

    name: str

    @property
    def received(self) -> int:
        """Bytes that came."""

    @property
    def alive(self) -> bool:
        """Whether its thread lives."""


class Link(Protocol):
    """The uplink, as far as it is measured."""

    @property
    def connected(self) -> bool:
        """Whether the broker's connection stands."""

    @property
    def dropped(self) -> int:
        """Messages of the collector that found the queue full."""


class Waiting(Protocol):
    """The queue between lines and commit."""

    def waiting(self) -> int:
        """Drafts in it."""

    @property
    def known(self) -> int:
        """Device chains that this log has."""


class Watched(Protocol):
    """The watchdog, as far as it is measured."""

    restarted: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from."""

    version: str
    state: Path
    counts: Counts
    clock: Clock
    lines: Sequence[Line]
    link: Link
    chains: Waiting
    watchdog: Watched


class Metrics(Collector):
    """Serves from `start` to `stop`."""

    def __init__(self, sources: Sources) -> None:
        self._of = sources
        self._server: WSGIServer | None = None

    def start(self, host: str, port: int) -> int:
        """Begin to serve; the port.

        Raises:
            MisuseError: the port is taken.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise MisuseError(f"[metrics] {host}:{port}: cannot listen: {error.strerror}") from error
        return int(self._server.server_port)

    def stop(self) -> None:
        """Serve no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the names are made with the numbers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every number."""
        of, counts = self._of, self._of.counts
        info = GaugeMetricFamily(f"{_NAME}_info", "Which version this is.", labels=("version",))
        info.add_metric((of.version,), 1)
        yield info
        yield _counter("sealed_entries", "Entries that were sealed and committed.", counts.entries)
        yield _counter("readings", "Readings in them, absent values included.", counts.readings)
        yield _counter("wave_samples", "Wave samples in them.", counts.wave_samples)
        yield _counter("frame_errors", "Frame errors that they state.", counts.frame_errors)
        yield _counter("gaps", "Gaps that they state.", counts.gaps)
        yield _counter("dropped_bytes", "Bytes that came and were not kept, as gaps state them.", counts.dropped_bytes)
        yield _counter("incidents", "Incidents that they state.", counts.incidents)
        yield _counter("restarts", "Threads that the watchdog began again.", of.watchdog.restarted)
        yield _counter("dropped_answers", "Answers of the collector that found the queue full.", of.link.dropped)
        yield self._commits()
        yield from self._ports()
        yield _gauge("waiting_drafts", "Entries that wait for the next commit.", of.chains.waiting())
        yield _gauge("chains", "Micro-chains of devices.", of.chains.known)
        yield _gauge("broker_connected", "Whether the broker's connection stands.", int(of.link.connected))
        usage = shutil.disk_usage(of.state)
        yield _gauge("disk_free_bytes", "What is free on the disk of the log.", usage.free)
        yield _gauge("disk_total_bytes", "What that disk has.", usage.total)
        bound = of.clock.now().bound_ms
        if bound is not None:
            yield _gauge("clock_bound_seconds", "Error bound of our clock; absent without one.", bound / 1000)
        yield from self._log()

    def _commits(self) -> Metric:
        counts = self._of.counts
        found = HistogramMetricFamily(f"{_NAME}_commit_seconds", "A commit: sealing, writing, waiting for the disk.")
        below, buckets = 0, []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), list(counts.buckets), strict=True):
            below += count
            buckets.append((bound, float(below)))
        found.add_metric((), buckets, counts.commit_s)
        return found

    def _ports(self) -> Iterator[Metric]:
        received = CounterMetricFamily(f"{_NAME}_received_bytes", "Bytes that came over a line.", labels=("port",))
        alive = GaugeMetricFamily(f"{_NAME}_line_alive", "Whether a line's thread lives.", labels=("port",))
        for line in self._of.lines:
            received.add_metric((line.name,), line.received)
            alive.add_metric((line.name,), int(line.alive))
        yield received
        yield alive

    def _log(self) -> Iterator[Metric]:
        """The log and its receipts, read through a connection of this thread's own."""
        now_ms = time.time_ns() // 1_000_000
        try:
            with Reader.open(self._of.state) as reader, reader.snapshot():
                size, receipt = reader.size, reader.newest_receipt()
                custody = receipt.size if receipt else 0
                oldest = parse_leaf(reader.leaves(custody, custody + 1)[0]).clock.wall_ms if custody < size else None
        except VitaledgerError:
            return
        yield _gauge("log_entries", "Entries in the log.", size)
        yield _gauge("custody_entries", "Entries under the newest receipt.", custody)
        yield _gauge("backlog_entries", "Entries without a receipt.", size - custody)
        waits = 0 if oldest is None else max(0, now_ms - oldest)
        yield _gauge("backlog_age_seconds", "Age of the oldest entry without a receipt.", waits / 1000)
        if receipt is not None:
            yield _gauge("receipt_age_seconds", "Age of the newest receipt.", max(0, now_ms - receipt.at_ms) / 1000)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_NAME}_{name}", what, value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_NAME}_{name}", what, value)
