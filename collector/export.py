"""Evidence out of the store: one run of a device's entries, with all that somebody who trusts nobody needs.

The run is entries a − 1 … b + 1 of one micro-chain, each with its inclusion proof under the anchored checkpoint of its
gateway; that anchor and the enrolment of the gateway's key with theirs under the ledger's checkpoint; a heads entry
behind the last entry where there is none after it, and one before the first, whose quoted ledger head shows after
which time the run was sealed. Rows are read as they are stored; the whole is verified, each entry opened, by the code
that its reader will run, before a file is written.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from collector.heads import heads_after, heads_before, proven_at
from collector.history import (
    Device,
    Seen,
    Span,
    chain_history,
    devices,
    out_of_order,
    overlaps,
    run,
    runs_of,
)
from collector.rows import ChainRow, LogRow
from collector.verified import State, VerifiedLog, VerifiedStore
from vitaledger import evidence, merkle, policy
from vitaledger.entry import PartType, parse_body, parse_leaf, part_name, verify_body
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.evidence import Claim, Proven, Shown, Verified
from vitaledger.statement import Succession

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the files carry no time of their own: same evidence, same bytes
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was collected: the files, what they prove, and what the person who exports has to know."""

    files: Mapping[str, bytes]
    verified: Verified
    remarks: tuple[str, ...]


def export(
    store: VerifiedStore,
    device: Device,
    span: Span,
    *,
    exported: str,
    by: str,
    program: str,
    raw: bool = False,
    waves: bool = False,
) -> Exported:
    """Collect the evidence for the entries of a device in a span.

    `exported` (when), `by` (whom) and `program` (with its version) are claims for its manifest.

    Raises:
        MisuseError: the span holds no proven entry, or entries of several logs.
        VerificationError: an entry in it does not hold, or is missing.
    """
    log, chain, first, last = _one_run(store, device, span)
    remarks = []
    found = _rows(log, chain, max(first - 1, 0), min(last + 1, chain.next_seq - 1))
    shown = [each for each in found if each.index < log.anchored]
    asked = [each.seq for each in shown if first <= each.seq <= last]
    if not asked:
        raise MisuseError(f"{device.label}: no entry in this span is anchored yet: try again in some seconds")
    if asked[-1] < last:
        remarks.append(f"{last - asked[-1]} entries that are not anchored yet were left out")
        last = asked[-1]
    closing = None
    if shown[-1].seq == last:
        end = shown[-1]
        closing = heads_after(log, chain, end.index, end.seq, merkle.leaf_hash(end.leaf))
        if closing is None:
            if first == last:
                raise MisuseError(
                    f"{chain.name} entry {last}: nothing shows yet that it is the last one: try again later"
                )
            last -= 1
            remarks.append(f"entry {last + 1} is the newest: it shows that the run is complete up to entry {last}")
    withheld = frozenset([int(PartType.RAW)] * (not raw) + [int(PartType.WAVES)] * (not waves))
    before, after = heads_before(store, log, shown[0].index)
    heads = [_row(log, index) for index in (before, closing) if index is not None]
    rows = {each.index: each for each in [*heads, *shown]}  # in a gateway's own micro-chain heads are of the run
    left_out = {index: _parts_of(row) & withheld for index, row in rows.items()}
    files = evidence.build(
        Claim(log.row.origin, chain.name, first, last, exported, by, program, elsewhere(store, log.row, chain)),
        list(_shown(log, [rows[index] for index in sorted(rows)], left_out)),
        proven_at(store, log.anchor_statement),
        proven_at(store, log.row.enrolled),
        store.ledger.head.raw,
        after,
        _predecessors(store, log.row),
    )
    trusted = policy.parse(f"log {store.ledger.vkey}\nquorum none\n".encode())
    try:
        return Exported(*evidence.complete(files, trusted), tuple(remarks))
    except (MalformedError, VerificationError) as error:
        raise VerificationError(f"cannot be evidence: {error}") from None


def elsewhere(store: VerifiedStore, row: LogRow, chain: ChainRow) -> tuple[str, ...]:
    """The other micro-chains that the ledger knows of the same device, each "<origin> <chain>".

    The same device is the same serial number, on whatever port; one known only by its port, the same port of its
    gateway.
    """
    return tuple(
        sorted(
            {
                f"{other.origin} {found.name}"
                for device in devices(store.reader)
                for other, found in device.chains
                if _same_device(row, chain.name, other, found.name)
                and (other.origin, found.name) != (row.origin, chain.name)
            }
        )
    )


def _same_device(row: LogRow, name: str, other: LogRow, found: str) -> bool:
    if ":sn:" in name:
        return found.partition("@")[0] == name.partition("@")[0]
    return found == name and other.gateway == row.gateway


