"""A small world of logs: one gateway with two devices, a provider ledger, and the evidence that comes of them."""

from dataclasses import replace

from vitaledger import chain, content, events, evidence, merkle, policy, proof, prover, statement
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.csvform import Placed
from vitaledger.entry import GATEWAY_CHAIN, Clock, Kind, PartType, entry_hash, genesis, parse_leaf, seal
from vitaledger.evidence import After, Claim, Proven, Shown
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import (
    Absence,
    Category,
    Check,
    Direction,
    GapReason,
    Provenance,
    Quality,
    Sureness,
    Use,
)
from vitaledger.opened import open_entry, seal_entry
from vitaledger.raw import Chunk, encode_raw
from vitaledger.tiles import MemoryTiles

GATEWAY, ORIGIN, LEDGER = "g1", "h.example/gateway/g1", "h.example/ledger"
BED_1, BED_2 = "nonin:port:bed-1", "masimo:sn:0000056661"
BEGAN = 1_750_000_000_000
GATEWAY_KEY = Ed25519Signer(ORIGIN, b"\x01" * 32)
LEDGER_KEY = Ed25519Signer(LEDGER, b"\x02" * 32)
POLICY_TEXT = f"log {LEDGER_KEY.vkey}\nquorum none\n".encode()
POLICY = policy.parse(POLICY_TEXT)


class Ledger:
    """The provider ledger."""

    def __init__(self, key=LEDGER_KEY):
        self.key, self.leaves, self.tiles = key, [], MemoryTiles()

    def add(self, said):
        self.leaves.append(statement.encode(said))
        self.tiles.append(merkle.leaf_hash(self.leaves[-1]))
        return len(self.leaves) - 1

    @property
    def size(self):
        return len(self.leaves)

    def head(self, size=None):
        size = self.size if size is None else size
        return events.LedgerHead(LEDGER, size, prover.root_from_tiles(self.tiles, size))

    def checkpoint(self):
        return sign_checkpoint(Checkpoint(LEDGER, self.size, self.tiles.root()), self.key)

    def proven(self, index):
        return Proven(self.leaves[index], index, tuple(prover.inclusion_proof(self.tiles, index, self.size)))


class Gateway:
    """The gateway's log and its micro-chains. A tick is one second."""

    def __init__(self, key=GATEWAY_KEY):
        self.key, self.entries, self.tiles, self.chains, self.ticks = key, [], MemoryTiles(), {}, 0

    def clock(self, ticks=None):
        ticks = self.ticks if ticks is None else ticks
        return Clock(BEGAN + 1000 * ticks, b"\x0b" * 16, 60_000 + 1000 * ticks, 3)

    def seal(self, kind, name, *contents):
        self.ticks += 1
        head = self.chains.get(name) or chain.start(ORIGIN, name)
        salts = [bytes([0x50 + n]) * 8 + len(self.entries).to_bytes(8) for n in range(len(contents))]
        leaf, body = seal(kind, name, head.next_seq, head.last, self.clock(), contents, salts)
        self.chains[name] = chain.follow(head, parse_leaf(leaf), entry_hash(leaf))
        self.entries.append((leaf, body))
        self.tiles.append(entry_hash(leaf))
        return len(self.entries) - 1

    def event(self, name, event, raw=None):
        kind = Kind.GATEWAY_EVENT if name == GATEWAY_CHAIN else Kind.DEVICE_EVENT
        return self.seal(kind, name, *((PartType.RAW, each) for each in [raw] if each), (PartType.EVENT, encode(event)))

    def heads(self, ledger=None):
        return self.event(GATEWAY_CHAIN, events.Heads(tuple(self.chains.values()), ledger))

    def readings(self, name, *spo2, waves=True, raw=True):
        parts = [(PartType.VALUES, content.VALUES.encode(readings(*spo2)))]
        if waves:
            parts.append((PartType.WAVES, content.WAVES.encode((WAVE,))))
        if raw:
            chunk = Chunk(Direction.RECEIVED, 0, b"\x01\x80\x10" * 25)
            parts.append((PartType.RAW, encode_raw([chunk])))
        return self.seal(Kind.READINGS, name, *parts)

    def checkpoint(self):
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.entries), self.tiles.root()), self.key)

    def shown(self, index, withheld=()):
        leaf, body = self.entries[index]
        path = prover.inclusion_proof(self.tiles, index, len(self.entries))
        return Shown(index, leaf, evidence.withhold(body, withheld) if withheld else body, tuple(path))

    def where(self, name, seq):
        """The index of an entry of a micro-chain."""
        return next(n for n, (leaf, _) in enumerate(self.entries) if named(leaf) == (name, seq))


def encode(event):
    return event if isinstance(event, bytes) else events.encode(event)


def named(leaf):
    entry = parse_leaf(leaf)
    return entry.chain, entry.seq


def readings(*spo2):
    absences = content.runs([Absence.SENSOR_OFF if value is None else None for value in spo2])
    times = (tuple(333_333 * n for n in range(len(spo2))),)
    quality = content.runs([Quality(0), *[Quality.ARTEFACT] * (len(spo2) - 1)])
    series = content.Series("spo2", 150456, 262688, Category.MEASURED, 0, 0, spo2, absences, quality)
    context = content.Context(0, None, None)
    return content.Values(
        "nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, context, times, (series,), None
    )


