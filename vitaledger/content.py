"""What readings entries hold: values and waves; the raw bytes of the line are `vitaledger.raw`.

    values = [driver, version, provenance, use, check, context, times, series, stored]
    times  = [* [* µs after the entry's clock]]           series that came together share one
    series = [handle, MDC code, MDC unit, category, exponent, index into times, values, absences, quality]
    waves  = [* [handle, MDC code, MDC unit, rate, scale, offset, first µs, last µs, samples, absences, quality]]

A value is an integer times 10**exponent, or null; an absence run [first, count, reason] covers each null and nothing
else. A quality run [first, count, bits] marks values that are not simply good. A wave's value is
(sample + offset) * scale; rate and scale are fractions, because 75 Hz has no whole period. `context` names the entries
of the same micro-chain that hold the identity, the alarm state and the settings in force. `stored` is for readings
out of a device's memory. The numbers' meanings stand in `vitaledger.marks`.

>>> spo2 = Series("spo2", 150456, 262688, Category.MEASURED, 0, 0, (97, None), ((1, 1, Absence.SENSOR_OFF),), ())
>>> values = Values("nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, Context(1, None, None),
...                 ((0, 333_333),), (spo2,), None)
>>> data = VALUES.encode(values)
>>> VALUES.decode(data, "values") == values, len(data)
(True, 55)
>>> [(r.handle, r.at_us, r.value, r.absence and r.absence.label) for r in readings(values)]
[('spo2', 0, 97, None), ('spo2', 333333, None, 'sensor-off')]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from vitaledger import shape
from vitaledger.cbor import INT_MAX, Item, pack_int
from vitaledger.compiled import Doubt
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.marks import Absence, Category, Check, Provenance, Quality, Use
from vitaledger.numeric import fraction, numbers, samples
from vitaledger.shape import Shape, array, flags, integer, null_or, record, text, uint

_STORED = Provenance.DEVICE_STORED
RUN_END = 1 << 31  # more than any part can hold
M = TypeVar("M", Absence, Quality)
Run = tuple[int, int, M]

_HANDLE: Shape[str] = text(1, 32)
_CODE: Shape[int] = shape.code()


@dataclass(frozen=True, slots=True)
class Context:
    """The seq, in the same micro-chain, of the latest identity, alarm and settings entries, or None."""

    identity: int | None
    alarm: int | None
    settings: int | None


NO_CONTEXT = Context(None, None, None)


@dataclass(frozen=True, slots=True)
class Series:
    """The readings of one signal in one entry."""

    handle: str
    code: int
    unit: int
    category: Category
    exponent: int
    times: int  # index into Values.times
    values: tuple[int | None, ...]
    absences: tuple[Run[Absence], ...]
    quality: tuple[Run[Quality], ...]


@dataclass(frozen=True, slots=True)
class StoredRows:
    """For readings out of a device's memory: one row for each time of times[0]."""

    device_clock: str | None  # the device's own clock at the time of the dump, verbatim
    first_ordinal: int
    device_times: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """The content of a values part."""

    driver: str
    driver_version: str
    provenance: Provenance
    use: Use
    check: Check
    context: Context
    times: tuple[tuple[int, ...], ...]
    series: tuple[Series, ...]
    stored: StoredRows | None


