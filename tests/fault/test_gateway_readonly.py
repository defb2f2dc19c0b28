"""The file system turns read-only under a running gateway: it ends and says why, and goes on once it can write."""

import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fault.test_gateway_disk import Gateway, talking
from tests.unit.gateway.test_port import wait_for

SAYS = "the log cannot be written, this process ends"
ROOM = 16 * 1024  # enough for a log file, and less than any write-ahead log


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


@pytest.fixture
def real_disk(tmp_path):
    """A file system on a file, that turns read-only at its first error, as the systems of gateways are set up."""
    make = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin")
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(48 * 2**20)
    mount = ("mount", "-o", "loop,errors=remount-ro", image, place)
    if make is None or run(make, "-q", "-F", image).returncode or run(*mount).returncode:
        pytest.skip("a file system cannot be mounted here; the test beside it limits the process instead")
    try:
        yield place
    finally:
        run("umount", "-l", place)


def trigger_of(place):
    """The kernel's own switch for an error of a mounted file system."""
    device = run("findmnt", "-n", "-o", "SOURCE", place).stdout.strip()
    return Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"


@contextmanager
def followed(gateway, folder):
    """A running gateway with a device; killed at the end if it still runs."""
    with talking(folder):
        gateway.start()
        try:
            wait_for(lambda: gateway.readings() > 5, 30)
            yield
        finally:
            if gateway.process.poll() is None:
                gateway.process.kill()
            gateway.process.wait()


def check_goes_on(gateway, log, before):
    """It ended as it should; started where it can write, it goes on, and what was there is there."""
    assert gateway.process.wait(30) == 1
    assert SAYS in log.read_text()
    found = gateway.rows("bed-1")
    assert len(found) >= len(before)
    assert found[: len(before)] == before


def check_after(gateway, before):
    gateway.start()
    count = len(gateway.rows("bed-1"))
    wait_for(lambda: len(gateway.rows("bed-1")) > count + 5, 30)
    gateway.stop()
    assert gateway.rows("bed-1")[: len(before)] == before
    assert any("stop" in text for text in gateway.events("boot")), gateway.events("boot")
    assert len(gateway.events("gap", "bed-1")) == 2  # at the first start, and over this
    done = gateway.run("verify")
    assert done.returncode == 0, done.stderr


def test_a_file_system_that_turns_read_only(real_disk, tmp_path):
    gateway = Gateway(tmp_path, 4)
    shutil.move(gateway.state, real_disk / "state") if gateway.state.exists() else (real_disk / "state").mkdir()
    gateway.config.write_text(f'state = "{real_disk}/state"\n' + gateway.config.read_text())
    gateway.state = real_disk / "state"
    trigger = trigger_of(real_disk)
    if not trigger.exists():
        pytest.skip("this kernel has no switch for an error of a file system")
    with followed(gateway, tmp_path):
        before = gateway.rows("bed-1")
        trigger.write_text("1\n")
        check_goes_on(gateway, tmp_path / "log", before)
        gateway.start()  # its supervisor does, while nothing can be written yet
        assert gateway.process.wait(30) in {1, 2}
        assert "ead-only" in (tmp_path / "log").read_text().splitlines()[-1]
        remounted = run("mount", "-o", "remount,rw", real_disk)
        if remounted.returncode:  # with an error on it some kernels want it checked first
            run("umount", real_disk)
            run("fsck.ext4", "-p", "-f", tmp_path / "image")
            assert run("mount", "-o", "loop", tmp_path / "image", real_disk).returncode == 0
        check_after(gateway, before)


def test_a_running_gateway_that_may_write_no_more(tmp_path):
    """The same without a file system of its own: from one moment on the kernel refuses every write that matters."""
    gateway = Gateway(tmp_path, 4)
    with followed(gateway, tmp_path):
        before = gateway.rows("bed-1")
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (ROOM, ROOM))
        check_goes_on(gateway, tmp_path / "log", before)
        check_after(gateway, before)
