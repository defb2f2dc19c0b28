"""The overview: each device with its latest values, age, line, clock and proof, and each gateway; problems first.

Every value comes from an entry that was verified for this view. What gateways say of themselves (online, backlog) is a
claim and is marked as one.
"""

from dataclasses import dataclass, field
from typing import Any

from collector.alarms import alarms, ledger_alarms
from collector.history import Device, Seen, devices
from collector.rows import LogRow, Presence
from collector.verified import State, VerifiedLog
from collector.web.checker.cells import Signal, is_drawn
from collector.web.checker.chart import clock_told, newest, state_before
from collector.web.checker.desk import Desk
from collector.web.checker.parts import is_primary, ordered
from collector.web.checker.told import Run, Told, event, word
from vitaledger import content, messages, vitals
from vitaledger.errors import MalformedError, VitaledgerError
from vitaledger.marks import Check, Provenance, Use

_NEWEST = 12
LATE_US = 60_000_000
ONLINE_US = 90_000_000
OFFSET_MS = 120_000
FINE, NOTE, PROBLEM, FAILED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of a signal; `value` is None where the device stated an absence."""

    title: str
    handle: str
    value: str | None
    unit: str
    absent: str | None
    marks: tuple[str, ...]
    drawn: bool
    at_us: int
    state: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should look at; `seq` leads to an entry of the device's history."""

    level: int
    text: str
    seq: int | None = None
    at_us: int | None = None


@dataclass(slots=True)
class DeviceRow:
    """A device on the overview."""

    label: str
    gateway: str
    origins: list[str]
    identity: Told | None = None
    use: str | None = None
    unchecked: bool = False
    latest: list[Latest] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    newest_us: int | None = None
    line: str = "not known"
    line_text: str = ""
    ended: bool = False
    heard: bool = True
    alarm: Told | None = None
    clock: Told | None = None
    bound_ms: int | None = None
    bound_known: bool = False
    state: str | None = None
    checked_back_to_us: int | None = None
    failed: int = 0  # entries, as far as they were looked at
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def level(self) -> int:
        """How much this device needs a look."""
        return max((each.level for each in self.troubles), default=FINE)

    @property
    def reading_us(self) -> int | None:
        """The time of its newest reading."""
        return max((each.at_us for each in self.latest), default=None)


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway's log on the overview. `online`, `version` and `backlog` are what it said of itself last."""

    gateway: str
    origin: str
    online: bool | None
    heard_us: int | None
    version: str | None
    backlog: int | None
    stored: int
    anchored: int
    failure: str | None
    alarms: list[str]

    @property
    def level(self) -> int:
        """How much this gateway needs a look."""
        if self.failure:
            return FAILED
        return PROBLEM if self.alarms or not self.online else FINE


def overview(desk: Desk, now_us: int) -> dict[str, Any]:
    """Everything on the overview, problems first."""
    gateways = [_gateway(desk, row, now_us) for row in desk.store.reader.logs()]
    offline = {each.gateway for each in gateways if not each.online}
    rows = [device_row(desk, device, now_us, offline) for device in devices(desk.store.reader)]
    rows.sort(key=lambda row: (-row.level, row.ended, row.label))
    gateways.sort(key=lambda row: (-row.level, row.gateway, row.origin))
    newest_us = max((row.reading_us for row in rows if row.reading_us is not None), default=None)
    return {
        "now_us": now_us,
        "newest_us": newest_us,
        "ledger": ledger_plain(desk),
        "devices": [plain(row) for row in rows],
        "gateways": [{**_fields(row), "level": row.level} for row in gateways],
    }


def ledger_plain(desk: Desk) -> dict[str, Any]:
    """The ledger, and what there is to know of it: that it was restored, or forked."""
    ledger = desk.store.ledger
    try:
        found = ledger_alarms(desk.store.reader)
    except VitaledgerError as error:
        found = [f"what the store says of its history does not hold: {error}"]
    return {"origin": ledger.head.checkpoint.origin, "size": ledger.size, "alarms": found}


def plain(row: DeviceRow) -> dict[str, Any]:
    """A device's row for a page."""
    found = _fields(row)
    found.pop("signals")
    return {**found, "level": row.level, "reading_us": row.reading_us}


def _fields(row: Any) -> dict[str, Any]:  # noqa: ANN401  any of the records above
    return {name: getattr(row, name) for name in row.__slots__}


# -- a device ---------------------------------------------------------------------------------------------------------


def device_row(desk: Desk, device: Device, now_us: int, offline: set[str]) -> DeviceRow:
    """What there is to know of a device now."""
    log_row, chain = device.chains[-1]
    log = desk.log(log_row)
    row = DeviceRow(device.label, log_row.gateway, [each.origin for each, _ in device.chains])
    found = newest(log, log_row, chain, _NEWEST)
    if found:
        row.identity, row.alarm = state_before(log, chain, chain.next_seq)
        row.clock = clock_told(desk, log, chain, chain.next_seq - 1)
        _read(row, log, found)
    for _, each in device.chains:
        known = desk.of(each)
        row.troubles += [_trouble(run) for run in known.troubles]
        row.failed += sum(run.last - run.first + 1 for run in known.troubles if run.state == State.FAILED.value)
        row.checked_back_to_us = known.back_to_us if row.checked_back_to_us is None else row.checked_back_to_us
    _judge(row, now_us, offline)
    return row


