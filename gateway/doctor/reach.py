"""Broker, rights, collector and enrolment, proven end to end as far as that changes nothing.

What it says is what a gateway says anyway: its newest checkpoint, naming its own size as the old one, which a
collector answers with 200 or 409 and records nothing new; and one entry that the collector has a checkpoint for. Before
the first entry it is the empty checkpoint with an old size of 1: "400" then says that origin and key are known.

    down/checkpoint came            up/checkpoint may be written, down/# may be read, the collector runs
    its status                      404: not enrolled; 403: enrolled with another key; 200, 409, 400: enrolled
    its last checkpoint             is in our log, or this store was restored or copied
    down/entries came               up/entries may be written
    nothing came, and MQTT 5        who refuses what, in the broker's words, or that nobody listens
    nothing came, and MQTT 3.1.1    one of the four rights is missing, or the collector does not run
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway import schema
from gateway.config import Config
from gateway.outbox import sound_body
from gateway.reader import Reader
from vitaledger import merkle, messages, witness
from vitaledger.checkpoint import Checkpoint, open_checkpoint, parse_unverified, sign_checkpoint
from vitaledger.cli.doctor import Report, machine
from vitaledger.cli.doctor.broker import BrokerError, Door, Visit
from vitaledger.errors import MalformedError, VitaledgerError
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.messages import CHECKPOINT_ANSWER, ENTRIES, ENTRIES_ANSWER, TILE, CheckpointAnswer

ANSWER_S = 8.0
_PROBE_ID = 2**62  # no message of a running gateway bears it
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Own:
    """The log as the doctor asks it: opened anew each time, because a running gateway moves it on."""

    state: Path

    @classmethod
    def of(cls, config: Config) -> "Own":
        """The log of a configuration."""
        return cls(config.state)

    @contextmanager
    def reader(self) -> Iterator[Reader | None]:
        """The log as it stands; None where there is none."""
        if not (self.state / schema.DATABASE).is_file():
            yield None
            return
        with Reader.open(self.state) as reader, reader.snapshot():
            yield reader if reader.size else None

    def request(self, signer: Ed25519Signer) -> bytes:
        """An add-checkpoint request that changes nothing."""
        with self.reader() as reader:
            data = reader.checkpoint() if reader is not None else None
        if data is None:
            empty = sign_checkpoint(Checkpoint(signer.name, 0, merkle.EMPTY_ROOT), signer)
            return witness.encode_request(1, [], empty)
        return witness.encode_request(parse_unverified(data)[0].size, [], data)

    def one_entry(self, origin: str, witnessed: int) -> bytes | None:
        """An entries message with one entry that the collector can hold against what it has witnessed."""
        with self.reader() as reader:
            if reader is None or not 0 < witnessed <= reader.size:
                return None
            receipt = reader.newest_receipt()
            custody = min(receipt.size if receipt else 0, witnessed)
            first = max(0, custody - 1) // TILE * TILE
            [(leaf, body)] = reader.entries(first, first + 1)
            if body is None or sound_body(leaf, body)[1] is not None:
                return None
            hashes = tuple(reader.subtree_proof(first, first + 1, witnessed))
        entry = messages.Sealed(leaf, body)
        return ENTRIES.encode(messages.Entries(_PROBE_ID, origin, witnessed, first, (entry,), hashes))


def check_reach(
    report: Report, config: Config, signer: Ed25519Signer | None, own: Own, deadline: float, *, running: bool
) -> None:
    """Visit the broker; every line names topic, identity and the broker's reason where something is refused."""
    mqtt = config.mqtt
    # a client id of its own, because two clients with one id throw each other out
    client_id = f"{config.gateway}-doctor" if running else config.gateway
    named = (mqtt.password_file, mqtt.ca, mqtt.cert, mqtt.key)
    password, ca, cert, key = (None if name is None else Path(name) for name in named)
    door = Door(mqtt.host, mqtt.port, mqtt.user, password, ca, cert, key, client_id)
    for name, secret in (("password", password), ("TLS key", key)):
        if secret is not None:
            machine.secret_file(report, name, secret, machine.GROUP_READS)
    visit = Visit(door, deadline)
    try:
        visit.open()
        text = f"{door.where} takes {door.identity}, {visit.protocol}{', TLS' if mqtt.ca else ''}"
        if mqtt.ca is None and mqtt.host not in _LOCAL:
            report.warn("broker", f"{text}, not encrypted", "set [mqtt] ca, and cert and key for this gateway")
        else:
            report.ok("broker", text)
        if signer is None:
            report.error("enrolment", "cannot be asked for without the key", "mend the key first")
            return
        _Asking(report, config, signer, own, visit).ask()
    except BrokerError as error:
        if running and visit.lost is not None and visit.protocol:
            report.warn(
                "rights",
                f"{error}: this broker binds the client id to the name, so the running gateway took its place",
                "judge by the receipts above, or stop the gateway and look again",
            )
        else:
            report.error("broker", str(error), error.advice)
    finally:
        visit.close()


