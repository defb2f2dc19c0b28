"""What gateways would send to the collector, made before it is measured: signed anchors, and entries with their proofs.

A `Log` is one gateway's, in memory: entries linked, salted, hashed into its tree, its head signed. A `Round` is one
anchor and the messages of the entries under it, cut as `gateway.outbox` does: entries of one tile, at most 64 KiB.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from bench.outage_devices import STEP_US
from bench.outage_gateway import DrivenClock, Line
from bench.sealing import drafts
from bench.ward import MIX
from firmware_sim.scenario import parse
from firmware_sim.station import stations
from gateway.chains import Chains
from gateway.config import PortConfig
from gateway.draft import Draft
from gateway.journal import Journal
from gateway.recorder import Limits
from gateway.sealing import SaltPool
from vitaledger import chain, entry, messages, witness
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.entry import Clock
from vitaledger.keys import Ed25519Signer
from vitaledger.merkle import leaf_hash
from vitaledger.messages import MAX_MESSAGE, TILE, Sealed
from vitaledger.opened import open_entry, seal_entry
from vitaledger.prover import consistency_proof, subtree_consistency_proof
from vitaledger.tiles import MemoryTiles

PROVIDER = "bench.example"
ANCHOR_S = 10
_ROOM = MAX_MESSAGE - 3 * 1024  # as gateway.outbox leaves for proof, origin and numbers
# Every device's identity is known then, nothing is out of the ordinary, and of the closings of entries, every four
# seconds, three fall into the ten seconds that follow: a fifth more than the devices say then, not a fifth less.
_SETTLED_S = 42


@dataclass(frozen=True, slots=True)
class Template:
    """What an entry holds, to be sealed into any log: kind, micro-chain, ms after the round's begin, contents."""

    kind: entry.Kind
    chain: str
    after_ms: int
    contents: tuple[tuple[int, bytes], ...]
    readings: int
    samples: int


@dataclass(frozen=True, slots=True)
class Round:
    """An anchor of `size` entries, and the entries messages: (id, payload) in order."""

    size: int
    request: bytes
    messages: tuple[tuple[int, bytes], ...]


class Log:
    """A gateway's log that grows by rounds."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.origin = messages.gateway_origin(PROVIDER, gateway)
        self._signer = Ed25519Signer(self.origin, os.urandom(32))
        self.vkey = str(self._signer.vkey)
        self._tiles = MemoryTiles()
        self._heads: dict[str, chain.ChainHead] = {}
        self._salts = SaltPool(os.urandom)
        self._boot = os.urandom(16)
        self._began_ms = 1_700_000_000_000
        self._next_id = 1

    def grow(self, templates: Sequence[Template], lasts_ms: int) -> Round:
        """Seal entries of these contents, anchor them, and pack them into messages."""
        old = self._tiles.size
        sealed = [self._seal(template) for template in templates]
        self._tiles.extend(leaf_hash(each.leaf) for each in sealed)
        self._began_ms += lasts_ms
        size = self._tiles.size
        note = sign_checkpoint(Checkpoint(self.origin, size, self._tiles.root()), self._signer)
        request = witness.encode_request(old, consistency_proof(self._tiles, old, size), note)
        return Round(size, request, tuple(self._messages(old, sealed)))

    def _seal(self, template: Template) -> Sealed:
        head = self._heads.get(template.chain) or chain.start(self.origin, template.chain)
        at_ms = self._began_ms + template.after_ms
        leaf, body = entry.seal(
            template.kind, template.chain, head.next_seq, head.last,
            Clock(at_ms, self._boot, at_ms - 1_600_000_000_000, 4), template.contents,
            [self._salts(entry.SALT_SIZE) for _ in template.contents],
        )  # fmt: skip
        self._heads[template.chain] = chain.ChainHead(template.chain, head.next_seq + 1, leaf_hash(leaf))
        return Sealed(leaf, body)

    def _messages(self, first: int, sealed: Sequence[Sealed]) -> Iterator[tuple[int, bytes]]:
        size, at = self._tiles.size, 0
        while at < len(sealed):
            batch: list[Sealed] = []
            room, begin = _ROOM, first + at
            for each in sealed[at : at + TILE - begin % TILE]:
                room -= len(each.leaf) + len(each.body) + 8
                if room < 0:
                    break
                batch.append(each)
            proof = subtree_consistency_proof(self._tiles, begin - begin % TILE, begin + len(batch), size)
            message = messages.Entries(self._next_id, self.origin, size, begin, tuple(batch), tuple(proof))
            yield self._next_id, messages.pack(messages.ENTRIES.encode(message))
            self._next_id += 1
            at += len(batch)


def one_signal(count: int) -> list[Template]:
    """Entries of 20 readings of one device, as `bench.sealing` seals them."""
    return [_template(draft, 0) for draft in drafts(0, count)]


@cache
def eight_devices() -> tuple[Template, ...]:
    """What eight simulated devices say in the ten seconds between two anchors, as the gateway's recorders cut it."""
    clock = DrivenClock(1_700_000_000_000)
    chains, journal = Chains({}, clean=True), Journal(0, clock.boot_id, clean=True)
    ports = [PortConfig(name=name, device="-", driver=driver, use="demo") for name, (driver, _) in MIX.items()]
    lines = [Line(port, chains, journal, Limits(commit_us=1_000_000)) for port in ports]
    for line in lines:
        line.open(clock.now())
    found: list[Draft] = []
    began_ms = clock.now().wall_ms + _SETTLED_S * 1000
    for n, step in enumerate(_sent((_SETTLED_S + ANCHOR_S) * 1_000_000), 1):
        clock.passed_us += STEP_US
        for line in lines:
            line.step(step.get(line.name, b""), clock.now())
        if n * STEP_US % 1_000_000 == 0:
            journal.step()
            taken = chains.take()
            found += taken if n * STEP_US > _SETTLED_S * 1_000_000 else []
    return tuple(_template(draft, max(0, draft.began.wall_ms - began_ms)) for draft in found)


def _sent(lasts_us: int) -> list[dict[str, bytes]]:
    """What the devices send, by the steps in which their lines are read."""
    text = "seed = 7\n"
    for n, (name, (_, settings)) in enumerate(MIX.items()):
        text += f'[[device]]\nname = "{name}"\nstart_s = {n * 0.35}\n{settings}\n'
    steps: list[dict[str, bytes]] = [{} for _ in range(lasts_us // STEP_US)]
    for station in stations(parse(text), attended=True):
        for at_us, data in station.advance(lasts_us - 1).pieces:
            step = steps[at_us // STEP_US]
            step[station.name] = step.get(station.name, b"") + data
    return steps


def _template(draft: Draft, after_ms: int) -> Template:
    leaf, body = seal_entry(
        draft.kind, draft.chain, 0, bytes(32), draft.began.clock, os.urandom,
        values=draft.values, waves=draft.waves, raw=draft.raw, event=draft.event,
    )  # fmt: skip
    opened = open_entry(leaf, body)
    contents = tuple((part.type, part.content) for part in entry.parse_body(body))
    return Template(draft.kind, draft.chain, after_ms, contents, opened.reading_count, opened.sample_count)
