"""The uplink: which message goes to the collector next, and what its answers mean. No I/O, no clock, no threads.

Inputs are calls, each with `now` (monotonic seconds); outputs are lists of actions for whoever owns the line.

    state    | entered when                                  | what may be sent
    OFFLINE  | at the start, and when the line is lost       | nothing; what was in flight counts as not sent
    ASKING   | the line is there                             | the newest checkpoint, to learn the collector's last one
    SENDING  | an answer names a checkpoint that our log has | anchors and entries
    FORKED   | an answer names one that bears our signature  | the succession note (gateway.handover), until the
             | and that our log does not contain             | collector takes it; no checkpoint and no entry

    input                      | rule
    answer 200 to a checkpoint | its size is witnessed
    answer 409                 | the checkpoint in it is verified with our own key, and our log must contain it; its
                               | size (0 if there is none) is witnessed, and a new anchor goes out at once
    answer 404, 403            | not enrolled, or another key: alarm, asked again after 10 s; of a successor, the notes
                               | that lead to it go up
    answer 400, 422            | alarm, asked again after 10 s
    answer to another request  | stale: ignored
    no answer in 10 s          | not sent: the newest checkpoint goes again (while ASKING after 1, 2, 4, 8, then 10 s);
                               | of entries, everything in flight goes again
    entries answer             | says what is stored; 200 ends its message; any other status sends everything in flight
                               | again, at once the first time, then after a pause that doubles from 0.5 s to 10 s
    entries answer, unknown id | ignored as stale, but for the report that follows a 200 or 409 (and id 0)
    receipt                    | verified (gateway.receipts), then saved; else alarm, and it is forgotten
    receipt of an older head   | the ledger's newest head is shown, at most every 10 s; and before each answer to a 409:
                               | a collector that was restored from an old copy sees that, and signs no more
    notes of the ledger        | the one that the newest believed ledger's key signed is kept; nothing is in custody
                               | until the ledger that goes on says so: what the collector lost goes up again
    succession answer          | only when FORKED, see gateway.handover

    output                     | rule
    anchors                    | one in flight; the newest, every `anchor_s`, where the log grew or a receipt is due
    entries                    | at most 16 messages in flight (fewer after a loss), live entries first, then the
                               | backlog from the front; only entries in [custody, witnessed) not known to be stored
    one message                | entries of one tile, at most 64 KiB; begins at a tile boundary or at the end of a
                               | stored range; with the subtree consistency proof to the newest witnessed checkpoint

Live entries go on from the last stored range; where that lies more than two tiles back, they begin at the
newest tile, and the hole is backlog. A body that does not match its leaf goes without the parts that do not match, and
raises an alarm: the log behind it must not wait for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from gateway.actions import Action, Alarm, Fork, Publish, SaveLedgers, SaveReceipt, ShowLedger, Succeeded
from gateway.flights import ANSWER_S, Flights, Heard
from gateway.handover import Handover
from gateway.ledgers import Ledgers
from gateway.outbox import LogView
from gateway.receipts import VerifiedReceipt, verify_receipt
from gateway.runs import first_gap, total
from vitaledger import messages, succession, witness
from vitaledger.checkpoint import Checkpoint, open_checkpoint, parse_unverified
from vitaledger.errors import ForkError, MalformedError, VerificationError, VitaledgerError
from vitaledger.events import LedgerHead
from vitaledger.keys import Verifier
from vitaledger.messages import (
    CHECKPOINT_ANSWER,
    CONFLICT,
    ENTRIES_ANSWER,
    FORBIDDEN,
    LEDGER_NOTES,
    LEDGER_SHOWN,
    OK,
    RECEIPT,
    SUCCESSION_ANSWER,
    UNKNOWN,
)
from vitaledger.text import parse_decimal

__all__ = [
    "ANSWER_S",
    "RETRY_S",
    "Action",
    "Alarm",
    "Fork",
    "Progress",
    "Publish",
    "SaveLedgers",
    "SaveReceipt",
    "ShowLedger",
    "State",
    "Succeeded",
    "Uplink",
]

RETRY_S = 10.0


class State(Enum):
    """Where the uplink stands; see the table above."""

    OFFLINE = "offline"
    ASKING = "asking"
    SENDING = "sending"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far things are; `problem` is what stands in the way, in words."""

    state: State
    witnessed: int | None
    custody: int
    stored: int
    in_flight: int
    problem: str | None


@dataclass(slots=True)
class _Anchor:
    digest: bytes
    size: int
    sent: float


