"""The chain of trust over a store that nobody trusts: ledger key → ledger → statements → gateway key → log → entry.

    ledger's key (pinned)     signed the ledger's checkpoint, whose root every tile that is used is held against
    ledger                    holds the enrolment statement that names the gateway's key, and the anchor statement
    gateway's key             signed the anchored checkpoint, whose root every tile of its log is held against
    leaf                      has the hash that stands in that log, and commits to each part of the body

A `VerifiedStore` is made over a reader and brought up to date by `refresh`; what it has checked it keeps, so that an
entry costs at most one tile a level, however old its log is. Nothing here answers an unchecked byte as good.
"""

from dataclasses import dataclass
from enum import Enum

from collector.reader import LEDGER, Reader
from collector.rows import LogRow
from vitaledger import prover, statement
from vitaledger.authentic import AuthenticTiles
from vitaledger.checkpoint import SignedCheckpoint, open_checkpoint
from vitaledger.compiled import compile_make
from vitaledger.entry import Entry, part_name
from vitaledger.errors import ForkError, MalformedError, VerificationError
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.lineage import follow_lineage
from vitaledger.merkle import leaf_hash
from vitaledger.opened import Opened, open_entry
from vitaledger.prover import Prover
from vitaledger.statement import Anchor, Custody, Finding, Statement, Succession


class State(Enum):
    """How far an entry is proven."""

    PROVEN = "proven"  # under a root that its gateway signed and that is anchored in the ledger
    STORED = "stored"  # here, not yet under an anchor whose tree is complete here
    FINDING = "finding"  # sealed like this by its gateway, and the ledger says that it cannot be believed
    FAILED = "failed"  # not what was sealed


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, and why where it is a finding or failed: with what was expected and what was found."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an entry showed. `opened` is None wherever its content must not be shown.

    `hash` is the leaf's hash by the log's tree where that could be checked; `entry` only where the leaf has that hash.
    """

    index: int
    verdict: Verdict
    hash: bytes | None = None
    entry: Entry | None = None
    opened: Opened | None = None


make_look = compile_make(Look)
PROVEN, STORED = Verdict(State.PROVEN), Verdict(State.STORED)


class VerifiedLedger:
    """The provider ledger, under a checkpoint that the pinned key signed."""

    def __init__(self, reader: Reader, vkey: str) -> None:
        """Raises VerificationError, or MalformedError, where the head does not hold."""
        key = parse_vkey(vkey)
        self._reader = reader
        self.vkey = vkey
        self.head: SignedCheckpoint = open_checkpoint(reader.ledger_checkpoint(), [verifier_of(key)])
        checkpoint = self.head.checkpoint
        if checkpoint.origin != key.name:
            raise VerificationError(f"ledger: expected the checkpoint of {key.name}, found {checkpoint.origin}")
        self.tiles = _authentic(reader, LEDGER, checkpoint.size, checkpoint.root)
        self.prover = Prover(self.tiles, checkpoint.size)

    @property
    def size(self) -> int:
        """How many statements."""
        return self.head.checkpoint.size

    def leaf(self, index: int) -> bytes:
        """A statement's bytes, proven to stand at `index`; VerificationError where they do not."""
        if not 0 <= index < self.size:
            raise VerificationError(f"statement {index}: the ledger has {self.size} statements")
        leaf = self._reader.statement(index)
        if leaf is None:
            raise VerificationError(f"statement {index}: missing in the store")
        expected, found = self.tiles.leaf_hash(index), leaf_hash(leaf)
        if found != expected:
            raise VerificationError(f"statement {index}: expected hash {_short(expected)}, found {_short(found)}")
        return leaf

    def statement(self, index: int) -> Statement:
        """A statement, proven to stand at `index`."""
        return statement.decode(self.leaf(index))

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """The inclusion proof of a statement under the ledger's checkpoint."""
        return tuple(self.prover.inclusion(index))

    def must_follow(self, older: "VerifiedLedger") -> None:
        """Check that this ledger continues one that was seen before.

        Raises:
            ForkError: both are signed, and one is not the beginning of the other.
        """
        before, now = older.head.checkpoint, self.head.checkpoint
        if now.size < before.size:
            raise ForkError(f"ledger: it was of size {before.size} a moment ago and is now of size {now.size}")
        found = prover.root_from_tiles(self.tiles, before.size)
        if found != before.root:
            raise ForkError(
                f"ledger: root at size {before.size}: expected {_short(before.root)}, found {_short(found)}"
            )


