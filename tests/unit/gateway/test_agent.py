"""The agent as a whole, in process: devices on terminals, no broker."""

import os
import socket
import threading

import pytest

from gateway import agent, config, keys, service
from gateway.locked import StoreError
from gateway.reader import Reader
from gateway.store import Store
from tests.unit.gateway.test_port import pty, wait_for
from vitaledger import events
from vitaledger.errors import MisuseError
from vitaledger.keys import Ed25519Signer
from vitaledger.marks import GapReason
from vitaledger.opened import open_entry

LINE = b"02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% ALARM=0000 EXC=000800\r\n"


@pytest.fixture
def configuration(tmp_path):
    vkey = Ed25519Signer("h.example/ledger", bytes(32)).vkey
    path = tmp_path / "gateway.toml"
    text = f"""
provider = "h.example"
gateway = "g1"
ledger_vkey = "{vkey}"
[mqtt]
port = 1
[record]
entry_seconds = 0.5
[[port]]
name = "bed-1"
device = "{tmp_path / "device"}"
driver = "masimo"
"""
    path.write_text(text)
    found = config.load(path)
    keys.create(found.key, found.origin, bytes(range(32)))
    return found


class Running:
    def __init__(self, found):
        self.found, self.codes = found, []
        self.stop, ready = threading.Event(), threading.Event()

        def work():
            self.codes.append(agent.run(found, ready=ready.set, stop=self.stop))

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert ready.wait(20)

    def end(self):
        self.stop.set()
        self.thread.join(30)
        return self.codes[0]


def entries(found):
    with Reader.open(found.state) as reader:
        return [open_entry(leaf, body) for leaf, body in reader.entries(0, reader.size)]


def own(found):
    return [type(entry.event).__name__ for entry in entries(found) if entry.entry.chain == "gateway"]


def test_from_bytes_to_the_log_and_a_clean_stop(configuration, tmp_path):
    with pty(tmp_path / "device") as master:
        running = Running(configuration)
        wait_for(lambda: os.write(master, LINE) and [e for e in entries(configuration) if e.values])
        assert running.end() == 0
    found = entries(configuration)
    assert {entry.entry.chain for entry in found} == {"gateway", "masimo:sn:0000056661"}
    assert own(configuration)[:3] == ["Boot", "Config", "Heads"]
    assert own(configuration)[-2:] == ["Heads", "Stop"]
    heads = [entry.event for entry in found if isinstance(entry.event, events.Heads)][-1]
    assert {head.chain for head in heads.chains} == {"gateway", "masimo:sn:0000056661"}
    last = [entry.event for entry in found if entry.entry.chain.startswith("masimo")][-1]
    assert (last.state.label, last.detail) == ("down", "the gateway stops")


def test_the_next_run_knows_how_the_last_one_ended(configuration, tmp_path):
    for _ in range(2):
        with pty(tmp_path / "device") as master:
            running = Running(configuration)
            before = len(entries(configuration))
            wait_for(
                lambda m=master, b=before: os.write(m, LINE) and [e for e in entries(configuration)[b:] if e.values]
            )
            assert running.end() == 0
    found = entries(configuration)
    assert [entry.event.clean for entry in found if isinstance(entry.event, events.Boot)] == [1, 1]
    gaps = [entry.event for entry in found if isinstance(entry.event, events.Gap)]
    assert [gap.reason for gap in gaps] == [GapReason.START] * 2
    assert gaps[0].since is None
    assert gaps[1].since is not None


def test_a_commit_that_fails_ends_the_process(configuration, monkeypatch):
    running = Running(configuration)

    def fail(self, drafts, journal=None):
        raise StoreError("disk full")

    monkeypatch.setattr(Store, "commit", fail)
    assert running.end() == 1


def test_a_port_without_a_driver_or_with_an_unknown_one_is_refused_before_anything_is_sealed(configuration, tmp_path):
    for text in ("", 'driver = "nonim"'):
        path = tmp_path / "gateway.toml"
        path.write_text(path.read_text().split("[[port]]")[0] + f'[[port]]\nname = "a"\ndevice = "b"\n{text}\n')
        with pytest.raises(MisuseError, match="nonin"):
            agent.run(config.load(path))
    assert not configuration.state.exists()


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_is_told(tmp_path, monkeypatch, abstract):
    name = f"@vitaledger-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        service.notify("READY=1")
        assert listening.recv(100) == b"READY=1"
    service.notify("WATCHDOG=1")  # nobody listens any more
