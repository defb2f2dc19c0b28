"""One thread for one line: it opens it, feeds driver and recorder what was read, sends, and opens the line again.

    ten times a second   while bytes come: `gateway.intake` reads what is there, and takes the time
    once a second        a turn: driver and recorder are fed all that was read, each piece with its time, right before
                         the commit (`gateway.agent`), which waits a moment for lines that are late

So the commit finds the whole second, and code that is cold runs once for it. After a driver has sent something each
read is a turn, because device or driver may wait for an answer: until something came and the driver has nothing more to
say to it, for two seconds at most.

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
from gateway.draft import Draft, Instant
from gateway.drivers.api import Driver
from gateway.held import HeldPort, Life, RevokedError
from gateway.identity import clean
from gateway.inbox import MAX_WAITING
from gateway.intake import Intake
from gateway.placement import Subject
from gateway.port import Backoff, LineGoneError, Port
from gateway.recorder import Limits, Recorder
from gateway.repeats import Repeats
from gateway.source import Source
from gateway.tape import Tape
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import Incident
from vitaledger.marks import Direction, GapReason

TURN_S = 1.0
PROMPT_S, READ_S = 2.0, 0.24  # so long after something was sent, a turn four times a second or more
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
        intake: Intake,
        tape: Tape | None = None,
        disk: DiskGuard | None = None,
    ) -> None:
        self.name = name
        self._make_driver, self._describe, self._open_port = make_driver, describe, open_port
        self._is_there = is_there
        self._chains, self._limits, self._clock, self._intake = chains, limits, clock, intake
        self._tape, self._disk, self._repeats = tape or Tape(name), disk, Repeats()
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._complained = ""
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
        if (inbox := self._life.inbox) is not None:
            inbox.wake()

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
        inbox = self._life.inbox
        since = inbox.waits_since if inbox is not None else None
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
        return HeldPort(self.name, port, life, self._intake, self._clock)

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
        inbox, turn = port.inbox, time.monotonic() // TURN_S
        self._begin(port, source, recorder)
        try:
            while not self._stop.is_set():
                if self._disk is not None and self._disk.stopped:
                    self._feed(port, source, recorder)
                    self._close(recorder, GapReason.DISK_FULL, FULL_DETAIL)
                    self._drop(port, recorder, self._disk)
                    self._begin(port, source, recorder)
                prompt = time.monotonic() < inbox.prompt_until
                port.wait(_left_of(READ_S if prompt else TURN_S))
                before, turn = turn, time.monotonic() // TURN_S
                if turn != before or prompt or inbox.waiting >= MAX_WAITING:
                    self._turn(port, source, recorder)
        except LineGoneError:
            self._feed(port, source, recorder)  # it came before
            raise
        self._feed(port, source, recorder)

    def _turn(self, port: HeldPort, source: Source, recorder: Recorder) -> None:
        mine = _TURNSTILE.acquire(timeout=TURNSTILE_S)
        try:
            self._take_turn(port, source, recorder)
        finally:
            if mine:
                _TURNSTILE.release()

    def _take_turn(self, port: HeldPort, source: Source, recorder: Recorder) -> None:
        fed = self._feed(port, source, recorder)
        now = self._now(port)
        if fed:
            port.inbox.prompt_until = 0.0  # it was heard; a driver that says more because of it is prompt again
            now = self._send(port, source, recorder, now)
        found = source.tick(now.mono_us)
        port.check()
        with self._chains.together():
            if found:
                recorder.events(found, now)
            recorder.tick(now)
        self._send(port, source, recorder, now)

    def _now(self, port: HeldPort) -> Instant:
        port.inbox.told = now = self._clock.now()
        return now

    def _feed(self, port: HeldPort, source: Source, recorder: Recorder) -> bool:
        """Give driver and recorder what waits; whether there was anything."""
        fed = False
        for data, at in port.inbox.pieces():
            found = source.receive(data, at.mono_us)  # not under the lock: a driver may get stuck
            port.check()
            with self._chains.together():
                recorder.chunk(Direction.RECEIVED, data, at)
                recorder.events(found, at)
            fed = True
        if fed:
            self._backoff.worked()
        return fed

    def _begin(self, port: HeldPort, source: Source, recorder: Recorder) -> None:
        if self._stop.is_set() or (self._disk is not None and self._disk.stopped):
            return
        now = self._now(port)
        source.opened(now.mono_us)
        with self._chains.together():
            recorder.opened(now)
        self._send(port, source, recorder, now)

    def _drop(self, port: HeldPort, recorder: Recorder, disk: DiskGuard) -> None:
        """Count what comes until there is room for it again."""
        while disk.stopped and not self._stop.is_set():
            port.wait(READ_S)
            recorder.missed(sum(len(data) for data, _ in port.inbox.pieces()))

    def _send(self, port: HeldPort, source: Source, recorder: Recorder, now: Instant) -> Instant:
        """Send what the driver wants to; answers the time, which has gone on where something was sent."""
        data = source.to_send(now.mono_us)
        if data:
            port.write(data)
            port.inbox.prompt_until = time.monotonic() + PROMPT_S
            now = self._now(port)
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


def _left_of(period_s: float) -> float:
    """Seconds until all lines turn: together, because code that has just run is in the processor's cache."""
    return period_s - time.monotonic() % period_s