def pack(files: Mapping[str, bytes]) -> bytes:
    """An evidence file's bytes; the same evidence gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return packed.getvalue()


def one_log(store: VerifiedStore, device: Device, span: Span) -> tuple[VerifiedLog, ChainRow, list[Seen]]:
    """The entries of a device in a span, those that do not hold as well; MisuseError where they are not of one log."""
    logs = [(store.log(row), chain) for row, chain in device.chains]
    return _only(device, [(log, chain, seen) for log, chain in logs if (seen := list(chain_history(log, chain, span)))])


def _only(device: Device, found: list[tuple[VerifiedLog, ChainRow, list[T]]]) -> tuple[VerifiedLog, ChainRow, list[T]]:
    if not found:
        raise MisuseError(f"{device.label}: no entry in this span")
    if len(found) > 1:
        origins = ", ".join(log.row.origin for log, _, _ in found)
        raise MisuseError(
            f"{device.label}: entries of several logs ({origins}): evidence is of one, name it by --origin"
        )
    return found[0]


def is_anchored(log: VerifiedLog, seen: Seen) -> bool:
    """Whether an entry lies under the anchored checkpoint that evidence is proven by."""
    return 0 <= seen.look.index < log.anchored


# -- the entries of a span: found here, proven as a whole when the file is -------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """An entry as it is stored; its leaf has the hash of its place in the log, where that is anchored."""

    seq: int
    index: int
    leaf: bytes
    body: bytes


def _one_run(store: VerifiedStore, device: Device, span: Span) -> tuple[VerifiedLog, ChainRow, int, int]:
    logs = [(store.log(row), chain) for row, chain in device.chains]
    log, chain, runs = _only(device, [(log, chain, runs) for log, chain in logs if (runs := _runs(log, chain, span))])
    if log.failure is not None:
        raise VerificationError(f"cannot be evidence: {log.failure}")
    if len(runs) > 1 or any(out_of_order(log, chain, span)):
        raise MisuseError(
            f"{device.label}: this span is no one run of entries (the gateway's clock ran back): use --seq"
        )
    return log, chain, *runs[0]


def _runs(log: VerifiedLog, chain: ChainRow, span: Span) -> list[tuple[int, int]]:
    """The runs of a span, without what lies beside it at their ends."""
    found: list[tuple[int, int]] = []
    for first, last in runs_of(log, chain, span):
        inside = [first, last]
        if span.first_seq is None:
            begins = next((seq for seq in range(first, last + 1) if not _beside(log, chain, seq, span)), None)
            ends = next((seq for seq in range(last, first - 1, -1) if not _beside(log, chain, seq, span)), None)
            inside = [seq for seq in (begins, ends) if seq is not None]
        if inside and found and found[-1][1] + 1 == inside[0]:
            found[-1] = (found[-1][0], inside[-1])
        elif inside:
            found.append((inside[0], inside[-1]))
    return found


def _beside(log: VerifiedLog, chain: ChainRow, seq: int, span: Span) -> bool:
    seen = next(run(log, chain, seq, seq))
    return seen.verdict.state is not State.FAILED and not overlaps(seen, span)


def _rows(log: VerifiedLog, chain: ChainRow, first: int, last: int) -> list[_Row]:
    found: list[_Row] = []
    for place, leaf, body in log.reader.sealed(chain, first, last):
        if place.seq > first + len(found):
            break
        found.append(_checked(log, place.seq, place.idx, leaf, body))
    if first + len(found) <= last:
        raise VerificationError(
            f"cannot be evidence: {chain.name} entry {first + len(found)} is missing: nothing in the store says where "
            "to find it"
        )
    return found


def _row(log: VerifiedLog, index: int) -> _Row:
    return _checked(log, -1, index, *(log.reader.entry(log.row.log, index) or (None, None)))


def _checked(log: VerifiedLog, seq: int, index: int, leaf: object, body: object) -> _Row:
    if not isinstance(leaf, bytes) or not isinstance(body, bytes):
        raise VerificationError(f"cannot be evidence: entry {index} is missing in the store, or not stored as bytes")
    if log.tiles is not None and 0 <= index < log.anchored:
        expected, found = log.tiles.leaf_hash(index).hex(), merkle.leaf_hash(leaf).hex()
        if found != expected:
            raise VerificationError(
                f"cannot be evidence: entry {index}: expected leaf hash {expected[:16]}…, found {found[:16]}…"
            )
    return _Row(seq, index, leaf, body)


def _parts_of(row: _Row) -> frozenset[int]:
    """The types of its parts, all of which must be there: what is lost must not be told as left out."""
    try:
        entry, parts = parse_leaf(row.leaf), frozenset(part.type for part in parse_body(row.body))
    except MalformedError as error:
        raise VerificationError(f"cannot be evidence: entry {row.index}: {error}") from None
    if lost := [each.type for each in entry.parts if each.type not in parts]:
        which, where = ", ".join(map(part_name, lost)), f"{entry.chain} entry {entry.seq}"
        raise VerificationError(f"cannot be evidence: {where}: its part {which} is missing in the store")
    return parts


def _shown(log: VerifiedLog, rows: list[_Row], left_out: Mapping[int, frozenset[int]]) -> Iterator[Shown]:
    if log.prover is None:
        raise VerificationError(f"{log.row.origin}: no anchor covers what is stored")
    paths = log.prover.inclusions([each.index for each in rows])
    for each, path in zip(rows, paths, strict=True):
        body = each.body
        if without := left_out[each.index]:
            _must_hold(each)  # what stays is proven with the file; nobody would see what becomes of the rest
            body = evidence.withhold(body, sorted(without))
        yield Shown(each.index, each.leaf, body, tuple(path))


def _must_hold(row: _Row) -> None:
    try:
        verify_body(parse_leaf(row.leaf), parse_body(row.body))
    except (MalformedError, VerificationError) as error:
        raise VerificationError(f"cannot be evidence: {error}") from None


def _predecessors(store: VerifiedStore, row: LogRow) -> list[Proven]:
    """The statements that enrolled the logs before a successor's, back to the first."""
    found: list[Proven] = []
    while isinstance(said := store.ledger.statement(row.enrolled), Succession):
        before = store.reader.log_of(said.old_origin)
        if before is None or before.enrolled >= row.enrolled:
            raise VerificationError(f"statement {row.enrolled}: {said.old_origin} was not enrolled before")
        row = before
        found.append(proven_at(store, row.enrolled))
    return found
