"""A gateway in memory: seals entries, keeps its tree, anchors, reads the answers. And a collector without network."""

from hashlib import sha256
from pathlib import Path

from collector import keys
from collector.enrolment import enroll
from collector.ingest import Message, Publish, Step
from collector.ledger import empty_head
from collector.store import Store
from vitaledger import chain, events, merkle, messages, proof, prover, statement, witness
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.entry import Clock, Kind, PartType, entry_hash, parse_leaf, seal
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.tiles import MemoryTiles

PROVIDER = "h.example"
NOW = 1_700_000_000_000


class Gateway:
    def __init__(self, name="g1", origin=None):
        self.name = name
        self.origin = origin or messages.gateway_origin(PROVIDER, name)
        self.signer = Ed25519Signer(self.origin, sha256(self.origin.encode()).digest())
        self.vkey = str(self.signer.vkey)
        self.sealed = []
        self.tiles = MemoryTiles()
        self.heads = {}
        self.witnessed = 0
        self.ids = 0

    @property
    def size(self):
        return len(self.sealed)

    def append(self, leaf, body):
        self.sealed.append((leaf, body))
        self.tiles.append(entry_hash(leaf))

    def add(self, count=1, name="nonin:port:bed-1", content=None, kind=Kind.DEVICE_EVENT):
        for _ in range(count):
            head = self.heads.get(name) or chain.start(self.origin, name)
            clock = Clock(NOW + 1000 * self.size, bytes(16), self.size * 1000, 5)
            data = events.encode(events.Notice(f"entry {self.size}")) if content is None else content
            salt = sha256(b"salt %d" % self.size).digest()[:16]
            leaf, body = seal(kind, name, head.next_seq, head.last, clock, [(PartType.EVENT, data)], [salt])
            self.heads[name] = chain.follow(head, parse_leaf(leaf), entry_hash(leaf))
            self.append(leaf, body)
        return self

    def checkpoint(self, size=None):
        size = self.size if size is None else size
        return sign_checkpoint(Checkpoint(self.origin, size, prover.root_from_tiles(self.tiles, size)), self.signer)

    def anchor(self, size=None, old=None):
        size = self.size if size is None else size
        old = self.witnessed if old is None else old
        hashes = prover.consistency_proof(self.tiles, old, size) if old <= size else []
        self.witnessed = size
        return self.message("up/checkpoint", witness.encode_request(old, hashes, self.checkpoint(size)))

    def entries(self, first, end, size=None, sealed=None, hashes=None, origin=None):
        size = self.witnessed if size is None else size
        if hashes is None:
            hashes = prover.subtree_consistency_proof(self.tiles, first - first % 256, end, size)
        self.ids += 1
        sealed = self.sealed[first:end] if sealed is None else sealed
        run = tuple(messages.Sealed(leaf, body) for leaf, body in sealed)
        made = messages.Entries(self.ids, origin or self.origin, size, first, run, tuple(hashes))
        return self.message("up/entries", messages.ENTRIES.encode(made))

    def runs(self, first=0, end=None, most=256):
        end = self.size if end is None else end
        while first < end:
            stop = min(end, first - first % 256 + 256, first + most)
            yield self.entries(first, stop)
            first = stop

    def message(self, topic, payload):
        return Message(self.name, topic, payload)


class Desk:
    """A store in a directory with a step over it."""

    def __init__(self, directory: Path, *gateways: Gateway):
        self.path = directory / "collector.sqlite"
        if not self.path.exists():
            self.signer = keys.create(directory / "ledger.key", f"{PROVIDER}/ledger", b"k" * 32)
            Store.create(self.path, PROVIDER, str(self.signer.vkey), empty_head(self.signer)).close()
        self.signer = keys.load(directory / "ledger.key", f"{PROVIDER}/ledger")
        self.store = Store.open(self.path)
        for gateway in gateways:
            enroll(self.store, self.signer, gateway.vkey, NOW)
        self.step = Step(self.store, self.signer)
        self.now = NOW

    def send(self, *batch: Message):
        self.now += 250
        return [decode(each) for each in self.step.process(batch, self.now)]

    def send_all(self, gateway: Gateway):
        """Anchor the whole log and send every entry of it; until all is moved over."""
        out = self.send(gateway.anchor(), *gateway.runs(self.store.log_of(gateway.origin).stored))
        while self.step.more:
            out = self.send() or out
        return out

    def statements(self, kind=None):
        found = [statement.decode(leaf) for _, leaf in self.store.statements(0, self.store.ledger_head().size)]
        return [each for each in found if kind is None or isinstance(each, kind)]

    def check_receipt(self, receipt):
        """Verify a receipt as a gateway does; the custody in it."""
        found = proof.parse(receipt.proof)
        proof.verify(found, merkle.leaf_hash(receipt.statement), [verifier_of(self.signer.vkey)])
        return statement.decode(receipt.statement)

    def close(self):
        self.store.close()


def decode(publish: Publish):
    shapes = {
        "down/checkpoint": messages.CHECKPOINT_ANSWER,
        "down/entries": messages.ENTRIES_ANSWER,
        "down/receipt": messages.RECEIPT,
        "down/succession": messages.SUCCESSION_ANSWER,
    }
    return shapes[publish.topic].decode(publish.payload, publish.topic)


def of(kind, answers):
    return [each for each in answers if isinstance(each, kind)]
