"""The table of an evidence file: what entries say, as CSV, one row a reading, wave or event.

Whoever checks evidence writes the table again from the proven entries and compares the bytes, so each rule here is part
of the format: docs/evidence.md has them column by column, and `RENDERING` is their number. What is added to the tables
of `vitaledger.vitals` or to the marks' words changes cells and needs a new number.

>>> from vitaledger.entry import Kind, genesis
>>> from vitaledger.marks import GapReason
>>> from vitaledger.opened import open_entry, seal_entry
>>> clock = Clock(1_700_000_012_500, bytes(16), 17_500, 3)
>>> gap = events.Gap(GapReason.UNPLUGGED, Clock(1_700_000_000_000, bytes(16), 5_000, 3), "", 7)
>>> sealed = seal_entry(Kind.DEVICE_EVENT, "nonin:port:bed-1", 0, genesis("h.example/gateway/g1", "nonin:port:bed-1"),
...                     clock, bytes, event=gap)
>>> opened = open_entry(*sealed)
>>> for line in render([Placed(5, opened.entry, opened)]).decode().splitlines():
...     print(line)  # doctest: +NORMALIZE_WHITESPACE
time,kind,signal,value,unit,absence,quality,category,mdc,mdc_unit,loinc,provenance,use,check,device_time,since,text,entry,index,bound_ms
2023-11-14T22:13:32.500000Z,gap,,,,,,,,,,,,,,2023-11-14T22:13:20.000000Z,unplugged; 7 bytes not kept,0,5,3
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from vitaledger import content, events, vitals
from vitaledger.content import StoredRows, Values, WaveBlock
from vitaledger.entry import Clock, Entry, PartType
from vitaledger.marks import Quality
from vitaledger.opened import Opened

RENDERING = 1
COLUMNS = (
    "time",
    "kind",
    "signal",
    "value",
    "unit",
    "absence",
    "quality",
    "category",
    "mdc",
    "mdc_unit",
    "loinc",
    "provenance",
    "use",
    "check",
    "device_time",
    "since",
    "text",
    "entry",
    "index",
    "bound_ms",
)
_END_OF_CALENDAR_US = 253_402_300_800_000_000  # the year 10000
_DAY_S = 86_400
_FORMULA = ("=", "+", "-", "@")
_UNUSUAL = frozenset('",\r\n')
_TOLD_WHERE_WITHHELD = {PartType.VALUES: "values", PartType.EVENT: "event"}


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry at its index in the gateway's log; `opened` is None where it is proven and cannot be read."""

    index: int
    entry: Entry
    opened: Opened | None


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry of which no value is told, in a table that is no evidence; `index` is −1 where that is not known.

    `kind` is "failed" where it did not hold, "finding" where it was sealed like this; `at_us` may be unproven.
    """

    index: int
    seq: int
    at_us: int
    kind: str
    reason: str


@dataclass(slots=True)
class _Row:
    """The cells that differ from row to row of an entry, as text; a reading's are put together in `_readings`."""

    at_us: int
    kind: str
    signal: str = ""
    value: str = ""
    unit: str = ""
    mdc: str = ""
    mdc_unit: str = ""
    loinc: str = ""
    use: str = ""
    check: str = ""
    device_time: str = ""
    since: str = ""
    text: str = ""

    def told(self) -> "_Told":
        """Its time, and the cells between that and those of the entry."""
        return self.at_us, (
            f"{self.kind},{self.signal},{self.value},{self.unit},,,,{self.mdc},{self.mdc_unit},{self.loinc},,{self.use},"
            f"{self.check},{self.device_time},{self.since},{self.text}"
        )


_Told = tuple[int, str]


def render(run: Iterable[Placed | Refused]) -> bytes:
    """The table of a run of entries."""
    return "".join(lines(run)).encode()


def lines(run: Iterable[Placed | Refused]) -> Iterator[str]:
    """The lines of the table, each with its LF, the names of the columns first."""
    yield ",".join(COLUMNS) + "\n"
    for each in run:
        if isinstance(each, Refused):
            at_us, cells = _Row(each.at_us, each.kind, text=_free(each.reason)).told()
            yield f"{utc(at_us)},{cells},{each.seq},{_index(each.index)},\n"
            continue
        bound = each.entry.clock.bound_ms
        tail = f"{each.entry.seq},{each.index},{'' if bound is None else bound}"
        for at_us, cells in sorted(_rows(each), key=_at):  # stable: series stay in the device's order
            yield f"{utc(at_us)},{cells},{tail}\n"


def utc(at_us: int) -> str:
    """A time in µs since 1970 UTC as ISO 8601; as the plain number where that is before 1970 or after 9999."""
    if not 0 <= at_us < _END_OF_CALENDAR_US:
        return str(at_us)
    second, micro = divmod(at_us, 1_000_000)
    return f"{_second(second)}.{micro:06d}Z"


def utc_ms(at_ms: int) -> str:
    """The same for ms since 1970 UTC."""
    return utc(at_ms * 1000)


def quality_words(quality: Quality) -> tuple[str, ...]:
    """The words of the bits that are set, lowest first; a bit without a word by its number."""
    bits = int(quality)
    return tuple(_bit_word(n) for n in range(bits.bit_length()) if bits >> n & 1)


