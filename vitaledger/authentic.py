"""Reading a log's hashes from a store that nobody trusts: each tile is checked before a hash of it is used.

The right edge of the tree, that is the partial tile of each level, must give the signed root; every full tile must
give the hash that stands for it in the tile above. So any one leaf hash costs at most one tile a level, however old
the log is, and what comes out of an `AuthenticTiles` is as good as the root that it was made with.

>>> from vitaledger.merkle import leaf_hash
>>> from vitaledger.tiles import MemoryTiles
>>> log = MemoryTiles(leaf_hash(b"%d" % i) for i in range(1000))
>>> tiles = AuthenticTiles(log, 1000, log.root())
>>> tiles.leaf_hash(700) == leaf_hash(b"700")
True
>>> AuthenticTiles(log, 999, log.root())
Traceback (most recent call last):
vitaledger.errors.VerificationError: tree of size 999: expected root 638afa98…, its right edge gives 0ee83dfc…
"""

from vitaledger import merkle
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH
from vitaledger.prover import TileReader
from vitaledger.tiles import TileBuilder, partial_width, tile_path

_KEPT = 1024  # tiles kept after they were checked: 8 MiB at most


class AuthenticTiles:
    """A TileReader over another one, for the tree (size, root); raises VerificationError for a tile that is not of it.

    Making one reads the right edge; afterwards each tile is read and checked once while it is kept.
    """

    __slots__ = ("_checked", "_edge", "_near", "_reader", "_size", "_tile")

    def __init__(self, reader: TileReader, size: int, root: bytes) -> None:
        self._reader = reader
        self._size = size
        self._checked: dict[tuple[int, int], bytes] = {}
        self._edge: list[bytes] = []
        self._near, self._tile = -1, b""
        for level in range(-(-size.bit_length() // TILE_HEIGHT)):
            width = partial_width(size, level)
            n = size >> (TILE_HEIGHT * (level + 1))
            self._edge.append(self._read(level, n, width) if width else b"")
        found = TileBuilder.from_partials(size, self._edge).root()
        if found != root:
            raise VerificationError(
                f"tree of size {size}: expected root {root[:4].hex()}…, its right edge gives {found[:4].hex()}…"
            )

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def leaf_hash(self, index: int) -> bytes:
        """The hash of one leaf, checked against the root."""
        if not 0 <= index < self._size:
            raise MisuseError(f"leaf {index} is not in a tree of size {self._size}")
        n, at = divmod(index, TILE_WIDTH)
        if n != self._near:  # neighbours are asked for one after another
            self._tile = self.tile(0, n, min(TILE_WIDTH, self._size - n * TILE_WIDTH))
            self._near = n
        return self._tile[at * HASH_SIZE : (at + 1) * HASH_SIZE]

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile, checked against the root."""
        if n == self._size >> (TILE_HEIGHT * (level + 1)) and level < len(self._edge):
            found = self._edge[level]
        else:
            found = self._full(level, n)
        if len(found) < width * HASH_SIZE:
            raise MisuseError(f"tile {level}/{n} of width {width} is not in a tree of size {self._size}")
        return found[: width * HASH_SIZE]

    def _full(self, level: int, n: int) -> bytes:
        if not 0 <= n < self._size >> (TILE_HEIGHT * (level + 1)):
            raise MisuseError(f"tile {level}/{n} is not in a tree of size {self._size}")
        if (level, n) in self._checked:
            return self._checked[level, n]
        above, at = divmod(n, TILE_WIDTH)
        expected = self.tile(level + 1, above, at + 1)[-HASH_SIZE:]
        data = self._read(level, n, TILE_WIDTH)
        found = merkle.tile_root(data)
        if found != expected:
            raise VerificationError(
                f"{tile_path(level, n)}: expected hash {expected[:4].hex()}…, found {found[:4].hex()}…"
            )
        if len(self._checked) >= _KEPT:
            del self._checked[next(iter(self._checked))]
        self._checked[level, n] = data
        return data

    def _read(self, level: int, n: int, width: int) -> bytes:
        data = self._reader.tile(level, n, width)[: width * HASH_SIZE]
        if len(data) != width * HASH_SIZE:
            raise VerificationError(
                f"{tile_path(level, n, width)}: expected {width * HASH_SIZE} bytes, found {len(data)}"
            )
        return data
