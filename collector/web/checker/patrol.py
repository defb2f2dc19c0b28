"""Verifies what the devices sent in the last 30 days, newest first, again and again, where nobody asks for anything.

So the overview knows of an entry that does not hold before anybody opens its chart, and a month is at hand when it is
asked for. The first round takes half of this process's time, each later one a tenth.
"""

import time
from collections.abc import Iterator

from collector.history import Span, devices
from collector.web.checker.desk import BLOCK, Desk

SPAN_US = 30 * 86_400_000_000
REST_FIRST, REST_LATER = 1.0, 9.0  # times what a turn took
ROUND_S = 10.0  # at least from the begin of one round to that of the next


class Patrol:
    """One block a turn. `due` is the monotonic time of the next."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._work: Iterator[None] = iter(())
        self._rounds = 0
        self._began = 0.0
        self.due = 0.0

    def turn(self, now_us: int) -> None:
        """Verify one block; within a snapshot."""
        began = time.monotonic()
        if next(self._work, self) is self:
            self._rounds += 1
            self.due = max(began, self._began + ROUND_S if self._rounds > 1 else began)
            self._work, self._began = self._round(now_us), self.due
            return
        took = time.monotonic() - began
        self.due = began + took + took * (REST_FIRST if self._rounds <= 1 else REST_LATER)

    def _round(self, now_us: int) -> Iterator[None]:
        for device in devices(self._desk.store.reader):
            for row, chain in device.chains:
                known = self._desk.of(chain)
                log = self._desk.log(row)
                for first, last in self._desk.units(log, chain, Span(now_us - SPAN_US, None), BLOCK):
                    _, part = self._desk.part(self._desk.log(row), chain, first, last)
                    if part.runs and (known.back_to_us is None or part.runs[0].from_us < known.back_to_us):
                        known.back_to_us = part.runs[0].from_us or known.back_to_us
                    yield
