"""A small ward for fault tests: two gateways, three devices, and the collector's store made by the real ingest step."""

from fractions import Fraction
from pathlib import Path
from random import Random

from collector import config, keys, ledger
from collector.ingest import Message, Publish, Step
from collector.reader import FILE_NAME
from collector.store import Store
from vitaledger import events, merkle, messages, proof, prover, witness
from vitaledger.chain import follow, start
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.content import (
    VALUES,
    WAVES,
    Context,
    Series,
    Values,
    WaveBlock,
)
from vitaledger.entry import GATEWAY_CHAIN, Clock, Kind, PartType, entry_hash, parse_leaf, seal
from vitaledger.events import ChainHead, Heads, Identity, LedgerHead
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.marks import Absence, Category, Check, Direction, Provenance, Sureness, Use
from vitaledger.messages import ENTRIES, Entries, Sealed
from vitaledger.raw import Chunk, encode_raw
from vitaledger.statement import Enrolment
from vitaledger.tiles import MemoryTiles

PROVIDER = "ward.example"
T0 = 1_700_000_000_000
SPO2, PERCENT, PLETH = 150456, 262688, 150452


class Gateway:
    """A gateway without wires: seals entries, signs heads, sends what the uplink would send."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = Random(seed)
        self.origin = messages.gateway_origin(PROVIDER, name)
        self.signer = Ed25519Signer(self.origin, self.random.randbytes(32))
        self.tiles = MemoryTiles()
        self.sealed: list[tuple[bytes, bytes]] = []
        self.heads: dict[str, ChainHead] = {}
        self.witnessed = 0
        self.sent = 0
        self.ledger: LedgerHead | None = None
        self.now_ms = T0
        self.receipts: list[messages.Receipt] = []

    @property
    def size(self) -> int:
        return len(self.sealed)

    def seal(self, kind: Kind, chain: str, contents: list[tuple[int, bytes]]) -> int:
        head = self.heads.get(chain) or start(self.origin, chain)
        salts = [self.random.randbytes(16) for _ in contents]
        clock = Clock(self.now_ms, bytes(16), self.now_ms - T0, 3)
        return self.append(*seal(kind, chain, head.next_seq, head.last, clock, contents, salts))

    def append(self, leaf: bytes, body: bytes, *, track: bool = True) -> int:
        hashed = entry_hash(leaf)
        if track:
            entry = parse_leaf(leaf)
            head = self.heads.get(entry.chain) or start(self.origin, entry.chain)
            self.heads[entry.chain] = follow(head, entry, hashed)
        self.tiles.append(hashed)
        self.sealed.append((leaf, body))
        return self.size - 1

    def identity(self, chain: str, serial: str | None = None) -> int:
        sureness = Sureness.PROTOCOL if serial else Sureness.PORT
        who = Identity("Maker", "M1", serial, None, "bed-1", sureness, "sim", "1", Use.DEMO, Check.CHECKSUM)
        return self.seal(Kind.DEVICE_EVENT, chain, [(PartType.EVENT, events.encode(who))])

    def readings(self, chain: str, count: int = 5) -> int:
        spo2 = tuple(None if n == 3 else 90 + self.random.randrange(10) for n in range(count))
        absent = ((3, 1, Absence.SENSOR_OFF),) if count > 3 else ()
        times = (tuple(n * 333_333 for n in range(count)),)
        series = Series("spo2", SPO2, PERCENT, Category.MEASURED, 0, 0, spo2, absent, ())
        context = Context(0, None, None)
        values = Values("sim", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, context, times, (series,), None)
        samples = tuple(self.random.randrange(256) for _ in range(20))
        wave = WaveBlock("pleth", PLETH, PERCENT, Fraction(75), Fraction(1), 0, 0, 260_000, samples, (), ())
        raw = encode_raw([Chunk(Direction.RECEIVED, 0, self.random.randbytes(30))], deflate=False)
        contents = [
            (PartType.VALUES, VALUES.encode(values)),
            (PartType.WAVES, WAVES.encode((wave,))),
            (PartType.RAW, raw),
        ]
        return self.seal(Kind.READINGS, chain, [(int(part), data) for part, data in contents])

    def state_heads(self) -> int:
        named = tuple(self.heads[name] for name in sorted(self.heads))
        return self.seal(
            Kind.GATEWAY_EVENT, GATEWAY_CHAIN, [(PartType.EVENT, events.encode(Heads(named, self.ledger)))]
        )

    def checkpoint(self, size: int | None = None) -> bytes:
        size = self.size if size is None else size
        return sign_checkpoint(Checkpoint(self.origin, size, prover.root_from_tiles(self.tiles, size)), self.signer)

    def anchor(self) -> Message:
        path = prover.consistency_proof(self.tiles, self.witnessed, self.size) if self.witnessed else []
        request = witness.encode_request(self.witnessed, path, self.checkpoint())
        self.witnessed = self.size
        return Message(self.name, "up/checkpoint", request)

    def entries(self, size: int | None = None) -> list[Message]:
        """Messages of all that was not sent yet, against the head witnessed last."""
        size, found = self.witnessed if size is None else size, []
        while self.sent < size:
            first = self.sent
            end = min(size, first - first % 64 + 64)  # a message holds 64 KiB
            path = prover.subtree_consistency_proof(self.tiles, first - first % 256, end, size)
            run = tuple(Sealed(*pair) for pair in self.sealed[first:end])
            message = Entries(len(found) + 1, self.origin, size, first, run, tuple(path))
            found.append(Message(self.name, "up/entries", ENTRIES.encode(message)))
            self.sent = end
        return found


class Ward:
    """A collector's store in a directory, and the gateways that feed it."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.path = folder / FILE_NAME
        self.signer = keys.create(folder / keys.FILE_NAME, messages.ledger_origin(PROVIDER), Random(seed).randbytes(32))
        self.config = folder / config.FILE_NAME
        self.config.write_text(f'provider = "{PROVIDER}"\nstate = "."\n')
        self.vkey = str(self.signer.vkey)
        self.store = Store.create(self.path, PROVIDER, self.vkey, ledger.empty_head(self.signer))
        self.now_ms = T0
        self.gateways: list[Gateway] = []
        self.ledger = ledger.Ledger(self.store, self.signer)
        self.step: Step | None = None

    def enroll(self, gateway: Gateway) -> None:
        self.ledger.load()
        with self.store.transaction():
            index = self.ledger.append(Enrolment(self.now_ms, gateway.name, gateway.origin, str(gateway.signer.vkey)))
            self.store.add_log(gateway.name, gateway.origin, str(gateway.signer.vkey), index)
            self.ledger.seal()
        self.gateways.append(gateway)
        self.step = None

    def process(self, batch: list[Message]) -> list[Publish]:
        self.step = self.step or Step(self.store, self.signer)
        self.now_ms += 250
        answers = self.step.process(batch, self.now_ms)
        while self.step.more:
            answers += self.step.process([], self.now_ms)
        for each in answers:
            if each.topic == "down/receipt":
                receipt = messages.RECEIPT.decode(each.payload, "receipt")
                gateway = next(gateway for gateway in self.gateways if gateway.name == each.gateway)
                gateway.receipts.append(receipt)
                head = proof.verify(proof.parse(receipt.proof), merkle.leaf_hash(receipt.statement), [self.verifier])
                gateway.ledger = LedgerHead(head.checkpoint.origin, head.checkpoint.size, head.checkpoint.root)
        return answers

    @property
    def verifier(self):
        return verifier_of(self.signer.vkey)

    def close(self) -> None:
        self.store.close()