class VerifiedLog:
    """One gateway's log. What is wrong with the whole of it stands in `failure`; then every entry of it has failed."""

    def __init__(self, reader: Reader, ledger: VerifiedLedger, row: LogRow) -> None:
        self.reader, self.ledger, self.row = reader, ledger, row
        self.failure: str | None = None
        self.anchor: SignedCheckpoint | None = None
        self.anchor_statement = -1
        self.anchored = 0  # the size up to which entries are proven
        self.tiles: AuthenticTiles | None = None
        self.prover: Prover | None = None  # in the tree of what is anchored
        self._custody: AuthenticTiles | None = None
        try:
            self.vkey = enrolled_key(reader, ledger, row)
            self._find_anchor()
            self._find_custody()
        except (VerificationError, MalformedError) as error:
            self.failure = f"{row.origin}: {error}"
            self.anchored = 0

    def _find_anchor(self) -> None:
        covered = self.reader.anchor_at_or_below(self.row.log, self.row.stored)
        if covered is None:
            return
        size, self.anchor_statement = covered
        said = self.ledger.statement(self.anchor_statement)
        if not isinstance(said, Anchor):
            raise VerificationError(f"statement {self.anchor_statement}: expected the anchor of size {size}")
        self.anchor = open_checkpoint(said.checkpoint, [verifier_of(parse_vkey(self.vkey))])
        head = self.anchor.checkpoint
        if (head.origin, head.size) != (self.row.origin, size):
            raise VerificationError(
                f"statement {self.anchor_statement}: expected the anchor of {self.row.origin} at size {size}, "
                f"found that of {head.origin} at size {head.size}"
            )
        self.tiles = _authentic(self.reader, self.row.log, size, head.root)
        self.prover = Prover(self.tiles, size)
        self.anchored = size

    def _find_custody(self) -> None:
        """What the collector itself said that it stores: it holds entries that wait for their anchor against that."""
        if self.row.custody is None:
            return
        said = self.ledger.statement(self.row.custody)
        if not isinstance(said, Custody) or said.origin != self.row.origin:
            raise VerificationError(f"statement {self.row.custody}: expected a custody statement of {self.row.origin}")
        if said.size > self.anchored:
            if said.size > self.row.stored:
                raise VerificationError(f"custody of {said.size} entries was stated, {self.row.stored} are stored")
            self._custody = _authentic(self.reader, self.row.log, said.size, said.root)

    def leaf_hash(self, index: int) -> bytes | None:
        """The hash at `index` by the log's tree, checked; None where no tree that is signed reaches so far yet."""
        for tiles in (self.tiles, self._custody):
            if tiles is not None and index < tiles.size:
                return tiles.leaf_hash(index)
        return None

    def look(self, index: int) -> Look:
        """Look at one entry: everything from its content up to the ledger's signature is checked. Never raises."""
        leaf, body = self.reader.entry(self.row.log, index) or (None, None)
        return self.look_at(index, leaf, body, self.reader.finding(self.row.log, index))

    def look_at(self, index: int, leaf: object, body: object, finding: int | None) -> Look:
        """The same for an entry whose row was read: leaf and body, None where there are none, and its finding."""
        if self.failure:
            return Look(index, Verdict(State.FAILED, self.failure))
        try:
            return self._look(index, leaf, body, finding)
        except (VerificationError, MalformedError) as error:
            return Look(index, Verdict(State.FAILED, str(error)))

    def _look(self, index: int, leaf: object, body: object, finding: int | None) -> Look:
        expected = self.leaf_hash(index)
        if type(leaf) is not bytes or type(body) is not bytes:  # SQLite stores what it is given
            how = "missing in the store" if leaf is body is None else "not stored as bytes"
            return Look(index, Verdict(State.FAILED, f"entry {index} is {how}"), expected)
        found = leaf_hash(leaf)
        if expected is not None and found != expected:
            reason = f"entry {index}: expected leaf hash {_short(expected)}, found {_short(found)}"
            return Look(index, Verdict(State.FAILED, reason), expected)
        told = None if finding is None else self._finding(index, finding)
        try:
            opened = open_entry(leaf, body)
        except (MalformedError, VerificationError) as error:
            unread = isinstance(error, MalformedError) and told is not None
            verdict = Verdict(State.FINDING, told or "") if unread else Verdict(State.FAILED, str(error))
            return Look(index, verdict, found)
        entry = opened.entry
        if told is not None:
            return Look(index, Verdict(State.FINDING, told), found, entry, opened)
        if opened.withheld:
            missing = ", ".join(part_name(part) for part in opened.withheld)
            reason = f"{entry.chain} entry {entry.seq}: its part {missing} is missing in the store"
            return Look(index, Verdict(State.FAILED, reason), found, entry)
        return make_look(index, PROVEN if index < self.anchored else STORED, found, entry, opened)

    def _finding(self, index: int, at: int) -> str:
        said = self.ledger.statement(at)
        if not isinstance(said, Finding) or (said.origin, said.index) != (self.row.origin, index):
            raise VerificationError(f"statement {at}: expected the finding about entry {index} of {self.row.origin}")
        return said.reason


