"""One gateway's log, from its entries up: leaves, tiles, every anchored root, bodies, micro-chains, custody.

It goes from one signed root to the next. Where the leaves between two do not give the second, the entries that were
changed are looked for; with the hashes that were expected of them the tree goes on, so that one changed entry is one
failure and what stands behind it is still checked.
"""

from collections.abc import Sequence
from itertools import islice

from collector.rows import LogRow
from collector.strands import carried_entry
from collector.verify.chains import Chains
from collector.verify.culprit import find_changed, suspects
from collector.verify.facts import Facts, Head
from collector.verify.quotes import Quotes
from collector.verify.report import Place, Report
from collector.verify.tables import Tables
from collector.verify.tree import BATCH, Tree
from vitaledger.checkpoint import open_checkpoint
from vitaledger.entry import Entry, parse_body, parse_leaf, verify_body
from vitaledger.errors import MalformedError, MisuseError, VerificationError
from vitaledger.events import Carried, Event, Heads
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.merkle import leaf_hash
from vitaledger.opened import open_entry

_SURPLUS_SHOWN = 20
_REMARKS = 1000


class LogCheck:
    """Checks one log; `run` does all of it."""

    def __init__(self, reader: Tables, row: LogRow, facts: Facts, quotes: Quotes, report: Report) -> None:
        self._reader, self._row, self._facts, self._quotes, self._report = reader, row, facts, quotes, report
        self._tree: Tree | None = Tree(reader, row.log, report, row.origin, row.gateway)
        self._chains = Chains(reader, row, report)
        self._carried = {each.idx: each for each in reader.carried_of(row.log)}
        self._good_anchor: int | None = None

    def run(self) -> None:
        """Check the log's row, its entries, and what was derived from them."""
        self._check_row()
        done = 0
        for head in self._facts.heads(self._row.origin, self._row.stored):
            self._segment(done, head)
            done = head.size
        if done < self._row.stored:
            self._segment(done, None)
        if self._tree is not None:
            self._tree.finish()
        self._chains.finish()
        for index in self._carried:
            self._report.fail("carried", "it carries nothing over", entry=self._place(index))
        self._check_findings()
        self._check_beyond()

    # -- what the log's row says --------------------------------------------------------------------------------------

    def _check_row(self) -> None:
        row, facts = self._row, self._facts
        enrolled = facts.enrolled(row.origin)
        if enrolled is None:
            self._fail_row("its origin was not enrolled in the ledger")
        elif (enrolled.gateway or row.gateway, enrolled.vkey, enrolled.statement) != (
            row.gateway,
            row.vkey,
            row.enrolled,
        ):
            self._fail_row(
                f"expected gateway {enrolled.gateway}, {enrolled.vkey}, enrolled by statement {enrolled.statement}; "
                f"found {row.gateway}, {row.vkey}, statement {row.enrolled}"
            )
        anchor, custody = facts.newest(row.origin, anchor=True), facts.newest(row.origin, anchor=False)
        witnessed = anchor.size if anchor else 0
        if row.witnessed != witnessed:
            self._fail_row(f"witnessed: expected {witnessed}, the newest anchor, found {row.witnessed}")
        self._check_checkpoint(anchor)
        if row.custody != (custody.statement if custody else None):
            self._fail_row(f"custody: expected {custody and custody.statement}, found {row.custody}")
        if row.stored != (custody.size if custody else 0):
            self._fail_row(f"stored: expected {custody.size if custody else 0}, as custody states, found {row.stored}")
        rows, expected = self._reader.anchors(row.log), facts.count_anchors(row.origin)
        if len(rows) != expected:
            self._report.fail(
                "anchors", f"{row.origin}: expected {expected} rows, found {len(rows)}", gateway=row.gateway
            )

    def _fail_row(self, reason: str) -> None:
        self._report.fail("logs", f"{self._row.origin}: {reason}", gateway=self._row.gateway)

    def _check_checkpoint(self, anchor: Head | None) -> None:
        row = self._row
        if row.checkpoint is None:
            if anchor is not None:
                self._fail_row("the checkpoint witnessed last is missing")
            return
        try:
            head = open_checkpoint(row.checkpoint, [verifier_of(parse_vkey(row.vkey))]).checkpoint
        except (MalformedError, VerificationError, MisuseError) as error:
            self._fail_row(f"the checkpoint witnessed last: {error}")
            return
        if (head.origin, head.size, head.root) != (row.origin, row.witnessed, anchor.root if anchor else None):
            self._fail_row(
                f"the checkpoint witnessed last is of {head.origin} at size {head.size} with root "
                f"{head.root.hex()[:16]}…; the newest anchor is of size {anchor.size if anchor else 0} with root "
                f"{anchor.root.hex()[:16] if anchor else '–'}…"
            )

    # -- entries ------------------------------------------------------------------------------------------------------

    def _segment(self, first: int, head: Head | None) -> None:
        """Entries from `first` to a signed root; `head` is None for those that no signed root covers yet."""
        end = head.size if head else self._row.stored
        hashes, rows = self._read(first, end)
        changed: dict[int, bytes] = {}
        if self._tree is not None:
            changed = self._grow(self._tree, first, hashes, head)
        for start in range(first, end, BATCH):  # none where an anchor and a custody are of one size
            stop = min(start + BATCH, end)
            stated = self._facts.findings_between(self._row.origin, start, stop)
            here = self._rows(start, stop) if rows is None else rows
            for index in range(start, stop):
                self._entry(index, here.get(index), hashes[index - first], changed.get(index), stated.get(index))
        if head is not None and head.is_anchor and self._tree is not None:
            self._good_anchor = head.size

    def _read(self, first: int, end: int) -> tuple[list[bytes | None], dict[int, tuple[bytes, bytes]] | None]:
        """The leaves' hashes as they stand, None where a row is missing; and the rows, where they are few."""
        hashes: list[bytes | None] = [None] * (end - first)
        if end - first <= BATCH:
            rows = self._rows(first, end)
            for index, (leaf, _) in rows.items():
                hashes[index - first] = leaf_hash(leaf)
            return hashes, rows
        for start in range(first, end, BATCH):
            for index, leaf in self._reader.leaves(self._row.log, start, min(start + BATCH, end)):
                hashes[index - first] = leaf_hash(leaf)
        return hashes, None

    def _rows(self, first: int, end: int) -> dict[int, tuple[bytes, bytes]]:
        return {index: (leaf, body) for index, leaf, body in self._reader.entries(self._row.log, first, end)}

    def _grow(self, tree: Tree, first: int, hashes: Sequence[bytes | None], head: Head | None) -> dict[int, bytes]:
        """Extend the tree; answers the entries that were changed, with the hashes expected of them."""
        whole = [each for each in hashes if each is not None]
        if len(whole) == len(hashes):
            if head is None:
                tree.extend(whole)
                return {}
            if tree.extend_to(whole, head.root):
                return {}
        changed = find_changed(
            self._reader,
            self._row,
            first,
            hashes,
            lambda tried: head is None or tree.root_with(tried) == head.root,
        )
        if changed is None:
            self._unexplained(first, hashes, head, whole)
            self._tree = None  # no root behind here can be made
            return {}
        tree.extend([changed.get(first + at, each) or b"" for at, each in enumerate(hashes)])
        return changed

    def _unexplained(
        self, first: int, hashes: Sequence[bytes | None], head: Head | None, whole: Sequence[bytes]
    ) -> None:
        """Entries were changed and it cannot be proven which: the suspects are named, or else the whole run."""
        row = self._row
        found = suspects(self._reader, row, first, hashes)
        end = first + len(hashes)
        what = "anchored" if head and head.is_anchor else "stated by the custody"
        if head is None:
            reason = f"an entry of [{first}, {end}) is missing"
        else:
            reason = f"the entries [{first}, {end}) do not give the root {what} at size {head.size}"
        index = found[0] if found else first
        self._report.fail(
            "entries",
            f"{reason}; suspect: {', '.join(map(str, found[:8])) or 'any of them'}",
            entry=self._place(index),
            expected=head.root if head else None,
            found=self._tree.root_with(whole) if self._tree and len(whole) == len(hashes) else None,
        )

    def _place(self, index: int, leaf: bytes | None = None) -> Place:
        chain, seq = self._chains.name_of(index, leaf)
        return Place(self._row.gateway, self._row.origin, index, chain, seq, self._good_anchor)

    def _entry(
        self,
        index: int,
        row: tuple[bytes, bytes] | None,
        found: bytes | None,
        expected: bytes | None,
        stated: tuple[int, str] | None,
    ) -> None:
        """One entry. `found` is its leaf's hash; `expected` another one where the leaf was changed."""
        counts = self._report.counts
        counts.entries += 1
        if row is None or found is None or expected is not None:
            reason = "the entry is missing" if row is None else "the leaf was changed"
            place = self._place(index)
            self._report.fail("entries", reason, entry=place, expected=expected, found=found)
            self._chains.passed_over(expected, place)
            return
        leaf, body = row
        reasons = []
        entry: Entry | None = None
        try:
            opened = open_entry(leaf, body)
            entry = opened.entry
            if opened.withheld:
                reasons.append("a part of its body is missing")
            for series in opened.values.series if opened.values else ():
                counts.readings += len(series.values)
            for wave in opened.waves or ():
                counts.wave_samples += len(wave.samples)
            if opened.event is not None:
                reasons += self._check_event(index, leaf, opened.event)
        except (MalformedError, VerificationError) as error:
            entry = _readable(leaf)
            if wrong := wrong_body(leaf, body):
                self._report.fail("entries", wrong, entry=self._place(index, leaf))
            else:
                reasons.append(str(error))
        if entry is not None and (broken := self._chains.take(index, entry, found)):
            reasons.append(broken)
        if reasons or stated is not None:
            self._judge(self._place(index, leaf), reasons, stated)

    def _judge(self, place: Place, reasons: Sequence[str], stated: tuple[int, str] | None) -> None:
        """What is wrong with an entry, against the finding that the ledger states about it, or does not."""
        report = self._report
        if stated is None:
            report.fail("entries", f"{'; '.join(reasons)}, and no finding says so", entry=place)
        elif len(report.remarks) < _REMARKS:
            # the ledger is signed, so a finding was made: if nothing is wrong, by a version that could not read it
            known = "" if reasons else "; this version can read it"
            report.remarks.append(f"finding, statement {stated[0]}: {place}: {stated[1]}{known}")

    def _check_event(self, index: int, leaf: bytes, event: Event) -> list[str]:
        """The ledger head that an entry quotes, and the row that says what it carries; what is wrong with that."""
        if isinstance(event, Heads) and event.ledger is not None:
            self._quotes.check(self._place(index, leaf), event.ledger)
        if not isinstance(event, Carried):
            return []
        expected, found = carried_entry(self._row.log, self._row.origin, index, event), self._carried.pop(index, None)
        if isinstance(expected, str):
            return [expected]
        if found != expected:
            self._report.fail("carried", f"expected {expected}, found {found}", entry=self._place(index))
        return []

    # -- what was derived ---------------------------------------------------------------------------------------------

    def _check_findings(self) -> None:
        row = self._row
        expected = dict(self._facts.findings(row.origin))
        for index, statement in self._reader.findings(row.log):
            if index not in expected:
                self._report.fail("findings", f"statement {statement} is no finding about it", entry=self._place(index))
        for index in expected:
            if index >= row.stored:
                self._report.fail("findings", "a finding about an entry that is not here", entry=self._place(index))

    def _check_beyond(self) -> None:
        """Entries that wait behind a hole: in their ranges, and each with its own body."""
        row, last = self._row, self._row.stored
        for first, end in self._reader.ranges(row.log):
            if not last <= first < end <= row.witnessed:
                reason = f"{row.origin}: range [{first}, {end}) between {last} and {row.witnessed}"
                self._report.fail("ranges", reason, gateway=row.gateway)
            self._check_gap(last, first)
            here = first
            heads: dict[str, tuple[int, bytes]] = {}
            for index, leaf, body in self._reader.entries(row.log, first, end):
                self._check_missing(here, index)
                here = index + 1
                self._report.counts.entries += 1
                if wrong := wrong_body(leaf, body) or _wrong_link(heads, leaf):
                    self._report.fail("entries", wrong, entry=self._place(index, leaf))
            self._check_missing(here, end)
            last = max(last, end)
        self._check_gap(last, 1 << 40)

    def _check_missing(self, first: int, end: int) -> None:
        for index in range(first, min(end, first + _SURPLUS_SHOWN)):
            self._report.fail("entries", "the entry is missing from a range that is stored", entry=self._place(index))

    def _check_gap(self, first: int, end: int) -> None:
        surplus = self._reader.entries(self._row.log, first, end)
        for index, _, _ in islice(surplus, _SURPLUS_SHOWN):
            self._report.fail("entries", "the entry is in no range that is stored", entry=self._place(index))


def _wrong_link(heads: dict[str, tuple[int, bytes]], leaf: bytes) -> str | None:
    """Behind a hole no root is known yet, but entries quote one another."""
    entry = _readable(leaf)
    if entry is None:
        return None
    seq, last = heads.get(entry.chain, (-1, b""))
    heads[entry.chain] = (entry.seq, leaf_hash(leaf))
    if seq + 1 != entry.seq or seq < 0 or entry.prev == last:
        return None
    return (
        f"it or the entry before it was changed: {entry.chain} entry {entry.seq}: prev: expected {last.hex()[:16]}…, "
        f"found {entry.prev.hex()[:16]}…"
    )


def _readable(leaf: bytes) -> Entry | None:
    try:
        return parse_leaf(leaf)
    except MalformedError:
        return None


def wrong_body(leaf: bytes, body: bytes) -> str | None:
    """Why a body is not its leaf's; a leaf that cannot be read says nothing of it."""
    entry = _readable(leaf)
    if entry is None:
        return None
    try:
        verify_body(entry, parse_body(body))
    except (MalformedError, VerificationError) as error:
        return str(error)
    return None