@dataclass(slots=True)
class Uplink:
    """The state machine. Create one for each start of the program.

    custody, ledger: size of the newest receipt that is stored, and the ledger's head in it. first_id: any number;
    different at each start, so that answers to an earlier run are not taken for answers to this one. notes: of a
    successor, those that lead from the first log to it; a collector that was restored may have forgotten them.
    ledger_note: the newest signed checkpoint of a believed ledger, also where custody under the newest is still 0.
    """

    origin: str
    own_key: Verifier
    ledgers: Ledgers
    log: LogView
    custody: int = 0
    ledger: LedgerHead | None = None
    anchor_s: float = 10.0
    first_id: int = 1
    notes: Sequence[bytes] = ()
    ledger_note: bytes | None = None
    state: State = State.OFFLINE
    witnessed: int | None = None
    _anchor: _Anchor | None = None
    _next_anchor: float = 0.0
    _unanswered: int = 0
    _flights: Flights = field(init=False)
    _problems: dict[str, str] = field(default_factory=dict)
    _show_at: float = 0.0
    _handover: Handover | None = None  # where FORKED

    def __post_init__(self) -> None:
        self._flights = Flights(self.origin, self.log, max(1, self.first_id))
        self.custody = max(0, self.custody)

    # -- inputs ------------------------------------------------------------------------------------------------------

    def connected(self, now: float) -> list[Action]:
        """The line to the broker stands and the answers' topics are subscribed."""
        if self._handover is not None:
            return self._handover.connected(now)
        self._forget_flights()
        self.state = State.ASKING
        self._next_anchor = now
        return self._send(now)

    def disconnected(self, now: float) -> list[Action]:  # noqa: ARG002  every input bears the time
        """The line is lost: nothing that was in flight counts."""
        if self._handover is not None:
            self._handover.disconnected()
        else:
            self.state = State.OFFLINE
        self._forget_flights()
        return []

    def sealed(self, now: float) -> list[Action]:
        """The log has grown."""
        return self._send(now)

    def succeed(self, note: bytes, request: bytes | None, now: float) -> list[Action]:
        """The answer to a `Fork`: the successor's note; and an add-checkpoint request that shows the contradiction."""
        return [] if self._handover is None else self._handover.offer(note, request, now)

    def tick(self, now: float) -> list[Action]:
        """Time went on; call it about once a second."""
        if self._handover is not None:
            return self._handover.send(now)
        actions: list[Action] = []
        asking = self.state is State.ASKING
        # Nobody may have listened yet: the question is repeated sooner at first, it changes nothing.
        patience = min(ANSWER_S, 2.0**self._unanswered) if asking else ANSWER_S
        if self._anchor and now - self._anchor.sent >= patience:
            self._anchor = None
            self._next_anchor = now
            self._unanswered += 1
            if self._unanswered >= (5 if asking else 2):
                actions = self._problem(
                    "silence",
                    "the broker takes the checkpoints and the collector does not answer: it is not running, or the "
                    "broker lets this identity not publish or subscribe (a denied publish looks like a success)",
                )
        self._flights.tick(now)
        return actions + self._send(now)

    def received(self, leaf: str, payload: bytes, now: float) -> list[Action]:
        """A message of the collector came. Nothing that it can say raises."""
        if self.state is State.OFFLINE and leaf != "down/receipt":
            return []
        if self._handover is not None and leaf not in {"down/receipt", "down/succession", "down/ledger"}:
            return []
        try:
            if leaf == "down/checkpoint":
                done = self._checkpoint_answer(CHECKPOINT_ANSWER.decode(payload, leaf), now)
            elif leaf == "down/entries":
                done = self._entries_answer(ENTRIES_ANSWER.decode(payload, leaf), now)
            elif leaf == "down/receipt":
                done = self._receipt(RECEIPT.decode(payload, leaf), now)
            elif leaf == "down/ledger":
                done = self._ledger_notes(LEDGER_NOTES.decode(payload, leaf), now)
            elif leaf == "down/succession" and self._handover is not None:
                done = self._handover.answered(SUCCESSION_ANSWER.decode(payload, leaf), now)
            else:
                return []
        except MalformedError as error:
            return self._problem(leaf, f"the collector's answer cannot be read: {error}")
        return done + self._send(now)

    def progress(self) -> Progress:
        """Where things stand, for status and health."""
        problem = next(iter(self._problems.values()), None)
        return Progress(
            self.state, self.witnessed, self.custody, total(self._flights.stored or ()), len(self._flights), problem
        )

    # -- answers -----------------------------------------------------------------------------------------------------

    def _checkpoint_answer(self, answer: messages.CheckpointAnswer, now: float) -> list[Action]:
        if self._anchor is None or answer.request != self._anchor.digest:
            return []
        size, self._anchor, self._unanswered = self._anchor.size, None, 0
        self._problems.pop("silence", None)
        if answer.status == OK:
            return self._witness(size, now)
        if answer.status == CONFLICT:
            return self._conflict(answer, now)
        self._next_anchor = now + RETRY_S
        if answer.status == UNKNOWN:
            why = f"the collector does not know {self.origin}: enrol this gateway's vkey there"
        elif answer.status == FORBIDDEN:
            why = f"the collector does not trust this gateway's key for {self.origin}: enrol the vkey of this key"
        else:
            detail = answer.body.decode("utf-8", "replace").strip()[:200]
            why = f"the collector refuses the checkpoint of {size} entries with {answer.status}: {detail}"
        fork = self._check_last(answer.last) if answer.last else []
        known = [Publish("up/succession", note) for note in self.notes] if answer.status == UNKNOWN else []
        return fork or [*known, *self._problem("checkpoint", why)]

    def _conflict(self, answer: messages.CheckpointAnswer, now: float) -> list[Action]:
        self._next_anchor = now + RETRY_S
        if answer.last is None:
            try:
                size = parse_decimal(answer.body.decode("ascii", "replace").removesuffix("\n"), "409 body")
            except MalformedError:
                size = -1
            if size != 0:
                return self._problem("checkpoint", "the collector answers 409 without its last checkpoint")
            self._next_anchor = now
            return [ShowLedger(), *self._witness(0, now)]
        if trouble := self._check_last(answer.last):
            return trouble
        self._next_anchor = now
        return [ShowLedger(), *self._witness(parse_unverified(answer.last)[0].size, now)]

    def _check_last(self, last: bytes) -> list[Action]:
        """Hold the collector's last checkpoint of this log against the log; nothing where all is well."""
        try:
            head = open_checkpoint(last, [self.own_key]).checkpoint
        except VitaledgerError as error:
            return self._problem("checkpoint", f"the collector names a checkpoint that this key did not sign: {error}")
        if head.origin != self.origin:
            return self._problem("checkpoint", f"the collector names a checkpoint of {head.origin}")
        own = self._head()
        if self.log.root_at(head.size) == head.root:
            return []
        self.state = State.FORKED
        self._forget_flights()
        self._handover = Handover(last, self.origin)
        alarm = self._problem(
            "fork",
            f"{self.origin} has forked: the collector's last checkpoint is of {head.size} entries and bears this "
            f"gateway's signature, this log of {own.size if own else 0} entries does not contain it. This store was "
            "restored or copied. It sends nothing more under this origin and begins the next one.",
        )
        return [*alarm, Fork(last, 0)]

    def _witness(self, size: int, now: float) -> list[Action]:
        behind = size < self.custody
        self.witnessed = size
        self.state = State.SENDING
        self._flights.await_report(now)
        self._problems.pop("checkpoint", None)
        self._problems.pop("down/checkpoint", None)
        if behind:
            return self._problem(
                "behind", f"the collector has seen {size} entries, and had given a receipt for {self.custody}"
            )
        self._problems.pop("behind", None)
        return []

    def _entries_answer(self, answer: messages.EntriesAnswer, now: float) -> list[Action]:
        if answer.origin != self.origin:
            return []
        heard, first = self._flights.answered(answer, now)
        if heard in {Heard.STALE, Heard.AGAIN}:
            return []
        if heard is Heard.REFUSED:
            why = f"the collector refuses entries from {first} on with {answer.status}: {answer.detail[:200]}"
            return self._problem("entries", why)
        if heard is Heard.TAKEN:
            self._problems.pop("entries", None)
        return self._check_stored()

    def _check_stored(self) -> list[Action]:
        if first_gap(self._flights.stored or [], 0) < self.custody:
            return self._problem(
                "lost", f"the collector has lost entries for which it had given a receipt ({self.custody})"
            )
        self._problems.pop("lost", None)
        return []

    def _receipt(self, message: messages.Receipt, now: float) -> list[Action]:
        newest = self.ledgers.newest
        try:
            receipt = verify_receipt(message.statement, message.proof, self.origin, newest, self.log.root_at)
        except ForkError as error:
            return self._problem("receipt", f"{error}; it is not stored")
        except (VerificationError, MalformedError) as error:
            return [*self._problem("receipt", f"a wrong receipt came and is not stored: {error}"), *self._show(now)]
        shown = self._show(now) if self.ledger is not None and receipt.ledger.size < self.ledger.size else []
        if wrong := self._wrong_ledger(receipt):
            return [*self._problem("receipt", wrong), *(shown or self._show(now))]
        self._problems.pop("receipt", None)
        self._problems.pop("down/receipt", None)
        if self.ledger is None or receipt.ledger.size > self.ledger.size:
            self.ledger, self.ledger_note = receipt.ledger, receipt.ledger_note
        if receipt.size <= self.custody:
            return shown
        before, self.custody = self.custody, receipt.size
        self._flights.receipted(receipt.size)
        return [*shown, SaveReceipt(receipt, before)]

    def shown(self) -> bytes:
        """What up/ledger says: the newest head of the provider ledger that is known here, and what led to it."""
        return LEDGER_SHOWN.encode(messages.LedgerShown(self.ledgers.notes[-messages.MAX_LEDGERS :], self.ledger_note))

    def _show(self, now: float) -> list[Action]:
        if now < self._show_at:
            return []
        self._show_at = now + RETRY_S
        return [ShowLedger()]

    def _ledger_notes(self, notes: Sequence[bytes], now: float) -> list[Action]:
        """The collector names the ledger that goes on. What it had custody of, it has to state anew."""
        before, custody, old = self.ledgers, self.custody, self.ledger
        try:
            self.ledgers = before.follow(notes)
        except VitaledgerError as error:
            return self._problem("ledger", f"the collector names another ledger: {error}")
        if self.ledgers is before:
            return []
        self.custody, self.ledger = 0, None
        self._problems.pop("receipt", None)
        if self._handover is None:  # what was in flight went to the ledger that ended
            self._forget_flights()
            self.state, self._next_anchor = State.ASKING, now
        left = succession.parse_unverified(self.ledgers.notes[len(before.notes)]).size
        had = "" if old is None else f"had {old.size} statements when it was seen last and "
        text = (
            f"the provider ledger {before.newest.name} {had}was restored from an old copy of {left}; it goes on as "
            f"{self.ledgers.newest.name}, and what it had custody of goes up again"
        )
        return [SaveLedgers(self.ledgers, before, custody), *self._problem("ledger", text)]

    def _wrong_ledger(self, receipt: VerifiedReceipt) -> str | None:
        """Why a receipt's ledger is not the one that was seen before. A late duplicate of an old receipt is fine."""
        seen, new = self.ledger, receipt.ledger
        if seen is None or new.size > seen.size or (new.size < seen.size and receipt.size <= self.custody):
            return None
        if new.size < seen.size:
            return (
                f"the provider ledger {new.origin} went back from {seen.size} to {new.size} statements: it was "
                "restored; its receipt is not stored"
            )
        if new.root != seen.root:
            return f"the provider ledger {new.origin} has two roots at {new.size} statements; the receipt is not stored"
        return None

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, now: float) -> list[Action]:
        if self.state not in {State.ASKING, State.SENDING}:
            return []
        return self._send_anchor(now) + self._send_entries(now)

    def _head(self) -> Checkpoint | None:
        data = self.log.checkpoint()
        return None if data is None else parse_unverified(data)[0]

    def _send_anchor(self, now: float) -> list[Action]:
        if self._anchor is not None or now < self._next_anchor:
            return []  # most of the time: the log is not even looked at
        head = self._head()
        if head is None:
            return []
        old = self.custody if self.witnessed is None else self.witnessed
        if self.state is State.SENDING and head.size == old and (self.custody >= old or self._flights):
            return []
        data = self.log.checkpoint()
        if data is None or old > head.size:
            return []
        # The commit thread may be ahead of `head`: the proof is made for the checkpoint that is sent.
        size = parse_unverified(data)[0].size
        proof = self.log.consistency_proof(old, size) if 0 < old < size else []
        request = witness.encode_request(old, proof, data)
        self._anchor = _Anchor(sha256(request).digest(), size, now)
        self._next_anchor = now + self.anchor_s
        return [Publish("up/checkpoint", request)]

    def _send_entries(self, now: float) -> list[Action]:
        if self.state is not State.SENDING:
            return []
        actions: list[Action] = []
        for sending in self._flights.due(self.witnessed or 0, self.custody, now):
            actions += [alarm for text in sending.wrong for alarm in self._problem("body", text)]
            actions.append(Publish("up/entries", sending.payload))
        return actions

    def _forget_flights(self) -> None:
        self._anchor = None
        self._flights.forget()

    def _problem(self, kind: str, text: str) -> list[Action]:
        if self._problems.get(kind) == text:
            return []
        self._problems[kind] = text
        return [Alarm(text)]
