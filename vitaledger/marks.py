"""The words for what is not a plain value: why one is absent, how good it is, where it came from.

The numbers stand in entries, so a number once given keeps its meaning for ever and is never used again.
`Quality` follows MeasurementStatus of ISO/IEEE 11073-10201: bit n of the standard is ``1 << n`` here; bits from 16
up are ours, for what oximeters tell beyond it.

>>> Quality.QUESTIONABLE | Quality.ARTEFACT
<Quality.QUESTIONABLE|ARTEFACT: 65538>
>>> Absence.SENSOR_OFF.label
'sensor-off'
"""

from enum import IntEnum, IntFlag
from typing import Any

MAX_PATTERNS = 1024  # of quality bits that are remembered; whoever writes entries chooses how many there are


class _Labelled(IntEnum):
    @property
    def label(self) -> str:
        """The word that people and exports see, as ``sensor-off``."""
        return self.name.lower().replace("_", "-")


class Absence(_Labelled):
    """Why the device sent no value. An absent value is stated; it is never zero."""

    INVALID = 1  # the device marks the value missing and gives no reason
    SENSOR_DISCONNECTED = 2
    SENSOR_OFF = 3
    PROBE_ERROR = 4
    SEARCHING = 5
    CALIBRATING = 6
    NOT_APPLICABLE = 7
    OUT_OF_RANGE = 8


class Quality(IntFlag):
    """How good a value is, as the device says; 0 is good. Bits that have no name are kept."""

    INVALID = 1 << 0
    QUESTIONABLE = 1 << 1
    NOT_AVAILABLE = 1 << 2
    CALIBRATION_ONGOING = 1 << 3
    TEST_DATA = 1 << 4
    DEMO_DATA = 1 << 5
    VALIDATED = 1 << 8
    EARLY = 1 << 9
    ONGOING = 1 << 10
    IN_ALARM = 1 << 14
    ALARM_INHIBITED = 1 << 15
    ARTEFACT = 1 << 16
    OUT_OF_TRACK = 1 << 17
    LOW_PERFUSION = 1 << 18
    MARGINAL_PERFUSION = 1 << 19
    LOW_SIGNAL = 1 << 20
    IMPLAUSIBLE = 1 << 21  # our own plausibility mark, where the protocol has no checksum
    STALE = 1 << 22
    INTERFERENCE = 1 << 23
    SENSOR_ALARM = 1 << 24

    @classmethod
    def _missing_(cls, value: object) -> Any:  # noqa: ANN401  as in the enum module
        # It remembers each pattern for ever; beyond the bound one is made anew each time, and equal all the same.
        made = super()._missing_(value)
        if len(cls._value2member_map_) > MAX_PATTERNS:
            for each in (value, made._value_):  # a negative number stands for the bits that it leaves out
                cls._value2member_map_.pop(each, None)
        return made

    @property
    def labels(self) -> tuple[str, ...]:
        """The words that people and exports see, lowest bit first."""
        return tuple(str(flag.name).lower().replace("_", "-") for flag in self)


class Category(_Labelled):
    """What a series is (MetricCategory of 11073-10201, in short)."""

    MEASURED = 0
    CALCULATED = 1
    SETTING = 2
    ALARM_LIMIT = 3


class Provenance(_Labelled):
    """Where a reading came from: 'sent by a device' against 'typed by a person'."""

    DEVICE_LIVE = 0
    DEVICE_STORED = 1
    TRANSCRIBED = 2
    TYPED = 3


class Use(_Labelled):
    """What the line is for. Simulated devices are always DEMO, and it shows everywhere."""

    CLINICAL = 0
    TEST = 1
    DEMO = 2


class Check(_Labelled):
    """What protects a frame of the device's protocol against errors on the line."""

    NOTHING = 0
    COUNT = 1
    CHECKSUM = 2


class Sureness(_Labelled):
    """How sure a device's identity is, surest first."""

    PROTOCOL = 0  # the device tells it in its own protocol
    USB = 1  # the adapter's serial number
    PORT = 2  # only the port is known
    DECLARED = 3  # somebody wrote it into the configuration


class LineState(_Labelled):
    """The state of the line to a device."""

    UP = 0
    DOWN = 1
    CLOSED = 2  # this micro-chain ends; a link names the one that goes on


class GapReason(_Labelled):
    """Why there are no readings between two entries."""

    START = 1  # the first entry of a chain after a clean stop
    CRASH = 2  # the first entry after a stop that was not clean
    UNPLUGGED = 3  # the port went away
    SILENCE = 4  # the port stood, the device sent nothing
    UNREADABLE = 5  # bytes came, no frame in them
    DISK_FULL = 6
    OVERLOAD = 7  # a bound was reached; what was dropped is counted
    RESTORED = 8  # the store was restored or copied


class AlarmKind(_Labelled):
    """Whom the alarm concerns: the patient or the equipment."""

    PHYSIOLOGICAL = 0
    TECHNICAL = 1


class AlarmPhase(_Labelled):
    """Where in its life an alarm is."""

    ONSET = 0
    UPDATE = 1
    END = 2


class AlarmPriority(_Labelled):
    """The alarm's priority where the device tells one."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class Direction(_Labelled):
    """Which way bytes of a line went."""

    RECEIVED = 0
    SENT = 1
