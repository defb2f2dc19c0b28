"""Merging at the collector: prepared entries of eight gateways, through a broker, until the receipt for the last.

Four ways for the same bytes, in turn: *through MQTT* (a broker, a collector's process, everything that it does);
*ingest alone* (the collector's ledger step in this process: the same batches, no broker, no network); *plain*
(inflating, SHA-256 of each leaf and body, cbor2 on each message, leaf, body and content, and SQLite with the same
settings and the same transactions); and what this language allows, *the least*: plain, and besides it commitments,
links, tree, positions, one form for each content, and what was written compared, all of it by calls into C on lists.
It looks at no field and at no signature. Readings an entry: 20, values only.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import cbor2

from bench.collecting import collecting, enrolled
from bench.figure import Effort, Figure, Goal, of_runs
from bench.fleet import Log, Round, one_signal
from bench.scratch import scratch
from bench.sealing import READINGS, one_core
from bench.sender import Sender
from bench.ward import cpu_s
from collector.enrolment import open_ledger
from collector.inbox import Inbox, Message
from collector.ingest import Step
from collector.store import connect, entry_id
from vitaledger.merkle import TILE_WIDTH, CompactRange
from vitaledger.messages import unpack

GATEWAYS = 8
ENTRIES = 8192  # of each gateway
_LIMIT_S = 300.0
_PLAIN = "CREATE TABLE entries (id INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL);"
_LEAST = f"""{_PLAIN}
CREATE TABLE positions (chain INTEGER, seq INTEGER, idx INTEGER, wall_ms INTEGER, PRIMARY KEY (chain, seq))
WITHOUT ROWID;
CREATE INDEX positions_by_time ON positions (chain, wall_ms);
"""


@dataclass(frozen=True, slots=True)
class _Load:
    """What all gateways send, in the order in which one process would take it."""

    logs: tuple[Log, ...]
    rounds: tuple[Round, ...]
    entries: int
    early: tuple[Log, Round]  # one entry of another gateway, merged before the clock runs

    def batches(self) -> list[list[Message]]:
        """The anchors, and then the entries as the inbox hands them out when all gateways have filled it."""
        both = list(zip(self.logs, self.rounds, strict=True))
        inbox = Inbox(time.monotonic)
        for log, due in both:
            for _, payload in due.messages:
                if not inbox.put(Message(log.gateway, "up/entries", payload)):
                    raise AssertionError(f"{len(due.messages)} messages of one gateway are more than the inbox takes")
        anchors = [Message(log.gateway, "up/checkpoint", due.request) for log, due in both]
        return [anchors, *iter(lambda: inbox.take(0.0, 0.0), [])]


def _load(entries: int) -> _Load:
    contents = one_signal(entries)
    logs = tuple(Log(f"bench-{n}") for n in range(GATEWAYS))
    early = Log("bench-early")
    rounds = tuple(log.grow(contents, 0) for log in logs)
    return _Load(logs, rounds, entries * GATEWAYS, (early, early.grow(contents[:1], 0)))


def measure(effort: Effort) -> Iterator[Figure]:
    """Rates of the three ways, and their ratios."""
    load = _load(max(effort.of(ENTRIES), TILE_WIDTH))
    through, cpu, alone, least, plain, broker = [], [], [], [], [], ""
    for _ in range(effort.runs):
        seconds, cpu_seconds, broker = _through(load)
        through.append(load.entries * READINGS / seconds)
        cpu.append(cpu_seconds / (load.entries * READINGS) * 1e6)
        with one_core():
            alone.append(load.entries * READINGS / _alone(load))
            least.append(load.entries * READINGS / _stored(load, _LEAST, _least))
            plain.append(load.entries * READINGS / _stored(load, _PLAIN, _plain))
    batches = load.batches()[1:]
    a_message = load.entries / sum(len(due.messages) for due in load.rounds)
    at = (
        f"{READINGS} readings an entry, {a_message:.0f} entries a message, {load.entries / len(batches):,.0f} entries a"
        f" commit where ingest is alone, {GATEWAYS} gateways, {broker}"
    )
    yield of_runs("through MQTT, committed and receipted", through, "readings/s", Goal(200_000), at)
    yield of_runs("ingest alone", alone, "readings/s", None, at)
    yield of_runs("SHA-256, CBOR and SQLite alone", plain, "readings/s", None, at)
    ratios = [one / other for one, other in zip(through, plain, strict=True)]
    yield of_runs("through MQTT over these alone", ratios, "", Goal(0.5), at)
    ratios = [one / other for one, other in zip(alone, plain, strict=True)]
    yield of_runs("ingest alone over these alone", ratios, "", None, at)
    ratios = [one / other for one, other in zip(least, plain, strict=True)]
    yield of_runs("the least over these alone", ratios, "", None, at)
    yield of_runs("CPU of the collector's process", cpu, "s per million", None, at)


def _through(load: _Load) -> tuple[float, float, str]:
    """(seconds, CPU seconds of the collector, which broker)."""
    early, first = load.early
    logs = (early, *load.logs)
    names = [log.gateway for log in logs]
    with collecting(log.vkey for log in logs) as running, Sender(running.broker_port, names) as sender:
        sender.begin(early.gateway, first)  # before its first step a collector waits a second for what is retained
        sender.await_receipts(1, _LIMIT_S)
        used, began = cpu_s(running.pid), time.perf_counter()
        for log, due in zip(load.logs, load.rounds, strict=True):
            sender.begin(log.gateway, due)
        sender.await_receipts(len(names), _LIMIT_S)
        return time.perf_counter() - began, cpu_s(running.pid) - used, running.broker


def _alone(load: _Load) -> float:
    """Seconds of the collector's steps."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        store, signer = open_ledger(enrolled(Path(name) / "collector", [log.vkey for log in load.logs]))
        with closing(store):
            step = Step(store, signer)
            batches = load.batches()
            began = time.perf_counter()
            for batch in batches:
                step.process(batch, 1_700_000_000_000)
                while step.more:
                    step.process([], 1_700_000_000_000)
            seconds = time.perf_counter() - began
            stored = sum(row.stored for row in store.logs())
    if stored != load.entries:
        raise AssertionError(f"{stored} of {load.entries} entries are stored")
    return seconds


