"""The edge of the gateway's tree in its store: roots of the full tiles under partial ones, which prove nothing."""

import logging
import re
import sqlite3

import pytest

from gateway import schema
from gateway.reader import Reader
from gateway.verify import verify_store
from tests.unit.gateway.makers import KEY, LEDGER_KEY, drafts, heads, make_older, open_store
from vitaledger import merkle
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.errors import VerificationError
from vitaledger.tiles import TileBuilder

SIZE = 641
WRONG = {
    "changed": ("UPDATE edge SET root = zeroblob(32) WHERE n = 1", "root of tile 0/1: expected .*, found 00000000"),
    "no hash": ("UPDATE edge SET root = x'00' WHERE n = 1", "root of tile 0/1: expected .*, found 00…"),
    "no bytes": ("UPDATE edge SET root = 'text' WHERE n = 1", "root of tile 0/1: expected .*, found str"),
    "missing": ("DELETE FROM edge WHERE n = 0", "the root of tile 0/0 is missing"),
    "surplus": ("INSERT INTO edge VALUES (0, 2, zeroblob(32))", "there is a root of tile 0/2"),
    "of a level above": ("INSERT INTO edge VALUES (1, 0, zeroblob(32))", "there is a root of tile 1/0"),
}


@pytest.fixture
def path(tmp_path):
    with open_store(tmp_path) as store:
        store.commit([*drafts(SIZE - 1), heads(10**6)])
    return tmp_path


def change(path, *statements):
    with sqlite3.connect(path / schema.DATABASE, isolation_level=None) as db:
        for each in statements:
            db.execute(each)
    db.close()


def report(path):
    with Reader.open(path) as reader:
        return verify_store(reader, KEY, [LEDGER_KEY])


def edge(path):
    with Reader.open(path) as reader:
        return [(each.level, each.n, each.root) for each in reader.edge()]


def tile_roots(path):
    with Reader.open(path) as reader:
        tiles = [reader.full_tile(0, n) for n in range(SIZE // 256)]
    return [(0, n, merkle.tile_root(tile)) for n, tile in enumerate(tiles)]


def test_the_edge_has_the_roots_of_the_full_tiles(path):
    assert edge(path) == tile_roots(path)
    assert report(path).ok


@pytest.mark.parametrize("wrong", WRONG)
def test_an_edge_that_is_wrong_is_named_and_mended_at_the_next_start(path, caplog, wrong):
    statement, named = WRONG[wrong]
    good = edge(path)
    change(path, statement)
    found = report(path)
    assert re.search(named, str(found.failure)), found.failure
    with caplog.at_level(logging.WARNING), open_store(path) as store:
        assert store.size == SIZE
    assert re.search(named, caplog.text)
    assert edge(path) == good
    assert report(path).ok


def test_a_changed_edge_does_not_hide_a_changed_tree(path):
    change(path, "UPDATE edge SET root = zeroblob(32)", "UPDATE tiles SET hashes = zeroblob(8192) WHERE n = 1")
    with pytest.raises(VerificationError, match="root of 641 entries"):
        open_store(path)


@pytest.mark.parametrize("lacking", ["DELETE FROM edge", "UPDATE edge SET root = x'00'"])
def test_a_reader_makes_what_the_edge_lacks_of_tiles(path, lacking):
    with Reader.open(path) as reader:
        expected = reader.tile(1, 0, 2)
        assert expected == b"".join(root for _, _, root in tile_roots(path))
    change(path, lacking)
    with Reader.open(path) as reader:
        assert reader.tile(1, 0, 2) == expected


def test_a_store_of_the_version_before_gets_its_edge(path):
    good = edge(path)
    make_older(path, 3)
    assert report(path).ok
    with Reader.open(path) as reader:
        assert (reader.edge(), reader.root_at(SIZE)) == ([], reader.head().root)
    with open_store(path) as store:
        assert store.size == SIZE
    assert edge(path) == good
    assert report(path).ok


def test_a_store_of_the_version_before_whose_tiles_are_wrong_is_refused(path):
    make_older(path, 3)
    change(path, "UPDATE tiles SET hashes = zeroblob(8192) WHERE n = 1")
    with pytest.raises(VerificationError, match="root of 641 entries"):
        open_store(path)


def test_roots_under_a_tile_that_is_full_are_gone(path):
    """Levels above the first, in a tree whose older tiles are made up."""
    builder = TileBuilder()
    builder.extend(bytes([n % 251]) * 32 for n in range(65_536 * 2 - 20))
    with open_store(path) as store:
        signed = sign_checkpoint(Checkpoint(store.origin, builder.size, builder.root()), store._signer)
        store._db.execute("UPDATE head SET checkpoint = ?", (signed,))
        store._db.execute("DELETE FROM edge")
        store._db.execute("DELETE FROM tiles")
        store._insert_edge(builder.edge())
        store._checkpoint, store._builder = signed, builder
        assert {level for level, _, _ in edge(path)} == {0, 1}
        assert len(edge(path)) == 255 + 1
        store.commit(drafts(40))
        assert [(level, n) for level, n, _ in edge(path)] == [(1, 0), (1, 1)]
        assert store._rows.edge() == store._builder.edge()