class _Asking:
    def __init__(self, report: Report, config: Config, signer: Ed25519Signer, own: Own, visit: Visit) -> None:
        self._report, self._config, self._signer, self._own, self._visit = report, config, signer, own, visit
        self._who = visit.door.identity

    def _topic(self, leaf: str) -> str:
        return messages.topic(self._config.gateway, leaf)

    def ask(self) -> None:
        down = f"{messages.ROOT}/{self._config.gateway}/down/#"
        if (refused := self._visit.subscribe(down)) is not None:
            self._refused("read", down, refused)
            return
        self._say_nothing("up/status")
        self._say_nothing("up/health")
        request = self._own.request(self._signer)
        topic = self._topic("up/checkpoint")
        refused, heard = self._visit.publish(topic, request)
        if refused is not None:
            self._refused("write", topic, refused)
            return
        digest = sha256(request).digest()
        self._visit.await_that(lambda: bool(self._answers(digest)), ANSWER_S)
        found = self._answers(digest)
        if found:
            self._report.ok("rights", f"{topic} was answered on {self._topic('down/checkpoint')}")
            self._judge(found[0])
        elif self._visit.lost is not None:
            raise BrokerError(f"the broker ended the connection: {self._visit.lost}")
        else:
            self._silence(topic, down, heard=heard)

    def _say_nothing(self, leaf: str) -> None:
        """An empty message, which a collector ignores: on MQTT 5 the acknowledgement tells the right."""
        if self._visit.tells_why:
            refused, _ = self._visit.publish(self._topic(leaf), b"")
            if refused is not None:
                self._refused("write", self._topic(leaf), refused)

    def _refused(self, what: str, topic: str, reason: str) -> None:
        text = f"the broker lets {self._who} not {what} {topic}: {reason}"
        self._report.error("rights", text, f"grant it in the broker's access list: {what} {topic}")

    def _answers(self, digest: bytes) -> list[CheckpointAnswer]:
        out = []
        for topic, payload in self._visit.came:
            if topic == self._topic("down/checkpoint"):
                try:
                    answer = CHECKPOINT_ANSWER.decode(payload, topic)
                except MalformedError:
                    continue
                if answer.request == digest:
                    out.append(answer)
        return out

    def _silence(self, topic: str, down: str, *, heard: bool) -> None:
        if self._visit.tells_why and not heard:
            text = f"{topic} was taken, and nobody listens: the collector does not run or may not read it"
            self._report.error("rights", text, "start the collector and run its doctor; nothing counts as delivered")
        elif self._visit.tells_why:
            text = f"{topic} was taken from {self._who}, and no answer came on {down}"
            advice = f"grant {self._who} read {down}, and the collector write there; run the collector's doctor"
            self._report.error("rights", text, advice)
        else:
            text = (
                f"{topic} was acknowledged, and no answer came on {down}; MQTT 3.1.1 does not tell a refusal: the "
                f"broker lets {self._who} not write {topic} or not read {down}, or the collector does not run"
            )
            advice = "look at the broker's log and access list, and run the collector's doctor"
            self._report.error("rights", text, f"{advice}; nothing counts as delivered")

    def _judge(self, answer: CheckpointAnswer) -> None:
        origin = self._signer.name
        detail = answer.body.decode("utf-8", "replace").strip()[:200]
        if answer.status == messages.UNKNOWN:
            advice = f"vitaledger-collector enroll '{self._signer.vkey}'"
            self._report.error("enrolment", f"the collector does not know {origin}", advice)
            return
        if answer.status == messages.FORBIDDEN:
            advice = "is this the key that was enrolled? A restored gateway needs its own key file"
            self._report.error("enrolment", f"{origin} is enrolled with another key: {detail}", advice)
            return
        if answer.status not in {messages.OK, messages.CONFLICT, messages.BAD_REQUEST}:
            advice = "keep the store as it is, and ask whoever keeps the collector"
            self._report.error("enrolment", f"the collector answers {answer.status}: {detail}", advice)
            return
        self._report.ok("enrolment", f"{origin} is enrolled with this key")
        if answer.last is not None:
            self._last(answer.last)

    def _last(self, last: bytes) -> None:
        try:
            head = open_checkpoint(last, [verifier_of(self._signer.vkey)]).checkpoint
        except VitaledgerError as error:
            self._report.error("history", f"the collector names a checkpoint that this key did not sign: {error}")
            return
        with self._own.reader() as reader:
            size = reader.size if reader is not None else 0
            same = reader is not None and reader.root_at(head.size) == head.root
        if not same and head.size:
            self._report.error(
                "history",
                f"the collector has a checkpoint of {head.size} entries signed by this key, and this log of {size} "
                "entries does not contain it: the store was restored or copied",
                "let the gateway run: it goes on as a successor, and both histories are kept; delete nothing",
            )
            return
        self._report.ok("history", f"the collector has witnessed {head.size} of {size} entries, and they agree")
        self._entries(head.size)

    def _entries(self, witnessed: int) -> None:
        topic = self._topic("up/entries")
        message = self._own.one_entry(self._signer.name, witnessed)
        if message is None:
            self._report.ok("rights", f"{topic} was not tried: there is no entry whose body is still here")
            return
        refused, _ = self._visit.publish(topic, message)
        if refused is not None:
            self._refused("write", topic, refused)
            return
        if self._visit.await_that(self._entry_answered, ANSWER_S):
            self._report.ok("rights", f"{topic} was answered on {self._topic('down/entries')}")
        else:
            text = f"{topic} was acknowledged and not answered"
            self._report.error("rights", text, f"grant {self._who} write {topic}; see the broker's log")

    def _entry_answered(self) -> bool:
        for topic, payload in self._visit.came:
            if topic == self._topic("down/entries"):
                try:
                    if ENTRIES_ANSWER.decode(payload, topic).id == _PROBE_ID:
                        return True
                except MalformedError:
                    continue
        return False
