"""Evidence: what one hands to somebody who trusts nobody, and how that person checks it.

An evidence file is a set of named files (a zip on disk):

    manifest.json                        what it claims to show, who exported it, when, with what
    readings.csv                         what the entries say, as a table (vitaledger.csvform)
    README.txt, policy.txt, certification.txt   texts for people (vitaledger.evidence_text)
    entries/<index>.leaf                 entries a − 1 … b + 1 of one micro-chain, by their index in the gateway's log
    entries/<index>.body                 their bodies; parts may have been withheld
    entries/<index>.tlog-proof           that the leaf is in the gateway's log, under the anchored checkpoint
    ledger/anchor.statement, .tlog-proof      that this checkpoint was anchored in the provider ledger, and when
    ledger/enrolment.statement, .tlog-proof   whose key the gateway's is; of a successor's log its succession, and
    ledger/predecessor-1.statement, …         those of the logs before it, back to the enrolment (vitaledger.lineage)
    ledger/after.statement, .tlog-proof, .consistency   optional: the newest ledger head that the gateway had quoted
                                              before the first entry, so the entries were sealed after it

Heads entries of the gateway's own micro-chain stand beside the others under entries/: one before the first entry (it
quotes the ledger head), and one after the last where no entry b + 1 exists (it shows that there was none).

`verify` needs the files and a policy, nothing else: the policy's log and quorum judge the ledger's checkpoint, the
ledger's statements name the gateway's key, that key signed the anchored checkpoint, the checkpoint's tree holds the
leaves, and the leaves commit to the contents. Table and texts are written again from what was proven, and compared.
tests/unit/core/test_evidence.py works an example.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from vitaledger import chain, evidence_text, merkle, proof, statement
from vitaledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from vitaledger.csvform import Placed
from vitaledger.entry import (
    GATEWAY_CHAIN,
    Entry,
    PartType,
    entry_hash,
    parse_body,
    parse_leaf,
    verify_body,
)
from vitaledger.errors import MalformedError, VerificationError, VitaledgerError
from vitaledger.events import ChainHead, Heads, LedgerHead
from vitaledger.evidence_files import (
    AFTER,
    ANCHOR,
    ENROLMENT,
    FORMAT,
    MANIFEST,
    RENDERED,
    After,
    Claim,
    Proven,
    Shown,
    build,
    lineage_stems,
    parse_manifest,
    stem_of,
    withhold,
)
from vitaledger.keys import verifier_of
from vitaledger.lineage import Lineage, follow_lineage
from vitaledger.note import parse_vkey
from vitaledger.opened import Opened, open_parts
from vitaledger.policy import Policy
from vitaledger.text import base64_decode

__all__ = [
    "FORMAT",
    "MANIFEST",
    "RAW_AND_WAVES",
    "After",
    "Claim",
    "Proven",
    "Shown",
    "Verified",
    "build",
    "complete",
    "verify",
    "withhold",
]

T = TypeVar("T")
RAW_AND_WAVES = (int(PartType.WAVES), int(PartType.RAW))


@dataclass(frozen=True, slots=True)
class Verified:
    """What an evidence file proves. Times are ms since 1970 UTC; whose clock made them stands at each."""

    claim: Claim
    run: tuple[Placed, ...]  # entries first … last, in order, those that cannot be read as well
    findings: tuple[str, ...]  # entries that are proven and cannot be read, each with its reason
    gateway: str
    gateway_vkey: str
    gateway_size: int  # size of the anchored checkpoint
    anchored_ms: int  # sealed before this, by the collector's clock
    after_ms: int | None  # sealed after this, by the collector's clock; None: nothing says
    ledger: SignedCheckpoint
    ledger_vkey: str  # the policy's key that signed the ledger's checkpoint
    withheld: tuple[int, ...]  # types of parts that were left out of the file
    predecessors: tuple[str, ...] = ()  # the origins that the log succeeds, the newest first

    @property
    def entries(self) -> tuple[Opened, ...]:
        """Those entries of the run that can be read."""
        return tuple(each.opened for each in self.run if each.opened)


def complete(files: Mapping[str, bytes], policy: Policy) -> tuple[dict[str, bytes], Verified]:
    """Prove the files of `build`, and add the table and the texts that follow from them.

    Raises as `verify`: what could not be verified is never written.
    """
    proven = _prove(dict(files), policy)
    return {**files, **_rendered(proven)}, proven


def verify(files: Mapping[str, bytes], policy: Policy) -> Verified:
    """Check an evidence file against a policy and say what it proves.

    Raises:
        MalformedError: a file is missing, surplus or not of its format; names it.
        VerificationError: a signature, proof, commitment or link does not hold, or the table or a text is not what the
            entries say; names the file or entry.
    """
    left = dict(files)
    claim = left.get(MANIFEST)
    if claim is not None:
        parse_manifest(claim)  # a file of another format is told so before a file of this one is missed
    found = {name: _take(left, name) for name in RENDERED}
    proven = _prove(left, policy)
    for name, expected in _rendered(proven).items():
        _verify_same(name, expected, found[name])
    return proven


def _rendered(proven: Verified) -> dict[str, bytes]:
    return evidence_text.write(
        evidence_text.Facts(
            proven.claim,
            proven.run,
            proven.gateway,
            proven.gateway_vkey,
            proven.gateway_size,
            proven.anchored_ms,
            proven.after_ms,
            proven.withheld,
            proven.ledger.checkpoint,
            proven.ledger_vkey,
        )
    )


def _verify_same(name: str, expected: bytes, found: bytes) -> None:
    if expected == found:
        return
    wanted, given = expected.split(b"\n"), found.split(b"\n")
    at = next((n for n, (one, other) in enumerate(zip(wanted, given, strict=False)) if one != other), None)
    if at is None:
        raise VerificationError(f"{name}: expected {len(wanted) - 1} lines, found {len(given) - 1}")
    raise VerificationError(
        f"{name}: line {at + 1} is not what the entries say: expected {_quoted_line(wanted[at])}, "
        f"found {_quoted_line(given[at])}"
    )


def _quoted_line(line: bytes) -> str:
    return ascii(line.decode("utf-8", "replace")[:200])


def _prove(left: dict[str, bytes], policy: Policy) -> Verified:
    claim = parse_manifest(_take(left, MANIFEST))
    ledger, anchor, anchored_at = _statement(left, ANCHOR, statement.Anchor, policy)
    of = _lineage(left, policy, ledger, anchored_at, claim)
    key = verifier_of(parse_vkey(of.vkey))
    with _of(f"{ANCHOR}.statement"):
        head = open_checkpoint(anchor.checkpoint, [key]).checkpoint
    if head.origin != claim.origin:
        raise VerificationError(f"{ANCHOR}.statement: anchors {head.origin}, not {claim.origin}")
    quoted = _after(left, policy, ledger)
    shown = _entries(left, anchor.checkpoint, head)
    if left:
        raise MalformedError(f"{min(left)}: no file of an evidence file; expected only those that are verified")
    inside = _run(claim, shown)
    return Verified(
        claim,
        tuple(Placed(each.index, each.entry, each.opened) for each in inside),
        tuple(each.finding for each in inside if each.finding),
        of.gateway,
        of.vkey,
        head.size,
        anchor.at_ms,
        _quoted(quoted, shown) if quoted else None,
        ledger,
        _ledger_vkey(policy, ledger),
        tuple(sorted({part for each in inside if each.opened for part in each.opened.withheld})),
        of.predecessors,
    )


def _ledger_vkey(policy: Policy, ledger: SignedCheckpoint) -> str:
    """The first of the policy's keys of that ledger whose signature its checkpoint bears."""
    origin = ledger.checkpoint.origin
    signed = {each.key_id for each in ledger.verified if each.name == origin}
    for log in policy.logs:
        if log.vkey.name == origin and log.vkey.key_id in signed:
            return str(log.vkey)
    raise VerificationError(f"checkpoint of {origin}: expected a signature by a log of the policy")


