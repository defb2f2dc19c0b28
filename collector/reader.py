"""The store, read only: what history, verification, receipts and the web ask of it.

Nothing that is answered here is verified: whoever shows it verifies it (content → part → leaf → tile → anchored root →
gateway's signature → ledger). `log` 0 is the provider ledger, 1 and on are gateways' logs; schema.sql has the layout.
A `Reader` belongs to one thread at a time.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.rows import (
    CarriedRow,
    ChainRow,
    ForkRow,
    Halted,
    LedgerHead,
    LogRow,
    Position,
    Presence,
    Refusal,
    Sealed,
    SuccessionRow,
)
from collector.tiles import Edges, LogTiles
from vitaledger.compiled import compile_make
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.merkle import HASH_SIZE
from vitaledger.prover import TileReader
from vitaledger.tiles import TileRoot

_log = logging.getLogger(__name__)
SCHEMA_VERSION = 5
EDGE_VERSION = 5  # the first with an edge
FILE_NAME = "collector.sqlite"
LEDGER = 0  # the number of the provider ledger among the logs
MAX_LOG = 1 << 40  # how many entries a gateway's log can have here: row id = log * 2^40 + index
_LOG_COLUMNS = "log, gateway, origin, vkey, enrolled, witnessed, checkpoint, stored, custody"
_CHAIN_COLUMNS = "chain, log, name, next_seq, last, broken"


_position = compile_make(Position)


def entry_id(log: int, index: int) -> int:
    """The row of an entry. MisuseError where the index is beyond what a log can have here."""
    if not 0 <= index < MAX_LOG:
        raise MisuseError(f"entry {index}: expected an index below 2^40")
    return log * MAX_LOG + index


class Reader:
    """The queries. Opened by `Reader.open`; `collector.store.Store` is a Reader that also writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._edges = Edges(self)
        self._doubted: set[int] = set()
        version = self.meta("schema")
        if version is None or int(version) > SCHEMA_VERSION:
            found = version.decode() if version else "none"
            connection.close()
            raise MisuseError(f"store: expected schema version {SCHEMA_VERSION} or older, found {found}")
        self._has_edge = int(version) >= EDGE_VERSION

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store's file; MisuseError where there is none or it is of a newer version."""
        if not path.is_file():
            raise MisuseError(f"no store at {path}: `vitaledger-collector init` makes one")
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return cls(connection)

    def copy_to(self, path: Path) -> None:
        """Write a copy to a file that is not there yet: of one moment, without holding up who writes."""
        # query_only forbids writing to any file; this one stays unchanged because it was opened read only
        (before,) = self._db.execute("PRAGMA query_only").fetchone()
        self._db.execute("PRAGMA query_only = OFF")
        try:
            self._db.execute("VACUUM INTO ?", (str(path),))
        finally:
            self._db.execute(f"PRAGMA query_only = {int(before)}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All queries inside see the store as it stood at the first of them."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    # -- the store and its logs ---------------------------------------------------------------------------------------

    def meta(self, key: str) -> bytes | None:
        """A fact about the store: "schema", "provider", "vkey"; None where it is not known."""
        try:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise MisuseError(f"store: not a collector's store: {error}") from error
        return None if row is None else bytes(row[0])

    def provider(self) -> str:
        """The provider's name, as in its origins."""
        return (self.meta("provider") or b"").decode()

    def ledger_vkey(self) -> str:
        """The vkey of the provider ledger's key."""
        return (self.meta("vkey") or b"").decode()

    def logs(self) -> list[LogRow]:
        """Every gateway's log, in the order of enrolment."""
        return [LogRow(*row) for row in self._db.execute(f"SELECT {_LOG_COLUMNS} FROM logs ORDER BY log")]  # noqa: S608

    def log_of(self, name: str) -> LogRow | None:
        """The log of an origin, or the newest one of a gateway."""
        # by its index first: with an OR every row would be looked at, for every message of every gateway
        for which in ("origin = ?", "gateway = ? ORDER BY log DESC"):
            query = f"SELECT {_LOG_COLUMNS} FROM logs WHERE {which} LIMIT 1"  # noqa: S608
            if row := self._db.execute(query, (name,)).fetchone():
                return LogRow(*row)
        return None

    def ranges(self, log: int) -> list[tuple[int, int]]:
        """What is stored beyond a hole, as [first, end)."""
        rows = self._db.execute("SELECT first, last + 1 FROM ranges WHERE log = ? ORDER BY first", (log,))
        return rows.fetchall()

    def unmoved(self) -> list[LogRow]:
        """The logs that hold entries directly behind their prefix: a long backlog is moved over step by step."""
        query = (
            f"SELECT {_LOG_COLUMNS} FROM logs WHERE EXISTS"  # noqa: S608
            " (SELECT 1 FROM ranges WHERE ranges.log = logs.log AND ranges.first = logs.stored)"
        )
        return [LogRow(*row) for row in self._db.execute(query)]

    # -- entries, statements and tiles --------------------------------------------------------------------------------

    def entry(self, log: int, index: int) -> tuple[bytes, bytes] | None:
        """(leaf, body) of a gateway's entry; None where it is not there, or could not be."""
        if not 0 <= index < MAX_LOG:  # a position that says so is wrong: its row would be of another log
            return None
        found: tuple[bytes, bytes] | None = self._db.execute(
            "SELECT leaf, body FROM entries WHERE id = ?", (entry_id(log, index),)
        ).fetchone()
        return found

    def entries(self, log: int, first: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, leaf, body) of what is stored of [first, end), in order."""
        base = entry_id(log, 0)
        query = "SELECT id - ?1, leaf, body FROM entries WHERE id >= ?1 + ?2 AND id < ?1 + ?3 ORDER BY id"
        yield from self._db.execute(query, (base, first, min(end, MAX_LOG)))

    def leaves(self, log: int, first: int, end: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of what is stored of [first, end); for log 0 the leaves are statements."""
        if log == LEDGER:
            query = "SELECT idx, leaf FROM statements WHERE idx >= ? AND idx < ? ORDER BY idx"
            return self._db.execute(query, (first, end)).fetchall()
        base = entry_id(log, 0)
        query = "SELECT id - ?1, leaf FROM entries WHERE id >= ?1 + ?2 AND id < ?1 + ?3 ORDER BY id"
        return self._db.execute(query, (base, first, min(end, MAX_LOG))).fetchall()

    def statement(self, index: int) -> bytes | None:
        """The leaf of a statement of the provider ledger."""
        row = self._db.execute("SELECT leaf FROM statements WHERE idx = ?", (index,)).fetchone()
        return None if row is None else row[0]

    def statements(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """(index, leaf) of the statements [first, end)."""
        return self.leaves(LEDGER, first, end)

    def tile(self, log: int, level: int, n: int) -> bytes | None:
        """A full tile as it is stored."""
        row = self._db.execute(
            "SELECT hashes FROM tiles WHERE log = ? AND level = ? AND n = ?", (log, level, n)
        ).fetchone()
        return None if row is None else row[0]

    def tiles(self, log: int) -> Iterator[tuple[int, int, bytes]]:
        """(level, n, hashes) of every full tile of a log."""
        yield from self._db.execute("SELECT level, n, hashes FROM tiles WHERE log = ? ORDER BY level, n", (log,))

    def roots(self, log: int, level: int, first: int, end: int) -> dict[int, bytes]:
        """What the edge says are the roots of the full tiles [first, end) of a level; none where it is doubted."""
        if not self._has_edge or log in self._doubted:
            return {}
        query = "SELECT n, root FROM edge WHERE log = ? AND level = ? AND n >= ? AND n < ?"
        return {
            n: root
            for n, root in self._db.execute(query, (log, level, first, end))
            if isinstance(root, bytes) and len(root) == HASH_SIZE
        }

    def edge(self, log: int) -> list[TileRoot]:
        """The edge of a log as it is stored."""
        query = "SELECT level, n, root FROM edge WHERE log = ? ORDER BY level, n"
        return [TileRoot(*row) for row in self._db.execute(query, (log,))]

    def tile_reader(self, log: int, size: int) -> TileReader:
        """The hashes of the tree of the first `size` leaves, for `vitaledger.merkle`'s proofs and roots."""
        return LogTiles(self._edges, log, size)

    def forget_edges(self) -> None:
        """Let the readers of tiles read the right edges again, from the rows as they stand then."""
        self._edges.forget()

    def doubt_edge(self, log: int) -> bool:
        """Read the right edge of a log from full tiles from now on, as a signed root is not that of the stored edge.

        False where it was doubted before.
        """
        if log in self._doubted:
            return False
        self._doubted.add(log)
        self._edges.forget()
        _log.warning(
            "log %d: its stored edge does not give the signed root: full tiles are read in its place;"
            " `vitaledger-collector verify` names what is wrong",
            log,
        )
        return True

    # -- the ledger ---------------------------------------------------------------------------------------------------

    def ledger_head(self) -> LedgerHead:
        """The newest head of the provider ledger."""
        row = self._db.execute("SELECT size, root, checkpoint FROM ledger WHERE id = 1").fetchone()
        if row is None:
            raise VerificationError("store: the provider ledger's head is missing")
        return LedgerHead(*row)

    def ledger_checkpoint(self) -> bytes:
        """The newest checkpoint of the provider ledger."""
        return self.ledger_head().checkpoint

    def anchor_at(self, log: int, size: int) -> int | None:
        """The statement that holds the anchor of exactly this size; None where it was never witnessed."""
        row = self._db.execute("SELECT statement FROM anchors WHERE log = ? AND size = ?", (log, size)).fetchone()
        return None if row is None else row[0]

    def anchor_at_or_below(self, log: int, size: int) -> tuple[int, int] | None:
        """(size, statement) of the newest anchor that is no larger."""
        query = "SELECT size, statement FROM anchors WHERE log = ? AND size <= ? ORDER BY size DESC LIMIT 1"
        found: tuple[int, int] | None = self._db.execute(query, (log, size)).fetchone()
        return found

    def anchor_at_or_above(self, log: int, size: int) -> tuple[int, int] | None:
        """(size, statement) of the oldest anchor that is no smaller: what dates entry size − 1 best."""
        query = "SELECT size, statement FROM anchors WHERE log = ? AND size >= ? ORDER BY size LIMIT 1"
        found: tuple[int, int] | None = self._db.execute(query, (log, size)).fetchone()
        return found

    def anchors(self, log: int) -> list[tuple[int, int]]:
        """(size, statement) of every anchor of a log."""
        return self._db.execute("SELECT size, statement FROM anchors WHERE log = ? ORDER BY size", (log,)).fetchall()

    def finding(self, log: int, index: int) -> int | None:
        """The statement of the finding about an entry."""
        row = self._db.execute("SELECT statement FROM findings WHERE log = ? AND idx = ?", (log, index)).fetchone()
        return None if row is None else row[0]

    def findings(self, log: int) -> list[tuple[int, int]]:
        """(index, statement) of every finding of a log."""
        return self._db.execute("SELECT idx, statement FROM findings WHERE log = ? ORDER BY idx", (log,)).fetchall()

    # -- micro-chains -------------------------------------------------------------------------------------------------

    def chains(self, log: int | None = None) -> list[ChainRow]:
        """Every micro-chain, or those of one log."""
        query = f"SELECT {_CHAIN_COLUMNS} FROM chains WHERE ?1 IS NULL OR log = ?1 ORDER BY chain"  # noqa: S608
        return [ChainRow(*row) for row in self._db.execute(query, (log,))]

    def chain_of(self, log: int, name: str) -> ChainRow | None:
        """A micro-chain of a log by its name."""
        query = f"SELECT {_CHAIN_COLUMNS} FROM chains WHERE log = ? AND name = ?"  # noqa: S608
        row = self._db.execute(query, (log, name)).fetchone()
        return None if row is None else ChainRow(*row)

    def positions(self, chain: int, first_seq: int, last_seq: int) -> list[Position]:
        """Where the entries first_seq … last_seq of a micro-chain stand, by seq."""
        query = "SELECT seq, idx, wall_ms FROM positions WHERE chain = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        return [Position(*row) for row in self._db.execute(query, (chain, first_seq, last_seq))]

    def positions_between(
        self, chain: int, from_ms: int, to_ms: int, without: tuple[int, int] = (0, -1)
    ) -> list[Position]:
        """The entries of a micro-chain whose gateway clock says [from_ms, to_ms), by seq, but for seqs in `without`."""
        # the + keeps SQLite from reading the whole micro-chain in the order of its key
        query = (
            "SELECT seq, idx, wall_ms FROM positions WHERE chain = ? AND wall_ms >= ? AND wall_ms < ?"
            " AND NOT +seq BETWEEN ? AND ? ORDER BY +seq"
        )
        return [Position(*row) for row in self._db.execute(query, (chain, from_ms, to_ms, *without))]

    def sealed(self, row: ChainRow, first_seq: int, last_seq: int) -> list[Sealed]:
        """The entries first_seq … last_seq of a micro-chain with leaf and body, by seq."""
        query = (
            "SELECT seq, idx, wall_ms, leaf, body FROM positions"
            " LEFT JOIN entries ON id = ? + idx AND idx BETWEEN 0 AND ?"  # what says otherwise is of another log
            " WHERE chain = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        )
        given = entry_id(row.log, 0), MAX_LOG - 1, row.chain, first_seq, last_seq
        return [
            Sealed(_position(seq, idx, at), leaf, body) for seq, idx, at, leaf, body in self._db.execute(query, given)
        ]

    def first_position(self, chain: int, first_seq: int, last_seq: int) -> Position | None:
        """Where the first of the entries first_seq … last_seq of a micro-chain stands that there is."""
        query = "SELECT seq, idx, wall_ms FROM positions WHERE chain = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT 1"
        row = self._db.execute(query, (chain, first_seq, last_seq)).fetchone()
        return None if row is None else Position(*row)

    def last_position(self, chain: int, seq: int) -> Position | None:
        """Where the newest entry of a micro-chain stands whose number is at most `seq`."""
        query = "SELECT seq, idx, wall_ms FROM positions WHERE chain = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
        row = self._db.execute(query, (chain, seq)).fetchone()
        return None if row is None else Position(*row)

    def findings_between(self, log: int, first: int, last: int) -> dict[int, int]:
        """The statements of the findings about entries first … last of a log, by index."""
        query = "SELECT idx, statement FROM findings WHERE log = ? AND idx BETWEEN ? AND ?"
        return dict(self._db.execute(query, (log, first, last)).fetchall())

    # -- copies and rollbacks -----------------------------------------------------------------------------------------

    def forks(self, log: int | None = None) -> list[ForkRow]:
        """Every fork that was seen, or those of one log."""
        query = "SELECT id, at_ms, log, size, root, evidence, message FROM forks WHERE ?1 IS NULL OR log = ?1"
        return [ForkRow(*row) for row in self._db.execute(f"{query} ORDER BY id", (log,))]

    def successions(self) -> list[SuccessionRow]:
        """Every succession that a gateway asked for."""
        query = "SELECT id, at_ms, log, origin, vkey, note, state, statement FROM successions ORDER BY id"
        return [SuccessionRow(*row) for row in self._db.execute(query)]

    def halted(self) -> list[Halted]:
        """What shows that this store was restored from an old copy, and signs no more; empty where nothing does."""
        if int(self.meta("schema") or b"0") < 4:
            return []  # of an older version: it is brought up when it is opened for writing
        return [Halted(*row) for row in self._db.execute("SELECT at_ms, gateway, shown FROM halted ORDER BY id")]

    def losses(self) -> list[int]:
        """The statements that state a loss."""
        return [index for (index,) in self._db.execute("SELECT statement FROM losses ORDER BY statement")]

    def losses_of(self, log: int) -> list[tuple[int, int, int]]:
        """(statement, first, end) of every loss of a log."""
        query = "SELECT statement, first, last + 1 FROM losses WHERE log = ? ORDER BY statement"
        return self._db.execute(query, (log,)).fetchall()

    def carried(self, origin: str, chain: str) -> list[CarriedRow]:
        """What other logs carry over of a micro-chain of `origin`, by seq."""
        query = (
            "SELECT log, idx, origin, at, chain, seq, wall_ms FROM carried WHERE chain = ? AND origin = ?"
            " ORDER BY seq, log, idx"
        )
        return [CarriedRow(*row) for row in self._db.execute(query, (chain, origin))]

    def carried_chains(self) -> list[tuple[str, str]]:
        """(origin, micro-chain) of all that is carried over."""
        return self._db.execute("SELECT DISTINCT origin, chain FROM carried ORDER BY origin, chain").fetchall()

    # -- what is not proven -------------------------------------------------------------------------------------------

    def presence(self) -> list[Presence]:
        """What every gateway said of itself last."""
        query = "SELECT gateway, at_ms, status, health FROM presence ORDER BY gateway"
        return [Presence(*row) for row in self._db.execute(query)]

    def refusals(self, most: int = 100) -> list[Refusal]:
        """The newest refusals, newest first."""
        query = "SELECT at_ms, gateway, topic, status, reason, message FROM refusals ORDER BY id DESC LIMIT ?"
        return [Refusal(*row) for row in self._db.execute(query, (most,))]
