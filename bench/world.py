"""A gateway and a collector in one process, whose time passes when it is told to.

What the simulators send goes through the real drivers, recorders and store of a gateway and through its uplink to the
collector's real ledger step. Lines are read as often as `gateway.line` reads them, there is a commit a second and an
anchor every 10 s, raw bytes are kept. Keys and salts are random, everything else is the same each time.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.outage_gateway import DrivenClock, Line
from collector.enrolment import enroll
from collector.inbox import Message
from collector.ingest import Step
from collector.ledger import empty_head
from collector.store import Store as CollectorStore
from firmware_sim.scenario import parse
from firmware_sim.station import stations
from gateway.actions import Action, Publish, SaveReceipt
from gateway.chains import Chains
from gateway.config import PortConfig, RecordConfig
from gateway.draft import Draft
from gateway.intake import GATHER_S
from gateway.journal import Journal
from gateway.ledgers import Ledgers
from gateway.reader import Reader
from gateway.recorder import Limits
from gateway.store import Store
from gateway.uplink import Uplink
from vitaledger import events, messages
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.keys import Ed25519Signer, verifier_of

HEADS_S = 60
PROVIDER, GATEWAY = "bench.example", "ward-1"
_WALL_MS = 1_767_254_400_000  # 2026-01-01 08:00 UTC
_STEP_US = round(GATHER_S * 1_000_000)
_STEP_S = 0.25  # of the collector
_TURNS = 8


class World:
    """Some devices for some seconds. `up` and `down` are told each payload with the topic that it goes on."""

    def __init__(
        self,
        folder: Path,
        devices: Mapping[str, tuple[str, str]],
        seconds: int,
        up: Callable[[str, bytes], object],
        down: Callable[[str, bytes], object],
    ) -> None:
        self.received = 0
        self._up, self._down = up, down
        self._seconds, self._devices = seconds, devices
        self._clock = DrivenClock(_WALL_MS)
        key = Ed25519Signer(messages.gateway_origin(PROVIDER, GATEWAY), os.urandom(32))
        ledger = Ed25519Signer(messages.ledger_origin(PROVIDER), os.urandom(32))
        self._collector = CollectorStore.create(
            folder / "collector.sqlite", PROVIDER, str(ledger.vkey), empty_head(ledger)
        )
        enroll(self._collector, ledger, str(key.vkey), _WALL_MS - 1000)
        self._step = Step(self._collector, ledger)
        self._store = Store.open(folder / "gateway", key, random=os.urandom)
        self._chains = Chains({}, clean=True)
        self._journal = Journal(self._store.journal_end, self._clock.boot_id, clean=True)
        record = RecordConfig()
        limits = Limits(round(record.entry_seconds * 1e6), 1_000_000, record.entry_readings, keep_raw=record.keep_raw)
        self._lines = [
            Line(PortConfig(name=name, device="-", driver=driver), self._chains, self._journal, limits)
            for name, (driver, _) in devices.items()
        ]
        self._commit([self._own(events.Heads((), None))], journal=False)
        self.log = Reader.open(folder / "gateway")
        own_key = verifier_of(key.vkey)
        self._uplink = Uplink(key.name, own_key, Ledgers.pinned(verifier_of(ledger.vkey)), self.log)

    def run(self) -> None:
        """Let all seconds pass; the last entries are closed and get their receipt."""
        sent = self._arrivals()
        for line in self._lines:
            line.open(self._clock.now())
        self._do(self._uplink.connected(self._clock.seconds))
        for n, step in enumerate(sent, 1):
            self._clock.passed_us += _STEP_US
            now = self._clock.now()
            for line in self._lines:
                line.step(step.get(line.name, b""), now)
            if n * _STEP_US % 1_000_000 == 0:
                self._second()
        for line in self._lines:
            line.close()
        for _ in range(_TURNS * 2):
            self._clock.passed_us += 1_000_000
            self._second()
        if self._store.custody != self._store.size:
            raise AssertionError(f"a receipt for {self._store.custody} of {self._store.size} entries")

    def close(self) -> None:
        """Close both stores."""
        self.log.close()
        self._store.close()
        self._collector.close()

    def _arrivals(self) -> list[dict[str, bytes]]:
        """For each time that the lines are read, what has come."""
        text = "seed = 7\n"
        for n, (name, (_, settings)) in enumerate(self._devices.items()):
            text += f'[[device]]\nname = "{name}"\nstart_s = {n * 0.35}\n{settings}\n'
        steps: list[dict[str, bytes]] = [{} for _ in range(self._seconds * 1_000_000 // _STEP_US)]
        for station in stations(parse(text), attended=True):
            for at_us, data in station.advance(self._seconds * 1_000_000 - 1).pieces:
                step = steps[min(at_us // _STEP_US, len(steps) - 1)]
                step[station.name] = step.get(station.name, b"") + data
                self.received += len(data)
        return steps

    def _second(self) -> None:
        drafts = self._chains.take()
        if round(self._clock.seconds) % HEADS_S == 0:
            drafts.append(self._own(events.Heads((), None)))
        self._commit(drafts)
        self._do([*self._uplink.sealed(self._clock.seconds), *self._uplink.tick(self._clock.seconds)])

    def _commit(self, drafts: list[Draft], *, journal: bool = True) -> None:
        self._store.commit(drafts, self._journal.step() if journal else None)

    def _own(self, event: events.Event) -> Draft:
        return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, self._clock.now(), event=event)

    def _do(self, actions: list[Action]) -> None:
        """What the uplink wants, and what comes of it at the collector, until nobody has anything to say."""
        for turn in range(_TURNS):
            now_ms = self._clock.now().wall_ms + round(turn * _STEP_S * 1000)
            for action in actions:
                if isinstance(action, SaveReceipt):
                    self._store.add_receipt(action.receipt, now_ms)
            batch = [each for each in actions if isinstance(each, Publish)]
            for each in batch:
                self._up(each.leaf, each.payload)
            answers = self._step.process([Message(GATEWAY, each.leaf, each.payload) for each in batch], now_ms)
            actions = []
            for answer in answers:
                self._down(answer.topic, answer.payload)
                actions += self._uplink.received(answer.topic, answer.payload, self._clock.seconds)
