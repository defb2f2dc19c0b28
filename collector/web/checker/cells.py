"""Readings folded into cells of time, so that a month fits on a screen: count, lowest, highest and marks of each cell.

Lowest and highest are kept, so an extreme is never dropped however wide the cell is. A value that the device itself
calls no measurement (invalid, artefact, …) is not among them: it sets a mark. A stated absence sets the mark of its
reason. Readings out of a device's memory have no time but the device's own and are counted apart.

>>> fold = Cells(1_000_000)
>>> fold.columns
{}
"""

from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from vitaledger.content import Series, Values, spread
from vitaledger.marks import Category, Check, Provenance, Quality
from vitaledger.opened import Opened

SPO2 = 150456
BELOW_PERCENT = 90
MOST_US = 5_000_000  # a reading stands until the next one, at most so long

# one bit a mark; an absence with reason r sets bit 7 + r
LOW_PERFUSION, STALE, ARTEFACT, INVALID, IMPLAUSIBLE = 1, 2, 4, 8, 16
ABSENT_SHIFT = 7
_LOW = Quality.LOW_PERFUSION | Quality.MARGINAL_PERFUSION
_ARTEFACT = Quality.ARTEFACT | Quality.OUT_OF_TRACK | Quality.INTERFERENCE
_INVALID = Quality.INVALID | Quality.NOT_AVAILABLE | Quality.CALIBRATION_ONGOING | Quality.TEST_DATA
_NOT_DRAWN = STALE | ARTEFACT | INVALID | IMPLAUSIBLE


@dataclass(frozen=True, slots=True)
class Signal:
    """What one line of a chart is of."""

    handle: str
    code: int
    unit: int
    category: Category
    provenance: Provenance
    check: Check

    @property
    def key(self) -> str:
        """Its name in a chart: the handle, with where it came from unless that is the device, live."""
        plain = self.provenance is Provenance.DEVICE_LIVE
        return self.handle if plain else f"{self.handle} ({self.provenance.label})"


@dataclass(slots=True)
class Cell:
    """What one signal said in one cell. `below_us`: how long a saturation below 90 % stood."""

    n: int = 0
    lo: float = 0.0
    hi: float = 0.0
    marks: int = 0
    below_us: int = 0

    def take(self, lo: float, hi: float, n: int) -> None:
        """So many values between these."""
        self.lo = lo if not self.n or lo < self.lo else self.lo
        self.hi = hi if not self.n or hi > self.hi else self.hi
        self.n += n

    def add(self, other: "Cell") -> None:
        """Everything that another cell says of the same time."""
        if other.n:
            self.take(other.lo, other.hi, other.n)
        self.marks |= other.marks
        self.below_us += other.below_us


