"""The micro-chains of one log, followed entry by entry in the log's order.

An entry that does not continue its micro-chain breaks it: `chains.broken` keeps the first such index, and completeness
ends there. The strand goes on behind a break where the entry's number is not behind the one expected, so that one break
is one finding; an entry with an old number leaves the head as it was. Positions are recorded where the number is free.
"""

from dataclasses import replace

from collector.reader import CarriedRow, ChainRow
from collector.seam import MirrorStore
from vitaledger import chain
from vitaledger.cbor import INT_MAX
from vitaledger.entry import Entry, parse_leaf, part_name
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.events import Carried
from vitaledger.opened import open_entry
from vitaledger.succession import generation

_MAX_CACHED = 1024


class Strands:
    """The heads of a log's micro-chains; written by `save`."""

    def __init__(self, store: MirrorStore, log: int, origin: str) -> None:
        self._store = store
        self._log = log
        self._origin = origin
        self._heads: dict[str, ChainRow] = {}
        self._changed: set[str] = set()
        self._positions: list[tuple[int, int, int, int]] = []
        self._carried: list[CarriedRow] = []

    def examine(self, index: int, leaf: bytes, body: bytes, leaf_hash: bytes) -> str | None:
        """Read the next entry of the log and follow its micro-chain; what is wrong with it, or None."""
        reasons = []
        try:
            opened = open_entry(leaf, body)
            entry = opened.entry
            if isinstance(opened.event, Carried):
                inner = carried_entry(self._log, self._origin, index, opened.event)
                if isinstance(inner, CarriedRow):
                    self._carried.append(inner)
                else:
                    reasons.append(inner)
            if opened.withheld:
                reasons.append("withheld: " + ", ".join(f"part {part_name(part)}" for part in opened.withheld))
        except (MalformedError, VerificationError) as error:
            reasons.append(str(error))
            try:
                entry = parse_leaf(leaf)
            except MalformedError:
                return reasons[0]
        if broken := self._follow(index, entry, leaf_hash):
            reasons.append(broken)
        return "; ".join(reasons) or None

    def save(self) -> None:
        """Write the heads that moved and the positions found since the last time."""
        for name in self._changed:
            self._store.put_chain(self._heads[name])
        self._store.add_positions(self._positions)
        self._store.add_carried(self._carried)
        self._changed.clear()
        self._positions.clear()
        self._carried.clear()
        if len(self._heads) > _MAX_CACHED:
            self._heads.clear()

    def _follow(self, index: int, entry: Entry, leaf_hash: bytes) -> str | None:
        row, broken = self._head(entry.chain), None
        try:
            head = chain.follow(chain.ChainHead(row.name, row.next_seq, row.last), entry, leaf_hash)
            row = replace(row, next_seq=min(head.next_seq, INT_MAX), last=head.last)
        except VerificationError as error:
            broken = str(error)
            row = replace(row, broken=index if row.broken is None else row.broken)
            if entry.seq >= row.next_seq:
                row = replace(row, next_seq=min(entry.seq + 1, INT_MAX), last=leaf_hash)
        self._heads[entry.chain] = row
        self._changed.add(entry.chain)
        self._positions.append((row.chain, entry.seq, index, entry.clock.wall_ms))
        return broken

    def _head(self, name: str) -> ChainRow:
        row = self._heads.get(name) or self._store.chain_of(self._log, name)
        if row is None:
            begin = chain.start(self._origin, name)
            row = self._store.put_chain(ChainRow(0, self._log, name, begin.next_seq, begin.last, None))
        self._heads[name] = row
        return row


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
