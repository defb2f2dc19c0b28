"""Proofs made from tiles: rows of 256 hashes (`vitaledger.tiles`), of which a proof needs one or two a level.

So its cost grows with the logarithm of the log's size and not with its age. What the verifiers of `vitaledger.merkle`
take is made here.

>>> from vitaledger.merkle import leaf_hash, verify_inclusion
>>> from vitaledger.tiles import MemoryTiles
>>> log = MemoryTiles(leaf_hash(b"%d" % i) for i in range(1000))
>>> prover = Prover(log, 1000)
>>> verify_inclusion(leaf_hash(b"700"), 700, 1000, prover.inclusion(700), log.root())
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Protocol

from vitaledger.errors import MisuseError
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, CompactRange, fold, is_valid_subtree, split_hashes

_KEPT_TILES = 64  # 512 KiB
_KEPT_NODES = 4096


class TileReader(Protocol):
    """Where the hashes of a log are read from."""

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` (1 to 256) hashes of the n-th tile of a level, 32 bytes each; it may hold more.

        Hash i is the root of the leaves [(n·256 + i)·256^level, (n·256 + i + 1)·256^level). Raises MisuseError, or what
        the storage raises, where that tile is not held.
        """
        ...


class Prover:
    """Makes proofs in the tree of the first `size` leaves.

    All proofs of one tree share the siblings at its right edge and most of those high up: what has been hashed of them
    is kept, within bounds. Every method raises MisuseError for what is not in the tree, and what the reader raises.
    """

    __slots__ = ("_made", "_reader", "_size", "_tiles")

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._made: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root of the tree."""
        return fold(self.peaks(0, self._size))

    def inclusion(self, index: int) -> list[bytes]:
        """The siblings from leaf `index` up to the root, the leaf's own sibling first."""
        return self.siblings(index, 0, self._size)

    def inclusions(self, indices: Iterable[int]) -> Iterator[list[bytes]]:
        """`inclusion` of each index. Neighbours share most siblings: each is read and hashed once."""
        start, end, rows, rest = 0, 0, list[list[bytes]](), list[bytes]()
        for index in indices:
            if not start <= index < end:
                if not 0 <= index < self._size:
                    raise _outside(index, 0, self._size)
                start, end = _block(index, self._size)
                rows, rest = self._rows(start, end), self._above(start, end, 0, self._size)
            at = index - start
            yield [row[at >> height ^ 1] for height, row in enumerate(rows)] + rest

    def consistency(self, size: int) -> list[bytes]:
        """What shows that the first `size` leaves are a prefix of this tree; empty for size = 0."""
        return self.subtree_consistency(0, size)

    def subtree_consistency(self, start: int, end: int) -> list[bytes]:
        """What shows that this tree holds the subtree [start, end)."""
        _check_subtree(start, end)
        if end > self._size:
            raise MisuseError(
                f"consistency proof of [{start}, {end}) in size {self._size}: expected a subtree inside the tree"
            )
        if start == end:
            return []
        proof = []
        low, high, known = 0, self._size, True  # known: the verifier has the root of [low, end): it is the subtree's
        while (low, high) != (start, end):
            middle = low + _floor_power(high - low - 1)
            if end <= middle:
                proof.append(self.run(middle, high))
                high = middle
            else:
                proof.append(self.run(low, middle))
                low = middle
                if start < middle:
                    start, known = middle, False
        if not known:
            proof.append(self.run(start, end))
        return proof[::-1]

    def siblings(self, index: int, start: int, end: int) -> list[bytes]:
        """The siblings from leaf `index` of the log up to the root of the subtree [start, end)."""
        if not start <= index < end:
            raise _outside(index, start, end)
        return self._above(index, index + 1, start, end)

    def _above(self, first: int, last: int, start: int, end: int) -> list[bytes]:
        """The siblings from the node over [first, last) up to the root of the subtree [start, end)."""
        proof = []
        while end - start > last - first:
            middle = start + _floor_power(end - start - 1)
            if first < middle:
                proof.append(self.run(middle, end))
                end = middle
            else:
                proof.append(self.run(start, middle))
                start = middle
        return proof[::-1]

    def run(self, start: int, end: int) -> bytes:
        """The root of the subtree [start, end)."""
        if end - start <= TILE_WIDTH:
            return fold(self.peaks(start, end))
        found = self._made.get((start, end))
        if found is None:
            found = fold(self.peaks(start, end))
            _keep(self._made, (start, end), found, _KEPT_NODES)
        return found

    def peaks(self, start: int, end: int) -> list[bytes]:
        """The roots of the full subtrees of [start, end), the largest first."""
        found = []
        while start < end:
            width = _floor_power(end - start)
            found.append(self._node(width.bit_length() - 1, start))
            start += width
        return found

    def _rows(self, start: int, end: int) -> list[list[bytes]]:
        """The nodes below the root of a full subtree within a tile, row by row: of a tile 256 leaves, 128 … 2 nodes."""
        n, first = divmod(start, TILE_WIDTH)
        row = split_hashes(self._tile(0, n)[first * HASH_SIZE : (first + end - start) * HASH_SIZE])
        found = []
        while len(row) > 1:
            found.append(row)
            pairs = iter(row)
            row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
        return found

    def _node(self, height: int, start: int) -> bytes:
        """The root of the 2^height leaves from `start`: a whole run of hashes in one tile."""
        level, inner = divmod(height, TILE_HEIGHT)
        n, offset = divmod(start >> (level * TILE_HEIGHT), TILE_WIDTH)
        row = self._tile(level, n)[offset * HASH_SIZE : (offset + (1 << inner)) * HASH_SIZE]
        while len(row) > HASH_SIZE:
            pairs = range(0, len(row), 2 * HASH_SIZE)
            row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_SIZE]).digest() for at in pairs])
        return row

    def _tile(self, level: int, n: int) -> bytes:
        tile = self._tiles.get((level, n))
        if tile is None:
            width = min(TILE_WIDTH, (self._size >> (level * TILE_HEIGHT)) - n * TILE_WIDTH)
            tile = self._reader.tile(level, n, width)
            if len(tile) < width * HASH_SIZE:
                raise MisuseError(f"tile {level}/{n}: expected {width * HASH_SIZE} bytes, found {len(tile)}")
            _keep(self._tiles, (level, n), tile, _KEPT_TILES)
        return tile


