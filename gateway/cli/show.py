"""The commands that only read: `status`, `verify`, `history`, `receipt`."""

import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway import config as configuration
from gateway import disk, generations, keys, ledgers, report, schema
from gateway import verify as checking
from gateway.history import History, Shown, pages
from gateway.locked import is_locked
from gateway.reader import Reader
from gateway.receipts import open_receipt
from vitaledger import proof
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.keys import Ed25519Verifier
from vitaledger.rows import EventRow, ReadingRow, Row, WaveRow, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from gateway.config import Config
    from gateway.runs import Run

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_LOG = click.option(
    "--log", "number", type=click.IntRange(min=1), metavar="N", help="The gateway's N-th log; default: the newest."
)


def _load(path: Path | None, number: int | None = None) -> "tuple[Config, Ed25519Verifier]":
    found = generations.choose(configuration.load(configuration.find(path)), number)
    return found, Ed25519Verifier(keys.load(found.key, found.origin).vkey)


@click.command()
@_JSON
@_LOG
@click.option("--watch", is_flag=True, help="Show it again every two seconds.")
@click.pass_obj
def status(path: Path | None, *, number: int | None, as_json: bool, watch: bool) -> None:
    """Show devices, last readings, backlog, last receipt and clock."""
    if as_json:
        while True:
            click.echo(json.dumps(_status(*_load(path, number)).as_json()))
            if not watch:
                return
            time.sleep(2)
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console()
    if not watch:
        console.print(_table(_status(*_load(path, number))))
        return
    with Live(console=console) as live:
        while True:
            live.update(_table(_status(*_load(path, number))))
            time.sleep(2)


def _status(found: "Config", key: Ed25519Verifier) -> report.GatewayStatus:
    running, now_ms = is_locked(found.state), time.time_ns() // 1_000_000
    if not (found.state / schema.DATABASE).is_file():
        return report.make(found.gateway, key, None, running=running, now_ms=now_ms)
    with Reader.open(found.state) as reader:
        believed = ledgers.load(found)
        made = report.make(found.gateway, key, reader, running=running, now_ms=now_ms, ledgers=believed)
        word, free = disk.describe(
            found.state, round(found.record.min_free_mb * 2**20), reader.reusable, running=running
        )
        return replace(made, disk=word, disk_free=free)


def _table(now: report.GatewayStatus) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    state = "running" if now.running else "not running"
    table = Table(title=f"{now.origin}: {state}", title_justify="left")
    for column in ("device", "entries", "last entry", "latest values"):
        table.add_column(column)
    for device in now.devices:
        values = device.failure or ", ".join(f"{name} {value or '–'}" for name, value in device.values.items())
        last = _ago(device.age_s) + ("" if device.line is None else f", line {device.line}")
        table.add_row(device.chain, str(device.entries), last, values)
    waited = "" if now.receipt_ms_p50 is None else f", after {now.receipt_ms_p50} ms (p99 {now.receipt_ms_p99} ms)"
    receipt = f"{now.custody_size} entries, {_ago(now.receipt_age_s)}{waited}" if now.custody_size else "none yet"
    bound = "unknown" if now.clock_bound_ms is None else f"±{now.clock_bound_ms} ms"
    table.caption = (
        f"{now.size} entries, {now.backlog} not yet receipted; last receipt: {receipt}; clock error: {bound}"
    )
    if now.disk != "ok":
        table.caption += f"; disk {now.disk}"
    table.caption_justify = "left"
    return table


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"


@click.command()
@_JSON
@_LOG
@click.pass_obj
def verify(path: Path | None, *, number: int | None, as_json: bool) -> None:
    """Check everything that is stored; exit 1 and name the first bad entry where something is wrong."""
    found, key = _load(path, number)
    with Reader.open(found.state) as reader:
        done = checking.verify_store(
            reader, key, ledgers.load(found).keys, _progress if _quiet(as_json) else checking.silent
        )
    from vitaledger.cli.doctor import machine  # noqa: PLC0415  brings what the other commands do not need

    machine.remember_verify(found.state, ok=done.ok, size=done.size, now=time.time())
    if as_json:
        click.echo(json.dumps({"ok": done.ok, **asdict(done)}))
    else:
        click.echo(
            f"{done.origin}: {done.entries} of {done.size} entries ({done.readings} readings, {done.samples} wave "
            f"samples), {done.tiles} tiles, {done.receipts} receipts; the collector has custody of {done.custody}"
        )
        if done.pruned:
            click.echo(f"{done.pruned} bodies were pruned; their entries are under receipts")
        for remark in done.remarks:
            click.echo(f"remark: {remark}")
    if done.failure is not None:
        raise VerificationError(f"verification failed: {done.failure}")
    if not as_json:
        click.echo("Everything holds.")


def _quiet(as_json: bool) -> bool:  # noqa: FBT001
    return not as_json and sys.stderr.isatty()


def _progress(done: int, size: int) -> None:
    click.echo(f"\r{done} of {size} entries", nl=done == size, err=True)


