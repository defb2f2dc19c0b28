"""Scenario files: which devices there are, on which ports, and what goes wrong when.

An example that uses most keys; times are seconds since the start of the scenario::

    seed = 7

    [[device]]
    name = "spo2-1"
    model = "nonin-df2"                   # see `firmware-sim list`
    port = "pty:/tmp/ward/spo2-1"         # or tcp://127.0.0.1:9001; port 0 takes a free one
    start_s = 0.5
    patient = { pulse = 80, spo2 = 96, perfusion = 2.5, respiration = 14, desaturations_per_hour = 4 }

    [[device.desaturation]]
    from_s = 20
    until_s = 80
    lowest = 82

    [[device.fault]]
    kind = "drop"
    from_s = 10
    until_s = 20
    probability = 0.01

Only some models take `serial` (contec, masimo), `stored_s`, `stored_started`, `stored_perfusion`, `heartbeat_s`
(contec), `clock` or `clock_offset_s`, `daylight_saving`, `rainbow`, `ascii2` (masimo). `by_id` is a link that follows
the device from port to port. `epoch`, beside `seed`, is the local time at which the scenario begins, by clocks that are
right. A key that does not exist is an error.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from firmware_sim.conditions import Conditions
from firmware_sim.devices import contec, masimo
from firmware_sim.devices.base import MICROSECONDS, Device
from firmware_sim.devices.clock import USUAL, Clock, Daylight
from firmware_sim.devices.nonin import Nonin
from firmware_sim.errors import ScenarioError
from firmware_sim.faultfile import check_ports, parse_fault, resolve_swaps
from firmware_sim.faults import Fault, FaultKind, of_kind
from firmware_sim.physiology import RESTING, Desaturation, Patient, Profile
from firmware_sim.table import Table, nearest

MODELS = {
    "nonin-df2": "Nonin OEM III, Xpod, 3150: 75 frames a second, 10 values in each third of a second, 8-bit pleth",
    "nonin-df7": "the same in data format 7: 16-bit pleth",
    "nonin-df8": "the same in data format 8: pulse and SpO2 once a second",
    "contec": "Contec CMS50D+, CMS50E V7.0: 60 messages a second while the host asks; stored data",
    "masimo": "Masimo Rad-8, Radical-7 in ASCII-1: one line of text a second",
}
BAUD = {"nonin-df2": 9600, "nonin-df7": 9600, "nonin-df8": 9600, "contec": 115200, "masimo": 9600}
"""The rate of each model's line; all are 8N1."""

