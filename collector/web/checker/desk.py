"""The store as it stands, verified, and the blocks of entries that were verified before.

A block is 256 entries of one micro-chain. What a block says is kept in cells of a minute, together with a fingerprint:
SHA-256 over the hash of the entry before the block, and for each entry its index, the hash of its leaf as it is stored
now, which must stand in the log's tree under the anchored root, and its body as it is stored now. Only a block in which
every entry is proven is kept, and it is used again only where the fingerprint, made of the bytes that are in the store
at that moment, is the same: the same bytes under a signed root say the same. So a changed byte is found by the view
that would have shown it, at a small part of the cost of opening each entry again.

    desk.snapshot()      everything inside sees the store of one moment, its ledger verified
    desk.part(…)         a run of entries, folded: verified now, or known by its fingerprint
    desk.troubles        what did not hold, by micro-chain: the overview says so
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from collector import history
from collector.history import Device, Seen, devices
from collector.reader import Reader
from collector.rows import ChainRow, LogRow, Sealed
from collector.verified import State, VerifiedLog, VerifiedStore
from collector.web.checker.cells import Cells, Packed
from collector.web.checker.parts import Part
from collector.web.checker.told import Run
from vitaledger.errors import VerificationError
from vitaledger.merkle import leaf_hash

BLOCK = 256
PIECE = 64  # how many entries are verified in one turn where no block is kept of them
MINUTE_US = 60_000_000
MAX_CELLS = 4_000_000  # kept of all blocks together: about 120 MB
MAX_CLOCKS = 256  # entries of a micro-chain that told the device's clock
GOOD = frozenset({"proven", "custody", "stored"})


@dataclass(frozen=True, slots=True)
class _Block:
    fingerprint: bytes
    cells: Packed
    part: Part  # without its cells


@dataclass(slots=True)
class Checked:
    """What is known of a micro-chain: how far back the patrol came, what did not hold, who told the device's clock."""

    back_to_us: int | None = None
    troubles: list[Run] = field(default_factory=list)
    clocks: set[int] = field(default_factory=set)


