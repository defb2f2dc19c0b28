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
(contec), `clock`, `rainbow`, `ascii2` (masimo). A key that does not exist is an error.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from firmware_sim.devices import contec, masimo
from firmware_sim.devices.base import MICROSECONDS, Device, SensorAt
from firmware_sim.devices.nonin import Nonin
from firmware_sim.errors import ScenarioError
from firmware_sim.faults import BYTE_FAULTS, Fault, FaultKind
from firmware_sim.physiology import RESTING, Desaturation, Patient, Profile

MODELS = {
    "nonin-df2": "Nonin OEM III, Xpod, 3150: 75 frames a second, 10 values in each third of a second, 8-bit pleth",
    "nonin-df7": "the same in data format 7: 16-bit pleth",
    "nonin-df8": "the same in data format 8: pulse and SpO2 once a second",
    "contec": "Contec CMS50D+, CMS50E V7.0: 60 messages a second while the host asks; stored data",
    "masimo": "Masimo Rad-8, Radical-7 in ASCII-1: one line of text a second",
}
_FORMATS = {"nonin-df2": 2, "nonin-df7": 7, "nonin-df8": 8}
_PATIENT_KEYS = ("pulse", "spo2", "perfusion", "respiration", "desaturations_per_hour")
_ANY_KEYS = ("name", "model", "port", "start_s", "patient", "desaturation", "fault")
_MODEL_KEYS = {
    "contec": ("serial", "stored_s", "stored_started", "stored_perfusion", "heartbeat_s"),
    "masimo": ("serial", "clock", "rainbow", "ascii2"),
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device of a scenario. Fields after `faults` matter only to the models that have such a thing."""

    name: str
    model: str
    port: str | None = None
    start_us: int = 0
    profile: Profile = RESTING
    faults: tuple[Fault, ...] = ()
    serial: str | None = None
    stored: contec.Stored = contec.NOTHING_STORED
    heartbeat_us: int = 10 * MICROSECONDS
    clock: datetime = masimo.DEFAULT_CLOCK
    rainbow: bool = False
    ascii2: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file that was read and checked."""

    seed: int
    devices: tuple[DeviceSpec, ...]


def build(spec: DeviceSpec, *, seed: str, serial: str | None, sensor: SensorAt, attended: bool) -> Device:
    """A device that was just switched on.

    Args:
        spec: which one.
        seed: of its patient.
        serial: its number, if it is not the model's usual one.
        sensor: the state of the sensor by the device's time.
        attended: devices that wait to be asked behave as if a host had asked and went on asking.
    """
    patient = Patient(spec.profile, seed)
    if spec.model == "contec":
        return contec.Contec(
            patient,
            serial or contec.DEFAULT_SERIAL,
            sensor,
            heartbeat_us=None if attended else spec.heartbeat_us,
            live=attended,
            stored=spec.stored,
        )
    if spec.model == "masimo":
        number = serial or masimo.DEFAULT_SERIAL
        return masimo.Masimo(patient, number, sensor, clock=spec.clock, rainbow=spec.rainbow, ascii2=spec.ascii2)
    return Nonin(patient, _FORMATS[spec.model], sensor)


def parse(text: str) -> Scenario:
    """Read a scenario.

    Raises:
        ScenarioError: not TOML, a key nobody knows, a value of the wrong kind, or two devices of one name or port.
    """
    try:
        table = _Table(tomllib.loads(text), "the scenario", ("seed", "device"))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"not TOML: {error}") from error
    devices = tuple(_device(item, number) for number, item in enumerate(table.tables("device"), 1))
    if not devices:
        raise ScenarioError("the scenario has no [[device]]")
    for what, values in (("name", [spec.name for spec in devices]), ("port", [spec.port for spec in devices])):
        for value in values:
            if value is not None and not value.endswith(":0") and values.count(value) > 1:
                raise ScenarioError(f"two devices have the {what} {value!r}")
    return Scenario(table.take("seed", int, 0), devices)


