"""Audit at the collector: what `vitaledger-collector verify` does over a whole store on disk, on one core.

Everything that it checks is in the time: SQLite's own check of the file, the ledger's statements and signatures, every
leaf, body, tile, anchored root, micro-chain and derived row. The store is made by the product's own code: a gateway's
log, a commit for each anchor, merged through the collector's step without a broker. The file is in the cache of the
operating system: what is measured is checking, not the disk.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.figure import Effort, Figure, Goal, of_runs
from bench.scratch import scratch
from bench.sealing import READINGS, drafts, one_core
from collector import ledger
from collector.ingest import Message, Step
from collector.reader import FILE_NAME
from collector.reader import Reader as Collected
from collector.store import Store
from collector.verify import Report, verify_store
from gateway import outbox
from gateway.draft import Draft
from gateway.reader import Reader
from gateway.store import Store as Log
from vitaledger import messages, witness
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import ENTRIES, TILE, Entries
from vitaledger.opened import open_entry
from vitaledger.statement import Enrolment

LIVE = 16  # entries an anchor: eight devices, one entry each in 5 s, an anchor every 10 s
_PROVIDER = "bench.example"
_NAMES = ("spo2", "pulse", "pi")
# entries, signals an entry, entries an anchor, goal
_STORES = ((50_000, 1, 100, 1_000_000), (50_000, 1, LIVE, None), (20_000, 3, 100, 1_000_000))


@dataclass(frozen=True, slots=True)
class Ledger:
    """A collector's store, closed, and the ledger's key that `verify` is given."""

    path: Path
    vkey: str


def measure(effort: Effort) -> Iterator[Figure]:
    """Readings a second at 20 and 60 readings an entry, in anchors of a backlog's size and of a live gateway's."""
    for entries, signals, entries_an_anchor, goal in _STORES:
        yield from _measured(effort, effort.of(entries), signals, entries_an_anchor, Goal(goal) if goal else None)


def _measured(effort: Effort, entries: int, signals: int, an_anchor: int, goal: Goal | None) -> Iterator[Figure]:
    rates: list[float] = []
    opening: list[float] = []
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name, one_core():
        made = make(Path(name), entries, signals, an_anchor)
        for _ in range(effort.runs):
            began = time.perf_counter()
            report = checked(made, entries)
            seconds = time.perf_counter() - began
            rates.append(report.counts.readings / seconds)
            opening.append(_opened(made) / seconds)
    at = f"{signals * READINGS} readings an entry, {an_anchor} entries an anchor, {entries:,} entries, one core"
    what = f"verified from disk, {signals * READINGS} readings an entry, {an_anchor} entries an anchor"
    yield of_runs(what, rates, "readings/s", goal, at)
    yield of_runs("  of that, decoding entries and checking their commitments", opening, "", None, at)


def checked(made: Ledger, entries: int) -> Report:
    """Verify the store; SystemExit where it does not hold, because then nothing was measured."""
    report = verify_store(made.path, made.vkey)
    if not report.ok or report.counts.entries != entries:
        raise SystemExit(f"audit: {report.counts.entries} entries of {entries}: {report.failures[:3]}")
    return report


def _opened(made: Ledger) -> float:
    """Seconds that opening every entry takes, with nothing else done: what verification cannot go below."""
    seconds = 0.0
    with Collected.open(made.path) as store:
        for row in store.logs():
            for first in range(0, row.stored, TILE):
                rows = [(leaf, body) for _, leaf, body in store.entries(row.log, first, min(first + TILE, row.stored))]
                began = time.perf_counter()
                for leaf, body in rows:
                    open_entry(leaf, body)
                seconds += time.perf_counter() - began
    return seconds


def make(folder: Path, entries: int, signals: int, entries_an_anchor: int) -> Ledger:
    """Seal entries at a gateway, anchor them so many at a time, and merge them into a collector's store."""
    gateway = Ed25519Signer(messages.gateway_origin(_PROVIDER, "b1"), os.urandom(32))
    signer = Ed25519Signer(messages.ledger_origin(_PROVIDER), os.urandom(32))
    path = folder / FILE_NAME
    with (
        Log.open(folder / "gateway", gateway, random=os.urandom) as log,
        Reader.open(folder / "gateway") as sealed,
        Store.create(path, _PROVIDER, str(signer.vkey), ledger.empty_head(signer)) as store,
    ):
        step = _enrolled(store, signer, gateway)
        anchored = 0
        for first in range(0, entries, entries_an_anchor):
            fresh = drafts(first, min(entries_an_anchor, entries - first))
            log.commit([_of_signals(draft, signals) for draft in fresh])
            anchored = _merge(step, sealed, gateway.name, anchored, log.size)
        store.checkpoint_file()
    return Ledger(path, str(signer.vkey))


def _of_signals(draft: Draft, signals: int) -> Draft:
    if draft.values is None:
        return draft
    (series,) = draft.values.series
    several = tuple(replace(series, handle=handle) for handle in _NAMES[:signals])
    return replace(draft, values=replace(draft.values, series=several))


def _enrolled(store: Store, signer: Ed25519Signer, gateway: Ed25519Signer) -> Step:
    book = ledger.Ledger(store, signer)
    with store.transaction():
        index = book.append(Enrolment(1_700_000_000_000, "b1", gateway.name, str(gateway.vkey)))
        store.add_log("b1", gateway.name, str(gateway.vkey), index)
        book.seal()
    return Step(store, signer)


def _merge(step: Step, log: Reader, origin: str, anchored: int, size: int) -> int:
    """Anchor the log's newest head and hand over the entries behind the last; answers the size that is anchored."""
    path = log.consistency_proof(anchored, size) if anchored else []
    request = witness.encode_request(anchored, path, log.checkpoint() or b"")
    step.process([Message("b1", "up/checkpoint", request), *_messages(log, origin, anchored, size)], 1_700_000_000_000)
    while step.more:
        step.process([], 1_700_000_000_000)
    return size


def _messages(log: Reader, origin: str, first: int, size: int) -> Sequence[Message]:
    found: list[Message] = []
    while first < size:
        tile = first - first % TILE
        batch, _ = outbox.fill(log, first, min(size, tile + TILE))
        end = first + len(batch)
        proof = tuple(log.subtree_proof(tile, end, size))
        message = Entries(len(found) + 1, origin, size, first, tuple(batch), proof)
        found.append(Message("b1", "up/entries", ENTRIES.encode(message)))
        first = end
    return found