_FORMATS = {"nonin-df2": 2, "nonin-df7": 7, "nonin-df8": 8}
_PATIENT_KEYS = ("pulse", "spo2", "perfusion", "respiration", "desaturations_per_hour")
_ANY_KEYS = ("name", "model", "port", "by_id", "start_s", "patient", "desaturation", "fault")
_MODEL_KEYS = {
    "contec": ("serial", "stored_s", "stored_started", "stored_perfusion", "heartbeat_s"),
    "masimo": ("serial", "clock", "clock_offset_s", "daylight_saving", "rainbow", "ascii2"),
}
_OLDEST, _NEWEST = 1900, 2199
SERIALS = tuple(model for model, keys in _MODEL_KEYS.items() if "serial" in keys)
"""The models that tell a serial number."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device of a scenario. Fields after `faults` matter only to the models that have such a thing.

    `clock` is what the device's clock shows when it is switched on; where that is None it is right but for
    `clock_offset_us`, which goes by `epoch`, the scenario's second 0.
    """

    name: str
    model: str
    port: str | None = None
    start_us: int = 0
    profile: Profile = RESTING
    faults: tuple[Fault, ...] = ()
    serial: str | None = None
    stored: contec.Stored = contec.NOTHING_STORED
    heartbeat_us: int = 10 * MICROSECONDS
    clock: datetime | None = None
    clock_offset_us: int = 0
    daylight: Daylight | None = None
    epoch: datetime = USUAL.shows
    by_id: str | None = None
    rainbow: bool = False
    ascii2: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file that was read and checked."""

    seed: int
    devices: tuple[DeviceSpec, ...]


def build(spec: DeviceSpec, *, seed: str, serial: str | None, on_us: int = 0, attended: bool) -> Device:
    """A device that was just switched on.

    Args:
        spec: which one.
        seed: of its patient and of what comes by chance.
        serial: its number, if it is not the model's usual one.
        on_us: the time, by the scenario.
        attended: devices that wait to be asked behave as if a host had asked and went on asking.
    """
    conditions = Conditions(spec.faults, on_us, seed)
    patient = Patient(spec.profile, seed, conditions.frozen())
    if spec.model == "contec":
        return contec.Contec(
            patient,
            serial or contec.DEFAULT_SERIAL,
            conditions.sensor,
            heartbeat_us=None if attended else spec.heartbeat_us,
            live=attended,
            stored=spec.stored,
            sends_us=conditions.sends(),
            alarms=conditions.alarm,
        )
    if spec.model == "masimo":
        shows = spec.clock or spec.epoch + timedelta(seconds=(on_us + spec.clock_offset_us) // MICROSECONDS)
        return masimo.Masimo(
            patient,
            serial or masimo.DEFAULT_SERIAL,
            conditions.sensor,
            clock=Clock(shows, spec.daylight, conditions.steps(), conditions.forgotten()),
            alarms=conditions.alarm,
            rainbow=spec.rainbow,
            ascii2=spec.ascii2,
        )
    return Nonin(patient, _FORMATS[spec.model], conditions.sensor)


def parse(text: str, *, epoch: datetime | None = None) -> Scenario:
    """Read a scenario.

    Args:
        text: TOML.
        epoch: stands for the one in the text.

    Raises:
        ScenarioError: not TOML, a key nobody knows, a value of the wrong kind, or two devices of one name or port.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"not TOML: {error}") from error
    return from_table(table, epoch=epoch)


