"""One MQTT connection that speaks for many gateways: it sends what was prepared, as their uplinks would.

An anchor goes out; its answer 200 lets the entries under it go, at most 16 messages under way; a receipt whose custody
covers the anchor ends the round. Times are of the process's monotonic clock.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.fleet import Round
from gateway.flights import WINDOW
from vitaledger import statement
from vitaledger.messages import CHECKPOINT_ANSWER, ENTRIES_ANSWER, OK, RECEIPT, ROOT, parse_topic, topic

_CONNECT_S = 20.0


@dataclass(slots=True)
class _Gateway:
    """Where one gateway stands."""

    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    flying: set[int] = field(default_factory=set)
    due: deque[tuple[float, Round]] = field(default_factory=deque)  # the first is under way


class Sender:
    """Use as a context manager: connected and subscribed inside. All but `begin` happens in paho's thread."""

    def __init__(self, port: int, gateways: Sequence[str]) -> None:
        self._subscribed = threading.Event()
        self._gateways = {name: _Gateway() for name in gateways}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, "bench", clean_session=True, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.max_inflight_messages_set(1024)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._port = port
        self._changed = threading.Condition()  # an RLock: guards `due`, `seconds` and `late`
        self.seconds: list[float] = []  # from when an anchor was due to its receipt, of every round so far
        self.late = 0  # anchors that were due while the round before had no receipt
        self.problem: str | None = None

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe(f"{ROOT}/+/down/#", qos=1)
        if not self._subscribed.wait(_CONNECT_S):
            raise SystemExit("the broker does not answer the subscription")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def begin(self, gateway: str, due: Round) -> None:
        """Send an anchor, due now; where the gateway's round before has no receipt yet, it is late and waits."""
        with self._changed:
            state = self._gateways[gateway]
            state.due.append((time.monotonic(), due))
            if len(state.due) > 1:
                self.late += 1
            else:
                self._anchor(gateway, state)

    def _anchor(self, gateway: str, state: _Gateway) -> None:
        due = state.due[0][1]
        state.waiting = deque(due.messages)
        self._send(gateway, "up/checkpoint", due.request)

    def await_receipts(self, count: int, seconds: float) -> None:
        """Wait until so many rounds are receipted; SystemExit where they are not in that time, or were refused."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.seconds) >= count or self.problem is not None, seconds)
        if self.problem is not None or not done:
            raise SystemExit(self.problem or f"{len(self.seconds)} of {count} receipts within {seconds:.0f} s")

    def _send(self, gateway: str, leaf: str, payload: bytes) -> None:
        self._client.publish(topic(gateway, leaf), payload, qos=1)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            name, leaf = parse_topic(message.topic)
            self._take(name, self._gateways[name], leaf, bytes(message.payload))
        except Exception as error:  # noqa: BLE001  an exception here would end paho's thread in silence
            self._fail(f"{message.topic}: {error!r}")

    def _take(self, name: str, state: _Gateway, leaf: str, payload: bytes) -> None:
        if leaf == "down/receipt":
            self._receipt(name, state, payload)
        elif leaf == "down/checkpoint":
            answer = CHECKPOINT_ANSWER.decode(payload, leaf)
            if answer.status != OK:
                self._fail(f"{name}: anchor answered {answer.status}: {answer.body.decode()}")
            self._fly(name, state)
        elif leaf == "down/entries":
            found = ENTRIES_ANSWER.decode(payload, leaf)
            if found.status != OK:
                self._fail(f"{name}: entries answered {found.status}: {found.detail}")
            if found.id in state.flying:
                state.flying.remove(found.id)
                self._fly(name, state)

    def _fly(self, name: str, state: _Gateway) -> None:
        while state.waiting and len(state.flying) < WINDOW:
            message_id, payload = state.waiting.popleft()
            state.flying.add(message_id)
            self._send(name, "up/entries", payload)

    def _receipt(self, name: str, state: _Gateway, payload: bytes) -> None:
        found = statement.decode(RECEIPT.decode(payload, "down/receipt").statement)
        with self._changed:
            if not state.due or not isinstance(found, statement.Custody) or found.size < state.due[0][1].size:
                return
            began, _ = state.due.popleft()
            self.seconds.append(time.monotonic() - began)
            if state.due:
                self._anchor(name, state)
            self._changed.notify()

    def _fail(self, problem: str) -> None:
        with self._changed:
            self.problem = self.problem or problem
            self._changed.notify()
