import shutil
import sqlite3
import subprocess
import sys

import pytest

from gateway import recovery, schema
from gateway.locked import StoreLockedError, is_locked
from gateway.reader import Reader
from gateway.store import DraftError
from gateway.verify import verify_store
from tests.unit.gateway.makers import (
    BOOT,
    KEY,
    LEDGER_KEY,
    ORIGIN,
    SIGNER,
    ModelLedger,
    chain_of,
    drafts,
    heads,
    open_store,
    readings,
    stop,
)
from vitaledger.checkpoint import open_checkpoint
from vitaledger.entry import GATEWAY_CHAIN, Clock, parse_leaf
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import Heads
from vitaledger.keys import Ed25519Signer
from vitaledger.merkle import leaf_hash, root, verify_consistency, verify_subtree_consistency
from vitaledger.opened import open_entry


def check(path):
    with Reader.open(path) as reader:
        report = verify_store(reader, KEY, [LEDGER_KEY])
    assert report.ok, str(report.failure)
    return report


def test_an_empty_commit_writes_nothing(tmp_path):
    with open_store(tmp_path) as store:
        assert (store.empty, store.stopped_cleanly, store.size) == (True, False, 0)
        assert store.commit([]).checkpoint is None
        with Reader.open(tmp_path) as reader:
            assert reader.checkpoint() is None
            assert verify_store(reader, KEY, [LEDGER_KEY]).ok


@pytest.mark.parametrize("size", [1, 2, 39, 40, 41, 255, 256, 257, 511, 512, 600])
def test_restart_goes_on_where_it_stopped(tmp_path, size):
    with open_store(tmp_path) as store:
        for first in range(0, size, 7):
            store.commit(drafts(min(7, size - first), first))
        before, checkpoint = dict(store.heads()), store.checkpoint
    with open_store(tmp_path, seed=2) as store:
        assert (store.size, dict(store.heads()), store.checkpoint) == (size, before, checkpoint)
        store.commit(drafts(5, size))
        assert store.size == size + 5
    assert check(tmp_path).entries == size + 5


def test_the_tree_is_that_of_the_leaves(tmp_path):
    with open_store(tmp_path) as store:
        store.commit(drafts(300))
        store.commit(drafts(23, 300))
        with Reader.open(tmp_path) as reader:
            hashes = [leaf_hash(leaf) for leaf, _ in reader.entries(0, 323)]
            head = open_checkpoint(reader.checkpoint(), [KEY]).checkpoint
            assert (head.origin, head.size, head.root) == (ORIGIN, 323, root(hashes))
            for size in (1, 255, 256, 300, 323):
                assert reader.root_at(size) == root(hashes[:size])
                verify_consistency(size, root(hashes[:size]), 323, head.root, reader.consistency_proof(size, 323))
            proof = reader.subtree_proof(256, 290, 323)
            verify_subtree_consistency(256, 290, root(hashes[256:290]), 323, head.root, proof)
            assert reader.root_at(324) is None


def test_heads_context_and_clocks_are_filled_in(tmp_path):
    with open_store(tmp_path) as store:
        store.commit(drafts(39))
        store.commit([heads(5000), readings(chain_of(0), 6000), stop(7000)])
        with Reader.open(tmp_path) as reader:
            (leaf, body), (late, late_body) = reader.entries(39, 41)
            opened = open_entry(leaf, body)
            assert isinstance(opened.event, Heads)
            assert {each.chain: each.next_seq for each in opened.event.chains} == {chain_of(n): 13 for n in range(3)}
            assert open_entry(late, late_body).values.context.identity == 0
    with open_store(tmp_path) as store:
        assert store.stopped_cleanly
        assert store.last_clock(chain_of(0)) == Clock(1_700_000_006_999, BOOT, 6_999, 3)
        assert store.last_clock("nonin:port:never") is None
        store.commit([readings(chain_of(0), 8000)])
        with Reader.open(tmp_path) as reader:
            assert open_entry(*reader.entries(42, 43)[0]).values.context.identity is None  # a new run
    with open_store(tmp_path) as store:
        assert store.stopped_cleanly  # the last entry of the gateway's own chain still says so


def test_the_scan_at_opening_is_bounded(tmp_path, monkeypatch):
    with open_store(tmp_path) as store:
        store.commit([readings("nonin:port:quiet", 0)])
        store.commit(drafts(1000))
        clock = parse_leaf(store._rows.entries(0, 1)[0][0]).clock
    seen = []
    original = recovery.Rows.entries
    monkeypatch.setattr(recovery.Rows, "entries", lambda self, a, b: seen.append(b - a) or original(self, a, b))
    with open_store(tmp_path) as store:
        assert sum(seen) <= 256
        assert "nonin:port:quiet" in store.heads()
        assert store.last_clock("nonin:port:quiet").wall_ms == clock.wall_ms + 999


