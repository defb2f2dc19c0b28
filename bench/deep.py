"""Logs that are old: a tree of millions of leaves in a second, because all but its newest leaves repeat one block.

Every full tile of a level is then the same 8,192 bytes, and all of them stand in SQLite as rows of their own: what is
measured reads them as it would read others.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from vitaledger import merkle
from vitaledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH
from vitaledger.tiles import TileBuilder, partial_width


@dataclass(frozen=True, slots=True)
class DeepTree:
    """A tree of `size` leaves. `full`: for each level how many full tiles it has, and what every one of them holds."""

    size: int
    full: tuple[tuple[int, bytes], ...]
    builder: TileBuilder

    @property
    def root(self) -> bytes:
        """The root of it."""
        return self.builder.root()


def deep_tree(block: Sequence[bytes], size: int) -> DeepTree:
    """The tree whose leaf hashes are those of `block`, 256 of them, again and again."""
    full, partials, level = [], [], 0
    tile = b"".join(block)
    while size >> (TILE_HEIGHT * level):
        partials.append(tile[: partial_width(size, level) * HASH_SIZE])
        full.append((size >> (TILE_HEIGHT * (level + 1)), tile))
        tile = merkle.tile_root(tile) * TILE_WIDTH
        level += 1
    return DeepTree(size, tuple(full), TileBuilder.from_partials(size, partials))


def numbers(query: str) -> str:
    """An INSERT whose SELECT of `n` runs over 0 … ?1 − 1."""
    into, select = query.split("SELECT", 1)
    return (
        f"{into} WITH RECURSIVE numbers(n) AS (SELECT 0 WHERE ?1 > 0 UNION ALL SELECT n + 1 FROM numbers"
        f" WHERE n + 1 < ?1) SELECT{select} FROM numbers"
    )


def fill_edge(db: sqlite3.Connection, builder: TileBuilder, log: int | None = None) -> None:
    """Write the roots of the full tiles under partial ones, likewise; when all leaves are in."""
    of = () if log is None else (log,)
    rows = [(*of, *each) for each in builder.edge()]
    db.executemany(f"INSERT INTO edge VALUES ({', '.join('?' * (3 + len(of)))})", rows)


def fill_tiles(db: sqlite3.Connection, tree: DeepTree, log: int | None = None) -> None:
    """Write every full tile of a tree into a store: a collector's as those of `log`, else a gateway's."""
    for level, (count, tile) in enumerate(tree.full):
        if log is None:
            db.execute(numbers("INSERT INTO tiles (level, n, hashes) SELECT ?2, n, ?3"), (count, level, tile))
        else:
            query = numbers("INSERT INTO tiles (log, level, n, hashes) SELECT ?2, ?3, n, ?4")
            db.execute(query, (count, log, level, tile))
