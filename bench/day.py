"""A collector's store with a day of two devices, three signals each at 1 Hz, made by the real ledger step.

Five seconds an entry, as a recorder closes them, so 17,280 entries a device; 15 readings an entry; values only unless
`full`, then the pleth wave of 75 samples a second and 375 raw bytes a second as well. A minute a commit, an anchor and
a heads entry. Keys and salts are random, everything else is the same each time.
"""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random

from collector.enrolment import enroll
from collector.inbox import Message
from collector.ingest import Step
from collector.ledger import empty_head
from collector.reader import FILE_NAME
from collector.store import Store
from vitaledger import events, merkle, messages, prover, vitals, witness
from vitaledger.chain import follow, start
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.content import Context, Series, Values, WaveBlock
from vitaledger.entry import GATEWAY_CHAIN, Clock, Kind, entry_hash, parse_leaf
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import Category, Check, Direction, GapReason, Provenance, Use
from vitaledger.messages import ENTRIES, Entries, Sealed
from vitaledger.opened import seal_entry
from vitaledger.raw import Chunk
from vitaledger.tiles import MemoryTiles

ENTRIES_A_DAY = 17_280
READINGS = 15  # an entry
CHAINS = ("nonin:port:bed-1", "nonin:port:bed-2")
_PROVIDER, _GATEWAY = "bench.example", "ward-1"
_WALL_MS = 1_767_254_400_000  # 2026-01-01 08:00 UTC
_ENTRY_MS = 5000
_A_MINUTE = 12
_MESSAGE = 16  # entries; with waves and raw bytes it is below 64 KiB
_SIGNALS = (
    ("spo2", 150456, vitals.PERCENT, 0, 94),
    ("pulse", 149530, 264864, 0, 70),
    ("pi", 150448, vitals.PERCENT, -2, 300),
)


@dataclass(frozen=True, slots=True)
class Day:
    """The store, the ledger's vkey, and the time that the entries take, in µs since 1970 UTC."""

    path: Path
    vkey: str
    from_us: int
    to_us: int


def make_day(folder: Path, entries: int = ENTRIES_A_DAY, *, full: bool = False) -> Day:
    """Fill a store in an empty folder with `entries` readings entries of each device."""
    ledger = Ed25519Signer(messages.ledger_origin(_PROVIDER), os.urandom(32))
    store = Store.create(folder / FILE_NAME, _PROVIDER, str(ledger.vkey), empty_head(ledger))
    try:
        gateway = _Gateway(full=full)
        enroll(store, ledger, str(gateway.key.vkey), _WALL_MS - 1000)
        step = Step(store, ledger)
        for n in range(entries):
            for chain in CHAINS:
                gateway.readings(chain)
            gateway.now_ms += _ENTRY_MS
            if n % _A_MINUTE == _A_MINUTE - 1 or n == entries - 1:
                gateway.seal(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, event=events.Heads(tuple(gateway.heads.values()), None))
                step.process(gateway.sent(), gateway.now_ms)
                while step.more:
                    step.process([], gateway.now_ms)
    finally:
        store.close()
    return Day(folder / FILE_NAME, str(ledger.vkey), _WALL_MS * 1000, gateway.now_ms * 1000)


class _Gateway:
    """Seals entries, and sends what an uplink would."""

    def __init__(self, *, full: bool) -> None:
        self.key = Ed25519Signer(messages.gateway_origin(_PROVIDER, _GATEWAY), os.urandom(32))
        self.now_ms = _WALL_MS
        self.heads: dict[str, events.ChainHead] = {}
        self._full = full
        self._random = Random(5)
        self._tiles = MemoryTiles()
        self._waiting: list[Sealed] = []
        self._witnessed = 0
        for chain in CHAINS:
            self.seal(Kind.DEVICE_EVENT, chain, event=events.Gap(GapReason.START, None, "", None))

    def seal(self, kind: Kind, chain: str, **contents: object) -> None:
        """Seal an entry of these contents."""
        head = self.heads.get(chain) or start(self.key.name, chain)
        clock = Clock(self.now_ms, bytes(16), self.now_ms - _WALL_MS, 3)
        leaf, body = seal_entry(kind, chain, head.next_seq, head.last, clock, os.urandom, **contents)  # type: ignore[arg-type]
        self.heads[chain] = follow(head, parse_leaf(leaf), entry_hash(leaf))
        self._tiles.append(entry_hash(leaf))
        self._waiting.append(Sealed(leaf, body))

    def readings(self, chain: str) -> None:
        """Seal five seconds."""
        series = tuple(
            Series(handle, code, unit, Category.MEASURED, exponent, 0, self._values(least), (), ())
            for handle, code, unit, exponent, least in _SIGNALS
        )
        times = (tuple(n * 1_000_000 for n in range(5)),)
        context = Context(None, None, None)
        values = Values("nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, context, times, series, None)
        if not self._full:
            self.seal(Kind.READINGS, chain, values=values)
            return
        samples = tuple(self._random.randbytes(375))
        wave = WaveBlock("pleth", 150452, 262656, Fraction(75), Fraction(1), 0, 0, 4_990_000, samples, (), ())
        raw = Chunk(Direction.RECEIVED, 0, self._random.randbytes(700) * 2 + self._random.randbytes(475))
        self.seal(Kind.READINGS, chain, values=values, waves=(wave,), raw=(raw,))

    def _values(self, least: int) -> tuple[int, ...]:
        return tuple(least + self._random.randrange(4) for _ in range(5))

    def sent(self) -> list[Message]:
        """The anchor of all that was sealed, and the entries that were not sent yet."""
        old, size = self._witnessed, self._tiles.size
        path = prover.consistency_proof(self._tiles, old, size) if old else []
        head = sign_checkpoint(Checkpoint(self.key.name, size, self._tiles.root()), self.key)
        found = [Message(_GATEWAY, "up/checkpoint", witness.encode_request(old, path, head))]
        while old < size:
            end = min(size, old - old % _MESSAGE + _MESSAGE)  # no message goes over the end of a tile
            run, self._waiting = self._waiting[: end - old], self._waiting[end - old :]
            proof = prover.subtree_consistency_proof(self._tiles, old - old % merkle.TILE_WIDTH, end, size)
            said = Entries(len(found), self.key.name, size, old, tuple(run), tuple(proof))
            found.append(Message(_GATEWAY, "up/entries", ENTRIES.encode(said)))
            old = end
        self._witnessed = size
        return found
