"""What can go wrong between a patient and a reader, on purpose and repeatably.

A fault has a window of the scenario's time. Faults of bytes (drop, change, repeat) befall each byte with a
probability; the others hold for the whole window.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from firmware_sim.devices.base import Sensor


class FaultKind(StrEnum):
    """The faults that a scenario may name."""

    DROP = "drop"
    CHANGE = "change"
    REPEAT = "repeat"
    SILENCE = "silence"
    SENSOR_OFF = "sensor-off"
    SENSOR_DISCONNECTED = "sensor-disconnected"
    PROBE_ERROR = "probe-error"
    SEARCHING = "searching"
    INVALID = "invalid"
    UNPLUG = "unplug"
    SWAP = "swap"


DESCRIPTIONS = {
    FaultKind.DROP: "bytes are lost on the line, each with `probability`",
    FaultKind.CHANGE: "bytes arrive with one bit flipped, each with `probability`",
    FaultKind.REPEAT: "bytes arrive twice, each with `probability`",
    FaultKind.SILENCE: "the device sends nothing",
    FaultKind.SENSOR_OFF: "the sensor is off the finger",
    FaultKind.SENSOR_DISCONNECTED: "the sensor's cable is pulled",
    FaultKind.PROBE_ERROR: "the sensor is broken",
    FaultKind.SEARCHING: "the device looks for a pulse",
    FaultKind.INVALID: "the device has no values and gives no reason",
    FaultKind.UNPLUG: "the port goes away and comes back",
    FaultKind.SWAP: "the device is switched off; at the end another one, with `serial`, is on the same port",
}

BYTE_FAULTS = frozenset({FaultKind.DROP, FaultKind.CHANGE, FaultKind.REPEAT})
_SENSORS = {
    FaultKind.SENSOR_OFF: Sensor.OFF,
    FaultKind.SENSOR_DISCONNECTED: Sensor.DISCONNECTED,
    FaultKind.PROBE_ERROR: Sensor.PROBE_ERROR,
    FaultKind.SEARCHING: Sensor.SEARCHING,
    FaultKind.INVALID: Sensor.INVALID,
}

DROPPED, CHANGED, REPEATED = "dropped", "changed", "repeated"
"""How the truth file calls what happened to a frame."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault from `from_us` up to, and without, `until_us` (µs since the start of the scenario)."""

    kind: FaultKind
    from_us: int
    until_us: int
    probability: float = 0.0
    serial: str | None = None

    def covers(self, time_us: int) -> bool:
        """Whether the fault holds at a time."""
        return self.from_us <= time_us < self.until_us


def sensor_state(faults: Iterable[Fault], time_us: int) -> Sensor:
    """The state of the sensor; where windows overlap, the first one named counts."""
    for fault in faults:
        if fault.kind in _SENSORS and fault.covers(time_us):
            return _SENSORS[fault.kind]
    return Sensor.GOOD


class NoisyLine:
    """The bytes of one device's line with its byte faults.

    Frames pass in the order of time, so that the same seed harms the same bytes whatever the steps of time were.
    """

    def __init__(self, faults: Iterable[Fault], seed: str) -> None:
        self._faults = tuple(fault for fault in faults if fault.kind in BYTE_FAULTS)
        self._random = random.Random(seed)  # noqa: S311 - repeatable noise, no secret

    def carry(self, time_us: int, data: bytes) -> tuple[bytes, str | None]:
        """What arrives of a frame, and the gravest thing that happened to it, or None."""
        marks = set()
        for fault in self._faults:
            if fault.covers(time_us):
                data, mark = self._harm(fault, data)
                marks.add(mark)
        return data, next((mark for mark in (DROPPED, CHANGED, REPEATED) if mark in marks), None)

    def _harm(self, fault: Fault, data: bytes) -> tuple[bytes, str | None]:
        arrived, mark = bytearray(), None
        for byte in data:
            if self._random.random() >= fault.probability:
                arrived.append(byte)
            elif fault.kind is FaultKind.DROP:
                mark = DROPPED
            elif fault.kind is FaultKind.CHANGE:
                arrived.append(byte ^ 1 << self._random.randrange(8))
                mark = CHANGED
            else:
                arrived += bytes((byte, byte))
                mark = REPEATED
        return bytes(arrived), mark
