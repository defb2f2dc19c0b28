"""What a mirror needs of a store: the seam at which another database could follow.

`collector.store.Store` is the SQLite one. All writes happen inside a transaction that the caller holds; a head that
another process has moved meanwhile is a `LostSwapError`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from collector.rows import CarriedRow, ChainRow, LogRow
from vitaledger.prover import TileReader
from vitaledger.tiles import FullTile, TileRoot


class MirrorStore(Protocol):
    """The rows of one gateway's log."""

    def leaves(self, log: int, first: int, end: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of what is stored of [first, end)."""
        ...

    def entries(self, log: int, first: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, leaf, body) of what is stored of [first, end), in order."""
        ...

    def add_entries(self, log: int, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Store (index, leaf, body); never overwrites."""
        ...

    def ranges(self, log: int) -> list[tuple[int, int]]:
        """What is stored beyond logs.stored."""
        ...

    def set_ranges(self, log: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Record what is stored beyond logs.stored."""
        ...

    def doubt_edge(self, log: int) -> bool:
        """Read the right edge from full tiles from now on; False where that is so already."""
        ...

    def tile_reader(self, log: int, size: int) -> TileReader:
        """The tree of the first `size` entries."""
        ...

    def add_tiles(self, log: int, tiles: Sequence[FullTile], roots: Iterable[TileRoot]) -> None:
        """Store full tiles, and the roots of those of them that stand under a partial one."""
        ...

    def statement(self, index: int) -> bytes | None:
        """A leaf of the ledger, also one of this transaction."""
        ...

    def anchor_at(self, log: int, size: int) -> int | None:
        """The statement that anchors exactly this size."""
        ...

    def anchor_at_or_above(self, log: int, size: int) -> tuple[int, int] | None:
        """(size, statement) of the oldest anchor that is no smaller."""
        ...

    def set_witnessed(self, row: LogRow, size: int, note: bytes, statement: int) -> LogRow:
        """Compare-and-swap of the head witnessed last, and its anchor."""
        ...

    def set_stored(self, row: LogRow, stored: int) -> LogRow:
        """Compare-and-swap of the end of the prefix."""
        ...

    def set_custody(self, row: LogRow, statement: int) -> LogRow:
        """Record the newest custody statement."""
        ...

    def add_finding(self, log: int, index: int, statement: int) -> None:
        """Record the finding about an entry."""
        ...

    def chain_of(self, log: int, name: str) -> ChainRow | None:
        """A micro-chain by its name."""
        ...

    def put_chain(self, row: ChainRow) -> ChainRow:
        """Record a micro-chain; one numbered 0 is new and gets its number."""
        ...

    def add_positions(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Record (chain, seq, index, wall ms) where the seq is free."""
        ...

    def add_carried(self, rows: Iterable[CarriedRow]) -> None:
        """Record what entries carry over of other logs."""
        ...
