"""A flood from one gateway over a real broker, and how long a quiet gateway beside it waits for its receipts.

`python -m tests.e2e.flood_bench --broker mosquitto`. The quiet gateway anchors and sends an entry, and waits for the
receipt that covers it: so many times alone, and as often while the other one sends entries as fast as the broker takes
them. Both are models that speak MQTT; broker and collector are real processes.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.e2e.ward import Ward
from tests.unit.collector.model_gateway import Gateway
from vitaledger import messages, statement
from vitaledger.cli.stage import COLLECTOR

ROOT = "vitaledger/v1"
RECEIPT_S = 120.0
UNDER_WAY = 64  # messages that the flood sends before it waits for the broker: four times an honest gateway's window


class Ends(Ward):
    """A broker and a collector; who sends is ours."""

    def begin(self, *gateways: Gateway) -> int:
        """Start both with these gateways enrolled; answers the broker's port."""
        port = self.start_broker()
        self.run("vitaledger-collector", "init", str(self.folder / "collector"), "--provider", "h.example")
        self.collector_config.write_text(COLLECTOR.format(provider="h.example", port=port))
        for gateway in gateways:
            self.collector("enroll", gateway.vkey)
        self.start_collector()
        return port


class Wire:
    """A gateway's connection. `heard` is told the payload of each receipt."""

    def __init__(self, gateway: Gateway, port: int, heard: Callable[[bytes], object]) -> None:
        self.gateway = gateway
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=gateway.name)
        self._client.on_message = lambda _client, _data, message: self._on_message(message, heard)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"{ROOT}/{gateway.name}/down/#", 1)
        self._client.loop_start()

    @staticmethod
    def _on_message(message: MQTTMessage, heard: Callable[[bytes], object]) -> None:
        if message.topic.endswith("/down/receipt"):
            heard(message.payload)

    def send(self, message: Any, *, wait: bool = True) -> bool:
        """Publish; waits until the broker has it where asked to. False where the connection takes no more."""
        told = self._client.publish(f"{ROOT}/{message.gateway}/{message.topic}", message.payload, 1)
        if told.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        if wait:
            told.wait_for_publish(RECEIPT_S)
        return True

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()


class Quiet:
    """A gateway that sends one entry at a time."""

    def __init__(self, port: int, gateway: Gateway) -> None:
        self._custody, self._changed = 0, threading.Condition()
        self._wire = Wire(gateway, port, self._heard)

    def _heard(self, payload: bytes) -> None:
        told = statement.decode(messages.RECEIPT.decode(payload, "down/receipt").statement)
        with self._changed:
            self._custody = max(self._custody, getattr(told, "size", 0))
            self._changed.notify_all()

    def round(self, *, again_s: float = RECEIPT_S) -> float:
        """Seconds from the first byte sent to the receipt; after `again_s` all is sent again."""
        gateway = self._wire.gateway
        gateway.add(1)
        began = time.monotonic()
        while time.monotonic() - began < RECEIPT_S:
            self._wire.send(gateway.anchor(old=self._custody), wait=False)
            for message in gateway.runs(self._custody):
                self._wire.send(message, wait=False)
            with self._changed:
                if self._changed.wait_for(lambda: self._custody >= gateway.size, again_s):
                    return time.monotonic() - began
        raise AssertionError(f"no receipt within {RECEIPT_S:.0f} s")

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


class Flood:
    """A gateway that sends the same entries again and again while the block runs."""

    def __init__(self, port: int, gateway: Gateway) -> None:
        self.sent = 0
        self._wire = Wire(gateway.add(64), port, lambda _payload: None)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        gateway = self._wire.gateway
        self._wire.send(gateway.anchor())
        again = list(gateway.runs(most=1))
        while not self._over.is_set():
            self.sent += 1
            # now and then it waits until the broker has what was sent: it is the broker that sets the pace
            self._wire.send(again[self.sent % len(again)], wait=self.sent % UNDER_WAY == 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._wire.close()


def measure(folder: Path, broker: str, rounds: int) -> tuple[list[float], list[float], float]:
    """Seconds to each receipt alone and beside a flood, and how many messages a second the flood sent."""
    quiet, loud = Gateway("quiet"), Gateway("loud")
    ends = Ends(folder, broker)
    try:
        port = ends.begin(quiet, loud)
        mine = Quiet(port, quiet)
        mine.round(again_s=1.0)  # until the collector listens
        alone = [mine.round() for _ in range(rounds)]
        with Flood(port, loud) as flood:
            ends.await_condition("the flood", 20, lambda: flood.sent > 200)
            began, before = time.monotonic(), flood.sent
            beside = [mine.round() for _ in range(rounds)]
            rate = (flood.sent - before) / (time.monotonic() - began)
        mine.close()
    finally:
        ends.stop_all()
    return sorted(alone), sorted(beside), rate


def main() -> int:
    """Run from the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--broker", choices=("amqtt", "mosquitto"), default="mosquitto")
    options.add_argument("--rounds", type=int, default=60)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="vitaledger-flood-") as folder:
        alone, beside, rate = measure(Path(folder) / "ward", chosen.broker, chosen.rounds)
    for name, times in (("alone", alone), ("beside a flood", beside)):
        print(f"{name:<15} receipt after p50 {_part(times, 50):.3f} s, p99 {_part(times, 99):.3f} s")
    ratio = _part(beside, 50) / _part(alone, 50)
    print(f"{chosen.broker}: the flood sent {rate:,.0f} messages a second; p50 is {ratio:.2f} times that alone")
    return 0 if ratio <= 2 else 1


def _part(times: list[float], percent: int) -> float:
    return times[(len(times) - 1) * percent // 100]


if __name__ == "__main__":
    sys.exit(main())
