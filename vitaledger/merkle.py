"""The Merkle tree of a transparency log: hashes, proofs and their verifiers (RFC 6962 §2.1, RFC 9162 §2.1).

    leaf hash = SHA-256(00 ‖ entry)          node hash = SHA-256(01 ‖ left ‖ right)
    root of no leaf = SHA-256("")            of n leaves: split at the largest power of two below n

A tree of five leaves, a to e. The inclusion proof of d is the sibling of each node on the way up, the lowest first:

                root
               /    \
             abcd    e          proof of d (index 3, size 5): [c, ab, e]
            /    \
          ab      cd

    >>> leaves = [leaf_hash(name) for name in (b"a", b"b", b"c", b"d", b"e")]
    >>> a, b, c, d, e = leaves
    >>> ab, cd = node_hash(a, b), node_hash(c, d)
    >>> root(leaves) == node_hash(node_hash(ab, cd), e)
    True
    >>> verify_inclusion(d, 3, 5, [c, ab, e], root(leaves))
    >>> verify_inclusion(d, 2, 5, [c, ab, e], root(leaves))
    Traceback (most recent call last):
    vitaledger.errors.VerificationError: inclusion of leaf 2 in [0, 5): expected root fe14a542…, found 9834325a…

A *subtree* [start, end) is a run of leaves whose start is a multiple of the smallest power of two that is at least its
length; its root is the root of those leaves alone. A subtree consistency proof shows that a tree holds that run at
that place, so that one run is checked without the rest of the log; [0, size1) is the ordinary consistency proof.

    >>> verify_subtree_consistency(2, 4, cd, 5, root(leaves), [ab, e])
    >>> verify_consistency(3, root(leaves[:3]), 5, root(leaves), [c, d, ab, e])

Proofs are made from tiles (see `vitaledger.tiles`): rows of 256 hashes, of which a proof needs one or two a level, so
that its cost grows with the logarithm of the log's size and not with its age.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Protocol, Self

from vitaledger.errors import MisuseError, VerificationError

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The 32-byte hash of an entry's bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of a node over its two children's hashes."""
    return sha256(b"\x01" + left + right).digest()


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile, or of what there is of one."""
    return [tile[at : at + HASH_SIZE] for at in range(0, len(tile), HASH_SIZE)]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of a tree, or of a subtree, that has exactly these leaves."""
    row = list(leaf_hashes)
    if not row:
        return EMPTY_ROOT
    # A node without a sibling moves up unchanged: the same tree as the recursive definition, one row at a time.
    while len(row) > 1:
        odd = [row[-1]] if len(row) & 1 else []
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)] + odd
    return row[0]


def is_valid_subtree(start: int, end: int) -> bool:
    """Whether [start, end) is a run of leaves that a tree can prove at once; the empty run is."""
    return 0 <= start <= end and start % _ceil_power(end - start) == 0


