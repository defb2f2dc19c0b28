"""Verification of the whole store: what is named, and what is not believed."""

import shutil
import sqlite3

import pytest

from collector.verify import UNDETECTABLE, verify_store
from collector.verify.tree import BATCH
from tests.fault.ward import DEVICES, Gateway, Ward, add_oddities, make_ward
from vitaledger.errors import MalformedError, MisuseError


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=270)
    add_oddities(made)
    made.close()
    return made


@pytest.fixture
def after(ward, tmp_path):
    """The report on a copy of the store after some SQL."""

    def verify(*statements):
        path = tmp_path / "changed.sqlite"
        shutil.copyfile(ward.path, path)
        db = sqlite3.connect(path, isolation_level=None)
        for sql, *arguments in statements:
            db.execute(sql, arguments)
        db.close()
        return verify_store(path, ward.vkey)

    return verify


def tables(report):
    return {failure.table for failure in report.failures}


def test_a_clean_store_tells_its_findings_as_remarks(after):
    report = after()
    assert report.ok
    assert len([remark for remark in report.remarks if "finding" in remark]) == 2
    assert report.counts.readings > 1000


@pytest.mark.parametrize("index", [3, 100, 255, 256, 270])
def test_a_changed_leaf_is_named_with_its_proven_hash(after, ward, index):
    gateway = ward.gateways[0]
    leaf = gateway.sealed[index][0]
    report = after(("UPDATE entries SET leaf = ? WHERE id = ?", leaf[:-1] + bytes([leaf[-1] ^ 1]), (1 << 40) + index))
    first = report.first_entry
    assert (first.entry.gateway, first.entry.index) == ("g1", index)
    assert bytes.fromhex(first.expected) == gateway.tiles.tile(0, index // 256, index % 256 + 1)[-32:]
    assert first.entry.chain is not None
    assert first.entry.seq is not None
    assert first.entry.last_good_anchor is None or first.entry.last_good_anchor <= index
    assert report.failed == 1
    assert report.untouched == ["g2", "g3"]


def test_many_changed_entries_are_each_named(after):
    changed = [4, 90, 91, 200]
    rows = ", ".join(str((1 << 40) + index) for index in changed)
    report = after((f"UPDATE entries SET leaf = CAST(leaf || x'00' AS BLOB) WHERE id IN ({rows})",))
    assert [failure.entry.index for failure in report.failures if failure.table == "entries"] == changed


def test_a_tile_and_its_leaf_changed_alike_are_not_believed(after, ward):
    from vitaledger.entry import entry_hash

    leaf = ward.gateways[0].sealed[10][0]
    wrong = leaf[:-1] + bytes([leaf[-1] ^ 1])
    tile = ward.gateways[0].tiles.tile(0, 0, 256)
    tile = tile[:320] + entry_hash(wrong) + tile[352:]
    report = after(
        ("UPDATE entries SET leaf = ? WHERE id = ?", wrong, (1 << 40) + 10),
        ("UPDATE tiles SET hashes = ? WHERE log = 1 AND level = 0 AND n = 0", tile),
    )
    assert report.first_entry.entry.index == 10
    assert tables(report) == {"entries", "tiles"}


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM positions; END", "file"),
        ("CREATE TABLE more (x)", "file"),
        ("DROP TABLE refusals", "file"),
        ("DELETE FROM meta WHERE key = 'schema'", "meta"),
        ("INSERT INTO meta VALUES ('trust', x'01')", "meta"),
        ("UPDATE meta SET value = x'61' WHERE key = 'provider'", "meta"),
        ("UPDATE logs SET stored = stored - 1 WHERE log = 1", "logs"),
        ("UPDATE logs SET checkpoint = (SELECT checkpoint FROM logs WHERE log = 2) WHERE log = 1", "logs"),
        ("DELETE FROM logs WHERE log = 1", "logs"),
        ("DELETE FROM ledger", "ledger"),
        ("UPDATE ledger SET size = size - 1", "ledger"),
        ("DELETE FROM findings", "findings"),
        ("INSERT INTO findings VALUES (1, 5, 3)", "findings"),
        ("INSERT INTO chains (log, name, next_seq, last) VALUES (1, 'x:sn:1', 0, x'00')", "chains"),
        ("UPDATE positions SET wall_ms = wall_ms + 1 WHERE seq = 5", "positions"),
        ("INSERT INTO presence VALUES ('g1', 0, x'ff', NULL)", "presence"),
        ("INSERT INTO presence VALUES ('nobody', 0, NULL, NULL)", "presence"),
        ("UPDATE entries SET leaf = 'text' WHERE id = (1 << 40) + 9", "entries"),
        ("UPDATE entries SET body = CAST(body AS TEXT) WHERE id = (1 << 40) + 9", "entries"),
        ("UPDATE statements SET leaf = CAST(leaf AS TEXT) WHERE idx = 9", "statements"),
        ("UPDATE positions SET idx = 'nine' WHERE seq = 9", "positions"),
    ],
)
def test_whatever_was_derived_must_be_what_is_made_anew(after, sql, table):
    report = after((sql,))
    assert table in tables(report), report.failures


