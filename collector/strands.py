"""The micro-chains of one log, followed entry by entry in the log's order.

An entry that does not continue its micro-chain breaks it: `chains.broken` keeps the first such index, and completeness
ends there. The strand goes on behind a break where the entry's number is not behind the one expected, so that one break
is one finding; an entry with an old number leaves the head as it was. Positions are recorded where the number is free.
"""

from dataclasses import dataclass

from collector.rows import CarriedRow, ChainRow
from collector.seam import MirrorStore
from vitaledger import chain
from vitaledger.cbor import INT_MAX
from vitaledger.compiled import compile_make
from vitaledger.entry import Entry, parse_leaf, part_name
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.events import Carried
from vitaledger.opened import open_entry
from vitaledger.succession import generation

_MAX_CACHED = 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """What following needs of an entry that was read: None for what cannot be read, and all that is wrong with it."""

    hash: bytes
    entry: Entry | None
    carried: Carried | None
    wrong: tuple[str, ...]


_make_seen = compile_make(Seen)


def look(leaf: bytes, body: bytes, leaf_hash: bytes) -> Seen:
    """Read an entry to its last field."""
    try:
        opened = open_entry(leaf, body)
    except (MalformedError, VerificationError) as error:
        try:
            return Seen(leaf_hash, parse_leaf(leaf), None, (str(error),))
        except MalformedError:
            return Seen(leaf_hash, None, None, (str(error),))
    carried = opened.event if isinstance(opened.event, Carried) else None
    if not opened.withheld:
        return _make_seen(leaf_hash, opened.entry, carried, ())
    missing = "withheld: " + ", ".join(f"part {part_name(part)}" for part in opened.withheld)
    return Seen(leaf_hash, opened.entry, carried, (missing,))


@dataclass(slots=True)
class _Strand:
    """A micro-chain as it is being followed; `number` is its own in the store."""

    number: int
    head: chain.ChainHead
    broken: int | None


class Strands:
    """The heads of a log's micro-chains; written by `save`."""

    def __init__(self, store: MirrorStore, log: int, origin: str) -> None:
        self._store = store
        self._log = log
        self._origin = origin
        self._strands: dict[str, _Strand] = {}
        self._changed: set[str] = set()
        self._positions: list[tuple[int, int, int, int]] = []
        self._carried: list[CarriedRow] = []

    def examine(self, index: int, leaf: bytes, body: bytes, leaf_hash: bytes) -> str | None:
        """Read the next entry of the log and follow its micro-chain; what is wrong with it, or None."""
        return self.follow(index, look(leaf, body, leaf_hash))

    def follow(self, index: int, seen: Seen) -> str | None:
        """Follow the micro-chain of the next entry of the log, which was read; what is wrong with it, or None."""
        if seen.entry is None:
            return seen.wrong[0]
        reasons = list(seen.wrong)
        if seen.carried is not None:
            inner = carried_entry(self._log, self._origin, index, seen.carried)
            if isinstance(inner, CarriedRow):
                self._carried.append(inner)
            else:
                reasons.insert(0, inner)
        if broken := self._link(index, seen.entry, seen.hash):
            reasons.append(broken)
        return "; ".join(reasons) or None

    def save(self) -> None:
        """Write the heads that moved and the positions found since the last time."""
        for name in self._changed:
            strand = self._strands[name]
            head = strand.head
            self._store.put_chain(ChainRow(strand.number, self._log, name, head.next_seq, head.last, strand.broken))
        self._store.add_positions(self._positions)
        self._store.add_carried(self._carried)
        self._changed.clear()
        self._positions.clear()
        self._carried.clear()
        if len(self._strands) > _MAX_CACHED:
            self._strands.clear()

    def _link(self, index: int, entry: Entry, leaf_hash: bytes) -> str | None:
        strand, broken = self._strands.get(entry.chain) or self._load(entry.chain), None
        try:
            strand.head = chain.follow(strand.head, entry, leaf_hash)
        except VerificationError as error:
            broken = str(error)
            strand.broken = index if strand.broken is None else strand.broken
            if entry.seq >= strand.head.next_seq:
                strand.head = chain.ChainHead(entry.chain, entry.seq + 1, leaf_hash)
        if strand.head.next_seq > INT_MAX:
            strand.head = chain.ChainHead(entry.chain, INT_MAX, strand.head.last)
        self._changed.add(entry.chain)
        self._positions.append((strand.number, entry.seq, index, entry.clock.wall_ms))
        return broken

    def _load(self, name: str) -> _Strand:
        row = self._store.chain_of(self._log, name)
        if row is None:
            begin = chain.start(self._origin, name)
            row = self._store.put_chain(ChainRow(0, self._log, name, begin.next_seq, begin.last, None))
        strand = _Strand(row.chain, chain.ChainHead(row.name, row.next_seq, row.last), row.broken)
        self._strands[name] = strand
        return strand


def carried_entry(log: int, origin: str, index: int, event: Carried) -> CarriedRow | str:
    """Where to find what entry `index` of the log `origin` carries over; or what is wrong with that."""
    where = f"carried over from {event.origin}, entry {event.index}"
    try:
        (stem, number), (own_stem, own_number) = generation(event.origin), generation(origin)
        if stem != own_stem or number >= own_number:
            return f"{where}: not a log before {origin}"
        entry = open_entry(event.leaf, event.body).entry
    except (MalformedError, VerificationError) as error:
        return f"{where}: {error}"
    return CarriedRow(log, index, event.origin, event.index, entry.chain, entry.seq, entry.clock.wall_ms)
