"""What must not stand still, and what is done where it does.

    part            stands still when                     noticed     then
    line's thread   it ended                              in 1 s      begun again, an incident is sealed
    line's port     its run got nothing done for 40 s     in 41 s     the same; the old run is given up
                    a read of it takes 3 s                in 5 s      the same, and another thread reads the others
                    and is still stuck 60 s later                     the process ends
    intake          its thread ended                      in 1 s      begun again, an incident is sealed
                    its thread did not come round, 45 s   in 46 s     the process ends
    uplink          its thread ended                      in 1 s      begun again, an incident is sealed
                    its thread did not come round, 45 s   in 46 s     the process ends
    network thread  wrote nothing for 30 s                in 31 s     the connection is made anew (gateway.mqtt)
    commit          it did not come round for 45 s        in 50 s     the process ends, and leaves last words

A part that was begun again three times in ten minutes ends the process: then it is not the part. The process ends with
exit code 1, for its supervisor to start it again; the incident is sealed before, or after the start where it could not
be. The supervisor's own watchdog is fed when both the commit and the uplink have got on since the last time; it is for
what stops all threads at once.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

LINE_S = 40.0  # the kernel may take 30 s to close a port that has something left to send
LEFT_S = 60.0
STILL_S = 45.0
STALLED_S = 45.0
RESTARTS, RESTARTS_S = 3, 600.0
LOOK_S = 5.0

_log = logging.getLogger(__name__)


class WatchedLine(Protocol):
    """A line, as far as it is watched."""

    name: str

    @property
    def alive(self) -> bool:
        """Whether its thread lives."""

    @property
    def came_round(self) -> float:
        """When its run last got something done."""

    @property
    def given_up(self) -> float | None:
        """Since when a run that was given up is stuck; None where none is."""

    def restart(self, detail: str) -> None:
        """Give the run up, seal an incident, and begin another one."""


class WatchedIntake(Protocol):
    """The thread that reads all lines, as far as it is watched."""

    @property
    def alive(self) -> bool:
        """Whether its thread lives."""

    @property
    def came_round(self) -> float:
        """When its thread last came round."""

    def stuck_in(self) -> str | None:
        """The line whose read does not return; asked once a second."""

    def restart(self, detail: str) -> None:
        """Seal an incident, and let another thread read all lines but that one."""


class WatchedLink(Protocol):
    """The uplink, as far as it is watched."""

    @property
    def alive(self) -> bool:
        """Whether its thread lives."""

    @property
    def last_progress(self) -> float:
        """When its thread last came round."""

    def restart(self, detail: str) -> None:
        """Seal an incident, and begin the thread again."""


class Watchdog:
    """Looks at the parts from the committing loop, and at that loop from a thread of its own.

    clock: monotonic seconds, the one that the parts use. stalled: ends the process; called with the reason, from the
    watchdog's thread, when the commit stands still. feed: tells the supervisor that all is well.
    """

    def __init__(
        self,
        lines: Sequence[WatchedLine],
        intake: WatchedIntake,
        link: WatchedLink,
        *,
        clock: Callable[[], float],
        stalled: Callable[[str], object],
        feed: Callable[[], object],
    ) -> None:
        self._lines, self._intake, self._link = lines, intake, link
        self._clock, self._stalled, self._feed = clock, stalled, feed
        self._restarts: dict[str, deque[float]] = {}
        self._fed_at = link.last_progress
        self._round = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.restarted = 0

    def start(self) -> None:
        """Begin to watch the commit."""
        self._round = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """The committing loop has ended; nothing is watched any more."""
        self._stop.set()

    def came_round(self) -> str | None:
        """To be called after each commit: restarts what can be, and says why the process has to end where it must."""
        now = self._round = self._clock()
        if (trouble := self._look_at_intake(now)) is not None:
            return trouble
        for line in self._lines:
            if (trouble := self._look_at(line, now)) is not None:
                return trouble
        if not self._link.alive:
            if self._often("uplink", now):
                return "the thread of the uplink has ended again and again"
            self._link.restart("its thread had ended")
        elif now - self._link.last_progress > STILL_S:
            return f"the uplink has stood still for {STILL_S:.0f} s"
        if self._link.last_progress > self._fed_at:
            self._fed_at = self._link.last_progress
            self._feed()
        return None

    def _look_at_intake(self, now: float) -> str | None:
        intake = self._intake
        if (name := intake.stuck_in()) is not None:
            detail = "a read of it does not return"
            if self._often("intake", now):
                return f"line {name} was begun again {RESTARTS} times in {RESTARTS_S / 60:.0f} minutes: {detail}"
            intake.restart(f"line {name}: {detail}")
            for line in self._lines:
                if line.name == name:
                    line.restart(detail)
        elif not intake.alive:
            if self._often("intake", now):
                return "the thread that reads the lines has ended again and again"
            intake.restart("its thread had ended")
        elif now - intake.came_round > STILL_S:
            return f"the thread that reads the lines has stood still for {STILL_S:.0f} s"
        return None

    def _look_at(self, line: WatchedLine, now: float) -> str | None:
        if line.given_up is not None and now - line.given_up > LEFT_S:
            return f"line {line.name} is stuck in its port, {LEFT_S:.0f} s after it was given up"
        stuck = now - line.came_round > LINE_S
        if line.alive and not stuck:
            return None
        detail = f"it got nothing done for {LINE_S:.0f} s" if line.alive else "its thread had ended"
        if self._often(line.name, now):
            return f"line {line.name} was begun again {RESTARTS} times in {RESTARTS_S / 60:.0f} minutes: {detail}"
        line.restart(detail)
        return None

    def _often(self, part: str, now: float) -> bool:
        times = self._restarts.setdefault(part, deque(maxlen=RESTARTS))
        if len(times) == RESTARTS and now - times[0] < RESTARTS_S:
            return True
        times.append(now)
        self.restarted += 1
        _log.error("%s is begun again by the watchdog", part)
        return False

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Whether the committing loop still comes round; what the watchdog's thread does every few seconds."""
        if not self._stop.is_set() and self._clock() - self._round > STALLED_S:
            self._stop.set()
            self._stalled(f"no commit has come to its end for {STALLED_S:.0f} s")
