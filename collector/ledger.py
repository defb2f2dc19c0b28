"""The provider ledger: one log whose leaves are statements, and its head that is signed and swapped in.

    index = ledger.append(statement)     a row, not yet under a head
    ledger.seal()                        reads the new rows back, hashes them, extends the tree, signs, swaps the head

both inside one transaction of the store; after the COMMIT `ledger.head` is what may be published. When the transaction
fails, `ledger.load()` forgets what it had in mind. Two processes cannot fork the ledger: the swap compares the last
(size, root), and whoever started from an older head gets `LostSwapError`, loads and repeats.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from collector.reader import LEDGER
from collector.rows import Halted, LedgerHead
from vitaledger import merkle, statement
from vitaledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.keys import Ed25519Signer, verifier_of
from vitaledger.merkle import leaf_hash
from vitaledger.prover import Prover, TileReader
from vitaledger.statement import Statement
from vitaledger.tiles import FullTile, StoredTiles, TileBuilder, TileRoot


class LedgerStore(Protocol):
    """What the ledger needs of a store. All writes happen inside a transaction that the caller holds."""

    def ledger_head(self) -> LedgerHead:
        """The head as it stands."""
        ...

    def halted(self) -> Sequence[Halted]:
        """What shows that the store was restored from an old copy."""
        ...

    def swap_head(self, last: LedgerHead, new: LedgerHead) -> None:
        """Compare-and-swap; LostSwapError where the head is no longer `last`."""
        ...

    def add_statement(self, index: int, leaf: bytes) -> None:
        """Store a leaf; LostSwapError where there is one already."""
        ...

    def statements(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of [first, end)."""
        ...

    def add_tiles(self, log: int, tiles: Sequence[FullTile], roots: Iterable[TileRoot]) -> None:
        """Store full tiles, and the roots of those of them that stand under a partial one."""
        ...

    def tile(self, log: int, level: int, n: int) -> bytes | None:
        """A full tile."""
        ...

    def forget_edges(self) -> None:
        """Read right edges again from the rows as they stand."""
        ...

    def doubt_edge(self, log: int) -> bool:
        """Read the right edge from full tiles from now on; False where that is so already."""
        ...

    def tile_reader(self, log: int, size: int) -> TileReader:
        """The tree of the first `size` leaves."""
        ...


class HaltedError(MisuseError):
    """This ledger was restored from an old copy: it is never signed on, its successor goes on."""

    def __init__(self, origin: str, halted: Sequence[Halted]) -> None:
        super().__init__(
            f"{origin}: gateway {halted[0].gateway} has shown that this store was restored from an old copy. It signs "
            "no more; `run` goes on as the next ledger"
        )


def empty_head(signer: Ed25519Signer) -> LedgerHead:
    """The signed head of a ledger that has no statement yet."""
    empty = Checkpoint(signer.name, 0, merkle.EMPTY_ROOT)
    return LedgerHead(0, merkle.EMPTY_ROOT, sign_checkpoint(empty, signer))


class Ledger:
    """The one writer of the ledger in this process. `signer`'s name is the ledger's origin."""

    def __init__(self, store: LedgerStore, signer: Ed25519Signer) -> None:
        self._store = store
        self._signer = signer
        self._builder = TileBuilder()
        self._pending = 0
        self.head = empty_head(signer)
        self.load()

    @property
    def origin(self) -> str:
        """The ledger's origin."""
        return self._signer.name

    def load(self) -> None:
        """Take up the stored head.

        Raises:
            VerificationError: the stored head is not ours or not the root of the stored tree: it is never signed on.
            HaltedError: a head was signed that the store does not contain.
        """
        self._must_not_be_halted()
        head = self._store.ledger_head()
        self._store.forget_edges()  # what is signed on is what is stored now
        signed = open_checkpoint(head.checkpoint, [verifier_of(self._signer.vkey)]).checkpoint
        if (signed.origin, signed.size, signed.root) != (self.origin, head.size, head.root):
            raise VerificationError(f"{self.origin}: the stored head of size {head.size} is not that of its checkpoint")
        builder = TileBuilder.restore(head.size, self._store.tile_reader(LEDGER, head.size).tile)
        if builder.root() != head.root and self._store.doubt_edge(LEDGER):
            builder = TileBuilder.restore(head.size, self._store.tile_reader(LEDGER, head.size).tile)
        if builder.root() != head.root:
            raise VerificationError(
                f"{self.origin}: root of the stored tree of size {head.size}: "
                f"expected {head.root.hex()[:16]}…, found {builder.root().hex()[:16]}…"
            )
        self.head, self._builder, self._pending = head, builder, 0

    @property
    def next_index(self) -> int:
        """The index of the statement that is appended next."""
        return self.head.size + self._pending

    def append(self, new: Statement) -> int:
        """Store a statement; its index. It is in the ledger when `seal` and the COMMIT have returned."""
        index = self.next_index
        self._store.add_statement(index, statement.encode(new))
        self._pending += 1
        return index

    def seal(self) -> bool:
        """Sign the head over what was appended; whether there was anything.

        Where nothing was, the stored head is compared all the same, so that no step ends on an older view of the store.

        Raises:
            LostSwapError: another process wrote a newer head.
            HaltedError: a head was signed that the store does not contain.
            VerificationError: a stored row is not what was appended.
        """
        self._must_not_be_halted()
        first, end = self.head.size, self.next_index
        builder = self._builder.copy()
        rows = self._store.statements(first, end)
        if [index for index, _ in rows] != list(range(first, end)):
            raise VerificationError(f"{self.origin}: statements [{first}, {end}) cannot be read back")
        new = self.head
        if rows:
            tiles = builder.extend(leaf_hash(leaf) for _, leaf in rows)
            self._store.add_tiles(LEDGER, tiles, builder.roots_of(tiles))
            head = Checkpoint(self.origin, builder.size, builder.root())
            new = LedgerHead(head.size, head.root, sign_checkpoint(head, self._signer))
        self._store.swap_head(self.head, new)
        self.head, self._builder, self._pending = new, builder, 0
        return bool(rows)

    def _must_not_be_halted(self) -> None:
        if halted := self._store.halted():
            raise HaltedError(self.origin, halted)

    def prover(self) -> Prover:
        """Makes proofs in the tree under `head`."""
        return Prover(StoredTiles(self._read_full, self._builder), self.head.size)

    def _read_full(self, level: int, n: int) -> bytes:
        tile = self._store.tile(LEDGER, level, n)
        if tile is None:
            raise VerificationError(f"{self.origin}: tile {level}/{n} is missing in the store")
        return tile
