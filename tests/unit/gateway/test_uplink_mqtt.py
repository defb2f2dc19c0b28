"""The thin shell around the uplink, on the embedded broker."""

import socket
import subprocess
import sys
import threading
import time
from random import Random

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.config import MqttConfig
from gateway.ledgers import Ledgers
from gateway.mqtt import Link
from gateway.sealing import Sealer
from gateway.uplink import Uplink
from tests.unit.gateway.makers import KEY, LEDGER_KEY, ORIGIN, drafts
from tests.unit.gateway.model_collector import MemoryLog, ModelCollector
from vitaledger.messages import ROOT, STATUS, Health, Status, topic


@pytest.fixture(scope="module")
def port():
    script = (
        "import asyncio, sys\n"
        "from amqtt.broker import Broker\n"
        "async def main():\n"
        "    broker = Broker({'listeners': {'default': {'type': 'tcp', 'bind': '127.0.0.1:' + sys.argv[1]}},"
        " 'plugins': {'amqtt.plugins.authentication.AnonymousAuthPlugin': {'allow_anonymous': True}}})\n"
        "    await broker.start()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    broker = subprocess.Popen([sys.executable, "-c", script, str(number)], stdout=subprocess.PIPE, text=True)
    try:
        assert broker.stdout.readline() == "ready\n"
        yield number
    finally:
        broker.kill()
        broker.wait()


@pytest.fixture
def collector(port):
    """A model collector on the broker; `online` holds what up/status said."""
    model, online, lock = ModelCollector(), [], threading.Lock()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)

    def on_message(_client, _data, message):
        leaf = message.topic.removeprefix(f"{ROOT}/g1/")
        with lock:
            if leaf == "up/status" and message.payload:
                online.append(STATUS.decode(message.payload, "status").online)
            for out, payload in model.take(leaf, message.payload):
                client.publish(topic("g1", out), payload, 1)

    subscribed = threading.Event()
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(f"{ROOT}/+/up/#", 1)
    assert subscribed.wait(5)
    model.online = online
    yield model
    client.disconnect()
    client.loop_stop()


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def link_of(port, log, saved, alarms, **more):
    uplink = Uplink(ORIGIN, KEY, Ledgers.pinned(LEDGER_KEY), log, anchor_s=0.2)
    return Link(
        MqttConfig(port=port, **more),
        "g1",
        uplink,
        save=saved.append,
        alarm=alarms.append,
        status=lambda: Status(1, bytes(16), bytes(16), "1", len(log.rows), 0),
        health=lambda progress: Health(progress.custody, None, 0, 0, None),
        prepare=lambda fork: pytest.fail(f"forked: {fork}"),
        succeeded=lambda note: pytest.fail(f"succeeded: {note}"),
        save_ledgers=lambda found: pytest.fail(f"ledgers: {found}"),
    )


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_entries_go_up_and_receipts_come_down(port, collector, protocol):
    sealer = Sealer(ORIGIN, {}, {}, None, Random(5).randbytes)
    rows = [(sealed.leaf, sealed.body) for sealed in map(sealer.seal, drafts(400))]
    log, saved, alarms = MemoryLog(), [], []
    log.grow(rows[:100])
    link = link_of(port, log, saved, alarms, protocol=protocol)
    link.start()
    try:
        wait(lambda: saved and saved[-1].size == 100)
        assert link.connected
        log.grow(rows[100:])
        link.notify_sealed()
        wait(lambda: saved[-1].size == 400)
        wait(lambda: link.progress.custody == 400)
        assert time.monotonic() - link.last_progress < 2
        assert alarms == []
        assert len(collector.stored) == 400
    finally:
        link.stop()
    assert not link.connected
    wait(lambda: collector.online and collector.online[-1] == 0)
    assert 1 in collector.online


def test_no_broker_is_said_once_and_tried_again():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()[1]
        alarms = []
        link = link_of(nobody, MemoryLog(), [], alarms)
        tries = []
        serve = link._serve
        link._serve = lambda: (tries.append(1), serve())[1]
        link.start()
        wait(lambda: len(tries) > 2)
        link.stop()
    assert len(alarms) == 1
    assert "refused" in alarms[0]


def test_a_failing_save_does_not_end_the_thread(port, collector):
    sealer = Sealer(ORIGIN, {}, {}, None, Random(5).randbytes)
    log, tried, alarms = MemoryLog(), [], []
    log.grow([(sealed.leaf, sealed.body) for sealed in map(sealer.seal, drafts(50))])

    def save(receipt):
        tried.append(receipt)
        if len(tried) == 1:
            raise OSError("disk full")

    link = link_of(port, log, [], alarms, protocol="3.1.1")
    link._save = save
    link.start()
    try:
        wait(lambda: len(tried) > 1)
        assert any("disk full" in text for text in alarms)
        assert collector.stored
    finally:
        link.stop()