class Desk:
    """A store, read by this process only through verification."""

    def __init__(self, path: Path, vkey: str) -> None:
        self._path, self._vkey = path, vkey
        self._reader: Reader | None = None
        self._store: VerifiedStore | None = None
        self._blocks: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._cells = 0
        self.checked: dict[int, Checked] = {}

    @property
    def store(self) -> VerifiedStore:
        """The verified store; within a snapshot only."""
        if self._store is None:
            raise VerificationError("the store was not verified yet")
        return self._store

    @contextmanager
    def snapshot(self) -> Iterator[VerifiedStore]:
        """The store as it stands now; raises as `VerifiedStore.refresh` where its ledger does not hold."""
        if self._reader is None:
            self._reader = Reader.open(self._path)
        with self._reader.snapshot():
            if self._store is None:
                self._store = VerifiedStore(self._reader, self._vkey)
            self._store.refresh()
            yield self._store

    def device(self, label: str) -> Device | None:
        """The device of exactly this label."""
        return next((each for each in devices(self.store.reader) if each.label == label), None)

    def log(self, row: LogRow) -> VerifiedLog:
        """A log as it stands now."""
        return self.store.log(self.store.reader.log_of(row.origin) or row)

    def of(self, chain: ChainRow) -> Checked:
        """What is known of a micro-chain."""
        return self.checked.setdefault(chain.chain, Checked())

    # -- runs of entries ----------------------------------------------------------------------------------------------

    def units(self, log: VerifiedLog, chain: ChainRow, span: history.Span, size: int) -> Iterator[tuple[int, int]]:
        """The runs of at most `size` seqs that a span covers, newest first; whole blocks where `size` is BLOCK.

        The entry behind the span is among them: it may be a gap that began in it.
        """
        reader = self.store.reader
        end = chain.next_seq - 1
        done = chain.next_seq
        for first, last in reversed(history.runs_of(log, chain, span)):
            seq = min(last + 1, end, done - 1)
            while seq >= first:
                place = reader.last_position(chain.chain, seq)
                at = -1 if place is None else place.seq
                if at < seq:  # a hole, however wide
                    yield max(at + 1, first), seq
                    seq = at
                    continue
                low = seq - seq % size
                if size == BLOCK:
                    yield low, min(low + size - 1, end, done - 1)
                else:
                    low = max(low, first)
                    yield low, seq
                seq = low - 1
            done = min(done, seq + 1)

    def part(self, log: VerifiedLog, chain: ChainRow, first: int, last: int) -> tuple[Packed, Part]:
        """A run of entries in cells of a minute; out of what is kept where the stored bytes are still the same."""
        key = (chain.chain, first)
        before, rows, found = None, [], None
        if first % BLOCK == 0 and last == first + BLOCK - 1 and not log.failure:
            before = history.hash_before(log, chain, first)
            rows = self.store.reader.sealed(chain, first, last)
            found = None if before is None or len(rows) != BLOCK else self._fingerprint(log, before, rows)
        kept = self._blocks.get(key)
        if kept is not None and kept.fingerprint == found:
            self._blocks.move_to_end(key)
            self._note(chain, first, last, [])
            return kept.cells, kept.part
        read = None if found is None else history.follow(log, chain, rows, first, before)
        part = self.verify(log, chain, first, last, MINUTE_US, (None, None), read)
        packed = Packed.of(part.cells)
        part.cells = Cells(MINUTE_US)
        if found is not None and {run.state for run in part.runs} == {State.PROVEN.value}:
            self._keep(key, _Block(found, packed, part))
        elif kept is not None:
            self._drop(key)
        return packed, part

    def verify(
        self,
        log: VerifiedLog,
        chain: ChainRow,
        first: int,
        last: int,
        width_us: int = MINUTE_US,
        span: tuple[int | None, int | None] = (None, None),
        read: Iterable[Seen] | None = None,
    ) -> Part:
        """Verify a run of entries, each from its content to the ledger's signature, and fold them.

        `read` has them where their rows were read already (`history.follow`).
        """
        part = Part.of(log, history.run(log, chain, first, last) if read is None else read, width_us, *span)
        self._note(chain, first, last, [run for run in part.runs if run.state not in GOOD])
        known = self.of(chain).clocks
        known.update(told.seq for told in part.events if told.kind == "clock")
        while len(known) > MAX_CLOCKS:
            known.remove(min(known))
        return part

    def _note(self, chain: ChainRow, first: int, last: int, troubles: list[Run]) -> None:
        known = self.of(chain)
        if troubles or known.troubles:
            apart = [run for run in known.troubles if run.last < first or run.first > last]
            known.troubles = sorted(apart + troubles, key=lambda run: run.first)

    def _fingerprint(self, log: VerifiedLog, before: bytes, rows: Sequence[Sealed]) -> bytes | None:
        """What stands in the store for these entries, as one hash; None where not all of it is proven in place."""
        hashed, anchored, indices = sha256(before), log.anchored, [row.place.idx for row in rows]
        try:
            for place, leaf, body in rows:
                if type(leaf) is not bytes or type(body) is not bytes or place.idx >= anchored:
                    return None
                found = leaf_hash(leaf)
                if found != log.leaf_hash(place.idx):
                    return None
                hashed.update(b"%d %d %d %b%b" % (place.seq, place.idx, len(body), found, body))
        except VerificationError:
            return None
        if self.store.reader.findings_between(log.row.log, min(indices), max(indices)):
            return None
        return hashed.digest()

    def _keep(self, key: tuple[int, int], block: _Block) -> None:
        self._drop(key)
        self._blocks[key] = block
        self._cells += block.cells.count
        while self._cells > MAX_CELLS:
            self._drop(next(iter(self._blocks)))

    def _drop(self, key: tuple[int, int]) -> None:
        dropped = self._blocks.pop(key, None)
        if dropped is not None:
            self._cells -= dropped.cells.count
