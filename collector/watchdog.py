"""What must not stand still in a running collector, and what is done where it does; looked at twice a second.

    part             stands still when                        then
    broker's thread  it ended                                 begun again
                     it did not come round for 45 s           the process ends
    network thread   it ended, or did nothing for 45 s        the connection is made anew (collector.mqtt)
    ledger's thread  it ended, or did not come round for 45 s the process ends
    web              its thread ended                         the process ends

The process ends with exit code 1, for its supervisor to start it again: a step that did not end is not in the ledger,
and what came with it is sent again. The supervisor's own watchdog is fed when both the ledger's and the broker's thread
have come round since the last time.
"""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

STALLED_S = 45.0

_log = logging.getLogger(__name__)


class Loop(Protocol):
    """A thread that comes round again and again."""

    @property
    def alive(self) -> bool:
        """Whether it lives."""

    @property
    def came_round(self) -> float:
        """When it last came round, by time.monotonic."""


class Restartable(Loop, Protocol):
    """One that can be begun again after it has ended."""

    def restart(self) -> None:
        """Begin again."""


class Watchdog:
    """`look` is called by the thread that waits for the end of the process. clock: monotonic seconds."""

    def __init__(
        self,
        worker: Loop,
        link: Restartable,
        web: Callable[[], bool],
        clock: Callable[[], float],
        feed: Callable[[], object],
    ) -> None:
        self._worker, self._link, self._web, self._clock, self._feed = worker, link, web, clock, feed
        self._fed = (worker.came_round, link.came_round)
        self.restarted = 0

    def look(self) -> str | None:
        """Begin again what can be; why the process has to end where it must."""
        now = self._clock()
        if not self._worker.alive:
            return "the ledger's thread has ended"
        if now - self._worker.came_round > STALLED_S:
            return f"no ledger step has come to its end for {STALLED_S:.0f} s"
        if not self._web():
            return "the web's thread has ended"
        if not self._link.alive:
            _log.error("the broker's thread has ended and is begun again")
            self.restarted += 1
            self._link.restart()
        elif now - self._link.came_round > STALLED_S:
            return f"the broker's thread has stood still for {STALLED_S:.0f} s"
        if self._worker.came_round > self._fed[0] and self._link.came_round > self._fed[1]:
            self._fed = (self._worker.came_round, self._link.came_round)
            self._feed()
        return None


def notify(state: str) -> None:
    """Tell systemd, where it waits for us: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        try:
            line.sendto(state.encode(), name)
        except OSError as error:
            _log.warning("%s: cannot tell systemd %s: %s", Path(address), state, error)
