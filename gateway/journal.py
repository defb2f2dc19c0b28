"""The journal: what was read and not yet sealed, a row a second, in the transaction of the one-second commit.

    row  = [coding, bytes]                      coding 0: as they are, 1: raw deflate
    then   [boot id, clean, [* line]]
    line = [port, driver, mark, first, what, µs, wall, bound, length, data]

`what`, `µs`, … have one number for each record of the line; µs and wall are differences, the wall clock's against the
monotonic one in ms. `mark` says from where on the line is not sealed (`gateway.tape`), null where nothing of it is
open; the newest row in which a line stands has its mark in force. Rows are appended, and leave it from the front with
the transaction that seals what made them necessary, so a reading is in the journal or in the log and never in both.
"""

from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from gateway.draft import Instant
from gateway.tape import Mark, Position, Record, Tape, What
from vitaledger import cbor
from vitaledger.entry import MAX_CHAIN
from vitaledger.errors import MalformedError
from vitaledger.marks import GapReason
from vitaledger.numeric import numbers
from vitaledger.shape import Shape, array, blob, enum, null_or, record, text, uint
from vitaledger.squeeze import deflate, inflate

MAX_ROW = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """What one commit does to the journal: `row`, if any, is appended as number `end` − 1; rows below `first` go."""

    first: int
    end: int
    row: bytes | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line's part of a row: its columns, one number for each record."""

    port: str
    driver: str
    mark: Mark | None
    first: int
    what: tuple[int, ...]
    us: tuple[int, ...]
    wall: tuple[int, ...]
    bound: tuple[int | None, ...]
    length: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """What was read in one second. `clean`: whether the run before the one that wrote it stopped on purpose."""

    boot_id: bytes
    clean: int
    lines: tuple[Line, ...]


def _wrong(line: Line) -> str | None:
    count = len(line.what)
    if {len(line.us), len(line.wall), len(line.bound), len(line.length)} != {count}:
        return "its columns are not of one length"
    if any(length < 0 for length in line.length) or sum(line.length) != len(line.data):
        return f"its lengths do not give its {len(line.data)} bytes"
    if not set(line.what) <= {int(each) for each in What}:
        return "a record of an unknown kind"
    return None


_POSITION = record(Position, uint(), uint(), uint(0, 1), uint(0, 1))
_MARK = record(
    Mark, _POSITION, null_or(text(1, MAX_CHAIN)), null_or(text(1, 64)), text(0, 256), enum(GapReason), text(0, 256)
)
_LINE = record(
    Line,
    text(1, 64),
    text(1, 32),
    null_or(_MARK),
    uint(),
    numbers(),
    numbers(),
    numbers(),
    numbers(nulls=True),
    numbers(),
    blob(0, MAX_ROW),
    check=_wrong,
)
_ROW: Shape[Row] = record(Row, blob(16, 16), uint(0, 1), array(_LINE))


@dataclass(frozen=True, slots=True)
class Found:
    """What the journal has of one line: its records in order, from a little before the mark. `clean`: see `Row`."""

    port: str
    driver: str
    mark: Mark
    records: tuple[Record, ...]
    clean: bool

    @property
    def open_bytes(self) -> int:
        """How many received bytes are not sealed."""
        position = self.mark.position
        begin = position.number + position.placed
        return sum(len(each.data) for each in self.records if each.number >= begin and each.what is What.RECEIVED)


class Journal:
    """Makes the steps of the journal out of the tapes of all lines. For the thread that commits."""

    def __init__(self, end: int, boot_id: bytes, *, clean: bool) -> None:
        """`end`: the number of the next row. `clean`: whether the run before this one stopped on purpose."""
        self._first = self._end = end
        self._boot_id, self._clean = boot_id, clean
        self._tapes: list[Tape] = []
        self._rows: dict[Tape, deque[tuple[int, int]]] = {}  # (row, the last record of the line in it)

    def tape(self, port: str, driver: str) -> Tape:
        """The tape for a line."""
        tape = Tape(port, driver)
        self._tapes.append(tape)
        self._rows[tape] = deque()
        return tape

    def step(self) -> Step:
        """What to commit now. Call it under `Chains.together`, with the drafts that are taken at the same time."""
        lines = {tape: pack(tape, *news) for tape in self._tapes if (news := tape.take()) is not None}
        open_here = any(line.mark is not None for line in lines.values())
        needed = end = self._end + bool(lines)
        for tape, rows in self._rows.items():
            if tape in lines and lines[tape].what:
                rows.append((end - 1, lines[tape].first + len(lines[tape].what) - 1))
            first = tape.first_needed()
            while rows and (first is None or rows[0][1] < first):
                rows.popleft()
            needed = min(needed, rows[0][0] if rows else needed)
        if open_here:
            needed = min(needed, end - 1)
        row = encode(Row(self._boot_id, int(self._clean), tuple(lines.values()))) if lines else None
        if needed == end and row is not None:
            row, needed, end = None, self._end, self._end  # nothing is open anywhere: it would go at once
        self._first, self._end = max(self._first, needed), end
        return Step(self._first, self._end, row)


def encode(row: Row) -> bytes:
    """Write a row; deflated where that is shorter."""
    plain = cbor.dumps(_ROW.dump(row))
    squeezed = deflate(plain)
    return b"\x01" + squeezed if len(squeezed) < len(plain) else b"\x00" + plain


def decode(data: bytes) -> Row:
    """Read a row strictly.

    Raises:
        MalformedError: it is none.
    """
    coding, plain = data[:1], data[1:]
    if coding == b"\x01":
        plain = inflate(plain, MAX_ROW, "journal")
    elif coding != b"\x00":
        raise MalformedError("journal: expected coding 0 or 1")
    return _ROW.decode(plain, "journal")


def read(rows: list[bytes]) -> list[Found]:
    """What is open, by line: out of all rows in order.

    Raises:
        MalformedError: a row cannot be read.
    """
    newest: dict[str, tuple[Line, bool]] = {}
    records: dict[str, dict[int, Record]] = {}
    for row in map(decode, rows):
        for line in row.lines:
            newest[line.port] = (line, bool(row.clean))
            for each in _unpack(line, row.boot_id):
                records.setdefault(line.port, {})[each.number] = each
    found = []
    for port, (line, clean) in newest.items():
        if line.mark is not None:
            kept = records.get(port, {})
            found.append(Found(port, line.driver, line.mark, tuple(kept[number] for number in sorted(kept)), clean))
    return found


def pack(tape: Tape, mark: Mark | None, records: list[Record]) -> Line:
    """A line's part of a row, out of what its tape gave."""
    us = [each.at.mono_us for each in records]
    walls = [each.at.wall_ms - each.at.mono_us // 1000 for each in records]
    return Line(
        tape.port,
        tape.driver,
        mark,
        records[0].number if records else 0,
        tuple(int(each.what) for each in records),
        _differences(us),
        _differences(walls),
        tuple(each.at.bound_ms for each in records),
        tuple(len(each.data) for each in records),
        b"".join(each.data for each in records),
    )


def _differences(values: list[int]) -> tuple[int, ...]:
    return tuple(value - before for value, before in zip(values, [0, *values], strict=False))


def _unpack(line: Line, boot_id: bytes) -> list[Record]:
    at, found = 0, []
    times = zip(accumulate(line.us), accumulate(line.wall), line.bound, strict=True)
    for n, (what, length, (us, wall, bound)) in enumerate(zip(line.what, line.length, times, strict=True)):
        instant = Instant(us, wall + us // 1000, bound, boot_id)
        found.append(Record(line.first + n, What(what), instant, line.data[at : at + length]))
        at += length
    return found
