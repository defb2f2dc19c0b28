"""The micro-chains of one log, followed anew, and the rows of chains and positions held against that.

The rule is the collector's: an entry that does not continue its micro-chain breaks it, the first such index is kept;
behind a break the chain goes on with the entry's own number unless that is an old one; a position is recorded where
its number is free.
"""

from dataclasses import dataclass, field

from collector.rows import ChainRow, LogRow
from collector.verify.report import Place, Report
from collector.verify.tables import Tables
from vitaledger.entry import Entry, parse_leaf
from vitaledger.entry import genesis as first_prev
from vitaledger.errors import MalformedError

_MAX_SEQ = (1 << 63) - 1
_WINDOW = 64  # positions of a micro-chain that are read at once


@dataclass(slots=True)
class _Head:
    next_seq: int
    last: bytes | None  # None behind an entry that is lost: its hash is not known
    broken: int | None
    row: ChainRow | None
    places: int = 0
    blurred: bool = False  # an entry was passed over whose number is not known
    window: dict[int, tuple[int, int]] = field(default_factory=dict)  # the rows of positions [low, high)
    low: int = 0
    high: int = 0


class Chains:
    """Heads by name. A log has at most some hundred micro-chains: a gateway refuses more."""

    def __init__(self, reader: Tables, row: LogRow, report: Report) -> None:
        self._reader, self._row, self._report = reader, row, report
        self._rows = {chain.name: chain for chain in reader.chains(row.log)}
        self._heads: dict[str, _Head] = {}

    def name_of(self, index: int, leaf: bytes | None) -> tuple[str | None, int | None]:
        """The micro-chain and the number of an entry: by its leaf, or by the positions where there is none."""
        if leaf is not None:
            try:
                entry = parse_leaf(leaf)
            except MalformedError:
                return None, None
            return entry.chain, entry.seq
        return self._reader.position_at(self._row.log, index) or (None, None)

    def take(self, index: int, entry: Entry, found: bytes) -> str | None:
        """Follow an entry; why it breaks its micro-chain, or None."""
        head = self._heads.get(entry.chain) or self._begin(entry.chain)
        reason, seq = None, entry.seq
        if head.blurred and seq > head.next_seq:
            head.next_seq, head.last = seq, None
        if seq != head.next_seq:
            reason = f"{entry.chain}: expected entry {head.next_seq}, found entry {seq}"
        elif head.last is not None and entry.prev != head.last:
            reason = f"{entry.chain} entry {seq}: prev: expected {_short(head.last)}, found {_short(entry.prev)}"
        if reason and head.broken is None:
            head.broken = index
        self._check_place(head, entry, index)
        if seq >= head.next_seq:
            head.next_seq, head.last, head.blurred = min(seq + 1, _MAX_SEQ), found, False
        return reason

    def passed_over(self, expected: bytes | None, place: Place) -> None:
        """An entry was changed or is missing: its micro-chain goes on with what was expected of it."""
        if place.chain is None or place.seq is None:
            for head in self._heads.values():
                head.blurred = True
            return
        head = self._heads.get(place.chain) or self._begin(place.chain)
        head.places += 1
        if place.seq >= head.next_seq:
            head.next_seq, head.last = place.seq + 1, expected

    def _begin(self, name: str) -> _Head:
        row = self._rows.get(name)
        if row is None:
            self._fail("chains", f"micro-chain {name} is missing")
        head = self._heads[name] = _Head(0, first_prev(self._row.origin, name), None, row)
        return head

    def _check_place(self, head: _Head, entry: Entry, index: int) -> None:
        if head.row is None:
            return
        seq = entry.seq
        if not head.low <= seq < head.high:  # entries come by their numbers, but for broken micro-chains
            head.low, head.high = seq, seq + (_WINDOW if seq == head.high else 1)
            head.window = self._reader.places(head.row.chain, seq, min(head.high - 1, _MAX_SEQ))
        found = head.window.get(seq)
        if found is not None and seq < head.next_seq and found[0] < index:
            return  # an old number that was taken
        head.places += 1
        if found != (index, entry.clock.wall_ms):
            told = f"index {found[0]} at {found[1]} ms" if found else "no row"
            self._fail(
                "positions",
                f"{entry.chain} entry {seq}: expected index {index} at {entry.clock.wall_ms} ms, found {told}",
            )

    def finish(self) -> None:
        """All entries are through: the rows must be those, and no others."""
        for name, head in self._heads.items():
            if head.row is None:
                continue
            row, expected = head.row, (head.next_seq, head.broken)
            if (row.next_seq, row.broken) != expected and not head.blurred:
                self._fail(
                    "chains",
                    f"{name}: expected next entry {head.next_seq} and break {head.broken}, "
                    f"found {row.next_seq} and {row.broken}",
                )
            if head.last is not None and row.last != head.last and not head.blurred:
                self._report.fail(
                    "chains",
                    f"{self._row.origin}: {name}: its last entry's hash",
                    gateway=self._row.gateway,
                    expected=head.last,
                    found=row.last,
                )
            places = self._reader.count_positions(row.chain)
            if places != head.places and not head.blurred:
                self._fail("positions", f"{name}: expected {head.places} rows, found {places}")
        for name in self._rows.keys() - self._heads.keys():
            if not any(head.blurred for head in self._heads.values()):
                self._fail("chains", f"micro-chain {name} has no entry")

    def _fail(self, table: str, reason: str) -> None:
        self._report.fail(table, f"{self._row.origin}: {reason}", gateway=self._row.gateway)


def _short(digest: bytes) -> str:
    return digest.hex()[:16] + "…"
