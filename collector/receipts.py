"""Receipts: a statement and the proof that it is in the provider ledger.

A gateway deletes a body only under a receipt for a custody statement that it has verified, whose root equals its own
at that size. A receipt is made for the ledger's newest head, so that it also tells the gateway how far the ledger is.
"""

from collector.reader import LEDGER, Reader
from collector.rows import LedgerHead, LogRow
from vitaledger import merkle, proof
from vitaledger.errors import MisuseError
from vitaledger.merkle import TileReader
from vitaledger.messages import Receipt
from vitaledger.proof import TlogProof


def build(leaf: bytes, index: int, head: LedgerHead, tiles: TileReader) -> Receipt:
    """The receipt for the statement at `index`, against the ledger's head."""
    hashes = merkle.inclusion_proof(tiles, index, head.size)
    return Receipt(leaf, proof.encode(TlogProof(index, tuple(hashes), head.checkpoint)))


def receipt(reader: Reader, index: int) -> Receipt:
    """The receipt for any statement, out of the store. MisuseError where there is no such statement."""
    with reader.snapshot():
        head = reader.ledger_head()
        leaf = reader.statement(index)
        if leaf is None or index >= head.size:
            raise MisuseError(f"statement {index}: the ledger has {head.size}")
        return build(leaf, index, head, reader.tile_reader(LEDGER, head.size))


def current(reader: Reader, log: LogRow) -> Receipt | None:
    """The receipt for the newest custody of a log; None where nothing is in custody yet."""
    return None if log.custody is None else receipt(reader, log.custody)
