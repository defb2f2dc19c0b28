"""Proofs and verifiers against a second, recursive implementation of the definitions."""

import functools
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitaledger import merkle, prover
from vitaledger.errors import VerificationError
from vitaledger.tiles import MemoryTiles, TileBuilder

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "vectors" / "naive.py")))
LEAVES = [naive.leaf_hash(b"%d" % i) for i in range(66_000)]
TILES = MemoryTiles(LEAVES[:1200])
FEW = settings(max_examples=250, deadline=None)


@functools.cache
def root_of(start, end):
    """The naive root of leaves [start, end), its parts remembered."""
    if end - start <= 1:
        return naive.root(LEAVES[start:end])
    middle = start + naive.split(end - start)
    return naive.node_hash(root_of(start, middle), root_of(middle, end))


def naive_path(index, start, end):
    if end - start == 1:
        return []
    middle = start + naive.split(end - start)
    if index < middle:
        return [*naive_path(index, start, middle), root_of(middle, end)]
    return [*naive_path(index, middle, end), root_of(start, middle)]


@st.composite
def subtrees(draw, top):
    """(start, end, size) of a valid, non-empty subtree."""
    size = draw(st.integers(1, top))
    height = draw(st.integers(0, size.bit_length() - 1))
    start = draw(st.integers(0, (size - 1) >> height)) << height
    end = min(start + draw(st.integers((1 << height) // 2 + 1, 1 << height)), size)
    return start, end, size


def test_roots_at_every_size_to_600():
    compact, builder, tiles = merkle.CompactRange(), TileBuilder(), MemoryTiles()
    for size in range(600):
        expected = root_of(0, size)
        assert compact.root() == builder.root() == merkle.root(LEAVES[:size]) == expected
        assert prover.root_from_tiles(tiles, size) == expected
        compact.append(LEAVES[size])
        builder.extend([LEAVES[size]])
        tiles.append(LEAVES[size])


def test_restart_at_every_size_to_600():
    for size in range(601):
        whole = TileBuilder()
        whole.extend(LEAVES[:size])
        restored = TileBuilder.restore(size, TILES.tile)
        partials = [whole.partial(level) for level in range(2)]
        assert [restored.partial(level) for level in range(2)] == partials
        assert restored.root() == TileBuilder.from_partials(size, partials).root() == root_of(0, size)
        assert restored.extend(LEAVES[size : size + 300]) == whole.extend(LEAVES[size : size + 300])
        assert restored.root() == whole.root()


@FEW
@given(st.lists(st.integers(0, 300), max_size=8))
def test_runs_of_any_length_give_the_same_tiles(lengths):
    one, many, at = TileBuilder(), TileBuilder(), 0
    found = []
    for length in lengths:
        found += many.extend(LEAVES[at : at + length])
        at += length
    assert one.extend(LEAVES[:at]) == found
    assert one.root() == many.root() == root_of(0, at)
    for tile in found:
        assert tile.data == b"".join(
            root_of(i << 8 * tile.level, (i + 1) << 8 * tile.level) for i in range(tile.n * 256, tile.n * 256 + 256)
        )


@FEW
@given(st.integers(1, 700).flatmap(lambda size: st.tuples(st.just(size), st.lists(st.integers(0, size - 1)))))
def test_proofs_of_many_leaves_are_those_of_each(case):
    size, indices = case
    found = list(prover.Prover(TILES, size).inclusions(indices))
    assert found == [prover.inclusion_proof(TILES, index, size) for index in indices]


def test_every_proof_of_small_trees():
    for size in range(1, 20):
        root = root_of(0, size)
        for index in range(size):
            proof = prover.inclusion_proof(TILES, index, size)
            assert proof == naive.path(index, LEAVES[:size])
            merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
        for start in range(size):
            for end in range(start + 1, size + 1):
                assert merkle.is_valid_subtree(start, end) == naive.is_subtree(start, end)
                if naive.is_subtree(start, end):
                    proof = prover.subtree_consistency_proof(TILES, start, end, size)
                    assert proof == naive.consistency(start, end, LEAVES[:size])
                    merkle.verify_subtree_consistency(start, end, root_of(start, end), size, root, proof)


@FEW
@given(subtrees(600), st.data())
def test_subtree_proofs(case, data):
    start, end, size = case
    assert prover.range_root(TILES, start, end) == root_of(start, end)
    proof = prover.subtree_consistency_proof(TILES, start, end, size)
    assert proof == naive.consistency(start, end, LEAVES[:size])
    merkle.verify_subtree_consistency(start, end, root_of(start, end), size, root_of(0, size), proof)
    index = data.draw(st.integers(start, end - 1))
    path = prover.subtree_inclusion_proof(TILES, index, start, end)
    assert path == naive_path(index, start, end)
    merkle.verify_subtree_inclusion(LEAVES[index], index, start, end, path, root_of(start, end))


@FEW
@given(st.integers(1, 600), st.data())
def test_proofs(size2, data):
    size1 = data.draw(st.integers(1, size2))
    proof = prover.consistency_proof(TILES, size1, size2)
    assert proof == naive.consistency(0, size1, LEAVES[:size2])
    merkle.verify_consistency(size1, root_of(0, size1), size2, root_of(0, size2), proof)
    index = data.draw(st.integers(0, size2 - 1))
    path = prover.inclusion_proof(TILES, index, size2)
    assert path == naive.path(index, LEAVES[:size2])


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_792, 66_000])
def test_proofs_around_65_536(size):
    tiles = MemoryTiles(LEAVES[:size])
    root = root_of(0, size)
    assert prover.root_from_tiles(tiles, size) == root
    for index in {0, 1, 255, 256, 32_768, 65_279, 65_280, 65_534, 65_535, 65_536, size - 1}:
        if index >= size:
            continue
        path = prover.inclusion_proof(tiles, index, size)
        assert path == naive_path(index, 0, size)
        merkle.verify_inclusion(LEAVES[index], index, size, path, root)
        proof = prover.consistency_proof(tiles, index + 1, size)
        merkle.verify_consistency(index + 1, root_of(0, index + 1), size, root, proof)
        start = index & ~255
        part = prover.subtree_consistency_proof(tiles, start, index + 1, size)
        merkle.verify_subtree_consistency(start, index + 1, root_of(start, index + 1), size, root, part)


INDEXES = st.integers(0, 40)
PIECES = st.lists(st.sampled_from(LEAVES[:3]), max_size=7)


def verdict(check):
    try:
        check()
    except VerificationError:
        return False
    return True


@settings(max_examples=600, deadline=None)
@given(INDEXES, INDEXES, PIECES, st.booleans())
def test_inclusion_verdicts_are_the_naive_ones(index, size, proof, right):
    """Any numbers and any proof: refused just where the recursion does not lead to the root."""
    led = naive.root_by_path(LEAVES[0], index, size, proof) if index < size else None
    claimed = led if led and right else LEAVES[9]
    expected = index < size and led == claimed
    assert verdict(lambda: merkle.verify_inclusion(LEAVES[0], index, size, proof, claimed)) == expected


@settings(max_examples=600, deadline=None)
@given(INDEXES, INDEXES, INDEXES, PIECES, st.booleans(), st.booleans())
def test_consistency_verdicts_are_the_naive_ones(start, end, size, proof, right_part, right_root):
    led = None
    if naive.is_subtree(start, end) and end <= size:
        led = naive.roots_by_consistency(start, end, size, proof, LEAVES[0])
    part = led[0] if led and right_part else LEAVES[0]
    root = led[1] if led and right_root else LEAVES[9]
    if led:  # where the proof starts from the subtree's root, another root leads elsewhere
        led = naive.roots_by_consistency(start, end, size, proof, part)
    if start == end:
        return
    expected = led == (part, root)
    assert verdict(lambda: merkle.verify_subtree_consistency(start, end, part, size, root, proof)) == expected


@FEW
@given(subtrees(600), st.data())
def test_a_changed_proof_is_refused(case, data):
    start, end, size = case
    proof = prover.subtree_consistency_proof(TILES, start, end, size)
    part, root = root_of(start, end), root_of(0, size)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        changed = int.from_bytes(proof[at]) ^ (1 << bit)
        wrong = [*proof[:at], changed.to_bytes(32), *proof[at + 1 :]]
        assert not verdict(lambda: merkle.verify_subtree_consistency(start, end, part, size, root, wrong))
        assert not verdict(lambda: merkle.verify_subtree_consistency(start, end, part, size, root, proof[:-1]))
    longer = [*proof, root]
    assert not verdict(lambda: merkle.verify_subtree_consistency(start, end, part, size, root, longer))
