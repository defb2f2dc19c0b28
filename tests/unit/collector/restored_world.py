"""A collector that can be put back to a copy, as `service.run` drives it, and gateways on lines that can be cut."""

import shutil
from random import Random

from click.testing import CliRunner

from collector import config, restored
from collector.cli import cli
from collector.enrolment import enroll, init, open_ledger
from collector.generations import history
from collector.history import Span, devices
from collector.ingest import Message, Step
from collector.verified import State, VerifiedStore
from collector.verify import verify_store
from gateway import keys as gateway_keys
from gateway import ledgers
from gateway.reader import Reader as LogReader
from gateway.uplink import State as Line
from gateway.verify import verify_store as verify_log
from tests.unit.collector.model_gateway import NOW
from tests.unit.gateway.machine import Machine
from vitaledger import statement
from vitaledger.keys import verifier_of
from vitaledger.prover import root_from_tiles


class World:
    """`retained` is what the broker would give a collector that subscribes: the newest up/ledger of each gateway.

    `signed` holds every head that any ledger ever showed to anybody, by origin and size.
    """

    def __init__(self, folder, names=("g1", "g2"), seed=11):
        self.folder, self.random, self.time, self.now = folder, Random(seed), 0.0, NOW
        self.offline, self.retained, self.backups = set(), {}, 0
        self.vkey = init(folder / "c", "h.example", bytes(range(32)))
        self.machines = {name: Machine(folder / name, self.vkey, self.random, name) for name in names}
        self.open()
        for machine in self.machines.values():
            self.enroll(machine)
            machine.start()
        self.connect()

    @classmethod
    def with_backup(cls, folder):
        """Twenty entries a gateway before a backup, and twenty behind it."""
        made = cls(folder)
        for backup in (made.backup, lambda: None):
            made.seal(20)
            made.run(10)
            backup()
        return made

    def newest_head(self):
        """The largest head of the ledger that a gateway knows."""
        return max((machine.uplink.ledger for machine in self.machines.values()), key=lambda head: head.size)

    def command(self, *words):
        """Run a command of the collector."""
        path = self.folder / "c" / "collector.toml"
        return CliRunner().invoke(cli, ["--config", str(path), *map(str, words)], catch_exceptions=False)

    def enroll(self, machine):
        key = gateway_keys.load(machine.first.key, machine.first.origin)
        enroll(self.store, self.signer, str(key.vkey), self.now)
        self.step.reload()

    def open(self):
        """As at a start: what the broker retains comes before anything else."""
        self.config = config.load(self.folder / "c" / "collector.toml")
        self.store, self.signer = open_ledger(self.config)
        if not self.store.halted():
            self.step = Step(self.store, self.signer, [each.note for each in restored.lineage(self.store)])
            self.process([Message(name, "up/ledger", payload) for name, payload in self.retained.items()])
        else:
            self.go_on()

    def go_on(self):
        self.store.close()
        restored.begin(self.config, self.random.randbytes, self.now)
        self.open()

    def process(self, batch):
        answers = self.step.process(batch, self.now)
        while self.step.more:
            answers += self.step.process([], self.now)
        for each in answers:
            if each.gateway not in self.offline:
                machine = self.machines[each.gateway]
                machine.act(machine.uplink.received(each.topic, each.payload, self.time), self.time)
        if self.step.halted:
            self.go_on()

    def connect(self, *names):
        for name in names or self.machines:
            self.offline.discard(name)
            machine = self.machines[name]
            machine.act(machine.uplink.disconnected(self.time), self.time)
            machine.out.clear()
            machine.connect(self.time)

    def cut(self, name):
        self.offline.add(name)
        machine = self.machines[name]
        machine.act(machine.uplink.disconnected(self.time), self.time)
        machine.out.clear()

    def run(self, seconds):
        end = self.time + seconds
        while self.time < end:
            self.time += 0.5
            self.now += 500
            batch = []
            for name, machine in self.machines.items():
                machine.tick()
                if name in self.offline:
                    continue
                machine.act(machine.uplink.sealed(self.time), self.time)
                machine.act(machine.uplink.tick(self.time), self.time)
                if self.time % 5 == 0 and self.retained.get(name) != machine.uplink.shown():
                    machine.show()  # gateway.mqtt does it every 10 s
                batch += [Message(name, *each) for each in machine.out]
                machine.out.clear()
            self.retained |= {each.gateway: each.payload for each in batch if each.topic == "up/ledger"}
            self.process(batch)

    def seal(self, count):
        for machine in self.machines.values():
            machine.seal(count)

    def backup(self):
        """A copy of all that the collector has; its number."""
        self.backups += 1
        self.store.close()
        shutil.copytree(self.folder / "c", self.folder / f"backup{self.backups}")
        self.open()
        return self.backups

    def restore(self, number=1):
        self.store.close()
        shutil.rmtree(self.folder / "c")
        shutil.copytree(self.folder / f"backup{number}", self.folder / "c")
        self.open()

    def settle(self, seconds=40):
        self.connect()
        self.run(seconds)

    def settle_one(self, name):
        self.connect(name)
        self.run(40)

    def statements(self, kind):
        found = [statement.decode(leaf) for _, leaf in self.store.statements(0, self.store.ledger_head().size)]
        return [each for each in found if isinstance(each, kind)]

    def contains(self, head):
        """Whether the ledger that goes on has this head."""
        size = self.store.ledger_head().size
        return head.size <= size and root_from_tiles(self.store.tile_reader(0, size), head.size) == head.root

    def check(self):
        """All that is in any gateway's log is here, both sides are clean, and each reading is shown once."""
        report = verify_store(self.config.store_path, str(self.signer.vkey))
        assert report.ok, report.failures
        sealed = set()
        for machine in self.machines.values():
            assert machine.uplink.state is Line.SENDING, machine.alarms
            assert machine.uplink.custody == machine.store.size, machine.alarms
            assert machine.uplink.ledgers.newest.name == self.signer.name
            row = self.store.log_of(machine.here.origin)
            entries = machine.reader.entries(0, machine.store.size)
            assert [leaf for _, leaf, _ in self.store.entries(row.log, 0, row.stored)] == [leaf for leaf, _ in entries]
            key = verifier_of(gateway_keys.load(machine.here.key, machine.here.origin).vkey)
            with LogReader.open(machine.here.state) as reader:
                done = verify_log(reader, key, ledgers.load(machine.here).keys)
                assert done.ok, done.failure
            sealed |= {leaf for (_, _), leaf in machine.entries().items()}
        verified = VerifiedStore(self.store, str(self.signer.vkey))
        seen = [each for device in devices(self.store) for each in history(verified, device, Span())]
        assert {each.verdict.state for each in seen} <= {State.PROVEN}
        assert len({each.look.hash for each in seen}) == len(seen)
        assert len(seen) == self.sealed_by_devices(sealed)
        return report

    @staticmethod
    def sealed_by_devices(leaves):
        from vitaledger.entry import parse_leaf

        return sum(parse_leaf(leaf).chain != "gateway" for leaf in leaves)

    def close(self):
        self.store.close()
        for machine in self.machines.values():
            machine.stop()
