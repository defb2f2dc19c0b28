"""Re-checking a gateway's store, all of it, with nothing believed but the gateway's key and the ledgers'.

    database   intact, these tables and no others
    entries    each there, readable, numbered and linked in its micro-chain, its body what its leaf commits to; no body
               missing but those that the seal says were pruned, and those only below custody
    heads      each heads entry says what the micro-chains really were
    tiles      each what the entries give; none missing, none more
    edge       the roots of the full tiles under partial ones: each what the entries give; none missing, none more
    head       the checkpoint signed by the gateway's key, of its origin, over exactly these entries
    receipts   each in the sealed order; its proof good, its root our own root at that size
    journal    exactly the rows that were signed, each readable
    seal, meta signed; of this origin and key

The first thing that is wrong is named. A wall clock that ran back is a remark: clocks are claims.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway import journal, schema
from gateway.blame import Suspicion, suspects
from gateway.bodies import unpack
from gateway.reader import Reader, ReceiptRow
from gateway.receipts import open_receipt
from gateway.seal import Seal, chain_receipt, parse_seal
from gateway.slots import verify_slots
from vitaledger import chain, events, note
from vitaledger.authentic import AuthenticTiles
from vitaledger.checkpoint import Checkpoint, open_checkpoint
from vitaledger.entry import Clock, Entry, entry_hash, parse_leaf
from vitaledger.errors import MalformedError, VerificationError, VitaledgerError
from vitaledger.events import ChainHead, LedgerHead
from vitaledger.keys import Verifier
from vitaledger.merkle import HASH_SIZE, TILE_WIDTH
from vitaledger.opened import Opened, open_entry
from vitaledger.tiles import FullTile, TileBuilder, differing

MAX_REMARKS = 20
_BLAME = 4096  # how many entries are looked through for the one to blame
Progress = Callable[[int, int], None]


def silent(done: int, size: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The first thing that is wrong. `index`, `chain` and `seq` where it is about an entry."""

    reason: str
    index: int | None = None
    chain: str | None = None
    seq: int | None = None
    expected: str | None = None
    found: str | None = None
    last_good: str | None = None

    def __str__(self) -> str:
        place = "" if self.index is None else f"entry {self.index}"
        place += "" if self.chain is None else f" ({self.chain}, number {self.seq})"
        hashes = "" if self.expected is None else f": expected {self.expected}, found {self.found}"
        good = f"; last good: {self.last_good}" if self.last_good else ""
        return f"{place}{': ' if place else ''}{self.reason}{hashes}{good}"


@dataclass(slots=True)
class Report:
    """What was checked, and the first failure if there was one."""

    origin: str
    size: int = 0
    entries: int = 0
    readings: int = 0
    samples: int = 0
    pruned: int = 0
    tiles: int = 0
    receipts: int = 0
    journal: int = 0  # bytes that were read and are not sealed yet
    custody: int = 0
    remarks: list[str] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return self.failure is None


class _BadError(VerificationError):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def verify_store(
    reader: Reader, own_key: Verifier, ledger_keys: Sequence[Verifier], progress: Progress = silent
) -> Report:
    """Check everything in a store, as of one moment; the gateway may go on running meanwhile."""
    check = _Check(reader, own_key, ledger_keys, progress)
    try:
        with reader.snapshot():
            check.run()
    except _BadError as error:
        check.report.failure = error.failure
    except VitaledgerError as error:
        check.report.failure = Failure(str(error), last_good=check.last_good)
    except sqlite3.DatabaseError as error:
        check.report.failure = Failure(f"the database is damaged: {error}", last_good=check.last_good)
    return check.report


