"""The hashes of a log's tree out of the store: full tiles are rows, the right edge comes from the leaves and `edge`.

The rows of `edge` are the roots of the full tiles under partial ones. They prove nothing and can be made again: where
one is missing, or where they did not give a signed root (`Reader.doubt_edge`), full tiles are hashed in their place, up
to 255 a level. What was read is kept. As everywhere beneath the reader, nothing here is verified.
"""

from typing import Protocol

from vitaledger import merkle
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, leaf_hash

MAX_EDGES = 2048  # partial tiles of all logs: 16 MiB at most


class Rows(Protocol):
    """What is stored."""

    def tile(self, log: int, level: int, n: int) -> bytes | None:
        """A full tile as it is stored."""
        ...

    def leaves(self, log: int, first: int, end: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of what is stored of [first, end); bytes, unless the store was changed."""
        ...

    def roots(self, log: int, level: int, first: int, end: int) -> dict[int, bytes]:
        """What the edge says are the roots of full tiles, as far as it has them and is believed."""
        ...


class Edges:
    """The partial tiles, as far as they were needed before."""

    __slots__ = ("_known", "_rows")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._known: dict[tuple[int, int, int], bytes] = {}

    def forget(self) -> None:
        """Read all of it again when it is asked for: rows were taken back, or were not what a signed root says."""
        self._known.clear()

    def full(self, log: int, level: int, n: int) -> bytes:
        """A full tile; VerificationError where the store lacks it."""
        tile = self._rows.tile(log, level, n)
        if not isinstance(tile, bytes) or len(tile) != TILE_WIDTH * HASH_SIZE:
            found = "no tile" if tile is None else f"{len(tile)} bytes" if isinstance(tile, bytes) else "no bytes"
            raise VerificationError(f"log {log}: tile {level}/{n}: expected 8192 bytes, found {found}")
        return tile

    def edge(self, log: int, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a partial tile: of leaves, or above them from `edge` or the full tiles below."""
        key = log, level, n
        known = self._known.get(key, b"")
        if len(known) < width * HASH_SIZE:
            below = range(n * TILE_WIDTH + len(known) // HASH_SIZE, n * TILE_WIDTH + width)
            known += self._above(log, level - 1, below) if level else self._leaves(log, below)
            self._known.pop(key, None)
            if len(self._known) >= MAX_EDGES:
                del self._known[next(iter(self._known))]
            self._known[key] = known
        return known[: width * HASH_SIZE]

    def _leaves(self, log: int, below: range) -> bytes:
        leaves = self._rows.leaves(log, below.start, below.stop)
        if len(leaves) != len(below):
            raise VerificationError(f"log {log}: a leaf of [{below.start}, {below.stop}) is missing in the store")
        wrong = next((index for index, leaf in leaves if not isinstance(leaf, bytes)), None)
        if wrong is not None:
            raise VerificationError(f"log {log}: the leaf of entry {wrong} is no bytes in the store")
        return b"".join([leaf_hash(leaf) for _, leaf in leaves])

    def _above(self, log: int, level: int, below: range) -> bytes:
        roots = self._rows.roots(log, level, below.start, below.stop)
        return b"".join([roots.get(child) or self._root(log, level, child) for child in below])

    def _root(self, log: int, level: int, n: int) -> bytes:
        return merkle.tile_root(self.full(log, level, n))


class LogTiles:
    """A TileReader of the tree of the first `size` leaves of a log."""

    __slots__ = ("_edges", "_log", "_size")

    def __init__(self, edges: Edges, log: int, size: int) -> None:
        self._edges, self._log, self._size = edges, log, size

    def tile(self, level: int, n: int, width: int) -> bytes:
        """See TileReader. VerificationError where the store lacks what it says that it has."""
        hashes = (self._size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH
        if not (n >= 0 and 1 <= width <= min(TILE_WIDTH, hashes)):
            raise MisuseError(f"tile {level}/{n} of width {width} is not in a tree of size {self._size}")
        if hashes >= TILE_WIDTH:
            return self._edges.full(self._log, level, n)[: width * HASH_SIZE]
        return self._edges.edge(self._log, level, n, width)
