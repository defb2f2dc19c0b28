"""Bodies as they stand in the store: packed where that is shorter, the same when read, no change of one unnoticed."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import schema
from gateway.bodies import LEAST, pack, unpack
from gateway.locked import StoreError
from gateway.reader import Reader
from gateway.sealing import DraftError
from gateway.verify import verify_store
from tests.unit.gateway.makers import KEY, LEDGER_KEY, ModelLedger, heads, make_older, open_store, readings
from vitaledger.entry import GATEWAY_CHAIN

LONG = b"\x81" + b"values that are much like those before " * 40


@given(st.binary(max_size=2000).map(lambda data: b"\x84" + data * 3))
def test_packing_changes_nothing(body):
    assert unpack(pack(body)) == body
    assert len(pack(body)) <= len(body)


def test_short_bodies_stay_as_they_are():
    assert pack(LONG[: LEAST - 1]) == LONG[: LEAST - 1]
    assert len(pack(LONG)) < len(LONG) // 10


def test_a_change_of_any_bit_makes_it_no_body():
    packed = pack(LONG)
    for bit in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        assert unpack(bytes(changed)) == bytes(changed)


def test_a_packed_body_is_read_as_it_was_sealed_and_a_change_of_it_is_named(tmp_path):
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:bed-1", 0, size=400), readings("nonin:port:bed-1", 1000), heads(2000)])
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    packed, plain = [row[0] for row in db.execute("SELECT body FROM entries WHERE idx < 2 ORDER BY idx")]
    assert (packed[0], plain[0]) == (1, 0x82)
    with Reader.open(tmp_path) as reader:
        assert [body for _, body in reader.entries(0, 2)] == [unpack(packed), plain]
        assert verify_store(reader, KEY, [LEDGER_KEY]).ok
    db.execute("UPDATE entries SET body = ? WHERE idx = 0", (packed[:-1] + bytes([packed[-1] ^ 0x80]),))
    db.commit()
    with Reader.open(tmp_path) as reader:
        failure = verify_store(reader, KEY, [LEDGER_KEY]).failure
    assert failure is not None
    assert failure.index == 0


def test_a_store_of_the_version_before_goes_on(tmp_path):
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:bed-1", 0), heads(3000)])
    make_older(tmp_path, 2)
    with open_store(tmp_path, seed=2) as store:
        store.commit([readings("nonin:port:bed-1", 4000, size=400)])
    with Reader.open(tmp_path) as reader:
        assert verify_store(reader, KEY, [LEDGER_KEY]).ok
        assert schema.version(reader.connection) == schema.VERSION


def test_a_receipt_is_stored_with_the_next_commit(tmp_path):
    ledger = ModelLedger()
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:bed-1", n * 1000) for n in range(9)])
        receipts = [ledger.receipt(size, store._rows.root_at(size)) for size in (4, 6, 5)]
        assert [store.keep_receipt(each, 1_700_000_000_500) for each in receipts] == [True, True, False]
        assert (store.custody, store.newest_ledger()) == (0, None)
        store.commit([heads(10_000)])
        assert (store.custody, store.newest_ledger()) == (6, receipts[1].ledger)
        assert not store.keep_receipt(receipts[1], 1_700_000_000_500)
    with Reader.open(tmp_path) as reader:
        report = verify_store(reader, KEY, [LEDGER_KEY])
    assert (report.ok, report.receipts, report.custody) == (True, 1, 6)


def test_a_receipt_waits_for_another_commit_where_one_fails(tmp_path):
    ledger = ModelLedger()
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:bed-1", n * 1000) for n in range(9)])
        store.keep_receipt(ledger.receipt(6, store._rows.root_at(6)), 1_700_000_000_500)
        with pytest.raises(DraftError):
            store.commit([readings(GATEWAY_CHAIN, 9_000)])
        store._db.execute("CREATE TRIGGER t AFTER INSERT ON receipts BEGIN SELECT RAISE(FAIL, 'no'); END")
        with pytest.raises(StoreError):
            store.commit([heads(10_000)])
        assert (store.size, store.custody) == (9, 0)
        store._db.execute("DROP TRIGGER t")
        store.commit([heads(10_000)])
        assert (store.size, store.custody) == (10, 6)
    with Reader.open(tmp_path) as reader:
        report = verify_store(reader, KEY, [LEDGER_KEY])
    assert (report.ok, report.receipts) == (True, 1)