@dataclass(frozen=True, slots=True)
class WaveBlock:
    """Consecutive samples of one wave; where a frame was lost a new block begins."""

    handle: str
    code: int
    unit: int
    rate: Fraction  # samples a second
    scale: Fraction
    offset: int
    first_us: int  # arrival of the first sample, after the entry's clock
    last_us: int
    samples: tuple[int, ...]
    absences: tuple[Run[Absence], ...]
    quality: tuple[Run[Quality], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One reading, taken out of its series. `at_us` is relative to the entry's clock."""

    handle: str
    code: int
    unit: int
    exponent: int
    at_us: int
    value: int | None
    absence: Absence | None
    quality: Quality


def runs(marks: Sequence[M | None]) -> tuple[Run[M], ...]:
    """Make runs [first, count, mark] of the marks that are neither None nor 0."""
    found: list[Run[M]] = []
    for n, mark in enumerate(marks):
        if not mark:
            continue
        if found and found[-1][2] == mark and found[-1][0] + found[-1][1] == n:
            found[-1] = (found[-1][0], found[-1][1] + 1, mark)
        else:
            found.append((n, 1, mark))
    return tuple(found)


def spread(marks: Sequence[Run[M]], length: int) -> list[M | None]:
    """The inverse of `runs`: one mark or None for each index."""
    out: list[M | None] = [None] * length
    for first, count, mark in marks:
        out[first : first + count] = [mark] * count
    return out


def readings(values: Values) -> Iterator[Row]:
    """Every reading of a values part, series by series."""
    for series in values.series:
        count = len(series.values)
        rows = zip(
            values.times[series.times],
            series.values,
            spread(series.absences, count),
            spread(series.quality, count),
            strict=True,
        )
        for at_us, value, absence, quality in rows:
            yield Row(
                series.handle, series.code, series.unit, series.exponent, at_us, value, absence, quality or Quality(0)
            )


def _wrong_runs(found: Sequence[Run[M]], length: int, what: str) -> str | None:
    end, last = 0, None
    for first, count, mark in found:
        if first < end or not count or first + count > length or not mark:
            return f"{what} run [{first}, {count}, {int(mark)}] overlaps, is empty or leaves its {length} values"
        if first == end and mark == last:
            return f"{what} run at {first} repeats the mark of the run before it: expected one run"
        end, last = first + count, mark
    return None


def _wrong_series(series: Series) -> str | None:
    if series.absences or None in series.values:
        if wrong := _wrong_runs(series.absences, len(series.values), "absence"):
            return wrong
        nulls = [n for n, value in enumerate(series.values) if value is None]
        covered = [n for first, count, _ in series.absences for n in range(first, first + count)]
        if nulls != covered:
            return f"{series.handle}: the absences do not cover exactly the nulls"
    return _wrong_runs(series.quality, len(series.values), "quality") if series.quality else None


def _wrong_values(values: Values) -> str | None:
    times_of, series_of = values.times, values.series
    if len(series_of) > 1 and len({series.handle for series in series_of}) != len(series_of):
        return f"handles {[series.handle for series in series_of]}: expected each once"
    for times in times_of:
        if times and (times[0] < 0 or sorted(times) != [*times]):  # in order already: sorted() only looks
            return "times: expected offsets from 0 that never run back"
    for series in series_of:
        at = series.times
        if at >= len(times_of) or len(times_of[at]) != len(series.values):
            return f"{series.handle}: {len(series.values)} values do not fit times {at}"
    stored = values.stored
    if (stored is not None) != (values.provenance is _STORED):
        return "stored rows: expected with, and only with, provenance device-stored"
    if stored is not None and len(stored.device_times) != len(times_of[0] if times_of else ()):
        return "stored rows: expected one device time for each time of the first vector"
    return None


def _wrong_wave(wave: WaveBlock) -> str | None:
    if wave.last_us < wave.first_us:
        return f"{wave.handle}: last arrival before the first"
    return _wrong_runs(wave.absences, len(wave.samples), "absence") or _wrong_runs(
        wave.quality, len(wave.samples), "quality"
    )


def _run(of: Shape[M], mark_type: type[M]) -> Shape[Run[M]]:
    index = uint()

    def parse(item: Item, where: str) -> Run[M]:
        if type(item) is not list or len(item) != 3:
            raise MalformedError(f"{where}: expected [first, count, mark]")
        return index.parse(item[0], where), index.parse(item[1], where), of.parse(item[2], where)

    def pack(run: Run[M]) -> bytes:
        first, count, mark = run
        plain = type(first) is int and type(count) is int and type(mark) is mark_type
        if plain and 0 <= first < RUN_END and 0 <= count < RUN_END and 0 <= mark <= INT_MAX:
            return b"\x83" + pack_int(first) + pack_int(count) + pack_int(+mark)
        raise Doubt

    plain = Shape(parse, lambda run: [run[0], run[1], int(run[2])], pack=pack)
    return shape.tupled(plain, index, index, of)


_ABSENCES = array(_run(shape.enum(Absence), Absence))
_QUALITY = array(_run(flags(Quality), Quality))

_VALUES_FIELDS = (
    text(1, 32),
    text(1, 32),
    shape.enum(Provenance),
    shape.enum(Use),
    shape.enum(Check),
    record(Context, null_or(uint()), null_or(uint()), null_or(uint())),
    array(numbers()),
    array(
        record(
            Series,
            _HANDLE,
            _CODE,
            _CODE,
            shape.enum(Category),
            uint(-18, 18),
            uint(),
            numbers(nulls=True),
            _ABSENCES,
            _QUALITY,
            check=_wrong_series,
        )
    ),
    null_or(record(StoredRows, null_or(text(0, 64)), uint(), array(null_or(text(0, 64))))),
)
VALUES: Shape[Values] = record(Values, *_VALUES_FIELDS, check=_wrong_values)
_pack_values = shape.fields_packer(*_VALUES_FIELDS)
WAVES: Shape[tuple[WaveBlock, ...]] = array(
    record(
        WaveBlock,
        _HANDLE,
        _CODE,
        _CODE,
        fraction(),
        fraction(),
        integer(),
        uint(),
        uint(),
        samples(),
        _ABSENCES,
        _QUALITY,
        check=_wrong_wave,
    )
)


def encode_values(values: Values, context: Context) -> bytes:
    """Write a values part with the context that it has where it is sealed, in place of its own.

    Raises:
        MisuseError: the values are not of this format.
    """
    try:
        if _wrong_values(values) is None:
            return _pack_values(
                values.driver,
                values.driver_version,
                values.provenance,
                values.use,
                values.check,
                context,
                values.times,
                values.series,
                values.stored,
            )
    except shape.NOT_SURE:
        pass  # the long way takes it, or says what is wrong
    return VALUES.encode(replace(values, context=context), "values part")


def scaled(value: int, exponent: int) -> str:
    """A value as people read it: 345 with exponent -2 is "3.45"."""
    if exponent >= 0:
        return str(value * 10**exponent)
    if exponent < -18:
        raise MisuseError(f"exponent {exponent} is below −18")
    digits = str(abs(value)).rjust(1 - exponent, "0")
    return f"{'-' if value < 0 else ''}{digits[:exponent]}.{digits[exponent:]}"
