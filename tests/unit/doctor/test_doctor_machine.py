"""The doctor without a broker: machine, files, ports, exit codes, and that no secret is ever in what it says."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import collector.cli
import gateway.cli
from gateway.config import PortConfig
from gateway.doctor.ports import check_ports
from tests.unit.doctor.places import Place, of, said
from tests.unit.gateway.makers import drafts, open_store
from tests.unit.gateway.test_port import pty
from vitaledger.cli.doctor import Report, machine

MARKER = "s3cr3t-marker"
NOBODY = 1  # a port that nobody listens on


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, NOBODY, entries=50)


def lines(check, *args, **more):
    report = Report("test", "0")
    check(report, *args, **more)
    return said(report)


def run(program, path, *more):
    main = {"gateway": gateway.cli.main, "collector": collector.cli.cli}[program]
    return CliRunner().invoke(main, ["--config", str(path), "doctor", *more], catch_exceptions=False)


@pytest.mark.parametrize("program", ["gateway", "collector"])
def test_exit_codes_and_json(place, program):
    path = place.toml if program == "gateway" else place.collector_toml
    done = run(program, path, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["program"]) == (1, False, f"vitaledger-{program}")
    errors = [each for each in found["checks"] if each["state"] == "error"]
    assert [each["name"] for each in errors] == ["broker"]
    assert errors[0]["advice"]
    assert {"config", "key", "state", "disk", "space", "store", "clock"} <= {each["name"] for each in found["checks"]}
    assert "errors," in run(program, path).stdout
    path.write_text(path.read_text().replace("provider", "provder", 1))
    done = run(program, path, "--json")
    assert done.exit_code == 1
    [text] = [each["text"] for each in json.loads(done.stdout)["checks"] if each["name"] == "config"]
    assert "did you mean 'provider'" in text


@pytest.mark.parametrize("program", ["vitaledger-gateway", "vitaledger-collector"])
def test_misuse_is_2(program, tmp_path):
    beside = Path(sys.executable).with_name(program)
    words = ["--config", str(tmp_path / "none.toml"), "doctor"]
    assert subprocess.run([beside, *words], capture_output=True, check=False).returncode == 2


def spoil(path, content, mode):
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("content", [MARKER.encode(), b"-----BEGIN PRIVATE KEY-----\n" + MARKER.encode(), b"\xff" * 9])
@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("program", ["gateway", "collector"])
def test_no_secret_is_ever_said(place, program, content, mode):
    path = place.toml if program == "gateway" else place.collector_toml
    for name in ("password", "tls.key", "ca.pem"):
        spoil(path.parent / name, content, mode)
    spoil(place.config.key if program == "gateway" else place.collector.key_path, content, mode)
    user = "user = " + ('"g1"' if program == "gateway" else '"collector"')
    texts = ['password_file = "password"', 'ca = "ca.pem"\ncert = "ca.pem"\nkey = "tls.key"']
    before = path.read_text()
    for text in texts:
        path.write_text(before.replace(user, f"{user}\n{text}", 1))
        for more in ([], ["--json"]):
            done = run(program, path, *more)
            assert done.exit_code == 1
            assert MARKER not in done.output
            assert "0xff" not in done.output
    assert "key" in [name for name, state, _ in said_json(done) if state == "error"]


def said_json(done):
    return [(each["name"], each["state"], each["text"]) for each in json.loads(done.stdout)["checks"]]


def test_it_works_while_the_store_is_locked(place):
    with open_store(place.config.state, place.signer) as store:
        store.commit(drafts(5, first=50))
        found = place.visit()
        [(state, text)] = of(found, "store")
        assert (state, "a gateway runs on it" in text) == ("ok", True)
    assert "no gateway runs on it" in of(place.visit(), "store")[0][1]


def test_a_store_that_does_not_hold_and_the_last_verify(place):
    main = gateway.cli.main
    assert "not verified yet" in of(place.visit(), "verify")[0][1]
    assert CliRunner().invoke(main, ["--config", str(place.toml), "verify"]).exit_code == 0
    assert "50 entries were verified today" in of(place.visit(), "verify")[0][1]
    machine.remember_verify(place.config.state, ok=True, size=9, now=1_700_000_000)
    assert of(place.visit(), "verify")[0][0] == "warning"
    machine.remember_verify(place.config.state, ok=False, size=9, now=1_700_000_000)
    assert of(place.visit(), "verify")[0][0] == "error"
    import sqlite3

    db = sqlite3.connect(place.config.state / "log.db")
    db.execute("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 40) WHERE idx = 41")
    db.commit()
    db.close()
    [(state, text)] = of(place.visit(), "store")
    assert (state, "signed checkpoint says" in text) == ("error", True)


def test_a_collectors_store_of_another_key_or_provider(place):
    from collector import doctor, keys

    place.collector.key_path.unlink()
    keys.create(place.collector.key_path, place.collector.ledger_origin, os.urandom(32))
    assert of(said(doctor.visit(place.collector_toml)), "store")[0][0] == "error"
    place.collector_toml.write_text(place.collector_toml.read_text().replace("h.example", "other.example"))
    [(state, text)] = of(said(doctor.visit(place.collector_toml)), "store")
    assert (state, "of h.example" in text) == ("error", True)


def test_the_web_port(place):
    from collector import doctor

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = place.collector_toml.read_text().replace("port = 0", f"port = {port}")
        place.collector_toml.write_text(text)
        taken.listen()
        taken.settimeout(0)
        import threading

        threading.Thread(target=_mute, args=(taken,), daemon=True).start()
        [(state, text)] = of(said(doctor.visit(place.collector_toml)), "http")
        assert (state, "cannot listen" in text) == ("error", True)


def _mute(listening):
    listening.settimeout(10)
    line, _ = listening.accept()
    line.close()


# -- ports ------------------------------------------------------------------------------------------------------------


def ports(device, by_id, *, running=False, driver="masimo", **more):
    port = PortConfig(name="bed-1", device=str(device), driver=driver, **more)
    return lines(check_ports, [port], running=running, by_id=by_id)[0]


def test_ports(tmp_path):
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    name, state, text = ports(tmp_path / "none", by_id)
    assert (name, state) == ("port bed-1", "error")
    assert "plugged in" in text
    with pty(tmp_path / "ttyUSB0"):
        _, state, text = ports(tmp_path / "ttyUSB0", by_id)
        assert (state, "look for a name in" in text) == ("warning", True)
        (by_id / "usb-Nonin-port0").symlink_to(tmp_path / "ttyUSB0")
        _, state, text = ports(tmp_path / "ttyUSB0", by_id)
        assert (state, f'device = "{by_id}/usb-Nonin-port0"' in text) == ("warning", True)
        _, state, text = ports(by_id / "usb-Nonin-port0", by_id)
        assert (state, "we may open it" in text) == ("ok", True)
        _, state, text = ports(tmp_path / "gone", by_id)
        assert "usb-Nonin-port0" in text
    assert ports(tmp_path, by_id)[1] == "error"
    assert ports("/dev/null", by_id, driver="masino")[1] == "error"
    assert ports("/dev/null", by_id, driver=None)[1] == "error"
    assert ports("/dev/null", by_id, driver="nonin", options={"fromat": "2"})[1] == "error"
    assert lines(check_ports, [], running=False)[0][1] == "warning"


def test_a_port_that_we_may_not_open(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    _, state, text = ports("/dev/null", tmp_path)
    assert state == "error"
    assert "usermod --append --groups" in text


def test_ports_over_the_network(tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        assert ports(url, tmp_path)[1] == "ok"
        assert "not looked at" in ports(url, tmp_path, running=True)[2]
    assert ports(url, tmp_path)[1] == "error"
    assert ports("socket://nowhere", tmp_path)[1] == "error"
    assert ports("loop://", tmp_path)[1] == "ok"
    assert ports("socket://[::1", tmp_path)[1] == "error"


# -- the machine ------------------------------------------------------------------------------------------------------


def test_the_disk(tmp_path, monkeypatch):
    assert len(machine.sync_times(tmp_path)) == machine.SYNC_TRIES
    assert list(tmp_path.iterdir()) == []
    for times, state in (([0.001], "ok"), ([0.001, 0.3], "warning"), ([2.0], "error")):
        monkeypatch.setattr(machine, "sync_times", lambda _, times=times: times)
        assert of(lines(machine.state_directory, tmp_path), "disk")[0][0] == state
    assert "not there yet" in of(lines(machine.state_directory, tmp_path / "new" / "state"), "state")[0][1]
    tmp_path.chmod(0o777)
    assert of(lines(machine.state_directory, tmp_path), "state")[0][0] == "error"


@pytest.mark.parametrize(("free", "state"), [(50, "ok"), (15, "warning"), (3, "error")])
def test_space(tmp_path, monkeypatch, free, state):
    usage = type("Usage", (), {"total": 100, "free": free})
    inodes = type("Inodes", (), {"f_files": 100, "f_favail": 90})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(machine.os, "statvfs", lambda _: inodes)
    assert lines(machine.space, tmp_path)[0][1] == state
    inodes.f_favail = 1
    assert lines(machine.space, tmp_path)[0][1] == "error"


def test_the_clock():
    for bound, now, state in ((5, 100, "ok"), (5000, 100, "warning"), (None, 100, "warning"), (5, 10, "error")):
        assert lines(machine.clock, bound, now, 50)[0][1] == state
    from collector.clock import bound_ms
    from gateway.clock import kernel_bound

    here, there = bound_ms(), kernel_bound()()
    assert (here is None) == (there is None)


def test_another_distribution_of_our_name():
    assert lines(machine.shadowed, {"gateway": ["vitaledger"]})[0][1] == "ok"
    [(_, state, text)] = lines(machine.shadowed, {"gateway": ["vitaledger", "api-gateway"], "collector": ["collector"]})
    assert state == "error"
    assert "gateway is shipped by api-gateway" in text
    assert "collector is shipped by collector" in text


def test_a_package_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "firmware_sim.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "firmware_sim", raising=False)
    [(_, state, text)] = lines(machine.shadowed, {})
    assert (state, str(tmp_path) in text) == ("error", True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_others_can_read(tmp_path, mode):
    path = tmp_path / "key"
    path.write_text(MARKER)
    path.chmod(mode)
    assert lines(machine.secret_file, "key", path)[0][1] == "error"
    loose = lines(machine.secret_file, "password", path, machine.GROUP_READS)[0][1]
    assert loose == ("ok" if mode == 0o640 else "error")


def test_on_3_1_1_silence_is_said_for_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.doctor.reach.ANSWER_S", 1.0)
    command = [sys.executable, "-m", "collector.broker", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        place = Place(tmp_path, int(process.stdout.readline()), entries=3)
        found = place.visit()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
    assert "MQTT 3.1.1" in of(found, "broker")[0][1]
    [(state, text)] = of(found, "rights")
    assert state == "error"
    for word in ("vitaledger/v1/g1/up/checkpoint", "user g1", "does not tell a refusal", "the collector does not run"):
        assert word in text
