"""One thread that reads all lines: ten times a second while bytes come, and it takes the time of what it read.

    wait         until any line has something
    read         every line that has, without waiting
    take time    once for all of them, behind the reads: nothing bears a time before it came
    hand out     each piece to the inbox of its line (`gateway.inbox`), which the line takes at its turn
    sleep        until the next tenth of a second, for more to come: few pieces, and late by no more than that

A thread for each line woke up four times as often for the same bytes, and waking up was most of what reading cost
([ADR 0065](../docs/adr/0065-one-reader.md)). What may get stuck, opening, writing and closing, stays with the line's
own thread. A read that does not return although it should not wait holds up all lines: `stuck_in` names its line to
the watchdog, which lets another thread read the others.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, DefaultSelector

from gateway.clock import Clock
from gateway.draft import Instant
from gateway.inbox import Inbox
from gateway.port import READ_SIZE, LineGoneError, Port

GATHER_S = 0.1
AHEAD_S = 0.02  # before the tenth of a second: the last read before the lines' turn is done when that begins
LOOK_S = 1.0
STUCK_S = 3.0

logger = logging.getLogger(__name__)


def until_next() -> float:
    """Seconds until lines are read again."""
    return GATHER_S - (time.monotonic() + AHEAD_S) % GATHER_S


class _Reading:
    """A port that is read, for its inbox. `lock` is held while it is read; `over`: it may be closed, or is."""

    __slots__ = ("inbox", "lock", "name", "over", "port")

    def __init__(self, name: str, port: Port, inbox: Inbox) -> None:
        self.name, self.port, self.inbox = name, port, inbox
        self.lock = threading.Lock()
        self.over = False


class _Shift:
    """The work of one thread, until it is relieved by another one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector, self._lock = DefaultSelector(), threading.Lock()
        self._got: deque[tuple[_Reading, bytes | LineGoneError]] = deque()
        self.relieved = False
        self.inside: tuple[_Reading, float] | None = None  # what is being read, and since when
        self.came_round = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def add(self, reading: _Reading) -> None:
        with self._lock:
            self._selector.register(reading.port, EVENT_READ, reading)

    def remove(self, reading: _Reading) -> None:
        with self._lock, suppress(KeyError, ValueError):  # it was removed when it was found gone
            self._selector.unregister(reading.port)

    def _run(self) -> None:
        while not self.relieved:
            try:
                self._round()
            except Exception:  # the outermost loop of this thread
                logger.exception("reading the lines failed and goes on")
                time.sleep(GATHER_S)

    def _round(self) -> None:
        self.came_round = time.monotonic()
        ready = self._selector.select(LOOK_S)
        more = False
        for key, _ in ready:
            if not self.relieved:
                more |= self._read(key.data)
        self.hand_out()
        if ready and not more:
            time.sleep(until_next())

    def _read(self, reading: _Reading) -> bool:
        """Read what a line has; whether more of it waits already."""
        with reading.lock:
            if reading.over or reading.inbox.full:
                return False
            self.inside = reading, time.monotonic()
            found: bytes | LineGoneError
            try:
                found = reading.port.take()
            except LineGoneError as gone:
                found = gone
            finally:
                self.inside = None
            if self.relieved:  # what it was given up in is discarded: another run of that line begins with a gap
                if not reading.over:
                    _deliver(reading, found, self._clock.now(), time.monotonic())
                return False
        if isinstance(found, LineGoneError):
            self.remove(reading)  # it would be ready for ever
        self._got.append((reading, found))
        return not isinstance(found, LineGoneError) and len(found) == READ_SIZE

    def hand_out(self) -> None:
        """Give what was read to the lines, with the time."""
        if not self._got:
            return
        at, since = self._clock.now(), time.monotonic()
        while self._got:
            _deliver(*self._got.popleft(), at, since)


def _deliver(reading: _Reading, found: bytes | LineGoneError, at: Instant, since: float) -> None:
    if isinstance(found, LineGoneError):
        reading.inbox.end(found)
    elif found:
        reading.inbox.put(found, at, since)


class Intake:
    """Reads every port that it was told to `follow`, from `start` to `stop`."""

    def __init__(self, clock: Clock, alarm: Callable[[str], object] = lambda _: None) -> None:
        """`alarm` seals an incident."""
        self._clock, self._alarm = clock, alarm
        self._guard = threading.Lock()  # over which ports are read, and by whom
        self._readings: set[_Reading] = set()
        self._shift = _Shift(clock)
        self._seen: tuple[_Reading, float] | None = None
        self._stuck: _Reading | None = None

    def start(self) -> None:
        """Begin to read."""
        self._shift.thread.start()

    def stop(self) -> None:
        """End within a second; what is read by then is handed out."""
        self._shift.relieved = True

    def follow(self, name: str, port: Port, inbox: Inbox) -> Callable[[], None]:
        """Read a port, which can be waited for, into an inbox from now on; answers what ends that.

        Before the port is closed that has to be called. It waits for a read under way: the number of a closed port is
        given to the next that is opened.
        """
        reading = _Reading(name, port, inbox)
        with self._guard:
            self._readings.add(reading)
            self._shift.add(reading)
        return partial(self._leave, reading)

    def _leave(self, reading: _Reading) -> None:
        with reading.lock:
            reading.over = True
        with self._guard:
            self._readings.discard(reading)
            self._shift.remove(reading)

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self._shift.thread.is_alive()

    @property
    def came_round(self) -> float:
        """When the thread last came round, by time.monotonic."""
        return self._shift.came_round

    def stuck_in(self) -> str | None:
        """The line whose read does not return; asked once a second.

        One look is not enough: where the whole machine stood still, it finds a read that began long ago.
        """
        inside, before = self._shift.inside, self._seen
        self._seen, self._stuck = inside, None
        if inside is None or inside is not before or time.monotonic() - inside[1] < STUCK_S:
            return None
        self._stuck = inside[0]
        return inside[0].name

    def restart(self, detail: str) -> None:
        """Let another thread read, all lines but that which `stuck_in` named. It is in the history."""
        old = self._shift
        old.relieved = True
        if self._stuck is not None:
            self._stuck.over = True
        with self._guard:
            self._shift = _Shift(self._clock)
            for reading in self._readings:
                if not reading.over:
                    self._shift.add(reading)
        old.hand_out()  # what it had read of other lines
        self._shift.thread.start()
        self._alarm(detail)
