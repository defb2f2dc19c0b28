"""The ledger step: a batch of messages in, one transaction, the answers out. No network, no clock, no thread.

    each message        checkpoint → witnessed or not; entries → stored or refused; status, health → kept
    each log that grew  moved over, findings made, custody stated
    the ledger          extended, signed, its head swapped
    COMMIT
    answers             down/checkpoint, down/entries, down/receipt: nothing is answered that is not durable

A gateway is told apart by its topic; an origin that is not its own is unknown to it. What fails in a way that nobody
foresaw fails the whole step, and `culprit` names the gateway that was being worked on: the caller sets it aside for a
while and repeats the step without it, so that nothing from one gateway stops another.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from collector import receipts, shown, successions
from collector.inbox import Message
from collector.ledger import Ledger
from collector.mirror import Mirror, plain
from collector.rows import LogRow, Refusal
from collector.store import LostSwapError, Store
from vitaledger import cbor, fork, messages, witness
from vitaledger.checkpoint import parse_unverified
from vitaledger.errors import MalformedError
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import BAD_REQUEST, CONFLICT, OK, UNKNOWN, WAITING

__all__ = ["Counts", "Message", "Publish", "Step"]

_log = logging.getLogger(__name__)
MAX_REPEATS = 8
SET_ASIDE_MS = 60_000
STATE = 0  # the id of a down/entries that answers no message


@dataclass(frozen=True, slots=True)
class Publish:
    """An answer, on one of messages.DOWN of a gateway."""

    gateway: str
    topic: str
    payload: bytes


@dataclass(slots=True)
class Counts:
    """What this process has done so far."""

    steps: int = 0
    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    forks: int = 0
    lost_swaps: int = 0


@dataclass(slots=True)
class _Turn:
    """One try of one step: what is to be answered once it is durable."""

    now_ms: int
    counts: Counts = field(default_factory=Counts)
    answers: list[Publish] = field(default_factory=list)
    entries: list[tuple[Mirror, int, int, str]] = field(default_factory=list)  # id, status, detail
    state: dict[int, Mirror] = field(default_factory=dict)  # logs whose state is told after a checkpoint
    grown: dict[int, Mirror] = field(default_factory=dict)
    receipts: dict[int, Mirror] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)


class Step:
    """The one writer of the store in this process. Belongs to one thread."""

    def __init__(self, store: Store, signer: Ed25519Signer, lineage: Sequence[bytes] = ()) -> None:
        """`lineage`: the notes that lead from the first ledger to this one; gateways that lack them are told."""
        self._store = store
        self._key = signer.vkey
        self._lineage = tuple(lineage)[-messages.MAX_LEDGERS :]
        self.halted = False
        self.ledger = Ledger(store, signer)
        self.counts = Counts()
        self.culprit: str | None = None
        self._mirrors: dict[int, Mirror] = {}
        self._unmoved: dict[int, LogRow] = {}
        self._aside: dict[str, int] = {}  # gateway → until when, in ms
        self._stale = True  # what is in mind may not be what is stored: a step failed
        self.reload()

    @property
    def more(self) -> bool:
        """Whether a backlog is still being moved over: call `process` again, also without messages."""
        return any(row.gateway not in self._aside for row in self._unmoved.values())

    def set_aside(self, gateway: str, now_ms: int) -> None:
        """Neither take from this gateway nor move its log on for a minute."""
        self._aside[gateway] = now_ms + SET_ASIDE_MS

    def process(self, batch: Sequence[Message], now_ms: int) -> list[Publish]:
        """Run one step; the answers, in the order in which they are to be published.

        Raises whatever failed; nothing of the step is then stored, and `culprit` names the gateway, if it was one.
        Where a gateway shows that this store was restored from an old copy, nothing of the batch is worked on and no
        step is run again; `halted` is then True.
        """
        self.culprit = None
        if not self.halted:
            self._look_for_newer_heads(batch, now_ms)
        if self.halted:
            return []
        self._aside = {gateway: until for gateway, until in self._aside.items() if until > now_ms}
        taken = [message for message in batch if message.gateway not in self._aside]
        for _ in range(MAX_REPEATS):
            if self._stale:
                self.reload()
            turn = _Turn(now_ms)
            self._stale = True
            try:
                with self._store.transaction():
                    self._run(taken, turn)
            except LostSwapError:
                self.counts.lost_swaps += 1
                continue
            self._stale = False
            self._count(turn.counts)
            for alarm in turn.alarms:
                _log.error("ALARM: %s", alarm)
            return self._publishes(turn)
        raise LostSwapError(f"the ledger's head was taken away {MAX_REPEATS} times in a row")

    def _look_for_newer_heads(self, batch: Iterable[Message], now_ms: int) -> None:
        """Before anything is signed: does a gateway show that this store is an old copy?"""
        found: dict[Message, str] = {}
        for message in batch:
            if message.topic != "up/ledger":
                continue
            try:
                wrong = shown.contradiction(self._store, self._key, message.payload)
            except MalformedError:
                continue  # refused further on
            if wrong is not None:
                found[message] = wrong.text
        if not found:
            return
        with self._store.transaction():
            for message in found:
                self._store.halt(now_ms, message.gateway, message.payload)
        for message, text in found.items():
            _log.error("ALARM: this store was restored from an old copy: gateway %s shows %s", message.gateway, text)
        self.halted = True

    def reload(self) -> None:
        """Forget what was in mind and take up the store as it stands."""
        self._stale = True
        self._store.abandon()
        self._store.forget_edges()
        self._mirrors.clear()
        self.ledger.load()
        self._unmoved = {row.log: row for row in self._store.unmoved()}
        self._stale = False

    # -- inside the transaction ---------------------------------------------------------------------------------------

    def _run(self, batch: list[Message], turn: _Turn) -> None:
        for message in batch:
            self.culprit = message.gateway
            turn.counts.messages += 1
            self._take(message, turn)
        for row in self._unmoved.values():
            if row.gateway not in self._aside:
                self.culprit = row.gateway
                turn.grown[row.log] = self._mirror(row)
        for mirror in turn.grown.values():
            self.culprit = mirror.row.gateway
            self._move(mirror, turn)
        self.culprit = None
        self.ledger.seal()

    def _move(self, mirror: Mirror, turn: _Turn) -> None:
        before = mirror.row.stored
        if mirror.advance(turn.now_ms):
            self._unmoved[mirror.row.log] = mirror.row
        else:
            self._unmoved.pop(mirror.row.log, None)
        if mirror.row.stored != before:
            mirror.custody(turn.now_ms)
            turn.receipts[mirror.row.log] = mirror

    def _take(self, message: Message, turn: _Turn) -> None:
        match message.topic:
            case "up/checkpoint":
                self._checkpoint(message, turn)
            case "up/entries":
                self._entries(message, turn)
            case "up/status":
                self._presence(message, turn)
            case "up/health":
                self._presence(message, turn)
            case "up/ledger":
                self._tell_ledger(message, turn)
            case _:
                self._succession(message, turn)

    def _checkpoint(self, message: Message, turn: _Turn) -> None:
        mirror = None
        try:
            mirror = self._own(message.gateway, witness.request_origin(message.payload))
            fits = len(message.payload) <= messages.MAX_MESSAGE
        except MalformedError:
            fits = True  # the decision says what is malformed
        if mirror is None:
            decision = witness.decide(None, None, message.payload)
        elif fits:
            decision = mirror.add_checkpoint(message.payload, turn.now_ms)
        else:
            decision = witness.Decision(BAD_REQUEST, b"add-checkpoint: expected at most 64 KiB\n")
        if decision.status not in {OK, CONFLICT} or decision.fork:
            why = decision.body.decode("utf-8", "replace").strip()
            if decision.fork:
                turn.counts.forks += 1
                why = f"fork: two signed heads of this log contradict each other; answered {why}"
                if mirror is not None:
                    self._fork(mirror, message.payload, turn)
            self._refused(message, turn, decision.status, why)
        last = None if mirror is None else mirror.row.checkpoint
        self._answer_checkpoint(message, turn, decision.status, decision.body, last)
        if mirror is not None and decision.status in {OK, CONFLICT}:
            turn.state[mirror.row.log] = turn.receipts[mirror.row.log] = mirror

    def _fork(self, mirror: Mirror, request: bytes, turn: _Turn) -> None:
        """Keep the evidence of a fork that can be proven, once for each head."""
        note = witness.parse_request(request).checkpoint
        evidence = mirror.fork_evidence(note)
        if evidence is None:
            return
        head, row = parse_unverified(note)[0], mirror.row
        if self._store.add_fork(row.log, turn.now_ms, head.size, head.root, evidence, request):
            sizes = " and ".join(str(size) for size in fork.verify(evidence).sizes)
            turn.alarms.append(f"{row.origin} has forked: its signed heads of {sizes} entries contradict each other")

    def _succession(self, message: Message, turn: _Turn) -> None:
        note = message.payload
        done = successions.take(self._store, self.ledger, message.gateway, note, turn.now_ms)
        if done.status not in {OK, WAITING}:
            self._refused(message, turn, done.status, done.detail)
        if done.alarm is not None:
            turn.alarms.append(done.alarm)
        answer = messages.SuccessionAnswer(sha256(note).digest(), done.status, done.free, plain(done.detail))
        payload = messages.SUCCESSION_ANSWER.encode(answer)
        turn.answers.append(Publish(message.gateway, "down/succession", payload))

    def _entries(self, message: Message, turn: _Turn) -> None:
        try:
            entries = _parse_entries(message.payload)
        except MalformedError as error:
            self._refused(message, turn, BAD_REQUEST, str(error))
            self._answer_entries(message, turn, BAD_REQUEST, str(error))
            return
        mirror = self._own(message.gateway, entries.origin)
        if mirror is None:
            why = f"{entries.origin}: not an origin of gateway {message.gateway}"
            self._refused(message, turn, UNKNOWN, why)
            self._answer_entries(message, turn, UNKNOWN, why)
            return
        taken = mirror.add_entries(entries)
        if taken.status not in {OK, CONFLICT}:
            self._refused(message, turn, taken.status, taken.detail)
        if taken.new:
            turn.grown[mirror.row.log] = mirror
        turn.counts.stored += taken.new
        turn.counts.duplicates += taken.duplicates
        turn.entries.append((mirror, entries.id, taken.status, taken.detail))

    def _presence(self, message: Message, turn: _Turn) -> None:
        if not message.payload or self._store.log_of(message.gateway) is None:
            return
        is_status = message.topic == "up/status"
        try:
            if is_status:
                messages.STATUS.decode(message.payload, message.topic)
            else:
                messages.HEALTH.decode(message.payload, message.topic)
        except MalformedError as error:
            self._refused(message, turn, BAD_REQUEST, str(error))
            return
        status, health = (message.payload, None) if is_status else (None, message.payload)
        self._store.set_presence(message.gateway, turn.now_ms, status, health)

    def _tell_ledger(self, message: Message, turn: _Turn) -> None:
        """Name this ledger to a gateway that does not know yet that it goes on in the place of another."""
        try:
            knows = shown.is_known(message.payload, self._key)
        except MalformedError as error:
            self._refused(message, turn, BAD_REQUEST, str(error))
            return
        if self._lineage and not knows:
            payload = messages.LEDGER_NOTES.encode(self._lineage)
            turn.answers.append(Publish(message.gateway, "down/ledger", payload))

    def _own(self, gateway: str, origin: str) -> Mirror | None:
        """The mirror of an origin, where it is this gateway's."""
        row = self._store.log_of(origin)
        return self._mirror(row) if row is not None and (row.gateway, row.origin) == (gateway, origin) else None

    def _mirror(self, row: LogRow) -> Mirror:
        mirror = self._mirrors.get(row.log)
        if mirror is None:
            mirror = self._mirrors[row.log] = Mirror(self._store, self.ledger, row)
        return mirror

    def _refused(self, message: Message, turn: _Turn, status: int, why: str) -> None:
        turn.counts.refused += 1
        kept = message.payload[: 2 * messages.MAX_MESSAGE]
        self._store.add_refusal(Refusal(turn.now_ms, message.gateway, message.topic, status, plain(why, 1024), kept))

    @staticmethod
    def _answer_checkpoint(message: Message, turn: _Turn, status: int, body: bytes, last: bytes | None) -> None:
        answer = messages.CheckpointAnswer(sha256(message.payload).digest(), status, body, last)
        payload = messages.CHECKPOINT_ANSWER.encode(answer)
        turn.answers.append(Publish(message.gateway, "down/checkpoint", payload))

    def _answer_entries(self, message: Message, turn: _Turn, status: int, why: str) -> None:
        """Answer entries that belong to no mirror, by what can be read of them."""
        message_id, origin = _salvage(message.payload)
        answer = messages.EntriesAnswer(message_id, status, origin or message.gateway, (), 0, plain(why))
        turn.answers.append(Publish(message.gateway, "down/entries", messages.ENTRIES_ANSWER.encode(answer)))

    # -- after the COMMIT ---------------------------------------------------------------------------------------------

    def _count(self, done: Counts) -> None:
        self.counts.steps += 1
        for name in ("messages", "stored", "duplicates", "refused", "forks"):
            setattr(self.counts, name, getattr(self.counts, name) + getattr(done, name))

    def _publishes(self, turn: _Turn) -> list[Publish]:
        """Each entries message gets its answer; state and receipt go out once for each log, as they are now."""
        told = {mirror.row.log for mirror, *_ in turn.entries}
        state = [(mirror, STATE, OK, "") for log, mirror in turn.state.items() if log not in told]
        out = turn.answers
        for mirror, message_id, status, detail in turn.entries + state:
            payload = messages.ENTRIES_ANSWER.encode(mirror.answer(message_id, status, detail))
            out.append(Publish(mirror.row.gateway, "down/entries", payload))
        prover = self.ledger.prover()
        for mirror in turn.receipts.values():
            custody = mirror.row.custody
            leaf = None if custody is None else self._store.statement(custody)
            if custody is not None and leaf is not None:
                receipt = receipts.build(leaf, custody, self.ledger.head, prover)
                out.append(Publish(mirror.row.gateway, "down/receipt", messages.RECEIPT.encode(receipt)))
        return out


def _parse_entries(payload: bytes) -> messages.Entries:
    if len(payload) > messages.MAX_MESSAGE:
        raise MalformedError(f"up/entries: {len(payload)} bytes, at most {messages.MAX_MESSAGE} are allowed")
    return messages.ENTRIES.decode(messages.unpack(payload, "up/entries"), "up/entries")


def _salvage(payload: bytes) -> tuple[int, str | None]:
    """The id and the origin of entries that are malformed further on, where they can be read."""
    try:
        item = cbor.decode(messages.unpack(payload[: messages.MAX_MESSAGE], "up/entries"))
    except MalformedError:
        return STATE, None
    head = item[:2] if isinstance(item, list) else []
    found = head[0] if head and isinstance(head[0], int) and head[0] >= 0 else STATE
    origin = head[1] if len(head) > 1 and isinstance(head[1], str) and 0 < len(head[1]) <= 255 else None
    return found, origin if origin and origin.isprintable() else None
