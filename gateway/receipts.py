"""Custody receipts: what lets the gateway believe that its entries are safe, and nothing else does.

A receipt is a custody statement of the provider ledger, and the proof that the ledger holds it. It is believed when

    1. the proof leads from the statement to a ledger checkpoint signed by the pinned key,
    2. the statement is a custody statement of this log's origin,
    3. its root is the log's own root at that size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitaledger import merkle, proof, statement
from vitaledger.errors import ForkError, VerificationError
from vitaledger.events import LedgerHead
from vitaledger.keys import Verifier


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that was verified, made by `verify_receipt`. The collector holds entries [0, size).

    `ledger_note` is the signed ledger checkpoint, verbatim; `stated_ms` the collector's time of the statement.
    """

    size: int
    root: bytes
    stated_ms: int
    index: int
    ledger: LedgerHead
    ledger_note: bytes
    statement: bytes
    proof: bytes


def verify_receipt(
    statement_bytes: bytes,
    proof_bytes: bytes,
    origin: str,
    ledger_key: Verifier,
    root_at: Callable[[int], bytes | None],
) -> VerifiedReceipt:
    """Verify a receipt for the log `origin`. `root_at(size)` is that log's own root, None beyond its end.

    Raises:
        MalformedError: not a statement or not a proof.
        VerificationError: another kind or origin, or a proof or signature that does not hold.
        ForkError: all holds, and the root is not ours: the collector has custody of another log than this.
    """
    receipt = open_receipt(statement_bytes, proof_bytes, origin, [ledger_key])
    own = root_at(receipt.size)
    if own is None:
        raise ForkError(f"receipt: the collector has custody of {receipt.size} entries of {origin}, this log has fewer")
    if own != receipt.root:
        raise ForkError(
            f"receipt: root of {origin} at size {receipt.size}: expected {own.hex()[:16]}…, "
            f"found {receipt.root.hex()[:16]}…"
        )
    return receipt


def open_receipt(
    statement_bytes: bytes, proof_bytes: bytes, origin: str, ledger_keys: Sequence[Verifier]
) -> VerifiedReceipt:
    """Check all of a receipt but that its root is the log's own; who calls this compares that."""
    said = statement.decode(statement_bytes)
    if not isinstance(said, statement.Custody):
        raise VerificationError(f"receipt: expected a custody statement, found {type(said).__name__.lower()}")
    if said.origin != origin:
        raise VerificationError(f"receipt: expected custody of {origin}, found that of {said.origin}")
    found = proof.parse(proof_bytes)
    signed = proof.verify(found, merkle.leaf_hash(statement_bytes), ledger_keys)
    head = signed.checkpoint
    return VerifiedReceipt(
        said.size,
        said.root,
        said.at_ms,
        found.index,
        LedgerHead(head.origin, head.size, head.root),
        signed.raw,
        statement_bytes,
        proof_bytes,
    )
