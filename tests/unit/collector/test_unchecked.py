"""What is handed over for a check elsewhere: all that is stored of an interval, page by page, whatever it is."""

import shutil
import sqlite3

import cbor2
import pytest

from collector import unchecked
from collector.history import find_device
from collector.reader import Reader
from collector.verified import VerifiedStore
from tests.fault.ward import T0, add_oddities, make_ward
from vitaledger import merkle, prover, statement
from vitaledger.checkpoint import open_checkpoint
from vitaledger.entry import parse_leaf
from vitaledger.errors import MisuseError
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.opened import open_entry

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=700, tail=5)
    add_oddities(made)
    gateway = made.gateways[0]
    for _ in range(70):
        gateway.now_ms += 5_000
        gateway.readings("nonin:port:bed-1")
    made.process([gateway.anchor(), *gateway.entries()[:1]])  # the rest, and so its tree, is on its way
    made.close()
    return made


def handed(path, vkey, device, from_us=T0 * 1000, to_us=T0 * 1000 + DAY_US):
    """The logs of an answer, and the entries and tiles of all pages of the first."""
    with Reader.open(path) as reader:
        store = VerifiedStore(reader, vkey)
        found = find_device(store, device)
        version, checkpoint, logs = cbor2.loads(unchecked.overview(store, found, from_us, to_us))
        assert (version, checkpoint) == (1, store.ledger.head.raw)
        entries, tiles = [], {}
        for first, last in logs[0][5] if logs else ():
            size = statement_size(logs[0][2][1])
            following = first
            while following is not None:
                page = cbor2.loads(unchecked.page(store, found, logs[0][0], size, following, last))
                entries += page[1]
                tiles |= {(level, n): hashes for level, n, hashes in page[2]}
                following = page[3]
        return logs, entries, tiles


def statement_size(said):
    return int(statement.decode(said).checkpoint.split(b"\n")[1])


@pytest.mark.parametrize("entries", [1, 7, 100_000])
def test_pages_hold_every_entry_once_and_the_tiles_give_the_signed_root(ward, monkeypatch, entries):
    monkeypatch.setattr(unchecked, "PAGE_ENTRIES", entries)
    logs, found, tiles = handed(ward.path, ward.vkey, "bed-1")
    ((origin, chain, anchor, key, after, ((first, last),), waiting, apart, edge),) = logs
    assert [seq for seq, *_ in found] == list(range(first, last + 1))
    assert 0 < waiting <= 64
    assert apart == []
    head = statement.decode(anchor[1]).checkpoint
    enrolment = statement.decode(key[0][1])
    signed = open_checkpoint(head, [verifier_of(parse_vkey(enrolment.vkey))]).checkpoint
    assert (signed.origin, enrolment.origin) == (origin, origin)
    tiles |= {(level, n): hashes for level, n, hashes in edge}
    assert prover.root_from_tiles(Tiles(tiles), signed.size) == signed.root
    for seq, index, leaf, body in found:
        entry = parse_leaf(leaf)
        assert (entry.chain, entry.seq) == (chain, seq)
        assert tiles[0, index >> 8][index % 256 * 32 :][:32] == merkle.leaf_hash(leaf)
        assert body
    assert after is None  # it begins with the log's first entries


class Tiles:
    def __init__(self, tiles):
        self.tiles = tiles

    def tile(self, level, n, width):
        return self.tiles[level, n]


def test_a_page_is_bounded_in_bytes_and_a_later_run_has_a_quoted_ledger_head(ward, monkeypatch):
    monkeypatch.setattr(unchecked, "PAGE_BYTES", 1)
    logs, found, _ = handed(ward.path, ward.vkey, "bed-1", T0 * 1000 + 600_000_000, T0 * 1000 + 660_000_000)
    assert len(found) > 10
    last, root, path, (_, index, leaf, body) = logs[0][4]
    assert index < found[0][1]
    heads = open_entry(leaf, body).event
    assert (heads.ledger.size, heads.ledger.root) == (last[0] + 1, root)
    assert path


@pytest.mark.parametrize("cell", ["leaf", "body"])
@pytest.mark.parametrize("value", [5, "text", 2.5])
def test_a_cell_that_is_no_bytes_is_handed_over_as_none(ward, tmp_path, cell, value):
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(ward.path, path)
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE entries SET {cell} = ? WHERE id = (1 << 40) + 20", (value,))
        db.execute("UPDATE tiles SET hashes = 'no tile' WHERE log = 1 AND level = 0 AND n = 0")
    db.close()
    _, found, tiles = handed(path, ward.vkey, "bed-1")
    assert [index for _, index, *stored in found if None in stored] == [20]
    assert tiles[0, 0] == bytes(8192)


def test_an_interval_without_entries_is_empty_and_one_of_more_than_a_day_refused(ward):
    logs, _, _ = handed(ward.path, ward.vkey, "bed-1", T0 * 1000 - DAY_US, T0 * 1000 - 1_000_000)
    assert [log[5] for log in logs] in ([], [[]])
    for to_us in (T0 * 1000, T0 * 1000 + DAY_US + 1):
        with pytest.raises(MisuseError, match="at most a day"):
            handed(ward.path, ward.vkey, "bed-1", T0 * 1000, to_us)


def test_what_is_out_of_order_is_said_to_be_beside_the_run(ward):
    logs, _, _ = handed(ward.path, ward.vkey, "bed-2")
    (log,) = logs
    assert len(log[7]) == 1
