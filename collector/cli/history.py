"""`history`: rows of a device, each verified while it is printed."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from collector.cli.common import (
    Context,
    json_option,
    pass_context,
    print_json,
    seq_option,
    since_option,
    span_of,
    until_option,
)
from collector.cli.times import show
from collector.generations import history as entries_of
from collector.history import Device, Seen, Span, find_device
from collector.verified import State, VerifiedStore
from vitaledger.rows import EventRow, ReadingRow, Row, WaveRow, as_plain, rows


@dataclass
class Summary:
    """What was shown. Readings and wave samples are counted apart; the rest counts entries."""

    readings: int = 0
    wave_samples: int = 0
    events: int = 0
    entries: int = 0
    proven: int = 0
    stored: int = 0
    findings: int = 0
    failed: int = 0
    readings_proven: int = 0
    signals: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """For the last line."""
        return {**self.__dict__, "signals": sorted(self.signals)}


@dataclass(frozen=True)
class Line:
    """A row to be printed; `row` is None for an entry of which nothing but a reason can be shown."""

    seen: Seen
    row: Row | None


def lines(
    store: VerifiedStore, device: Device, span: Span, signals: frozenset[str], summary: Summary, newest: int | None
) -> Iterator[Line]:
    """Every row of a device in a span, verified as it comes; `summary` counts along."""
    for seen in entries_of(store, device, span, newest):
        summary.entries += 1
        state = seen.verdict.state
        summary.proven += state is State.PROVEN
        summary.stored += state is State.STORED
        summary.findings += state is State.FINDING
        summary.failed += state is State.FAILED
        if state in {State.FAILED, State.FINDING}:
            yield Line(seen, None)
        for row in rows(seen.opened) if seen.opened else ():
            if not _wanted(row, span, signals):
                continue
            if isinstance(row, ReadingRow):
                summary.readings += 1
                summary.readings_proven += state is State.PROVEN
                summary.signals.add(row.signal)
            elif isinstance(row, WaveRow):
                summary.wave_samples += len(row.samples)
            else:
                summary.events += 1
            yield Line(seen, row)


def _wanted(row: Row, span: Span, signals: frozenset[str]) -> bool:
    inside = span.covers(row.at_us) or (isinstance(row, WaveRow) and span.covers(row.last_us))
    return inside and (not signals or (not isinstance(row, EventRow) and row.signal in signals))


@click.command()
@click.argument("device")
@since_option
@until_option
@seq_option
@click.option("--signals", metavar="A,B", help="Only these signals.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many rows.")
@click.option("--waves", is_flag=True, help="Wave samples too; they are always verified and counted.")
@json_option
@pass_context
def history(
    context: Context,
    *,
    device: str,
    since: str | None,
    until: str | None,
    seqs: str | None,
    signals: str | None,
    limit: int | None,
    waves: bool,
    as_json: bool,
) -> None:
    """Print what DEVICE sent, each row verified from its content up to the ledger's signature.

    DEVICE is a micro-chain, a serial number, a port, or a part of one. Exit 1 where a row failed.
    """
    span = span_of(since, until, seqs)
    summary = Summary()
    with context.verified() as store:
        found = find_device(store, device)
        wanted = frozenset(filter(None, (signals or "").split(",")))
        shown = (
            line
            for line in lines(store, found, span, wanted, summary, limit)
            if waves or not isinstance(line.row, WaveRow)
        )
        if not as_json:
            click.echo(f"{'time (UTC)':<24} {'signal':<16} {'value':>9} {'unit':<8} {'state':<7} quality")
        for line in shown if limit is None else deque(shown, limit):
            if as_json:
                print_json(as_object(found, line))
            else:
                click.echo(_text(line))
    if as_json:
        print_json({"summary": {"device": found.label, **summary.as_json()}})
    else:
        click.echo(
            f"{found.label}: {summary.readings} readings, {summary.wave_samples} wave samples, "
            f"{summary.entries} entries: {summary.proven} proven, {summary.stored} stored and not anchored yet, "
            f"{summary.findings} findings, {summary.failed} failed"
        )
    if summary.failed:
        raise SystemExit(1)


def as_object(device: Device, line: Line) -> dict[str, Any]:
    """A row as JSON; its exact time is wall_ms + offset_us."""
    seen, row = line.seen, line.row
    at_us = seen.at_us if row is None else row.at_us
    said: dict[str, Any] = {
        "time": show(at_us),
        "wall_ms": seen.at_us // 1000,
        "offset_us": at_us - seen.at_us,
        "device": device.label,
    }
    match row:
        case None:
            said["failed" if seen.verdict.state is State.FAILED else "finding"] = seen.verdict.reason
        case ReadingRow():
            said |= {
                "signal": row.signal,
                "value": row.value,
                "unit": row.unit,
                "absent": row.absence.label if row.absence else None,
                "quality": list(row.quality.labels),
                "provenance": row.provenance.label,
                "use": row.use.label,
            }
        case WaveRow():
            said |= {"wave": row.signal, "last_offset_us": row.last_us - seen.at_us, "samples": list(row.samples)}
        case EventRow():
            said |= {"event": row.name, "text": row.text, "fields": as_plain(row.event)}
    if seen.carried is not None:
        said["carried"] = {"origin": seen.carried[0], "index": seen.carried[1]}
    return said | {
        "origin": seen.log.origin,
        "index": seen.look.index,
        "chain": seen.chain,
        "seq": seen.seq,
        "state": seen.verdict.state.value,
    }


def _text(line: Line) -> str:
    seen, row = line.seen, line.row
    state = seen.verdict.state.value
    at = show(seen.at_us if row is None else row.at_us) if seen.at_us else "?"
    match row:
        case None:
            word = f"{at:<24} {state.upper()} {seen.verdict.reason}"
            return click.style(word, fg="red")
        case ReadingRow():
            value = row.value if row.value is not None else f"({row.absence.label if row.absence else 'absent'})"
            quality = ", ".join(row.quality.labels)
            return f"{at:<24} {row.signal:<16} {value:>9} {row.unit:<8} {state:<7} {quality}".rstrip()
        case WaveRow():
            return f"{at:<24} {row.signal:<16} {len(row.samples):>9} {'samples':<8} {state}"
        case EventRow():
            return f"{at:<24} {row.name:<16} {row.text} [{state}]"