class _Table:
    """A TOML table whose keys and types are checked as they are taken."""

    def __init__(self, table: object, where: str, keys: tuple[str, ...]) -> None:
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{where} is not a table")
        self._table: Mapping[str, Any] = table
        self._where = where
        for key in table:
            if key not in keys:
                raise ScenarioError(f"{where}: unknown key {key!r}{nearest(key, keys)}")

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """A value of exactly this type; a whole number will do for a float."""
        value = self._table.get(key, default)
        if value is None:
            raise ScenarioError(f"{self._where}: {key} is missing")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ScenarioError(f"{self._where}: {key} is to be of type {kind.__name__}, not {value!r}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        return self.take(key, kind) if key in self._table else None

    def time(self, key: str, default: float | None = None) -> int:
        """Seconds as whole microseconds."""
        value = self.take(key, float, default)
        if not 0 <= value < 1e9:
            raise ScenarioError(f"{self._where}: {key} is to be a number of seconds from 0, not {value!r}")
        return round(value * MICROSECONDS)

    def tables(self, key: str) -> list[Any]:
        return self.take(key, list, [])

    def window(self) -> tuple[int, int]:
        start, end = self.time("from_s"), self.time("until_s")
        if start >= end:
            raise ScenarioError(f"{self._where}: from_s is to be before until_s")
        return start, end


def nearest(key: str, known: tuple[str, ...]) -> str:
    """A hint for the end of an error's text."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0)
    return f" (nearest: {near[0]!r})" if near else ""


def _device(item: object, number: int) -> DeviceSpec:
    name = item.get("name") if isinstance(item, Mapping) else None
    where = f"device {name or number}"
    model = item.get("model") if isinstance(item, Mapping) else None
    if isinstance(model, str) and model not in MODELS:
        raise ScenarioError(f"{where}: no such model: {model!r}{nearest(model, tuple(MODELS))}")
    table = _Table(item, where, _ANY_KEYS + _MODEL_KEYS.get(str(model), ()))
    name = table.take("name", str)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ScenarioError(f"{where}: a name consists of letters, digits, '.', '_' and '-'")
    port = table.optional("port", str)
    if port is not None and not re.fullmatch(r"pty:.+|tcp://[^/:]+:\d{1,5}", port):
        raise ScenarioError(f"{where}: port is to be pty:PATH or tcp://HOST:PORT, not {port!r}")
    serial = _serial(table.optional("serial", str), str(model), where)
    kinds = [_fault(fault, str(model), where) for fault in table.tables("fault")]
    return DeviceSpec(
        name=name,
        model=table.take("model", str),
        port=port,
        start_us=table.time("start_s", 0.0),
        profile=_profile(table, where),
        faults=tuple(kinds),
        serial=serial,
        stored=contec.Stored(
            table.time("stored_s", 0.0) // MICROSECONDS,
            table.optional("stored_started", datetime),
            table.take("stored_perfusion", bool, default=False),
        ),
        heartbeat_us=table.time("heartbeat_s", 10.0),
        clock=table.take("clock", datetime, masimo.DEFAULT_CLOCK),
        rainbow=table.take("rainbow", bool, default=False),
        ascii2=table.take("ascii2", bool, default=False),
    )


def _profile(table: _Table, where: str) -> Profile:
    patient = _Table(table.take("patient", dict, {}), f"{where}, patient", _PATIENT_KEYS)
    falls = []
    for item in table.tables("desaturation"):
        fall = _Table(item, f"{where}, desaturation", ("from_s", "until_s", "lowest"))
        falls.append(Desaturation(*fall.window(), fall.take("lowest", float)))
    return Profile(
        pulse=patient.take("pulse", float, RESTING.pulse),
        spo2=patient.take("spo2", float, RESTING.spo2),
        perfusion=patient.take("perfusion", float, RESTING.perfusion),
        respiration=patient.take("respiration", float, RESTING.respiration),
        desaturations_per_hour=patient.take("desaturations_per_hour", float, 0.0),
        desaturations=tuple(falls),
    )


def _fault(item: object, model: str, where: str) -> Fault:
    table = _Table(item, f"{where}, fault", ("kind", "from_s", "until_s", "probability", "serial"))
    name = table.take("kind", str)
    kinds = tuple(kind.value for kind in FaultKind)
    if name not in kinds:
        raise ScenarioError(f"{where}: no such fault: {name!r}{nearest(name, kinds)}")
    kind = FaultKind(name)
    probability = table.optional("probability", float)
    if (kind in BYTE_FAULTS) != (probability is not None) or not 0 <= (probability or 0) <= 1:
        raise ScenarioError(f"{where}: drop, change and repeat, and no others, have a probability from 0 to 1")
    serial = table.optional("serial", str)
    if serial is not None and (kind is not FaultKind.SWAP or model not in _MODEL_KEYS):
        raise ScenarioError(f"{where}: serial belongs to the fault swap of a device that tells its number")
    return Fault(kind, *table.window(), probability or 0.0, _serial(serial, model, where))


def _serial(serial: str | None, model: str, where: str) -> str | None:
    if serial is not None and not re.fullmatch(r"[A-Za-z0-9-]+", serial):
        raise ScenarioError(f"{where}: a serial number consists of letters, digits and '-'")
    if serial is not None and model == "contec" and len(serial) > contec.SERIAL_LENGTH:
        raise ScenarioError(f"{where}: this device has room for {contec.SERIAL_LENGTH} characters of serial number")
    return serial
