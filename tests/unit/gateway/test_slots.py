"""The journal's table: the rows that are in force stand in it, in slots that are written over."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import schema
from gateway.journal import Step
from gateway.reader import Reader
from gateway.seal import Seal
from gateway.slots import Slots, read_slots, verify_slots
from gateway.verify import verify_store
from tests.unit.gateway.makers import KEY, LEDGER_KEY, drafts, journal_row, make_older, open_store
from vitaledger.errors import MisuseError, VerificationError

STEPS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5000) | st.none()), max_size=40)


@pytest.fixture
def path(tmp_path):
    with open_store(tmp_path) as store:
        store.commit(drafts(4))
    return tmp_path


def slots(path):
    with Reader.open(path) as reader:
        return reader.journal()


def report(path):
    with Reader.open(path) as reader:
        return verify_store(reader, KEY, [LEDGER_KEY])


def row(n, length):
    return bytes([n % 251 + 1]) * length


def table():
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE journal (slot INTEGER PRIMARY KEY, n INTEGER, length INTEGER, data BLOB)")
    return db


@given(STEPS)
def test_the_rows_in_force_are_read_back_and_the_slots_do_not_grow_in_number(steps):
    """A list is the model. `keep`: how many of the rows before a step stay in force; a step may add none."""
    db, known, rows, first, most = table(), Slots({}), [], 0, 0
    for keep, length in steps:
        gone = max(0, len(rows) - keep)
        rows, first = rows[gone:], first + gone
        if length is not None:
            rows.append(row(first + len(rows), length))
            known = known.put(db, first, first + len(rows) - 1, rows[-1])
        most = max(most, len(rows))
        assert known.holds(first, first + len(rows))
        seal = Seal("h.example/gateway/g1", 0, bytes(32), 0, first, first + len(rows), known.digest())
        found = read_slots(db)
        assert verify_slots(seal, found) == rows
        assert Slots.of(found) == known
        assert len(found) == most
        assert all(set(each.data[each.length :]) <= {0} for each in found)


def test_a_slot_keeps_its_size_for_rows_that_are_a_little_shorter_or_longer():
    db, known = table(), Slots({})
    for n, length in enumerate([1000, 1250, 900, 1280, 600]):
        known = known.put(db, n, n, row(n, length))
        assert [len(each.data) for each in read_slots(db)] == [1471]


def test_a_slot_that_had_a_very_long_row_gives_its_room_back():
    db, known = table(), Slots({})
    for n, (length, room) in enumerate([(1_000_000, 1_250_135), (400_000, 1_250_135), (1000, 1471), (2000, 2995)]):
        known = known.put(db, n, n, row(n, length))
        assert [len(each.data) for each in read_slots(db)] == [room]


def test_rows_are_written_over_in_place(path):
    """What the write-ahead log grows by is the row and the seal, not lists of free pages."""
    with open_store(path) as store:
        for n in range(4):
            store.commit([], Step(max(0, n - 1), n + 1, journal_row(n, 1000)))
        log = path / "log.db-wal"
        before = log.stat().st_size
        for n in range(4, 24):
            store.commit([], Step(n - 1, n + 1, journal_row(n, 1000)))
        frames = (log.stat().st_size - before) / 20 / (schema.PAGE_SIZE + 24)
    assert frames < 6  # three of the row, two of head and seal; it would be eight


def test_a_slot_that_another_took_away_is_noticed(path):
    with open_store(path) as store:
        store.commit([], Step(0, 1, journal_row(0, 100)))
        store._db.execute("DELETE FROM journal")
        with pytest.raises(VerificationError, match="read back changed"):
            store.commit([], Step(1, 2, journal_row(1, 100)))
        assert store.size == 4


@pytest.mark.parametrize("step", [Step(0, 3, journal_row(1)), Step(0, 2, None)])
def test_a_step_that_does_not_follow_is_refused_and_nothing_is_stored(path, step):
    with open_store(path) as store:
        store.commit([], Step(0, 1, journal_row(0, 9)))
        with pytest.raises(MisuseError, match="the journal goes to 1"):
            store.commit([], step)
        assert store.journal() == [journal_row(0, 9)]
    assert report(path).failure is None


def test_a_damaged_journal_begins_anew(path):
    with open_store(path) as store:
        store.commit([], Step(0, 1, journal_row(0, 300)))
    with sqlite3.connect(path / schema.DATABASE) as db:
        db.execute("INSERT INTO journal VALUES (7, 9, 1, x'0000')")
    db.close()
    with open_store(path) as store:
        with pytest.raises(VerificationError, match="rows 0, 9, the seal says from 0 on and before 1"):
            store.journal()
        store.commit([], Step(1, 1, None))
        assert store.journal() == []
        store.commit([], Step(1, 2, journal_row(1, 300)))
    assert [each.n for each in slots(path)] == [1]
    assert report(path).ok


@pytest.fixture
def older(path):
    """A store of the version before there were slots, with two rows in force."""
    with open_store(path) as store:
        for n in range(3):
            store.commit([], Step(n // 2, n + 1, journal_row(n, 300)))
    make_older(path, 4)
    return path


def test_a_store_of_the_version_before_keeps_its_journal(older):
    assert report(older).ok
    with open_store(older) as store:
        assert store.journal() == [journal_row(1, 300), journal_row(2, 300)]
        store.commit(drafts(1, 4))  # the seal that was there stays
        assert store.journal() == [journal_row(1, 300), journal_row(2, 300)]
        assert report(older).ok
        store.commit([], Step(2, 4, journal_row(3, 300)))
        assert store.journal() == [journal_row(2, 300), journal_row(3, 300)]
    assert report(older).ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE journal SET data = zeroblob(300) WHERE n = 1",
        "DELETE FROM journal WHERE n = 1",
        "INSERT INTO journal (n, data) VALUES (3, x'00')",
        "UPDATE journal SET n = 3 WHERE n = 1",
        "UPDATE journal SET data = 'text' WHERE n = 1",
    ],
)
def test_a_changed_journal_of_the_version_before_begins_anew(older, sql):
    with sqlite3.connect(older / schema.DATABASE) as db:
        db.execute(sql)
    db.close()
    assert "journal" in str(report(older).failure)
    with open_store(older) as store:
        with pytest.raises(VerificationError, match="journal"):
            store.journal()
        store.commit([], Step(3, 3, None))
        store.commit([], Step(3, 4, journal_row(3, 300)))
    assert report(older).ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE journal SET length = 299 WHERE n = 1",
        "UPDATE journal SET slot = 5 WHERE n = 1",
        "INSERT INTO journal VALUES (2, 0, 1, x'00')",
    ],
)
def test_a_change_before_the_first_commit_of_this_version_is_found(older, sql):
    open_store(older).close()
    with sqlite3.connect(older / schema.DATABASE) as db:
        db.execute(sql)
    db.close()
    assert "journal" in str(report(older).failure)