@pytest.mark.parametrize("seq", [0, 63, 64, 200])
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM positions WHERE chain = {chain} AND seq = {seq}",
        "UPDATE positions SET idx = idx + 1 WHERE chain = {chain} AND seq = {seq}",
        "UPDATE positions SET wall_ms = wall_ms - 1 WHERE chain = {chain} AND seq = {seq}",
    ],
)
def test_each_position_is_looked_at(after, ward, sql, seq):
    with sqlite3.connect(ward.path) as db:
        ((chain,),) = db.execute("SELECT chain FROM chains WHERE log = 1 AND name = ?", DEVICES[0])
    db.close()
    report = after((sql.format(chain=chain, seq=seq),))
    assert tables(report) == {"positions"}
    assert f"{DEVICES[0][0]} entry {seq}: " in report.failures[0].reason


def test_a_micro_chains_head_of_another_length_stops_nothing(after):
    """It is one of the hashes that are tried where a leaf was changed."""
    report = after(
        ("UPDATE chains SET last = x'00' WHERE log = 1",),
        ("UPDATE entries SET leaf = CAST(leaf || x'00' AS BLOB) WHERE id >> 40 = 1",),
    )
    assert report.first_entry.entry.gateway == "g1"
    assert report.untouched == ["g2", "g3"]


def test_a_cell_of_another_type_stops_nothing(after):
    report = after(("UPDATE entries SET leaf = 'text' WHERE id = (1 << 40) + 9",))
    assert (report.first_entry.entry.gateway, report.first_entry.entry.index) == ("g1", 9)
    assert report.untouched == ["g2", "g3"]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """A log with more entries under its one anchor than are held in memory at once."""
    ward = Ward(tmp_path_factory.mktemp("long"))
    gateway = Gateway("g1", 5)
    ward.enroll(gateway)
    for _ in range(BATCH + 300):
        gateway.readings(DEVICES[0][0], 2)
    ward.process([gateway.anchor(), *gateway.entries()])
    ward.close()
    return ward


def test_a_long_run_under_one_anchor_holds(long_run):
    report = verify_store(long_run.path, long_run.vkey)
    assert report.failures == []
    assert (report.counts.entries, report.counts.readings) == (BATCH + 300, 2 * (BATCH + 300))


@pytest.mark.parametrize("index", [BATCH - 1, BATCH + 299])
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET leaf = CAST(leaf || x'00' AS BLOB) WHERE id = {row}",
        "UPDATE entries SET body = CAST(body || x'00' AS BLOB) WHERE id = {row}",
        "DELETE FROM entries WHERE id = {row}",
    ],
)
def test_of_a_long_run_the_changed_entry_alone_is_named(long_run, tmp_path, sql, index):
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(long_run.path, path)
    with sqlite3.connect(path) as db:
        db.execute(sql.format(row=(1 << 40) + index))
    db.close()
    report = verify_store(path, long_run.vkey)
    assert {failure.entry.index for failure in report.failures if failure.entry} == {index}
    assert tables(report) == {"entries"}


def test_the_pinned_key_is_not_the_stores_to_choose(ward, tmp_path):
    other = Ward(tmp_path, seed=9)
    other.close()
    report = verify_store(ward.path, other.vkey)
    assert {"meta", "ledger"} <= tables(report)


def test_a_gateway_that_never_sent_anything_is_no_alarm(tmp_path):
    ward = Ward(tmp_path)
    ward.enroll(Gateway("g1", 1))
    silent = Gateway("g2", 2)
    silent.readings(DEVICES[0][0])
    ward.enroll(silent)
    ward.process([silent.anchor()])
    ward.close()
    assert verify_store(ward.path, ward.vkey).failures == []


def test_misuse(ward, tmp_path):
    with pytest.raises(MisuseError):
        verify_store(tmp_path / "none", ward.vkey)
    with pytest.raises(MalformedError):
        verify_store(ward.path, "no key")
    with pytest.raises(MalformedError):
        verify_store(ward.path, ward.vkey, against=b"x")


def test_a_checkpoint_of_a_gateway_counts_too(ward):
    gateway = ward.gateways[1]
    assert verify_store(ward.path, ward.vkey, against=gateway.checkpoint()).ok
    gateway.readings(DEVICES[1][0])
    report = verify_store(ward.path, ward.vkey, against=gateway.checkpoint())
    assert "rolled back" in report.failures[0].reason


def test_what_cannot_be_found_is_written_down():
    assert len(UNDETECTABLE) >= 5
