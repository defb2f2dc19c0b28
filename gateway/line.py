"""One thread for one line: it reads, takes the time, feeds driver and recorder, sends, and opens the line again.

    ten times a second   while bytes come: read what is there, and take the time
    once a second        a turn: driver and recorder are fed all that was read, each piece with its time, right before
                         the commit (`gateway.agent`), which waits a moment for lines that are late

So the commit finds the whole second, and code that is cold runs once for it. For two seconds after a driver has sent
something each read is a turn: device or driver may wait for an answer.

Driver and recorder are touched by this thread alone. Whatever goes wrong in them costs this line one restart, is
sealed as an incident on the gateway's own chain, and touches no other line: what was open is lost inside a gap that
begins with the last datum that was put. While the disk is full the line stands, and what comes is counted and not kept.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from gateway.chains import Chains
from gateway.clock import Clock
from gateway.disk import FULL_DETAIL, DiskGuard
from gateway.draft import Draft, Instant
from gateway.drivers.api import Driver
from gateway.held import HeldPort, Life, RevokedError
from gateway.identity import clean
from gateway.placement import Subject
from gateway.port import READ_SIZE, Backoff, LineGoneError, Port
from gateway.recorder import Limits, Recorder
from gateway.repeats import Repeats
from gateway.source import Source
from gateway.tape import Tape
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import Incident
from vitaledger.marks import Direction, GapReason

TURN_S = 1.0
MAX_WAITING = 4096  # bytes that wait for the turn: with as many it is now
PROMPT_S, READ_S = 2.0, 0.24  # so long after something was sent, a turn four times a second or more
# Bytes of a slow line come one by one, frames of a fast one 75 times a second. Waiting this long for more of them makes
# few pieces of them; a reading's time of arrival is late by no more than that.
GATHER_S = 0.1
LOOK_S = 0.1
STOPPED = "the gateway stops"

# Lines that turn at once would take the interpreter from each other at every call; one that is stuck holds up none.
TURNSTILE_S = 0.1
_TURNSTILE = threading.Lock()

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
        self._prompt_until = 0.0
        self._received = 0  # by the runs before this one
        self._given_up: list[tuple[float, threading.Thread]] = []
        self._life = Life()
        self._thread = self._make_thread((GapReason.UNPLUGGED, ""))

    def _make_thread(self, after: tuple[GapReason, str]) -> threading.Thread:
        return threading.Thread(target=self._run, args=(self._life, after), name=f"line {self.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow the line."""
        self._thread.start()

    def restart(self, detail: str) -> None:
        """Give up the thread, which has ended or got stuck, and follow the line with another one."""
        self._life.revoked = True
        if self._thread.is_alive():
            self._given_up.append((time.monotonic(), self._thread))
        self._received += self._life.received
        after = self._failed(detail)
        self._life = Life()
        self._thread = self._make_thread(after)
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

    @property
    def came_round(self) -> float:
        """When the thread last got something done, by time.monotonic."""
        return self._life.came_round

    @property
    def given_up(self) -> float | None:
        """Since when a thread that was given up is stuck; None where none is."""
        self._given_up = [(since, thread) for since, thread in self._given_up if thread.is_alive()]
        return self._given_up[0][0] if self._given_up else None

    def is_behind(self, turn: float) -> bool:
        """Whether bytes that came before `turn` (time.monotonic) have not been fed to driver and recorder yet."""
        since = self._life.waits_since
        return since is not None and since < turn and self._thread.is_alive()

    @property
    def received(self) -> int:
        """Bytes that came, since the start."""
        return self._received + self._life.received

    def _run(self, life: Life, after: tuple[GapReason, str]) -> None:
        while not self._stop.is_set():
            try:
                self._follow(life, after)
            except RevokedError:
                return  # another thread follows the line by now
            except Exception as error:  # the outermost loop of this line
                if life.revoked:
                    return
                logger.exception("line %s failed and is started again", self.name)
                life.waits_since = None  # what waited is lost with what was open
                after = self._failed(clean(f"{type(error).__name__}: {error}", 256))
                self._stop.wait(self._backoff.failed())

    def _failed(self, detail: str) -> tuple[GapReason, str]:
        """Seal the incident; what was open is lost inside the gap that is answered."""
        with self._chains.together():
            self._tape.drop()
            self._chains.release(self.name)
        incident = Incident(clean(f"line {self.name}", 32), detail)
        now = self._clock.now()
        self._chains.put(self.name, Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, now, event=incident))
        return GapReason.CRASH, detail

    def _open(self, driver: Driver, life: Life) -> HeldPort:
        life.check()
        port = self._open_port(driver)
        try:
            life.check()
        except RevokedError:
            port.close()
            raise
        return HeldPort(port, life)

    def _follow(self, life: Life, after: tuple[GapReason, str]) -> None:
        driver = self._make_driver()
        source, subject = Source(driver, self._repeats), self._describe(driver)
        life.check()
        with self._chains.together():
            recorder = Recorder(subject, self._chains, self._limits, after, self._tape)
        while not self._stop.is_set():
            try:
                with self._open(driver, life) as port:
                    self._complain("")
                    self._attend(port, source, recorder)
            except LineGoneError as gone:
                life.check()
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

    def _attend(self, port: HeldPort, source: Source, recorder: Recorder) -> None:
        waiting = _Waiting()
        self._begin(port, source, recorder)
        try:
            while not self._stop.is_set():
                if self._disk is not None and self._disk.stopped:
                    self._feed(waiting, port, source, recorder)
                    self._close(recorder, GapReason.DISK_FULL, FULL_DETAIL)
                    self._drop(port, recorder, self._disk)
                    self._begin(port, source, recorder)
                prompt = time.monotonic() < self._prompt_until
                data = port.read(_left_of(READ_S if prompt else TURN_S))
                now = self._clock.now()
                if data:
                    self._backoff.worked()
                    waiting.add(data, now)
                if waiting.is_turn(time.monotonic()) or prompt:
                    self._turn(waiting, port, source, recorder, now)
                if 0 < len(data) < READ_SIZE:  # else more is waiting already
                    time.sleep(_left_of(GATHER_S))
        except LineGoneError:
            self._feed(waiting, port, source, recorder)  # it came before
            raise
        self._feed(waiting, port, source, recorder)

    def _turn(self, waiting: "_Waiting", port: HeldPort, source: Source, recorder: Recorder, now: Instant) -> None:
        mine = _TURNSTILE.acquire(timeout=TURNSTILE_S)
        try:
            self._take_turn(waiting, port, source, recorder, now)
        finally:
            if mine:
                _TURNSTILE.release()

    def _take_turn(self, waiting: "_Waiting", port: HeldPort, source: Source, recorder: Recorder, now: Instant) -> None:
        if waiting.pieces:
            self._feed(waiting, port, source, recorder)
            now = self._send(port, source, recorder, now)
        found = source.tick(now.mono_us)
        port.check()
        with self._chains.together():
            if found:
                recorder.events(found, now)
            recorder.tick(now)
        self._send(port, source, recorder, now)

    def _feed(self, waiting: "_Waiting", port: HeldPort, source: Source, recorder: Recorder) -> None:
        """Give driver and recorder what waits."""
        while waiting.pieces:
            data, at = waiting.take()
            found = source.receive(data, at.mono_us)  # not under the lock: a driver may get stuck
            port.check()
            with self._chains.together():
                recorder.chunk(Direction.RECEIVED, data, at)
                recorder.events(found, at)
        port.fed()

    def _begin(self, port: HeldPort, source: Source, recorder: Recorder) -> None:
        if self._stop.is_set() or (self._disk is not None and self._disk.stopped):
            return
        now = self._clock.now()
        source.opened(now.mono_us)
        with self._chains.together():
            recorder.opened(now)
        self._send(port, source, recorder, now)

    def _drop(self, port: HeldPort, recorder: Recorder, disk: DiskGuard) -> None:
        """Count what comes until there is room for it again."""
        while disk.stopped and not self._stop.is_set():
            recorder.missed(len(port.read(READ_S)))
            port.fed()

    def _send(self, port: HeldPort, source: Source, recorder: Recorder, now: Instant) -> Instant:
        """Send what the driver wants to; answers the time, which has gone on where something was sent."""
        data = source.to_send(now.mono_us)
        if data:
            port.write(data)
            self._prompt_until = time.monotonic() + PROMPT_S
            now = self._clock.now()
            with self._chains.together():
                recorder.chunk(Direction.SENT, data, now)
        return now

    def _complain(self, trouble: str) -> None:
        """Log a change; a line that cannot be opened is tried for ever, and says so once."""
        if trouble != self._complained:
            self._complained = trouble
            if trouble:
                logger.warning("line %s: %s", self.name, trouble)
            else:
                logger.info("line %s is open", self.name)


class _Waiting:
    """What was read and not fed yet, each piece with its time; for one opening of the line."""

    __slots__ = ("_size", "_turn", "pieces")

    def __init__(self) -> None:
        self.pieces: deque[tuple[bytes, Instant]] = deque()
        self._size = 0
        self._turn = time.monotonic() // TURN_S

    def add(self, data: bytes, now: Instant) -> None:
        self.pieces.append((data, now))
        self._size += len(data)

    def take(self) -> tuple[bytes, Instant]:
        piece = self.pieces.popleft()
        self._size -= len(piece[0])
        return piece

    def is_turn(self, at: float) -> bool:
        """Whether a turn has begun since the last one, or as much waits as may."""
        before, self._turn = self._turn, at // TURN_S
        return self._turn != before or self._size >= MAX_WAITING


def _left_of(period_s: float) -> float:
    """Seconds until all lines turn: together, because code that has just run is in the processor's cache."""
    return period_s - time.monotonic() % period_s
