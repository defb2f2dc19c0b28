"""Receipts: a statement and the proof that it is in the provider ledger.

A gateway deletes a body only under a receipt for a custody statement that it has verified, whose root equals its own
at that size. A receipt is made for the ledger's newest head, so that it also tells the gateway how far the ledger is.
"""

from collector.rows import LedgerHead
from vitaledger import proof
from vitaledger.messages import Receipt
from vitaledger.proof import TlogProof
from vitaledger.prover import Prover


def build(leaf: bytes, index: int, head: LedgerHead, prover: Prover) -> Receipt:
    """The receipt for the statement at `index`, against the ledger's head, in whose tree `prover` makes proofs."""
    return Receipt(leaf, proof.encode(TlogProof(index, tuple(prover.inclusion(index)), head.checkpoint)))
