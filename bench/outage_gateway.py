"""The outage itself: a gateway's recorders, store and uplink through days without a collector, by a driven clock.

    python -m bench.outage_gateway gateway.toml --hours 72 --seed 7      prints a JSON line an hour and one at the end

Real: the drivers and what judges them, the recorders, the journal, the store with a FULL commit each simulated second,
heads each minute, the guard of the disk, pruning, and the uplink's state machine, which is offline. Not here: ports,
lines' threads and the network, which have nothing to do. The wall clock ends when this program was begun, so that what
follows in real time comes after it.
"""

import argparse
import json
import os
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from bench.outage_devices import MIX, STEP_US, Devices, Stretch
from bench.ward import rss_mb
from gateway import config, keys
from gateway.chains import Chains
from gateway.clock import ClockWatch
from gateway.disk import DiskGuard
from gateway.draft import Draft, Instant
from gateway.drivers.load import load
from gateway.journal import Journal
from gateway.ledgers import Ledgers
from gateway.placement import Subject
from gateway.reader import Reader
from gateway.recorder import Limits, Recorder
from gateway.source import Source
from gateway.store import Store
from gateway.uplink import Uplink
from vitaledger import events
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.keys import verifier_of
from vitaledger.marks import Direction, GapReason

_SECOND_US = 1_000_000
_STEPS = _SECOND_US // STEP_US
_BOOTED_US = 1_000 * _SECOND_US


class DrivenClock:
    """Both clocks of a machine that was booted a while before; time passes when it is told to."""

    def __init__(self, wall_ms: int) -> None:
        self.boot_id = os.urandom(16)
        self.passed_us = 0
        self._wall_ms = wall_ms

    def now(self) -> Instant:
        return Instant(_BOOTED_US + self.passed_us, self._wall_ms + self.passed_us // 1000, 4, self.boot_id)

    @property
    def seconds(self) -> float:
        return self.passed_us / _SECOND_US


class Line:
    """One port: what `gateway.line` does, without the port and the thread."""

    def __init__(self, port: config.PortConfig, chains: Chains, journal: Journal, limits: Limits) -> None:
        driver = load(port.driver or "")(may_send=port.sends, options=port.options)
        subject = Subject(
            port.name, driver.NAME, driver.VERSION, driver.CHECK, port.use_mark, driver.signals, driver.waves, None
        )
        self.name = port.name
        self._source = Source(driver)
        self._recorder = Recorder(subject, chains, limits, tape=journal.tape(port.name, driver.NAME))

    def open(self, now: Instant) -> None:
        self._source.opened(now.mono_us)
        self._recorder.opened(now)

    def step(self, data: bytes, now: Instant) -> None:
        if data:
            found = self._source.receive(data, now.mono_us)
            self._recorder.chunk(Direction.RECEIVED, data, now)
            self._recorder.events(found, now)
        if found := self._source.tick(now.mono_us):
            self._recorder.events(found, now)
        self._recorder.tick(now)
        if sent := self._source.to_send(now.mono_us):
            self._recorder.chunk(Direction.SENT, sent, now)

    def close(self) -> None:
        self._recorder.closed(GapReason.UNPLUGGED, "the gateway stops")


class Outage:
    """The gateway's parts, wired as `gateway.agent` wires them."""

    def __init__(self, settings: config.Config, store: Store, reader: Reader, clock: DrivenClock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._disk = DiskGuard(settings.state, round(settings.record.min_free_mb * 2**20))
        self._disk.begin()
        self._watch, self._chains = ClockWatch(), Chains({}, clean=True)
        self._journal = Journal(store.journal_end, clock.boot_id, clean=True)
        record = settings.record
        limits = Limits(
            round(record.entry_seconds * _SECOND_US), _SECOND_US, record.entry_readings, keep_raw=record.keep_raw
        )
        self._lines = [Line(port, self._chains, self._journal, limits) for port in settings.ports]
        key = verifier_of(keys.load(settings.key, settings.origin).vkey)
        self._uplink = Uplink(settings.origin, key, Ledgers.pinned(settings.ledger_verifier), reader)
        self._commit(
            [
                self._own(events.Boot(version("vitaledger")[:32], os.urandom(16), 1, "first start")),
                self._own(events.Config(settings.digest)),
                self._own(events.Heads((), None)),
            ]
        )
        for line in self._lines:
            line.open(clock.now())

    def play(self, stretch: Stretch) -> None:
        """Let a stretch of time pass, with a commit each second."""
        for n, step in enumerate(stretch.steps, 1):
            self._clock.passed_us += STEP_US
            now = self._clock.now()
            for line in self._lines:
                line.step(step.get(line.name, b""), now)
            if n % _STEPS == 0:
                self._second(now)

    def _second(self, now: Instant) -> None:
        stepped = self._watch.look(now)
        told: list[events.Event] = [] if stepped is None else [events.ClockStep(stepped, now.bound_ms)]
        told += self._disk.look(lambda: self._store.reusable)
        drafts = [*map(self._own, told), *self._chains.take()]
        second = round(self._clock.seconds)
        if second % 60 == 0:
            drafts.append(self._own(events.Heads((), None)))
        self._commit(drafts)
        if second % 10 == 0:
            older_ms = now.wall_ms - round(self._settings.record.retention_days * 86_400_000)
            self._store.prune(self._store.custody, older_ms)

    def _commit(self, drafts: list[Draft]) -> None:
        self._store.commit(drafts, None if self._store.empty and not self._store.size else self._journal.step())
        seconds = self._clock.seconds
        published = [*self._uplink.sealed(seconds), *self._uplink.tick(seconds)]
        if published:
            raise AssertionError(f"the uplink is offline and wants to send {published[0]}")

    def end(self) -> None:
        """Stop as a gateway that is asked to."""
        for line in self._lines:
            line.close()
        self._commit([*self._chains.take(), self._own(events.Heads((), None)), self._own(events.Stop("asked to"))])

    def _own(self, event: events.Event) -> Draft:
        return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, self._clock.now(), event=event)


def run(path: Path, hours: float, seed: int) -> None:
    """Play the outage into the gateway's state."""
    settings = config.load(path)
    seconds = round(hours * 3600)
    clock = DrivenClock(time.time_ns() // 1_000_000 - seconds * 1000)
    signer = keys.load(settings.key, settings.origin)
    if {port.name for port in settings.ports} != set(MIX):
        raise SystemExit(f"{path}: expected the ports {', '.join(MIX)}")
    began = time.monotonic()
    readings = samples = 0
    with (
        Devices(seconds, seed) as devices,
        Store.open(settings.state, signer, random=os.urandom) as store,
        Reader.open(settings.state) as reader,
    ):
        outage = Outage(settings, store, reader, clock)
        for stretch in devices.stretches():
            outage.play(stretch)
            readings, samples = stretch.readings, stretch.samples
            if round(clock.seconds) % 3600 == 0:
                _tell(hour=round(clock.seconds / 3600), entries=store.size, rss_mb=rss_mb(os.getpid()))
        outage.end()
        took = time.monotonic() - began
        _tell(
            entries=store.size, readings=readings, samples=samples, rss_mb=rss_mb(os.getpid()), seconds=took, end=True
        )


def _tell(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description="Play an outage into a gateway's state.")
    options.add_argument("config", type=Path)
    options.add_argument("--hours", type=float, default=72.0)
    options.add_argument("--seed", type=int, default=7)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the devices end, too
    run(chosen.config, chosen.hours, chosen.seed)


if __name__ == "__main__":
    main()
