"""What one line read lately, and from where on it is not sealed yet: what a killed gateway would lose.

A recorder writes each record here as it takes it: the line was opened, bytes came, bytes were sent. It also says where
everything before has been put into drafts: a `Mark`. Journaled (`gateway.journal`) are the records from a little
before the mark, so that a driver that sees them again stands in the middle of the same packet.

A position is exact, because a call that brought bytes can close an entry halfway: the record, how many of the events
that the driver made of it were taken, and whether its raw bytes were put.

Bounds: 256 KiB a second of one line. Beyond that the line is not journaled until all of it is sealed; a kill then
costs what was open, inside the gap that the next start seals.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from gateway.draft import Instant
from vitaledger.compiled import compile_make
from vitaledger.marks import GapReason

MAX_PENDING = 256 * 1024
WARM_UP_US = 2_500_000  # longer than any packet: a device that sends a line a second is met at a line's beginning
_OVERHEAD = 16


class What(IntEnum):
    """What happened on the line; the first two are those of `vitaledger.marks.Direction`."""

    RECEIVED = 0
    SENT = 1
    OPENED = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened, with its number on this line."""

    number: int
    what: What
    at: Instant
    data: bytes


_make_record = compile_make(Record)


@dataclass(frozen=True, slots=True)
class Position:
    """Everything before record `number` was put, of it the first `events` events, and its bytes where `placed`.

    `stale`: whether the device's values were found frozen there, which takes longer to see than the journal reaches.
    """

    number: int
    events: int
    placed: int
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """From where on a line is not sealed, and how the recorder stood there.

    `chain` is the micro-chain it was on, None before the first. `silence` says what had been silent where a silence
    had just ended. `reason` and `detail` are for the gap that the next opening of the line would bear.
    """

    position: Position
    chain: str | None
    serial: str | None
    silence: str
    reason: GapReason
    detail: str


class Tape:
    """The records of one line. Everything here happens under the lock of `gateway.chains.Chains.together`."""

    def __init__(self, port: str = "", driver: str = "") -> None:
        self.port, self.driver = port, driver
        self._last = -1
        self._new: list[Record] = []
        self._new_size = 0
        self._kept: deque[tuple[int, int]] = deque()  # (number, µs) of what was journaled and may still be needed
        self._void = -1  # up to here records are missing
        self._mark: Callable[[], Mark | None] = lambda: None
        self._told: Mark | None = None

    def follow(self, mark: Callable[[], Mark | None]) -> None:
        """A recorder begins: what one before had open is of no use any more."""
        self._mark = mark
        self._void = self._last
        self._new.clear()
        self._new_size = 0

    def drop(self) -> None:
        """The recorder failed: what it had open will never be sealed."""
        self.follow(lambda: None)

    def add(self, what: What, at: Instant, data: bytes) -> int:
        """Take a record; answers its number."""
        self._last += 1
        self._new_size += len(data) + _OVERHEAD
        if self._new_size > MAX_PENDING:
            self._new.clear()
            self._new_size, self._void = 0, self._last
        else:
            self._new.append(_make_record(self._last, what, at, data))
        return self._last

    def take(self) -> tuple[Mark | None, list[Record]] | None:
        """The mark, and the records since the last call; None where neither is news."""
        mark = self._mark()
        if mark is not None and mark.position.number <= self._void:
            mark = None
        new, self._new, self._new_size = self._new, [], 0
        if mark is None:
            new = []
            self._kept.clear()
        self._kept.extend((record.number, record.at.mono_us) for record in new)
        if not new and mark == self._told:
            return None
        self._told = mark
        return mark, new

    def first_needed(self) -> int | None:
        """The oldest record that a restart would need; None where it would need none."""
        if self._told is None or not self._kept:
            return None
        number = self._told.position.number
        begin = next((us for n, us in self._kept if n >= number), self._kept[-1][1]) - WARM_UP_US
        while len(self._kept) > 1 and self._kept[0][1] < begin and self._kept[0][0] < number:
            self._kept.popleft()
        return self._kept[0][0]
