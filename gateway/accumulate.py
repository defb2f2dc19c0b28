"""Readings, samples and bytes on their way into an entry.

An accumulator takes what a driver emits until the recorder closes it, and gives the contents of one entry. It counts
the encoded size as it goes, never too low, so that the recorder closes before a bound is passed. Memory is bounded by
the same numbers: a recorder has one accumulator of each kind, of some 12 KiB of content.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from gateway.draft import Instant
from gateway.drivers.api import GOOD, Reading, Signal, Wave
from vitaledger.cbor import INT_MAX, INT_MIN
from vitaledger.content import NO_CONTEXT, VALUES, WAVES, M, Run, Series, StoredRows, Values, WaveBlock
from vitaledger.errors import MisuseError
from vitaledger.marks import Absence, Check, Direction, Provenance, Quality, Use
from vitaledger.raw import Chunk

MAX_SAMPLES = 1024  # of one piece: a driver's longer run is taken in pieces, of at most an eighth of the content
_SERIES = 64  # bytes beside the values: handle, codes, heads of the arrays
_RUN = 16
_CHUNK = 24


def int_size(value: int) -> int:
    """How many bytes an integer has in CBOR."""
    if value < 0:
        value = -1 - value
    if value < 65_536:
        return 1 if value < 24 else 2 if value < 256 else 3
    return 5 if value < 4_294_967_296 else 9


def sample_width(low: int, high: int) -> int | None:
    """Bytes a sample of the narrowest typed array that holds low … high; None where there is none."""
    for width in (1, 2, 4):
        bits = 8 * width
        if (low >= 0 and high < 1 << bits) or (-(1 << bits - 1) <= low and high < 1 << bits - 1):
            return width
    return None


def check_reading(reading: Reading) -> None:
    """Refuse what no entry can hold.

    Raises:
        MisuseError: the driver has an error; says which reading.
    """
    value, absence = reading.value, reading.absence
    fits = value is None or (type(value) is int and INT_MIN <= value <= INT_MAX)
    if not fits or (value is None) != (absence is not None) or not 0 <= int(reading.quality) <= INT_MAX:
        raise MisuseError(f"the driver emitted {reading}: expected an integer, or no value and the reason")
    if reading.stored is not None and not 0 <= reading.stored.ordinal <= INT_MAX:
        raise MisuseError(f"the driver emitted {reading}: expected an ordinal from 0")


def check_tables(signals: Mapping[str, Signal], waves: Mapping[str, Wave]) -> None:
    """Refuse a driver's tables if there is a signal or wave in them that no entry can hold.

    Raises:
        MisuseError: says which field.
    """
    named = [(name, of.handle) for name, of in signals.items()] + [(name, of.handle) for name, of in waves.items()]
    for name, handle in named:
        if name != handle:
            raise MisuseError(f"the driver declares {handle} under the name {name}")
    VALUES.encode(
        Values(
            "-",
            "-",
            Provenance.DEVICE_LIVE,
            Use.TEST,
            Check.NOTHING,
            NO_CONTEXT,
            ((),),
            tuple(_Column(signal).series(0) for signal in signals.values()),
            None,
        )
    )
    WAVES.encode(tuple(_Block(wave, 0, 0, 0, 0, 1).block() for wave in waves.values()))


def _mark(runs: list[Run[M]], at: int, count: int, mark: M | None) -> int:
    """Put `mark` on the values [at, at + count); answers by how many bytes the runs grew."""
    if not mark:
        return 0
    if runs and runs[-1][2] == mark and runs[-1][0] + runs[-1][1] == at:
        runs[-1] = (runs[-1][0], runs[-1][1] + count, mark)
        return 0
    runs.append((at, count, mark))
    return _RUN


@dataclass(slots=True)
class _Column:
    signal: Signal
    times: list[int] = field(default_factory=list)
    values: list[int | None] = field(default_factory=list)
    absences: list[Run[Absence]] = field(default_factory=list)
    quality: list[Run[Quality]] = field(default_factory=list)

    def add(self, at_us: int, value: int | None, absence: Absence | None, quality: Quality) -> int:
        """Answers by how many bytes the content grew, at most."""
        times, at = self.times, len(self.values)
        if times and times[-1] > at_us:
            at_us = times[-1]
        times.append(at_us)
        self.values.append(value)
        grown = int_size(at_us) + (1 if value is None else int_size(value))
        if absence is not None:
            grown += _mark(self.absences, at, 1, absence)
        return grown if quality is GOOD else grown + _mark(self.quality, at, 1, quality)

    def series(self, times: int) -> Series:
        of = self.signal
        return Series(
            of.handle,
            of.code,
            of.unit,
            of.category,
            of.exponent,
            times,
            tuple(self.values),
            tuple(self.absences),
            tuple(self.quality),
        )


def _columns(columns: Iterable[_Column]) -> tuple[tuple[tuple[int, ...], ...], tuple[Series, ...]]:
    """Times and series; signals that always came together share one vector of times."""
    vectors: dict[tuple[int, ...], int] = {}
    series = tuple(column.series(vectors.setdefault(tuple(column.times), len(vectors))) for column in columns)
    return tuple(vectors), series


@dataclass(slots=True)
class _Block:
    wave: Wave
    first_us: int
    last_us: int
    low: int
    high: int
    width: int
    samples: list[int] = field(default_factory=list)
    absences: list[Run[Absence]] = field(default_factory=list)
    quality: list[Run[Quality]] = field(default_factory=list)

    def block(self) -> WaveBlock:
        of = self.wave
        return WaveBlock(
            of.handle,
            of.code,
            of.unit,
            of.rate,
            of.scale,
            of.offset,
            self.first_us,
            self.last_us,
            tuple(self.samples),
            tuple(self.absences),
            tuple(self.quality),
        )


class Live:
    """What came over the line since `began`: readings, wave samples and raw bytes. Times are µs after `began`."""

    def __init__(self, began: Instant) -> None:
        self.began = began
        self.readings = 0
        self.size = 64
        self.last_us = 0  # of what was received
        self._columns: dict[str, _Column] = {}
        self._blocks: list[_Block] = []
        self._open: dict[str, _Block] = {}
        self._chunks: list[Chunk] = []
        self.received = False
        self.received_bytes = 0

    @property
    def frames(self) -> bool:
        """Whether there is anything that the driver understood."""
        return bool(self._columns or self._blocks)

    def _after(self, at_us: int) -> int:
        after = max(0, at_us - self.began.mono_us)
        self.last_us = max(self.last_us, after)
        self.received = True
        return after

    def add(self, signal: Signal, reading: Reading) -> None:
        """Take a live reading."""
        column = self._columns.get(reading.handle)
        if column is None:
            column = self._columns[reading.handle] = _Column(signal)
            self.size += _SERIES
        self.size += column.add(self._after(reading.at_us), reading.value, reading.absence, reading.quality)
        self.readings += 1

    def growth(self, handle: str, samples: tuple[int, ...], *, follows: bool) -> int:
        """By how many bytes these samples would make the content longer: one wide sample widens its whole block."""
        width = sample_width(min(samples), max(samples)) or 4
        block = self._open.get(handle) if follows else None
        if block is None:
            return _SERIES + width * len(samples)
        both = sample_width(min(*samples, block.low), max(*samples, block.high)) or 4
        return both * len(samples) + (both - block.width) * len(block.samples)

    def add_samples(
        self,
        wave: Wave,
        at_us: int,
        samples: tuple[int, ...],
        absence: Absence | None,
        quality: Quality,
        *,
        follows: bool,
    ) -> None:
        """Take at most `MAX_SAMPLES` samples of a wave; where they do not follow those before, a new block begins.

        Raises:
            MisuseError: the samples do not fit 32 bits.
        """
        low, high = min(samples), max(samples)
        width = sample_width(low, high)
        if width is None:
            raise MisuseError(f"the driver emitted samples of {wave.handle} from {low} to {high}: expected 32 bits")
        after = self._after(at_us)
        block = self._open.get(wave.handle) if follows else None
        if block is not None:
            both = sample_width(min(low, block.low), max(high, block.high))
            if both is None:
                block = None
            else:
                self.size += (both - block.width) * len(block.samples)
                block.low, block.high, block.width = min(low, block.low), max(high, block.high), both
        if block is None:
            block = _Block(wave, after, after, low, high, width)
            self._open[wave.handle] = block
            self._blocks.append(block)
            self.size += _SERIES
        at = len(block.samples)
        block.samples.extend(samples)
        block.last_us = max(after, block.last_us)
        self.size += block.width * len(samples)
        self.size += _mark(block.absences, at, len(samples), absence)
        self.size += _mark(block.quality, at, len(samples), quality)

    def add_chunk(self, direction: Direction, at_us: int, data: bytes) -> None:
        """Take raw bytes."""
        if direction is Direction.RECEIVED:
            after = self._after(at_us)
            self.received_bytes += len(data)
        else:
            after = max(0, at_us - self.began.mono_us)
        self._chunks.append(Chunk(direction, after, data))
        self.size += _CHUNK + len(data)

    def columns(self) -> tuple[tuple[tuple[int, ...], ...], tuple[Series, ...]]:
        """Vectors of times, and the series that point into them."""
        return _columns(self._columns.values())

    def blocks(self) -> tuple[WaveBlock, ...]:
        """The waves, in the order in which their blocks began."""
        return tuple(block.block() for block in self._blocks)

    def chunks(self) -> tuple[Chunk, ...]:
        """The raw bytes."""
        return tuple(self._chunks)


@dataclass(slots=True)
class _Row:
    ordinal: int
    device_time: str | None
    readings: dict[str, Reading]


@dataclass(frozen=True, slots=True)
class Dump:
    """One entry's worth of stored readings."""

    times: tuple[tuple[int, ...], ...]
    series: tuple[Series, ...]
    rows: StoredRows


