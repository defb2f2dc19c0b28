"""What was read of one opening of a line and not fed to its driver yet, each piece with the time at which it came.

One thread puts pieces in (`gateway.intake`, or the line's own where the port cannot be waited for with others), the
line's takes them out at its turn. What is taken stands here until it has been fed: so `waits_since` tells.
"""

import threading
from collections import deque
from collections.abc import Iterator

from gateway.draft import Instant
from gateway.port import READ_SIZE, LineGoneError

MAX_WAITING = 4096  # bytes that wait for the turn: with as many it is now
# Bytes that wait at most: beyond them the kernel keeps what comes, and tells the device where it can. More than one
# reading takes lie between, so that a line that is quick is fed while the next bytes are read.
FULL = MAX_WAITING + 4 * READ_SIZE


class Inbox:
    """The pieces of one opening.

    `received`: the bytes that came. `prompt_until`: till then, by time.monotonic, each piece is told at once. `told`:
    the newest time that the driver knows of; what was read by another thread just then comes a moment after it.
    """

    __slots__ = ("_fed", "_gone", "_pieces", "_wake", "prompt_until", "received", "told")

    def __init__(self) -> None:
        self._pieces: deque[tuple[bytes, Instant, float]] = deque()
        self._wake = threading.Event()
        self._gone: LineGoneError | None = None
        self._fed = 0  # each count is changed by one thread alone
        self.received = 0
        self.prompt_until = 0.0
        self.told: Instant | None = None

    @property
    def waiting(self) -> int:
        """Bytes that have not been fed."""
        return self.received - self._fed

    @property
    def full(self) -> bool:
        """Whether what comes now has to wait outside."""
        return self.waiting >= FULL

    @property
    def waits_since(self) -> float | None:
        """When the oldest piece came that has not been fed (time.monotonic), None where there is none."""
        try:
            return self._pieces[0][2]
        except IndexError:
            return None

    def put(self, data: bytes, at: Instant, since: float) -> None:
        """Take a piece that came at `at`, by time.monotonic at `since`."""
        self._pieces.append((data, at, since))
        self.received += len(data)
        if since < self.prompt_until or self.waiting >= MAX_WAITING:
            self._wake.set()

    def end(self, why: LineGoneError) -> None:
        """Nothing more comes: the line is gone."""
        self._gone = why
        self._wake.set()

    def wake(self) -> None:
        """End the wait."""
        self._wake.set()

    def wait(self, timeout_s: float) -> None:
        """Wait so long, or until the line has to look: a piece that is to be told at once, too many bytes, the end.

        Raises:
            LineGoneError: the line is gone. What came before is in the inbox.
        """
        self._wake.wait(timeout_s)
        self._wake.clear()
        if self._gone is not None:
            raise self._gone

    def pieces(self) -> Iterator[tuple[bytes, Instant]]:
        """All that waits, in order, none before `told`. A piece is gone from here when the next one is asked for."""
        while self._pieces:
            data, at, _ = self._pieces[0]
            told = self.told
            yield data, told if told is not None and at.mono_us < told.mono_us else at
            self._pieces.popleft()
            self._fed += len(data)
