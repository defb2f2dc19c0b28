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

Proofs are made from tiles, rows of 256 hashes: `vitaledger.prover`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Self

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


def tile_root(tile: bytes) -> bytes:
    """The hash that stands for a full tile in the tile above it."""
    return root(split_hashes(tile))


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


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root of a tree from the roots of its full subtrees, the largest first."""
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for peak in peaks[-2::-1]:
        found = sha256(b"\x01" + peak + found).digest()
    return found


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


def _ceil_power(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def _check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    for found in hashes:
        if len(found) != HASH_SIZE:
            raise VerificationError(f"{what}: expected hashes of 32 bytes, found one of {len(found)}")


def _check_root(what: str, name: str, expected: bytes, found: bytes) -> None:
    if found != expected:
        raise VerificationError(f"{what}: expected {name} {expected[:4].hex()}…, found {found[:4].hex()}…")
