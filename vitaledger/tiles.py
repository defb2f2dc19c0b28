"""Tiles: how a log's tree is stored and served, in files that never change (C2SP tlog-tiles).

    tile/<level>/<n>              full tile: 256 hashes of 32 bytes
    tile/<level>/<n>.p/<width>    partial tile: the first 1 to 255 of them
    tile/entries/<n>[.p/<width>]  the entries under a tile of level 0: each a big-endian u16 length, then its bytes

n is written in groups of three digits, all but the last with an x before it:

    >>> tile_path(0, 1234067)
    'tile/0/x001/x234/067'
    >>> parse_tile_path("tile/entries/273.p/112")
    ('entries', 273, 112)

Hash i of tile n at level l is the root of the 256^l leaves from (n·256 + i)·256^l. Only full tiles are hashed upward,
so that a tree of 70,000 leaves has on its right edge

    >>> [(level, partial_width(70_000, level)) for level in (0, 1, 2)]
    [(0, 112), (1, 17), (2, 1)]

and 273 + 1 full tiles besides. A `TileBuilder` holds just those partial tiles; it says which tiles a run of leaves
completes, gives the root, and after a restart is made again from what is stored: the full tiles, and the roots of those
that stand under a partial tile (`edge`, at most 255 a level), without which each of them would be hashed again:

    >>> builder = TileBuilder()
    >>> builder.extend([merkle.leaf_hash(b"%d" % i) for i in range(300)])[0].path
    'tile/0/000'
    >>> len(builder.partial(0)) // 32, len(builder.partial(1)) // 32
    (44, 1)
    >>> [(root.level, root.n) for root in builder.edge()]
    [(0, 0)]

An entry bundle:

    >>> encode_bundle([b"one", b""]).hex(" ")
    '00 03 6f 6e 65 00 00'
    >>> decode_bundle(bytes.fromhex("00 03 6f 6e 65 00 00"))
    [b'one', b'']
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Literal, NamedTuple, Self

from vitaledger import merkle
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, CompactRange

MAX_ENTRY = 0xFFFF
MAX_LEVEL = 63
TILE_BYTES = TILE_WIDTH * HASH_SIZE

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


# -- names -----------------------------------------------------------------------------------------------------------


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Where the n-th tile of a level is served, from the log's prefix; `width` is how many hashes it holds."""
    if not 0 <= level <= MAX_LEVEL:
        raise MisuseError(f"tile level {level}: expected 0 to {MAX_LEVEL}")
    return f"tile/{level}/{_index_path(n, width)}"


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Where the entries under the n-th tile of level 0 are served, from the log's prefix."""
    return f"tile/entries/{_index_path(n, width)}"


def parse_tile_path(path: str) -> tuple[int | Literal["entries"], int, int]:
    """(level or "entries", n, width) of a path that `tile_path` or `entries_path` writes; else MalformedError."""
    match = _PATH.fullmatch(path)
    if match is not None:
        kind, index, tail = match.groups()
        n, width = int(index.replace("x", "").replace("/", "")), int(tail or TILE_WIDTH)
        level: int | Literal["entries"] = "entries" if kind == "entries" else int(kind)
        in_range = width <= TILE_WIDTH and (level == "entries" or level <= MAX_LEVEL)
        if in_range and path == (entries_path(n, width) if level == "entries" else tile_path(level, n, width)):
            return level, n, width
    raise MalformedError(f"tile path {path[:80]!r}: expected tile/<level or entries>/<n>[.p/<width>]")


