"""A gateway without devices and wires: store, uplink and generations as the agent joins them, in steps."""

import shutil

from msgspec import structs

from gateway import config, generations, keys, ledgers
from gateway.actions import Alarm, Fork, Publish, SaveLedgers, SaveReceipt, ShowLedger, Succeeded
from gateway.carry import Predecessor
from gateway.draft import Draft
from gateway.reader import Reader
from gateway.store import Store
from gateway.uplink import Uplink
from tests.unit.gateway.makers import instant, readings
from vitaledger import proof
from vitaledger.entry import GATEWAY_CHAIN, Kind
from vitaledger.events import Boot, Heads
from vitaledger.keys import verifier_of

TEXT = """
provider = "h.example"
gateway = "{name}"
ledger_vkey = "{vkey}"
"""


class Machine:
    """`random` makes keys and salts; `wall_ms` goes on with every entry, so that no two are alike."""

    def __init__(self, directory, ledger_vkey, random, name="g1"):
        directory.mkdir(parents=True, exist_ok=True)
        self.first = config.parse(TEXT.format(name=name, vkey=ledger_vkey).encode(), directory / "gateway.toml")
        self.random, self.name, self.wall_ms = random, name, 0
        self.out, self.alarms, self.store = [], [], None
        if not self.first.key.exists():
            keys.create(self.first.key, self.first.origin, random.randbytes(32))

    def start(self):
        self.here = generations.newest(self.first)
        self._open()

    def _open(self):
        here = self.here
        signer = keys.load(here.key, here.origin)
        believed = ledgers.load(self.first)
        self.store = Store.open(here.state, signer, random=self.random.randbytes)
        ledgers.save(self.first, believed)
        self.reader = Reader.open(here.state)
        self.carry = self.old = None
        if (before := generations.before(self.first, here)) is not None:
            self.old = Reader.open(before.state)
            old = Predecessor(self.old, verifier_of(keys.load(before.key, before.origin).vkey), believed)
            if self.store.empty:
                self.store.commit([self.own(old.succeeds())])
            if not generations.is_carried(here):
                self.carry = old.carry(self.reader, self.now)
        self.store.commit([self.own(Boot("1", self.random.randbytes(16), 1, "")), self.own(Heads((), None))])
        newest = self.reader.newest_receipt()
        covered = newest is not None and believed.covers(newest.proof)
        self.uplink = Uplink(
            here.origin,
            verifier_of(signer.vkey),
            believed,
            self.reader,
            custody=self.store.custody if covered else 0,
            ledger=self.store.newest_ledger() if covered else None,
            ledger_note=None if newest is None else proof.parse(newest.proof).checkpoint,
            anchor_s=2.0,
            first_id=self.random.randrange(1, 2**40),
            notes=generations.notes(self.first, here),
        )

    def pin(self, ledger_vkey):
        """As an operator does it in the configuration."""
        self.first = structs.replace(self.first, ledger_vkey=ledger_vkey)

    def stop(self):
        for each in (self.store, self.reader, self.old):
            if each is not None:
                each.close()
        self.store = self.reader = self.old = None

    def now(self):
        self.wall_ms += 7
        return instant(self.wall_ms)

    def own(self, event):
        return Draft(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, self.now(), event=event)

    def seal(self, count):
        drafts = []
        for _ in range(count):
            self.now()
            drafts.append(readings(f"nonin:port:bed-{self.wall_ms % 2}", self.wall_ms, self.wall_ms))
        self.store.commit([*drafts, self.own(Heads((), None))])

    def tick(self):
        """What the committing loop does once a second."""
        if self.carry is not None:
            if drafts := self.carry.take():
                self.store.commit(drafts)
            else:
                generations.mark_carried(self.here)
                self.carry = None

    def act(self, actions, now):
        for action in actions:
            match action:
                case Publish():
                    self.out.append((action.leaf, action.payload))
                case SaveReceipt():
                    self.store.add_receipt(action.receipt, 0)
                case SaveLedgers():
                    ledgers.save(self.first, action.ledgers)
                case ShowLedger():
                    self.show()
                case Alarm():
                    self.alarms.append(action.text)
                case Fork():
                    offer = generations.prepare(
                        self.first, self.here, self.reader, action.last, action.least, self.random.randbytes
                    )
                    self.act(self.uplink.succeed(offer.note, offer.request, now), now)
                case Succeeded():
                    self._succeed(action.note, now)

    def show(self):
        self.out.append(("up/ledger", self.uplink.shown()))

    def connect(self, now):
        """The line stands: as gateway.mqtt does it, the ledger's head is shown before anything else."""
        self.show()
        self.act(self.uplink.connected(now), now)

    def _succeed(self, note, now):
        self.stop()
        self.here = generations.of(self.first, _number(note))
        self._open()
        self.act(self.uplink.connected(now), now)

    def backup(self, to):
        shutil.copytree(self.first.path.parent, to)

    def restore(self, copy):
        assert self.store is None
        shutil.rmtree(self.first.path.parent)
        shutil.copytree(copy, self.first.path.parent)

    def entries(self):
        """(origin, index) → leaf of every entry in every store that is here."""
        found = {}
        for number in [1, *(n for n, path in generations._directories(self.first) if (path / "log.db").is_file())]:
            here = generations.of(self.first, number)
            with Reader.open(here.state) as reader:
                for index, (leaf, _) in enumerate(reader.entries(0, reader.size)):
                    found[here.origin, index] = leaf
        return found


def _number(note):
    from vitaledger import succession

    return succession.generation(succession.parse_unverified(note).new_origin)[1]
