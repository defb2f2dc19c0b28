"""What the collector tells Prometheus at /metrics: made at each scrape from what is there anyway.

Labels are bounded: `origin` takes the enrolled logs, the oldest `MAX_ORIGINS` of them; nothing that a message says
becomes a label. What a gateway says of itself (online, backlog, clock, disk) is its claim, as of when it was heard.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector import clock
from collector.inbox import Inbox
from collector.ingest import Counts
from collector.reader import Reader
from collector.rows import LogRow
from vitaledger import __version__, statement
from vitaledger.errors import MalformedError
from vitaledger.messages import HEALTH, STATUS, Health
from vitaledger.succession import generation

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_ORIGINS = 1000
_NAME = "vitaledger_collector"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Link(Protocol):
    """The line to the broker, as far as it is measured."""

    @property
    def connected(self) -> bool:
        """Whether it stands."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from. The reader is used by the thread that scrapes only."""

    reader: Reader
    counts: Counts
    inbox: Inbox
    link: Link


class Metrics(Collector):
    """`observe_step` is called by the worker, `page` by the web."""

    def __init__(self, sources: Sources) -> None:
        self._of = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._steps = Histogram(
            f"{_NAME}_step_seconds",
            "A ledger step: from its messages to the end of its commit.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)

    def observe_step(self, seconds: float) -> None:
        """A step has come to its end."""
        self._steps.observe(seconds)

    def page(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the names are made with the numbers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every number but the histogram."""
        yield from self._process()
        reader = self._of.reader
        with reader.snapshot():
            yield _gauge("ledger_size", "Statements in the provider ledger.", reader.ledger_head().size)
            number = generation(reader.ledger_vkey().partition("+")[0])[1]
            yield _gauge("ledger_number", "Which ledger of this provider: each above 1 followed a restore.", number)
            logs = reader.logs()
            yield _gauge("logs", "Gateway logs that are enrolled.", len(logs))
            yield from self._logs(logs[:MAX_ORIGINS])

    def _process(self) -> Iterator[Metric]:
        counts, inbox = self._of.counts, self._of.inbox
        waiting, waiting_bytes = inbox.waiting()
        info = GaugeMetricFamily(f"{_NAME}_info", "Which version this is.", labels=("version",))
        info.add_metric((__version__,), 1)
        yield info
        yield _counter("received_messages", "Messages of gateways that came.", inbox.received)
        yield _counter("received_bytes", "Their payloads, in bytes.", inbox.received_bytes)
        yield _counter(
            "dropped_messages", "Messages of gateways with too many waiting; they come again.", inbox.dropped
        )
        yield _counter("processed_messages", "Messages that were part of a step.", counts.messages)
        yield _counter("stored_entries", "Entries that were stored.", counts.stored)
        yield _counter("duplicate_entries", "Entries that came and were here already.", counts.duplicates)
        yield _counter("refusals", "Messages that were refused.", counts.refused)
        yield _counter("forks", "Requests with a signed head that contradicts another one.", counts.forks)
        yield _counter("lost_swaps", "Steps repeated because another process wrote the ledger.", counts.lost_swaps)
        yield _gauge("waiting_messages", "Messages that wait for a step.", waiting)
        yield _gauge("waiting_bytes", "Their payloads, in bytes.", waiting_bytes)
        yield _gauge("broker_connected", "Whether the broker's connection stands.", int(self._of.link.connected))
        bound = clock.bound_ms()
        if bound is not None:
            yield _gauge("clock_bound_seconds", "Error bound of our clock; absent without one.", bound / 1000)

    def _logs(self, logs: list[LogRow]) -> Iterator[Metric]:
        sizes = {
            "witnessed": _labelled("witnessed_entries", "Size of the newest anchor."),
            "stored": _labelled("stored_prefix_entries", "Entries stored without a hole from the first."),
            "custody": _labelled("custody_entries", "Entries that the newest custody statement covers."),
        }
        claims = {
            "online": _labelled("gateway_online", "Whether the gateway says that it is there."),
            "heard": _labelled("gateway_heard_seconds", "Seconds since it was last heard."),
            "backlog": _labelled("gateway_backlog_entries", "Entries that it has no receipt for."),
            "oldest": _labelled("gateway_receipt_age_seconds", "Age of its oldest entry without a receipt."),
            "clock": _labelled("gateway_clock_bound_seconds", "Error bound of its clock; absent without one."),
            "disk": _labelled("gateway_disk_free_bytes", "What is free on its disk."),
            "commit": _labelled("gateway_commit_p99_seconds", "The 99th percentile of its commits."),
        }
        now_ms = time.time_ns() // 1_000_000
        presence = {each.gateway: each for each in self._of.reader.presence()}
        newest = {row.gateway: row.origin for row in logs}
        for row in logs:
            label = (row.origin,)
            sizes["witnessed"].add_metric(label, row.witnessed)
            sizes["stored"].add_metric(label, row.stored)
            sizes["custody"].add_metric(label, self._custody(row))
            said = presence.get(row.gateway)
            if said is None or newest[row.gateway] != row.origin:
                continue
            claims["heard"].add_metric(label, max(0, now_ms - said.at_ms) / 1000)
            try:
                if said.status is not None:
                    claims["online"].add_metric(label, STATUS.decode(said.status, "status").online)
                if said.health is not None:
                    _claim(claims, label, HEALTH.decode(said.health, "health"), now_ms)
            except MalformedError:
                continue
        yield from (*sizes.values(), *claims.values())

    def _custody(self, row: LogRow) -> int:
        leaf = None if row.custody is None else self._of.reader.statement(row.custody)
        try:
            found = None if leaf is None else statement.decode(leaf)
        except MalformedError:
            return 0
        return found.size if isinstance(found, statement.Custody) else 0


def _claim(claims: dict[str, GaugeMetricFamily], label: tuple[str], health: Health, now_ms: int) -> None:
    claims["backlog"].add_metric(label, health.backlog)
    claims["disk"].add_metric(label, health.disk_free)
    claims["commit"].add_metric(label, health.commit_p99_ms / 1000)
    if health.oldest_unreceipted_ms is not None:
        claims["oldest"].add_metric(label, max(0, now_ms - health.oldest_unreceipted_ms) / 1000)
    if health.clock_bound_ms is not None:
        claims["clock"].add_metric(label, health.clock_bound_ms / 1000)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_NAME}_{name}", what, value)


def _labelled(name: str, what: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_NAME}_{name}", what, labels=("origin",))


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_NAME}_{name}", what, value)
