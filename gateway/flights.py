"""Entries on their way to the collector: what it has said that it holds, what is in flight, what goes next.

A part of `gateway.uplink`, whose tables give its rules. No I/O, no clock, no threads: `now` is monotonic seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.outbox import LogView, fill, next_first
from gateway.runs import Run, add, first_gap, total
from vitaledger.messages import ENTRIES, OK, TILE, Entries, EntriesAnswer, pack

ANSWER_S = 10.0  # an answer that takes longer counts as none
_PAUSE_S = 10.0  # the longest between two attempts
_REPORT_S = 2.0  # how long entries wait for the collector's report of what it holds
WINDOW = 16
_LOST = 3  # refusals in a row: a lost message makes those behind it be refused once


class Heard(Enum):
    """What an answer comes to."""

    STALE = "to nothing that is in flight"
    REPORT = "what the collector holds"
    TAKEN = "a message was taken"
    AGAIN = "a message was not taken: everything in flight goes again"
    REFUSED = "and that was so several times in a row"


@dataclass(frozen=True, slots=True)
class Sending:
    """A message for up/entries, and what was wrong with the entries in it."""

    payload: bytes
    wrong: tuple[str, ...]


@dataclass(slots=True)
class _Flight:
    run: Run
    sent: float


@dataclass(slots=True)
class Flights:
    """The messages of entries of one log. next_id: any number from 1 on."""

    origin: str
    log: LogView
    next_id: int
    stored: list[Run] | None = None  # None: the collector has not said yet
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _window: int = WINDOW
    _failures: int = 0
    _pause_until: float = 0.0
    _report_by: float = 0.0
    _last_answer: float = 0.0

    def __len__(self) -> int:
        return len(self._flights)

    def forget(self) -> None:
        """Nothing that was in flight counts, and what the collector holds is not known."""
        self._flights.clear()
        self._pause_until = 0.0
        self._failures = 0
        self._report_by = 0.0
        self.stored = None

    def await_report(self, now: float) -> None:
        """The collector will say what it holds."""
        self._report_by = now + _REPORT_S

    def tick(self, now: float) -> None:
        """Time went on: where no answer came, everything goes again, and less of it at a time."""
        oldest = min((flight.sent for flight in self._flights.values()), default=now)
        if now - max(oldest, self._last_answer) >= ANSWER_S and self._flights:
            self._window = max(1, self._window // 2)
            self._flights.clear()

    def answered(self, answer: EntriesAnswer, now: float) -> tuple[Heard, int]:
        """What an answer comes to, and the first entry of the message that it is for (0 where it is for none)."""
        flight = self._flights.pop(answer.id, None)
        if flight is None and answer.id != 0 and now > self._report_by:
            return Heard.STALE, 0
        before = total(self.stored or ())
        refused = flight is not None and answer.status != OK
        known = [] if self.stored is None or refused else self.stored
        self.stored = add(known, *((each.first, each.end) for each in answer.stored if each.first < each.end))
        self._last_answer = now
        if total(self.stored) > before:
            self._failures = 0
        if flight is None:
            return Heard.REPORT, 0
        first, end = flight.run
        if not refused:
            self._window = min(WINDOW, self._window + 1)
            if first_gap(self.stored, first) < end:
                self._pause(now)  # 200 and not stored: do not spin
            return Heard.TAKEN, first
        self._flights.clear()
        self._pause(now)
        return (Heard.AGAIN if self._failures < _LOST else Heard.REFUSED), first

    def receipted(self, custody: int) -> None:
        """The collector has custody of the first `custody` entries."""
        if self.stored is not None:
            self.stored = add(self.stored, (0, custody))

    def due(self, witnessed: int, custody: int, now: float) -> Iterator[Sending]:
        """What may go now, of the entries below `witnessed`."""
        if now < self._pause_until:
            return
        if self.stored is None:
            if now < self._report_by:
                return
            self.stored = add([], (0, custody))
        while len(self._flights) < self._window:
            covered = add(self.stored, (0, custody), *(flight.run for flight in self._flights.values()))
            first = next_first(covered, witnessed)
            if first is None:
                return
            limit = min((first // TILE + 1) * TILE, witnessed, *(run[0] for run in covered if run[0] > first))
            yield self._message(first, limit, witnessed, now)

    def _message(self, first: int, limit: int, size: int, now: float) -> Sending:
        batch, wrong = fill(self.log, first, limit)
        end = first + len(batch)
        proof = self.log.subtree_proof(first // TILE * TILE, end, size)
        message = Entries(self.next_id, self.origin, size, first, tuple(batch), tuple(proof))
        self._flights[self.next_id] = _Flight((first, end), now)
        self.next_id += 1
        return Sending(pack(ENTRIES.encode(message)), tuple(wrong))

    def _pause(self, now: float) -> None:
        self._pause_until = now + min(_PAUSE_S, 0.25 * 2**self._failures) if self._failures else now
        self._failures = min(self._failures + 1, 8)
