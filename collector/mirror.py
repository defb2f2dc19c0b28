"""The mirror of one gateway's log: what was witnessed, and the entries under it.

`add_checkpoint` is a witness's add-checkpoint; each new head that it takes becomes an anchor statement. `add_entries`
takes a run of entries of one tile with its subtree consistency proof to any checkpoint that was ever witnessed:

    bytes that do not match that checkpoint, a body that is not what its leaf commits to    refused (422)
    bytes that match                                                                        stored, whatever they are

Each row is read back and compared before the COMMIT. `advance` moves `stored`, the end of the unbroken prefix, over
what has come: it extends the tree, follows the micro-chains and makes a finding, once, of each entry that cannot be
read, lacks parts or breaks its chain. Nothing behind such an entry waits. An entry is opened once, when it comes, and
again only where it had to wait for a hole to close. `custody` then states size and root of the prefix.

All of it runs inside the caller's transaction; when that fails, the mirror is thrown away and loaded again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from collector.ledger import Ledger
from collector.ranges import Ranges
from collector.reader import MAX_LOG
from collector.rows import LogRow
from collector.seam import MirrorStore
from collector.strands import Seen, Strands, look
from vitaledger import fork, messages, statement, witness
from vitaledger.checkpoint import parse_unverified
from vitaledger.entry import parse_body, parse_leaf, verify_body
from vitaledger.errors import ForkError, MalformedError, VerificationError
from vitaledger.keys import parse_vkey, verifier_of
from vitaledger.merkle import leaf_hash, root, split_hashes, verify_subtree_consistency
from vitaledger.messages import BAD_REQUEST, CONFLICT, OK, REFUSED, TILE, Entries
from vitaledger.prover import consistency_proof, root_from_tiles
from vitaledger.statement import Anchor, Custody, Finding
from vitaledger.tiles import TileBuilder
from vitaledger.witness import Decision, Witnessed

MAX_REASON = 512
MAX_ADVANCE = 2048  # entries that one step moves over: a long backlog does not hold up the other gateways


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a run of entries: how many were new, and how many were here already."""

    status: int
    detail: str = ""
    new: int = 0
    duplicates: int = 0


