"""The gateway's store: its transparency log in one SQLite file, with the receipts for it.

One commit is one transaction, in this order, because each step protects the next:

    seal          number, link and salt each draft; open it with the collector's own code
    insert        the new rows; what is in them leaves the journal, and what was read since enters it
    read back     the rows as they now stand are the bytes that were hashed: what is signed is what is stored
    tree          extend a copy of the right edge; insert the tiles that became full, and their roots
    sign          the checkpoint; it replaces the one before only if that is still the one this process signed
    COMMIT        durable when it returns (WAL, synchronous=FULL); only then does memory follow, and may anyone publish

A commit that fails before COMMIT leaves nothing. When COMMIT itself fails, whether it is durable is not known: the
store then refuses to go on until it is opened again and reads what is there.

`Store.open` locks the directory for the process. The thread that commits owns heads and clocks; `keep_receipt`,
`add_receipt` and `prune` may be called from any thread.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Self

from gateway import bodies, headrow, recovery, schema
from gateway.draft import Draft
from gateway.journal import Step
from gateway.locked import StoreError, take_lock, translated
from gateway.reader import Rows
from gateway.receipts import VerifiedReceipt
from gateway.seal import VERSION, Seal, chain_receipt
from gateway.sealing import DraftError, SaltPool, SealedEntry, Sealer
from gateway.slots import Slots, verify_slots
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.entry import Clock, parse_leaf
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import ChainHead, Heads, LedgerHead
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.merkle import TILE_WIDTH
from vitaledger.tiles import TileRoot, differing

if TYPE_CHECKING:
    from vitaledger.content import Context
    from vitaledger.tiles import TileBuilder

__all__ = ["Committed", "DraftError", "Store"]

logger = logging.getLogger(__name__)
_PRUNE_STEP = 512


@dataclass(frozen=True, slots=True)
class Committed:
    """Entries [first, size) are durable under this signed checkpoint. Without drafts first equals size."""

    first: int
    size: int
    checkpoint: bytes | None


class Store:
    """A gateway's log, open for appending."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: IO[bytes],
        signer: Ed25519Signer,
        random: Callable[[int], bytes],
    ) -> None:
        """Use `Store.open`."""
        self._db = connection
        self._file_lock = lock
        self._signer = signer
        self._random = SaltPool(random)
        self._guard = RLock()  # one transaction at a time
        self._broken: str | None = None
        self._rows = Rows(connection)
        found = recovery.restore(self._rows, self.origin, verifier_of(signer.vkey))
        self._builder = found.builder
        self._mend_edge()
        self._checkpoint = found.checkpoint
        self._heads = dict(found.heads)
        self._contexts: dict[str, Context] = {}
        self._clocks = dict(found.clocks)
        self._last_heads = found.last_heads
        self._opened_at = found.builder.size
        self.stopped_cleanly = found.stopped_cleanly
        self.empty = found.checkpoint is None
        self._seal = headrow.read_seal(self._rows, signer)
        self._custody, self._ledger = headrow.newest_receipt(self._rows, self.size)
        self._due: tuple[VerifiedReceipt, int] | None = None  # a receipt for the next commit
        self._slots = self._read_slots()

    @classmethod
    def open(cls, path: Path, signer: Ed25519Signer, *, random: Callable[[int], bytes]) -> Self:
        """Open the store in a directory, or make an empty one; `signer.name` is the log's origin.

        Raises:
            StoreLockedError: another process has it open.
            MisuseError: a newer program made it, or it is of another origin or key.
            VerificationError: the signed checkpoint is not of the stored entries; nothing was changed.
            StoreError: the database cannot be opened.
        """
        path.mkdir(parents=True, exist_ok=True)
        lock = take_lock(path)
        connection = None
        try:
            with translated():
                connection = schema.connect(path)
                schema.migrate(connection)
                headrow.check_owner(connection, signer)
                return cls(connection, lock, signer, random)
        except BaseException:
            if connection is not None:
                connection.close()
            lock.close()
            raise

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self._signer.name

    @property
    def size(self) -> int:
        """How many entries are committed."""
        return self._builder.size

    @property
    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint; None while the log is empty."""
        return self._checkpoint

    @property
    def custody(self) -> int:
        """The size of the newest receipt: the collector holds all entries below it."""
        return self._custody

    @property
    def pruned(self) -> int:
        """Bodies of entries below this index are gone."""
        return self._seal.pruned

    @property
    def reusable(self) -> int:
        """Bytes in the store's file that were freed and will be used again."""
        with self._guard, translated():
            return self._rows.reusable

    def heads(self) -> Mapping[str, ChainHead]:
        """Every micro-chain's head as of the last commit."""
        return MappingProxyType(self._heads)

    def last_clock(self, chain: str) -> Clock | None:
        """When the last thing in a chain was before this opening; None where nothing is known of it.

        A chain that was quiet for very long (more than `recovery.REACH` entries of others) counts as not known.
        """
        if chain not in self._clocks and chain in self._heads:
            with self._guard:
                row = self._rows.last_entry_of(chain, self._opened_at, recovery.REACH)
            if row is not None:
                self._clocks[chain] = recovery.last_clock(row[1], row[2])
        return self._clocks.get(chain)

    def newest_ledger(self) -> LedgerHead | None:
        """The newest verified ledger checkpoint, out of the receipts."""
        return self._ledger

    @property
    def journal_end(self) -> int:
        """The number of the journal's next row."""
        return self._seal.journal_end

    def journal(self) -> list[bytes]:
        """The journal's rows, as they were when the store was opened.

        Raises:
            VerificationError: they are not what this gateway signed.
        """
        with self._guard:
            return verify_slots(self._seal, self._rows.journal())

    def commit(self, drafts: Sequence[Draft], journal: Step | None = None) -> Committed:
        """Seal the drafts, in order, as the next entries, and do the journal's step; durable when this returns.

        The receipt that was handed to `keep_receipt` is stored with them.

        Raises:
            DraftError: one of them cannot be sealed; nothing was stored.
            VerificationError: what was read back is not what was written; nothing was stored.
            StoreError: the database failed; nothing was stored, or the store has to be opened again.
        """
        with self._guard:
            self._check_usable()
            first, seal = self._builder.size, self._seal
            if journal is not None and (journal.first, journal.end) == (seal.journal_first, seal.journal_end):
                journal = None
            due = self._due
            if not drafts and journal is None and due is None:
                return Committed(first, first, self._checkpoint)
            sealer = Sealer(self.origin, self._heads, self._contexts, self._ledger, self._random)
            sealed = [sealer.seal(draft) for draft in drafts]
            builder, signed, slots = self._builder.copy(), self._checkpoint, self._slots
            with self._transaction():
                if sealed:
                    signed = self._append(builder, first, sealed)
                if journal is not None:
                    slots, seal = self._step_journal(journal)
                if due is not None:
                    seal = self._insert_receipt(seal, *due)
                if seal is not self._seal:
                    headrow.write_seal(self._db, seal, self._signer)
            if due is not None:
                self._due, self._custody, self._ledger = None, due[0].size, due[0].ledger
            self._builder, self._checkpoint = builder, signed
            self._slots, self._seal = slots, seal
            self._heads.update(sealer.heads)
            self._contexts.update(sealer.contexts)
            for n, draft in enumerate(drafts):
                if draft.event is not None and isinstance(draft.event, Heads):
                    self._last_heads = first + n
            return Committed(first, builder.size, signed)

    def _append(self, builder: "TileBuilder", first: int, sealed: Sequence[SealedEntry]) -> bytes:
        """The entries, their tiles and the signed head; answers that."""
        rows = [(n, entry.leaf, bodies.pack(entry.body)) for n, entry in enumerate(sealed, start=first)]
        self._db.executemany("INSERT INTO entries (idx, leaf, body) VALUES (?, ?, ?)", rows)
        self._verify_stored(rows)
        tiles = builder.extend([entry.hash for entry in sealed])
        if tiles:
            self._db.executemany(
                "INSERT INTO tiles (level, n, hashes) VALUES (?, ?, ?)",
                [(tile.level, tile.n, tile.data) for tile in tiles],
            )
            self._insert_edge(builder.roots_of(tiles))
            done = [(tile.level - 1, (tile.n + 1) * TILE_WIDTH) for tile in tiles if tile.level]
            self._db.executemany("DELETE FROM edge WHERE level = ? AND n < ?", done)
        signed = sign_checkpoint(Checkpoint(self.origin, builder.size, builder.root()), self._signer)
        headrow.replace_checkpoint(self._db, self._checkpoint, signed, self._seal, self._signer)
        return signed

    def _insert_edge(self, roots: Sequence[TileRoot]) -> None:
        self._db.executemany("INSERT INTO edge (level, n, root) VALUES (?, ?, ?)", roots)

    def _mend_edge(self) -> None:
        """Write the edge anew where it is not that of the tree, whose root is the signed one, and say so."""
        expected, found = self._builder.edge(), self._rows.edge()
        if found == expected:
            return
        logger.warning("%s: %s; the edge was written again from the tiles", self.origin, differing(expected, found))
        with self._transaction():
            self._db.execute("DELETE FROM edge")
            self._insert_edge(expected)

    def _step_journal(self, step: Step) -> tuple[Slots, Seal]:
        """Do the journal's step; answers its slots and the seal over them."""
        seal, slots = self._seal, self._slots
        if self._checkpoint is None:
            raise MisuseError("a journal before the first entry")
        if slots is None:
            self._db.execute("DELETE FROM journal")
            slots = Slots({})
        if step.row is not None:
            slots = slots.put(self._db, step.first, step.end - 1, step.row)
        if step.end != seal.journal_end + (step.row is not None) or not slots.holds(step.first, step.end):
            raise MisuseError(f"the journal goes to {seal.journal_end}, cannot do {step.first} to {step.end}")
        return slots, replace(
            seal, journal_first=step.first, journal_end=step.end, journal_digest=slots.digest(), version=VERSION
        )

    def add_receipt(self, receipt: VerifiedReceipt, at_ms: int) -> bool:
        """Store a verified receipt that came at `at_ms` (wall clock); False where an equal or greater one is there."""
        with self._guard:
            kept = self.keep_receipt(receipt, at_ms)
            self.commit(())
            return kept

    def keep_receipt(self, receipt: VerifiedReceipt, at_ms: int) -> bool:
        """Store a verified receipt with the next commit, which costs less than a transaction of its own.

        False where an equal or greater one is there, or waits.
        """
        with self._guard:
            self._check_usable()
            if receipt.size <= max(self._custody, self._due[0].size if self._due else 0):
                return False
            if receipt.size > self.size:
                raise MisuseError(f"a receipt for {receipt.size} entries, the log has {self.size}")
            self._due = (receipt, at_ms)
            return True

    def _insert_receipt(self, seal: Seal, receipt: VerifiedReceipt, at_ms: int) -> Seal:
        row = (receipt.size, at_ms, receipt.statement, receipt.proof)
        self._db.execute("INSERT INTO receipts (size, at_ms, statement, proof) VALUES (?, ?, ?, ?)", row)
        return replace(seal, receipts=seal.receipts + 1, digest=chain_receipt(seal.digest, *row))

    def prune(self, before_index: int, older_than_ms: int) -> int:
        """Clear bodies from the front: below `before_index` and custody, sealed before `older_than_ms` (wall clock).

        Does at most a few hundred in one call and answers how many; the newest heads entry is always kept, because
        opening reads it.
        """
        with self._guard:
            self._check_usable()
            first = self._seal.pruned
            end = min(before_index, self._custody, first + _PRUNE_STEP, self._last_heads or 0)
            last = first
            for leaf in self._rows.leaves(first, end) if end > first else ():
                if parse_leaf(leaf).clock.wall_ms >= older_than_ms:
                    break
                last += 1
            if last == first:
                return 0
            seal = replace(self._seal, pruned=last)
            with self._transaction():
                self._db.execute("UPDATE entries SET body = NULL WHERE idx >= ? AND idx < ?", (first, last))
                headrow.write_seal(self._db, seal, self._signer)
            self._seal = seal
            return last - first

    def close(self) -> None:
        """Close the database and release the lock; the store cannot be used afterwards."""
        with self._guard:
            self._broken = self._broken or "it is closed"
            self._db.close()
            self._file_lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verify_stored(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Read the rows as they now stand: they must be, byte by byte, those whose hashes are signed."""
        found = self._rows.numbered(rows[0][0], rows[-1][0] + 1)
        if found == rows:
            return
        (idx, leaf, _), (_, stored, _) = next(pair for pair in zip(rows, found, strict=True) if pair[0] != pair[1])
        what = "leaf" if stored != leaf else "body"
        raise VerificationError(
            f"entry {idx} was read back changed: its {what} is not what was written; nothing was stored"
        )

    def _read_slots(self) -> Slots | None:
        """What the journal's table holds; None where that is not what was sealed, and it begins anew."""
        try:
            found = self._rows.journal()
            verify_slots(self._seal, found)
        except VerificationError:
            return None
        return Slots.of(found)

    def _check_usable(self) -> None:
        if self._broken:
            raise StoreError(f"the store cannot be used: {self._broken}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.rollback()
                raise
            try:
                self._db.execute("COMMIT")
            except BaseException as error:
                self._broken = f"a commit failed ({error}); open it again"
                if self._db.in_transaction:
                    self._db.rollback()
                raise
