"""The fixtures for other people's tests, in a project of other people."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "device-ci"


def run(folder, *arguments):
    """Pytest in a project of its own; the plugin is named where this installation has no entry point for it yet."""
    known = any(point.name == "firmware_sim" for point in importlib.metadata.entry_points(group="pytest11"))
    plugin = [] if known else ["-p", "firmware_sim.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *plugin, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def project(tmp_path, text, **files):
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_it.py").write_text(text)
    for name, content in files.items():
        (tmp_path / f"{name}.toml").write_text(content)
    return tmp_path


def test_the_example_project_passes_with_its_own_tests(tmp_path):
    folder = tmp_path / "device-ci"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    done = run(folder, "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_unused_the_plugin_imports_nothing(tmp_path):
    text = """
import sys

def test_nothing():
    loaded = {name for name in sys.modules if name.startswith("firmware_sim")}
    assert loaded <= {"firmware_sim", "firmware_sim.pytest_plugin"}
"""
    done = run(project(tmp_path, text), "-q")
    assert done.returncode == 0, done.stdout + done.stderr


def test_devices_answer_in_both_kinds_of_time_and_stop_with_the_test(tmp_path):
    text = """
import os, socket
import pytest

START = bytes((0x7D, 0x81, 0xA1, *[0x80] * 6))

def test_real(simulated_device):
    one = simulated_device("contec", kind="tcp", wait=False)
    two = simulated_device("contec")
    assert (one.name, two.name) == ("contec", "contec-2")
    assert one.url.startswith("socket://127.0.0.1:")
    assert os.path.islink(two.url)
    host, port = one.url.removeprefix("socket://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(START)
        one.wait_for_readings(30)
        assert client.recv(4096)
    with pytest.raises(TimeoutError):
        two.wait_for_readings(1, timeout_s=0.1)
    simulated_device.last = two.url

def test_virtual(simulated_device):
    device = simulated_device("contec", virtual_time=True, attended=False)
    assert device.pump(5) == b""
    device.write(START)
    pieces = list(device.play(1))
    assert len(pieces) == 59 and 5 < pieces[0][0] < 5.1
    assert len(device.readings("spo2")) == 59
    assert device.plugged()

def test_wrong(simulated_device):
    from firmware_sim.errors import SimulatorError
    with pytest.raises(SimulatorError, match="nearest: 'masimo'"):
        simulated_device("massimo")
    with pytest.raises(SimulatorError, match="nearest: 'patient'"):
        simulated_device("masimo", pateint={})
    with pytest.raises(SimulatorError, match="pty or tcp"):
        simulated_device("masimo", kind="usb")
"""
    text = text.replace("    simulated_device.last = two.url\n", "")
    done = run(project(tmp_path, text), "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_scenario_without_its_marker_says_what_to_write(tmp_path):
    text = "def test_it(scenario):\n    pass\n"
    done = run(project(tmp_path, text), "-q")
    assert done.returncode == 1
    assert '@pytest.mark.scenario("FILE.toml")' in done.stdout


@pytest.mark.parametrize("name", ["here.toml", "nowhere.toml"])
def test_a_scenario_is_found_beside_the_test(tmp_path, name):
    text = f"""
import pytest

@pytest.mark.scenario("{name}", wait=False)
def test_it(scenario):
    assert list(scenario.devices) == ["a"]
    scenario["a"].wait_for_readings(7)
    assert scenario["a"].lost
"""
    done = run(project(tmp_path, text, here='[[device]]\nname = "a"\nmodel = "masimo"\n'), "-q")
    assert (done.returncode == 0) == (name == "here.toml"), done.stdout + done.stderr
    if name == "nowhere.toml":
        assert "cannot read" in done.stdout