def _lineage(
    left: dict[str, bytes], policy: Policy, ledger: SignedCheckpoint, anchored_at: int, claim: Claim
) -> Lineage:
    """Whose key the log's is, by statements that all stand before the anchor."""
    more = sum(name.startswith("ledger/predecessor-") and name.endswith(".statement") for name in left)
    found: list[statement.Statement] = []
    for stem in lineage_stems(more):
        same, said, index = _statement(left, stem, (statement.Enrolment, statement.Succession), policy)
        _same_ledger(f"{stem}.tlog-proof", same, ledger)
        if index > anchored_at:
            raise VerificationError(f"{stem}.statement: at {index}, behind the anchor at {anchored_at}")
        if isinstance(said, statement.Enrolment | statement.Succession):
            found.append(said)
    with _of(f"{ENROLMENT}.statement"):
        return follow_lineage(claim.origin, found)


def _take(left: dict[str, bytes], name: str) -> bytes:
    if name not in left:
        raise MalformedError(f"{name}: missing from the evidence file")
    return left.pop(name)


@contextmanager
def _of(name: str) -> Iterator[None]:
    """Put the file's name before whatever a check has to say."""
    try:
        yield
    except VitaledgerError as error:
        raise type(error)(f"{name}: {error}") from None


def _statement(
    left: dict[str, bytes], stem: str, kind: type[T] | tuple[type[T], ...], policy: Policy
) -> tuple[SignedCheckpoint, T, int]:
    """A statement that the policy's ledger holds: that ledger's checkpoint, the statement, its index."""
    data, name = _take(left, f"{stem}.statement"), f"{stem}.tlog-proof"
    path = _take(left, name)
    with _of(name):
        found = proof.parse(path)
        signed = proof.verify(found, merkle.leaf_hash(data), policy)
    with _of(f"{stem}.statement"):
        said = statement.decode(data)
    if not isinstance(said, kind):
        wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise VerificationError(f"{stem}.statement: expected {wanted}, found {type(said).__name__}")
    return signed, said, found.index


