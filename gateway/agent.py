"""The gateway as a process: one thread that reads, one a line, this one that commits, and the uplink's.

    start   open the store; seal boot, what a killed run had read, configuration, heads; then open lines and uplink
    1 s     after the lines' turn: take what the recorders made, add what the gateway has to say, journal what is open,
            commit, tell the uplink
    stop    close the lines, so that all open entries are sealed; heads and stop; wait for the receipt; exit 0
    fork    once the collector has taken the successor: as at a stop, and all of it begins again with the next log

A commit that fails ends the process with a message and exit code 1, for its supervisor to start it again: nothing
goes on as if it had been sealed. Between the arrival of a byte and its sealing lie at most an entry's time and a
second; but after one second it is in the journal, and the next start seals it. What was read in the last second goes
with a kill; it lies inside the gap that the next start seals.
"""

import logging
import os
import random
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

from gateway import generations, keys, last_words, ledgers, schema, service
from gateway.actions import Fork
from gateway.carry import Carry, Predecessor
from gateway.chains import Chains
from gateway.clock import ClockWatch, SystemClock
from gateway.config import Config, MetricsConfig, PortConfig
from gateway.counts import Counts
from gateway.disk import DiskGuard
from gateway.draft import Draft
from gateway.drivers.api import Driver
from gateway.drivers.load import available, load
from gateway.identity import DeclaredIdentity, clean
from gateway.intake import Intake
from gateway.journal import Journal, Step
from gateway.journal import read as read_journal
from gateway.line import TURN_S, Line
from gateway.mqtt import Link
from gateway.placement import Subject
from gateway.port import Port, is_there
from gateway.reader import Reader
from gateway.receipts import VerifiedReceipt
from gateway.recorder import Limits
from gateway.salvage import Salvaged, Wired, salvage
from gateway.store import DraftError, Store
from gateway.throttle import Throttle
from gateway.uplink import Progress, Uplink
from gateway.watchdog import Watchdog
from vitaledger import events, proof, succession
from vitaledger.entry import GATEWAY_CHAIN, Kind, parse_leaf
from vitaledger.errors import MisuseError, VitaledgerError
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.messages import Health, Status

COMMIT_S = TURN_S
AFTER_S = 0.05  # after the turn of the lines
LATE_S = 0.5  # so long the commit waits for lines that have not had their turn, because the machine is busy
HEADS_S = 60.0
PRUNE_S = 10.0
MAX_ALARMS, ALARMS_S = 30, 600.0  # incidents of the uplink: what the other side says decides how many there are
LINES_STOP_S = 8.0  # more than opening a TCP line may take
_DAY_MS = 86_400_000

logger = logging.getLogger(__name__)


