"""`verify` finds any one change of any row, and says nothing about a clean store."""

import os
import shutil
import sqlite3
from random import Random

import pytest

from gateway import schema
from gateway.journal import Step
from gateway.reader import Reader
from gateway.verify import verify_store
from tests.unit.gateway.makers import (
    KEY,
    LEDGER_KEY,
    ModelLedger,
    drafts,
    heads,
    journal_row,
    open_store,
    readings,
    stop,
)

COLUMNS = {
    "entries": ("idx", ["leaf", "body"]),
    "tiles": ("rowid", ["hashes"]),
    "edge": ("rowid", ["root"]),
    "head": ("id", ["checkpoint", "seal"]),
    "receipts": ("size", ["statement", "proof"]),
    "journal": ("slot", ["n", "length", "data"]),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """640 entries, receipts, some bodies pruned, stopped."""
    path = tmp_path_factory.mktemp("clean")
    ledger = ModelLedger()
    with open_store(path) as store:
        for first in range(0, 640, 64):
            store.commit(drafts(64, first))
            if first in {64, 192, 448}:
                size = first + 50
                store.add_receipt(ledger.receipt(size, store._rows.root_at(size)), 1_700_000_000_000 + first)
        store.prune(100, 2**62)
        for n in range(3):
            store.commit([], Step(0, n + 1, journal_row(n)))
        store.commit([heads(10**6), stop(10**6)], Step(2, 4, journal_row(3)))  # slot 1 is free
    return path


def changed(clean, path, change):
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(clean, path)
    db = sqlite3.connect(path / schema.DATABASE, isolation_level=None)
    try:
        change(db)
    finally:
        db.close()
    with Reader.open(path) as reader:
        return verify_store(reader, KEY, [LEDGER_KEY])


def test_a_clean_store_is_clean(clean):
    with Reader.open(clean) as reader:
        seen = []
        report = verify_store(reader, KEY, [LEDGER_KEY], lambda done, total: seen.append((done, total)))
    assert report.ok, str(report.failure)
    assert (report.size, report.entries, report.tiles, report.receipts, report.pruned) == (642, 642, 2, 3, 100)
    assert report.readings == sum(4 for n in range(100, 640) if n >= 3 and n % 40 != 39)
    assert not report.remarks
    assert seen[-1] == (642, 642)


@pytest.mark.parametrize("index", [*range(100, 642, 37), 509, 513, 600, 637, 638, 639, 640, 641])
@pytest.mark.parametrize("column", ["leaf", "body"])
def test_the_entry_with_a_changed_byte_is_named(clean, tmp_path, index, column):
    random = Random(index)

    def change(db):
        (data,) = db.execute(f"SELECT {column} FROM entries WHERE idx = ?", (index,)).fetchone()
        at = random.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
        db.execute(f"UPDATE entries SET {column} = ? WHERE idx = ?", (data, index))

    report = changed(clean, tmp_path / "s", change)
    assert report.failure is not None
    assert report.failure.index == index, str(report.failure)
    assert index < 114 or "receipt for" in report.failure.last_good


@pytest.mark.parametrize("seed", range(int(os.environ.get("VITALEDGER_TAMPER", "200"))))
def test_any_change_of_any_row_is_found(clean, tmp_path, seed):
    random = Random(seed)
    table = random.choice(list(COLUMNS))
    key, columns = COLUMNS[table]
    kind = random.choice(["flip", "delete", "swap", "insert", "truncate", "clear", "text"])
    done = []

    def change(db):
        where = "level = ? AND n = ?" if key == "rowid" else f"{key} = ?"
        ident = "level, n" if key == "rowid" else key
        rows = db.execute(f"SELECT {ident} FROM {table} ORDER BY {ident}").fetchall()
        row, other = random.choice(rows), random.choice(rows)
        column = random.choice(columns)
        (data,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", row).fetchone()
        done.append((table, kind, row, other, column))
        if kind == "delete":
            db.execute(f"DELETE FROM {table} WHERE {where}", row)
        elif kind == "insert":
            names = {
                "entries": "idx, leaf, body",
                "tiles": "level, n, hashes",
                "edge": "level, n, root",
                "receipts": "size, at_ms, statement, proof",
                "journal": "slot, n, length, data",
            }
            if table == "head":
                done.append("same")
                return
            values = list(db.execute(f"SELECT {names[table]} FROM {table} WHERE {where}", row).fetchone())
            values[1 if key == "rowid" else 0] += random.choice([1000, 5000, -(10**6)])
            db.execute(f"INSERT INTO {table} ({names[table]}) VALUES ({', '.join('?' * len(values))})", values)
        elif kind == "swap":
            (second,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", other).fetchone()
            if second == data or (table == "entries" and (data is None or second is None) and data is second):
                done.append("same")
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (second, *row))
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (data, *other))
        elif isinstance(data, int):
            db.execute(f"UPDATE {table} SET {column} = {column} + ? WHERE {where}", (random.choice([-1, 1, 300]), *row))
        elif data is None:
            db.execute(f"UPDATE {table} SET {column} = x'80' WHERE {where}", row)
        elif kind == "text" and data.isascii():
            db.execute(f"UPDATE {table} SET {column} = CAST({column} AS TEXT) WHERE {where}", row)
        elif kind == "clear" and column == "body":
            db.execute(f"UPDATE {table} SET body = NULL WHERE {where}", row)
        elif kind == "truncate":
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (data[: random.randrange(len(data))], *row))
        else:
            at = random.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (data, *row))

    report = changed(clean, tmp_path / "s", change)
    assert report.ok == (done[-1] == "same"), (done, str(report.failure))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE receipts SET at_ms = at_ms + 1 WHERE size = 242",
        "UPDATE receipts SET size = size + 1 WHERE size = 242",
        "DELETE FROM receipts WHERE size = 498",
        "DELETE FROM receipts",
        "UPDATE meta SET value = 'h.example/gateway/g2' WHERE key = 'origin'",
        "INSERT INTO meta VALUES ('more', '1')",
        "DELETE FROM meta",
        "CREATE TABLE more (a)",
        "DROP TABLE receipts",
        "DROP TABLE journal",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE n = 1",
        "DELETE FROM journal WHERE n = 3",
        "UPDATE journal SET data = zeroblob(455) WHERE n = 1",
        "UPDATE journal SET n = n + 1 WHERE n = 3",
        "UPDATE journal SET length = length - 1 WHERE n = 3",
        "UPDATE journal SET n = n - 1 WHERE n = 1",
        "UPDATE journal SET slot = slot + 9 WHERE n = 2",
        "INSERT INTO journal VALUES (9, 4, 1, x'00')",
        "INSERT INTO journal VALUES (9, 0, 1, x'00')",
        "INSERT INTO journal VALUES (9, -1, 2, x'00')",
        "DELETE FROM entries WHERE idx >= 640",
        "DELETE FROM head",
        "UPDATE entries SET body = NULL WHERE idx < 101",
    ],
)
def test_other_changes_are_found(clean, tmp_path, sql):
    report = changed(clean, tmp_path / "s", lambda db: db.execute(sql))
    assert report.failure is not None
    assert str(report.failure)


def test_a_damaged_file_is_a_failure_and_not_a_crash(clean, tmp_path):
    for seed in range(60):
        random, path = Random(seed), tmp_path / str(seed)
        shutil.copytree(clean, path)
        file = path / schema.DATABASE
        data = bytearray(file.read_bytes())
        at = random.randrange(1024, len(data) - 600)
        data[at : at + 600] = random.randbytes(600)
        file.write_bytes(data)
        with Reader.open(path) as reader:
            report = verify_store(reader, KEY, [LEDGER_KEY])
        assert report.failure is None or str(report.failure)


def test_a_clock_that_ran_back_is_a_remark(tmp_path):
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:a", 5000), readings("nonin:port:a", 2000), readings("nonin:port:b", 1000)])
    with Reader.open(tmp_path) as reader:
        report = verify_store(reader, KEY, [LEDGER_KEY])
    assert report.ok
    assert report.remarks == ["nonin:port:a entry 1: the wall clock ran back by 3.0 s"]


def test_another_key_does_not_verify(clean):
    with Reader.open(clean) as reader:
        assert not verify_store(reader, LEDGER_KEY, [LEDGER_KEY]).ok
        assert not verify_store(reader, KEY, [KEY]).ok
