"""What people see of an entry: one row a reading, a wave or an event, with times, units and words.

The same rows serve `history` of the gateway and the collector and the page; `vitaledger.csvform` is the table that
leaves the house.

>>> from vitaledger.entry import Clock, Kind, PartType, genesis, seal
>>> from vitaledger.opened import open_entry
>>> gap = events.encode(events.Gap(GapReason.UNPLUGGED, Clock(1_700_000_000_000, bytes(16), 5_000, 3), "", None))
>>> leaf, body = seal(Kind.DEVICE_EVENT, "nonin:port:bed-1", 0, genesis("h.example/gateway/g1", "nonin:port:bed-1"),
...                   Clock(1_700_000_012_500, bytes(16), 17_500, 3), [(PartType.EVENT, gap)], [bytes(16)])
>>> [row.text for row in rows(open_entry(leaf, body))]
['gap of 12.5 s: unplugged']
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum

from vitaledger import content, events, vitals
from vitaledger.csvform import event_kind
from vitaledger.entry import Clock
from vitaledger.marks import Absence, GapReason, LineState, Provenance, Quality, Use
from vitaledger.opened import Opened

NO_CHECK = "no device checksum"


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """One reading. `at_us` is µs since 1970 UTC by the gateway's wall clock; `value` a decimal text, None if absent."""

    at_us: int
    signal: str
    value: str | None
    unit: str  # UCUM
    mdc: int
    absence: Absence | None
    quality: Quality
    provenance: Provenance
    use: Use


@dataclass(frozen=True, slots=True)
class WaveRow:
    """Consecutive samples of a wave; `at_us` is the arrival of the first."""

    at_us: int
    last_us: int
    signal: str
    samples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event in words."""

    at_us: int
    name: str
    text: str
    event: events.Event


Row = ReadingRow | WaveRow | EventRow


def rows(opened: Opened) -> Iterator[Row]:
    """Every row of an entry, in order of time; a part that was withheld gives none."""
    began = opened.entry.clock.wall_ms * 1000
    found: list[Row] = []
    if opened.event is not None:
        found.append(
            EventRow(began, event_kind(opened.event), describe(opened.event, opened.entry.clock), opened.event)
        )
    found.extend(
        WaveRow(began + block.first_us, began + block.last_us, block.handle, block.samples)
        for block in opened.waves or ()
    )
    if (values := opened.values) is not None:
        units = {series.unit: _ucum(series.unit) for series in values.series}
        found.extend(
            ReadingRow(
                began + reading.at_us,
                reading.handle,
                None if reading.value is None else content.scaled(reading.value, reading.exponent),
                units[reading.unit],
                reading.code,
                reading.absence,
                reading.quality,
                values.provenance,
                values.use,
            )
            for reading in content.readings(values)
        )
    return iter(sorted(found, key=lambda row: row.at_us))  # stable: series stay in the device's order


def describe(event: events.Event, clock: Clock) -> str:  # noqa: PLR0911  one sentence an event
    """An event in words; `clock` is its entry's."""
    match event:
        case events.Identity():
            who = " ".join(filter(None, (event.make, event.model))) or "unknown device"
            serial = f", serial {event.serial}" if event.serial else ", tells no serial number"
            return f"{who}{serial}, on {event.port}; identity by {event.sureness.label}, use {event.use.label}"
        case events.Line():
            on = f"; goes on as {event.next_chain}" if event.next_chain else ""
            state = {LineState.UP: "up", LineState.DOWN: "down", LineState.CLOSED: "closed"}[event.state]
            return _with(f"line {state} on {event.port}", event.detail) + on
        case events.Gap():
            return _gap(event, clock)
        case events.Silence():
            return f"nothing received for {_length(event.since, clock) or 'an unknown time'}"
        case events.FrameErrors():
            return "bad frames: " + ", ".join(f"{each.count} {each.kind}" for each in event.counts)
        case events.Alarm():
            silenced = ", silenced" if event.silenced else ""
            return f"{event.kind.label} alarm {event.phase.label}: {event.text}{silenced}"
        case events.ClockOffset():
            return f"device clock {event.device_time}, {event.offset_ms / 1000:+.1f} s against the gateway"
        case events.Heads():
            seen = f", ledger seen at size {event.ledger.size}" if event.ledger else ""
            return f"heads of {len(event.chains)} micro-chains{seen}"
        case events.Boot():
            return _with(f"started, version {event.version}", event.detail) + (
                "" if event.clean else "; the run before was not stopped cleanly"
            )
        case _:
            return ", ".join(f"{field.name} {_word(getattr(event, field.name))}" for field in fields(event))


def as_plain(value: object) -> object:
    """An event, or a field of one, as JSON can hold it: records as objects, numbers' words, bytes in hex."""
    if isinstance(value, IntEnum):
        return _word(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [as_plain(each) for each in value]
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _gap(event: events.Gap, clock: Clock) -> str:
    length = _length(event.since, clock)
    what = f"gap of {length}" if length else "gap, its beginning unknown"
    why = event.reason.label if event.reason is not GapReason.CRASH else "gateway stopped without warning"
    dropped = f"; {event.dropped_bytes} bytes not kept" if event.dropped_bytes else ""
    return _with(f"{what}: {why}", event.detail) + dropped


def _length(since: Clock | None, until: Clock) -> str | None:
    if since is None:
        return None
    if since.boot_id == until.boot_id:  # the monotonic clock does not step
        return f"{(until.boot_ms - since.boot_ms) / 1000:.1f} s"
    return f"{(until.wall_ms - since.wall_ms) / 1000:.1f} s"


def _with(text: str, detail: str) -> str:
    return f"{text} ({detail})" if detail else text


def _ucum(code: int) -> str:
    known = vitals.unit(code)
    return known.ucum if known else f"MDC unit {code}"


def _word(value: object) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower().replace("_", "-")
    if isinstance(value, bytes):
        return value.hex()[:16]
    return str(value)