def run(config: Config, *, ready: Callable[[], object] | None = None, stop: threading.Event | None = None) -> int:
    """Run until SIGINT, SIGTERM or `stop`; answers the exit code. `ready` is called once the lines are being opened.

    Raises:
        VitaledgerError: it cannot start; says why.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = stop or threading.Event()
    lines = [_Wiring(port) for port in config.ports]  # a wrong driver is known before anything is sealed
    with service.stopped_by_signals(stop):
        here: Config | None = generations.newest(config)
        code = 0
        while here is not None:
            signer = keys.load(here.key, here.origin)
            disk = DiskGuard(here.state, round(config.record.min_free_mb * 2**20))
            disk.begin()
            with Store.open(here.state, signer, random=os.urandom) as store, Reader.open(here.state) as reader:
                with _predecessor(config, here) as old:
                    agent = Agent(config, here, signer, store, reader, lines, disk, old)
                    code = agent.run(stop, ready)
                here, ready = agent.successor, None
    logger.info("stopped")
    return code


@contextmanager
def _predecessor(first: Config, here: Config) -> Iterator[Predecessor | None]:
    """The log before, open for reading; None for the first, and where it was taken away after all was carried over."""
    before = generations.before(first, here)
    if before is None or (generations.is_carried(here) and not (before.state / schema.DATABASE).is_file()):
        yield None
        return
    with Reader.open(before.state) as old:
        key = verifier_of(keys.load(before.key, before.origin).vkey)
        yield Predecessor(old, key, ledgers.load(first))


class _Wiring:
    """How one port of the configuration becomes a line."""

    def __init__(self, port: PortConfig) -> None:
        if port.driver is None:
            raise MisuseError(f"port {port.name}: name its driver; there are {', '.join(sorted(available()))}")
        self.port = port
        self._driver = load(port.driver)
        self.name = self.make_driver().NAME

    def make_driver(self) -> Driver:
        return self._driver(may_send=self.port.sends, options=self.port.options)

    def describe(self, driver: Driver) -> Subject:
        declared = self.port.declared
        return Subject(
            self.port.name,
            driver.NAME,
            driver.VERSION,
            driver.CHECK,
            self.port.use_mark,
            driver.signals,
            driver.waves,
            DeclaredIdentity(declared.make, declared.model, declared.serial) if declared is not None else None,
        )

    def open_port(self, driver: Driver) -> Port:
        return Port(self.port.device, driver.line)


class Agent:
    """All parts of a running gateway. `run` is called once."""

    def __init__(
        self,
        first: Config,
        config: Config,
        signer: Ed25519Signer,
        store: Store,
        reader: Reader,
        wirings: Sequence[_Wiring],
        disk: DiskGuard,
        old: Predecessor | None = None,
    ) -> None:
        self._first, self._config, self._store, self._reader, self._old = first, config, store, reader, old
        self._disk = disk
        self.successor: Config | None = None  # set by the uplink's thread: this log ends, that one goes on
        self._clock = SystemClock()
        self._watch = ClockWatch()
        self._run_id = os.urandom(16)
        self._version = version("vitaledger")
        self._commit_ms: deque[float] = deque(maxlen=600)
        self._counts = Counts()
        self._alarms = Throttle(MAX_ALARMS, ALARMS_S)
        self._unmeasure: Callable[[], None] = lambda: None
        self._carry: Carry | None = None
        if old is not None and not generations.is_carried(config):
            self._carry = old.carry(reader, self._clock.now)
        record = config.record
        limits = Limits(
            round(record.entry_seconds * 1_000_000),
            round((COMMIT_S + AFTER_S) * 1_000_000),
            record.entry_readings,
            keep_raw=record.keep_raw,
        )
        self._salvaged = self._salvage(
            {each.port.name: Wired(each.make_driver, each.describe) for each in wirings}, limits
        )
        clean = store.stopped_cleanly or (store.empty and old is not None)
        self._chains = Chains(self._salvaged.clocks, clean=clean)
        self._journal = Journal(store.journal_end, self._clock.boot_id, clean=store.stopped_cleanly)
        self._intake = Intake(self._clock, partial(self._incident, "intake"))
        self._lines = [
            Line(
                wiring.port.name,
                make_driver=wiring.make_driver,
                describe=wiring.describe,
                open_port=wiring.open_port,
                is_there=partial(is_there, wiring.port.device),
                chains=self._chains,
                limits=limits,
                clock=self._clock,
                intake=self._intake,
                tape=self._journal.tape(wiring.port.name, wiring.name),
                disk=disk,
            )
            for wiring in wirings
        ]
        believed = ledgers.load(first)
        ledgers.save(first, believed)
        newest = reader.newest_receipt()
        self._in_custody = newest is not None and believed.covers(newest.proof)
        uplink = Uplink(
            config.origin,
            verifier_of(signer.vkey),
            believed,
            reader,
            custody=store.custody if self._in_custody else 0,
            ledger=store.newest_ledger() if self._in_custody else None,
            anchor_s=config.mqtt.anchor_every_s,
            first_id=random.SystemRandom().randrange(1, 2**40),
            notes=generations.notes(first, config),
            ledger_note=None if newest is None else proof.parse(newest.proof).checkpoint,
        )
        self._link = Link(
            config.mqtt,
            config.gateway,
            uplink,
            save=self._save_receipt,
            alarm=self._alarm,
            status=self._status,
            health=self._health,
            prepare=self._prepare,
            succeeded=self._succeeded,
            save_ledgers=self._save_ledgers,
        )
        self._watchdog = Watchdog(
            self._lines,
            self._intake,
            self._link,
            clock=time.monotonic,
            stalled=partial(last_words.end, config.state),
            feed=partial(service.notify, "WATCHDOG=1"),
        )

    def run(self, stop: threading.Event, ready: Callable[[], object] | None) -> int:
        """See the module's docstring."""
        try:
            self._begin()
            last_words.forget(self._config.state)
            if self._config.metrics is not None:
                self._measure(self._config.metrics)
            self._intake.start()
            for line in self._lines:
                line.start()
            self._link.start()
            service.notify("READY=1")
            if ready is not None:
                ready()
            self._watchdog.start()
            failure = self._work(stop)
            self._watchdog.stop()
            self._unmeasure()
            if self.successor is None:
                service.notify("STOPPING=1")
            self._stop_lines()
            drafts, step = self._take()
            self._commit([*drafts, *self._ending(failure)], step)
        except VitaledgerError as error:
            self._watchdog.stop()
            self._unmeasure()
            logger.critical("the log cannot be written, this process ends: %s", error)
            self._stop_lines()
            self._link.stop()
            return 1
        if failure is None and self.successor is None:
            self._await_receipt(stop)
        self._link.stop()
        return 0 if failure is None else 1

    def _measure(self, where: MetricsConfig) -> None:
        from gateway.metrics import Metrics, Sources  # noqa: PLC0415  without that section nothing of it is loaded

        sources = Sources(
            self._version,
            self._config.state,
            self._counts,
            self._clock,
            self._lines,
            self._link,
            self._chains,
            self._watchdog,
        )
        metrics = Metrics(sources)
        try:
            port = metrics.start(where.host, where.port)
            self._unmeasure = metrics.stop
            logger.info("metrics: http://%s:%d/metrics", where.host, port)
        except MisuseError as error:
            logger.error("%s", error)  # noqa: TRY400  nothing that is recorded depends on it

    # What the gateway says of itself

    def _own(self, event: events.Event) -> Draft:
        return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, self._clock.now(), event=event)

    def _salvage(self, wired: dict[str, Wired], limits: Limits) -> Salvaged:
        """What a killed run had read; a journal that is damaged is told, and left to the gap."""
        store = self._store
        known = {} if self._old is None else self._old.last_clocks()
        known |= {chain: store.last_clock(chain) for chain in store.heads() if chain != GATEWAY_CHAIN}
        try:
            found = read_journal(store.journal())
        except VitaledgerError as error:
            logger.critical("what was read before the end of the last run is lost: %s", error)
            return Salvaged((), known, 0, 0, (f"the journal is lost: {error}",))
        return salvage(found, known, wired, limits)

    def _begin(self) -> None:
        """Seal the start. The journal ends here: what it held is in these entries."""
        first, salvaged = self._store.empty, self._salvaged
        clean_stop = int(first or self._store.stopped_cleanly)
        detail = "first start" if first else "" if clean_stop else "the run before did not stop cleanly"
        empty = Step(self._store.journal_end, self._store.journal_end, None)
        step = None if first else empty
        told = last_words.read(self._config.state)
        succeeds = [self._own(self._old.succeeds())] if first and self._old is not None else []
        after = [
            *self._look_at_disk(),
            self._own(events.Config(self._config.digest)),
            *([self._own(events.Incident("before", clean(told, 256)))] if told else []),
            self._own(events.Heads((), None)),
        ]

        def boot(told: str) -> Draft:
            text = clean("; ".join(filter(None, (detail, told))), 256)
            return self._own(events.Boot(_version_text(self._version), self._run_id, clean_stop, text))

        if salvaged.detail:
            logger.warning("%s", salvaged.detail)
        try:
            self._commit([*succeeds, boot(salvaged.detail), *salvaged.drafts, *after], step)
        except DraftError as error:
            logger.critical("what was read before the end of the last run cannot be sealed: %s", error)
            lost = boot(f"{salvaged.bytes} bytes of the journal lost: {error}")
            self._commit([*succeeds, lost, *after], step)

    def _ending(self, failure: str | None) -> list[Draft]:
        if failure is not None:
            # No stop event: this was not on purpose, and the next start has to say so.
            return [self._own(events.Incident("agent", clean(failure, 256)))]
        why = "asked to" if self.successor is None else f"goes on as {self.successor.origin}"
        return [self._own(events.Heads((), None)), self._own(events.Stop(clean(why, 256)))]

    def _incident(self, part: str, detail: str) -> None:
        self._chains.put(part, self._own(events.Incident(part, clean(detail, 256))))

    def _alarm(self, text: str) -> None:
        if self._alarms.allows(time.monotonic()):
            missed = self._alarms.missed()
            self._incident("uplink", f"{text}; {missed} more were not sealed" if missed else text)

    def _clock_step(self) -> list[Draft]:
        now = self._clock.now()
        step = self._watch.look(now)
        if step is None:
            return []
        logger.warning("the wall clock was set by %d ms", step)
        return [self._own(events.ClockStep(step, now.bound_ms))]

    def _look_at_disk(self) -> list[Draft]:
        return [self._own(event) for event in self._disk.look(lambda: self._store.reusable)]

    # The committing loop

    def _work(self, stop: threading.Event) -> str | None:
        """Commit once a second; answers why that has to end although nobody asked for it."""
        turn = time.monotonic() // COMMIT_S
        heads_at = time.monotonic() + HEADS_S
        prune_at = 0.0
        while not stop.wait(max(0.0, (turn + 1) * COMMIT_S + AFTER_S - time.monotonic())):
            now = time.monotonic()
            turn = now // COMMIT_S
            self._await_turn(turn * COMMIT_S, now + LATE_S, stop)
            steps = [*self._clock_step(), *self._look_at_disk()]
            taken, journal = self._take()
            drafts = [*steps, *taken, *self._carried()]
            if now >= heads_at:
                heads_at = now + HEADS_S
                if drafts or not self._disk.stopped:  # what room there is, is for what happens
                    drafts.append(self._own(events.Heads((), None)))
            self._commit(drafts, journal)
            if now >= prune_at:
                prune_at = now + PRUNE_S
                before_ms = self._clock.now().wall_ms - round(self._config.record.retention_days * _DAY_MS)
                if self._in_custody:
                    self._store.prune(self._store.custody, before_ms)
            if (failure := self._watchdog.came_round()) is not None:
                logger.critical("%s: this process ends, to be started again", failure)
                return failure
            if self.successor is not None:
                return None
        return None

    def _await_turn(self, turn: float, until: float, stop: threading.Event) -> None:
        """What came before `turn` is journaled by this commit; lines that are late are waited for, not for long."""
        while any(line.is_behind(turn) for line in self._lines) and time.monotonic() < until:
            if stop.wait(0.01):
                return

    def _take(self) -> tuple[list[Draft], Step]:
        """The drafts, and what of the rest has to be journaled: of one moment."""
        with self._chains.together():
            return self._chains.take(), self._journal.step()

    def _commit(self, drafts: Sequence[Draft], journal: Step | None = None) -> None:
        began, size = time.monotonic(), self._store.size
        self._store.commit(drafts, journal)
        took = time.monotonic() - began
        self._commit_ms.append(took * 1000)
        self._counts.committed(drafts, took)
        if self._store.size > size:
            self._link.notify_sealed()

    def _stop_lines(self) -> None:
        for line in self._lines:
            line.ask_to_stop()
        end = time.monotonic() + LINES_STOP_S
        for line in self._lines:
            if line.alive and not line.join(max(0.0, end - time.monotonic())):
                logger.error("line %s does not stop; what it had open lies in the next start's gap", line.name)
        self._intake.stop()

    def _await_receipt(self, stop: threading.Event) -> None:
        """Give the uplink the time of an anchor to get the last entries receipted; asked again, stop at once."""
        stop.clear()
        end = time.monotonic() + self._config.mqtt.anchor_every_s + 2
        while self._link.connected and self._store.custody < self._store.size and time.monotonic() < end:
            if stop.wait(0.05):
                return
            self._store.commit(())  # with the receipt that came

    def _carried(self) -> list[Draft]:
        """The next entries of the log before; what was taken the last time is committed by now."""
        if self._carry is not None and not self._carry.left:
            generations.mark_carried(self._config)
            logger.info("everything of the log before was carried over")
            self._carry = None
        return [] if self._carry is None else self._carry.take()

    # What the uplink asks for, in its own thread

    def _prepare(self, fork: Fork) -> generations.Offer:
        return generations.prepare(self._first, self._config, self._reader, fork.last, fork.least, os.urandom)

    def _save_receipt(self, receipt: VerifiedReceipt) -> None:
        """It is stored with the next commit; after a kill before that the collector is asked for it again."""
        if self._store.keep_receipt(receipt, self._clock.now().wall_ms):
            self._in_custody = True

    def _save_ledgers(self, believed: ledgers.Ledgers) -> None:
        """What the ledger before had custody of, its collector may have lost: nothing is cleared under its receipts."""
        self._in_custody = False
        ledgers.save(self._first, believed)

    def _succeeded(self, note: bytes) -> None:
        number = succession.generation(succession.parse_unverified(note).new_origin)[1]
        self.successor = generations.of(self._first, number)
        logger.warning("%s ends; this gateway goes on as %s", self._config.origin, self.successor.origin)

    def _status(self) -> Status:
        ledger = self._store.newest_ledger()
        size = ledger.size if ledger is not None else 0
        boot_id = self._clock.boot_id
        return Status(1, self._run_id, boot_id, _version_text(self._version), self._store.size, size)

    def _health(self, progress: Progress) -> Health:
        custody, size = progress.custody, self._store.size
        oldest = None
        if custody < size and (leaves := self._reader.leaves(custody, custody + 1)):
            oldest = parse_leaf(leaves[0]).clock.wall_ms
        times = sorted(self._commit_ms.copy())
        p99 = round(times[(len(times) - 1) * 99 // 100]) if times else 0
        free = shutil.disk_usage(self._config.state).free
        return Health(size - custody, oldest, free, p99, self._clock.now().bound_ms)


def _version_text(text: str) -> str:
    """A version as entries take it."""
    return clean(text, 32)
