"""What grows with a log's age: the same work on logs of ten thousand and of ten million entries, in turn.

All but the newest entries of both logs are one synthetic leaf, again and again, without a body, as rows and tiles of
their own; the newest are sealed and linked as a gateway seals them, and under signed heads. One device has them all.

    append      a commit of ten entries at the gateway
    start-up    the gateway's store opened; the collector's store opened, its ledger and the log verified: from the
                start of a process that loads the whole program, which is what a user waits for, and by itself
    proof       the inclusion proofs of an hour's newest entries, as evidence has them, each tile checked
    history     the last hour as the page asks for it: found by time, every entry verified
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from bench.deep import deep_tree, fill_edge, fill_tiles, numbers
from bench.figure import Effort, Figure, Goal, of_runs
from bench.history import CHAIN, values
from bench.scratch import scratch
from bench.sealing import drafts, one_core
from collector.reader import Reader
from collector.verified import VerifiedLog, VerifiedStore
from collector.web.checker import jobs
from collector.web.checker.desk import Desk
from gateway import schema
from gateway.seal import Seal
from gateway.store import Store
from tests.browser.hospital import ENTRY_S
from tests.fault.ward import Gateway, Ward
from vitaledger import events, note
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.content import VALUES
from vitaledger.entry import GATEWAY_CHAIN, Clock, Kind, PartType, genesis, seal
from vitaledger.keys import Ed25519Signer
from vitaledger.merkle import TILE_WIDTH, leaf_hash
from vitaledger.statement import Anchor, Custody

_SIZES = 10_000, 10_000_000
_SHORT = 100_000
_HOUR, _BEFORE = 3600 // ENTRY_S, 40  # entries; those before the hour are near it and looked at as well
_FIRST_MS = 1_500_000_000_000
_COMMIT, _COMMITS = 10, 40
_GOAL = Goal(most=1.2)
_LEAF, _ = seal(Kind.READINGS, CHAIN, 0, bytes(32), Clock(_FIRST_MS, bytes(16), 0, 3), (), ())


_GATEWAY = """
import os, sys
from pathlib import Path
import gateway.agent
from gateway.store import Store
from vitaledger.keys import Ed25519Signer
Store.open(Path(sys.argv[1]), Ed25519Signer("bench.example/gateway/b1", bytes.fromhex(sys.argv[2])), random=os.urandom)
"""
_COLLECTOR = """
import sys
from pathlib import Path
import collector.service
from collector.reader import Reader
from collector.verified import VerifiedStore
with Reader.open(Path(sys.argv[1])) as reader:
    VerifiedStore(reader, sys.argv[2]).log(reader.logs()[0])
"""


class OldGateway:
    """A gateway's store with `size` entries that are old, and a heads entry behind them."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder
        self._key = os.urandom(32)
        self.signer = Ed25519Signer("bench.example/gateway/b1", self._key)
        self._made = 0
        Store.open(folder, self.signer, random=os.urandom).close()
        tree = deep_tree([leaf_hash(_LEAF)] * TILE_WIDTH, size)
        content = events.encode(events.Heads((), None))
        first = genesis(self.signer.name, GATEWAY_CHAIN)
        clock = Clock(_FIRST_MS, bytes(16), 0, 3)
        contents = [(int(PartType.EVENT), content)]
        leaf, body = seal(Kind.GATEWAY_EVENT, GATEWAY_CHAIN, 0, first, clock, contents, [bytes(16)])
        with closing(_filling(folder / schema.DATABASE)) as db:
            db.execute(numbers("INSERT INTO entries (idx, leaf, body) SELECT n, ?2, NULL"), (size, _LEAF))
            fill_tiles(db, tree)
            db.execute("INSERT INTO entries VALUES (?, ?, ?)", (size, leaf, body))
            full = tree.builder.extend([leaf_hash(leaf)])
            db.executemany("INSERT INTO tiles VALUES (?, ?, ?)", [(each.level, each.n, each.data) for each in full])
            fill_edge(db, tree.builder)
            signed = sign_checkpoint(Checkpoint(self.signer.name, tree.builder.size, tree.builder.root()), self.signer)
            text = Seal(self.signer.name, 0, bytes(32), size).text
            db.execute("INSERT INTO head VALUES (1, ?, ?)", (signed, note.encode(note.sign_note(text, self.signer))))
            db.execute("COMMIT")

    def open(self) -> Store:
        """Open it for appending."""
        return Store.open(self.path, self.signer, random=os.urandom)

    def start(self) -> None:
        """Open it, and close it."""
        self.open().close()

    def process(self) -> None:
        """The same from the start of a process."""
        subprocess.run([sys.executable, "-c", _GATEWAY, str(self.path), self._key.hex()], check=True)

    def append(self, store: Store) -> None:
        """Commit the next entries."""
        for _ in range(_COMMITS):
            store.commit(drafts(self._made, _COMMIT))
            self._made += _COMMIT