@click.command()
@click.argument("what", metavar="CHAIN|PORT|SERIAL")
@click.option("--from", "since", metavar="TIME", help="From this time on (ISO 8601; UTC where it names no zone).")
@click.option("--to", "until", metavar="TIME", help="Up to this time.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The last N rows only.")
@_LOG
@_JSON
@click.pass_obj
def history(
    path: Path | None,
    what: str,
    *,
    since: str | None,
    until: str | None,
    limit: int | None,
    number: int | None,
    as_json: bool,
) -> None:
    """Print a device's rows from the local log, each verified while printing.

    An interval is looked up, not searched for: what was recorded under a wrong time, while the clock was wrong for a
    while, is found by the whole history or by the collector's.
    """
    found, key = _load(path, number)
    begin, end = _time_us(since), _time_us(until)
    failed = 0
    with Reader.open(found.state) as reader, reader.snapshot():
        log = History(reader, key)
        newest = reader.newest_receipt()
        custody = newest.size if newest else 0
        chains = log.find(what)
        runs = log.within(None if begin is None else begin // 1000, None if end is None else -(-end // 1000))
        lines = partial(_lines, log, chains, _Span(begin, end), custody)
        for record, text in _newest(lines, runs, limit) if limit else lines(runs):
            failed += record["proof"] == "failed"
            click.echo(json.dumps(record) if as_json else text)
    if failed:
        raise VerificationError(f"{failed} entries could not be verified")


@dataclass(frozen=True, slots=True)
class _Span:
    """µs since 1970 UTC, the end excluded; None is open."""

    begin: int | None
    end: int | None

    def __contains__(self, at_us: int) -> bool:
        return (self.begin is None or self.begin <= at_us) and (self.end is None or at_us < self.end)


_Line = tuple[dict[str, Any], str]


def _newest(lines: "Callable[[list[Run]], Iterator[_Line]]", runs: "list[Run]", limit: int) -> list[_Line]:
    """The last lines of some runs, read from the end."""
    found: deque[_Line] = deque()
    for page in reversed(list(pages(runs))):
        found.extendleft(reversed(list(lines([page]))))
        if len(found) >= limit:
            break
    return list(found)[-limit:]


def _lines(log: History, chains: list[str], span: _Span, custody: int, runs: "list[Run]") -> "Iterator[_Line]":
    for shown in log.forward(chains, runs):
        state = "failed" if shown.failure else "custody" if shown.index < custody else "sealed"
        base = {"index": shown.index, "proof": state}
        if shown.entry is not None:
            base |= {"chain": shown.entry.chain, "seq": shown.entry.seq}
        if shown.opened is None:
            at_us = shown.entry.clock.wall_ms * 1000 if shown.entry else span.begin or 0
            if shown.failure or at_us in span:  # what failed may claim any time
                reason = shown.failure or "body pruned"
                yield {**base, "at": _iso(at_us), "reason": reason}, f"{_iso(at_us)}  {_place(shown)}{state}: {reason}"
            continue
        for row in rows(shown.opened):
            if row.at_us in span:
                yield {**base, **_record(row)}, f"{_iso(row.at_us)}  {_text(row)}  [{state}]"


def _place(shown: Shown) -> str:
    return f"entry {shown.index}: "


def _record(row: Row) -> dict[str, Any]:
    at = {"at": _iso(row.at_us)}
    match row:
        case ReadingRow():
            return at | {
                "signal": row.signal,
                "value": row.value,
                "unit": row.unit,
                "absence": row.absence.label if row.absence else None,
                "quality": list(row.quality.labels),
                "provenance": row.provenance.label,
                "use": row.use.label,
            }
        case WaveRow():
            return at | {"wave": row.signal, "samples": len(row.samples)}
        case EventRow():
            return at | {"event": row.name, "text": row.text}


def _text(row: Row) -> str:
    match row:
        case ReadingRow():
            value = (
                f"{row.value} {row.unit}"
                if row.value is not None
                else f"– ({row.absence.label if row.absence else ''})"
            )
            marks = " ".join(row.quality.labels)
            use = "" if row.use.label == "clinical" else row.use.label.upper()
            return "  ".join(filter(None, (f"{row.signal:<12}", f"{value:<16}", marks, use)))
        case WaveRow():
            return f"{row.signal:<12}  {len(row.samples)} samples"
        case EventRow():
            return f"{row.name:<12}  {row.text}"


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_us(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise MisuseError(f"time {text!r}: expected ISO 8601, as 2026-01-31T08:00:00Z") from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.pass_obj
def receipt(path: Path | None, output: Path | None) -> None:
    """Write the newest verified checkpoint of the provider ledger, for `vitaledger-collector verify --against`."""
    found, _ = _load(path)
    with Reader.open(found.state) as reader:
        newest = reader.newest_receipt()
        if newest is None:
            raise MisuseError("there is no receipt yet")
        open_receipt(newest.statement, newest.proof, found.origin, ledgers.load(found).keys)
        data = proof.parse(newest.proof).checkpoint
    if output is None:
        click.echo(data.decode(), nl=False)
    else:
        output.write_bytes(data)
