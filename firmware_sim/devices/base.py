"""What every simulated device is: bytes by the clock, bytes from the host, and the truth about both.

Times are whole microseconds since the device was switched on. A device never asks for the time; `Device.advance` is
told how far time has gone and answers with everything that the device said until then, so that the same calls in
smaller steps give the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

MICROSECONDS = 1_000_000


class Absence(StrEnum):
    """Why a device sent no value; the words that appear in the truth file."""

    SENSOR_DISCONNECTED = "sensor-disconnected"
    SENSOR_OFF = "sensor-off"
    PROBE_ERROR = "probe-error"
    SEARCHING = "searching"
    INVALID = "invalid"


class Sensor(Enum):
    """What has happened to the sensor; each device has its own way to say it, or none."""

    GOOD = "good"
    OFF = "sensor-off"
    DISCONNECTED = "sensor-disconnected"
    PROBE_ERROR = "probe-error"
    SEARCHING = "searching"
    INVALID = "invalid"


SensorAt = Callable[[int], Sensor]
"""The state of the sensor at a time on the device's own clock."""


AlarmAt = Callable[[int], "StormAlarm | None"]
"""The alarm of a storm that sounds at a time on the device's own clock."""


@dataclass(frozen=True, slots=True)
class StormAlarm:
    """An alarm whose cause is not in the patient.

    Attributes:
        number: chooses which of its alarms the device gives.
        silenced: somebody has pressed the button.
    """

    number: int
    silenced: bool = False


def no_alarm(_time_us: int) -> StormAlarm | None:
    """Nothing but the patient sets off an alarm."""
    return None


def always_good(_time_us: int) -> Sensor:
    """A sensor that is on the finger and stays there."""
    return Sensor.GOOD


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that the device transmitted, or one that it said it had not.

    Exactly one of ``value`` and ``absent`` is set. ``stored`` is the place in the device's memory, from 0, of a reading
    that was kept there; None for one that was just taken.
    """

    signal: str
    value: int | float | None = None
    absent: Absence | None = None
    stored: int | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """One frame on the wire and what it says.

    Attributes:
        time_us: when the frame is sent.
        data: the frame's bytes, never part of one.
        readings: what a reader knows once this frame has arrived whole.
        samples: samples of the pleth wave in this frame.
        opens: the frame begins a group whose readings stand or fall together (a Nonin packet has 25 frames).
        ends_group: the wave samples up to here make a line of the truth file.
        alarm: the alarm bits as the frame has them, in hexadecimal; None where it has no place for any.
        clock: what the device's clock shows in this frame.
        again: the frame repeats stored readings that were sent before.
    """

    time_us: int
    data: bytes
    readings: tuple[Reading, ...] = ()
    samples: tuple[int, ...] = ()
    opens: bool = True
    ends_group: bool = True
    alarm: str | None = None
    clock: str | None = None
    again: bool = False


class Device(Protocol):
    """A device on a line. It keeps its own pace and does not know whether anybody listens."""

    resync_frames: int
    """How many frames after a damaged one a careful reader may need to find the framing again."""

    def advance(self, until_us: int) -> list[Emission]:
        """Everything said up to and including `until_us` that was not handed out before, in the order of time."""
        ...

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the host. Call `advance(now_us)` first, and again for the answer."""
        ...


@dataclass(slots=True)
class Ticker:
    """Frame k at ``base + k * 1_000_000 // rate``: whole numbers, so that no drift adds up."""

    rate: int
    base_us: int = 0
    count: int = 0

    @property
    def next_us(self) -> int:
        """When the next frame is due."""
        return self.base_us + self.count * MICROSECONDS // self.rate


def missing(signals: tuple[str, ...], absence: Absence) -> tuple[Reading, ...]:
    """The same absence for each of some signals."""
    return tuple(Reading(signal, absent=absence) for signal in signals)
