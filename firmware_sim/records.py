"""The lines of a truth file, read back: what a device said, as records to hold a reader's output against.

>>> line = '{"device": "d", "ordinal": 7, "time": 0.320000, "signal": "pulse", "value": 72, "fault": "changed"}'
>>> record = parse_record(line)
>>> record.kind, record.signal, record.value, record.intact
(<Kind.READING: 'reading'>, 'pulse', 72, False)
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from firmware_sim.errors import CaptureError


class Kind(StrEnum):
    """What a record is of; each is numbered apart."""

    READING = "reading"
    WAVE = "wave"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the truth, see `truth` for what the fields mean.

    Attributes:
        device: its name.
        ordinal: the number among the device's records of this kind; of a wave, that of the first sample.
        time: seconds since the start of the scenario.
        signal: of a reading.
        value: of a reading; None for a stated absence.
        absent: the reason of an absence.
        samples: of a wave.
        alarm: the alarm bits, in hexadecimal.
        fault: what was done to the frame.
        frozen: it stood still on purpose.
        stored: the place in the device's memory.
        again: it was sent before.
        clock: what the device's clock showed.
    """

    device: str
    ordinal: int
    time: float
    signal: str | None = None
    value: int | float | None = None
    absent: str | None = None
    wave: str | None = None
    samples: tuple[int, ...] = ()
    alarm: str | None = None
    fault: str | None = None
    frozen: bool = False
    stored: int | None = None
    again: bool = False
    clock: str | None = None

    @property
    def kind(self) -> Kind:
        """What it is of."""
        if self.signal is not None:
            return Kind.READING
        return Kind.WAVE if self.wave is not None else Kind.ALARM

    @property
    def intact(self) -> bool:
        """Whether a reader is to have it; a frame that was harmed, and some behind it, may be lost."""
        return self.fault is None


def parse_record(line: str) -> Record:
    """A line of a truth file; raises CaptureError for anything else."""
    try:
        item: dict[str, Any] = json.loads(line)
        return Record(**{**item, "samples": tuple(item.get("samples", ()))})
    except (TypeError, ValueError, AttributeError) as error:
        raise CaptureError(f"not a line of a truth file: {line[:60]!r}") from error
