"""Gateways restored and copied at any moment, over lines that lose messages: what exists anywhere arrives, once."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import successions
from collector.alarms import alarms
from collector.generations import history
from collector.history import Span, devices
from collector.ingest import Message
from collector.verified import State, VerifiedStore
from collector.verify import verify_store
from gateway.uplink import State as Line
from tests.unit.collector.model_gateway import Desk, Gateway
from tests.unit.gateway.machine import Machine
from vitaledger.entry import parse_leaf
from vitaledger.errors import MisuseError
from vitaledger.events import Carried
from vitaledger.opened import open_entry

STEP = st.sampled_from(["seal", "seal", "run", "run", "backup", "restore", "offline", "online", "restart", "accept"])


class World:
    """One collector, and machines that all call themselves g1; at most one of them is connected."""

    def __init__(self, folder, seed, loss):
        self.folder, self.random, self.loss, self.time = folder, Random(seed), loss, 0.0
        (folder / "collector").mkdir()
        self.desk = Desk(folder / "collector")
        self.machines = [Machine(folder / "m0", str(self.desk.signer.vkey), self.random)]
        gateway = Gateway()
        first = self.machines[0]
        from collector.enrolment import enroll
        from gateway import keys

        assert gateway.origin == first.first.origin
        enroll(self.desk.store, self.desk.signer, str(keys.load(first.first.key, gateway.origin).vkey), self.desk.now)
        first.start()
        self.connected, self.backups = None, 0
        self.connect(first)

    def connect(self, machine):
        self.disconnect()
        self.connected = machine
        machine.act(machine.uplink.connected(self.time), self.time)

    def disconnect(self):
        if self.connected is not None:
            self.connected.out.clear()
            self.connected.act(self.connected.uplink.disconnected(self.time), self.time)
            self.connected = None

    def lost(self):
        return self.random.random() < self.loss

    def run(self, seconds):
        end = self.time + seconds
        while self.time < end:
            self.time += 0.5
            for machine in self.machines:
                machine.tick()
            machine = self.connected
            if machine is None:
                continue
            machine.act(machine.uplink.sealed(self.time), self.time)
            machine.act(machine.uplink.tick(self.time), self.time)
            batch = [Message("g1", leaf, payload) for leaf, payload in machine.out if not self.lost()]
            machine.out.clear()
            self.desk.now += 500
            for each in self.desk.step.process(batch, self.desk.now):
                if not self.lost():
                    machine.act(machine.uplink.received(each.topic, each.payload, self.time), self.time)

    def accept_all(self):
        for row in self.desk.store.successions():
            if row.state == "waiting":
                with suppress(MisuseError):
                    successions.accept(self.desk.store, self.desk.signer, row.id, self.desk.now)

    def settle(self):
        """Every machine in turn gets a good line, until all of them have handed over everything."""
        self.loss = 0.0
        for _ in range(3):
            for machine in self.machines:
                self.connect(machine)
                self.run(60)
                self.accept_all()
        for machine in self.machines:
            self.connect(machine)
            self.run(60)
            assert machine.uplink.state is Line.SENDING, machine.alarms
            assert machine.carry is None
            assert machine.uplink.custody == machine.store.size, machine.alarms

    def close(self):
        for machine in self.machines:
            machine.stop()
        self.desk.close()


def step(world, what, machine):
    match what:
        case "seal":
            machine.seal(world.random.randrange(1, 12))
        case "run":
            world.run(world.random.randrange(1, 12))
        case "offline":
            world.disconnect()
        case "online":
            world.connect(machine)
        case "restart":
            world.disconnect()
            machine.stop()
            machine.start()
            world.connect(machine)
        case "backup":
            world.backups += 1
            machine.backup(world.folder / f"backup{world.backups}")
        case "restore" if world.backups:
            world.disconnect()
            machine.stop()
            machine.restore(world.folder / f"backup{world.random.randrange(world.backups) + 1}")
            machine.start()
        case "accept":
            world.accept_all()


def held(reader):
    """Every leaf that the collector has, by itself or carried over."""
    found = {}
    for row in reader.logs():
        for index, leaf, body in reader.entries(row.log, 0, row.stored):
            found.setdefault((row.origin, index), set()).add(leaf)
            put_carried(found, leaf, body)
    return found


def put_carried(found, leaf, body):
    event = open_entry(leaf, body).event
    if isinstance(event, Carried):
        found.setdefault((event.origin, event.index), set()).add(event.leaf)
        put_carried(found, event.leaf, event.body)


def check(world):
    store = world.desk.store
    here = held(store)
    for machine in world.machines:
        for place, leaf in machine.entries().items():
            assert leaf in here.get(place, set()), place
    report = verify_store(world.desk.path, str(world.desk.signer.vkey))
    assert report.ok, report.failures
    verified = VerifiedStore(store, str(world.desk.signer.vkey))
    shown = set()
    for device in devices(store):
        for seen in history(verified, device, Span()):
            assert seen.verdict.state is State.PROVEN, seen
            assert (seen.log.origin, seen.look.hash) not in shown
            shown.add((seen.log.origin, seen.look.hash))
    wanted = {(origin, leaf) for (origin, _), leaves in here.items() for leaf in leaves}
    assert len(shown) == sum(parse_leaf(leaf).chain != "gateway" for _, leaf in wanted)


def play(folder, seed, loss, steps):
    world = World(folder, seed, loss)
    try:
        for what, copy in steps:
            machine = world.machines[-1 if copy else 0]
            step(world, what, machine)
        world.settle()
        check(world)
        return alarms(world.desk.store)
    finally:
        world.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.2]),
    steps=st.lists(st.tuples(STEP, st.just(value=False)), min_size=4, max_size=16),
)
def test_restored_at_any_moment(seed, loss, steps):
    folder = Path(tempfile.mkdtemp())
    try:
        play(folder, seed, loss, steps)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_copy_restored_again_and_again(tmp_path, seed):
    steps = ["seal", "run", "backup", "seal", "run", "run"]
    again = ["restore", "seal", "seal", "online", *4 * ["run"], "accept", *4 * ["run"], "seal"]
    found = play(tmp_path, seed, 0.0, [(what, False) for what in steps + 3 * again])
    assert sum("goes on in its place" in alarm.text for alarm in found) == 3


def test_two_copies_live(tmp_path):
    world = World(tmp_path, 5, 0.0)
    first = world.machines[0]
    first.seal(5)
    world.run(10)
    world.disconnect()
    first.stop()
    first.backup(tmp_path / "m1")
    first.start()
    second = Machine(tmp_path / "m1", str(world.desk.signer.vkey), world.random)
    second.wall_ms = 1_000_000
    second.start()
    world.machines.append(second)
    for _ in range(6):
        for machine in world.machines:
            machine.seal(3)
            world.connect(machine)
            world.run(12)
    world.settle()
    check(world)
    assert {first.here.generation, second.here.generation} == {1, 2}
    texts = [alarm.text for alarm in alarms(world.desk.store)]
    assert any("contradict each other" in text for text in texts)
    assert any("a copy of it lives" in text for text in texts)
    world.close()