class CompactRange:
    """The leaves [0, size) as the roots of their full subtrees, the largest first: all that appending needs.

    `append` costs one hash on average, `root` at most one for each subtree.
    """

    __slots__ = ("_peaks", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def from_hashes(cls, size: int, hashes: Sequence[bytes]) -> Self:
        """The range of `size` leaves whose full subtrees have these roots; MisuseError where the count is not so."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(peak) != HASH_SIZE for peak in hashes):
            raise MisuseError(f"compact range of size {size}: expected one 32-byte hash for each bit of the size")
        made = cls()
        made._size = size
        made._peaks = list(hashes)
        return made

    @property
    def size(self) -> int:
        """How many leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the full subtrees, the largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf by its hash."""
        peaks, low = self._peaks, self._size
        while low & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            low >>= 1
        peaks.append(leaf)
        self._size += 1

    def root(self) -> bytes:
        """The root of the tree of these leaves."""
        return fold(self._peaks)

    def copy(self) -> Self:
        """A range of the same leaves that grows apart from this one."""
        return self.from_hashes(self._size, self._peaks)


# -- verifiers -------------------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes) -> None:
    """Check that the leaf hash is at `index` in the tree (size, root), or raise VerificationError.

    RFC 9162 §2.1.3.2.
    """
    verify_subtree_inclusion(leaf, index, 0, size, proof, tree_root)


def verify_subtree_inclusion(
    leaf: bytes, index: int, start: int, end: int, proof: Sequence[bytes], subtree_root: bytes
) -> None:
    """Check that the leaf hash at `index` of the log is in the subtree [start, end), or raise VerificationError."""
    what = f"inclusion of leaf {index} in [{start}, {end})"
    if not is_valid_subtree(start, end):
        raise VerificationError(f"{what}: expected a valid subtree")
    if not start <= index < end:
        raise VerificationError(f"{what}: expected an index inside")
    _check_hashes(what, (leaf, *proof))
    node, last, found = index - start, end - start - 1, leaf
    for step, sibling in enumerate(proof):
        if last == 0:
            raise VerificationError(f"{what}: expected {step} hashes in the proof, found {len(proof)}")
        if node & 1 or node == last:
            found = sha256(b"\x01" + sibling + found).digest()
            while not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + sibling).digest()
        node, last = node >> 1, last >> 1
    if last:
        raise VerificationError(f"{what}: expected more than {len(proof)} hashes in the proof")
    _check_root(what, "root", subtree_root, found)


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (size1, root1) is a prefix of (size2, root2), or raise VerificationError (RFC 9162 §2.1.4.2).

    The empty tree is a prefix of every tree and a proof of it says nothing, so none is accepted but to itself.
    """
    what = f"consistency of size {size1} with size {size2}"
    if size1 == 0 and size2 != 0:
        raise VerificationError(f"{what}: there is no proof from an empty tree")
    if size1 == size2:
        _check_root(what, "root", root1, root2)
    verify_subtree_consistency(0, size1, root1, size2, root2, proof)


def verify_subtree_consistency(
    start: int, end: int, subtree_root: bytes, size: int, tree_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree (size, root) holds the subtree [start, end) with this root, or raise VerificationError.

    The root of an empty subtree is EMPTY_ROOT in every tree: then `tree_root` is not looked at.
    """
    what = f"consistency of [{start}, {end}) with size {size}"
    if not is_valid_subtree(start, end) or end > size:
        raise VerificationError(f"{what}: expected a valid subtree inside the tree")
    if start == end or (start == 0 and end == size):
        if proof:
            raise VerificationError(f"{what}: expected an empty proof, found {len(proof)} hashes")
        return _check_root(what, "root", EMPTY_ROOT if start == end else tree_root, subtree_root)
    _check_hashes(what, (subtree_root, *proof))
    first, last, edge = _climb(start, end - 1, size - 1)
    rest = list(proof)
    if first != last and not rest:
        raise VerificationError(f"{what}: expected hashes in the proof, found none")
    old = new = subtree_root if first == last else rest.pop(0)
    for sibling in rest:
        if edge == 0:
            raise VerificationError(f"{what}: expected fewer than {len(proof)} hashes in the proof")
        if last & 1 or last == edge:
            old = node_hash(sibling, old) if first < last else old
            new = node_hash(sibling, new)
            while not last & 1:
                first, last, edge = first >> 1, last >> 1, edge >> 1
        else:
            new = node_hash(new, sibling)
        first, last, edge = first >> 1, last >> 1, edge >> 1
    if edge:
        raise VerificationError(f"{what}: expected more than {len(proof)} hashes in the proof")
    _check_root(what, "subtree root", subtree_root, old)
    return _check_root(what, "tree root", tree_root, new)


def _climb(first: int, last: int, edge: int) -> tuple[int, int, int]:
    """From the row of leaves to the row of the largest full subtree that ends the run.

    first and last are the run's outermost nodes, edge is the tree's last node, all on the row that is being climbed.
    """
    while first != last and (last & 1 or last == edge):
        first, last, edge = first >> 1, last >> 1, edge >> 1
    return first, last, edge


# -- proofs from tiles -----------------------------------------------------------------------------------------------


class TileReader(Protocol):
    """Where the hashes of a log are read from."""

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` (1 to 256) hashes of the n-th tile of a level, 32 bytes each; it may hold more.

        Hash i is the root of the leaves [(n·256 + i)·256^level, (n·256 + i + 1)·256^level). Raises MisuseError, or what
        the storage raises, where that tile is not held.
        """
        ...


def root_from_tiles(reader: TileReader, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return range_root(reader, 0, size)


def range_root(reader: TileReader, start: int, end: int) -> bytes:
    """The root of the subtree [start, end); MisuseError where that is not a valid subtree."""
    _check_subtree(start, end)
    return _Nodes(reader, end).run(start, end)


def compact_range_from_tiles(reader: TileReader, size: int) -> CompactRange:
    """The compact range of the first `size` leaves."""
    return CompactRange.from_hashes(size, _Nodes(reader, size).peaks(0, size))


def inclusion_proof(reader: TileReader, index: int, size: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root of the first `size` leaves, the leaf's own sibling first."""
    return subtree_inclusion_proof(reader, index, 0, size)


def inclusion_proofs(reader: TileReader, indices: Iterable[int], size: int) -> Iterator[list[bytes]]:
    """`inclusion_proof` of each index. Neighbours share most siblings: each is read and hashed once."""
    nodes = _Nodes(reader, size)
    start, end, rows, rest = 0, 0, list[list[bytes]](), list[bytes]()
    for index in indices:
        if not start <= index < end:
            siblings = _siblings(nodes, index, 0, size)
            start, end = _block(index, size)
            rows = nodes.rows(start, end)
            rest = siblings[len(rows) :]
        at = index - start
        yield [row[at >> height ^ 1] for height, row in enumerate(rows)] + rest


def _block(index: int, size: int) -> tuple[int, int]:
    """The largest full subtree within a tile that a leaf is in: the whole tile, or a peak of the last, partial one."""
    start = index - index % TILE_WIDTH
    width = min(size - start, TILE_WIDTH)
    while index >= start + _floor_power(width):
        start, width = start + _floor_power(width), width - _floor_power(width)
    return start, start + _floor_power(width)


def subtree_inclusion_proof(reader: TileReader, index: int, start: int, end: int) -> list[bytes]:
    """The siblings from leaf `index` of the log up to the root of the subtree [start, end)."""
    _check_subtree(start, end)
    return _siblings(_Nodes(reader, end), index, start, end)


def _siblings(nodes: "_Nodes", index: int, start: int, end: int) -> list[bytes]:
    if not start <= index < end:
        raise MisuseError(f"inclusion proof of leaf {index} in [{start}, {end}): expected an index inside")
    proof = []
    while end - start > 1:
        middle = start + _floor_power(end - start - 1)
        if index < middle:
            proof.append(nodes.run(middle, end))
            end = middle
        else:
            proof.append(nodes.run(start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(reader: TileReader, size1: int, size2: int) -> list[bytes]:
    """What shows that the first `size1` leaves are a prefix of the first `size2`; empty for size1 = 0."""
    return subtree_consistency_proof(reader, 0, size1, size2)


def subtree_consistency_proof(reader: TileReader, start: int, end: int, size: int) -> list[bytes]:
    """What shows that the tree of the first `size` leaves holds the subtree [start, end)."""
    _check_subtree(start, end)
    if end > size:
        raise MisuseError(f"consistency proof of [{start}, {end}) in size {size}: expected a subtree inside the tree")
    if start == end:
        return []
    nodes, proof = _Nodes(reader, size), []
    low, high, known = 0, size, True  # known: the verifier has the root of [low, end) because it is the subtree's
    while (low, high) != (start, end):
        middle = low + _floor_power(high - low - 1)
        if end <= middle:
            proof.append(nodes.run(middle, high))
            high = middle
        else:
            proof.append(nodes.run(low, middle))
            low = middle
            if start < middle:
                start, known = middle, False
    if not known:
        proof.append(nodes.run(start, end))
    return proof[::-1]


class _Nodes:
    """The nodes of a tree of `size` leaves, from tiles, each of which is read once; `run` remembers what it made."""

    __slots__ = ("_made", "_reader", "_size", "_tiles")

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._made: dict[tuple[int, int], bytes] = {}

    def run(self, start: int, end: int) -> bytes:
        found = self._made.get((start, end))
        if found is None:
            found = self._made[start, end] = fold(self.peaks(start, end))
        return found

    def peaks(self, start: int, end: int) -> list[bytes]:
        found = []
        while start < end:
            width = _floor_power(end - start)
            found.append(self._node(width.bit_length() - 1, start))
            start += width
        return found

    def rows(self, start: int, end: int) -> list[list[bytes]]:
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
            self._tiles[level, n] = tile
        return tile


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root of a tree from the roots of its full subtrees, the largest first."""
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for peak in peaks[-2::-1]:
        found = sha256(b"\x01" + peak + found).digest()
    return found


def _floor_power(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def _ceil_power(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def _check_subtree(start: int, end: int) -> None:
    if not is_valid_subtree(start, end):
        raise MisuseError(f"[{start}, {end}) is not a valid subtree")


def _check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    for found in hashes:
        if len(found) != HASH_SIZE:
            raise VerificationError(f"{what}: expected hashes of 32 bytes, found one of {len(found)}")


def _check_root(what: str, name: str, expected: bytes, found: bytes) -> None:
    if found != expected:
        raise VerificationError(f"{what}: expected {name} {expected[:4].hex()}…, found {found[:4].hex()}…")
