"""Evidence: what one hands to somebody who trusts nobody, and how that person checks it.

An evidence file is a set of named files (a zip on disk):

    manifest.json                        what it claims to show, who exported it, when, with what
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
leaves, and the leaves commit to the contents. tests/unit/core/test_evidence.py works an example.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from vitaledger import __version__, chain, merkle, proof, statement
from vitaledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from vitaledger.entry import (
    GATEWAY_CHAIN,
    MAX_CHAIN,
    Entry,
    Part,
    PartType,
    encode_body,
    entry_hash,
    parse_body,
    parse_leaf,
    verify_body,
)
from vitaledger.errors import MalformedError, MisuseError, VerificationError, VitaledgerError
from vitaledger.events import ChainHead, Heads, LedgerHead
from vitaledger.keys import verifier_of
from vitaledger.lineage import Lineage, follow_lineage
from vitaledger.note import parse_vkey
from vitaledger.opened import Opened, open_entry
from vitaledger.policy import Policy
from vitaledger.shape import Shape, text, uint
from vitaledger.text import base64_decode, base64_encode

T = TypeVar("T")
FORMAT = 1
MANIFEST = "manifest.json"
_CLAIMS: dict[str, Shape[Any]] = {
    "vitaledger-evidence": uint(),
    "origin": text(1, 255),
    "chain": text(1, MAX_CHAIN),
    "first": uint(),
    "last": uint(),
    "exported": text(0, 256),
    "by": text(0, 256),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry of the gateway's log, with the inclusion proof under the anchored checkpoint."""

    index: int
    leaf: bytes
    body: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """A statement of the ledger, with its index and inclusion proof under the ledger's checkpoint."""

    statement: bytes
    index: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class After:
    """The ledger head that the gateway had quoted: its last statement, its root, and the root's consistency proof."""

    last: Proven
    root: bytes
    consistency: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What an evidence file says that it shows: entries first to last of one micro-chain of one log."""

    origin: str
    chain: str
    first: int
    last: int
    exported: str  # when, as ISO 8601; a claim of the exporter
    by: str  # the program and version that exported it


@dataclass(frozen=True, slots=True)
class Verified:
    """What an evidence file proves. Times are ms since 1970 UTC; whose clock made them stands at each."""

    claim: Claim
    entries: tuple[Opened, ...]  # entries first … last, in order
    findings: tuple[str, ...]  # entries that are proven and cannot be read, each with its reason
    gateway: str
    gateway_vkey: str
    gateway_size: int  # size of the anchored checkpoint
    anchored_ms: int  # sealed before this, by the collector's clock
    after_ms: int | None  # sealed after this, by the collector's clock; None: nothing says
    ledger: SignedCheckpoint
    withheld: tuple[int, ...]  # types of parts that were left out of the file
    predecessors: tuple[str, ...] = ()  # the origins that the log succeeds, the newest first


def withhold(body: bytes, types: Sequence[int]) -> bytes:
    """The body without the parts of these types; leaf, micro-chain and proofs stay as they are."""
    kept: list[Part] = [part for part in parse_body(body) if part.type not in types]
    return encode_body(kept)


def build(
    claim: Claim,
    shown: Sequence[Shown],
    anchor: Proven,
    enrolment: Proven,
    checkpoint: bytes,
    after: After | None = None,
    predecessors: Sequence[Proven] = (),
) -> dict[str, bytes]:
    """The files of an evidence file; `checkpoint` is the ledger's note, `shown` holds heads entries as well.

    Where `enrolment` is a succession, `predecessors` lead from it back to an enrolment.

    Raises:
        MisuseError: the anchor statement is not one.
    """
    anchored = statement.decode(anchor.statement)
    if not isinstance(anchored, statement.Anchor):
        raise MisuseError(f"evidence: expected an anchor statement, found {type(anchored).__name__}")
    files = {MANIFEST: _manifest(claim)}
    for entry in shown:
        stem = _stem(entry.index)
        files[f"{stem}.leaf"] = entry.leaf
        files[f"{stem}.body"] = entry.body
        files[f"{stem}.tlog-proof"] = proof.encode(proof.TlogProof(entry.index, entry.hashes, anchored.checkpoint))
    files |= _proven_files("ledger/anchor", anchor, checkpoint)
    for stem, proven in zip(_lineage_stems(len(predecessors)), (enrolment, *predecessors), strict=True):
        files |= _proven_files(stem, proven, checkpoint)
    if after is not None:
        files |= _proven_files("ledger/after", after.last, checkpoint)
        lines = [f"{base64_encode(each)}\n" for each in (after.root, *after.consistency)]
        files["ledger/after.consistency"] = "".join(lines).encode()
    return files


def _manifest(claim: Claim) -> bytes:
    manifest = {
        "vitaledger-evidence": FORMAT,
        "origin": claim.origin,
        "chain": claim.chain,
        "first": claim.first,
        "last": claim.last,
        "exported": claim.exported,
        "by": claim.by,
    }
    return (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()


def _stem(index: int) -> str:
    return f"entries/{index:012d}"


def _proven_files(stem: str, proven: Proven, checkpoint: bytes) -> dict[str, bytes]:
    return {
        f"{stem}.statement": proven.statement,
        f"{stem}.tlog-proof": proof.encode(proof.TlogProof(proven.index, proven.hashes, checkpoint)),
    }


def verify(files: Mapping[str, bytes], policy: Policy) -> Verified:
    """Check an evidence file against a policy and say what it proves.

    Raises:
        MalformedError: a file is missing, surplus or not of its format; names it.
        VerificationError: a signature, proof, commitment or link does not hold; names the file or entry.
    """
    left = dict(files)
    claim = _claim(_take(left, MANIFEST))
    ledger, anchor, anchored_at = _statement(left, "ledger/anchor", statement.Anchor, policy)
    of = _lineage(left, policy, ledger, anchored_at, claim)
    key = verifier_of(parse_vkey(of.vkey))
    with _of("ledger/anchor.statement"):
        head = open_checkpoint(anchor.checkpoint, [key]).checkpoint
    if head.origin != claim.origin:
        raise VerificationError(f"ledger/anchor.statement: anchors {head.origin}, not {claim.origin}")
    quoted = _after(left, policy, ledger)
    shown = _entries(left, anchor.checkpoint, head)
    if left:
        raise MalformedError(f"{min(left)}: no file of an evidence file; expected only those that are verified")
    entries, findings = _run(claim, shown)
    withheld = {part for opened in entries for part in opened.withheld}
    return Verified(
        claim,
        tuple(entries),
        tuple(findings),
        of.gateway,
        of.vkey,
        head.size,
        anchor.at_ms,
        _quoted(quoted, shown) if quoted else None,
        ledger,
        tuple(sorted(withheld)),
        of.predecessors,
    )


def _lineage_stems(predecessors: int) -> list[str]:
    return ["ledger/enrolment", *(f"ledger/predecessor-{n + 1}" for n in range(predecessors))]


def _lineage(
    left: dict[str, bytes], policy: Policy, ledger: SignedCheckpoint, anchored_at: int, claim: Claim
) -> Lineage:
    """Whose key the log's is, by statements that all stand before the anchor."""
    more = sum(name.startswith("ledger/predecessor-") and name.endswith(".statement") for name in left)
    found: list[statement.Statement] = []
    for stem in _lineage_stems(more):
        same, said, index = _statement(left, stem, (statement.Enrolment, statement.Succession), policy)
        _same_ledger(f"{stem}.tlog-proof", same, ledger)
        if index > anchored_at:
            raise VerificationError(f"{stem}.statement: at {index}, behind the anchor at {anchored_at}")
        if isinstance(said, statement.Enrolment | statement.Succession):
            found.append(said)
    with _of("ledger/enrolment.statement"):
        return follow_lineage(claim.origin, found)


