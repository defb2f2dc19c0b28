"""Many gateways at one collector: each anchors every 10 s, with the entries of eight devices; from anchor to receipt.

The entries are what recorders make of eight simulated devices in ten seconds: three stream 60 or 75 frames a second
with pleth, all keep their raw bytes. Every gateway sends such a round each ten seconds, evenly spread over the time. A
round is measured from when it is due; one that is due while the gateway's last has no receipt yet is *late*, and waits.

*Sustained* is what they send, where no round was late and p99 is within the goal; else what came through until the
last receipt. How many are sustained is found with the same gateways at another pace: a thousand of them that anchor
every five seconds ask as much of the collector as two thousand that do it every ten.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.collecting import Running, collecting
from bench.figure import Effort, Figure, Goal, of_runs
from bench.fleet import ANCHOR_S, Log, Round, eight_devices
from bench.sender import Sender
from bench.ward import cpu_s, rss_mb

GATEWAYS = 1000
P99 = Goal(most=2.0)
_LIMIT_S = 120.0
_SHORT_PERIOD_S = 1.0
_QUICKER, _SLOWER = (8.0, 6.5, 5.0, 4.0, 3.3, 2.5), (12.5, 16.0, 20.0, 30.0)  # s between two anchors


@dataclass(frozen=True, slots=True)
class _Pace:
    """What was seen while every gateway anchored once in `period_s`."""

    period_s: float
    seconds: list[float]  # from anchor to receipt
    late: int
    cpu: float  # seconds, of the collector's process
    took: float  # seconds until the last receipt

    @property
    def p99(self) -> float:
        """99 of 100 receipts took no longer."""
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]

    @property
    def sustained(self) -> bool:
        """Whether no round was late and the receipts came in time."""
        return not self.late and P99.met_by(self.p99)


def measure(effort: Effort) -> Iterator[Figure]:
    """What 1,000 gateways get, and how many would still be served in time."""
    count, contents = effort.of(GATEWAYS), eight_devices()
    period = _SHORT_PERIOD_S if effort.short else float(ANCHOR_S)
    logs = [Log(f"bench-{n}") for n in range(count)]
    names = [log.gateway for log in logs]
    with collecting(log.vkey for log in logs) as running, Sender(running.broker_port, names) as sender:
        _play(running, sender, logs, period)  # the first round of each: new micro-chains, cold caches
        paces = [_play(running, sender, logs, period) for _ in range(effort.runs)]
        memory = rss_mb(running.pid)
        most = None if effort.short else _bound(running, sender, logs, paces)
    readings, samples = sum(each.readings for each in contents), sum(each.samples for each in contents)
    at = (
        f"{count:,} gateways, an anchor every {period:g} s with {len(contents)} entries, {readings / len(contents):.0f}"
        f" readings and {samples / len(contents):.0f} wave samples an entry, one entries message, {running.broker};"
        " a run is one round of all"
    )
    rates = [readings * count / (pace.period_s if pace.sustained else pace.took) for pace in paces]
    yield of_runs("sustained", rates, "readings/s", Goal(readings * count / period), at)
    yield of_runs("p50, anchor to receipt", [median(pace.seconds) for pace in paces], "s", None, at)
    yield of_runs("p99, anchor to receipt", [pace.p99 for pace in paces], "s", P99, at)
    cpu = [pace.cpu / count * 1000 for pace in paces]
    yield of_runs("CPU of the collector, for an anchor and its entries", cpu, "ms", None, at)
    yield of_runs("CPU of the collector", [pace.cpu / pace.period_s for pace in paces], "cores", None, at)
    yield of_runs("memory of the collector's process", [memory], "MB", None, at)
    if most is not None:
        yield of_runs("gateways sustained at p99 ≤ 2 s", [most], "", Goal(GATEWAYS), at)


def _bound(running: Running, sender: Sender, logs: Sequence[Log], paces: Sequence[_Pace]) -> float:
    """How many gateways are sustained, by paces that are tried in order from the measured one; 0 where none is."""
    holds = 2 * sum(pace.sustained for pace in paces) > len(paces)
    found = float(GATEWAYS) if holds else 0.0
    for period in _QUICKER if holds else _SLOWER:
        if _play(running, sender, logs, period, turns=3 if holds else 1).sustained != holds:
            return found if holds else GATEWAYS * ANCHOR_S / period
        found = GATEWAYS * ANCHOR_S / period if holds else 0.0
    return found


def _play(running: Running, sender: Sender, logs: Sequence[Log], period_s: float, turns: int = 1) -> _Pace:
    """Let every gateway anchor, evenly spread over the period, so many times; then wait for the last receipt."""
    contents = eight_devices()
    rounds: list[Round] = [log.grow(contents, ANCHOR_S * 1000) for _ in range(turns) for log in logs]
    before, late = len(sender.seconds), sender.late
    used, began = cpu_s(running.pid), time.monotonic()
    for n, due in enumerate(rounds):
        wait = began + n * period_s / len(logs) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        sender.begin(logs[n % len(logs)].gateway, due)
    sender.await_receipts(before + len(rounds), _LIMIT_S)
    took = time.monotonic() - began
    return _Pace(period_s, sender.seconds[before:], sender.late - late, cpu_s(running.pid) - used, took)
