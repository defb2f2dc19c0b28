"""Which of the newest entries was changed, when the root over them is wrong and no full tile says which.

Every entry but the last of its micro-chain is quoted by another: by the next of its chain, in `prev`, or by a heads
entry. An entry whose hash is not what is quoted is accused; when the tree with the quoted hash in its place has the
right root, it is convicted. Entries that are quoted rightly are cleared; those that nothing quotes stay suspect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vitaledger.entry import entry_hash, parse_leaf
from vitaledger.errors import MalformedError
from vitaledger.tiles import TileBuilder


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An entry that was changed, surely: its hash as quoted, and as found."""

    index: int
    expected: bytes
    found: bytes


def suspects(good: TileBuilder, leaves: Sequence[bytes], size: int, root: bytes) -> Suspicion | list[int]:
    """Find who spoils the root of the first `size` entries.

    good: the tree up to where all was right; leaves: those from there on, to the end of the log. Answers the one that
    is surely changed, or the indices that cannot be cleared, the first first.
    """
    first = good.size
    hashes = [entry_hash(leaf) for leaf in leaves]
    cleared: set[int] = set()
    last: dict[str, int] = {}
    for at, leaf in enumerate(leaves):
        try:
            entry = parse_leaf(leaf)
        except MalformedError:
            continue
        before = last.get(entry.chain)
        last[entry.chain] = at
        if before is None:
            continue
        if entry.prev == hashes[before]:
            cleared.add(before)
        elif _root(good, hashes, size - first, before, entry.prev) == root:
            return Suspicion(first + before, entry.prev, hashes[before])
    return [first + at for at in range(size - first) if at not in cleared]


def _root(good: TileBuilder, hashes: Sequence[bytes], count: int, at: int, instead: bytes) -> bytes:
    tried = list(hashes[:count])
    if at < count:
        tried[at] = instead
    builder = good.copy()
    builder.extend(tried)
    return builder.root()