def _take(left: dict[str, bytes], name: str) -> bytes:
    if name not in left:
        raise MalformedError(f"{name}: missing from the evidence file")
    return left.pop(name)


def _claim(data: bytes) -> Claim:
    try:
        found: Any = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{MANIFEST}: not JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != set(_CLAIMS):
        raise MalformedError(f"{MANIFEST}: expected the keys {', '.join(_CLAIMS)}")
    for key, shape in _CLAIMS.items():
        shape.parse(found[key], f"{MANIFEST}: {key}")
    if found["vitaledger-evidence"] != FORMAT:
        raise MalformedError(
            f"{MANIFEST}: format {found['vitaledger-evidence']}; version {__version__} of this program knows {FORMAT}"
        )
    if not 0 <= found["first"] <= found["last"]:
        raise MalformedError(f"{MANIFEST}: entries {found['first']} to {found['last']} are no run")
    claim = Claim(*(found[key] for key in ("origin", "chain", "first", "last", "exported", "by")))
    if _manifest(claim) != data:  # a key twice, say, of which each reader might believe another
        raise MalformedError(f"{MANIFEST}: expected each key once, in order, spaced as `build` writes it")
    return claim


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
    if "ledger/after.statement" not in left:
        return None
    signed, said, index = _statement(left, "ledger/after", statement.Record, policy)
    _same_ledger("ledger/after.tlog-proof", signed, ledger)
    name = "ledger/after.consistency"
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
    for leaf_name in sorted(name for name in left if name.startswith("entries/") and name.endswith(".leaf")):
        stem = leaf_name.removesuffix(".leaf")
        leaf, body, name = _take(left, leaf_name), _take(left, f"{stem}.body"), f"{stem}.tlog-proof"
        data = _take(left, name)
        leaf_hash = entry_hash(leaf)
        with _of(name):
            path = proof.parse(data)
            if path.checkpoint != checkpoint:
                raise VerificationError("its checkpoint is not the anchored one")
            merkle.verify_inclusion(leaf_hash, path.index, head.size, path.hashes, head.root)
        if stem != _stem(path.index):
            raise MalformedError(f"{name}: speaks of index {path.index}")
        with _of(leaf_name):
            entry = parse_leaf(leaf)
        with _of(f"{stem}.body"):
            verify_body(entry, parse_body(body))
        opened, finding = None, None
        try:
            opened = open_entry(leaf, body)
        except MalformedError as error:  # what was sealed cannot be read: said, and nothing behind it waits
            finding = str(error)
        found.append(_Entry(path.index, entry, leaf_hash, opened, finding))
    return found


