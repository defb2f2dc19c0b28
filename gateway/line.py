"""One thread for one line: it reads, takes the time, feeds driver and recorder, sends, and opens the line again.

Driver and recorder are touched by this thread alone. Whatever goes wrong in them costs this line one restart, is
sealed as an incident on the gateway's own chain, and touches no other line: what was open is lost inside a gap that
begins with the last datum that was put. While the disk is full the line stands, and what comes is counted and not kept.
"""

import logging
import threading
import time
from collections.abc import Callable

from gateway.chains import Chains
from gateway.clock import Clock
from gateway.disk import FULL_DETAIL, DiskGuard
from gateway.draft import Draft
from gateway.drivers.api import Driver
from gateway.identity import clean
from gateway.placement import Subject
from gateway.port import Backoff, LineGoneError, Port
from gateway.recorder import Limits, Recorder
from gateway.repeats import Repeats
from gateway.source import Source
from gateway.tape import Tape
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import Incident
from vitaledger.marks import Direction, GapReason

READ_S = 0.1
# Bytes of a slow line come one by one. Waiting this long for more of them makes few pieces of them, and a reading's
# time of arrival is late by no more than that.
GATHER_S = 0.03
LOOK_S = 0.1
STOPPED = "the gateway stops"

logger = logging.getLogger(__name__)


class Line:
    """Follows one line from `start` to `stop`.

    `make_driver` and `describe` are called for each new start of the line, `open_port` for each opening; the latter
    raises LineGoneError. `is_there` tells whether the device exists, None where that cannot be told.
    """

    def __init__(
        self,
        name: str,
        *,
        make_driver: Callable[[], Driver],
        describe: Callable[[Driver], Subject],
        open_port: Callable[[Driver], Port],
        is_there: Callable[[], bool | None],
        chains: Chains,
        limits: Limits,
        clock: Clock,
        tape: Tape | None = None,
        disk: DiskGuard | None = None,
    ) -> None:
        self.name = name
        self._make_driver, self._describe, self._open_port = make_driver, describe, open_port
        self._is_there = is_there
        self._chains, self._limits, self._clock = chains, limits, clock
        self._tape, self._disk, self._repeats = tape or Tape(name), disk, Repeats()
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._complained = ""
        self._thread = threading.Thread(target=self._run, name=f"line {name}", daemon=True)

    def start(self) -> None:
        """Begin to follow the line."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Close the open entry and the line soon; `join` waits for it."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the line has stopped within the time: then all that it received was put."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    def _run(self) -> None:
        after = (GapReason.UNPLUGGED, "")
        while not self._stop.is_set():
            try:
                self._follow(after)
            except Exception as error:  # the outermost loop of this line
                logger.exception("line %s failed and is started again", self.name)
                detail = clean(f"{type(error).__name__}: {error}", 256)
                after = (GapReason.CRASH, detail)
                with self._chains.together():
                    self._tape.drop()
                    self._chains.release(self.name)
                incident = Incident(clean(f"line {self.name}", 32), detail)
                now = self._clock.now()
                self._chains.put(self.name, Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, now, event=incident))
                self._stop.wait(self._backoff.failed())

    def _follow(self, after: tuple[GapReason, str]) -> None:
        driver = self._make_driver()
        source = Source(driver, self._repeats)
        recorder = Recorder(self._describe(driver), self._chains, self._limits, after, self._tape)
        while not self._stop.is_set():
            try:
                with self._open_port(driver) as port:
                    self._complain("")
                    self._attend(port, source, recorder)
            except LineGoneError as gone:
                self._complain(str(gone))
                self._close(recorder, GapReason.UNPLUGGED, str(gone))
                self._wait(self._backoff.failed())
            else:
                self._close(recorder, GapReason.UNPLUGGED, STOPPED)

    def _wait(self, seconds: float) -> None:
        """Wait before the next try; a device that turns up is opened at once, because its bytes are lost till then."""
        missing = self._is_there() is False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, LOOK_S)):
            if missing and self._is_there():
                return

    def _close(self, recorder: Recorder, reason: GapReason, detail: str) -> None:
        with self._chains.together():
            recorder.closed(reason, detail)

    def _attend(self, port: Port, source: Source, recorder: Recorder) -> None:
        self._begin(port, source, recorder)
        while not self._stop.is_set():
            if self._disk is not None and self._disk.stopped:
                self._close(recorder, GapReason.DISK_FULL, FULL_DETAIL)
                self._drop(port, recorder, self._disk)
                self._begin(port, source, recorder)
            data = port.read(READ_S)
            if data:
                self._backoff.worked()
                now = self._clock.now()
                with self._chains.together():
                    recorder.chunk(Direction.RECEIVED, data, now)
                    recorder.events(source.receive(data, now.mono_us), now)
                self._send(port, source, recorder)
            now = self._clock.now()
            with self._chains.together():
                found = source.tick(now.mono_us)
                if found:
                    recorder.events(found, now)
                recorder.tick(now)
            self._send(port, source, recorder)
            if data:
                self._stop.wait(GATHER_S)

    def _begin(self, port: Port, source: Source, recorder: Recorder) -> None:
        if self._stop.is_set() or (self._disk is not None and self._disk.stopped):
            return
        now = self._clock.now()
        source.opened(now.mono_us)
        with self._chains.together():
            recorder.opened(now)
        self._send(port, source, recorder)

    def _drop(self, port: Port, recorder: Recorder, disk: DiskGuard) -> None:
        """Count what comes until there is room for it again."""
        while disk.stopped and not self._stop.is_set():
            recorder.missed(len(port.read(READ_S)))

    def _send(self, port: Port, source: Source, recorder: Recorder) -> None:
        data = source.to_send(self._clock.now().mono_us)
        if data:
            port.write(data)
            now = self._clock.now()
            with self._chains.together():
                recorder.chunk(Direction.SENT, data, now)

    def _complain(self, trouble: str) -> None:
        """Log a change; a line that cannot be opened is tried for ever, and says so once."""
        if trouble != self._complained:
            self._complained = trouble
            if trouble:
                logger.warning("line %s: %s", self.name, trouble)
            else:
                logger.info("line %s is open", self.name)
