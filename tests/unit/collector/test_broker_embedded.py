"""The embedded broker in a process of its own."""

import signal
import socket
import subprocess
import sys
import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from vitaledger.messages import MAX_MESSAGE


@pytest.fixture
def process():
    made = subprocess.Popen(
        [sys.executable, "-m", "collector.broker", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield made
    if made.poll() is None:
        made.kill()
        made.wait()
    made.stdout.close()
    made.stderr.close()


def test_messages_of_full_size_go_round_and_sigterm_stops_it_quietly(process):
    port = int(process.stdout.readline())
    client, came, there = paho.Client(CallbackAPIVersion.VERSION2), [], threading.Event()
    got = threading.Event()
    client.on_subscribe = lambda *_: there.set()

    def keep(_client, _data, message):
        came.append(message.payload)
        got.set()

    client.on_message = keep
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("vitaledger/v1/+/up/#", 1)
    assert there.wait(10)
    payload = bytes(range(256)) * (MAX_MESSAGE // 256)
    client.publish("vitaledger/v1/g1/up/entries", payload, 1)
    assert got.wait(10)
    client.disconnect()
    client.loop_stop()
    assert came == [payload]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_said(process):
    port = int(process.stdout.readline())
    second = subprocess.run(
        [sys.executable, "-m", "collector.broker", "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 2
    assert "cannot listen" in second.stderr
    with socket.create_connection(("127.0.0.1", port), 5):
        pass