def _stored(load: _Load, schema: str, store: Callable[[sqlite3.Connection, int, Message, "_Log"], None]) -> float:
    """Seconds of a way that is plain code over SQLite: a transaction for each batch."""
    logs = {log.gateway: (n, _Log()) for n, log in enumerate(load.logs, 1)}
    batches = load.batches()[1:]
    with (
        tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name,
        closing(connect(Path(name) / "plain.sqlite")) as db,
    ):
        db.executescript(schema)
        began = time.perf_counter()
        for batch in batches:
            db.execute("BEGIN IMMEDIATE")
            for message in batch:
                number, log = logs[message.gateway]
                store(db, number, message, log)
            db.execute("COMMIT")
        return time.perf_counter() - began


@dataclass(slots=True)
class _Log:
    """What the least way knows of a log: the newest leaf hash of each micro-chain, and the tree."""

    heads: dict[str, bytes] = field(default_factory=dict)
    tree: CompactRange = field(default_factory=CompactRange)


def _plain(db: sqlite3.Connection, number: int, message: Message, _log: _Log) -> None:
    rows = []
    for index, leaf, body in _entries(message):
        sha256(leaf).digest()
        sha256(body).digest()
        cbor2.loads(leaf)
        for _, _, content in cbor2.loads(body):
            cbor2.loads(content)
        rows.append((entry_id(number, index), leaf, body))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)


def _least(db: sqlite3.Connection, number: int, message: Message, log: _Log) -> None:
    rows, positions, heads = [], [], log.heads
    for index, leaf, body in _entries(message):
        entry, parts = cbor2.loads(leaf), cbor2.loads(body)
        _, _, chain, seq, prev, clock, commitments = entry
        holds = cbor2.dumps(entry) == leaf and cbor2.dumps(parts) == body and heads.get(chain, prev) == prev
        for (_, salt, content), (_, digest) in zip(parts, commitments, strict=True):
            holds = holds and sha256(salt + content).digest() == digest
            holds = holds and cbor2.dumps(cbor2.loads(content)) == content
        if not holds:
            raise SystemExit(f"merging: entry {index} of log {number} does not hold in the least way")
        heads[chain] = found = sha256(b"\x00" + leaf).digest()
        log.tree.append(found)
        rows.append((entry_id(number, index), leaf, body))
        positions.append((number, seq, index, clock[0]))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
    db.executemany("INSERT INTO positions VALUES (?, ?, ?, ?)", positions)
    back = "SELECT id, leaf, body FROM entries WHERE id BETWEEN ? AND ? ORDER BY id"
    if db.execute(back, (rows[0][0], rows[-1][0])).fetchall() != rows:
        raise SystemExit("merging: what was written is not what is read")


def _entries(message: Message) -> Iterator[tuple[int, bytes, bytes]]:
    _, _, _, first, entries, _ = cbor2.loads(unpack(message.payload, message.topic))
    for index, (leaf, body) in enumerate(entries, first):
        yield index, leaf, body
