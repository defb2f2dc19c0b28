"""Random changes to a store, as a thief with the file but without any key could make them: one each, seeded."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from random import Random

LOG = 1 << 40
# every table that verification covers, with its weight; presence and refusals are claims that prove nothing
TABLES = {
    "entries.leaf": 16, "entries.body": 16, "entries": 10, "tiles": 12, "edge": 8, "statements": 14,
    "ledger": 6, "logs": 8, "anchors": 8, "findings": 4, "chains": 8, "positions": 10, "ranges": 3, "meta": 3,
}  # fmt: skip
KINDS = ("flip", "delete", "swap", "insert", "truncate")


@dataclass(frozen=True)
class Change:
    table: str
    kind: str
    column: str
    keys: tuple  # the primary keys of the rows that were touched

    @property
    def entries(self) -> set[tuple[int, int]]:
        """(log, index) of the entries that were touched."""
        return {divmod(key[0], LOG) for key in self.keys} if self.table == "entries" else set()


def change(path: Path, random: Random, skip=lambda table, column, key: False) -> Change:
    """Make one change that SQLite takes and that really changes something. `skip` names what cannot be found."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        while True:
            name = random.choices(list(TABLES), list(TABLES.values()))[0]
            table, _, column = name.partition(".")
            made = _try(db, random, table, column, random.choice(KINDS), skip)
            if made is not None:
                return made
    finally:
        db.close()


def _try(db, random, table, column, kind, skip):
    info = db.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [row[1] for row in info]
    primary = [row[1] for row in info if row[5]]
    rows = db.execute(f"SELECT * FROM {table} ORDER BY {', '.join(primary)}").fetchall()
    if not rows:
        return None
    column = column or random.choice(columns)
    at = columns.index(column)
    row = random.choice(rows)
    key = tuple(row[columns.index(name)] for name in primary)
    if skip(table, column, key):
        return None
    where = " AND ".join(f"{name} IS ?" for name in primary)
    try:
        if kind == "delete":
            db.execute(f"DELETE FROM {table} WHERE {where}", key)
            return Change(table, kind, "", (key,))
        if kind == "insert":
            new = list(row)
            for name in primary:
                place = columns.index(name)
                new[place] = _other(random, new[place])
            if table == "logs":
                new[columns.index("origin")] += "x"
            if table == "chains":
                new[columns.index("name")] += "x"
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(new))})", new)
            return Change(table, kind, "", (tuple(new[columns.index(name)] for name in primary),))
        if kind == "truncate" and (table == "entries" or row[at] is None or isinstance(row[at], int)):
            return _cut(db, random, table, primary, rows, columns, skip)
        if kind == "swap":
            return _swap(db, random, table, column, primary, rows, columns, row, key, where, skip)
        value = _flipped(random, row[at]) if kind == "flip" else row[at][: random.randrange(len(row[at]) or 1)]
        if value == row[at]:
            return None
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *key))
        after = tuple(value if name == column else part for name, part in zip(primary, key, strict=True))
        return Change(table, kind, column, (key, after))
    except (sqlite3.IntegrityError, OverflowError):
        return None


def _cut(db, random, table, primary, rows, columns, skip):
    """The last rows of a table go."""
    gone = rows[-random.randint(1, min(4, len(rows))) :]
    keys = tuple(tuple(row[columns.index(name)] for name in primary) for row in gone)
    where = " AND ".join(f"{name} IS ?" for name in primary)
    for key in keys:
        db.execute(f"DELETE FROM {table} WHERE {where}", key)
    return Change(table, "truncate", "", keys)


def _swap(db, random, table, column, primary, rows, columns, row, key, where, skip):
    """Two rows change places: the values of a column, or for entries all that is not the key."""
    other = random.choice(rows)
    other_key = tuple(other[columns.index(name)] for name in primary)
    if skip(table, column, other_key):
        return None
    names = [name for name in columns if name not in primary] if column in primary else [column]
    before = [row[columns.index(name)] for name in names]
    after = [other[columns.index(name)] for name in names]
    if before == after or not names:
        return None
    setting = ", ".join(f"{name} = ?" for name in names)
    db.execute("BEGIN")
    try:
        db.execute(f"UPDATE {table} SET {setting} WHERE {where}", (*after, *key))
        db.execute(f"UPDATE {table} SET {setting} WHERE {where}", (*before, *other_key))
    except sqlite3.IntegrityError:
        db.execute("ROLLBACK")
        return None
    db.execute("COMMIT")
    return Change(table, "swap", "+".join(names), (key, other_key))


def _flipped(random: Random, value):
    if isinstance(value, bytes):
        if not value:
            return b"\0"
        at = random.randrange(len(value))
        return value[:at] + bytes([value[at] ^ (1 << random.randrange(8))]) + value[at + 1 :]
    if isinstance(value, str):
        at = random.randrange(len(value) or 1)
        return value[:at] + random.choice("abcxyz0189") + value[at + 1 :]
    return random.choice([0, 1]) if value is None else max(value ^ (1 << random.randrange(4)), 0)


def _other(random: Random, value):
    if isinstance(value, int):
        return value + random.choice([1, 2, 5, 1000, LOG * 7])
    return value + (b"x" if isinstance(value, bytes) else "x")
