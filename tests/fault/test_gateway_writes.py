"""Every write and sync of the gateway's store fails once, before, half way and after: nothing published is missing."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import journal as journals
from gateway.locked import StoreError
from gateway.reader import Reader
from gateway.verify import verify_store
from tests.fault import vfs
from tests.unit.gateway.makers import KEY, LEDGER_KEY, ModelLedger, drafts, open_store
from tests.unit.gateway.test_port import pty, wait_for
from vitaledger.cli.stage import command
from vitaledger.keys import Ed25519Signer

pytestmark = pytest.mark.skipif(vfs.library() is None, reason="sqlite3 is not a shared library here")
ROUNDS = 3
MEMORY = Path("/dev/shm")  # syncing costs nothing there


def work(path, published):
    """Commits with a journal, receipts and pruning; `published` grows by what could have been sent after each step."""
    ledger = ModelLedger()
    store = open_store(path)
    try:
        for n in range(ROUNDS):
            first = store.size
            step = journals.Step(max(0, n - 2), n, bytes([n]) * 1500) if n else None  # two rows are open
            done = store.commit(drafts(9, first, every=7), step)
            published.append((done.size, done.checkpoint))
            receipt = ledger.receipt(first + 5, store._rows.root_at(first + 5))
            store.add_receipt(receipt, 1_700_000_000_000 + n)
            published.append((done.size, done.checkpoint))
            store.prune(first, 2**62)
    finally:
        store.close()


def check(path, published):
    """What holds after any failure: it opens, goes on, verifies, and has all that was published."""
    with open_store(path) as store:
        journal = store.journal()
        assert all(row == bytes([row[0]]) * 1500 for row in journal)
        if published:
            size, checkpoint = published[-1]
            assert store.size >= size
            if store.size == size:
                assert store.checkpoint == checkpoint
        store.commit(drafts(4, store.size), journals.Step(store.journal_end, store.journal_end, None))
    with Reader.open(path) as reader:
        report = verify_store(reader, KEY, [LEDGER_KEY])
    assert report.ok, str(report.failure)


@pytest.fixture
def fast_path():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    with vfs.faults() as layer:
        work(tmp_path_factory.mktemp("dry") / "s", [])
        return layer.count


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("mode", vfs.MODES)
def test_each_write_fails_once(fast_path, operations, mode, error):
    assert operations > 50
    failed = 0
    with vfs.faults() as layer:
        for at in range(0, operations, 1 if error == "EIO" else 2):
            path, published = fast_path / "s", []
            layer.arm(at, mode, error)
            try:
                work(path, published)
            except StoreError:
                failed += 1
            layer.disarm()
            check(path, published)
            shutil.rmtree(path)
    assert failed > operations // 6


@pytest.mark.parametrize("mode", ["before", "half"])
def test_from_some_moment_on_nothing_can_be_written(fast_path, operations, mode):
    """What a file system does that turned read-only, or that a cable was pulled from."""
    with vfs.faults() as layer:
        for at in range(0, operations, 3):
            path, published = fast_path / "s", []
            layer.arm(at, mode, "EIO", on=True)
            with suppress(StoreError):  # where only closing fails, it ends well
                work(path, published)
            layer.disarm()
            check(path, published)
            shutil.rmtree(path)


def test_a_store_that_failed_at_commit_refuses_to_go_on(tmp_path, operations):
    with vfs.faults() as layer:
        store = open_store(tmp_path)
        store.commit(drafts(5))
        layer.arm(0, "after", "EIO")
        with pytest.raises(StoreError):
            store.commit(drafts(5, 5))
        layer.disarm()
        with pytest.raises(StoreError, match="cannot be used"):
            store.commit(drafts(5, 5))
        store.close()
        check(tmp_path, [(5, store.checkpoint)])


CONFIG = """
provider = "h.example"
gateway = "g1"
ledger_vkey = "{vkey}"
[mqtt]
port = 1
[record]
entry_seconds = 0.5
[[port]]
name = "bed-1"
device = "{device}"
driver = "masimo"
"""


@pytest.mark.parametrize(
    "inject",
    [
        "fdatasync,fsync:error=EIO:when=16",
        "pwrite64:error=ENOSPC:when=80",
        "pwrite64,fdatasync,fsync,ftruncate:error=EROFS:when=90+",  # the file system turned read-only
    ],
)
def test_a_running_gateway_fails_loudly_and_starts_again(tmp_path, inject):

    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace cannot trace here")
    config = tmp_path / "gateway.toml"
    vkey = Ed25519Signer("h.example/ledger", bytes(32)).vkey
    gateway = command("vitaledger-gateway")
    subprocess.run(
        [
            gateway,
            "init",
            str(tmp_path / "g"),
            "--gateway",
            "g1",
            "--provider",
            "h.example",
            "--ledger-vkey",
            str(vkey),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.move(tmp_path / "g" / "gateway.key", tmp_path / "gateway.key")
    config.write_text(CONFIG.format(vkey=vkey, device=tmp_path / "device"))
    run = [gateway, "--config", str(config), "run"]
    line = b"02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% ALARM=0000 EXC=000800\r\n"
    with pty(tmp_path / "device") as master, (tmp_path / "log").open("w") as log:
        traced = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={inject}", *run]
        process = subprocess.Popen(traced, stderr=log, start_new_session=True)
        try:
            wait_for(lambda: (os.write(master, line), process.poll())[1] is not None, 40)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode in {1, 2}
    assert "the log cannot be written" in (tmp_path / "log").read_text() or "store:" in (tmp_path / "log").read_text()
    verify = [gateway, "--config", str(config), "verify"]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    process = subprocess.Popen(run, stderr=subprocess.DEVNULL)
    try:
        history = [gateway, "--config", str(config), "history", "gateway"]

        def again():
            told = subprocess.run(history, capture_output=True, text=True, check=False).stdout
            return "not stopped cleanly" in told or "did not stop cleanly" in told

        wait_for(again, 20)
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert subprocess.run(verify, stdout=subprocess.DEVNULL, check=False).returncode == 0, sys.executable
