"""Heads entries of a gateway's own micro-chain: what evidence needs of them, found in a store and verified.

One before a run quotes a ledger head, after which the run was sealed; one behind a run shows that there was no more.
"""

from collections.abc import Iterator

from collector.rows import ChainRow
from collector.verified import State, VerifiedLog, VerifiedStore
from vitaledger import prover
from vitaledger.entry import GATEWAY_CHAIN
from vitaledger.errors import VerificationError
from vitaledger.events import Heads, LedgerHead
from vitaledger.evidence import After, Proven

_LOOK_ROUND = 512  # how many of the gateway's own entries are searched for a heads entry; there is one a minute


def _heads(log: VerifiedLog, index: int, step: int) -> Iterator[tuple[int, Heads]]:
    """The proven heads entries behind an index of the log (step 1) or before it (step −1), nearest first."""
    chain = next((row for row in log.reader.chains(log.row.log) if row.name == GATEWAY_CHAIN), None)
    if chain is None:
        return
    low, high = 0, chain.next_seq
    while low < high:  # the first of the gateway's own entries at or behind the index
        middle = (low + high) // 2
        place = log.reader.positions(chain.chain, middle, middle)
        low, high = (middle + 1, high) if place and place[0].idx < index else (low, middle)
    seqs = (
        range(low, min(low + _LOOK_ROUND, chain.next_seq))
        if step > 0
        else range(low - 1, max(low - _LOOK_ROUND, -1), -1)
    )
    for seq in seqs:
        place = log.reader.positions(chain.chain, seq, seq)
        look = log.look(place[0].idx) if place else None
        if look and look.verdict.state is State.PROVEN and look.opened and isinstance(look.opened.event, Heads):
            yield look.index, look.opened.event


def heads_after(log: VerifiedLog, chain: ChainRow, index: int, seq: int, last: bytes) -> int | None:
    """The heads entry that shows that entry `seq` at `index`, of leaf hash `last`, was its micro-chain's newest."""
    for at, heads in _heads(log, index, 1):
        head = next((each for each in heads.chains if each.chain == chain.name), None)
        if head is not None:
            return at if (head.next_seq, head.last) == (seq + 1, last) else None
    return None


def heads_before(store: VerifiedStore, log: VerifiedLog, first: int) -> tuple[int | None, After | None]:
    """The newest heads entry before index `first` of a log that quotes this ledger, and the proof of what it quotes.

    Raises:
        VerificationError: the ledger that it quotes is not the one in this store.
    """
    ledger = store.ledger
    for index, heads in _heads(log, first, -1):
        quoted = heads.ledger
        if quoted is None or quoted.origin != ledger.head.checkpoint.origin or not quoted.size:
            continue
        must_hold_quote(store, log, index, quoted)
        path = ledger.prover.consistency(quoted.size)
        return index, After(proven_at(store, quoted.size - 1), quoted.root, tuple(path))
    return None, None


def proven_at(store: VerifiedStore, index: int) -> Proven:
    """A statement of the ledger, verified, with its inclusion proof."""
    return Proven(store.ledger.leaf(index), index, store.ledger.inclusion(index))


def must_hold_quote(store: VerifiedStore, log: VerifiedLog, index: int, quoted: LedgerHead) -> None:
    """Check that a ledger head that a gateway had verified and quoted is one of this ledger.

    Raises:
        VerificationError: the ledger that the gateway was shown is not the one in this store.
    """
    ledger = store.ledger
    where = f"{log.row.origin} entry {index} quotes the ledger at size {quoted.size}"
    if quoted.size > ledger.size:
        raise VerificationError(f"{where}; the store's ledger has size {ledger.size}: it was rolled back")
    found = prover.root_from_tiles(ledger.tiles, quoted.size)
    if found != quoted.root:
        raise VerificationError(f"{where}: expected root {quoted.root.hex()[:16]}…, found {found.hex()[:16]}…")
