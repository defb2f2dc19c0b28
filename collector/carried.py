"""Entries that a successor log carries over: shown where they belong, in the micro-chain of the log that ended.

A carried entry is proven to be what its gateway still had: it stands verbatim in an entry of the successor, which is
proven as any other. That the old log held it where it says is not proven by itself; its link to the entry before it is
checked wherever that one is known, here or carried over too. An entry that the old log's mirror has as well is shown
once, from there. Where two copies went on, both branches have entries of the same numbers: all are shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from collector.history import Seen, Span, overlaps
from collector.rows import CarriedRow, LogRow
from collector.verified import Look, State, Verdict, VerifiedLog, VerifiedStore
from vitaledger.entry import Part, encode_body, entry_hash, genesis, parse_body
from vitaledger.errors import MalformedError, VerificationError, VitaledgerError
from vitaledger.events import Carried
from vitaledger.opened import open_entry

_SLACK_MS = 120_000  # an entry may reach beyond its clock


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry as it was carried, its pieces joined."""

    row: CarriedRow
    by: LogRow
    outer: Verdict
    leaf: bytes
    body: bytes


def carried_history(store: VerifiedStore, old: LogRow, chain: str, span: Span) -> Iterator[Seen]:
    """The carried entries of a micro-chain in a span, in order of their numbers, without those that `old` has."""
    mirror = store.log(old)
    known: dict[int, set[bytes]] = {}
    shown: set[tuple[int, bytes]] = set()
    for found in _joined(store, old, chain, span):
        if isinstance(found, Seen):
            yield found
            continue
        hashed = entry_hash(found.leaf)
        known.setdefault(found.row.seq, set()).add(hashed)
        if (found.row.at, hashed) in shown or _has(mirror, found.row.at, hashed):
            continue
        shown.add((found.row.at, hashed))
        seen = _see(mirror, chain, found, known.get(found.row.seq - 1, set()))
        if seen.verdict.state is State.FAILED or span.first_seq is not None or overlaps(seen, span):
            yield seen


def _joined(store: VerifiedStore, old: LogRow, chain: str, span: Span) -> Iterator[_Found | Seen]:
    logs = {row.log: row for row in store.reader.logs()}
    last: _Found | None = None
    for row in store.reader.carried(old.origin, chain):
        by = logs.get(row.log)
        if by is None or by.gateway != old.gateway or not _may_cover(span, row):
            continue
        look = store.log(by).look(row.idx)
        event = look.opened.event if look.opened else None
        if not isinstance(event, Carried) or (event.origin, event.index) != (row.origin, row.at):
            reason = look.verdict.reason or "nothing is carried over here"
            failed = Look(row.at, Verdict(State.FAILED, f"{by.origin} entry {row.idx}: {reason}"))
            yield Seen(old, chain, row.seq, row.wall_ms * 1000, failed, (by.origin, row.idx))
            continue
        found = _Found(row, by, look.verdict, event.leaf, event.body)
        if last is not None and (last.by, last.row.at, last.leaf) == (by, row.at, event.leaf):
            last = replace(last, body=_join(last.body, event.body))
            continue
        if last is not None:
            yield last
        last = found
    if last is not None:
        yield last


def _join(one: bytes, other: bytes) -> bytes:
    parts: dict[int, Part] = {part.type: part for part in (*parse_body(one), *parse_body(other))}
    return encode_body([parts[kind] for kind in sorted(parts)])


def _may_cover(span: Span, row: CarriedRow) -> bool:
    if span.first_seq is not None or span.last_seq is not None:
        return row.seq >= (span.first_seq or 0) and (span.last_seq is None or row.seq <= span.last_seq)
    from_ms = None if span.from_us is None else span.from_us // 1000 - _SLACK_MS
    to_ms = None if span.to_us is None else span.to_us // 1000
    return (from_ms is None or row.wall_ms >= from_ms) and (to_ms is None or row.wall_ms <= to_ms)


def _has(mirror: VerifiedLog, index: int, hashed: bytes) -> bool:
    look = mirror.look(index)
    return look.hash == hashed and look.verdict.state in {State.PROVEN, State.STORED}


def _see(mirror: VerifiedLog, chain: str, found: _Found, carried_before: set[bytes]) -> Seen:
    row, where = found.row, (found.by.origin, found.row.idx)
    try:
        opened = open_entry(found.leaf, found.body)
        entry = opened.entry
        if (entry.chain, entry.seq) != (chain, row.seq):
            raise VerificationError(f"expected {chain} entry {row.seq}, found {entry.chain} entry {entry.seq}")
        before = carried_before | _mirrored(mirror, chain, row.seq - 1)
        if before and entry.prev not in before:
            raise VerificationError(f"{chain} entry {row.seq}: prev: {entry.prev.hex()[:16]}… is of no entry before it")
    except VitaledgerError as error:
        verdict = Verdict(State.FINDING if isinstance(error, MalformedError) else State.FAILED, str(error))
        return Seen(mirror.row, chain, row.seq, row.wall_ms * 1000, Look(row.at, verdict), where)
    verdict = found.outer
    if opened.withheld and verdict.state is not State.FAILED:
        verdict = Verdict(State.FINDING, f"{chain} entry {row.seq}: a part of its body was lost before it was carried")
    look = Look(row.at, verdict, entry_hash(found.leaf), entry, opened)
    return Seen(mirror.row, chain, row.seq, entry.clock.wall_ms * 1000, look, where)


def _mirrored(mirror: VerifiedLog, chain: str, seq: int) -> set[bytes]:
    """The hash that the old log's mirror has for an entry of the micro-chain."""
    if seq < 0:
        return {genesis(mirror.row.origin, chain)}
    row = mirror.reader.chain_of(mirror.row.log, chain)
    place = [] if row is None else mirror.reader.positions(row.chain, seq, seq)
    found = mirror.look(place[0].idx).hash if place else None
    return set() if found is None else {found}
