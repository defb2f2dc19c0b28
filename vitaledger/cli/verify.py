"""`vitaledger verify`: check an evidence file against a policy, with no network, and say in words what it proves."""

import io
import zipfile
import zlib
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import click

from vitaledger import evidence, policy
from vitaledger.entry import part_name
from vitaledger.errors import MalformedError
from vitaledger.events import Gap, Identity
from vitaledger.evidence import Verified
from vitaledger.evidence_files import TABLE
from vitaledger.marks import Provenance, Use
from vitaledger.rows import ReadingRow, describe, rows

MAX_FILE = 1024 * 1024  # one file inside, the table apart
MAX_TABLE = 1024 * 1024 * 1024
MAX_TOTAL = 2 * 1024 * 1024 * 1024

CANNOT = """\
What it cannot prove:
  that the sensor was on the right patient, or that the device measured well;
  that nobody who held the gateway's key wrote entries that were not yet anchored;
  that the device was on no other gateway at that time: this file speaks of one log;
  that no revocation of the gateway's key came after this ledger checkpoint;"""
NO_WITNESS = (
    "  that the provider shows everybody the same ledger: no witness's cosignature was asked for by the policy."
)
WITNESSED = "  anything that the witnesses of the policy agreed to hide together."


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--policy", "policy_file", type=click.Path(path_type=Path), required=True, help="Whom you trust: a policy file."
)
@click.option(
    "--succession",
    "notes",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="NOTE",
    help="By which a ledger of the policy names the one that goes on in its place; several in their order.",
)
def verify(file: Path, policy_file: Path, notes: tuple[Path, ...]) -> None:
    """Check an evidence FILE offline and print what it proves, and what it does not.

    Exit 0: it holds. 1: verification failed. 2: malformed file or wrong use.
    """
    trusted = policy.follow(policy.parse(_read(policy_file)), map(_read, notes))
    data = _read(file)
    found = evidence.verify(read_zip(file, data), trusted)
    click.echo("\n".join(words(found, trusted)))
    click.echo(f"SHA-256 of the file: {sha256(data).hexdigest()}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MalformedError(f"{path}: cannot be read: {error.strerror}") from None


def read_zip(path: Path, data: bytes | None = None) -> dict[str, bytes]:
    """The files in an evidence file; `data` is what `path` holds, where that was read already.

    Raises:
        MalformedError: not a zip, damaged, a name twice, or larger than evidence can be.
    """
    files: dict[str, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(path if data is None else io.BytesIO(data)) as archive:
            for info in archive.infolist():
                total += info.file_size
                if not (info.filename.isascii() and info.filename.isprintable()):
                    raise MalformedError(f"{path}: {info.filename!a}: no name of an evidence file")
                if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    raise MalformedError(f"{path}: {info.filename}: packed in a way that evidence is not")
                most = MAX_TABLE if info.filename == TABLE else MAX_FILE
                if info.filename in files or info.file_size > most or total > MAX_TOTAL:
                    raise MalformedError(f"{path}: {info.filename}: twice, or larger than evidence can be")
                files[info.filename] = archive.read(info)
    except OSError as error:
        raise MalformedError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, MalformedError):
            raise
        raise MalformedError(f"{path}: not an evidence file (a zip): {error}") from None
    return files


def _time(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "milliseconds").replace("+00:00", " UTC")
    except (ValueError, OverflowError, OSError):  # whatever a clock may claim
        return f"{ms} ms since 1970 UTC"


def words(found: Verified, trusted: policy.Policy) -> list[str]:
    """What an evidence file proves, line by line."""
    claim = found.claim
    count = claim.last - claim.first + 1
    readings = sum(opened.reading_count for opened in found.entries)
    absent = sum(
        isinstance(row, ReadingRow) and row.absence is not None for opened in found.entries for row in rows(opened)
    )
    samples = sum(opened.sample_count for opened in found.entries)
    head = found.ledger.checkpoint
    lines = [
        "VERIFIED",
        f"  device       {claim.chain}",
        *_identity(found),
        f"  entries      {claim.first} to {claim.last} of that micro-chain: {count}, complete, linked, none between",
        f"  readings     {readings}" + (f", of which {absent} are stated absences" if absent else ""),
        f"  wave samples {samples}",
        f"  gaps         {sum(isinstance(opened.event, Gap) for opened in found.entries)}",
        *_gaps(found),
        f"  signed by    gateway {found.gateway}: {found.gateway_vkey}",
        *(f"               which goes on in the place of {origin}" for origin in found.predecessors),
        f"  sealed       before {_time(found.anchored_ms)}, by the collector's clock: anchored at {found.gateway_size}",
        f"               {_after(found.after_ms)}",
        *(f"               seen by {each.name} at {_time(each.time * 1000)}" for each in found.ledger.cosignatures),
        *_claimed(found),
        f"  ledger       {head.origin}, size {head.size}",
        f"  table        {TABLE} and the texts are what the entries say",
        f"  exported     {claim.exported} by {claim.by or 'nobody named'}, with {claim.program} (not proven)",
        *(f"  elsewhere    {other} (the exporter's word)" for other in claim.elsewhere),
    ]
    if found.withheld:
        names = ", ".join(part_name(part) for part in found.withheld)
        lines.append(f"  left out     {names}: not in this file; the rest verifies without them")
    lines += [f"  FINDING      {finding}" for finding in found.findings]
    return [*lines, CANNOT, NO_WITNESS if trusted.quorum is None else WITNESSED]


def _after(after_ms: int | None) -> str:
    if after_ms is None:
        return "after: nothing says; the gateway had quoted no ledger head before"
    return f"after {_time(after_ms)}, by the collector's clock: the gateway had quoted a ledger head of that time"


def _identity(found: Verified) -> list[str]:
    told = [(opened.event, opened.entry) for opened in found.entries if isinstance(opened.event, Identity)]
    uses = Counter(Use(opened.values.use) for opened in found.entries if opened.values is not None) or Counter(
        event.use for event, _ in told
    )
    provenances = Counter(Provenance(opened.values.provenance) for opened in found.entries if opened.values is not None)
    lines = [f"               {describe(event, entry.clock)}" for event, entry in told]
    if not told:
        lines.append("               identity: told before the entries shown")
    if uses and set(uses) != {Use.CLINICAL}:
        lines.append(f"  NOT CLINICAL use is stated as {', '.join(use.label for use in uses)}")
    if provenances:
        lines.append(f"  origin       {', '.join(provenance.label for provenance in provenances)}")
    return lines


def _gaps(found: Verified) -> list[str]:
    return [
        f"               {_time(opened.entry.clock.wall_ms)}: {describe(opened.event, opened.entry.clock)}"
        for opened in found.entries
        if isinstance(opened.event, Gap)
    ]


def _claimed(found: Verified) -> list[str]:
    if not found.entries:
        return []
    first, last = found.entries[0].entry.clock, found.entries[-1].entry.clock
    bounds = [opened.entry.clock.bound_ms for opened in found.entries]
    known = [bound for bound in bounds if bound is not None]
    bound = f"error at most {max(known)} ms, as it said" if len(known) == len(bounds) else "not always synchronised"
    return [f"  gateway time {_time(first.wall_ms)} to {_time(last.wall_ms)} (a claim of the gateway's clock, {bound})"]
