"""Which of the newest entries was changed, when the root over them is wrong and no full tile says which.

Every entry but the last of its micro-chain is quoted by another: by the next of its chain, in `prev`, or by a heads
entry. An entry whose hash is not what is quoted is accused; when the tree with the quoted hash in its place has the
right root, it is convicted. Entries that are quoted rightly are cleared; those that nothing quotes stay suspect.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.reader import Stored
from vitaledger.entry import GATEWAY_CHAIN, entry_hash, parse_leaf
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.events import ChainHead, Heads
from vitaledger.opened import open_entry
from vitaledger.tiles import TileBuilder


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An entry that was changed, surely: its hash as quoted, and as found."""

    index: int
    expected: bytes
    found: bytes


def suspects(good: TileBuilder, rows: Sequence[Stored], size: int, root: bytes) -> Suspicion | list[int]:
    """Find who spoils the root of the first `size` entries.

    good: the tree up to where all was right; rows: (leaf, body) from there on, beyond `size` too where there is more.
    Answers the one that is surely changed, or the indices that cannot be cleared, the first first.
    """
    first = good.size
    hashes = [entry_hash(leaf) for leaf, _ in rows]
    cleared: set[int] = set()
    for at, quoted in _quotes(rows):
        if quoted == hashes[at]:
            cleared.add(at)
        elif _root(good, hashes, size - first, at, quoted) == root:
            return Suspicion(first + at, quoted, hashes[at])
    return [first + at for at in range(size - first) if at not in cleared]


def _quotes(rows: Sequence[Stored]) -> Iterator[tuple[int, bytes]]:
    """(which entry, the hash that another says it has)."""
    last: dict[str, int] = {}
    for at, (leaf, body) in enumerate(rows):
        try:
            entry = parse_leaf(leaf)
        except MalformedError:
            continue
        if entry.chain in last:
            yield last[entry.chain], entry.prev
        for head in _heads(leaf, body) if entry.chain == GATEWAY_CHAIN and body is not None else ():
            if head.chain in last and head.chain != GATEWAY_CHAIN:
                yield last[head.chain], head.last
        last[entry.chain] = at


def _heads(leaf: bytes, body: bytes) -> tuple[ChainHead, ...]:
    try:
        event = open_entry(leaf, body).event
    except (MalformedError, VerificationError):
        return ()
    return event.chains if isinstance(event, Heads) else ()


def _root(good: TileBuilder, hashes: Sequence[bytes], count: int, at: int, instead: bytes) -> bytes:
    tried = list(hashes[:count])
    if at < count:
        tried[at] = instead
    builder = good.copy()
    builder.extend(tried)
    return builder.root()