def _run(claim: Claim, shown: list[_Entry]) -> tuple[list[Opened], list[str]]:
    """Check completeness from first to last; the opened entries, and the findings among them."""
    run = [each for each in shown if each.entry.chain == claim.chain]
    heads = [each for each in shown if each.entry.chain != claim.chain]
    for each in heads:
        if each.entry.chain != GATEWAY_CHAIN or each.opened is None or not isinstance(each.opened.event, Heads):
            raise MalformedError(f"{_stem(each.index)}.leaf: neither of {claim.chain} nor a heads entry")
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
    inside = [each for each in run if claim.first <= each.entry.seq <= claim.last]
    return [each.opened for each in inside if each.opened], [each.finding for each in inside if each.finding]


def _quoted(quoted: tuple[LedgerHead, int], shown: list[_Entry]) -> int:
    """The time of the quoted ledger head, once a heads entry before all others is seen to quote it."""
    ledger, at_ms = quoted
    first = min(shown, key=lambda each: each.index)
    event = first.opened.event if first.opened else None
    if not isinstance(event, Heads) or event.ledger != ledger:
        raise VerificationError("ledger/after.statement: no heads entry before the others quotes that ledger head")
    return at_ms


RAW_AND_WAVES = (int(PartType.WAVES), int(PartType.RAW))