class OldCollector:
    """A collector's store with one device: `size` entries that are old, and an hour of newest ones."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        ward, gateway = Ward(folder), Gateway("ward-3", 7)
        ward.enroll(gateway)
        self.path, self.vkey = ward.path, ward.vkey
        tree = deep_tree([leaf_hash(_LEAF)] * TILE_WIDTH, size)
        first_ms, step_ms = _FIRST_MS, ENTRY_S * 1000
        rows, prev = [], leaf_hash(_LEAF)
        for seq in range(size, size + _BEFORE + _HOUR):
            clock = Clock(first_ms + seq * step_ms, bytes(16), seq * step_ms, 3)
            contents = [(int(PartType.VALUES), VALUES.encode(values(seq)))]
            leaf, body = seal(Kind.READINGS, CHAIN, seq, prev, clock, contents, [os.urandom(16)])
            prev = leaf_hash(leaf)
            rows.append((seq, leaf, body, clock.wall_ms, prev))
        full = tree.builder.extend([row[4] for row in rows])
        end = tree.builder.size
        self.newest = range(end - _HOUR, end)
        self.from_us, self.to_us = rows[_BEFORE][3] * 1000, (rows[-1][3] + step_ms) * 1000
        signed = sign_checkpoint(Checkpoint(gateway.origin, end, tree.builder.root()), gateway.signer)
        with ward.store.transaction():
            row = ward.store.logs()[0]
            row = ward.store.set_witnessed(row, end, signed, ward.ledger.append(Anchor(ward.now_ms, signed)))
            row = ward.store.set_stored(row, end)
            custody = Custody(ward.now_ms, gateway.origin, end, tree.builder.root())
            ward.store.set_custody(row, ward.ledger.append(custody))
            ward.ledger.seal()
        ward.close()
        with closing(_filling(self.path)) as db:
            base = row.log << 40
            db.execute(numbers("INSERT INTO entries (id, leaf, body) SELECT ?2 + n, ?3, x'80'"), (size, base, _LEAF))
            db.executemany(
                "INSERT INTO entries VALUES (?, ?, ?)", [(base + each[0], each[1], each[2]) for each in rows]
            )
            fill_tiles(db, tree, row.log)
            db.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", [(row.log, f.level, f.n, f.data) for f in full])
            fill_edge(db, tree.builder, row.log)
            db.execute("INSERT INTO chains VALUES (1, ?, ?, ?, ?, NULL)", (row.log, CHAIN, end, prev))
            query = numbers("INSERT INTO positions (chain, seq, idx, wall_ms) SELECT 1, n, n, ?2 + n * ?3")
            db.execute("DROP INDEX positions_by_time")
            db.execute(query, (end, first_ms, step_ms))
            db.execute("CREATE INDEX positions_by_time ON positions (chain, wall_ms)")
            db.execute("COMMIT")
        self.desk = Desk(self.path, self.vkey)

    def start(self) -> None:
        """Open the store, verify its ledger and its log."""
        with Reader.open(self.path) as reader:
            self._log(reader)

    def process(self) -> None:
        """The same from the start of a process."""
        subprocess.run([sys.executable, "-c", _COLLECTOR, str(self.path), self.vkey], check=True)

    def _log(self, reader: Reader) -> VerifiedLog:
        store = VerifiedStore(reader, self.vkey)
        log = store.log(reader.logs()[0])
        if log.failure:
            raise SystemExit(f"growth: {log.failure}")
        return log

    def prove(self) -> None:
        """The proofs of the hour's entries, as evidence has them."""
        with self.desk.snapshot() as store:
            log = store.log(store.reader.logs()[0])
            assert log.prover is not None
            deque(log.prover.inclusions(self.newest), 0)

    def ask(self) -> None:
        """The page's data of the last hour."""
        args = {"label": CHAIN, "from_us": self.from_us, "to_us": self.to_us}
        last: bytes | None = None
        with self.desk.snapshot():
            for answer in jobs.answers(self.desk, "chart", args):
                last = answer
        entries = msgspec.json.decode(last or b"{}").get("done", {}).get("entries", 0)
        if not _HOUR <= entries <= _HOUR + _BEFORE:
            raise SystemExit(f"growth: expected the {_HOUR} entries of an hour and some before, got {last!r}")


def _filling(path: Path) -> sqlite3.Connection:
    """A connection for writing very much to a store that nobody needs if that is interrupted; in a transaction."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    return db


def measure(effort: Effort) -> Iterator[Figure]:
    """Ratios of what the large log takes to what the small one takes, run by run."""
    sizes = (_SIZES[0], _SHORT if effort.short else _SIZES[1])
    few = 1 if effort.short else effort.runs  # of whole processes
    at = f"{sizes[1]:,} against {sizes[0]:,} entries, one core, both in turn"
    with one_core():
        with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
            gateways = [OldGateway(Path(name) / str(size), size) for size in sizes]
            yield from _compared("start-up of a gateway", [each.process for each in gateways], few, at)
            yield from _compared("  of that, its store", [each.start for each in gateways], effort.runs, at, None)
            stores = [each.open() for each in gateways]
            appends = [lambda g=g, s=s: g.append(s) for g, s in zip(gateways, stores, strict=True)]
            yield from _compared(f"append: {_COMMITS} commits of {_COMMIT} entries", appends, effort.runs, at)
            for store in stores:
                store.close()
        with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
            found = [OldCollector(Path(name) / str(size), size) for size in sizes]
            yield from _compared("start-up of a collector", [each.process for each in found], few, at)
            yield from _compared("  of that, its checks", [each.start for each in found], effort.runs, at, None)
            yield from _compared("proofs of an hour's entries", [each.prove for each in found], effort.runs, at)
            yield from _compared("history of the last hour", [each.ask for each in found], effort.runs, at)


def _compared(
    what: str, works: Sequence[Callable[[], None]], runs: int, at: str, goal: Goal | None = _GOAL
) -> Iterator[Figure]:
    """The small log's and the large log's ms, and their ratio; each once before that counts."""
    ms: list[list[float]] = [[], []]
    for run in range(runs + 1):
        for work, found in zip(works, ms, strict=True):
            began = time.perf_counter()
            work()
            if run:
                found.append((time.perf_counter() - began) * 1000)
    small, large = ms
    yield of_runs(f"{what}, the large log", large, "ms", None, at)
    yield of_runs(f"{what}, over the small one", [b / a for a, b in zip(small, large, strict=True)], "", goal, at)