class Memory:
    """Readings out of the device's memory, row by row.

    `dumps` cuts where ordinals do not follow or the set of signals changes, because an entry of stored readings has
    one ordinal after another and one vector of times.
    """

    def __init__(self, began: Instant) -> None:
        self.began = began
        self.readings = 0
        self.size = 64
        self.last_us = 0
        self._rows: list[_Row] = []

    def add(self, reading: Reading) -> None:
        """Take a stored reading."""
        stored = reading.stored
        if stored is None:
            raise MisuseError(f"{reading.handle} is no stored reading")
        self.last_us = max(self.last_us, reading.at_us - self.began.mono_us)
        last = self._rows[-1] if self._rows else None
        if (
            last is None
            or last.ordinal != stored.ordinal
            or last.device_time != stored.device_time
            or reading.handle in last.readings
        ):
            last = _Row(stored.ordinal, stored.device_time, {})
            self._rows.append(last)
            self.size += 16 + (4 * len(stored.device_time) if stored.device_time else 0)
        last.readings[reading.handle] = reading
        self.readings += 1
        # A row of its own could need an entry of its own; what is counted here is the row in a common one.
        self.size += 9 + 9 + (_RUN if reading.absence else 0) + (_RUN if reading.quality else 0)

    def dumps(self, signals: Mapping[str, Signal], device_clock: str | None) -> list[Dump]:
        """The entries that hold the rows, in order."""
        found = []
        numbered = [(row, row.ordinal - n) for n, row in enumerate(self._rows)]
        for _, group in groupby(numbered, key=lambda item: (item[1], tuple(sorted(item[0].readings)))):
            rows = [row for row, _ in group]
            columns = [_Column(signals[handle]) for handle in rows[0].readings]
            for row in rows:
                after = max(0, max(reading.at_us for reading in row.readings.values()) - self.began.mono_us)
                for column in columns:
                    reading = row.readings[column.signal.handle]
                    column.add(after, reading.value, reading.absence, reading.quality)
            times, series = _columns(columns)
            stored = StoredRows(device_clock, rows[0].ordinal, tuple(row.device_time for row in rows))
            found.append(Dump(times, series, stored))
        return found