def load(path: Path, *, epoch: datetime | None = None) -> Scenario:
    """Read a scenario file; raises ScenarioError, which names the file. See `parse`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return parse(text, epoch=epoch)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from error


def from_table(content: Mapping[str, Any], *, epoch: datetime | None = None) -> Scenario:
    """A scenario from what would stand in its file; see `parse`."""
    table = Table(content, "the scenario", ("seed", "epoch", "device"))
    began = epoch or _moment(table, "epoch", "the scenario") or USUAL.shows
    devices = tuple(_device(item, number, began) for number, item in enumerate(table.tables("device"), 1))
    if not devices:
        raise ScenarioError("the scenario has no [[device]]")
    for what, values in (("name", [spec.name for spec in devices]), ("by_id", [spec.by_id for spec in devices])):
        for value in values:
            if value is not None and values.count(value) > 1:
                raise ScenarioError(f"two devices have the {what} {value!r}")
    faults = resolve_swaps({spec.name: (spec.port, spec.faults) for spec in devices})
    devices = tuple(replace(spec, faults=faults[spec.name]) for spec in devices)
    check_ports({spec.name: (spec.port, spec.faults) for spec in devices})
    return Scenario(table.take("seed", int, 0), devices)


def _moment(table: Table, key: str, where: str) -> datetime | None:
    moment = table.optional(key, datetime)
    if moment is not None and not (_OLDEST <= moment.year <= _NEWEST and moment.tzinfo is None):
        raise ScenarioError(f"{where}: {key} is to be a local time without a zone, from {_OLDEST} to {_NEWEST}")
    return moment


def _device(item: object, number: int, epoch: datetime) -> DeviceSpec:
    name = item.get("name") if isinstance(item, Mapping) else None
    where = f"device {name or number}"
    model = item.get("model") if isinstance(item, Mapping) else None
    if isinstance(model, str) and model not in MODELS:
        raise ScenarioError(f"{where}: no such model: {model!r}{nearest(model, tuple(MODELS))}")
    table = Table(item, where, _ANY_KEYS + _MODEL_KEYS.get(str(model), ()))
    name = table.take("name", str)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ScenarioError(f"{where}: a name consists of letters, digits, '.', '_' and '-'")
    model = table.take("model", str)
    port, by_id = table.optional("port", str), table.optional("by_id", str)
    if port is not None and not re.fullmatch(r"pty:.+|tcp://[^/:]+:\d{1,5}", port):
        raise ScenarioError(f"{where}: port is to be pty:PATH or tcp://HOST:PORT, not {port!r}")
    if by_id is not None and not (port or "").startswith("pty:"):
        raise ScenarioError(f"{where}: by_id is the path of a link to a port of the form pty:PATH")
    serial = table.optional("serial", str)
    faults = tuple(parse_fault(fault, model, where) for fault in table.tables("fault"))
    for told in (serial, *(fault.serial for fault in faults)):
        _check_serial(told, model, where)
    stored = contec.Stored(
        table.time("stored_s", 0.0) // MICROSECONDS,
        table.optional("stored_started", datetime),
        table.take("stored_perfusion", bool, default=False),
    )
    if of_kind(faults, FaultKind.STORED_TWICE) and not stored.seconds:
        raise ScenarioError(f"{where}: stored-twice needs something stored: stored_s")
    moment = _moment(table, "clock", where)
    if moment is not None and table.optional("clock_offset_s", float) is not None:
        raise ScenarioError(f"{where}: either clock or clock_offset_s")
    rule = table.optional("daylight_saving", str)
    rules = tuple(each.value for each in Daylight)
    if rule is not None and rule not in rules:
        raise ScenarioError(f"{where}: no such daylight_saving: {rule!r}{nearest(rule, rules)}")
    return DeviceSpec(
        name=name,
        model=model,
        port=port,
        start_us=table.time("start_s", 0.0),
        profile=_profile(table, where),
        faults=faults,
        serial=serial,
        stored=stored,
        heartbeat_us=table.time("heartbeat_s", 10.0),
        clock=moment,
        clock_offset_us=table.shift("clock_offset_s", 0.0),
        daylight=None if rule is None else Daylight(rule),
        epoch=epoch,
        by_id=by_id,
        rainbow=table.take("rainbow", bool, default=False),
        ascii2=table.take("ascii2", bool, default=False),
    )


def _profile(table: Table, where: str) -> Profile:
    patient = Table(table.take("patient", dict, {}), f"{where}, patient", _PATIENT_KEYS)
    falls = []
    for item in table.tables("desaturation"):
        fall = Table(item, f"{where}, desaturation", ("from_s", "until_s", "lowest"))
        falls.append(Desaturation(*fall.window(), fall.take("lowest", float)))
    return Profile(
        pulse=patient.take("pulse", float, RESTING.pulse),
        spo2=patient.take("spo2", float, RESTING.spo2),
        perfusion=patient.take("perfusion", float, RESTING.perfusion),
        respiration=patient.take("respiration", float, RESTING.respiration),
        desaturations_per_hour=patient.take("desaturations_per_hour", float, 0.0),
        desaturations=tuple(falls),
    )


def _check_serial(serial: str | None, model: str, where: str) -> None:
    if serial is None:
        return
    if model not in SERIALS:
        raise ScenarioError(f"{where}: this device tells no serial number")
    if not re.fullmatch(r"[A-Za-z0-9-]+", serial):
        raise ScenarioError(f"{where}: a serial number consists of letters, digits and '-'")
    if model == "contec" and len(serial) > contec.SERIAL_LENGTH:
        raise ScenarioError(f"{where}: this device has room for {contec.SERIAL_LENGTH} characters of serial number")
