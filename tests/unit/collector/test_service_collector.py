"""Setting up, enrolling, the worker's loop, and the whole service beside a real broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from collector import config, keys
from collector.enrolment import enroll, gateway_of, init, open_ledger
from collector.inbox import LARGE, MAX_MESSAGES, SHARE, Inbox, Message
from collector.ingest import Publish
from collector.mqtt import Link
from collector.service import Worker, run
from tests.unit.collector.model_gateway import NOW, PROVIDER, Desk, Gateway, decode
from vitaledger import messages
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.keys import CosignatureSigner, parse_vkey
from vitaledger.messages import Receipt
from vitaledger.statement import Enrolment


def test_init_makes_key_store_and_configuration(tmp_path):
    vkey = init(tmp_path, PROVIDER, bytes(range(32)))
    made = config.load(tmp_path / "collector.toml")
    assert parse_vkey(vkey).name == f"{PROVIDER}/ledger"
    assert made.key_path.stat().st_mode & 0o777 == 0o600
    store, signer = open_ledger(made)
    assert (str(signer.vkey), store.ledger_head().size) == (vkey, 0)
    store.close()
    with pytest.raises(MisuseError, match="nothing was changed"):
        init(tmp_path, PROVIDER, bytes(32))
    assert keys.load(made.key_path, made.ledger_origin).vkey == signer.vkey


def test_init_refuses_a_name_that_no_origin_can_have(tmp_path):
    with pytest.raises(MisuseError, match="provider"):
        init(tmp_path, "H Example", bytes(32))
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_provider_or_key(tmp_path):
    init(tmp_path, PROVIDER, bytes(32))
    other = config.parse(b'provider = "other.example"', tmp_path / "collector.toml")
    with pytest.raises(MisuseError, match=r"expected a store of other\.example"):
        open_ledger(other)


def test_key_files(tmp_path):
    path = tmp_path / "a.key"
    keys.create(path, "o", bytes(32))
    with pytest.raises(MisuseError, match="never overwritten"):
        keys.create(path, "o", bytes(32))
    assert [each.name for each in tmp_path.iterdir()] == ["a.key"]
    path.chmod(0o640)
    with pytest.raises(MisuseError, match="chmod 600"):
        keys.load(path, "o")
    path.chmod(0o600)
    path.write_bytes(b"junk")
    with pytest.raises(MalformedError):
        keys.load(path, "o")
    with pytest.raises(MisuseError, match="cannot read"):
        keys.load(tmp_path / "none", "o")


def test_enrolment(tmp_path):
    desk, gateway = Desk(tmp_path), Gateway()
    assert enroll(desk.store, desk.signer, gateway.vkey, NOW) == 1
    assert enroll(desk.store, desk.signer, gateway.vkey, NOW + 1) == 1
    assert desk.statements() == [Enrolment(NOW, "g1", gateway.origin, gateway.vkey)]
    assert enroll(desk.store, desk.signer, Gateway("g1", f"{PROVIDER}/gateway/g1/2").vkey, NOW) == 2
    assert desk.store.log_of("g1").log == 2
    other = type(gateway.signer)(gateway.origin, bytes(32))
    with pytest.raises(MisuseError, match="another key"):
        enroll(desk.store, desk.signer, str(other.vkey), NOW)
    with pytest.raises(MisuseError, match="Ed25519"):
        enroll(desk.store, desk.signer, str(CosignatureSigner(f"{PROVIDER}/gateway/g3", bytes(32)).vkey), NOW)
    with pytest.raises(MalformedError):
        enroll(desk.store, desk.signer, "junk", NOW)
    assert desk.store.ledger_head().size == 2
    desk.close()


@pytest.mark.parametrize("tail", ["", "g1/1", "g1/02", "g1/x", "g1/", "G1", "g1/2/3", "-g"])
def test_origins_that_are_no_gateways(tail):
    with pytest.raises(MisuseError):
        gateway_of(PROVIDER, f"{PROVIDER}/gateway/{tail}")
    with pytest.raises(MisuseError):
        gateway_of("other", f"{PROVIDER}/gateway/g1")
    assert gateway_of(PROVIDER, f"{PROVIDER}/gateway/g1/2") == "g1"


# -- inbox and worker --------------------------------------------------------------------------------------------------


def test_the_inbox_serves_gateways_in_turn_and_bounds_each():
    inbox = Inbox(time.monotonic)
    took = [inbox.put(Message("loud", "up/entries", b"%d" % n)) for n in range(MAX_MESSAGES + 5)]
    assert (took.count(True), inbox.dropped) == (MAX_MESSAGES, 5)
    assert inbox.put(Message("quiet", "up/entries", b"q"))
    assert not inbox.put(Message("quiet", "up/entries", bytes(5 * 1024 * 1024)))
    batch = inbox.take(0, 0)
    assert [each.gateway for each in batch[:3]] == ["loud", "quiet", "loud"]
    assert len(batch) == SHARE + 1
    while more := inbox.take(0, 0):
        assert len(more) == SHARE
        batch += more
    assert [each.payload for each in batch if each.gateway == "loud"] == [b"%d" % n for n in range(MAX_MESSAGES)]
    assert inbox.waiting() == (0, 0)


def test_the_inbox_waits_for_more_but_not_with_a_large_batch():
    now = [0.0]
    inbox = Inbox(lambda: now[0])
    inbox.put(Message("g", "up/health", b""))
    began = time.monotonic()
    inbox.take(0.05, 1)
    assert time.monotonic() - began >= 0.04
    for n in range(LARGE):
        inbox.put(Message(f"g{n}", "up/health", b""))
    assert len(inbox.take(1000, 1)) == LARGE
    inbox.close()
    assert not inbox.put(Message("g", "up/health", b""))
    assert inbox.take(1000, 1000) == []


class _Stumbling:
    """A step that fails on one gateway, and once for no reason that it can name."""

    def __init__(self):
        self.culprit, self.more, self.aside, self.failed = None, False, set(), False
        self.seen = []

    def set_aside(self, gateway, _now):
        self.aside.add(gateway)

    def process(self, batch, _now):
        self.culprit = None
        for message in batch:
            if message.gateway == "bad" and "bad" not in self.aside:
                self.culprit = "bad"
                raise RuntimeError
            if message.payload == b"disk full" and not self.failed:
                self.failed = True
                raise OSError
        self.seen += [each.payload for each in batch if each.gateway not in self.aside]
        return [each.payload for each in batch if each.gateway not in self.aside]


def test_the_first_step_waits_for_all_that_the_broker_retains(monkeypatch):
    monkeypatch.setattr("collector.service.SETTLE_S", 0.3)
    taken, inbox = [], Inbox(time.monotonic)

    class _Keeps(_Stumbling):
        def process(self, batch, _now_ms):
            taken.append(list(batch))
            return []

    worker = Worker(_Keeps(), inbox, lambda _: None, 0.0)
    inbox.put(Message("first", "up/checkpoint", b""))
    thread = threading.Thread(target=worker.run)
    thread.start()
    for n in range(400):  # more than a batch takes, and of so many gateways that it would not wait
        inbox.put(Message(f"g{n}", "up/ledger", b""))
    wait_for(lambda: taken)
    worker.stop()
    thread.join(5)
    assert len(taken[0]) == 401


def test_the_worker_goes_on_whatever_a_step_does(monkeypatch):
    monkeypatch.setattr("collector.service.IDLE_S", 0.01)
    step, inbox, sent = _Stumbling(), Inbox(time.monotonic), []
    worker = Worker(step, inbox, sent.append, 0.01)
    for gateway, payload in (("good", b"1"), ("bad", b"x"), ("good", b"2")):
        inbox.put(Message(gateway, "up/entries", payload))
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_for(lambda: len(sent) == 2)
    inbox.put(Message("good", "up/entries", b"disk full"))
    wait_for(lambda: step.failed)
    inbox.put(Message("good", "up/entries", b"3"))
    wait_for(lambda: len(sent) == 3)
    worker.stop()
    thread.join(5)
    assert sent == [b"1", b"2", b"3"]
    assert step.aside == {"bad"}


# -- the whole service -------------------------------------------------------------------------------------------------


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def start_broker(port):
    command = [sys.executable, "-m", "collector.broker", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def stop_broker(process):
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.fixture
def broker():
    process, port = start_broker(0)
    yield port
    stop_broker(process)


@pytest.mark.parametrize("line", ["password_file = 'none'", "ca = 'none'", "ca = 'collector.toml'"])
def test_files_of_the_configuration_that_cannot_be_used_are_said_at_the_start(tmp_path, line):
    path = tmp_path / "collector.toml"
    path.write_text(f"provider = 'h'\n[mqtt]\n{line}\n")
    with pytest.raises(MisuseError, match="cannot"):
        Link(config.load(path), Inbox(time.monotonic))


def test_the_link_comes_back_after_the_broker_was_killed():
    process, port = start_broker(0)
    inbox = Inbox(time.monotonic)
    text = f'provider = "h"\n[mqtt]\nport = {port}\n'
    link = Link(config.parse(text.encode(), Path("collector.toml")), inbox)
    link.start()
    wait_for(lambda: link.connected)
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for(lambda: not link.connected)
    link.publish(Publish("g1", "down/entries", b"lost, and nothing waits for it"))
    process, _ = start_broker(port)
    wait_for(lambda: link.connected)
    gateway = Gateway("g1")
    line = _Line(port, gateway)
    line.send(gateway.message("up/health", b"x"))
    line.client.publish("vitaledger/v1/NOT A NAME/up/health", b"x", 1)
    line.client.publish("vitaledger/v1/g1/up/entries", bytes(300_000), 1)
    line.send(gateway.message("up/health", b"y"))
    batch = []
    wait_for(lambda: batch.extend(inbox.take(0, 0)) or len(batch) >= 2)
    assert batch == [Message("g1", "up/health", b"x"), Message("g1", "up/health", b"y")]
    link.publish(Publish("g1", "down/entries", b"answer"))
    wait_for(lambda: line.answers == [("vitaledger/v1/g1/down/entries", b"answer")])
    line.close()
    link.stop()
    assert not link.connected
    stop_broker(process)


class _Line:
    """A gateway's MQTT client that keeps what it is answered."""

    def __init__(self, port, gateway):
        self.answers, self.subscribed = [], threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=gateway.name)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _d, message: self.answers.append((message.topic, message.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(f"vitaledger/v1/{gateway.name}/down/#", 1)
        assert self.subscribed.wait(5)

    def send(self, *batch):
        for message in batch:
            self.client.publish(messages.topic(message.gateway, message.topic), message.payload, 1)

    def receipts(self):
        return [payload for topic, payload in self.answers if topic.endswith("down/receipt")]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_bytes_in_receipts_out(tmp_path, broker, protocol, monkeypatch):
    init(tmp_path, PROVIDER, os.urandom(32))
    text = f'provider = "{PROVIDER}"\n[mqtt]\nport = {broker}\nprotocol = "{protocol}"\n[http]\nport = 0\n'
    loaded = config.parse(text.encode(), tmp_path / "collector.toml")
    gateway = Gateway().add(300)
    store, signer = open_ledger(loaded)
    enroll(store, signer, gateway.vkey, NOW)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    stop, ports, done = threading.Event(), [], []
    thread = threading.Thread(target=lambda: done.append(run(loaded, ready=ports.append, stop=stop)))
    thread.start()
    try:
        wait_for(lambda: ports)
        assert told.recv(100) == b"READY=1"
        assert (tmp_path / "state" / "http-port").read_text() == f"{ports[0]}\n"
        url = f"http://127.0.0.1:{ports[0]}"
        wait_for(lambda: healthy(url))
        line = _Line(broker, gateway)
        line.send(gateway.anchor(), *gateway.runs())
        wait_for(line.receipts)
        wait_for(lambda: store.log_of("g1").stored == 300)
        late = Gateway("g2").add(2)
        enroll(store, signer, late.vkey, NOW)  # while it runs
        second = _Line(broker, late)
        second.send(late.anchor(), *late.runs())
        wait_for(second.receipts)
        receipt = decode(type("P", (), {"topic": "down/receipt", "payload": second.receipts()[-1]}))
        assert isinstance(receipt, Receipt)
        line.close()
        second.close()
    finally:
        stop.set()
        thread.join(20)
        told.close()
        store.close()
    assert done == [0]


def healthy(url):
    try:
        with urlopen(f"{url}/healthz", timeout=2) as response:
            return json.load(response)["ok"]
    except OSError:
        return False


def test_the_service_stops_on_sigterm_and_is_unhealthy_without_a_broker(tmp_path):
    init(tmp_path, PROVIDER, os.urandom(32))
    path = tmp_path / "collector.toml"
    path.write_text(f'provider = "{PROVIDER}"\n[mqtt]\nport = 1\n[http]\nport = 0\n')
    code = (
        "import sys, pathlib; from collector import config, service;"
        "sys.exit(service.run(config.load(pathlib.Path(sys.argv[1]))))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    assert not healthy(url)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    process.stdout.close()
