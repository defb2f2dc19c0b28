"""The provider ledger, from its statements up: leaves, tiles, root, signed checkpoint; and what the statements say.

Statements are believed only as far as they go: an anchor's checkpoint must bear the signature of the key that an
earlier statement gave its origin, so that whoever holds the ledger's key alone cannot make one.
"""

from itertools import pairwise
from typing import Protocol

from collector.reader import LEDGER, Reader
from collector.verify.facts import Enrolled, Facts, Head
from collector.verify.report import Report
from collector.verify.tree import BATCH, Tree
from vitaledger import statement, succession
from vitaledger.checkpoint import Checkpoint, open_checkpoint, parse_unverified
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.keys import Verifier, parse_vkey, verifier_of
from vitaledger.merkle import leaf_hash
from vitaledger.statement import Anchor, Custody, Enrolment, Finding, Loss, Revocation, Statement, Succession


def check_ledger(reader: Reader, vkey: str, facts: Facts, report: Report) -> Tree:
    """Check the ledger and gather its facts; the tree of its statements as they stand in the store."""
    head = _signed_head(reader, vkey, report)
    tree = Tree(reader, LEDGER, report, "the ledger", None)
    size = head.size if head else _count(reader)
    statements = _Statements(reader, vkey, facts, report)
    leaves: list[bytes] = []
    for first in range(0, size, BATCH):
        rows = dict(reader.statements(first, min(first + BATCH, size)))
        for index in range(first, min(first + BATCH, size)):
            leaf = rows.get(index)
            if leaf is None:
                report.fail("statements", f"statement {index} is missing: the ledger has {size}")
            else:
                statements.take(index, leaf)
            leaves.append(b"" if leaf is None else leaf_hash(leaf))
        leaves = _extend(reader, tree, leaves, report)
    statements.finish()
    facts.index()
    report.counts.statements = report.ledger_size = size
    for index, _ in reader.statements(size, 1 << 62):
        report.fail("statements", f"statement {index} is beyond the ledger's size {size}")
    for index, _ in reader.statements(-(1 << 62), 0):
        report.fail("statements", f"statement {index}: an index below 0")
    if head and tree.builder.root() != head.root:
        report.fail("statements", f"root of the {size} statements", expected=head.root, found=tree.builder.root())
    tree.finish()
    return tree


def _extend(reader: Reader, tree: Tree, leaves: list[bytes], report: Report) -> list[bytes]:
    """Append what was read; where a full tile knows better, the statement that was changed is named."""
    first = tree.builder.size
    for n in range(first >> 8, (first + len(leaves)) >> 8):
        tile = reader.tile(LEDGER, 0, n) or b""
        differ = [at for at in range(256) if leaves[n * 256 + at - first] != tile[at * 32 : at * 32 + 32]]
        # few differ: those statements were changed; many: it is the tile
        for at in differ if len(tile) == 8192 and len(differ) < 8 else ():
            report.fail(
                "statements",
                f"statement {n * 256 + at}: its hash is not that of its tile",
                expected=tile[at * 32 : at * 32 + 32],
                found=leaves[n * 256 + at - first],
            )
    tree.extend([leaf or bytes(32) for leaf in leaves])
    return []


def _count(reader: Reader) -> int:
    """How many statements there are, where no head says it."""
    size = 0
    while rows := reader.statements(size, size + BATCH):
        size = rows[-1][0] + 1
    return size


def _signed_head(reader: Reader, vkey: str, report: Report) -> Checkpoint | None:
    try:
        head = reader.ledger_head()
        signed = open_checkpoint(head.checkpoint, [verifier_of(parse_vkey(vkey))]).checkpoint
    except (MalformedError, VerificationError, MisuseError) as error:
        report.fail("ledger", f"the ledger's checkpoint: {error}")
        return None
    if signed.size != head.size:
        report.fail("ledger", f"size: expected {signed.size} as in the signed checkpoint, found {head.size}")
    if signed.root != head.root:
        report.fail("ledger", "root beside the signed checkpoint", expected=signed.root, found=head.root)
    return signed