DEVICES = (("nonin:port:bed-1",), ("contec:port:bed-2", "masimo:sn:0000056661"))


def make_ward(folder: Path, entries: int = 300, seed: int = 1, *, tail: int = 5) -> Ward:
    """Two gateways, three devices, at least `entries` entries of the first, and a tail that waits for its anchor."""
    folder.mkdir(parents=True, exist_ok=True)
    ward = Ward(folder, seed)
    for number, chains in enumerate(DEVICES):
        gateway = Gateway(f"g{number + 1}", seed * 100 + number)
        ward.enroll(gateway)
        gateway.state_heads()
        for chain in chains:
            gateway.identity(chain, chain.split(":")[2] if ":sn:" in chain else None)
    while ward.gateways[0].size < entries:
        for gateway, chains in zip(ward.gateways, DEVICES, strict=True):
            for _ in range(9):
                for chain in chains:
                    gateway.now_ms += 5_000 // len(chains)
                    gateway.readings(chain)
            gateway.state_heads()
        ward.process([each for gateway in ward.gateways for each in (gateway.anchor(), *gateway.entries())])
    for gateway, chains in zip(ward.gateways, DEVICES, strict=True):
        for _ in range(tail):
            gateway.now_ms += 5_000
            gateway.readings(chains[0])
        ward.process([gateway.anchor(), *gateway.entries()])
    return ward


def add_oddities(ward: Ward) -> None:
    """What a store can hold besides: findings, a log with a hole, claims and refusals."""
    odd = ward.gateways[1]
    odd.append(b"\x9f of no format that is known", b"\x80 nor this", track=False)
    entry = parse_leaf(odd.sealed[-3][0])  # sealed again: a number that was there
    odd.append(
        *seal(Kind.DEVICE_EVENT, entry.chain, entry.seq, entry.prev, entry.clock, [(4, b"")], [bytes(16)]), track=False
    )
    odd.readings(DEVICES[1][0])
    hole = Gateway("g3", 77)
    ward.enroll(hole)
    for _ in range(540):
        hole.now_ms += 1_000
        hole.readings("nonin:port:bed-9", 2)
    ward.process([odd.anchor(), *odd.entries(), hole.anchor()])
    runs = hole.entries()
    ward.process(runs[:4] + runs[8:])
    status = messages.STATUS.encode(messages.Status(1, bytes(16), bytes(16), "0.1.0", odd.size, 3))
    health = messages.HEALTH.encode(messages.Health(0, None, 10**9, 4, 3))
    ward.process(
        [Message("g2", "up/status", status), Message("g2", "up/health", health), Message("g2", "up/entries", b"?")]
    )