def plain(text: str, most: int = MAX_REASON) -> str:
    """A reason as it may stand in a statement or an answer: no control characters, bounded."""
    clean = "".join(char if char.isprintable() else "�" for char in text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


class Mirror:
    """One gateway's log at the collector."""

    def __init__(self, store: MirrorStore, ledger: Ledger, row: LogRow) -> None:
        self._store = store
        self._ledger = ledger
        self._keys = [verifier_of(parse_vkey(row.vkey))]
        self._roots: dict[int, bytes] = {}
        self._builder = _builder(store, row)
        self._strands = Strands(store, row.log, row.origin)
        self._seen: dict[int, Seen] = {}  # read back as they came in this transaction; `advance` moves over them
        self.row = row
        self.ranges = Ranges(row.stored, store.ranges(row.log))

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def add_checkpoint(self, request: bytes, now_ms: int) -> Decision:
        """A witness's decision, recorded. `fork` tells that two signed heads of this log contradict each other."""
        row, state = self.row, None
        if row.checkpoint is not None:
            state = Witnessed(row.witnessed, parse_unverified(row.checkpoint)[0].root, row.checkpoint)
        decision = witness.decide(self._keys, state, request)
        if decision.status == CONFLICT and not decision.fork:
            return self._compare_own(decision, request)
        if decision.state is None:
            return decision
        new = decision.state
        if len(new.note) > statement.MAX_NOTE:
            return Decision(BAD_REQUEST, b"checkpoint: expected at most %d bytes\n" % statement.MAX_NOTE)
        if state is None or new.size > state.size:  # a head that was anchored before needs no second anchor
            index = self._ledger.append(Anchor(now_ms, new.note))
            self.row = self._store.set_witnessed(row, new.size, new.note, index)
        return decision

    def _compare_own(self, decision: Decision, request: bytes) -> Decision:
        """On a 409 the signed head is held against our own tree as well: a restored gateway shows itself here."""
        head = parse_unverified(witness.parse_request(request).checkpoint)[0]
        own = self._own_root(head.size)
        if own is None or own == head.root:
            return decision
        return replace(decision, fork=True, proven=True, evidence=request)

    def _own_root(self, size: int) -> bytes | None:
        """The root at a size by the entries that are here, or by an anchor; None where neither tells."""
        if 0 < size <= self.row.stored:
            return root_from_tiles(self._store.tile_reader(self.row.log, self.row.stored), size)
        return self._root_at(size)

    def fork_evidence(self, note: bytes) -> bytes | None:
        """The file that shows that a signed head contradicts one that was anchored; None where it does not.

        Of the anchored heads the nearest that is no smaller is taken whose tree is here: it needs no entry that is not.
        """
        head = parse_unverified(note)[0]
        found = self._store.anchor_at_or_above(self.row.log, head.size)
        leaf = None if found is None else self._store.statement(found[1])
        anchor = None if leaf is None else statement.decode(leaf)
        if found is None or not isinstance(anchor, Anchor):
            return None
        size, own, proof = found[0], None, []
        if head.size < size:
            if size > self.row.stored:
                return None
            tiles = self._store.tile_reader(self.row.log, self.row.stored)
            own, proof = root_from_tiles(tiles, head.size), consistency_proof(tiles, head.size, size)
        made = fork.build(self.row.vkey, note, anchor.checkpoint, own, proof)
        try:
            fork.verify(made, self.row.vkey)
        except VerificationError:
            return None
        return made

    # -- entries ------------------------------------------------------------------------------------------------------

    def add_entries(self, message: Entries) -> Taken:
        """Take a run of entries; `advance` has then to be called.

        Raises:
            VerificationError: what was stored cannot be read back as it came.
        """
        hashes = [leaf_hash(sealed.leaf) for sealed in message.entries]
        if refused := self._refuse(message, hashes):
            return refused
        first, end = message.first, message.first + len(message.entries)
        fresh = not self.ranges.touches(first, end)  # as nearly always: nothing of it is here
        rows = [
            (index, sealed.leaf, sealed.body)
            for index, sealed in enumerate(message.entries, first)
            if fresh or not self.ranges.holds(index, index + 1)
        ]
        seen = {}
        for index, leaf, body in rows:
            found = seen[index] = look(leaf, body, hashes[index - first])
            if found.wrong and (wrong := _wrong_body(leaf, body)):
                return Taken(REFUSED, plain(f"entry {index}: {wrong}"))
        if rows:
            self._store.add_entries(self.row.log, rows)
            stored = {index: (leaf, body) for index, leaf, body in self._store.entries(self.row.log, first, end)}
            if any(stored.get(index) != (leaf, body) for index, leaf, body in rows):
                raise VerificationError(f"{self.row.origin}: entries [{first}, {end}) cannot be read back as they came")
            self.ranges.add(first, end)
            self._store.set_ranges(self.row.log, self.ranges.beyond)
            if end <= self.ranges.prefix and len(self._seen) < MAX_ADVANCE:
                self._seen |= seen
        return Taken(OK, new=len(rows), duplicates=end - first - len(rows))

    def _refuse(self, message: Entries, hashes: list[bytes]) -> Taken | None:
        first, end = message.first, message.first + len(message.entries)
        start, tree_root = first - first % TILE, self._root_at(message.size)
        if end > MAX_LOG:
            return Taken(REFUSED, f"entries end at {end}: a log here holds at most {MAX_LOG}")
        if tree_root is None:
            return Taken(CONFLICT, f"no checkpoint of size {message.size} was witnessed")
        if not self.ranges.holds(start, first):
            return Taken(CONFLICT, f"entry {first}: expected a tile's boundary or the end of a stored range")
        try:
            verify_subtree_consistency(
                start, end, root(self._hashes(start, first) + hashes), message.size, tree_root, message.proof
            )
        except VerificationError as error:
            return Taken(REFUSED, plain(str(error)))
        if not self.ranges.can_add(first, end):
            return Taken(CONFLICT, "too many stored ranges: expected entries that close a hole")
        return None

    def _hashes(self, start: int, first: int) -> list[bytes]:
        """The leaf hashes of a tile up to an entry of it: those of the right edge are in mind."""
        if first == self._builder.size:
            return split_hashes(self._builder.partial(0))
        return [leaf_hash(leaf) for _, leaf in self._store.leaves(self.row.log, start, first)]

    def advance(self, now_ms: int, most: int = MAX_ADVANCE) -> bool:
        """Move `stored` over what has come, at most `most` entries; whether there is more to move over.

        Raises:
            VerificationError: the rows read back are not those that were verified; nothing is signed.
        """
        first, end = self.row.stored, min(self.ranges.prefix, self.row.stored + most)
        if first == end:
            return False
        hashes: list[bytes] = []
        for index, seen in self._read(first, end):
            if index != first + len(hashes):
                break
            hashes.append(seen.hash)
            if reason := self._strands.follow(index, seen):
                found = self._ledger.append(Finding(now_ms, self.row.origin, index, plain(reason)))
                self._store.add_finding(self.row.log, index, found)
        if len(hashes) != end - first:
            raise VerificationError(f"{self.row.origin}: entry {first + len(hashes)} is missing in the store")
        self._strands.save()
        tiles = self._builder.extend(hashes)
        self._store.add_tiles(self.row.log, tiles, self._builder.roots_of(tiles))
        self.row = self._store.set_stored(self.row, end)
        self.ranges.advance(end)
        self._store.set_ranges(self.row.log, self.ranges.beyond)
        return end < self.ranges.prefix

    def _read(self, first: int, end: int) -> Iterator[tuple[int, Seen]]:
        """The entries [first, end) that are here: from memory what was read back just now, from the store the rest."""
        seen, self._seen = self._seen, {}
        while first in seen and first < end:
            yield first, seen[first]
            first += 1
        for index, leaf, body in self._store.entries(self.row.log, first, end):
            yield index, seen.get(index) or look(leaf, body, leaf_hash(leaf))

    def custody(self, now_ms: int) -> int:
        """State that [0, stored) is in custody; the statement's index.

        Raises:
            ForkError: our root at that size is not the one that the gateway signed: nothing is signed on it.
        """
        size, tree_root = self.row.stored, self._builder.root()
        anchored = self._root_at(size)
        if anchored is not None and anchored != tree_root:
            raise ForkError(
                f"{self.row.origin}: root of size {size}: anchored {anchored.hex()[:16]}…, "
                f"stored {tree_root.hex()[:16]}…: no custody is signed"
            )
        index = self._ledger.append(Custody(now_ms, self.row.origin, size, tree_root))
        self.row = self._store.set_custody(self.row, index)
        return index

    def answer(self, message_id: int, status: int, detail: str) -> messages.EntriesAnswer:
        """What down/entries says."""
        stored = tuple(messages.Range(first, end) for first, end in self.ranges.all())
        return messages.EntriesAnswer(message_id, status, self.row.origin, stored, self.row.witnessed, plain(detail))

    def _root_at(self, size: int) -> bytes | None:
        """The root of a checkpoint that was ever witnessed."""
        found = self._roots.get(size)
        if found is None:
            index = self._store.anchor_at(self.row.log, size)
            leaf = None if index is None else self._store.statement(index)
            anchor = None if leaf is None else statement.decode(leaf)
            if not isinstance(anchor, Anchor):
                return None
            found = parse_unverified(anchor.checkpoint)[0].root
            if len(self._roots) >= 64:
                self._roots.clear()
            self._roots[size] = found
        return found


def _builder(store: MirrorStore, row: LogRow) -> TileBuilder:
    """The right edge of a log; of full tiles where the stored edge does not give the root that is in custody."""
    found = TileBuilder.restore(row.stored, store.tile_reader(row.log, row.stored).tile)
    leaf = None if row.custody is None else store.statement(row.custody)
    said = None if leaf is None else statement.decode(leaf)
    if isinstance(said, Custody) and (said.size, said.root) != (row.stored, found.root()) and store.doubt_edge(row.log):
        found = TileBuilder.restore(row.stored, store.tile_reader(row.log, row.stored).tile)
    return found


def _wrong_body(leaf: bytes, body: bytes) -> str | None:
    """Why the body is not the leaf's, if that can be told: parts may be missing, none may be another.

    A leaf that this version cannot read says nothing about its body: both are stored, and a finding.
    """
    try:
        entry = parse_leaf(leaf)
    except MalformedError:
        return None
    try:
        verify_body(entry, parse_body(body))
    except (MalformedError, VerificationError) as error:
        return str(error)
    return None
