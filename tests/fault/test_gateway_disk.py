"""The disk fills under a running gateway: the intake stops, says so, and goes on by itself."""

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from gateway import disk
from tests.unit.gateway.test_port import pty, wait_for
from vitaledger.cli.stage import command
from vitaledger.events import Disk
from vitaledger.keys import Ed25519Signer

LINE = b"02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% ALARM=0000 EXC=000800\r\n"
MB = 2**20
CONFIG = """
provider = "h.example"
gateway = "g1"
ledger_vkey = "{vkey}"
[mqtt]
port = 1
[record]
entry_seconds = 0.5
min_free_mb = {min_free}
[[port]]
name = "bed-1"
device = "{device}"
driver = "masimo"
"""


class Gateway:
    """A real process with a device that sends a line ten times a second."""

    def __init__(self, folder, min_free):
        self.folder, self.state = folder, folder / "g" / "state"
        vkey = Ed25519Signer("h.example/ledger", bytes(32)).vkey
        self.program = command("vitaledger-gateway")
        words = ("--gateway", "g1", "--provider", "h.example", "--ledger-vkey", str(vkey))
        subprocess.run([self.program, "init", str(folder / "g"), *words], check=True, stdout=subprocess.DEVNULL)
        self.config = folder / "g" / "gateway.toml"
        self.config.write_text(CONFIG.format(vkey=vkey, device=folder / "device", min_free=min_free))
        self.process = None

    def run(self, *words):
        found = [self.program, "--config", str(self.config), *words]
        return subprocess.run(found, capture_output=True, text=True, check=False)

    def start(self):
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen([self.program, "--config", str(self.config), "run"], stderr=log)

    def rows(self, chain):
        return [json.loads(line) for line in self.run("history", chain, "--json").stdout.splitlines()]

    def events(self, name, chain="gateway"):
        return [row["text"] for row in self.rows(chain) if row.get("event") == name]

    def readings(self):
        return sum("signal" in row for row in self.rows("bed-1"))

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


@contextmanager
def talking(folder):
    """A device on a terminal that never stops."""
    over = threading.Event()
    with pty(folder / "device") as master:
        os.set_blocking(master, False)  # what nobody reads is lost, as on a real line

        def talk():
            while not over.wait(0.1):
                with suppress(BlockingIOError):
                    os.write(master, LINE)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or os.getuid() != 0
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place, leave):
    """Take the room of a file system but for `leave` bytes, as another program would."""
    with (place / "filler").open("ab") as file:
        while (room := shutil.disk_usage(place).free - leave) > 0:
            try:
                file.write(bytes(min(room, MB)))
                file.flush()
            except OSError:
                return


@pytest.mark.parametrize("leave", [3 * MB, 0])
def test_a_full_disk_stops_the_intake_and_room_starts_it_again(small_disk, tmp_path, leave):
    gateway = Gateway(small_disk, 4)
    (small_disk / "device").unlink(missing_ok=True)
    with talking(small_disk):
        gateway.start()
        wait_for(lambda: gateway.readings() > 5, 20)
        fill(small_disk, leave)
        if leave:
            wait_for(lambda: any("intake stops" in text for text in gateway.events("disk")), 10)
        else:
            wait_for(lambda: gateway.process.poll() is not None or not (gateway.state / "reserve").exists(), 10)
            time.sleep(1.5)
            if gateway.process.poll() is not None:
                gateway.start()  # its supervisor does
                wait_for(lambda: any("intake stops" in text for text in gateway.events("disk")), 10)
        assert any("more than 80 % used" in text for text in gateway.events("disk"))
        assert not (gateway.state / "reserve").exists()
        assert "full" in json.loads(gateway.run("status", "--json").stdout)["disk"]
        before = gateway.readings()
        time.sleep(2)
        assert gateway.readings() - before <= 6  # what was on its way
        assert gateway.process.poll() is None
        (small_disk / "filler").unlink()
        wait_for(lambda: any("goes on" in text for text in gateway.events("disk")), 10)
        count = gateway.readings()
        wait_for(lambda: gateway.readings() > count + 5, 20)
        gateway.stop()
    gaps = gateway.events("gap", "bed-1")
    assert any("bytes not kept" in text for text in gaps), gaps
    assert any("disk" in text for text in gaps), gaps
    assert (gateway.state / "reserve").exists()
    done = gateway.run("verify")
    assert done.returncode == 0, done.stderr


def test_the_same_without_a_file_system_of_its_own(tmp_path, monkeypatch):
    """The guard with an answer of the operating system that is made up."""
    answer = SimpleNamespace(free=500 * MB, total=1000 * MB)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: answer)
    guard = disk.DiskGuard(tmp_path / "state", 64 * MB)
    guard.begin()
    reserve = tmp_path / "state" / "reserve"
    assert reserve.stat().st_blocks * 512 >= 4 * MB
    assert guard.look(lambda: 0) == []
    answer.free = 63 * MB
    assert [type(event) for event in guard.look(lambda: 0)] == [Disk, Disk]
    assert (guard.stopped, guard.low, reserve.exists()) == (True, True, False)
    answer.free = 70 * MB  # more than the limit, less than a quarter more
    assert guard.look(lambda: 0) == []
    assert [event.detail for event in guard.look(lambda: 20 * MB)] == ["the intake goes on"]  # pruning made room inside
    assert reserve.exists()
    answer.free = 10 * MB
    guard.look(lambda: 0)
    assert guard.look(lambda: 10**9) == []  # room inside the file does not help the write-ahead log
    assert guard.stopped


def test_a_start_on_a_full_disk_gives_the_reserve_up_before_the_store_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=1, total=1000))
    guard = disk.DiskGuard(tmp_path, 4 * MB)
    guard.begin()
    assert not (tmp_path / "reserve").exists()
    assert [event.free for event in guard.look(lambda: 0)] == [1, 1]
    assert guard.look(lambda: 0) == []
