"""Micro-chains: a device's entries, numbered from 0 without a hole, each holding the hash of the one before.

    entry 0   prev = SHA-256(origin LF chain)
    entry n   prev = leaf hash of entry n − 1

*Complete from a to b* means: entries a … b, all linked; linked on both sides to a − 1 and b + 1; and where b is the
last entry that there is, a heads entry of the same log states the chain's head as it stood then. What lies between
two linked entries cannot be nothing-but-missing, because the numbers leave no room.

>>> from vitaledger.entry import Clock, Kind, PartType, parse_leaf, seal
>>> origin, name, clock = "h.example/gateway/g1", "nonin:port:bed-1", Clock(0, bytes(16), 0, None)
>>> head = start(origin, name)
>>> leaf, _ = seal(Kind.DEVICE_EVENT, name, head.next_seq, head.last, clock, [(PartType.EVENT, b"")], [bytes(16)])
>>> head = follow(head, parse_leaf(leaf), entry_hash(leaf))
>>> head.next_seq
1
>>> follow(head, parse_leaf(leaf), entry_hash(leaf))
Traceback (most recent call last):
vitaledger.errors.VerificationError: nonin:port:bed-1: expected entry 1, found entry 0
"""

from collections.abc import Iterable, Sequence

from vitaledger.compiled import compile_make
from vitaledger.entry import Entry, entry_hash, genesis
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.events import ChainHead

__all__ = ["ChainHead", "entry_hash", "follow", "start", "verify_complete", "verify_run"]
_make_head = compile_make(ChainHead)


def start(origin: str, chain: str) -> ChainHead:
    """The head of a micro-chain that has no entry yet."""
    return ChainHead(chain, 0, genesis(origin, chain))


def follow(head: ChainHead, entry: Entry, leaf_hash: bytes) -> ChainHead:
    """Check that `entry` is the next of its micro-chain and answer the new head.

    Raises:
        VerificationError: another chain, a number out of order, or a link that does not hold.
    """
    if entry.chain != head.chain:
        raise VerificationError(f"{head.chain}: found an entry of {entry.chain}")
    if entry.seq != head.next_seq:
        raise VerificationError(f"{head.chain}: expected entry {head.next_seq}, found entry {entry.seq}")
    if entry.prev != head.last:
        raise VerificationError(
            f"{head.chain} entry {entry.seq}: prev: expected {head.last.hex()[:16]}…, found {entry.prev.hex()[:16]}…"
        )
    return _make_head(head.chain, head.next_seq + 1, leaf_hash)


def verify_run(head: ChainHead, run: Iterable[tuple[Entry, bytes]]) -> ChainHead:
    """Follow a run of (entry, leaf hash) from `head` and answer where it ends.

    Raises:
        VerificationError: as `follow`, for the first entry that does not hold.
    """
    for entry, leaf_hash in run:
        head = follow(head, entry, leaf_hash)
    return head


def verify_complete(
    origin: str, chain: str, run: Sequence[tuple[Entry, bytes]], first: int, last: int, ends_at: ChainHead | None
) -> None:
    """Check that `run` shows the micro-chain complete from `first` to `last`.

    `run` holds (entry, leaf hash) of entries first − 1 (where there is one) to last + 1; where last + 1 does not exist
    yet, `ends_at` is the chain's head out of a later heads entry.

    Raises:
        VerificationError: an entry is missing, not linked, or the end is not shown.
    """
    if not 0 <= first <= last or not run:
        raise MisuseError(f"{chain}: cannot show entries {first} to {last} with {len(run)} entries")
    begin = max(first - 1, 0)
    if run[0][0].seq != begin:
        raise VerificationError(f"{chain}: expected the run to begin with entry {begin}, found {run[0][0].seq}")
    head = start(origin, chain) if begin == 0 else ChainHead(chain, begin, run[0][0].prev)
    head = verify_run(head, run)
    if head.next_seq == last + 2:
        return
    if head.next_seq != last + 1:
        raise VerificationError(f"{chain}: expected entries to {last + 1}, the run ends with {head.next_seq - 1}")
    if ends_at is None:
        raise VerificationError(f"{chain}: nothing shows that entry {last} is the last: no entry after it, no heads")
    if ends_at != head:
        raise VerificationError(
            f"{chain}: the heads entry speaks of next entry {ends_at.next_seq} after {ends_at.last.hex()[:16]}…, "
            f"the run ends with next entry {head.next_seq} after {head.last.hex()[:16]}…"
        )
