"""The return: what happened on the line to the collector after days without one, as a third party at the broker saw it.

`Witness` subscribes to the small messages of a gateway: who is there, anchors, answers and receipts. Times are of its
arrival. `vitaledger.messages` has the topics.
"""

import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from hashlib import sha256
from statistics import median
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.reader import Reader
from vitaledger import messages, proof, statement, witness
from vitaledger.checkpoint import parse_unverified
from vitaledger.entry import parse_leaf

_TOPICS = ("up/status", "up/checkpoint", "down/checkpoint", "down/entries", "down/receipt")


@dataclass(frozen=True, slots=True)
class Live:
    """How late the live entries were, in s from their first byte to the answer that they are stored."""

    entries: int
    median_s: float
    greatest_s: float


@dataclass(slots=True)
class Witness:
    """Everything is seen in paho's thread and read in another one, which may be a message behind.

    Seconds count from the start of the gateway's process, so that what this witness sees late makes them longer.
    """

    gateway: str
    began: float = 0.0  # when the gateway's process was started
    connected: bool = False
    backlog: int = 0  # entries when it connected
    witnessed: list[tuple[float, int]] = field(default_factory=list)  # (when, size)
    stored: list[tuple[float, tuple[messages.Range, ...]]] = field(default_factory=list)  # (wall s, what)
    custody: list[tuple[float, int]] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    _asked: dict[bytes, int] = field(default_factory=dict)

    def watch(self, port: int) -> paho.Client:
        """Connect; whoever calls it disconnects the client at the end."""
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        client.on_connect = lambda client, *_: client.subscribe([(messages.topic(self.gateway, t), 1) for t in _TOPICS])
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._take
        client.connect("127.0.0.1", port)
        client.loop_start()
        if not self.ready.wait(10):
            raise SystemExit("the broker does not grant the subscription of the bench")
        return client

    def _take(self, _client: paho.Client, _data: object, message: Any) -> None:
        now, leaf, payload = time.monotonic(), messages.parse_topic(message.topic)[1], message.payload
        if leaf == "up/status":
            said = messages.STATUS.decode(payload, leaf)
            if said.online and not self.connected:
                self.connected, self.backlog = True, said.size
        elif leaf == "up/checkpoint":
            head = parse_unverified(witness.parse_request(payload).checkpoint)[0]
            self._asked[sha256(payload).digest()] = head.size
        elif leaf == "down/checkpoint":
            answer = messages.CHECKPOINT_ANSWER.decode(payload, leaf)
            size = self._asked.pop(answer.request, None)
            if size is not None and answer.status == messages.OK:
                self.witnessed.append((now, size))
        elif leaf == "down/entries":
            self.stored.append((time.time(), messages.ENTRIES_ANSWER.decode(payload, leaf).stored))
        else:
            receipt = messages.RECEIPT.decode(payload, leaf)
            said_custody = statement.decode(receipt.statement)
            proof.parse(receipt.proof)
            if isinstance(said_custody, statement.Custody):
                self.custody.append((now, said_custody.size))

    # What became of it

    @property
    def newest(self) -> int:
        """The end of what is stored."""
        return max((stored[-1].end for _, stored in self.stored if stored), default=0)

    @property
    def drained(self) -> bool:
        """Whether everything that was there at the connection has a receipt."""
        return bool(self.connected and self.custody and self.custody[-1][1] >= self.backlog)

    def anchored_s(self) -> float:
        """Until the answer that a head of no less than everything sealed before the connection is witnessed."""
        return next(at for at, size in self.witnessed if size >= self.backlog) - self.began

    def drain_s(self) -> float:
        """Until the receipt for everything that was there at the connection."""
        return next(at for at, size in self.custody if size >= self.backlog) - self.began

    def live_first(self) -> bool:
        """Whether the newest entries were stored first: in the first answer that had any, beyond a hole."""
        first = next(stored for _, stored in self.stored if stored)
        return first[-1].first >= (self.backlog - 1) // messages.TILE * messages.TILE > 0

    def live(self, log: Reader) -> Live:
        """How late entries made after the connection were, from then until nobody looked any more."""
        end, ages = self.backlog, list[float]()
        for wall_s, stored in self.stored:
            newest = stored[-1].end if stored else 0
            if newest <= end:
                continue
            ages += [wall_s - parse_leaf(leaf).clock.wall_ms / 1000 for leaf in log.leaves(end, newest)]
            end = newest
        return Live(len(ages), median(ages) if ages else 0.0, max(ages, default=0.0))


@dataclass(slots=True)
class Memory:
    """Resident MB of a process over time, and what it was at a moment."""

    seen: list[tuple[float, float]] = field(default_factory=list)

    def note(self, now: float, megabytes: float) -> None:
        self.seen.append((now, megabytes))

    def at(self, now: float) -> float:
        """As it was noted last before a moment."""
        return self.seen[max(0, bisect_right(self.seen, (now, float("inf"))) - 1)][1]

    @property
    def peak(self) -> float:
        return max(megabytes for _, megabytes in self.seen)