class _Check:
    def __init__(self, reader: Reader, own_key: Verifier, ledger_keys: Sequence[Verifier], progress: Progress) -> None:
        self.report = Report(own_key.name)
        self._reader = reader
        self._db = reader.connection
        self._own_key = own_key
        self._ledger_keys = ledger_keys
        self._progress = progress
        self._builder = TileBuilder()
        self._good = TileBuilder()  # as of the last receipt or full tile that was right
        self._heads: dict[str, ChainHead] = {}
        self._clocks: dict[str, Clock] = {}
        self._receipts: Iterator[ReceiptRow] = iter(())
        self._receipt: ReceiptRow | None = None
        self._digest = bytes(32)
        self._ledger: LedgerHead | None = None
        self.last_good: str | None = None

    def run(self) -> None:
        self._check_database()
        head, seal = self._check_head()
        if head is None or seal is None:
            return
        self.report.size = head.size
        self._receipts = self._reader.receipts(above=-(2**63))
        self._receipt = next(self._receipts, None)
        self._check_rows_outside(head)
        for first in range(0, head.size, TILE_WIDTH):
            self._check_tile(first, min(first + TILE_WIDTH, head.size), head, seal)
            self._progress(min(first + TILE_WIDTH, head.size), head.size)
        if self._builder.root() != head.root:
            self._blame(head, head.size, head.root, "the signed checkpoint")
        self._check_receipts_end(seal)
        self._check_journal(seal)
        found = self._db.execute("SELECT count(*) FROM tiles").fetchone()[0]
        if found != self.report.tiles:
            raise self._bad(f"{found} tiles are stored, the entries have {self.report.tiles} full ones")
        if schema.version(self._db) >= schema.EDGE_VERSION:
            wrong = differing(self._builder.edge(), self._reader.edge())
            if wrong is not None:
                raise self._bad(wrong)

    # -- what stands alone -------------------------------------------------------------------------------------------

    def _check_database(self) -> None:
        found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise self._bad(f"the database is damaged: {found}")
        names = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        tables = schema.tables(schema.version(self._db))
        if names != tables:
            wrong = ", ".join(sorted(names ^ tables))
            raise self._bad(f"tables missing or not known: {wrong}")
        expected = {"origin": self._own_key.name, "vkey": str(getattr(self._own_key, "vkey", ""))}
        meta = self._reader.meta()
        if meta != expected:
            key = next(key for key in sorted({*meta, *expected}) if meta.get(key) != expected.get(key))
            raise self._bad(f"meta {key}", expected.get(key, "nothing"), meta.get(key, "nothing"))

    def _check_head(self) -> tuple[Checkpoint | None, Seal | None]:
        data = self._reader.checkpoint()
        if data is None:
            for table in sorted(schema.tables(schema.version(self._db)) - {"head", "meta"}):
                if self._db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():  # noqa: S608  a constant
                    raise self._bad(f"there are {table} and no signed checkpoint")
            return None, None
        if self._db.execute("SELECT count(*) FROM head").fetchone()[0] != 1:
            raise self._bad("expected one signed checkpoint, found several")
        head = open_checkpoint(data, [self._own_key]).checkpoint
        if head.origin != self.report.origin:
            raise self._bad("origin of the signed checkpoint", self.report.origin, head.origin)
        sealed = self._reader.seal_note()
        if sealed is None:
            raise self._bad("the seal is missing")
        note.verify_note(sealed, [self._own_key])
        seal = parse_seal(sealed.text)
        if seal.origin != self.report.origin:
            raise self._bad("origin of the seal", self.report.origin, seal.origin)
        newest = self._reader.newest_receipt()
        if seal.pruned > (newest.size if newest else 0):
            raise self._bad(f"{seal.pruned} bodies were pruned, the newest receipt does not cover them")
        return head, seal

    def _check_rows_outside(self, head: Checkpoint) -> None:
        row = self._db.execute(
            "SELECT idx FROM entries WHERE idx < 0 OR idx >= ? ORDER BY idx LIMIT 1", (head.size,)
        ).fetchone()
        if row is not None:
            raise self._bad(f"stored, but the signed checkpoint covers {head.size} entries", index=row[0])

    # -- entries, tile by tile ---------------------------------------------------------------------------------------

    def _check_tile(self, first: int, end: int, head: Checkpoint, seal: Seal) -> None:
        rows = {
            idx: (leaf, body)
            for idx, leaf, body in self._db.execute(
                "SELECT idx, leaf, body FROM entries WHERE idx >= ? AND idx < ?", (first, end)
            )
        }
        full = end - first == TILE_WIDTH
        tile = self._reader.full_tile(0, first // TILE_WIDTH) if full else None
        if full and tile is None:
            raise self._bad(f"tile 0/{first // TILE_WIDTH} is missing", index=first)
        for index in range(first, end):
            leaf, body = rows.get(index, (None, None))
            if not isinstance(leaf, bytes) or not isinstance(body, bytes | None):
                raise self._bad("missing from the store" if leaf is None else "not stored as bytes", index=index)
            found = entry_hash(leaf)
            if tile is not None:
                at = (index - first) * HASH_SIZE
                if tile[at : at + HASH_SIZE] != found:
                    self._blame_tile(index, tile[at : at + HASH_SIZE], found, head)
            self._check_entry(index, leaf, body and unpack(body), found, head, seal)
            self._extend(found, head)
        if full:
            self._good = self._builder.copy()
        if tile is not None and len(tile) != TILE_WIDTH * HASH_SIZE:
            raise self._bad(f"tile 0/{first // TILE_WIDTH}: expected 8192 bytes, found {len(tile)}", index=first)

    def _check_entry(
        self, index: int, leaf: bytes, body: bytes | None, found: bytes, head: Checkpoint, seal: Seal
    ) -> None:
        opened = _opened(leaf, body)
        try:
            entry = parse_leaf(leaf) if opened is None else opened.entry
        except MalformedError as error:
            raise self._bad(str(error), index=index) from error
        before = self._heads.get(entry.chain) or chain.start(self.report.origin, entry.chain)
        try:
            after = chain.follow(before, entry, found)
        except VerificationError as error:
            if entry.seq == before.next_seq and before.next_seq > 0:
                self._blame_link(index, entry, before, head)
            raise self._bad(str(error), index=index, entry=entry) from error
        self._check_body(index, entry, leaf, body, opened, seal)
        if opened is not None and isinstance(opened.event, events.Heads):
            self._check_heads(index, entry, opened.event, head)
        self._heads[entry.chain] = after
        self._check_clock(entry)
        self.report.entries += 1
        if opened is not None:
            self.report.readings += opened.reading_count
            self.report.samples += opened.sample_count

    def _check_body(
        self, index: int, entry: Entry, leaf: bytes, body: bytes | None, opened: Opened | None, seal: Seal
    ) -> None:
        if (body is None) != (index < seal.pruned):
            what = "its body is missing and was not pruned" if body is None else "it has a body, the seal says pruned"
            raise self._bad(what, index=index, entry=entry)
        if body is None:
            self.report.pruned += 1
            return
        if opened is None:
            try:
                opened = open_entry(leaf, body)
            except VitaledgerError as error:
                raise self._bad(str(error), index=index, entry=entry) from error
        if opened.withheld:
            raise self._bad(f"parts {list(opened.withheld)} of its body are missing", index=index, entry=entry)

    def _check_heads(self, index: int, entry: Entry, said: events.Heads, head: Checkpoint) -> None:
        stated = {each.chain: each for each in said.chains}
        if stated != self._heads:
            name = next(n for n in sorted({*stated, *self._heads}) if stated.get(n) != self._heads.get(n))
            self._blame(head, head.size, head.root, "the signed checkpoint", only=True)
            raise self._bad(f"this heads entry is wrong about {name}", index=index, entry=entry)

    def _check_clock(self, entry: Entry) -> None:
        last = self._clocks.get(entry.chain)
        self._clocks[entry.chain] = entry.clock
        if last is not None and entry.clock.wall_ms < last.wall_ms and len(self.report.remarks) < MAX_REMARKS:
            back = (last.wall_ms - entry.clock.wall_ms) / 1000
            self.report.remarks.append(f"{entry.chain} entry {entry.seq}: the wall clock ran back by {back:.1f} s")

    # -- tree and receipts -------------------------------------------------------------------------------------------

    def _extend(self, found: bytes, head: Checkpoint) -> None:
        for tile in self._builder.extend((found,)):
            self._check_full(tile)
        while self._receipt is not None and self._receipt.size <= self._builder.size:
            self._check_receipt(self._receipt, head)
            self._receipt = next(self._receipts, None)

    def _check_full(self, tile: FullTile) -> None:
        self.report.tiles += 1
        if self._reader.full_tile(tile.level, tile.n) != tile.data:
            raise self._bad(f"tile {tile.level}/{tile.n} is not what the entries give")

    def _check_receipt(self, row: ReceiptRow, head: Checkpoint) -> None:
        where = f"receipt for {row.size} entries"
        if not isinstance(row.at_ms, int) or not isinstance(row.statement, bytes) or not isinstance(row.proof, bytes):
            raise self._bad(f"{where}: not stored as it should be")
        self._digest = chain_receipt(self._digest, row.size, row.at_ms, row.statement, row.proof)
        try:
            receipt = open_receipt(row.statement, row.proof, self.report.origin, self._ledger_keys)
        except VitaledgerError as error:
            raise self._bad(f"{where}: {error}") from error
        if receipt.size != row.size or row.size != self._builder.size:
            raise self._bad(f"{where}: its statement is about {receipt.size}")
        if receipt.root != self._builder.root():
            self._blame(head, row.size, receipt.root, f"the {where}")
        self._note_ledger(receipt.ledger)
        self.report.receipts += 1
        self.report.custody = row.size
        self._good = self._builder.copy()
        self.last_good = f"receipt for {row.size} entries, at size {receipt.ledger.size} of {receipt.ledger.origin}"

    def _note_ledger(self, new: LedgerHead) -> None:
        seen, self._ledger = self._ledger, new
        if seen is None or seen.origin != new.origin:
            return
        if new.size < seen.size or (new.size == seen.size and new.root != seen.root):
            self.report.remarks.append(f"{new.origin} went back from size {seen.size} to {new.size}: it was restored")

    def _check_receipts_end(self, seal: Seal) -> None:
        if self._receipt is not None:
            raise self._bad(f"there is a receipt for {self._receipt.size} entries, the log has {self.report.size}")
        if (seal.receipts, seal.digest) != (self.report.receipts, self._digest):
            raise self._bad(
                f"{self.report.receipts} receipts of {seal.receipts} sealed ones: digest",
                seal.digest.hex()[:16],
                self._digest.hex()[:16],
            )

    def _check_journal(self, seal: Seal) -> None:
        found = journal.read(verify_slots(seal, self._reader.journal()))
        self.report.journal = sum(each.open_bytes for each in found)

    # -- who is to blame ---------------------------------------------------------------------------------------------

    def _blame_tile(self, index: int, expected: bytes, found: bytes, head: Checkpoint) -> None:
        try:
            sure = AuthenticTiles(self._reader, head.size, head.root).leaf_hash(index)
        except VitaledgerError:
            sure = found
        if sure != found:
            raise self._bad("its leaf was changed: hash", sure.hex(), found.hex(), index=index)
        raise self._bad(f"tile 0/{index // TILE_WIDTH}: hash", found.hex(), expected.hex(), index=index)

    def _blame_link(self, index: int, entry: Entry, before: ChainHead, head: Checkpoint) -> None:
        """`entry` does not link to the one before it: is that one changed, or this one?"""
        if index >= head.size - head.size % TILE_WIDTH:
            self._blame(head, head.size, head.root, "the signed checkpoint", only=True)
        raise self._bad("prev", before.last.hex(), entry.prev.hex(), index=index, entry=entry)

    def _blame(self, head: Checkpoint, size: int, root: bytes, what: str, *, only: bool = False) -> None:
        """The root of the first `size` entries is wrong: name the entry that it comes from, as far as can be told."""
        first = self._good.size
        rows = self._reader.entries(first, max(size, min(head.size, first + _BLAME)))
        found = suspects(self._good, rows, size, root)
        if isinstance(found, Suspicion):
            entry = parse_leaf(rows[found.index - first][0])
            raise self._bad(
                "its leaf was changed: hash", found.expected.hex(), found.found.hex(), index=found.index, entry=entry
            )
        if only:
            return
        among = f"one of entries {', '.join(map(str, found[:8]))} was changed: " if len(found) > 1 else ""
        raise self._bad(
            f"{among}root of {size} entries by {what}",
            root.hex(),
            "another",
            index=found[0] if found else first,
        )

    def _bad(
        self,
        reason: str,
        expected: str | None = None,
        found: str | None = None,
        *,
        index: int | None = None,
        entry: Entry | None = None,
    ) -> _BadError:
        name, seq = (entry.chain, entry.seq) if entry else (None, None)
        return _BadError(Failure(reason, index, name, seq, expected, found, self.last_good))


def _opened(leaf: bytes, body: bytes | None) -> Opened | None:
    """The entry, opened; None where that fails: what is wrong is told in the order in which it is looked for."""
    try:
        return None if body is None else open_entry(leaf, body)
    except VitaledgerError:
        return None
