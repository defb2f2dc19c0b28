"""Byte to receipt: how long a gateway waits for the proof that an entry is in the provider's ledger.

The ward of `bench.live`, with an anchor every 2 s. For every entry of readings: from its close, and from the arrival of
its last byte, to the moment at which the gateway had verified a custody receipt that covers it. An entry closes in a
turn of the lines, at a whole second of the monotonic clock (`gateway.line`). Behind that lie the commit, the next
anchor, and at the collector two steps: one for the checkpoint, one for the entries that follow its answer.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from bench.figure import Effort, Figure, Goal, of_runs
from bench.live import LEAST_S, SETTLE_S, WINDOW_S, raw_of, running, size_of
from gateway.line import TURN_S
from gateway.reader import Reader
from vitaledger.entry import Kind, parse_leaf

ANCHOR_S = 2.0
SLACK_S = 1.5  # what the goal leaves for the commit, the way and the collector


def measure(effort: Effort) -> Iterator[Figure]:
    """p50 and p99, of every entry in each window."""
    with running(effort.of(SETTLE_S), ANCHOR_S) as ward:
        sizes = [size_of(ward.gateway_state)]
        for _ in range(effort.runs):
            time.sleep(max(effort.of(WINDOW_S), LEAST_S))
            sizes.append(size_of(ward.gateway_state))
        ward.await_condition("a receipt for the last entry", 20, lambda: _receipted(ward.gateway_state) >= sizes[-1])
        with Reader.open(ward.gateway_state) as log:
            waits = [_waits(log, first, end) for first, end in pairwise(sizes)]
    at = (
        f"{len(ward.devices)} devices, commit every second, anchor every {ANCHOR_S:.0f} s, "
        f"{sum(map(len, waits)) // len(waits)} entries a window"
    )
    for what, goal in (("close of an entry", Goal(most=ANCHOR_S + SLACK_S)), ("last byte", None)):
        found = [[wait.from_close if goal else wait.from_last for wait in each] for each in waits]
        yield of_runs(f"from the {what} to the receipt, p50", [_part(each, 50) for each in found], "s", None, at)
        yield of_runs(f"from the {what} to the receipt, p99", [_part(each, 99) for each in found], "s", goal, at)


def _receipted(state: Path) -> int:
    with Reader.open(state) as log:
        newest = log.newest_receipt()
        return newest.size if newest else 0


class _Wait(NamedTuple):
    """Seconds until an entry's receipt."""

    from_close: float
    from_last: float


def _waits(log: Reader, first: int, end: int) -> list[_Wait]:
    """Of each entry of readings; all of them have a receipt."""
    receipts = iter([(row.size, row.at_ms) for row in log.receipts(above=first)])
    found, size, at_ms = [], 0, 0
    for index, (leaf, body) in enumerate(log.entries(first, end), first):
        while index >= size:
            size, at_ms = next(receipts)
        entry = parse_leaf(leaf)
        if entry.kind is Kind.READINGS:
            last_us = max(chunk.at_us for chunk in raw_of(body))
            clock = entry.clock
            last_ms = clock.boot_ms + last_us / 1000
            came_ms = clock.boot_ms + at_ms - clock.wall_ms
            found.append(_Wait(came_ms / 1000 - ceil(last_ms / 1000 / TURN_S) * TURN_S, (came_ms - last_ms) / 1000))
    return found


def _part(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
