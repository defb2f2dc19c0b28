"""A port in the hands of one run of a line's thread, until that run is given up.

A thread cannot be ended from outside. What a line's watchdog can do is to begin another run and to take the port's
results from the one that stands still: when its call returns at last, `RevokedError` ends it before it touches driver,
recorder or chains again.
"""

import time
from types import TracebackType
from typing import Self

from gateway.clock import Clock
from gateway.inbox import Inbox
from gateway.intake import Intake, until_next
from gateway.port import READ_SIZE, Port


class RevokedError(Exception):
    """This run was given up and another one follows the line."""


class Life:
    """One run of a line's thread. `came_round` is when it last got something done."""

    __slots__ = ("_came", "came_round", "revoked")

    def __init__(self) -> None:
        self._came: tuple[int, Inbox | None] = (0, None)  # bytes by the openings before, and what this one has
        self.came_round = time.monotonic()
        self.revoked = False

    @property
    def received(self) -> int:
        """How many bytes came."""
        before, inbox = self._came
        return before + (inbox.received if inbox is not None else 0)

    @property
    def inbox(self) -> Inbox | None:
        """That of the line; None while it is not open."""
        return self._came[1]

    def opened(self, inbox: Inbox | None) -> None:
        """The line is open, or, with None, closed: what waits is lost then, or was fed."""
        self._came = self.received, inbox

    def check(self) -> None:
        """Note that it got on; RevokedError where it was given up meanwhile."""
        if self.revoked:
            raise RevokedError
        self.came_round = time.monotonic()


class HeldPort:
    """A `Port` whose bytes come into an inbox, and whose calls count as progress.

    The intake reads it. A port that cannot be waited for together with others is read by the line's own thread.
    """

    def __init__(self, name: str, port: Port, life: Life, intake: Intake, clock: Clock) -> None:
        self._port, self._life, self._clock = port, life, clock
        self.inbox = Inbox()
        life.opened(self.inbox)
        self._leave = intake.follow(name, port, self.inbox) if port.can_be_waited_for else None

    def wait(self, timeout_s: float) -> None:
        """Wait so long, or until the inbox has what must not wait; see `Inbox.wait`."""
        if self._leave is None:
            self._read(timeout_s)
        else:
            self.inbox.wait(timeout_s)
        self._life.check()

    def _read(self, timeout_s: float) -> None:
        data = self._port.read(timeout_s)
        if data:
            self.inbox.put(data, self._clock.now(), time.monotonic())
        if 0 < len(data) < READ_SIZE:  # else more is waiting already
            time.sleep(until_next())

    def write(self, data: bytes) -> None:
        """See `Port.write`."""
        self._port.write(data)
        self._life.check()

    def check(self) -> None:
        """After what may have taken long: see `Life.check`."""
        self._life.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave is not None:
            self._leave()
        self._life.opened(None)
        self._port.close()
