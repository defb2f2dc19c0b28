"""The tree's edge cases; the proofs themselves are held against the naive ones in tests/property."""

import pytest

from vitaledger import merkle, prover
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.tiles import MemoryTiles

LEAVES = [merkle.leaf_hash(b"%d" % i) for i in range(8)]
TILES = MemoryTiles(LEAVES)


def test_known_hashes():
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root([]) == merkle.EMPTY_ROOT
    assert merkle.CompactRange().root() == merkle.EMPTY_ROOT
    assert prover.root_from_tiles(TILES, 0) == merkle.EMPTY_ROOT


@pytest.mark.parametrize(
    ("start", "end", "valid"),
    [(0, 0, True), (3, 3, True), (0, 7, True), (4, 7, True), (4, 8, True), (6, 8, True), (7, 8, True),
     (1, 3, False), (2, 6, False), (4, 9, False), (5, 4, False), (-1, 1, False)],
)  # fmt: skip
def test_valid_subtrees(start, end, valid):
    assert merkle.is_valid_subtree(start, end) is valid


@pytest.mark.parametrize(
    "call",
    [
        lambda: prover.inclusion_proof(TILES, 8, 8),
        lambda: prover.inclusion_proof(TILES, -1, 8),
        lambda: prover.inclusion_proof(TILES, 0, 0),
        lambda: prover.inclusion_proof(TILES, 0, 9),
        lambda: list(prover.Prover(TILES, 8).inclusions([7, 8])),
        lambda: list(prover.Prover(TILES, 8).inclusions([-1])),
        lambda: prover.subtree_inclusion_proof(TILES, 1, 2, 4),
        lambda: prover.subtree_inclusion_proof(TILES, 2, 1, 3),
        lambda: prover.consistency_proof(TILES, 5, 4),
        lambda: prover.consistency_proof(TILES, 5, 9),
        lambda: prover.subtree_consistency_proof(TILES, 1, 3, 8),
        lambda: prover.range_root(TILES, 2, 6),
        lambda: merkle.CompactRange.from_hashes(3, LEAVES[:1]),
        lambda: merkle.CompactRange.from_hashes(1, [b"short"]),
    ],
)
def test_misuse(call):
    with pytest.raises(MisuseError):
        call()


@pytest.mark.parametrize(
    ("size1", "root1", "size2", "root2", "proof", "ok"),
    [
        (0, merkle.EMPTY_ROOT, 0, merkle.EMPTY_ROOT, [], True),
        (0, LEAVES[0], 0, LEAVES[0], [], False),
        (0, merkle.EMPTY_ROOT, 0, merkle.EMPTY_ROOT, LEAVES[:1], False),
        (0, merkle.EMPTY_ROOT, 1, LEAVES[0], [], False),
        (1, LEAVES[0], 1, LEAVES[0], [], True),
        (1, LEAVES[0], 1, LEAVES[1], [], False),
        (2, LEAVES[0], 1, LEAVES[1], [], False),
        (1, LEAVES[0], 2, merkle.root(LEAVES[:2]), [LEAVES[1]], True),
        (1, LEAVES[0], 2, merkle.root(LEAVES[:2]), [LEAVES[1][:31]], False),
        (3, merkle.root(LEAVES[:3]), 4, merkle.root(LEAVES[:4]), [], False),
    ],
)
def test_consistency_edges(size1, root1, size2, root2, proof, ok):
    if ok:
        merkle.verify_consistency(size1, root1, size2, root2, proof)
    else:
        with pytest.raises(VerificationError):
            merkle.verify_consistency(size1, root1, size2, root2, proof)


def test_a_copy_grows_apart():
    first = merkle.CompactRange()
    for leaf in LEAVES[:5]:
        first.append(leaf)
    second = first.copy()
    second.append(LEAVES[5])
    assert (first.size, first.root()) == (5, merkle.root(LEAVES[:5]))
    assert (second.size, second.root()) == (6, merkle.root(LEAVES[:6]))
    assert prover.compact_range_from_tiles(TILES, 6).hashes == second.hashes


def test_an_inner_hash_is_not_a_leaf():
    """A node's children given as an entry's bytes are another hash: the 00 and 01 keep them apart."""
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != merkle.node_hash(LEAVES[0], LEAVES[1])


def test_errors_say_what_was_expected_and_found():
    with pytest.raises(VerificationError, match=r"expected root [0-9a-f]{8}…, found [0-9a-f]{8}…"):
        merkle.verify_inclusion(LEAVES[1], 0, 8, prover.inclusion_proof(TILES, 0, 8), TILES.root())


def test_a_short_tile_is_told():
    class Short:
        def tile(self, level, n, width):
            return b""

    with pytest.raises(MisuseError, match="expected 256 bytes, found 0"):
        prover.root_from_tiles(Short(), 8)


def test_the_roots_of_two_empty_trees_are_both_looked_at():
    for root1, root2 in ((merkle.EMPTY_ROOT, LEAVES[0]), (LEAVES[0], merkle.EMPTY_ROOT)):
        with pytest.raises(VerificationError):
            merkle.verify_consistency(0, root1, 0, root2, [])


def test_a_proof_of_a_smaller_tree_is_not_one_of_a_larger():
    """Its hashes lead to the claimed root; only its length says that the size is another."""
    root = merkle.root(LEAVES[:4])
    with pytest.raises(VerificationError, match="expected more than"):
        merkle.verify_inclusion(LEAVES[0], 0, 8, prover.inclusion_proof(TILES, 0, 4), root)
    with pytest.raises(VerificationError, match="expected more than"):
        merkle.verify_consistency(3, merkle.root(LEAVES[:3]), 8, root, prover.consistency_proof(TILES, 3, 4))


def test_hashes_cannot_be_cut_elsewhere():
    """The two children's 64 bytes, cut after the 48th: the same node, and no such leaf."""
    children = LEAVES[0] + LEAVES[1]
    pair = merkle.root(LEAVES[:2])
    with pytest.raises(VerificationError, match="expected hashes of 32 bytes"):
        merkle.verify_inclusion(children[:48], 0, 2, [children[48:]], pair)
    with pytest.raises(VerificationError, match="expected hashes of 32 bytes"):
        merkle.verify_consistency(1, children[:48], 2, pair, [children[48:]])
