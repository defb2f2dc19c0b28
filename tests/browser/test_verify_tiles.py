"""A log's hashes out of tiles that nobody trusts, in the browser: as AuthenticTiles, and one changed hash is named."""

import random

import pytest

from tests.browser.verify_fixtures import b64, browser, harness
from vitaledger import merkle
from vitaledger.tiles import MemoryTiles, tiles_of

HASHES = [merkle.leaf_hash(n.to_bytes(4)) for n in range(66_500)]
SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 65_792, 66_500]
RNG = random.Random(60)


@pytest.fixture(scope="module")
def page(request):
    with browser(request) as found:
        yield harness(found)


def tree(size):
    """(root, tiles by place) of a tree of the first leaves."""
    made = MemoryTiles(HASHES[:size])
    return made.root(), {(level, n): made.tile(level, n, width) for level, n, width in tiles_of(size)}


def ask(page, *cases):
    told = [
        [
            size,
            root.hex(),
            [[*at, b64(data)] for at, data in tiles.items()],
            [[n, each.hex()] for n, each in said],
            asked,
        ]
        for size, root, tiles, said, asked in cases
    ]
    return page.evaluate("cases => harness.trees(cases)", told)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edge_of(size, tiles):
    """The edge above the leaves, as a collector makes it of the full tiles below."""
    for (level, n), data in list(tiles.items()):
        if level and len(data) < 8192:
            below = [tiles[level - 1, child] for child in range(n * 256, n * 256 + len(data) // 32)]
            rows = [[each[at : at + 32] for at in range(0, 8192, 32)] for each in below]
            tiles[level, n] = b"".join(map(merkle.root, rows))
    return tiles


@pytest.mark.parametrize("size", SIZES)
def test_what_it_reads_is_true(page, size):
    root, tiles = tree(size)
    asked = sorted({0, size - 1, *(RNG.randrange(size) for _ in range(10))})
    (found,) = ask(page, (size, root, tiles, [], asked))
    assert found == {"leaves": [[None, HASHES[index].hex()] for index in asked], "mended": []}


@pytest.mark.parametrize("size", SIZES[2:])
def test_another_root_or_size_is_refused(page, size):
    root, tiles = tree(size)
    wrong, other = ask(page, (size, flipped(root, 3), tiles, [], []), (size - 1, root, tiles, [], []))
    assert wrong.startswith(f"tree of size {size}: expected root ")
    assert isinstance(other, str)


@pytest.mark.parametrize(("size", "index"), [(1000, 3), (1000, 999), (65_536, 700), (66_500, 70), (66_500, 66_400)])
@pytest.mark.parametrize("known", [True, False])
def test_a_changed_hash_of_a_leaf(page, size, index, known):
    """Whoever has the entry mends it, and knows that it was changed; to others the whole of its tile is not proven."""
    root, tiles = tree(size)
    n, at = divmod(index, 256)
    tiles[0, n] = flipped(tiles[0, n], 32 * at)
    said = [(index, HASHES[index])] if known else []
    near, far = index ^ 1, 300
    (found,) = ask(page, (size, root, edge_of(size, tiles), said, [index, near, far]))
    if known:
        assert found == {"leaves": [[None, HASHES[each].hex()] for each in (index, near, far)], "mended": [index]}
    elif n < 256 <= size // 256:  # a full tile under a full one
        (wrong, _), (wrong_near, _), (right, _) = found["leaves"]
        assert wrong == wrong_near
        assert wrong.startswith(f"tile/0/{n}: expected hash ")
        assert right is None
    else:
        assert found.startswith(f"tree of size {size}: expected root ")


def test_what_is_said_wrongly_mends_nothing(page):
    """Two entries that say something else, of which one is right: that one is taken."""
    root, tiles = tree(1000)
    tiles[0, 1] = flipped(tiles[0, 1], 0)
    said = [(256, HASHES[256]), (600, HASHES[601]), (990, HASHES[1])]
    (found,) = ask(page, (1000, root, edge_of(1000, tiles), said, [256, 600, 990]))
    assert found == {"leaves": [[None, HASHES[each].hex()] for each in (256, 600, 990)], "mended": [256]}


def test_a_tile_that_was_not_given(page):
    root, tiles = tree(66_500)
    without = {at: data for at, data in tiles.items() if at != (0, 5)}
    (found,) = ask(page, (66_500, root, without, [], [5 * 256, 0]))
    assert found["leaves"] == [["tile/0/5: the collector gave none", ""], [None, HASHES[0].hex()]]
    (found,) = ask(page, (66_500, root, {(0, 0): tiles[0, 0]}, [], [0]))
    assert found == "tile/0/259: the collector gave none"


@pytest.mark.parametrize("tile", [(0, 0, 255), (0, 4, 256), (3, 0, 1), (1, 0, 4)])
def test_a_tile_of_another_width_or_place(page, tile):
    level, n, width = tile
    root, tiles = tree(1000)
    (found,) = ask(page, (1000, root, tiles | {(level, n): bytes(32 * width)}, [], []))
    assert "hashes, found" in found
