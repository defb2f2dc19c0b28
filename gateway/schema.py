"""The tables of the gateway's store, and how a store of an earlier version becomes one of this.

One SQLite file, WAL, synchronous=FULL, pages of 512 bytes, one writer. Few and small tables, because on an SD card each
page that a commit touches is written again:

    entries   idx, leaf, body           every entry in order; body as `gateway.bodies` packs it, null once it was pruned
    tiles     level, n, hashes          full tiles only, 256 hashes of 32 bytes; partial ones come from the entries
    edge      level, n, root            the root of each full tile whose tile above is not full: its hash in that one
    head      id = 1, checkpoint, seal  the newest signed checkpoint, and the seal (`gateway.seal`) on all but the log
    receipts  size, at_ms, statement, proof    verified custody receipts; at_ms is when it came, by the gateway's clock
    journal   slot, n, length, data     what was read and is not sealed yet: `gateway.journal`, in `gateway.slots`
    meta      key, value                origin and vkey

There is no table of micro-chains: their heads are in the log itself, in its heads entries.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from gateway.slots import ROWS_AS_SLOTS
from vitaledger import merkle
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.merkle import TILE_WIDTH

DATABASE = "log.db"
PAGE_SIZE = 512  # of a store that is made now; one that was made before keeps its own
VERSION = 5
TABLES = frozenset({"entries", "tiles", "head", "receipts", "meta", "journal", "edge"})

_FIRST = """
CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB);
CREATE TABLE tiles (level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, n))
    WITHOUT ROWID;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), checkpoint BLOB NOT NULL, seal BLOB NOT NULL);
CREATE TABLE receipts (
    size INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, statement BLOB NOT NULL, proof BLOB NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_JOURNAL = "CREATE TABLE journal (n INTEGER PRIMARY KEY, data BLOB NOT NULL)"
_SLOTS = (
    "CREATE TABLE journal (slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, length INTEGER NOT NULL, data BLOB NOT NULL)"
)
_EDGE = (
    "CREATE TABLE edge (level INTEGER NOT NULL, n INTEGER NOT NULL, root BLOB NOT NULL, PRIMARY KEY (level, n)) "
    "WITHOUT ROWID"
)
JOURNAL_VERSION = 2  # the first with a journal
EDGE_VERSION = 4  # the first with an edge
SLOTS_VERSION = 5  # the first whose journal stands in slots


def _create(database: Database) -> None:
    for statement in _FIRST.split(";"):
        if statement.strip():
            database.execute(statement)


def _add_journal(database: Database) -> None:
    database.execute(_JOURNAL)


def _pack_bodies(database: Database) -> None:
    """Bodies may be packed from here on; those that are there stay as they are."""
    del database


def _add_edge(database: Database) -> None:
    database.execute(_EDGE)
    for level, count in database.execute("SELECT level, max(n) + 1 FROM tiles GROUP BY level").fetchall():
        rows = database.execute(
            "SELECT n, hashes FROM tiles WHERE level = ? AND n >= ?", (level, count - count % TILE_WIDTH)
        ).fetchall()
        for n, hashes in rows:
            root = merkle.tile_root(blob(hashes, f"tile {level}/{n}"))
            database.execute("INSERT INTO edge (level, n, root) VALUES (?, ?, ?)", (level, n, root))


def _add_slots(database: Database) -> None:
    database.execute("ALTER TABLE journal RENAME TO rows")
    database.execute(_SLOTS)
    database.execute(f"INSERT INTO journal (slot, n, length, data) {ROWS_AS_SLOTS} FROM rows")
    database.execute("DROP TABLE rows")


# Step n brings a store of version n to version n + 1.
_STEPS: tuple[Callable[[Database], None], ...] = (_create, _add_journal, _pack_bodies, _add_edge, _add_slots)


def connect(directory: Path) -> sqlite3.Connection:
    """The writer's connection; the file is made where there is none. Transactions are begun by hand."""
    connection = sqlite3.connect(directory / DATABASE, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # A page that changes with every commit (head, the newest rows) goes from the WAL to the file once a checkpoint.
    connection.execute("PRAGMA wal_autocheckpoint = 8192")
    connection.execute(f"PRAGMA journal_size_limit = {8 * 1024 * 1024}")
    return connection


def connect_reader(directory: Path) -> sqlite3.Connection:
    """A connection that cannot write; MisuseError where there is no store."""
    path = directory / DATABASE
    if not path.is_file():
        raise MisuseError(f"{directory}: no store here; `vitaledger-gateway run` makes one")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=5
    )
    connection.execute("PRAGMA query_only = 1")
    return connection


def version(connection: sqlite3.Connection) -> int:
    """The version of the store's tables; 0 where there are none."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    return int(found)


def tables(of_version: int) -> frozenset[str]:
    """The names of the tables that a store of a version has."""
    later = {"journal": JOURNAL_VERSION, "edge": EDGE_VERSION}
    return frozenset(name for name in TABLES if later.get(name, 1) <= of_version)


def check_version(connection: sqlite3.Connection) -> None:
    """Raise MisuseError where a newer program made the store."""
    if version(connection) > VERSION:
        raise MisuseError(
            f"the store's tables are of version {version(connection)}, this program knows {VERSION}: "
            "install the newer program"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this version, each step in a transaction of its own."""
    check_version(connection)
    for number in range(version(connection), VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _STEPS[number](Database(connection, execute_plugins=False))
            connection.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def blob(value: object, what: str) -> bytes:
    """A cell that has to hold bytes; VerificationError where it holds something else, which SQLite stores as well."""
    if not isinstance(value, bytes):
        raise VerificationError(f"{what}: expected bytes, found {type(value).__name__}")
    return value