def _after(left: dict[str, bytes], policy: Policy, ledger: SignedCheckpoint) -> tuple[LedgerHead, int] | None:
    """The ledger head that a heads entry must quote, proven a prefix of the ledger, and the time of its last leaf."""
    if f"{AFTER}.statement" not in left:
        return None
    signed, said, index = _statement(left, AFTER, statement.Record, policy)
    _same_ledger(f"{AFTER}.tlog-proof", signed, ledger)
    name = f"{AFTER}.consistency"
    lines = _take(left, name).decode("ascii", "replace").split("\n")
    if lines.pop() or not lines:
        raise MalformedError(f"{name}: expected the quoted root and its consistency proof, lines that end in LF")
    head = ledger.checkpoint
    with _of(name):
        root, *path = (base64_decode(line, "hash") for line in lines)
        merkle.verify_consistency(index + 1, root, head.size, head.root, path)
    return LedgerHead(head.origin, index + 1, root), said.at_ms


def _same_ledger(name: str, found: SignedCheckpoint, ledger: SignedCheckpoint) -> None:
    if found.raw != ledger.raw:
        raise VerificationError(f"{name}: its ledger checkpoint is not that of the anchor's proof")


@dataclass(frozen=True, slots=True)
class _Entry:
    index: int
    entry: Entry
    hash: bytes
    opened: Opened | None
    finding: str | None


def _entries(left: dict[str, bytes], checkpoint: bytes, head: Checkpoint) -> list[_Entry]:
    """Every entry of the file, each proven to be in the tree of `head`."""
    found = []
    shared = proof.Shared()
    for leaf_name in sorted(name for name in left if name.startswith("entries/") and name.endswith(".leaf")):
        stem = leaf_name.removesuffix(".leaf")
        leaf, body, name = _take(left, leaf_name), _take(left, f"{stem}.body"), f"{stem}.tlog-proof"
        data = _take(left, name)
        leaf_hash = entry_hash(leaf)
        with _of(name):
            path = proof.parse(data, shared)
            if path.checkpoint != checkpoint:
                raise VerificationError("its checkpoint is not the anchored one")
            merkle.verify_inclusion(leaf_hash, path.index, head.size, path.hashes, head.root)
        if stem != stem_of(path.index):
            raise MalformedError(f"{name}: speaks of index {path.index}")
        with _of(leaf_name):
            entry = parse_leaf(leaf)
        with _of(f"{stem}.body"):
            parts = parse_body(body)
            withheld = verify_body(entry, parts)
        opened, finding = None, None
        try:
            opened = open_parts(entry, parts, withheld)
        except MalformedError as error:  # what was sealed cannot be read: said, and nothing behind it waits
            finding = str(error)
        found.append(_Entry(path.index, entry, leaf_hash, opened, finding))
    return found


def _run(claim: Claim, shown: list[_Entry]) -> list[_Entry]:
    """Check completeness from first to last, and answer these entries."""
    run = [each for each in shown if each.entry.chain == claim.chain]
    heads = [each for each in shown if each.entry.chain != claim.chain]
    for each in heads:
        if each.entry.chain != GATEWAY_CHAIN or each.opened is None or not isinstance(each.opened.event, Heads):
            raise MalformedError(f"{stem_of(each.index)}.leaf: neither of {claim.chain} nor a heads entry")
    if not run:
        raise VerificationError(f"{claim.chain}: the evidence file holds no entry of it")
    ends_at: ChainHead | None = None
    for each in heads:
        event = each.opened.event if each.opened else None
        if isinstance(event, Heads) and each.index > run[-1].index:
            ends_at = next((head for head in event.chains if head.chain == claim.chain), ends_at)
    chain.verify_complete(
        claim.origin, claim.chain, [(each.entry, each.hash) for each in run], claim.first, claim.last, ends_at
    )
    return [each for each in run if claim.first <= each.entry.seq <= claim.last]


def _quoted(quoted: tuple[LedgerHead, int], shown: list[_Entry]) -> int:
    """The time of the quoted ledger head, once a heads entry before all others is seen to quote it."""
    ledger, at_ms = quoted
    first = min(shown, key=lambda each: each.index)
    event = first.opened.event if first.opened else None
    if not isinstance(event, Heads) or event.ledger != ledger:
        raise VerificationError(f"{AFTER}.statement: no heads entry before the others quotes that ledger head")
    return at_ms
