"""What can go wrong between a patient and a reader, on purpose and repeatably.

A fault has a window of the scenario's time. Faults of bytes (drop, change, repeat) befall each byte with a
probability, noise comes by chance too; the others hold for the whole window. What the line does to bytes is in
`wire`, what the device's surroundings do in `conditions`, where its plug is in `plugs`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The faults that a scenario may name."""

    DROP = "drop"
    CHANGE = "change"
    REPEAT = "repeat"
    NOISE = "noise"
    WRONG_BAUD = "wrong-baud"
    WRONG_PARITY = "wrong-parity"
    SILENCE = "silence"
    SENSOR_OFF = "sensor-off"
    SENSOR_DISCONNECTED = "sensor-disconnected"
    PROBE_ERROR = "probe-error"
    SEARCHING = "searching"
    INVALID = "invalid"
    FROZEN = "frozen"
    ALARM_STORM = "alarm-storm"
    STORED_TWICE = "stored-twice"
    CLOCK_STEP = "clock-step"
    CLOCK_1970 = "clock-1970"
    UNPLUG = "unplug"
    REPLUG = "replug"
    SWAP_PORTS = "swap-ports"
    SWAP = "swap"


DESCRIPTIONS = {
    FaultKind.DROP: "bytes are lost on the line, each with `probability`",
    FaultKind.CHANGE: "bytes arrive with one bit flipped, each with `probability`",
    FaultKind.REPEAT: "bytes arrive twice, each with `probability`",
    FaultKind.NOISE: "`bytes_per_s` random bytes between frames, and on the line while the device says nothing",
    FaultKind.WRONG_BAUD: "the device sends at `baud`, the host listens at the model's own rate",
    FaultKind.WRONG_PARITY: "the device sends with `framing` (8E1, 8O1, 7E1, …), the host listens at 8N1",
    FaultKind.SILENCE: "the device sends nothing",
    FaultKind.SENSOR_OFF: "the sensor is off the finger",
    FaultKind.SENSOR_DISCONNECTED: "the sensor's cable is pulled",
    FaultKind.PROBE_ERROR: "the sensor is broken",
    FaultKind.SEARCHING: "the device looks for a pulse",
    FaultKind.INVALID: "the device has no values and gives no reason",
    FaultKind.FROZEN: "values and wave stand still while frames go on",
    FaultKind.ALARM_STORM: "`per_hour` alarms begin and end (default 520; contec, masimo)",
    FaultKind.STORED_TWICE: "the device sends what it has stored by itself at from_s, and again at until_s (contec)",
    FaultKind.CLOCK_STEP: "the device's clock is `by_s` seconds further, below 0 further back (masimo)",
    FaultKind.CLOCK_1970: "the device's clock begins anew at 1970 (masimo)",
    FaultKind.UNPLUG: "the port goes away and comes back",
    FaultKind.REPLUG: "the port goes away and comes back as `port`; a `by_id` link follows",
    FaultKind.SWAP_PORTS: "this device and the one named by `with` come back on each other's ports",
    FaultKind.SWAP: "the device is switched off; at the end another one, with `serial`, is on the same port",
}

KEYS: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.DROP: ("probability",),
    FaultKind.CHANGE: ("probability",),
    FaultKind.REPEAT: ("probability",),
    FaultKind.NOISE: ("bytes_per_s",),
    FaultKind.WRONG_BAUD: ("baud",),
    FaultKind.WRONG_PARITY: ("framing",),
    FaultKind.ALARM_STORM: ("per_hour",),
    FaultKind.CLOCK_STEP: ("by_s",),
    FaultKind.REPLUG: ("port",),
    FaultKind.SWAP_PORTS: ("with",),
    FaultKind.SWAP: ("serial",),
}
"""What a fault has beside kind, from_s and until_s."""

MODELS: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.ALARM_STORM: ("contec", "masimo"),
    FaultKind.STORED_TWICE: ("contec",),
    FaultKind.CLOCK_STEP: ("masimo",),
    FaultKind.CLOCK_1970: ("masimo",),
}
"""The models that can have a fault, where not all can."""

BYTE_FAULTS = frozenset({FaultKind.DROP, FaultKind.CHANGE, FaultKind.REPEAT})
PLUG_FAULTS = frozenset({FaultKind.UNPLUG, FaultKind.REPLUG, FaultKind.SWAP_PORTS})
USUAL_STORM = 520.0
"""Alarms an hour: ten times the 52 of an ordinary bed."""

UNREADABLE, DROPPED, CHANGED, REPEATED, NOISY = "unreadable", "dropped", "changed", "repeated", "noise"
"""How the truth file calls what happened to a frame."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault from `from_us` up to, and without, `until_us` (µs since the start of the scenario).

    The other fields matter to the kinds that have such a thing, see `KEYS`.
    """

    kind: FaultKind
    from_us: int
    until_us: int
    probability: float = 0.0
    serial: str | None = None
    port: str | None = None
    other: str | None = None
    baud: int | None = None
    framing: str = "8N1"
    bytes_per_s: float = 0.0
    per_hour: float = USUAL_STORM
    by_us: int = 0

    def covers(self, time_us: int) -> bool:
        """Whether the fault holds at a time."""
        return self.from_us <= time_us < self.until_us


def covering(faults: Iterable[Fault], time_us: int) -> bool:
    """Whether any of the faults holds at a time."""
    return any(fault.covers(time_us) for fault in faults)


def of_kind(faults: Iterable[Fault], *kinds: FaultKind) -> tuple[Fault, ...]:
    """The faults of some kinds, in the order in which they begin."""
    return tuple(sorted((fault for fault in faults if fault.kind in kinds), key=lambda fault: fault.from_us))
