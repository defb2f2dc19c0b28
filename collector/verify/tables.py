"""What verification alone asks of the store: the file itself, and rows that belong to nothing."""

import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Self

from collector.reader import SCHEMA_VERSION, Reader
from collector.rows import CarriedRow
from collector.verify.report import Report
from vitaledger import messages
from vitaledger.errors import MalformedError, MisuseError

_KNOWN_META = frozenset({"schema", "provider", "vkey"})
_ORPHANS = {
    "tiles": "SELECT log, 'tile ' || level || '/' || n FROM tiles WHERE log != 0 AND log NOT IN (SELECT log FROM logs)",
    "edge": "SELECT log, 'root of tile ' || level || '/' || n FROM edge"
    " WHERE log != 0 AND log NOT IN (SELECT log FROM logs)",
    "ranges": "SELECT log, 'range from ' || first FROM ranges WHERE log NOT IN (SELECT log FROM logs)",
    "anchors": "SELECT log, 'anchor of size ' || size FROM anchors WHERE log NOT IN (SELECT log FROM logs)",
    "findings": "SELECT log, 'finding about ' || idx FROM findings WHERE log NOT IN (SELECT log FROM logs)",
    "chains": "SELECT log, 'micro-chain ' || name FROM chains WHERE log NOT IN (SELECT log FROM logs)",
    "forks": "SELECT log, 'fork ' || id FROM forks WHERE log != 0 AND log NOT IN (SELECT log FROM logs)",
    "successions": "SELECT log, 'succession ' || id FROM successions WHERE log NOT IN (SELECT log FROM logs)",
    "losses": "SELECT log, 'loss from ' || first FROM losses WHERE log NOT IN (SELECT log FROM logs)",
    "carried": "SELECT log, 'entry ' || idx FROM carried WHERE log NOT IN (SELECT log FROM logs)",
    "positions": "SELECT chain, 'entry ' || seq FROM positions WHERE chain NOT IN (SELECT chain FROM chains)",
}
_SHOWN = 20
_COMMENT = re.compile("--.*")


