"""The store's file: who may open it, what a transaction is, what a reader sees."""

import doctest
import sqlite3

import pytest

import collector.ranges
from collector.ledger import Ledger
from collector.store import LostSwapError, Reader, Store, entry_id
from collector.verified import State, VerifiedStore
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from vitaledger import prover, statement
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.statement import Enrolment


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, Gateway())
    yield made
    made.close()


def test_durable_settings(desk):
    assert desk.store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert desk.store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_no_store_and_foreign_files(tmp_path, desk):
    with pytest.raises(MisuseError, match="init"):
        Store.open(tmp_path / "none")
    with pytest.raises(MisuseError, match="init"):
        Reader.open(tmp_path / "none")
    (tmp_path / "text").write_bytes(b"this is no database, and longer than its header would have to be" * 20)
    with pytest.raises(MisuseError, match="not a collector's store"):
        Reader.open(tmp_path / "text")
    with pytest.raises(MisuseError, match="there already"):
        Store.create(desk.path, "h", "v", desk.store.ledger_head())


def test_a_newer_schema_is_refused(desk):
    desk.store._db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (b"99",))
    for opened in (Store, Reader):
        with pytest.raises(MisuseError, match="found 99"):
            opened.open(desk.path)


def test_a_reader_cannot_write_and_sees_snapshots(desk):
    with Reader.open(desk.path) as reader:
        with pytest.raises(sqlite3.OperationalError):
            reader._db.execute("DELETE FROM statements")
        with reader.snapshot():
            before = reader.ledger_head()
            desk.send_all(Gateway().add(1))
            assert reader.ledger_head() == before
        assert reader.ledger_head().size > before.size


def test_a_failed_transaction_leaves_nothing(desk):
    def fail():
        with desk.store.transaction():
            desk.store.add_statement(1, b"x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert desk.store.statement(1) is None


def test_the_swap_of_the_head(desk):
    ledger, other = Ledger(desk.store, desk.signer), Ledger(desk.store, desk.signer)
    new = Enrolment(NOW, "g2", "o", "v")
    with desk.store.transaction():
        ledger.append(new)
        ledger.seal()
    with pytest.raises(LostSwapError), desk.store.transaction():
        other.append(new)
    with pytest.raises(LostSwapError), desk.store.transaction():
        other.seal()  # also where nothing was appended
    other.load()
    assert other.head == ledger.head
    assert statement.decode(desk.store.statement(1)) == new


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE statements SET leaf = x'00' WHERE idx = 0",
        "UPDATE ledger SET size = 0",
        "UPDATE ledger SET root = zeroblob(32)",
    ],
)
def test_a_damaged_ledger_is_never_signed_on(desk, damage):
    desk.store._db.execute(damage)
    with pytest.raises(VerificationError):
        Ledger(desk.store, desk.signer)


def test_the_queries_of_history_and_verification(desk):
    gateway = Gateway().add(300)
    desk.send_all(gateway)
    store = desk.store
    assert store.log_of("g1") == store.log_of(gateway.origin) == store.logs()[0]
    assert store.log_of("nobody") is None
    assert [index for index, _, _ in store.entries(1, 298, 999)] == [298, 299]
    assert store.entry(1, 300) is None
    assert store.anchor_at_or_below(1, 299) is None
    assert store.anchor_at_or_below(1, 300)[0] == store.anchor_at_or_above(1, 7)[0] == 300
    assert store.anchors(1) == [(300, store.anchor_at(1, 300))]
    assert store.tile(1, 0, 0) == gateway.tiles.tile(0, 0, 256)
    assert [(level, n) for level, n, _ in store.tiles(1)] == [(0, 0)]
    assert store.finding(1, 0) is None


def test_tiles_that_the_store_lacks_are_said_so(desk):
    desk.send_all(Gateway().add(600))
    reader = desk.store.tile_reader(1, 600)
    for level, n, width in ((0, 2, 89), (0, 3, 1), (1, 0, 3), (0, -1, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(MisuseError):
            reader.tile(level, n, width)
    desk.store._db.execute("DELETE FROM tiles WHERE n = 1")
    desk.store._db.execute("DELETE FROM edge WHERE n = 1")
    with pytest.raises(VerificationError, match="tile 0/1"):
        prover.root_from_tiles(reader, 600)
    desk.store._db.execute("DELETE FROM entries WHERE id = ?", (entry_id(1, 550),))
    with pytest.raises(VerificationError, match="missing"):
        reader.tile(0, 2, 88)


def test_an_edge_that_was_read_once_grows_and_is_not_read_again(desk):
    gateway = Gateway().add(600)
    desk.send_all(gateway)
    roots = [prover.range_root(gateway.tiles, n * 256, n * 256 + 256) for n in range(2)]
    assert [desk.store.tile_reader(1, 600).tile(1, 0, width) for width in (1, 2, 1)] == [
        roots[0],
        roots[0] + roots[1],
        roots[0],
    ]
    assert desk.store.tile_reader(1, 400).tile(1, 0, 1) == roots[0]
    desk.store._db.execute("DELETE FROM tiles WHERE level = 0")
    desk.store._db.execute("DELETE FROM edge")
    assert desk.store.tile_reader(1, 600).tile(1, 0, 2) == roots[0] + roots[1]
    with Reader.open(desk.path) as other, pytest.raises(VerificationError, match="tile 0/0"):
        other.tile_reader(1, 600).tile(1, 0, 2)


def test_an_edge_of_rows_that_were_taken_back_is_read_again(desk):
    gateway = Gateway().add(300)
    desk.send_all(gateway)
    tile = desk.store.tile(1, 0, 0)

    def fail():
        with desk.store.transaction():
            desk.store._db.execute("UPDATE tiles SET hashes = ? WHERE log = 1", (tile[::-1],))
            desk.store._db.execute("UPDATE edge SET root = ? WHERE log = 1", (bytes(32),))
            assert desk.store.tile_reader(1, 300).tile(1, 0, 1) != prover.range_root(gateway.tiles, 0, 256)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert desk.store.tile_reader(1, 300).tile(1, 0, 1) == prover.range_root(gateway.tiles, 0, 256)


def test_what_was_wrong_and_was_put_right_holds_again_for_who_saw_it(desk):
    desk.send_all(Gateway().add(300))
    good = desk.store.tile(1, 0, 0)
    with Reader.open(desk.path) as reader:
        store = VerifiedStore(reader, str(desk.signer.vkey))
        for tile, holds in ((good[::-1], False), (good, True)):
            desk.store._db.execute("UPDATE tiles SET hashes = ? WHERE log = 1", (tile,))
            desk.store._db.execute("UPDATE edge SET root = ? WHERE log = 1", (tile[:32],))
            log = store.log(reader.logs()[0])
            assert (log.failure is None, log.look(299).verdict.state is State.PROVEN) == (holds, holds)


def test_the_examples_hold():
    found = doctest.testmod(collector.ranges)
    assert found.attempted
    assert not found.failed
