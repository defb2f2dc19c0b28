"""The edge of each tree in the collector's store: what is wrong with it is named, and nobody depends on it."""

import logging
import sqlite3

import pytest

from collector.ledger import Ledger
from collector.mirror import Mirror
from collector.store import LEDGER, Reader, Store
from collector.unchecked import _edge
from collector.verified import VerifiedStore
from collector.verify import verify_store
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from vitaledger import prover
from vitaledger.errors import VerificationError
from vitaledger.statement import Loss
from vitaledger.tiles import TileBuilder

SIZE = 600


@pytest.fixture
def gateway():
    return Gateway().add(SIZE)


@pytest.fixture
def desk(tmp_path, gateway):
    made = Desk(tmp_path, gateway)
    made.send_all(gateway)
    yield made
    made.close()


def report(desk):
    return verify_store(desk.path, str(desk.signer.vkey))


def rows(store, log):
    return [(each.level, each.n, each.root) for each in store.edge(log)]


def roots(gateway):
    return [(0, n, prover.range_root(gateway.tiles, n * 256, n * 256 + 256)) for n in range(SIZE // 256)]


def test_each_log_has_its_edge(desk, gateway):
    assert rows(desk.store, 1) == roots(gateway)
    assert rows(desk.store, LEDGER) == []
    assert report(desk).ok


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE edge SET root = zeroblob(32) WHERE n = 1", "edge: root of tile 0/1: expected"),
        ("DELETE FROM edge WHERE n = 0", "edge: the root of tile 0/0 is missing"),
        ("INSERT INTO edge VALUES (1, 0, 2, zeroblob(32))", "edge: there is a root of tile 0/2"),
        ("INSERT INTO edge VALUES (0, 0, 0, zeroblob(32))", "edge: there is a root of tile 0/0"),
        ("INSERT INTO edge VALUES (9, 0, 0, zeroblob(32))", "root of tile 0/0 of 9, which there is not"),
        ("UPDATE edge SET root = 'text' WHERE n = 1", "edge: root of tile 0/1: expected"),
    ],
)
def test_what_is_wrong_with_an_edge_is_named(desk, change, named):
    desk.store._db.execute(change)
    found = report(desk)
    assert not found.ok
    assert any(named in failure.reason for failure in found.failures), found.failures
    assert {failure.table for failure in found.failures} == {"edge"}


def test_an_edge_that_does_not_give_the_signed_root_is_not_believed(desk, gateway, caplog):
    desk.store._db.execute("UPDATE edge SET root = zeroblob(32) WHERE n = 1")
    right = roots(gateway)[0][2] + roots(gateway)[1][2]
    with Reader.open(desk.path) as reader, caplog.at_level(logging.WARNING):
        log = VerifiedStore(reader, str(desk.signer.vkey)).log(reader.logs()[0])
        assert log.failure is None
        assert "log 1: its stored edge does not give the signed root" in caplog.text
        assert reader.tile_reader(1, SIZE).tile(1, 0, 2) == right
        assert [hashes for level, _, hashes in _edge(reader, 1, SIZE) if level] == [right]
    with Store.open(desk.path) as store:
        mirror = Mirror(store, Ledger(store, desk.signer), store.logs()[0])
        assert mirror._builder.root() == gateway.tiles.root()


def test_a_gateway_goes_on_over_a_wrong_edge(desk, gateway):
    desk.store._db.execute("UPDATE edge SET root = zeroblob(32)")
    desk.step.reload()
    gateway.add(300)
    desk.send_all(gateway)
    assert desk.store.logs()[0].stored == SIZE + 300
    desk.store._db.execute("DELETE FROM edge WHERE n < 2")
    desk.store._db.executemany("INSERT INTO edge VALUES (1, ?, ?, ?)", roots(gateway))
    assert report(desk).ok


def test_the_ledger_goes_on_over_a_wrong_edge_and_never_over_a_wrong_tile(desk):
    ledger = Ledger(desk.store, desk.signer)
    with desk.store.transaction():
        for n in range(300):
            ledger.append(Loss(NOW + n, "h.example/gateway/g1", n, n + 1, "test"))
        ledger.seal()
    assert len(rows(desk.store, LEDGER)) == 1
    desk.store._db.execute("UPDATE edge SET root = zeroblob(32) WHERE log = 0")
    with Store.open(desk.path) as store:
        assert Ledger(store, desk.signer).head == ledger.head
    desk.store._db.execute("UPDATE tiles SET hashes = zeroblob(8192) WHERE log = 0")
    with Store.open(desk.path) as store, pytest.raises(VerificationError, match="root of the stored tree"):
        Ledger(store, desk.signer)


def test_a_store_of_the_schema_before_gets_its_edges(desk, gateway):
    desk.store.close()
    with sqlite3.connect(desk.path) as old:
        old.execute("DROP TABLE edge")
        old.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (b"4",))
    old.close()
    with Reader.open(desk.path) as reader:
        assert VerifiedStore(reader, str(desk.signer.vkey)).log(reader.logs()[0]).failure is None
    desk.store = Store.open(desk.path)
    assert rows(desk.store, 1) == roots(gateway)
    assert desk.store.roots(1, 0, 0, 9) == {n: root for _, n, root in roots(gateway)}
    assert report(desk).ok


def test_roots_under_a_tile_that_is_full_are_gone(desk):
    builder = TileBuilder()
    for count in (65_000, 1_000, 65_000):
        full = builder.extend(bytes([n % 251]) * 32 for n in range(count))
        with desk.store.transaction():
            desk.store.add_tiles(7, full, builder.roots_of(full))
        assert desk.store.edge(7) == builder.edge()
    assert {level for level, _, _ in rows(desk.store, 7)} == {0, 1}
