"""`verify`: the whole store, checked anew."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from collector.cli.common import Context, json_option, now_us, pass_context, print_json
from collector.verify import UNDETECTABLE, Failure, Report, verify_store
from vitaledger.errors import MalformedError

_SHOWN = 25


@click.command()
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A checkpoint from outside, or a .tlog-proof such as a receipt: finds a store that was rolled back.",
)
@click.option("--vkey", help="The ledger's key, where it is not to be read from the key file.")
@json_option
@pass_context
def verify(context: Context, *, against: Path | None, vkey: str | None, as_json: bool) -> None:
    """Check everything that is stored, from the bytes up to the signatures, and name the first bad entry.

    Exit 0: all holds. 1: something does not. 2: malformed input or misuse.
    """
    outside = _read(against) if against is not None else None
    path = context.config.store_path
    show = None if as_json or not sys.stderr.isatty() else lambda what: click.echo(f"checking {what}", err=True)
    report = verify_store(path, vkey or context.vkey, against=outside, progress=show)
    from vitaledger.cli.doctor import machine  # noqa: PLC0415  brings what the other commands do not need

    machine.remember_verify(context.config.state_dir, ok=report.ok, size=report.counts.entries, now=now_us() / 1e6)
    if as_json:
        print_json(as_object(report))
    else:
        click.echo("\n".join(words(report)))
    if not report.ok:
        raise SystemExit(1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MalformedError(f"{path}: cannot be read: {error.strerror}") from error


def words(report: Report) -> list[str]:
    """A report as people read it: the first bad entry first."""
    counts = report.counts
    lines = [
        f"checked {counts.statements} statements, {counts.anchors} anchors, {counts.tiles} tiles",
        f"checked {counts.entries} entries: {counts.readings} readings, {counts.wave_samples} wave samples",
    ]
    lines += [f"remark: {remark}" for remark in report.remarks[:_SHOWN]]
    if report.ok:
        return [*lines, "VERIFIED: everything holds"]
    first = report.first_entry
    if first is not None and first.entry is not None:
        lines += ["FIRST BAD ENTRY", *_entry(first)]
    lines.append(f"FAILED: {report.failed} failures")
    lines += [f"  {failure}" for failure in report.failures[:_SHOWN]]
    if report.failed > _SHOWN:
        lines.append(f"  … and {report.failed - _SHOWN} more (--json has up to {len(report.failures)})")
    if report.untouched:
        lines.append(f"untouched: {', '.join(report.untouched)}")
    return lines


def _entry(failure: Failure) -> list[str]:
    place = failure.entry
    if place is None:
        return []
    return [
        f"  gateway           {place.gateway} ({place.origin})",
        f"  index             {place.index}",
        f"  micro-chain       {place.chain if place.chain is not None else 'cannot be told'}",
        f"  sequence          {place.seq if place.seq is not None else 'cannot be told'}",
        f"  what              {failure.reason}",
        *([f"  expected          {failure.expected}"] if failure.expected else []),
        *([f"  found             {failure.found}"] if failure.found else []),
        "  last good anchor  " + ("none" if place.last_good_anchor is None else f"size {place.last_good_anchor}"),
    ]


def as_object(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    first = report.first_entry
    return {
        "verified": report.ok,
        "ledger_size": report.ledger_size,
        "failed": report.failed,
        "first_bad_entry": asdict(first) if first else None,
        "failures": [asdict(failure) for failure in report.failures],
        "remarks": report.remarks,
        "counts": asdict(report.counts),
        "untouched": report.untouched,
        "cannot_be_found": list(UNDETECTABLE),
    }
