"""Which entries were changed, where the leaves of a log do not give a root that was signed.

Other rows tell what a leaf's hash was: the full tile that it stands in, and the entry that quotes it as `prev`. They
are not proven either, but where the leaves with those hashes in their places do give the signed root, exactly the
entries that differ were changed, and what was expected of them is proven.
"""

from collections.abc import Callable, Iterator, Sequence

from collector.history import next_place
from collector.reader import Reader
from collector.rows import ChainRow, LogRow
from vitaledger.entry import parse_leaf
from vitaledger.errors import MalformedError
from vitaledger.merkle import HASH_SIZE

_TRIED_ALONE = 64  # single replacements that are tried before giving up


def find_changed(
    reader: Reader,
    row: LogRow,
    first: int,
    hashes: Sequence[bytes | None],
    gives_root: Callable[[Sequence[bytes]], bool],
) -> dict[int, bytes] | None:
    """The expected hash of each entry of [first, first + len(hashes)) that was changed; None where it cannot be told.

    `hashes` are those of the leaves as they stand, None where one is missing; `gives_root` tries a full list.
    """
    by_tile = _by_tiles(reader, row.log, first, hashes)
    by_link = _by_links(reader, row, first, hashes)
    for told in (by_tile, by_link, by_tile | by_link, by_link | by_tile):
        if (mended := _mend(hashes, first, told)) is not None and gives_root(mended):
            return told
    missing = {index: each for index, each in by_link.items() if hashes[index - first] is None}
    for index, each in sorted((by_link | by_tile).items())[:_TRIED_ALONE]:
        alone = missing | {index: each}
        if (mended := _mend(hashes, first, alone)) is not None and gives_root(mended):
            return alone
    return None


def suspects(reader: Reader, row: LogRow, first: int, hashes: Sequence[bytes | None]) -> list[int]:
    """The entries that other rows contradict, where none of it could be proven; missing ones first."""
    missing = [first + at for at, each in enumerate(hashes) if each is None]
    told = _by_tiles(reader, row.log, first, hashes) | _by_links(reader, row, first, hashes)
    return missing + sorted(set(told) - set(missing))


def _mend(hashes: Sequence[bytes | None], first: int, told: dict[int, bytes]) -> list[bytes] | None:
    if not told:
        return None
    mended = [told.get(first + at, each) for at, each in enumerate(hashes)]
    full = [each for each in mended if each is not None]
    return full if len(full) == len(mended) else None


def _by_tiles(reader: Reader, log: int, first: int, hashes: Sequence[bytes | None]) -> dict[int, bytes]:
    """What full tiles of level 0 say otherwise."""
    told = {}
    for n in range(first >> 8, ((first + len(hashes) - 1) >> 8) + 1):
        tile = reader.tile(log, 0, n)
        if tile is None or len(tile) != 256 * HASH_SIZE:
            continue
        for index in range(max(n << 8, first), min((n + 1) << 8, first + len(hashes))):
            at = (index & 255) * HASH_SIZE
            if hashes[index - first] != tile[at : at + HASH_SIZE]:
                told[index] = tile[at : at + HASH_SIZE]
    return told


def _by_links(reader: Reader, row: LogRow, first: int, hashes: Sequence[bytes | None]) -> dict[int, bytes]:
    """What the next entry of the same micro-chain says otherwise, or the chain's head where there is none."""
    told = {}
    end = first + len(hashes)
    for chain in reader.chains(row.log):
        for seq, index in _places(reader, chain, first, end):
            if seq + 1 == chain.next_seq:
                quoted: bytes | None = chain.last
            else:
                after = reader.positions(chain.chain, seq + 1, seq + 1)
                quoted = _prev(reader, row.log, after[0].idx) if after else None
            if quoted is not None and quoted != hashes[index - first]:
                told[index] = quoted
    return told


def _places(reader: Reader, chain: ChainRow, first: int, end: int) -> Iterator[tuple[int, int]]:
    """(seq, index) of the entries of a micro-chain that stand in [first, end) of its log."""
    low, high = 0, chain.next_seq
    while low < high:
        middle = (low + high) // 2
        place = next_place(reader, chain.chain, middle, high - 1)
        if place is None or place.idx >= first:
            high = middle
        else:
            low = place.seq + 1
    place = next_place(reader, chain.chain, low, chain.next_seq - 1)
    while place is not None and place.idx < end:
        if place.idx >= first:
            yield place.seq, place.idx
        place = next_place(reader, chain.chain, place.seq + 1, chain.next_seq - 1)


def _prev(reader: Reader, log: int, index: int) -> bytes | None:
    row = reader.entry(log, index)
    try:
        return parse_leaf(row[0]).prev if row else None
    except MalformedError:
        return None
