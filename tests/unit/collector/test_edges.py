"""The right edge of a log's tree as it is kept: bounded, and of what is in the store, whatever that is."""

from random import Random

import pytest

from collector import tiles
from collector.tiles import Edges, LogTiles
from vitaledger import merkle
from vitaledger.errors import VerificationError
from vitaledger.tiles import MemoryTiles


class Stored:
    """Leaves, and the full tiles over them, as a store would hand them over."""

    def __init__(self, count):
        self.rows = {index: Random(index).randbytes(40) for index in range(count)}
        self.full = MemoryTiles(merkle.leaf_hash(leaf) for leaf in self.rows.values())
        self.changed = {}
        self.read = 0

    def tile(self, log, level, n):
        self.read += 1
        return self.changed.get((level, n)) or self.full.tile(level, n, 256)

    def roots(self, log, level, first, end):
        return {}

    def leaves(self, log, first, end):
        return [(index, self.rows[index]) for index in range(first, end) if index in self.rows]


def test_an_edge_is_read_once_and_grows_by_what_is_new():
    stored = Stored(256 * 6 + 3)
    edges = Edges(stored)
    for size in (256 * 4, 256 * 6 + 3):
        assert LogTiles(edges, 1, size).tile(1, 0, size // 256) == stored.full.tile(1, 0, size // 256)
    assert stored.read == 6
    assert LogTiles(edges, 1, 256 * 6 + 3).tile(0, 6, 3) == stored.full.tile(0, 6, 3)


def test_only_so_many_edges_are_kept(monkeypatch):
    monkeypatch.setattr(tiles, "MAX_EDGES", 2)
    stored = Stored(512)
    edges = Edges(stored)
    for log in (1, 2, 3, 1):  # the first was forgotten when the third came
        LogTiles(edges, log, 512).tile(1, 0, 2)
    assert stored.read == 8
    assert len(edges._known) == 2


@pytest.mark.parametrize("leaf", [7, "text", None, 1.5])
def test_a_leaf_that_is_no_bytes_is_named(leaf):
    stored = Stored(300)
    stored.rows[270] = leaf
    with pytest.raises(VerificationError, match="the leaf of entry 270 is no bytes"):
        LogTiles(Edges(stored), 1, 300).tile(0, 1, 44)


@pytest.mark.parametrize("tile", [7, "text", b"short"])
def test_a_tile_that_is_none_is_named(tile):
    stored = Stored(600)
    stored.changed[0, 1] = tile
    with pytest.raises(VerificationError, match="tile 0/1: expected 8192 bytes"):
        LogTiles(Edges(stored), 1, 600).tile(1, 0, 2)