class VerifiedStore:
    """The ledger and the logs of a store, each verified once and again when it has grown."""

    def __init__(self, reader: Reader, vkey: str) -> None:
        self.reader = reader
        self.ledger = VerifiedLedger(reader, vkey)
        self._logs: dict[int, VerifiedLog] = {}

    def refresh(self) -> None:
        """Go on to the newest head; VerificationError where it does not hold or does not continue the last."""
        if self.reader.ledger_checkpoint() == self.ledger.head.raw:
            return
        newer = VerifiedLedger(self.reader, self.ledger.vkey)
        newer.must_follow(self.ledger)
        self.ledger = newer

    def log(self, row: LogRow) -> VerifiedLog:
        """A log, verified as far as `row` says that it goes."""
        kept = self._logs.get(row.log)
        if kept is None or kept.failure or kept.row != row:
            kept = self._logs[row.log] = VerifiedLog(self.reader, self.ledger, row)
        return kept


def enrolled_key(reader: Reader, ledger: VerifiedLedger, row: LogRow) -> str:
    """The vkey of a log, by the statements that lead to it (vitaledger.lineage); VerificationError where it differs."""
    said = [ledger.statement(row.enrolled)]
    at = row
    while isinstance(last := said[-1], Succession):
        old = reader.log_of(last.old_origin)
        if old is None or old.enrolled >= at.enrolled:
            raise VerificationError(f"statement {at.enrolled}: {last.old_origin} was not enrolled before")
        at = old
        said.append(ledger.statement(at.enrolled))
    found = follow_lineage(row.origin, said)
    if (found.gateway, found.vkey) != (row.gateway, row.vkey):
        raise VerificationError(
            f"statement {row.enrolled}: enrols {found.gateway} as {row.origin} with {found.vkey}; "
            f"the store says {row.gateway}, {row.vkey}"
        )
    return row.vkey


def _authentic(reader: Reader, log: int, size: int, root: bytes) -> AuthenticTiles:
    try:
        try:
            return AuthenticTiles(reader.tile_reader(log, size), size, root)
        except VerificationError:
            if not reader.doubt_edge(log):
                raise
            return AuthenticTiles(reader.tile_reader(log, size), size, root)
    except VerificationError:
        reader.forget_edges()  # a store that is put right holds again, for a process that saw it wrong too
        raise


def _short(digest: bytes) -> str:
    return digest.hex()[:16] + "…"