def sum_up(run: Iterable[Placed]) -> "Counts":
    """Count what a table of these entries tells."""
    readings = absent = findings = 0
    for each in run:
        if each.opened is None:
            findings += 1
        elif each.opened.values is not None:
            for series in each.opened.values.series:
                readings += len(series.values)
                absent += series.values.count(None)
    return Counts(readings, absent, findings)


@dataclass(frozen=True, slots=True)
class Counts:
    """Readings, those of them that are absent, and entries that are proven and cannot be read."""

    readings: int
    absent: int
    findings: int


def _at(told: _Told) -> int:
    return told[0]


def _index(index: int) -> str:
    return "" if index < 0 else str(index)


def _free(text: str) -> str:
    """A cell of text that a device may have chosen."""
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return text if _UNUSUAL.isdisjoint(text) else '"' + text.replace('"', '""') + '"'


def _rows(placed: Placed) -> Iterator[_Told]:
    opened = placed.opened
    began = placed.entry.clock.wall_ms * 1000
    if opened is None:
        yield _Row(began, "finding").told()
        return
    for part in opened.withheld:
        if word := _TOLD_WHERE_WITHHELD.get(PartType(part)):
            yield _Row(began, "withheld", text=word).told()
    if opened.event is not None:
        yield _event(began, opened.event).told()
    for wave in opened.waves or ():
        yield _wave(began, wave).told()
    if opened.values is not None:
        yield from _readings(began, opened.values)


def _readings(began: int, values: Values) -> Iterator[_Told]:
    marks = f"{values.provenance.label},{values.use.label},{values.check.label}"
    for series in values.series:
        count, exponent = len(series.values), series.exponent
        unit, loinc = _codes(series.code, series.unit)
        # what all readings of a series have in common is put together once
        signal = f"reading,{_free(series.handle)}"
        codes = f"{series.category.label},{series.code},{series.unit},{loinc},{marks}"
        cells = zip(
            values.times[series.times],
            series.values,
            content.spread(series.absences, count),
            content.spread(series.quality, count),
            _device_times(values.stored, series.times, count),
            strict=True,
        )
        for at_us, value, absence, quality, device_time in cells:
            told = "" if value is None else content.scaled(value, exponent)
            why = "" if absence is None else absence.label
            good = " ".join(quality_words(quality)) if quality else ""
            yield began + at_us, f"{signal},{told},{unit},{why},{good},{codes},{device_time},,"


def _device_times(stored: StoredRows | None, vector: int, count: int) -> Iterable[str]:
    if stored is None or vector != 0:
        return [""] * count
    return [_free(told or "") for told in stored.device_times]


def _wave(began: int, wave: WaveBlock) -> _Row:
    unit, loinc = _codes(wave.code, wave.unit)
    return _Row(
        began + wave.first_us,
        "wave",
        _free(wave.handle),
        str(len(wave.samples)),
        unit,
        mdc=str(wave.code),
        mdc_unit=str(wave.unit),
        loinc=loinc,
        text=f"{wave.rate.numerator}/{wave.rate.denominator} per s",
    )


def _codes(code: int, unit: int) -> tuple[str, str]:
    """(UCUM, LOINC) as far as the table of codes has them."""
    sign, known = vitals.by_code(code), vitals.unit(unit)
    return (known.ucum if known else "", sign.loinc[0] if sign and sign.loinc else "")


def event_kind(event: events.Event) -> str:
    """The word for an event, as `clock-offset`."""
    name = type(event).__name__
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _event(began: int, event: events.Event) -> _Row:
    row = _Row(began, event_kind(event))
    words: list[str | None] = []
    match event:
        case events.Identity():
            serial = event.serial and f"serial {event.serial}"
            firmware = event.firmware and f"firmware {event.firmware}"
            words = [event.make, event.model, serial, firmware, event.port, event.sureness.label]
            row.use, row.check = event.use.label, event.check.label
        case events.Line():
            words = [event.state.label, event.detail, event.next_chain and f"goes on as {event.next_chain}"]
        case events.Gap():
            dropped = f"{event.dropped_bytes} bytes not kept" if event.dropped_bytes else None
            words = [event.reason.label, event.detail, dropped]
            row.since = _since(event.since)
        case events.Silence():
            row.since = _since(event.since)
        case events.FrameErrors():
            words = [f"{each.count} {each.kind}" for each in event.counts]
        case events.Alarm():
            silenced = "silenced" if event.silenced else None
            words = [event.kind.label, event.phase.label, event.priority.label, event.text, silenced]
            row.mdc = "" if event.code is None else str(event.code)
        case events.ClockOffset():
            words = [f"{event.offset_ms} ms"]
            row.device_time = _free(event.device_time)
        case events.Notice():
            words = [event.text]
        case _:  # a gateway's own events: the entry says more
            pass
    row.text = _free("; ".join(word for word in words if word))
    return row


def _since(clock: Clock | None) -> str:
    return "" if clock is None else utc_ms(clock.wall_ms)


def _bit_word(bit: int) -> str:
    flag = Quality(1 << bit)
    return flag.labels[0] if flag.labels else f"bit-{bit}"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    """Seconds since 1970 as a date and a time of day: proleptic Gregorian, no leap seconds."""
    day, rest = divmod(second, _DAY_S)
    era, of_era = divmod(day + 719_468, 146_097)  # eras of 400 years that begin on 1 March
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    date = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (month <= 2)
    return f"{year:04d}-{month:02d}-{date:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