def test_one_process_at_a_time(tmp_path):
    with open_store(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(StoreLockedError):
            open_store(tmp_path)
    assert not is_locked(tmp_path)
    open_store(tmp_path).close()


def test_a_store_of_another_origin_key_or_version_is_refused(tmp_path):
    with open_store(tmp_path) as store:
        store.commit(drafts(2))
    with pytest.raises(MisuseError, match="origin"):
        open_store(tmp_path, Ed25519Signer("h.example/gateway/g2", bytes(range(32))))
    with pytest.raises(MisuseError, match="vkey"):
        open_store(tmp_path, Ed25519Signer(ORIGIN, bytes(32)))
    db = sqlite3.connect(tmp_path / schema.DATABASE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(MisuseError, match="version 99"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DELETE FROM entries WHERE idx = 49", "covers 50 entries, the store ends at 49"),
        ("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 3) WHERE idx = 49", "root of 50"),
        ("DELETE FROM head", "50 entries and no signed checkpoint"),
        ("UPDATE head SET checkpoint = replace(checkpoint, '50', '49')", "not of this text"),
    ],
)
def test_a_torn_store_is_refused_and_left_alone(tmp_path, change, message):
    with open_store(tmp_path) as store:
        store.commit(drafts(50))
    db = sqlite3.connect(tmp_path / schema.DATABASE, isolation_level=None)
    db.execute(
        change.replace("replace(checkpoint", "CAST(replace(CAST(checkpoint AS TEXT)").replace("'49')", "'49') AS BLOB)")
    )
    db.close()
    with pytest.raises(VerificationError, match=message):
        open_store(tmp_path)
    with Reader.open(tmp_path) as reader:
        assert not verify_store(reader, KEY, [LEDGER_KEY]).ok


def test_copies_taken_while_running_open_as_some_committed_state(tmp_path):
    """Whatever a kill leaves is a prefix that ends with a commit."""
    live = tmp_path / "live"
    with open_store(live) as store:
        sizes = [0]
        for n in range(12):
            store.commit(drafts(31, n * 31))
            sizes.append(store.size)
            copy = tmp_path / f"copy{n}"
            copy.mkdir()
            for name in (schema.DATABASE, f"{schema.DATABASE}-wal"):
                if (live / name).exists():
                    shutil.copy(live / name, copy / name)
            wal = copy / f"{schema.DATABASE}-wal"
            data = wal.read_bytes()
            wal.write_bytes(
                data[: len(data) - (n * 977) % max(1, len(data) // 3)]
            )  # the tail of the WAL did not arrive
            try:
                with open_store(copy, seed=n) as torn:
                    assert torn.size in sizes
                    torn.commit(drafts(3, torn.size))
                check(copy)
            except MisuseError as error:  # nothing at all had arrived
                assert "empty" in str(error)  # noqa: PT017


def test_killed_between_the_steps(tmp_path):
    script = (
        "import sys, os; sys.path[:0] = ['.']\n"
        "from pathlib import Path\n"
        "from tests.unit.gateway.makers import *\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "steps = iter(range(10**6)); at = int(sys.argv[2])\n"
        "store._db.set_trace_callback(lambda s: next(steps) == at and os._exit(9))\n"
        "for n in range(4): store.commit(drafts(130, n * 130)); print(store.size, flush=True)\n"
    )
    for at in (1, 40, 132, 135, 137, 138, 139, 300, 420):
        path = tmp_path / str(at)
        done = subprocess.run(
            [sys.executable, "-c", script, str(path), str(at)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 9, done.stderr
        published = int((done.stdout.split() or ["0"])[-1])
        with open_store(path) as store:
            assert store.size >= published
            assert store.size % 130 == 0
            store.commit(drafts(4, store.size))
        check(path)


def test_what_is_read_back_changed_is_not_signed(tmp_path):
    with open_store(tmp_path) as store:
        store.commit(drafts(5))
        store._db.execute(
            "CREATE TRIGGER t AFTER INSERT ON entries WHEN new.idx = 6 BEGIN "
            "UPDATE entries SET body = zeroblob(3) WHERE idx = 6; END"
        )
        with pytest.raises(VerificationError, match="entry 6 was read back changed"):
            store.commit(drafts(5, 5))
        assert store.size == 5
        store._db.execute("DROP TRIGGER t")
        assert store.commit(drafts(5, 5)).size == 10
    assert check(tmp_path).entries == 10


def test_a_draft_that_nobody_could_open_stores_nothing(tmp_path):
    with open_store(tmp_path) as store:
        wrong = readings(GATEWAY_CHAIN, 0)
        with pytest.raises(DraftError) as caught:
            store.commit([*drafts(2), wrong])
        assert caught.value.draft is wrong
        assert store.size == 0
        assert store.commit(drafts(2)).size == 2


def test_receipts_and_pruning(tmp_path):
    ledger = ModelLedger()
    with open_store(tmp_path) as store:
        store.commit(drafts(200))
        assert store.prune(200, 2**62) == 0  # nothing is receipted
        receipt = ledger.receipt(150, store._rows.root_at(150))
        assert store.add_receipt(receipt, 1_700_000_000_500)
        assert not store.add_receipt(receipt, 1_700_000_000_600)
        assert (store.custody, store.newest_ledger().size) == (150, 1)
        assert store.prune(1000, 1_700_000_005_000) == 50  # retention
        assert store.prune(120, 2**62) == 70
        assert store.prune(1000, 2**62) == 30
        assert store.prune(1000, 2**62) == 0
        assert store.pruned == 150
    with open_store(tmp_path) as store:
        assert (store.custody, store.pruned) == (150, 150)
        assert store.newest_ledger() == receipt.ledger
        store.add_receipt(ledger.receipt(200, store._rows.root_at(200)), 1_700_000_100_000)
        assert store.prune(200, 2**62) == 49  # the newest heads entry stays
    report = check(tmp_path)
    assert (report.pruned, report.receipts, report.custody) == (199, 2, 200)
    assert SIGNER.name == ORIGIN
