"""Tile paths, entry bundles, the builder and the readers."""

import pytest

from vitaledger import merkle, prover
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.tiles import (
    MemoryTiles,
    StoredTiles,
    TileBuilder,
    TileRoot,
    decode_bundle,
    differing,
    encode_bundle,
    entries_path,
    parse_tile_path,
    partial_width,
    tile_path,
    tiles_of,
)  # fmt: skip

LEAVES = [merkle.leaf_hash(b"%d" % i) for i in range(70_000)]


@pytest.mark.parametrize(
    ("path", "parsed"),
    [
        ("tile/0/000", (0, 0, 256)),
        ("tile/0/000.p/1", (0, 0, 1)),
        ("tile/1/999.p/255", (1, 999, 255)),
        ("tile/2/x001/000", (2, 1000, 256)),
        ("tile/63/x001/x234/067", (63, 1_234_067, 256)),
        ("tile/entries/x001/x234/067.p/8", ("entries", 1_234_067, 8)),
    ],
)
def test_paths(path, parsed):
    assert parse_tile_path(path) == parsed
    level, n, width = parsed
    assert (entries_path(n, width) if level == "entries" else tile_path(level, n, width)) == path


@pytest.mark.parametrize(
    "path",
    ["", "tile/0", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/x000/001",
     "tile/0/001/000", "tile/0/x01/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/",
     "tile/0/000/", "/tile/0/000", "tile/0/000\n", "tile/0/٠٠٠", "tile/entries/x000/000", "tile/Entries/000",
     "tile/0/../000", "tile/0/000.p/999"],
)  # fmt: skip
def test_paths_that_are_none(path):
    with pytest.raises(MalformedError):
        parse_tile_path(path)


@pytest.mark.parametrize(("level", "n", "width"), [(64, 0, 256), (-1, 0, 256), (0, -1, 256), (0, 0, 0), (0, 0, 257)])
def test_paths_that_cannot_be(level, n, width):
    with pytest.raises(MisuseError):
        tile_path(level, n, width)


def test_the_tiles_of_a_tree_of_70_000():
    tiles = list(tiles_of(70_000))
    assert [tile for tile in tiles if tile[0] > 0] == [(1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert [tile for tile in tiles if tile[0] == 0] == [(0, n, 256) for n in range(273)] + [(0, 273, 112)]
    assert list(tiles_of(0)) == []
    assert [partial_width(256, level) for level in (0, 1, 2)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\x00", "cut short"), (b"\x00\x01", "cut short"), (b"\x00\x00\x01", "cut short"),
     (b"\x00\x00" * 257, "at most 256")],
)  # fmt: skip
def test_bundles_that_are_none(data, why):
    with pytest.raises(MalformedError, match=why):
        decode_bundle(data)


@pytest.mark.parametrize("entries", [[b""] * 257, [bytes(65_536)]])
def test_bundles_that_cannot_be(entries):
    with pytest.raises(MisuseError):
        encode_bundle(entries)


def test_bundle_edges():
    for entries in ([], [b""], [bytes(65_535)], [b"x"] * 256):
        assert decode_bundle(encode_bundle(entries)) == entries


def test_builder_reports_each_full_tile_once_and_children_first():
    builder, seen = TileBuilder(), []
    for at in range(0, 70_000, 777):
        seen += [(tile.level, tile.n) for tile in builder.extend(LEAVES[at : at + 777])]
    assert sorted(seen) == [(0, n) for n in range(273)] + [(1, 0)]
    assert seen.index((1, 0)) == seen.index((0, 255)) + 1
    assert builder.root() == merkle.root(LEAVES)
    assert [len(builder.partial(level)) // 32 for level in range(4)] == [112, 17, 1, 0]


def test_builder_refuses_what_is_no_hash_and_stays_as_it_was():
    builder = TileBuilder()
    builder.extend(LEAVES[:5])
    with pytest.raises(MisuseError):
        builder.extend([LEAVES[5], b"short"])
    assert (builder.size, builder.root()) == (5, merkle.root(LEAVES[:5]))


def test_a_copy_of_a_builder_grows_apart():
    builder = TileBuilder()
    builder.extend(LEAVES[:300])
    other = builder.copy()
    other.extend(LEAVES[300:600])
    assert (builder.size, builder.root()) == (300, merkle.root(LEAVES[:300]))
    assert (other.size, other.root()) == (600, merkle.root(LEAVES[:600]))


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_792, 69_999])
def test_restart_of_a_large_tree(size):
    tiles = MemoryTiles(LEAVES[:size])
    builder = TileBuilder.restore(size, tiles.tile)
    builder.extend(LEAVES[size:])
    assert builder.root() == merkle.root(LEAVES)


@pytest.mark.parametrize("step", [100, 257, 65_536, 70_000])
def test_the_roots_of_what_became_full_make_the_edge(step):
    builder, kept = TileBuilder(), {}
    for first in range(0, len(LEAVES), step):
        full = builder.extend(LEAVES[first : first + step])
        kept |= {(each.level, each.n): each.root for each in builder.roots_of(full)}
        for tile in full:  # what stood under it is no more at the edge
            kept = {key: root for key, root in kept.items() if key[0] != tile.level - 1 or key[1] >> 8 != tile.n}
        assert kept == {(each.level, each.n): each.root for each in builder.edge()}
    assert {level for level, _ in kept} == {0, 1}


@pytest.mark.parametrize("partials", [[], [b"\x00" * 32], [b"\x00" * 96] * 2, [b"\x00" * 64, b"\x00" * 32]])
def test_partials_of_another_size(partials):
    with pytest.raises(MisuseError):
        TileBuilder.from_partials(3, partials)


def test_reader_serves_what_the_tree_has_and_no_more():
    full, builder = {}, TileBuilder()
    for tile in builder.extend(LEAVES[:600]):
        full[tile.level, tile.n] = tile.data
    reader = StoredTiles(lambda level, n: full[level, n], builder)
    assert reader.tile(0, 0, 3) == b"".join(LEAVES[:3])
    assert reader.tile(0, 2, 88) == b"".join(LEAVES[512:600])
    assert reader.tile(1, 0, 2) == merkle.root(LEAVES[:256]) + merkle.root(LEAVES[256:512])
    for level, n, width in [(0, 2, 89), (0, 3, 1), (1, 0, 3), (2, 0, 1), (0, 0, 0), (0, 0, 257), (0, -1, 1)]:
        with pytest.raises(MisuseError):
            reader.tile(level, n, width)


def test_a_proof_reads_few_tiles():
    class Counting:
        def __init__(self, reader):
            self.reader, self.read = reader, set()

        def tile(self, level, n, width):
            assert (level, n) not in self.read
            self.read.add((level, n))
            return self.reader.tile(level, n, width)

    tiles = MemoryTiles(LEAVES)
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        counting = Counting(tiles)
        proof = prover.inclusion_proof(counting, index, 70_000)
        merkle.verify_inclusion(LEAVES[index], index, 70_000, proof, tiles.root())
        assert len(counting.read) <= 5


def test_an_edge_with_places_that_are_no_numbers_is_told_as_any_other():
    builder = TileBuilder()
    builder.extend(LEAVES[:300])
    (root,) = builder.edge()
    for level, n in ((0, b"\x00"), ("x", 0), (0, 1.5)):
        assert "stands under no partial tile" in differing([root], [root, TileRoot(level, n, root.root)])
