"""The truth file: what a device said, whether or not anybody read it. One JSON object a line.

A reading, a stated absence, and a few samples of a wave::

    {"device": "spo2-1", "ordinal": 0, "time": 0.320000, "signal": "pulse", "value": 72}
    {"device": "spo2-1", "ordinal": 1, "time": 0.320000, "signal": "spo2", "absent": "sensor-disconnected"}
    {"device": "spo2-1", "ordinal": 0, "time": 0.000000, "wave": "pleth", "samples": [20, 24, 31]}

Readings of one device are numbered from 0 without a hole. Waves are numbered apart, by samples: the ordinal of a line
is that of its first sample, its time that sample's time. Times are seconds since the start of the scenario. A line
with ``"fault"`` (dropped, changed or repeated) comes from a frame that was damaged on purpose, or from one so soon
behind it that a careful reader may still have been looking for the framing: a comparison leaves those out.
"""

import json
from dataclasses import dataclass, field

from firmware_sim.devices.base import MICROSECONDS, Reading

WAVE = "pleth"


def seconds(time_us: int) -> str:
    """Whole microseconds as decimal seconds, without a float in between."""
    return f"{time_us // MICROSECONDS}.{time_us % MICROSECONDS:06d}"


def _mark(fault: str | None) -> str:
    return f', "fault": "{fault}"' if fault else ""


@dataclass(slots=True)
class TruthLog:
    """Numbers and words the truth of one device. Each method gives the lines that are ready, without line ends."""

    device: str
    readings: int = 0
    samples: int = 0
    _pending: list[int] = field(default_factory=list)
    _pending_us: int = 0
    _pending_fault: str | None = None

    def reading(self, time_us: int, reading: Reading, fault: str | None = None) -> str:
        """The line of one reading or absence."""
        said = f'"value": {reading.value!r}' if reading.absent is None else f'"absent": "{reading.absent}"'
        line = (
            f'{{"device": {json.dumps(self.device)}, "ordinal": {self.readings}, "time": {seconds(time_us)}, '
            f'"signal": "{reading.signal}", {said}{_mark(fault)}}}'
        )
        self.readings += 1
        return line

    def wave(self, time_us: int, samples: tuple[int, ...], fault: str | None = None) -> list[str]:
        """Add samples; the ones before come out as a line if their fault is another."""
        lines = self.flush() if fault != self._pending_fault else []
        if not self._pending:
            self._pending_us, self._pending_fault = time_us, fault
        self._pending += samples
        return lines

    def flush(self) -> list[str]:
        """The line of the samples that wait for one."""
        if not self._pending:
            return []
        line = (
            f'{{"device": {json.dumps(self.device)}, "ordinal": {self.samples}, "time": {seconds(self._pending_us)}, '
            f'"wave": "{WAVE}", "samples": {self._pending}{_mark(self._pending_fault)}}}'
        )
        self.samples += len(self._pending)
        self._pending = []
        return [line]
