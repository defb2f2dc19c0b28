"""The chart of a device over an interval, in parts as they are verified, newest first.

    {"head": …}     first: the interval, the width of a cell, what was in force at its start
    {"part": …}     again and again: cells, runs of proof, events (`parts.Part.plain`)
    {"done": …}     last: how many entries were verified, and how many events were left out

A cell as wide as a minute or more is made from kept blocks (`desk`), a narrower one from the entries themselves. What
the page does not have yet it shows as being verified: nothing else is ever shown in its place.
"""

import time
from collections.abc import Iterator
from typing import Any

from collector import history
from collector.carried import carried_history
from collector.history import Device, Seen, Span
from collector.rows import ChainRow, LogRow
from collector.verified import VerifiedLog
from collector.web.checker.cells import Cells
from collector.web.checker.desk import BLOCK, MINUTE_US, PIECE, Desk
from collector.web.checker.parts import MAX_EVENTS, Part
from collector.web.checker.told import Told, event
from vitaledger.events import Alarm, ClockOffset, Identity

Answer = dict[str, Any] | None
WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 300, 600, 1800, 3600, 14_400, 86_400)
MAX_COLUMNS = 2016  # no screen is wider than this
_SEND_S = 0.1
_BACK = 16


def width_of(from_us: int, to_us: int) -> int:
    """The width of a cell, in µs, so that an interval has at most MAX_COLUMNS of them where that is possible."""
    span_s = (to_us - from_us) / 1e6
    return next((width for width in WIDTHS_S if span_s / width <= MAX_COLUMNS), WIDTHS_S[-1]) * 1_000_000


def chart(desk: Desk, device: Device, from_us: int, to_us: int) -> Iterator[Answer]:
    """The answers of one chart; None where nothing is to be sent yet and another job may have its turn."""
    width = width_of(from_us, to_us)
    from_us, to_us = from_us - from_us % width, to_us + -to_us % width
    yield {"head": {"from_us": from_us, "to_us": to_us, "cell_us": width, **_in_force(desk, device, from_us, to_us)}}
    waiting, sent, entries, left_out, told = Part(Cells(width)), time.monotonic(), 0, 0, 0
    for part in _parts(desk, device, from_us, to_us, width):
        part.clip(from_us, to_us)
        entries += part.entries
        room = max(MAX_EVENTS - told, 0)
        left_out += max(len(part.events) - room, 0)
        part.events = part.events[:room]
        told += len(part.events)
        waiting.add(part)
        if time.monotonic() - sent < _SEND_S:
            yield None
            continue
        yield {"part": waiting.plain()}
        waiting, sent = Part(Cells(width)), time.monotonic()
    yield {"part": waiting.plain()}
    yield {"done": {"entries": entries, "events_left_out": left_out}}


def _parts(desk: Desk, device: Device, from_us: int, to_us: int, width: int) -> Iterator[Part]:
    wide = width >= MINUTE_US
    span = Span(from_us, to_us)
    for row, chain in reversed(device.chains):
        for first, last in desk.units(desk.log(row), chain, span, BLOCK if wide else PIECE):
            log = desk.log(row)
            if not wide:
                yield desk.verify(log, chain, first, last, width, (from_us, to_us - 1))
                continue
            packed, kept = desk.part(log, chain, first, last)
            part = Part(packed.coarsen(width, from_us, to_us))
            part.add(kept)
            yield part
        apart = [*history.out_of_order(desk.log(row), chain, span), *carried_history(desk.store, row, chain.name, span)]
        if apart:
            yield Part.of(desk.log(row), apart, width, from_us, to_us - 1)


# -- what was in force ------------------------------------------------------------------------------------------------


def _in_force(desk: Desk, device: Device, from_us: int, to_us: int) -> dict[str, Any]:
    """Identity, alarm and settings at the start of an interval, each from an entry that holds; None: none told."""
    for row, chain in device.chains:
        log = desk.log(row)
        found = history.runs_of(log, chain, Span(from_us, to_us))
        if found:
            first = _first_in(log, chain, found[0][0], from_us)
            identity, alarm = state_before(log, chain, first)
            clock = clock_told(desk, log, chain, first - 1)
            if identity is None:
                identity = _first(log, chain, first)
            return {"identity": identity, "alarm": alarm, "clock": clock, "settings": None, "begins_here": first == 0}
    return {"identity": None, "alarm": None, "clock": None, "settings": None, "begins_here": False}


def _first_in(log: VerifiedLog, chain: ChainRow, seq: int, from_us: int) -> int:
    """The first entry from `seq` on that reaches into an interval: those before it are only near it."""
    for seen in history.run(log, chain, seq, min(seq + PIECE, chain.next_seq - 1)):
        if seen.opened is not None and seen.at_us + seen.opened.last_us >= from_us:
            return seen.seq
    return seq


def clock_told(desk: Desk, log: VerifiedLog, chain: ChainRow, last: int) -> Told | None:
    """How far the device's clock was off, as told at entry `last` or before, where that was verified once."""
    known = [seq for seq in desk.of(chain).clocks if seq <= last]
    return _event_at(log, chain, max(known), ClockOffset) if known else None


def state_before(log: VerifiedLog, chain: ChainRow, seq: int) -> tuple[Told | None, Told | None]:
    """The identity and the alarm entry that were in force before entry `seq`, as far as the entries before it tell."""
    found: dict[type, Told | None] = {}
    back = list(history.run(log, chain, max(seq - _BACK, 0), seq - 1)) if seq else []
    for seen in reversed(back):
        opened = seen.opened
        if opened is None:
            continue
        if isinstance(opened.event, Identity | Alarm):
            found.setdefault(type(opened.event), event(log, seen))
        if opened.values is not None:
            context = opened.values.context
            for kind, at in ((Identity, context.identity), (Alarm, context.alarm)):
                if kind not in found:
                    found[kind] = None if at is None else _event_at(log, chain, at, kind)
            break
    return found.get(Identity), found.get(Alarm)


def _first(log: VerifiedLog, chain: ChainRow, seq: int) -> Told | None:
    for seen in history.run(log, chain, seq, min(seq + _BACK, chain.next_seq - 1)):
        if seen.opened is not None and isinstance(seen.opened.event, Identity):
            return event(log, seen)
    return None


def _event_at(log: VerifiedLog, chain: ChainRow, seq: int, kind: type) -> Told | None:
    seen: Seen | None = next(history.run(log, chain, seq, seq), None) if seq < chain.next_seq else None
    held = seen is not None and seen.opened is not None and isinstance(seen.opened.event, kind)
    return event(log, seen) if held and seen is not None else None


def newest(log: VerifiedLog, row: LogRow, chain: ChainRow, count: int) -> list[Seen]:  # noqa: ARG001
    """The newest entries of a micro-chain, verified."""
    end = chain.next_seq - 1
    return list(history.run(log, chain, max(end - count + 1, 0), end)) if end >= 0 else []