def root_from_tiles(reader: TileReader, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return Prover(reader, size).root()


def range_root(reader: TileReader, start: int, end: int) -> bytes:
    """The root of the subtree [start, end); MisuseError where that is not a valid subtree."""
    _check_subtree(start, end)
    return Prover(reader, end).run(start, end)


def compact_range_from_tiles(reader: TileReader, size: int) -> CompactRange:
    """The compact range of the first `size` leaves."""
    return CompactRange.from_hashes(size, Prover(reader, size).peaks(0, size))


def inclusion_proof(reader: TileReader, index: int, size: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root of the first `size` leaves, the leaf's own sibling first."""
    return Prover(reader, size).inclusion(index)


def subtree_inclusion_proof(reader: TileReader, index: int, start: int, end: int) -> list[bytes]:
    """The siblings from leaf `index` of the log up to the root of the subtree [start, end)."""
    _check_subtree(start, end)
    return Prover(reader, end).siblings(index, start, end)


def consistency_proof(reader: TileReader, size1: int, size2: int) -> list[bytes]:
    """What shows that the first `size1` leaves are a prefix of the first `size2`; empty for size1 = 0."""
    return Prover(reader, size2).consistency(size1)


def subtree_consistency_proof(reader: TileReader, start: int, end: int, size: int) -> list[bytes]:
    """What shows that the tree of the first `size` leaves holds the subtree [start, end)."""
    return Prover(reader, size).subtree_consistency(start, end)


def _outside(index: int, start: int, end: int) -> MisuseError:
    return MisuseError(f"inclusion proof of leaf {index} in [{start}, {end}): expected an index inside")


def _block(index: int, size: int) -> tuple[int, int]:
    """The largest full subtree within a tile that a leaf is in: the whole tile, or a peak of the last, partial one."""
    start = index - index % TILE_WIDTH
    width = min(size - start, TILE_WIDTH)
    while index >= start + _floor_power(width):
        start, width = start + _floor_power(width), width - _floor_power(width)
    return start, start + _floor_power(width)


def _keep(kept: dict[tuple[int, int], bytes], key: tuple[int, int], found: bytes, most: int) -> None:
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = found


def _floor_power(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def _check_subtree(start: int, end: int) -> None:
    if not is_valid_subtree(start, end):
        raise MisuseError(f"[{start}, {end}) is not a valid subtree")