def partial_width(size: int, level: int) -> int:
    """How many hashes the partial tile of a level has in a tree of `size` leaves; 0 where there is none."""
    return (size >> (TILE_HEIGHT * level)) % TILE_WIDTH


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, n, width) of every tile of a tree of `size` leaves, level by level from the left."""
    for level in count():
        hashes = size >> (TILE_HEIGHT * level)
        if not hashes:
            return
        for n in range(-(-hashes // TILE_WIDTH)):
            yield level, n, min(TILE_WIDTH, hashes - n * TILE_WIDTH)


def _index_path(n: int, width: int) -> str:
    if n < 0 or not 1 <= width <= TILE_WIDTH:
        raise MisuseError(f"tile {n} of width {width}: expected n ≥ 0 and a width of 1 to {TILE_WIDTH}")
    path = f"{n % 1000:03}"
    while n := n // 1000:
        path = f"x{n % 1000:03}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


# -- entry bundles ---------------------------------------------------------------------------------------------------


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The entries of one tile (at most 256, each at most 65,535 bytes) as they are served."""
    if len(entries) > TILE_WIDTH or any(len(entry) > MAX_ENTRY for entry in entries):
        raise MisuseError(f"entry bundle: expected at most {TILE_WIDTH} entries of at most {MAX_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; MalformedError where it is cut short or holds more than 256."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if at + 2 > len(data) or end > len(data):
            raise MalformedError(f"entry bundle: entry {len(entries)} is cut short at byte {len(data)}")
        if len(entries) == TILE_WIDTH:
            raise MalformedError(f"entry bundle: expected at most {TILE_WIDTH} entries, found more")
        entries.append(data[at + 2 : end])
        at = end
    return entries


# -- building and reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FullTile:
    """A tile that will never change: to be stored once."""

    level: int
    n: int
    data: bytes

    @property
    def path(self) -> str:
        """Where it is served."""
        return tile_path(self.level, self.n)


class TileRoot(NamedTuple):
    """The root of a full tile: the hash that stands for it in the tile above, while that one is not full."""

    level: int
    n: int
    root: bytes


class TileBuilder:
    """The right edge of a growing tree: the partial tile of each level, and so the root and the next full tiles.

    Appending costs one hash a leaf on average. Holds at most 255 hashes a level. It is not changed by a failure in
    whoever stores the full tiles: `copy` it, extend the copy, and keep the one whose tiles were stored.
    """

    __slots__ = ("_peaks", "_rows", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._peaks: list[bytes] = []
        self._rows: list[bytearray] = []

    @classmethod
    def from_partials(cls, size: int, partials: Sequence[bytes]) -> Self:
        """The builder of a tree of `size` leaves whose partial tiles are these, level 0 first.

        Levels left out at the end are empty. Raises MisuseError where a width is not that of the size.
        """
        made = cls()
        made._size = size
        made._rows = [bytearray(partial) for partial in partials]
        levels = range(max(len(partials), -(-size.bit_length() // TILE_HEIGHT)))
        for level in reversed(levels):
            row = made.partial(level)
            width = partial_width(size, level)
            if len(row) != width * HASH_SIZE:
                raise MisuseError(f"partial tile {level} of size {size}: expected {width} hashes, got {len(row)} bytes")
            hashes = merkle.split_hashes(row)
            for height in reversed(range(TILE_HEIGHT)):
                if width >> height & 1:
                    made._peaks.append(merkle.root(hashes[: 1 << height]))
                    del hashes[: 1 << height]
        return made

    @classmethod
    def restore(cls, size: int, read_tile: Callable[[int, int, int], bytes]) -> Self:
        """The builder of a stored tree of `size` leaves; `read_tile(level, n, width)` is a TileReader's `tile`.

        It is asked for the partial tiles only, one a level.
        """
        partials = []
        for level in range(-(-size.bit_length() // TILE_HEIGHT)):
            n, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
            partials.append(read_tile(level, n, width)[: width * HASH_SIZE] if width else b"")
        return cls.from_partials(size, partials)

    @property
    def size(self) -> int:
        """How many leaves."""
        return self._size

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[FullTile]:
        """Append leaves by their hashes; the tiles that this completed, each before those above it."""
        leaves = list(leaf_hashes)
        if not {HASH_SIZE}.issuperset(map(len, leaves)):
            raise MisuseError("leaf hashes: expected 32 bytes each")
        peaks, rows, size, full = self._peaks, self._rows, self._size, []
        for leaf in leaves:
            node, low, height = leaf, size, 0
            while True:
                if height % TILE_HEIGHT == 0:
                    level = height // TILE_HEIGHT
                    if level == len(rows):
                        rows.append(bytearray())
                    row = rows[level]
                    row += node
                    if len(row) == TILE_BYTES:
                        full.append(FullTile(level, size >> (height + TILE_HEIGHT), bytes(row)))
                        row.clear()
                if not low & 1:
                    break
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                low >>= 1
                height += 1
            peaks.append(node)
            size += 1
        self._size = size
        return full

    def root(self) -> bytes:
        """The root of the tree of these leaves."""
        return merkle.fold(self._peaks)

    def compact_range(self) -> CompactRange:
        """The same leaves as a compact range."""
        return CompactRange.from_hashes(self._size, self._peaks)

    def partial(self, level: int) -> bytes:
        """The hashes of a level's partial tile; empty where there is none."""
        return bytes(self._rows[level]) if level < len(self._rows) else b""

    def edge(self) -> list[TileRoot]:
        """The roots of all full tiles that stand under a partial tile, level by level from the left."""
        return [
            TileRoot(level, (self._size >> (TILE_HEIGHT * (level + 2))) * TILE_WIDTH + at, root)
            for level, row in enumerate(self._rows[1:])
            for at, root in enumerate(merkle.split_hashes(bytes(row)))
        ]

    def roots_of(self, tiles: Iterable[FullTile]) -> list[TileRoot]:
        """The roots of those of these full tiles of this tree that stand under a partial tile."""
        found = []
        for tile in tiles:
            above, at = divmod(tile.n, TILE_WIDTH)
            if above == self._size >> (TILE_HEIGHT * (tile.level + 2)):
                row = self._rows[tile.level + 1]
                found.append(TileRoot(tile.level, tile.n, bytes(row[at * HASH_SIZE : (at + 1) * HASH_SIZE])))
        return found

    def copy(self) -> Self:
        """A builder of the same leaves that grows apart from this one."""
        return self._of(self._size, self._peaks.copy(), [row.copy() for row in self._rows])

    @classmethod
    def _of(cls, size: int, peaks: list[bytes], rows: list[bytearray]) -> Self:
        made = cls()
        made._size, made._peaks, made._rows = size, peaks, rows
        return made


def differing(expected: Iterable[TileRoot], found: Iterable[TileRoot]) -> str | None:
    """What is wrong first with a stored edge, in words that name the tile; None where it is as expected."""
    stored: dict[tuple[object, object], object] = {(level, n): root for level, n, root in found}
    for level, n, wanted in expected:
        is_there = stored.pop((level, n), None)
        if is_there is None:
            return f"edge: the root of tile {level}/{n} is missing"
        if is_there != wanted:
            shown = f"{is_there.hex()[:16]}…" if isinstance(is_there, bytes) else type(is_there).__name__
            return f"edge: root of tile {level}/{n}: expected {wanted.hex()[:16]}…, found {shown}"
    for surplus in stored:
        return f"edge: there is a root of tile {surplus[0]}/{surplus[1]}, which stands under no partial tile"
    return None


class StoredTiles:
    """A TileReader over stored full tiles and the partial tiles of a builder.

    `read_full(level, n)` gives the 8,192 bytes of a full tile. The builder is read as it is at the time of the call.
    """

    __slots__ = ("_builder", "_read_full")

    def __init__(self, read_full: Callable[[int, int], bytes], builder: TileBuilder) -> None:
        self._read_full = read_full
        self._builder = builder

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile; MisuseError where the tree is smaller."""
        full, partial = divmod(self._builder.size >> (TILE_HEIGHT * level), TILE_WIDTH)
        if not (0 <= n < full and 1 <= width <= TILE_WIDTH) and not (n == full and 1 <= width <= partial):
            raise MisuseError(f"tile {level}/{n} of width {width} is not in a tree of size {self._builder.size}")
        data = self._read_full(level, n) if n < full else self._builder.partial(level)
        return data[: width * HASH_SIZE]


class MemoryTiles(StoredTiles):
    """A whole log's hashes in memory: for evidence, for small logs and for tests."""

    __slots__ = ("_full",)

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._full: dict[tuple[int, int], bytes] = {}
        super().__init__(lambda level, n: self._full[level, n], TileBuilder())
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """How many leaves."""
        return self._builder.size

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf by its hash."""
        self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves by their hashes."""
        for tile in self._builder.extend(leaf_hashes):
            self._full[tile.level, tile.n] = tile.data

    def root(self) -> bytes:
        """The root of the tree of all leaves."""
        return self._builder.root()
