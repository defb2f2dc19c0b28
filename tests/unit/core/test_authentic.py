"""Tiles out of a store that nobody trusts: any changed byte is found before a hash of it is used."""

import random

import pytest

from vitaledger import merkle, prover
from vitaledger.authentic import AuthenticTiles
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.tiles import MemoryTiles, tile_path, tiles_of

HASHES = [merkle.leaf_hash(n.to_bytes(4)) for n in range(70_000)]
SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_000]


class Store:
    """Counts what is read of it, and answers some tiles otherwise."""

    def __init__(self, tiles):
        self.tiles, self.read, self.instead = tiles, [], {}

    def tile(self, level, n, width):
        self.read.append((level, n))
        data = self.instead.get((level, n))
        return self.tiles.tile(level, n, width) if data is None else data


def log(size):
    tiles = MemoryTiles(HASHES[:size])
    return Store(tiles), tiles.root()


BIG, BIG_ROOT = log(66_000)


@pytest.mark.parametrize("size", SIZES)
def test_what_it_reads_is_true(size):
    store, root = log(size)
    found = AuthenticTiles(store, size, root)
    assert found.size == size
    for index in {0, 1, size // 2, size - 2, size - 1, *range(0, size, 4999)} & set(range(size)):
        assert found.leaf_hash(index) == HASHES[index]
    for index in {0, size // 2, size - 1}:
        path = prover.inclusion_proof(found, index, size)
        merkle.verify_inclusion(HASHES[index], index, size, path, root)
    assert prover.root_from_tiles(found, size) == root


def test_an_empty_log():
    found = AuthenticTiles(Store(MemoryTiles()), 0, merkle.EMPTY_ROOT)
    with pytest.raises(MisuseError):
        found.leaf_hash(0)
    with pytest.raises(VerificationError):
        AuthenticTiles(Store(MemoryTiles()), 0, bytes(32))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 65_536, 66_000])
def test_a_wrong_root_or_size(size):
    store, root = log(size)
    with pytest.raises(VerificationError, match=f"tree of size {size}: expected root"):
        AuthenticTiles(store, size, bytes(32))
    if size > 1:
        with pytest.raises(VerificationError):
            AuthenticTiles(store, size - 1, root)
    with pytest.raises((VerificationError, MisuseError)):
        AuthenticTiles(store, size + 1, root)


def leaf_under(level, n, at, size):
    """A leaf that can only be read through hash `at` of a tile."""
    return min((n * 256 + at) * 256**level, size - 1)


@pytest.mark.parametrize("size", [3, 256, 257, 1000, 66_000])
def test_any_changed_byte_of_any_tile_is_found(size):
    tiles, rng = MemoryTiles(HASHES[:size]), random.Random(size)
    root, all_tiles = tiles.root(), list(tiles_of(size))
    for level, n, width in all_tiles if len(all_tiles) < 20 else [*all_tiles[-4:], *rng.sample(all_tiles, 30)]:
        data = tiles.tile(level, n, width)
        for at in {0, len(data) - 1, *rng.sample(range(len(data)), min(len(data), 6))}:
            store = Store(tiles)
            store.instead[level, n] = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            with pytest.raises(VerificationError):  # whichever leaf below it is read, or at the very beginning
                AuthenticTiles(store, size, root).leaf_hash(leaf_under(level, n, at // 32, size))


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: data[32:]])
def test_a_short_tile_is_found(change):
    for level, n, width in [(0, 3, 256), (0, 257, 208), (1, 0, 256), (1, 1, 1), (2, 0, 1)]:
        store = Store(BIG.tiles)
        store.instead[level, n] = change(BIG.tiles.tile(level, n, width))
        with pytest.raises(VerificationError, match=f"{tile_path(level, n, width)}: expected {width * 32} bytes"):
            AuthenticTiles(store, 66_000, BIG_ROOT).leaf_hash(leaf_under(level, n, 0, 66_000))


def test_a_tile_may_hold_more_than_was_asked_for():
    store = Store(BIG.tiles)
    store.instead[0, 257] = BIG.tiles.tile(0, 257, 208) + bytes(32)
    assert AuthenticTiles(store, 66_000, BIG_ROOT).leaf_hash(65_999) == HASHES[65_999]


def test_a_tile_of_another_place_is_found():
    store = Store(BIG.tiles)
    store.instead[0, 3] = BIG.tiles.tile(0, 4, 256)
    with pytest.raises(VerificationError, match="tile/0/003: expected hash"):
        AuthenticTiles(store, 66_000, BIG_ROOT).leaf_hash(800)


@pytest.mark.parametrize("size", [257, 1000, 65_537, 66_000])
def test_a_leaf_costs_at_most_a_tile_a_level(size):
    tiles = MemoryTiles(HASHES[:size])
    levels = len({level for level, _, _ in tiles_of(size)})
    for index in (0, 1, 255, 256, size // 2, size - 1):
        store = Store(tiles)
        found = AuthenticTiles(store, size, tiles.root())
        assert len(store.read) <= levels
        store.read.clear()
        found.leaf_hash(index)
        assert len(store.read) <= levels
        assert len(set(store.read)) == len(store.read)
        store.read.clear()
        found.leaf_hash(index)
        assert store.read == []


def test_a_walk_over_everything_reads_each_tile_once():
    store = Store(BIG.tiles)
    found = AuthenticTiles(store, 66_000, BIG_ROOT)
    for index in range(0, 66_000, 128):
        assert found.leaf_hash(index) == HASHES[index]
    assert len(store.read) == len(set(store.read)) == len(list(tiles_of(66_000)))


def test_what_was_checked_is_kept_whatever_the_store_says_later():
    store = Store(BIG.tiles)
    found = AuthenticTiles(store, 66_000, BIG_ROOT)
    before = found.leaf_hash(800)
    store.instead[0, 3] = bytes(8192)
    assert found.leaf_hash(801) == HASHES[801]
    assert before == HASHES[800]


@pytest.mark.parametrize(
    ("level", "n", "width"),
    [(0, 258, 1), (0, 257, 209), (0, -1, 256), (1, 1, 2), (1, 2, 1), (2, 0, 2), (2, 1, 1), (3, 0, 1), (7, 0, 1)],
)
def test_tiles_outside(level, n, width):
    with pytest.raises(MisuseError):
        AuthenticTiles(BIG, 66_000, BIG_ROOT).tile(level, n, width)


@pytest.mark.parametrize("index", [-1, 66_000, 2**63])
def test_leaves_outside(index):
    with pytest.raises(MisuseError, match=f"leaf {index} is not in a tree of size 66000"):
        AuthenticTiles(BIG, 66_000, BIG_ROOT).leaf_hash(index)