class _Statements:
    """Takes the statements in their order."""

    def __init__(self, reader: Reader, vkey: str, facts: Facts, report: Report) -> None:
        self._reader, self._facts, self._report = reader, facts, report
        self._vkey, self._origin = vkey, parse_vkey(vkey).name
        self._stem = f"{succession.generation(self._origin)[0]}/"
        self._logs = {row.origin: row.log for row in reader.logs()}
        self._sizes: dict[tuple[str, bool], int] = {}
        self._keys: dict[str, str] = {}  # by origin, once enrolled: never another
        self._verifiers: dict[str, Verifier] = {}

    def take(self, index: int, leaf: bytes) -> None:
        """Read one statement; everything that is wrong with it is a failure that names it."""
        try:
            self._take(index, statement.decode(leaf))
        except (MalformedError, VerificationError, MisuseError) as error:
            self._report.fail("statements", f"statement {index}: {error}")

    def _take(self, index: int, said: Statement) -> None:
        match said:
            case Enrolment():
                self._enrol(said.origin, Enrolled(said.gateway, said.vkey, index))
            case Succession():
                self._succession(index, said)
            case Anchor():
                self._anchor(index, said)
            case Custody():
                self._key(said.origin)
                self._grows(index, said.origin, said.size, is_anchor=False)
                if said.size > self._sizes.get((said.origin, True), -1):
                    raise VerificationError(f"custody of {said.size} entries of {said.origin}: no anchor goes so far")
                self._facts.add_head(said.origin, Head(said.size, is_anchor=False, root=said.root, statement=index))
            case Finding():
                self._key(said.origin)
                if not self._facts.add_finding(said.origin, said.index, index, said.reason):
                    raise VerificationError(f"a second finding about entry {said.index} of {said.origin}")
                self._row("findings", self._reader.finding, said.origin, said.index, index)
            case Revocation() | Loss():
                self._facts.add_loss(index, said)
                self._report.remarks.append(f"statement {index}: {type(said).__name__.lower()} of {said.origin}")

    def _succession(self, index: int, said: Succession) -> None:
        if said.new_origin.startswith(self._stem):
            self._ledger_succession(index, said)
            return
        old = self._facts.enrolled(said.old_origin)
        note = succession.open_succession(said.note, parse_vkey(self._key(said.old_origin)))
        if (note.new_origin, note.new_vkey) != (said.new_origin, said.new_vkey):
            raise VerificationError(f"succession of {said.old_origin}: its note names {note.new_vkey}")
        self._enrol(said.new_origin, Enrolled(old.gateway if old else None, said.new_vkey, index))
        self._facts.add_succession(index, said)

    def _ledger_succession(self, index: int, said: Succession) -> None:
        """This ledger goes on in the place of another, and its first statements say so. The first key is not known."""
        note, old = succession.parse_unverified(said.note), parse_unverified(said.old_checkpoint)[0]
        told = (note.old_origin, old.origin, note.new_origin, note.new_vkey)
        if told != (said.old_origin, said.old_origin, said.new_origin, said.new_vkey):
            raise VerificationError(f"succession of the ledger {said.old_origin}: its note or head is of another")
        if index != len(self._facts.ledgers) or (said.new_vkey == self._vkey) != (index == 0):
            raise VerificationError(f"succession of the ledger {said.old_origin} to {said.new_vkey}: out of its place")
        self._facts.ledgers.append(said)
        self._report.remarks.append(
            f"{said.new_origin} goes on in the place of {said.old_origin}, which was restored from an old copy of "
            f"{note.size} statements; the largest head of it that was shown is of {old.size}"
        )

    def finish(self) -> None:
        """All statements are through: each ledger's key must have named the next."""
        ledgers = [*self._facts.ledgers[1:], *self._facts.ledgers[:1]]
        try:
            for before, after in pairwise(ledgers):
                succession.open_succession(after.note, parse_vkey(before.new_vkey))
        except (MalformedError, VerificationError) as error:
            self._report.fail("statements", f"the successions of the ledger: {error}")
        if not ledgers and succession.generation(self._origin)[1] > 1:
            self._report.fail("statements", f"statement 0: expected the succession to {self._origin}")

    def _enrol(self, origin: str, enrolled: Enrolled) -> None:
        if parse_vkey(enrolled.vkey).name != origin:
            raise VerificationError(f"enrols {origin} with a key of another name")
        if not self._facts.enrol(origin, enrolled):
            raise VerificationError(f"enrols {origin} a second time")
        if origin not in self._logs:
            self._report.fail("logs", f"the log of {origin} is missing: statement {enrolled.statement} enrols it")

    def _key(self, origin: str) -> str:
        known = self._keys.get(origin)
        if known is None:
            enrolled = self._facts.enrolled(origin)
            if enrolled is None:
                raise VerificationError(f"{origin} was not enrolled before")
            known = self._keys[origin] = enrolled.vkey
        return known

    def _anchor(self, index: int, said: Anchor) -> None:
        origin = said.checkpoint.partition(b"\n")[0].decode("utf-8", "replace")  # whose it claims to be
        verifier = self._verifiers.get(origin)
        if verifier is None:
            origin = parse_unverified(said.checkpoint)[0].origin
            verifier = self._verifiers[origin] = verifier_of(parse_vkey(self._key(origin)))
        head = open_checkpoint(said.checkpoint, [verifier]).checkpoint
        self._grows(index, origin, head.size, is_anchor=True)
        self._facts.add_head(origin, Head(head.size, is_anchor=True, root=head.root, statement=index))
        self._report.counts.anchors += 1
        self._row("anchors", self._reader.anchor_at, origin, head.size, index)

    def _grows(self, index: int, origin: str, size: int, *, is_anchor: bool) -> None:
        last = self._sizes.get((origin, is_anchor))
        if last is not None and size <= last:
            what = "anchor" if is_anchor else "custody"
            self._report.fail(
                "statements", f"statement {index}: {what} of {origin} at size {size} behind one of {last}"
            )
        self._sizes[origin, is_anchor] = size

    def _row(self, table: str, find: "_Find", origin: str, at: int, index: int) -> None:
        log = self._logs.get(origin)
        found = None if log is None else find(log, at)
        if log is not None and found != index:
            what = "no statement" if found is None else f"statement {found}"
            self._report.fail(table, f"{origin} at {at}: expected statement {index}, found {what}")


class _Find(Protocol):
    def __call__(self, log: int, at: int, /) -> int | None:
        """Reader.anchor_at or Reader.finding."""
        ...