class Tables(Reader):
    """A Reader with the queries that verification adds."""

    @classmethod
    def open_checked(cls, path: Path, report: Report) -> Self | None:
        """Open the store where it can be read at all; else None, and a failure."""
        if not path.is_file():
            raise MisuseError(f"no store at {path}: `vitaledger-collector init` makes one")
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        try:
            connection.execute("BEGIN")
            whole = _check_file(connection, report)
            if whole and _check_schema(connection, report):
                return cls(connection)
        except sqlite3.DatabaseError as error:
            report.fail("file", f"SQLite cannot read the store: {error}")
        connection.close()
        return None

    def position_at(self, log: int, index: int) -> tuple[str, int] | None:
        """(micro-chain, seq) that positions give an index; reads all of them, for failures only."""
        query = (
            "SELECT chains.name, positions.seq FROM chains JOIN positions USING (chain)"
            " WHERE chains.log = ? AND positions.idx = ? LIMIT 1"
        )
        row: tuple[str, int] | None = self._db.execute(query, (log, index)).fetchone()
        return row

    def places(self, chain: int, first_seq: int, last_seq: int) -> dict[int, tuple[int, int]]:
        """(index in the log, wall clock in ms) of the entries first_seq … last_seq of a micro-chain, by their seq."""
        query = "SELECT seq, idx, wall_ms FROM positions WHERE chain = ? AND seq BETWEEN ? AND ?"
        return {seq: (idx, wall_ms) for seq, idx, wall_ms in self._db.execute(query, (chain, first_seq, last_seq))}

    def count_positions(self, chain: int) -> int:
        """How many positions a micro-chain has."""
        return int(self._db.execute("SELECT count(*) FROM positions WHERE chain = ?", (chain,)).fetchone()[0])

    def entries(self, log: int, first: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """As Reader.entries; what is no BLOB has failed already and is read as bytes, so that nothing waits for it."""
        for row in super().entries(log, first, end):
            if type(row[1]) is bytes and type(row[2]) is bytes:
                yield row
            else:
                yield row[0], _bytes(row[1]), _bytes(row[2])

    def entry(self, log: int, index: int) -> tuple[bytes, bytes] | None:
        """As Reader.entry, likewise."""
        row = super().entry(log, index)
        return None if row is None else (_bytes(row[0]), _bytes(row[1]))

    def leaves(self, log: int, first: int, end: int) -> list[tuple[int, bytes]]:
        """As Reader.leaves, likewise."""
        return [(index, _bytes(leaf)) for index, leaf in super().leaves(log, first, end)]

    def carried_of(self, log: int) -> Iterator[CarriedRow]:
        """What the entries of a log carry over, in order."""
        query = "SELECT log, idx, origin, at, chain, seq, wall_ms FROM carried WHERE log = ? ORDER BY idx"
        for row in self._db.execute(query, (log,)):
            yield CarriedRow(*row)

    def loss_rows(self) -> dict[int, tuple[int, int, int]]:
        """(log, first, end) of every loss, by its statement."""
        query = "SELECT statement, log, first, last + 1 FROM losses"
        return {index: (log, first, end) for index, log, first, end in self._db.execute(query)}

    def mistyped(self) -> Iterator[tuple[str, str]]:
        """(table, what) of cells that are not of their column's type: SQLite stores what it is given."""
        for (table,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            info = self._db.execute(f"PRAGMA table_info({table})").fetchall()
            primary = " || ' ' || ".join(row[1] for row in info if row[5])
            wrong = {}
            for _, column, kind, not_null, _, key in info:
                may = f"'{kind.lower()}'" + ("" if not_null or key else ", 'null'")
                wrong[column, kind] = f"typeof({column}) NOT IN ({may})"
            any_wrong = f"SELECT 1 FROM {table} WHERE {' OR '.join(wrong.values())} LIMIT 1"  # noqa: S608
            if self._db.execute(any_wrong).fetchone() is None:
                continue  # one look at all cells of a row, where nothing is to be named
            for (column, kind), condition in wrong.items():
                query = f"SELECT {primary} FROM {table} WHERE {condition} LIMIT {_SHOWN}"  # noqa: S608
                for (row,) in self._db.execute(query):
                    yield table, f"{column} of row {row} is not of type {kind}"

    def heads(self) -> int:
        """How many rows the table of the ledger's head has."""
        return int(self._db.execute("SELECT count(*) FROM ledger").fetchone()[0])

    def orphans(self) -> Iterator[tuple[str, str]]:
        """(table, what) of rows that belong to no log or no micro-chain, some of each table."""
        for table, query in _ORPHANS.items():
            for of, what in self._db.execute(f"{query} LIMIT {_SHOWN}"):
                yield table, f"{what} of {of}, which there is not"
        # row id = log * 2^40 + index
        known = [row.log for row in self.logs()]
        below = 0
        for first, end in [*((log << 40, (log + 1) << 40) for log in known), (1 << 62, 1 << 62)]:
            query = "SELECT id FROM entries WHERE id >= ? AND id < ? LIMIT ?"
            for (row,) in self._db.execute(query, (below or -(1 << 62), first, _SHOWN)):
                yield "entries", f"entry {row % (1 << 40)} of log {row >> 40}, which there is not"
            below = end

    def meta_keys(self) -> set[str]:
        """The keys of the table meta."""
        return {key for (key,) in self._db.execute("SELECT key FROM meta")}


def _check_file(connection: sqlite3.Connection, report: Report) -> bool:
    """SQLite's own check of pages, indexes and constraints."""
    said = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
    for each in said if said != ["ok"] else []:
        report.fail("file", f"SQLite: {each}")
    return True


def _check_schema(connection: sqlite3.Connection, report: Report) -> bool:
    """The tables must be those of schema.sql: nothing that acts or hides, such as a trigger, stands beside them."""
    query = "SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    with sqlite3.connect(":memory:") as model:
        model.executescript(files("collector").joinpath("schema.sql").read_text("utf-8"))
        expected = {name: (kind, _plain(sql)) for name, kind, sql in model.execute(query)}
    model.close()
    found = {name: (kind, _plain(sql)) for name, kind, sql in connection.execute(query)}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            report.fail("file", f"{name}: expected {expected.get(name)}, found {found.get(name)}")
    version = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() if "meta" in found else None
    if version is None or bytes(version[0]) != str(SCHEMA_VERSION).encode():
        report.fail("meta", f"schema: expected {SCHEMA_VERSION}, found {version and bytes(version[0])!r}")
        return False
    return all(name in found for name in expected)


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode("utf-8", "surrogateescape")


def _plain(sql: str) -> str:
    """A definition without its comments and line breaks."""
    return " ".join(_COMMENT.sub("", sql).split())


def check_meta(tables: Tables, vkey: str, report: Report) -> None:
    """What the store says of itself, against the pinned key."""
    if tables.ledger_vkey() != vkey:
        report.fail("meta", f"vkey: expected {vkey}, found {tables.ledger_vkey()}")
    name = vkey.partition("+")[0]
    origin = messages.ledger_origin(tables.provider())
    if name != origin and not name.startswith(f"{origin}/"):
        report.fail("meta", f"provider: {tables.provider()!r} is not that of the ledger {name}")
    for key in sorted(tables.meta_keys() ^ _KNOWN_META):
        report.fail("meta", f"{key}: {'unknown' if key not in _KNOWN_META else 'missing'}")
    if tables.heads() != 1:
        report.fail("ledger", f"expected one head, found {tables.heads()}")


def check_claims(tables: Tables, report: Report) -> None:
    """Presence and refusals prove nothing; they must be of their form, and of gateways that there are."""
    known = {row.gateway for row in tables.logs()}
    for each in tables.presence():
        try:
            if each.status is not None:
                messages.STATUS.decode(each.status, "status")
            if each.health is not None:
                messages.HEALTH.decode(each.health, "health")
        except MalformedError as error:
            report.fail("presence", f"{each.gateway}: {error}", gateway=each.gateway)
        if each.gateway not in known:
            report.fail("presence", f"{each.gateway}: no gateway of that name is enrolled")
    for refusal in tables.refusals(1 << 31):
        if refusal.topic not in messages.UP or not 400 <= refusal.status <= 599 or refusal.at_ms < 0:
            report.fail(
                "refusals", f"{refusal.gateway}, {refusal.topic}: status {refusal.status} at {refusal.at_ms} ms"
            )
