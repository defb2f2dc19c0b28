"""Byte to receipt: how long a gateway waits for the proof that an entry is in the provider's ledger.

The ward of `bench.live`, with an anchor every 2 s. For every entry of readings: from the arrival of its last byte (the
entry closes at that moment or, where the device pauses, up to a second later) to the moment at which the gateway had
verified a custody receipt that covers it. In between lie the commit, which comes once a second, the next anchor, and at
the collector two steps: one for the checkpoint, one for the entries that follow its answer.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

from bench.figure import Effort, Figure, Goal, of_runs
from bench.live import LEAST_S, SETTLE_S, WINDOW_S, raw_of, running, size_of
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
    yield of_runs("from the last byte to the receipt, p50", [_part(each, 50) for each in waits], "s", None, at)
    goal = Goal(most=ANCHOR_S + SLACK_S)
    yield of_runs("from the last byte to the receipt, p99", [_part(each, 99) for each in waits], "s", goal, at)


def _receipted(state: Path) -> int:
    with Reader.open(state) as log:
        newest = log.newest_receipt()
        return newest.size if newest else 0


def _waits(log: Reader, first: int, end: int) -> list[float]:
    """Seconds, for each entry of readings; all of them have a receipt."""
    receipts = iter([(row.size, row.at_ms) for row in log.receipts(above=first)])
    found, size, at_ms = [], 0, 0
    for index, (leaf, body) in enumerate(log.entries(first, end), first):
        while index >= size:
            size, at_ms = next(receipts)
        entry = parse_leaf(leaf)
        if entry.kind is Kind.READINGS:
            last_us = max(chunk.at_us for chunk in raw_of(body))
            found.append((at_ms - entry.clock.wall_ms - last_us / 1000) / 1000)
    return found


def _part(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
