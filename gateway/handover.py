"""From the discovery of a fork to the successor: which message goes to the collector, and what its answer means.

No I/O and no clock, as in `gateway.uplink`, which hands over to this once its log has forked.

    input                      | rule
    note offered               | it goes up, behind the head of ours that contradicts the collector's, if there is one
    no answer in 10 s          | both go again, for ever; and at once when the line stands again
    answer 200                 | the collector has taken it, durably: go on as the successor
    answer 202                 | it is a second succession of this origin and waits for a person there: alarm, ask again
    answer 409                 | another log has the new origin: a successor with a higher number is prepared
    answer 403, any other      | alarm, ask again: whoever refused it may think better of it
    answer to another note     | stale: ignored

Until the answer is 200 the gateway goes on sealing into the log that has forked, and publishes none of it: what was
sealed is carried over into the successor, verbatim, from the newest custody receipt on.
"""

from dataclasses import dataclass
from hashlib import sha256

from gateway.actions import Action, Alarm, Fork, Publish, Succeeded
from vitaledger.messages import CONFLICT, OK, WAITING, SuccessionAnswer

REPEAT_S = 10.0


@dataclass(slots=True)
class Handover:
    """One for each fork. `last` is the collector's checkpoint that our log does not contain."""

    last: bytes
    origin: str
    note: bytes | None = None
    _request: bytes | None = None
    _due: float = 0.0
    _online: bool = True
    _said: str = ""
    _least: int = 0

    def connected(self, now: float) -> list[Action]:
        """The line stands."""
        self._online, self._due = True, now
        return self.send(now) if self.note is not None else [Fork(self.last, self._least)]

    def disconnected(self) -> None:
        """The line is lost."""
        self._online = False

    def offer(self, note: bytes, request: bytes | None, now: float) -> list[Action]:
        """The successor is prepared and this is its note."""
        self.note, self._request, self._due = note, request, now
        return self.send(now)

    def send(self, now: float) -> list[Action]:
        """What is due now."""
        if self.note is None or not self._online or now < self._due:
            return []
        self._due = now + REPEAT_S
        shown: list[Action] = [] if self._request is None else [Publish("up/checkpoint", self._request)]
        return [*shown, Publish("up/succession", self.note)]

    def answered(self, answer: SuccessionAnswer, now: float) -> list[Action]:
        """The collector's answer."""
        if self.note is None or answer.note != sha256(self.note).digest():
            return []
        self._request = None  # it came before the note
        self._due = now + REPEAT_S
        note = self.note
        if answer.status == OK:
            self._due = float("inf")
            return [Succeeded(note)]
        if answer.status == CONFLICT:
            self.note, self._least = None, answer.free
            return [Fork(self.last, answer.free)]
        if answer.status == WAITING:
            return self._tell("its succession is not the first of this origin and waits for the collector's operator")
        return self._tell(f"the collector refuses its succession with {answer.status}: {answer.detail[:200]}")

    def _tell(self, text: str) -> list[Action]:
        if text == self._said:
            return []
        self._said = text
        return [Alarm(f"{self.origin} has forked: {text}. It goes on sealing and sends nothing.")]
