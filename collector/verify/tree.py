"""A tree made anew from its leaves, and every row that was derived from it held against that."""

from collections.abc import Sequence

from collector.reader import Reader
from collector.verify.report import Report
from vitaledger.merkle import HASH_SIZE
from vitaledger.tiles import FullTile, TileBuilder, differing, tile_path

BATCH = 1024


class Tree:
    """The tree of one log as it grows. `name` says whose it is, `gateway` which gateway's, None for the ledger."""

    def __init__(self, reader: Reader, log: int, report: Report, name: str, gateway: str | None) -> None:
        self._reader, self._log, self._report = reader, log, report
        self._name, self._gateway = name, gateway
        self._root: bytes | None = None  # at the size of `builder`, where it was asked for
        self.builder = TileBuilder()

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Append leaves whose hashes are known to be right; the tiles that they complete are checked."""
        self._root = None
        self._take(self.builder.extend(hashes))

    def extend_to(self, hashes: Sequence[bytes], root: bytes) -> bool:
        """Append leaves if they give this root, as `extend` does; else False, and nothing is changed."""
        if not hashes:
            self._root = self._root or self.builder.root()
            return self._root == root
        grown = self.builder.copy()
        tiles = grown.extend(hashes)
        if grown.root() != root:
            return False
        self.builder, self._root = grown, root
        self._take(tiles)
        return True

    def root_with(self, hashes: Sequence[bytes]) -> bytes:
        """The root that these leaves would give, appended; what is no hash gives one that nobody signed."""
        grown = self.builder.compact_range()
        for each in hashes:
            grown.append(each)
        return grown.root()

    def _take(self, tiles: Sequence[FullTile]) -> None:
        self._report.counts.tiles += len(tiles)
        for tile in tiles:
            self._check(tile)

    def _check(self, tile: FullTile) -> None:
        stored = self._reader.tile(self._log, tile.level, tile.n)
        if stored == tile.data:
            return
        where = f"{self._name} {tile_path(tile.level, tile.n)}"
        if stored is None:
            self._report.fail("tiles", f"{where} is missing", gateway=self._gateway)
            return
        at = next((at for at in range(256) if _hash(stored, at) != _hash(tile.data, at)), 256)
        self._report.fail(
            "tiles",
            f"{where}, {len(stored)} bytes: its hash {at} is not that of the leaves",
            gateway=self._gateway,
            expected=_hash(tile.data, at),
            found=_hash(stored, at),
        )

    def finish(self) -> None:
        """All leaves are in: a tile that is stored besides those is a failure, and an edge that is not theirs."""
        size = self.builder.size
        for level, n, _ in self._reader.tiles(self._log):
            if level < 0 or n < 0 or level > 7 or n >= size >> (8 * (level + 1)):
                self._report.fail(
                    "tiles", f"{self._name}: tile {level}/{n} is not of a tree of size {size}", gateway=self._gateway
                )
        wrong = differing(self.builder.edge(), self._reader.edge(self._log))
        if wrong is not None:
            self._report.fail("edge", f"{self._name}: {wrong}", gateway=self._gateway)


def _hash(tile: bytes, at: int) -> bytes:
    return tile[at * HASH_SIZE : (at + 1) * HASH_SIZE]
