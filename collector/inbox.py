"""What came in and was not yet worked on: a bounded queue for each gateway, emptied in turn.

A gateway that sends more than its bound loses messages without an answer, and sends them again. However much it sends,
it gets no more than its share of a step, and does not hurry one: a gateway beside it that keeps its window full waits
at most twice as long as it would alone. The inbox is filled by the network's thread and emptied by the worker's.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_MESSAGES = 64  # of one gateway; it has at most 16 entries messages and one checkpoint under way
MAX_BYTES = 4 * 1024 * 1024  # of one gateway
MAX_GATEWAYS = 4096
MAX_BATCH = 256
# A step works on so much for a second, and nobody has an answer before it ends.
MAX_BATCH_BYTES = 2 * 1024 * 1024
LARGE = 64  # a batch of so many messages does not wait for the step's time
SHARE = 16  # messages of one gateway in a batch: what a gateway has in flight


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came: from which gateway, on which of messages.UP, the payload."""

    gateway: str
    topic: str
    payload: bytes


@dataclass(slots=True)
class _Queue:
    messages: deque[Message] = field(default_factory=deque)
    bytes: int = 0


class Inbox:
    """`monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._queues: dict[str, _Queue] = {}  # in the order in which they are served; guarded by _changed
        self._count = 0
        self._fair = 0  # what counts towards a large batch: of each gateway no more than its share
        self._closed = False
        self.dropped = 0
        self.received = self.received_bytes = 0

    def waiting(self) -> tuple[int, int]:
        """(messages, bytes) that wait."""
        with self._changed:
            return self._count, sum(queue.bytes for queue in self._queues.values())

    def put(self, message: Message) -> bool:
        """Take a message; False where its gateway has too many waiting: it is dropped, and counted."""
        with self._changed:
            self.received += 1
            self.received_bytes += len(message.payload)
            queue = self._queues.get(message.gateway)
            if queue is None:
                queue = _Queue()
                full = len(self._queues) >= MAX_GATEWAYS
            else:
                full = len(queue.messages) >= MAX_MESSAGES or queue.bytes + len(message.payload) > MAX_BYTES
            if full or self._closed:
                self.dropped += 1
                return False
            self._queues[message.gateway] = queue
            queue.messages.append(message)
            queue.bytes += len(message.payload)
            self._count += 1
            self._fair += len(queue.messages) <= SHARE
            self._changed.notify()
            return True

    def close(self) -> None:
        """Take nothing more, and wake whoever waits in `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, not_before: float, timeout: float) -> list[Message]:
        """The next batch, one message of each gateway in turn; empty after `timeout` seconds without any.

        Waits until `not_before` (of the monotonic clock) so that one step serves many; a large batch does not wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._count or self._closed, timeout)
            self._changed.wait_for(
                lambda: self._fair >= LARGE or self._closed or not self._count, max(not_before - self._monotonic(), 0)
            )
            return self._batch()

    def _batch(self) -> list[Message]:
        batch: list[Message] = []
        size = 0
        taken: Counter[str] = Counter()
        full: dict[str, _Queue] = {}  # those that had their share
        while self._queues and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            gateway = next(iter(self._queues))
            queue = self._queues.pop(gateway)
            self._fair -= len(queue.messages) <= SHARE
            message = queue.messages.popleft()
            queue.bytes -= len(message.payload)
            taken[gateway] += 1
            if queue.messages:  # behind the others
                (full if taken[gateway] >= SHARE else self._queues)[gateway] = queue
            batch.append(message)
            size += len(message.payload)
        self._queues |= full
        self._count -= len(batch)
        return batch
