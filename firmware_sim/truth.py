"""The truth file: what a device said, whether or not anybody read it. One JSON object a line.

A reading, a stated absence, a few samples of a wave, and an alarm::

    {"device": "spo2-1", "ordinal": 0, "time": 0.320000, "signal": "pulse", "value": 72}
    {"device": "spo2-1", "ordinal": 1, "time": 0.320000, "signal": "spo2", "absent": "sensor-disconnected"}
    {"device": "spo2-1", "ordinal": 0, "time": 0.000000, "wave": "pleth", "samples": [20, 24, 31]}
    {"device": "spo2-1", "ordinal": 0, "time": 7.000000, "alarm": "0012"}

Readings of one device are numbered from 0 without a hole. Waves are numbered apart, by samples: the ordinal of a line
is that of its first sample, its time that sample's time; the others follow at the device's rate, so a line ends where
the samples pause. Alarms are numbered apart too: a line stands where the alarm bits changed, as the frame has them, in
hexadecimal; before the first line there was none. Times are seconds since the start of the scenario.

A line with ``"fault"`` (unreadable, dropped, changed, repeated or noise) comes from a frame that was damaged on
purpose, or from one so soon behind it that a careful reader may still have been looking for the framing: a comparison
leaves those out. Alarm bits that changed in such frames have another line, without a fault, with the next whole frame.

``"frozen": true`` marks what stood still on purpose, ``"stored": N`` the place in the device's memory of a reading that
was kept there, ``"again": true`` the repetition of such a reading, ``"clock"`` what the device's clock showed.
"""

import json
from dataclasses import dataclass, field

from firmware_sim.devices.base import MICROSECONDS, Reading

WAVE = "pleth"
PAUSE_US = 100_000  # several times the period of any wave


def seconds(time_us: int) -> str:
    """Whole microseconds as decimal seconds, without a float in between."""
    return f"{time_us // MICROSECONDS}.{time_us % MICROSECONDS:06d}"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a comparison has to know about a frame."""

    fault: str | None = None
    frozen: bool = False
    again: bool = False
    clock: str | None = None

    def __str__(self) -> str:
        return "".join(
            (
                f', "clock": {json.dumps(self.clock)}' if self.clock is not None else "",
                ', "frozen": true' if self.frozen else "",
                ', "again": true' if self.again else "",
                f', "fault": "{self.fault}"' if self.fault else "",
            )
        )


NO_MARK = Mark()


@dataclass(slots=True)
class TruthLog:
    """Numbers and words the truth of one device. Each method gives the lines that are ready, without line ends."""

    device: str
    readings: int = 0
    samples: int = 0
    alarms: int = 0
    _pending: list[int] = field(default_factory=list)
    _pending_us: int = 0
    _newest_us: int = 0
    _pending_mark: Mark = NO_MARK
    _alarm_said: int = 0
    _alarm_whole: int = 0

    def reading(self, time_us: int, reading: Reading, mark: Mark = NO_MARK) -> str:
        """The line of one reading or absence."""
        said = f'"value": {reading.value!r}' if reading.absent is None else f'"absent": "{reading.absent}"'
        stored = "" if reading.stored is None else f', "stored": {reading.stored}'
        line = self._line(self.readings, time_us, f'"signal": "{reading.signal}", {said}{stored}{mark}')
        self.readings += 1
        return line

    def wave(self, time_us: int, samples: tuple[int, ...], mark: Mark = NO_MARK) -> list[str]:
        """Add samples; the ones before come out as a line if their mark is another, or if there was a pause."""
        lines = self.flush() if mark != self._pending_mark or time_us - self._newest_us > PAUSE_US else []
        self._newest_us = time_us
        if not self._pending:
            self._pending_us, self._pending_mark = time_us, mark
        self._pending += samples
        return lines

    def flush(self) -> list[str]:
        """The line of the samples that wait for one."""
        if not self._pending:
            return []
        said = f'"wave": "{WAVE}", "samples": {self._pending}{self._pending_mark}'
        line = self._line(self.samples, self._pending_us, said)
        self.samples += len(self._pending)
        self._pending = []
        return [line]

    def alarm(self, time_us: int, bits: str, mark: Mark = NO_MARK) -> list[str]:
        """The line of an alarm word, if it is another than before: than any, or than that of the last whole frame."""
        number = int(bits, 16)
        if number == self._alarm_said and (mark.fault or number == self._alarm_whole):
            return []
        self._alarm_said = number
        if not mark.fault:
            self._alarm_whole = number
        line = self._line(self.alarms, time_us, f'"alarm": "{bits}"{mark}')
        self.alarms += 1
        return [line]

    def _line(self, ordinal: int, time_us: int, said: str) -> str:
        return f'{{"device": {json.dumps(self.device)}, "ordinal": {ordinal}, "time": {seconds(time_us)}, {said}}}'
