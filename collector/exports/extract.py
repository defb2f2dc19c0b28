"""What an export is written from: a device's entries in a span, each verified, and who the device said it was."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from collector.carried import carried_history
from collector.export import Exported, export, is_anchored, one_log, pack
from collector.history import Device, Seen, Span, run
from collector.rows import ChainRow
from collector.verified import State, VerifiedLog, VerifiedStore
from vitaledger.csvform import Placed, Refused, utc
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import Identity
from vitaledger.evidence_text import uses
from vitaledger.marks import Use


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a file, when (µs since 1970 UTC) and with which program; raw bytes and waves are for evidence."""

    at_us: int
    by: str
    program: str
    raw: bool = False
    waves: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that goes along: the zip, and the run that it proves."""

    data: bytes
    first: int
    last: int

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the zip."""
        return sha256(self.data).digest()


@dataclass(frozen=True)
class Extract:
    """Entries of one micro-chain in a span, in order, with whoever the device said it was by the seq of its identity.

    `evidence` is None where it was not asked for, or where it cannot be made: `remarks` then say why.
    """

    origin: str
    gateway: str
    chain: str
    ledger: str
    ledger_size: int
    run: tuple[Placed | Refused, ...]
    identities: dict[int, Identity]
    request: Request
    remarks: tuple[str, ...]
    evidence: Evidence | None

    @property
    def first(self) -> int:
        """Number of the first entry."""
        return min(map(_seq, self.run))

    @property
    def last(self) -> int:
        """Number of the last entry."""
        return max(map(_seq, self.run))  # a finding whose number another entry holds stands behind all

    @cached_property
    def uses(self) -> list[Use]:
        """What the line was for, as the entries say."""
        return uses([each for each in self.run if isinstance(each, Placed)])

    def identity_of(self, placed: Placed) -> int | None:
        """The seq of the identity in force in a readings entry, None where none that holds is known."""
        values = placed.opened.values if placed.opened else None
        seq = values.context.identity if values else None
        return seq if seq in self.identities else None


def evidence_of(store: VerifiedStore, device: Device, span: Span, request: Request) -> Exported:
    """The evidence of a span; raises as `collector.export.export`."""
    return export(
        store,
        device,
        span,
        exported=utc(request.at_us),
        by=request.by,
        program=request.program,
        raw=request.raw,
        waves=request.waves,
    )


def extract(store: VerifiedStore, device: Device, span: Span, request: Request, *, with_evidence: bool) -> Extract:
    """Collect what an export tells.

    Raises:
        MisuseError: the span holds no anchored entry, or entries of several logs.
    """
    log, chain, seen = one_log(store, device, span)
    kept = [each for each in seen if each.verdict.state is State.FAILED or is_anchored(log, each)]
    if not kept:
        raise MisuseError(f"{device.label}: no entry in this span is anchored yet: try again in some seconds")
    remarks = []
    if len(kept) < len(seen):
        remarks.append(f"{len(seen) - len(kept)} entries that are not anchored yet were left out")
    told = tuple(_told(each) for each in kept)
    remarks += _remarks(told)
    if carried := sum(1 for _ in carried_history(store, log.row, chain.name, span)):
        remarks.append(f"{carried} entries that another log carries over are not in this file")
    evidence = None
    if with_evidence:
        try:
            made = evidence_of(store, device, span, request)
        except (MisuseError, VerificationError) as error:
            remarks.append(f"no evidence goes along: {error}")
        else:
            claim = made.verified.claim
            evidence = Evidence(pack(made.files), claim.first, claim.last)
            remarks += [remark for remark in made.remarks if remark not in remarks]
    return Extract(
        log.row.origin,
        log.row.gateway,
        chain.name,
        store.ledger.head.checkpoint.origin,
        store.ledger.size,
        told,
        dict(_identities(log, chain, told)),
        request,
        tuple(remarks),
        evidence,
    )


def _told(seen: Seen) -> Placed | Refused:
    entry, opened = seen.look.entry, seen.opened
    if seen.verdict.state in {State.FAILED, State.FINDING} or entry is None or opened is None:
        return Refused(seen.look.index, seen.seq, seen.at_us, seen.verdict.state.value, seen.verdict.reason)
    return Placed(seen.look.index, entry, replace(opened, waves=None, raw=None))  # no form but evidence tells these


def _remarks(told: tuple[Placed | Refused, ...]) -> Iterator[str]:
    for kind, what in (("failed", "FAILED verification"), ("finding", "FINDINGS")):
        bad = [each for each in told if isinstance(each, Refused) and each.kind == kind]
        if bad:
            yield f"{what} and told without a value: {len(bad)} of {len(told)} entries; the first: {bad[0].reason}"


def _identities(
    log: VerifiedLog, chain: ChainRow, told: tuple[Placed | Refused, ...]
) -> Iterator[tuple[int, Identity]]:
    """The identities that the readings name, each read and verified once."""
    placed = [each for each in told if isinstance(each, Placed) and each.opened]
    known = {each.entry.seq: each.opened.event for each in placed if each.opened}
    named = {each.opened.values.context.identity for each in placed if each.opened and each.opened.values}
    for seq in sorted(seq for seq in named if seq is not None):
        event = known.get(seq)
        if event is None:
            found = next(run(log, chain, seq, seq), None)
            event = found.opened.event if found and found.opened else None
        if isinstance(event, Identity):
            yield seq, event


def _seq(told: Placed | Refused) -> int:
    return told.entry.seq if isinstance(told, Placed) else told.seq
