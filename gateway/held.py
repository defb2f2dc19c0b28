"""A port in the hands of one run of a line's thread, until that run is given up.

A thread cannot be ended from outside. What a line's watchdog can do is to begin another run and to take the port's
results from the one that stands still: when its call returns at last, `RevokedError` ends it before it touches driver,
recorder or chains again.
"""

import time
from types import TracebackType
from typing import Self

from gateway.port import Port


class RevokedError(Exception):
    """This run was given up and another one follows the line."""


class Life:
    """One run of a line's thread.

    `came_round` is when it last got something done, `received` how many bytes came, `waits_since` when the first came
    that the driver has not been fed; None where there is none.
    """

    __slots__ = ("came_round", "received", "revoked", "waits_since")

    def __init__(self) -> None:
        self.received = 0
        self.waits_since: float | None = None
        self.came_round = time.monotonic()
        self.revoked = False

    def check(self) -> None:
        """Note that it got on; RevokedError where it was given up meanwhile."""
        if self.revoked:
            raise RevokedError
        self.came_round = time.monotonic()


class HeldPort:
    """A `Port` whose calls count as progress."""

    def __init__(self, port: Port, life: Life) -> None:
        self._port, self._life = port, life

    def read(self, timeout_s: float) -> bytes:
        """See `Port.read`."""
        data = self._port.read(timeout_s)
        self._life.check()
        self._life.received += len(data)
        if data and self._life.waits_since is None:
            self._life.waits_since = self._life.came_round
        return data

    def fed(self) -> None:
        """All that was read has been given to the driver."""
        self._life.waits_since = None

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
        self._port.close()
