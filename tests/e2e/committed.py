"""What both stores had committed when a process was killed must be in them, unchanged, ever after."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

GATEWAY = {"entries": "SELECT idx, leaf, body FROM entries"}
COLLECTOR = {"entries": "SELECT id, leaf, body FROM entries", "statements": "SELECT idx, leaf, NULL FROM statements"}

Row = tuple[str, int]


def committed(database: Path, tables: dict[str, str]) -> dict[Row, bytes]:
    """A hash of each committed row, read beside whoever has the store open."""
    found = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        for table, query in tables.items():
            for number, leaf, body in store.execute(query):
                found[table, number] = sha256(leaf + (body or b"")).digest()
    return found


def check_kept(what: str, before: dict[Row, bytes], now: dict[Row, bytes]) -> None:
    """Raises AssertionError that names the first row that is gone or another one."""
    for row, digest in sorted(before.items()):
        assert row in now, f"{what}: {row} was committed and is gone"
        assert now[row] == digest, f"{what}: {row} was committed and is another one now"