def _read(row: DeviceRow, log: VerifiedLog, found: list[Seen]) -> None:
    latest: dict[Signal, Latest] = {}
    row.state = word(log, found[-1])
    for seen in reversed(found):
        opened = seen.opened
        if opened is None:
            continue
        if row.newest_us is None:
            row.newest_us = seen.at_us + opened.last_us
            row.bound_ms, row.bound_known = opened.entry.clock.bound_ms, True
        told = event(log, seen)
        if told is not None:
            _tell(row, told)
        if opened.values is not None:
            row.line = "up" if row.line == "not known" else row.line
            row.use = row.use or opened.values.use.label
            row.unchecked = row.unchecked or opened.values.check is Check.NOTHING
            if opened.values.provenance is not Provenance.DEVICE_STORED:
                _latest(latest, seen, opened.values, word(log, seen))
    row.signals = ordered(latest)
    row.latest = [latest[signal] for signal in row.signals if is_primary(signal)][:4]
    if row.identity is not None:
        row.use = row.use or row.identity.more["use"]


def _tell(row: DeviceRow, told: Told) -> None:
    if told.kind == "clock" and row.clock is None:
        row.clock = told
    if told.kind == "identity" and row.identity is None:
        row.identity = told
    if row.line != "not known":
        return
    if told.kind == "silence":
        row.line, row.line_text = "silent", told.text
    elif told.kind == "gap" and told.more["reason"] == "unreadable":
        row.line, row.line_text = "unreadable", told.text
    elif told.kind == "line":
        row.line, row.line_text = told.more["line"], told.text
        row.ended = told.more["line"] == "closed"


def _latest(latest: dict[Signal, Latest], seen: Seen, values: content.Values, state: str) -> None:
    newest_of: dict[str, content.Row] = {}
    for reading in content.readings(values):
        newest_of[reading.handle] = reading
    for series in values.series:
        signal = Signal(series.handle, series.code, series.unit, series.category, values.provenance, values.check)
        if signal in latest or series.handle not in newest_of:
            continue
        reading = newest_of[series.handle]
        sign, unit = vitals.by_code(series.code), vitals.unit(series.unit)
        latest[signal] = Latest(
            sign.title if sign else series.handle,
            series.handle,
            None if reading.value is None else content.scaled(reading.value, reading.exponent),
            unit.display if unit else "",
            reading.absence.label if reading.absence else None,
            reading.quality.labels,
            is_drawn(reading.quality),
            seen.at_us + reading.at_us,
            state,
        )


def _trouble(run: Run) -> Trouble:
    which = f"entry {run.first}" if run.first == run.last else f"entries {run.first} to {run.last}"
    if run.state == State.FINDING.value:
        return Trouble(PROBLEM, f"{which} not readable (finding): {run.reason}", run.first, run.from_us)
    return Trouble(FAILED, f"{which} failed: {run.reason}", run.first, run.from_us)


def _judge(row: DeviceRow, now_us: int, offline: set[str]) -> None:
    if row.state == State.FAILED.value and not any(each.level == FAILED for each in row.troubles):
        row.troubles.append(Trouble(FAILED, "the newest entry failed"))
    if row.ended:
        return
    if row.line in {"down", "silent", "unreadable"}:
        row.troubles.append(Trouble(PROBLEM, f"line {row.line}: {row.line_text}"))
    elif row.reading_us is None:
        row.troubles.append(Trouble(NOTE, "no reading among the newest entries"))
    elif now_us - row.reading_us > LATE_US:
        why = ": its gateway is offline" if row.gateway in offline else ""
        row.heard = False
        row.troubles.append(Trouble(PROBLEM, f"no reading came lately{why}", None, row.reading_us))
    if row.bound_known and row.bound_ms is None:
        row.troubles.append(Trouble(PROBLEM, "the gateway's clock is not synchronised: its times have no bound"))
    if row.clock is not None and abs(row.clock.more["offset_ms"]) > OFFSET_MS:
        row.troubles.append(Trouble(NOTE, row.clock.text))
    absent = sorted({each.absent for each in row.latest if each.absent})
    if absent:
        row.troubles.append(Trouble(NOTE, f"no value: {', '.join(absent)}"))
    if row.alarm is not None and row.alarm.more["on"]:
        row.troubles.append(Trouble(NOTE, f"{row.alarm.text} (as the device said)", row.alarm.seq, row.alarm.at_us))


def is_simulated(use: str | None) -> bool:
    """Whether a line is not for clinical use: it is marked wherever it is shown."""
    return use is not None and use != Use.CLINICAL.label


# -- a gateway --------------------------------------------------------------------------------------------------------


def _gateway(desk: Desk, row: LogRow, now_us: int) -> GatewayRow:
    log = desk.log(row)
    said = next((each for each in desk.store.reader.presence() if each.gateway == row.gateway), None)
    online, version, backlog = _claims(said, now_us)
    found = [alarm.text for alarm in alarms(desk.store.reader) if alarm.origin == row.origin]
    heard_us = None if said is None else said.at_ms * 1000
    return GatewayRow(
        row.gateway, row.origin, online, heard_us, version, backlog, row.stored, log.anchored, log.failure, found
    )


def _claims(said: Presence | None, now_us: int) -> tuple[bool | None, str | None, int | None]:
    if said is None:
        return None, None, None
    online = version = backlog = None
    try:
        if said.status is not None:
            status = messages.STATUS.decode(said.status, "status")
            online, version = bool(status.online) and now_us - said.at_ms * 1000 < ONLINE_US, status.version
        if said.health is not None:
            backlog = messages.HEALTH.decode(said.health, "health").backlog
    except MalformedError:
        online = None
    return online, version, backlog