WAVE = content.WaveBlock(
    "pleth", 150452, 262656, content.Fraction(75), content.Fraction(1), 0, 0, 300_000, (1, 2, 300), (), ()
)
IDENTITY = events.Identity("Nonin", "Xpod", None, None, "bed-1", Sureness.PORT, "nonin", "1", Use.DEMO, Check.CHECKSUM)


class World:
    """bed-1 has entries 0 to 5, bed-2 0 to 2, the gateway 0 to 4; the anchor covers them all.

    gateway log: 0 boot, 1 heads that quote ledger size 1, 2 identity bed-1, 3 gap bed-1, 4 readings bed-1,
    5 identity bed-2, 6 readings bed-1, 7 heads, 8 readings bed-2, 9 readings bed-1, 10 gap bed-1, 11 gap bed-2,
    12 heads, 13 stop. Ledger: 0 enrolment, 1 custody of nothing, 2 anchor, 3 custody, 4 finding.
    """

    def __init__(self, gateway_key=GATEWAY_KEY, ledger_key=LEDGER_KEY, extra=()):
        self.ledger, self.gateway = Ledger(ledger_key), Gateway(gateway_key)
        ledger, gateway = self.ledger, self.gateway
        self.enrolled = ledger.add(statement.Enrolment(BEGAN - 3_600_000, GATEWAY, ORIGIN, str(gateway_key.vkey)))
        gateway.event(GATEWAY_CHAIN, events.Boot("0.1.0", b"\x0a" * 16, 1, ""))
        gateway.heads(ledger.head())
        gateway.event(BED_1, IDENTITY)
        gateway.event(BED_1, events.Gap(GapReason.START, None, "", None))
        gateway.readings(BED_1, 97, 98, None, 97)
        gateway.event(BED_2, replace(IDENTITY, make="Masimo", serial="0000056661", sureness=Sureness.PROTOCOL))
        gateway.readings(BED_1, 96)
        gateway.heads(ledger.head())
        gateway.readings(BED_2, None, None)
        gateway.readings(BED_1, 95, 94, waves=False, raw=False)
        gateway.event(BED_1, events.Gap(GapReason.UNPLUGGED, gateway.clock(), "", 7))
        gateway.event(BED_2, events.Gap(GapReason.CRASH, gateway.clock(0), "", None))
        for name, kind, contents in extra:
            gateway.seal(kind, name, *contents)
        self.last_heads = gateway.heads()
        gateway.event(GATEWAY_CHAIN, events.Stop("asked to"))
        ledger.add(statement.Custody(BEGAN - 1, ORIGIN, 0, merkle.EMPTY_ROOT))
        self.anchored = ledger.add(statement.Anchor(BEGAN + 60_000, gateway.checkpoint()))
        ledger.add(statement.Custody(BEGAN + 60_000, ORIGIN, len(gateway.entries), gateway.tiles.root()))
        ledger.add(statement.Finding(BEGAN + 60_001, ORIGIN, 0, "none really"))

    def claim(self, first, last, name=BED_1):
        return Claim(ORIGIN, name, first, last, "2025-06-15T15:06:40Z", "Ada, records", "vitaledger 0.1.0")

    def after(self, size=1):
        head = self.ledger.head(size)
        path = prover.consistency_proof(self.ledger.tiles, size, self.ledger.size)
        return After(self.ledger.proven(size - 1), head.root, tuple(path))

    def indices(self, first, last, name=BED_1):
        """Those of entries first − 1 to last + 1, and the last heads entry where last + 1 is not there."""
        end = self.gateway.chains[name].next_seq
        found = [self.gateway.where(name, seq) for seq in range(max(first - 1, 0), min(last + 2, end))]
        return [*found, self.last_heads] if last + 1 == end else found

    def files(self, *args, **kwargs):
        """The evidence file, proven and with the table and the texts."""
        return finished(self.core(*args, **kwargs), self.ledger.key)

    def core(self, first, last, name=BED_1, *, indices=None, withheld=(), after=True, claim=None):
        """The files that prove, unchecked."""
        indices = self.indices(first, last, name) if indices is None else indices
        shown = [self.gateway.shown(index, withheld) for index in ([1, *indices] if after else indices)]
        return evidence.build(
            claim or self.claim(first, last, name),
            shown,
            self.ledger.proven(self.anchored),
            self.ledger.proven(self.enrolled),
            self.ledger.checkpoint(),
            self.after() if after else None,
        )


PLACED_CLOCK = Clock(1_700_000_000_000, bytes(16), 5_000, 3)


def placed(*, clock=PLACED_CLOCK, name=BED_1, index=7, withheld=(), **contents):
    """An entry of these contents as a table tells it."""
    kind = Kind.GATEWAY_EVENT if name == GATEWAY_CHAIN else Kind.DEVICE_EVENT if "event" in contents else Kind.READINGS
    leaf, body = seal_entry(kind, name, 0, genesis(ORIGIN, name), clock, bytes, **contents)
    opened = open_entry(leaf, evidence.withhold(body, withheld))
    return Placed(index, opened.entry, opened)


def finished(files, ledger_key=LEDGER_KEY):
    """The files, proven under a policy that trusts this ledger, with the table and the texts."""
    trusted = policy.parse(f"log {ledger_key.vkey}\nquorum none\n".encode())
    return evidence.complete(files, trusted)[0]


def inclusion(path, index, checkpoint):
    """A proof file."""
    return proof.encode(proof.TlogProof(index, tuple(path), checkpoint))