@dataclass(slots=True)
class Cells:
    """Cells of one width; `columns` by signal, then by the number of the cell, which is its time / width."""

    width_us: int
    columns: dict[Signal, dict[int, Cell]] = field(default_factory=dict)
    # the same by a signal's bare fields
    _columns: "dict[tuple[object, ...], dict[int, Cell]]" = field(default_factory=dict)

    def add(self, opened: Opened, from_us: int | None = None, to_us: int | None = None) -> int:
        """Fold in the readings of an entry that lie in [from, to]; answers how many out of memory were left out."""
        values = opened.values
        if values is None:
            return 0
        if values.provenance is Provenance.DEVICE_STORED:
            return sum(len(series.values) for series in values.series)
        began, width = opened.entry.clock.wall_ms * 1000, self.width_us
        spans = [_place(times, began, width, from_us, to_us) for times in values.times]
        for series in values.series:
            place = spans[series.times]
            if place is None:
                continue
            number, inside = place
            column = self._column(values, series)
            if inside and number is not None and not series.absences and not series.quality:  # so no value is None
                cell = column.get(number)
                if cell is None:
                    cell = column[number] = Cell()
                found, exponent = cast("tuple[int, ...]", series.values), series.exponent
                cell.take(_scaled(min(found), exponent), _scaled(max(found), exponent), len(found))
                if series.code == SPO2 and cell.lo < BELOW_PERCENT:
                    cell.below_us += sum(_below(series, [began + at for at in values.times[series.times]]))
            else:
                times = [began + at for at in values.times[series.times]]
                self._each(column, series, times, None if inside else (from_us, to_us))
        return 0

    def _column(self, values: Values, series: Series) -> dict[int, Cell]:
        """The cells of a series' signal; asked for by the bare fields, because a day has one series a few seconds."""
        bare = series.handle, series.code, series.unit, series.category, values.provenance, values.check
        column = self._columns.get(bare)
        if column is None:
            column = self._columns[bare] = self.columns.setdefault(_signal(values, series), {})
        return column

    def _each(
        self, column: dict[int, Cell], series: Series, times: list[int], span: tuple[int | None, int | None] | None
    ) -> None:
        """Fold in the readings of a series one by one."""
        count = len(times)
        absent, quality = spread(series.absences, count), spread(series.quality, count)
        below = _below(series, times) if series.code == SPO2 else [0] * count
        for at, value, reason, said, low in zip(times, series.values, absent, quality, below, strict=True):
            if span is not None and not _covers(span, at):
                continue
            cell = column.setdefault(at // self.width_us, Cell())
            marks = quality_marks(said or Quality(0)) | (1 << (ABSENT_SHIFT + reason) if reason else 0)
            cell.marks |= marks
            if value is not None and not marks & _NOT_DRAWN:
                scaled = _scaled(value, series.exponent)
                cell.take(scaled, scaled, 1)
                cell.below_us += low

    def merge(self, other: "Cells") -> None:
        """Take in cells of the same width."""
        for signal, column in other.columns.items():
            mine = self.columns.setdefault(signal, {})
            for number, cell in column.items():
                mine.setdefault(number, Cell()).add(cell)


@dataclass(frozen=True, slots=True)
class Packed:
    """Cells that are kept: thirty bytes a cell."""

    width_us: int
    columns: "tuple[tuple[Signal, tuple[array[int], array[float], array[float], array[int]]], ...]"

    @classmethod
    def of(cls, cells: Cells) -> "Packed":
        """Pack the cells."""
        packed = []
        for signal, column in cells.columns.items():
            numbers = sorted(column)
            whole, lo, hi, rest = array("q", numbers), array("d"), array("d"), array("i")
            for cell in map(column.__getitem__, numbers):
                lo.append(cell.lo)
                hi.append(cell.hi)
                rest.extend((cell.n, cell.marks, cell.below_us // 1000))
            packed.append((signal, (whole, lo, hi, rest)))
        return cls(cells.width_us, tuple(packed))

    @property
    def count(self) -> int:
        """How many cells."""
        return sum(len(column[0]) for _, column in self.columns)

    def coarsen(self, width_us: int, from_us: int, to_us: int) -> Cells:
        """The same in cells of a multiple of the width, those that begin within [from, to)."""
        found = Cells(width_us)
        for signal, (numbers, lows, highs, rest) in self.columns:
            wide: dict[int, Cell] = {}
            for place, number in enumerate(numbers):
                at = number * self.width_us
                if from_us <= at < to_us:
                    n, marks, below_ms = rest[3 * place : 3 * place + 3]
                    one = Cell(n, lows[place], highs[place], marks, below_ms * 1000)
                    wide.setdefault(at // width_us, Cell()).add(one)
            if wide:
                found.columns[signal] = wide
        return found


def quality_marks(said: Quality) -> int:
    """The marks of a quality: what of it a chart tells apart."""
    marks = LOW_PERFUSION if said & _LOW else 0
    marks |= STALE if said & Quality.STALE else 0
    marks |= ARTEFACT if said & _ARTEFACT else 0
    marks |= INVALID if said & _INVALID else 0
    return marks | (IMPLAUSIBLE if said & Quality.IMPLAUSIBLE else 0)


def is_drawn(said: Quality) -> bool:
    """Whether a value of this quality is drawn as a value."""
    return not quality_marks(said) & _NOT_DRAWN


def _place(
    times: tuple[int, ...], began: int, width: int, from_us: int | None, to_us: int | None
) -> tuple[int | None, bool] | None:
    """The number of the one cell that times lie in, None where it is several; whether they lie in [from, to].

    None where there are no times.
    """
    if not times:
        return None
    first, last = began + times[0], began + times[-1]
    number = first // width
    inside = (from_us is None or first >= from_us) and (to_us is None or last <= to_us)
    return number if last // width == number else None, inside


def _signal(values: Values, series: Series) -> Signal:
    return Signal(series.handle, series.code, series.unit, series.category, values.provenance, values.check)


def _scaled(value: int, exponent: int) -> float:
    if not exponent:
        return float(value)
    return value / 10**-exponent if exponent < 0 else float(value * 10**exponent)


def _below(series: Series, times: list[int]) -> list[int]:
    """How long each value below the line stood, in µs; the last one as long as the one before it."""
    stood = [min(after - at, MOST_US) for at, after in pairwise(times)]
    stood.append(stood[-1] if stood else min(1_000_000, MOST_US))
    limit = BELOW_PERCENT * 10**-series.exponent if series.exponent < 0 else BELOW_PERCENT
    return [
        lasts if value is not None and value < limit else 0 for value, lasts in zip(series.values, stood, strict=True)
    ]


def _covers(span: tuple[int | None, int | None], at: int) -> bool:
    return (span[0] is None or at >= span[0]) and (span[1] is None or at <= span[1])
