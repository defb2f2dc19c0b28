"""What happens around a device: its sensor, the patient who stands still, alarms by the hundred, hands on its clock.

All of it is told by the scenario's time in `Fault` and by the device's own time, which begins at 0 when the unit is
switched on, to the device.
"""

import functools
import random
from dataclasses import dataclass

from firmware_sim.devices.base import MICROSECONDS, Sensor, StormAlarm
from firmware_sim.devices.clock import Step
from firmware_sim.faults import Fault, FaultKind, of_kind

_HOUR_US = 3600 * MICROSECONDS
_SILENCED_SHARE = 0.25
_SENSORS = {
    FaultKind.SENSOR_OFF: Sensor.OFF,
    FaultKind.SENSOR_DISCONNECTED: Sensor.DISCONNECTED,
    FaultKind.PROBE_ERROR: Sensor.PROBE_ERROR,
    FaultKind.SEARCHING: Sensor.SEARCHING,
    FaultKind.INVALID: Sensor.INVALID,
}


@functools.lru_cache(maxsize=64)
def _draw(seed: str, number: int, period_us: int) -> tuple[int, int, bool]:
    """When in its period an alarm begins, which one it is, and whether somebody silences it."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable chance, no secret
    return chance.randrange(period_us // 4), chance.randrange(1 << 16), chance.random() < _SILENCED_SHARE


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one unit.

    Attributes:
        faults: of its device, in the scenario's time.
        on_us: when it was switched on, in the scenario's time.
        seed: of what comes by chance.
    """

    faults: tuple[Fault, ...]
    on_us: int
    seed: str

    def sensor(self, time_us: int) -> Sensor:
        """The state of the sensor; where windows overlap, the first one named counts."""
        for fault in self.faults:
            if fault.kind in _SENSORS and fault.covers(time_us + self.on_us):
                return _SENSORS[fault.kind]
        return Sensor.GOOD

    def alarm(self, time_us: int) -> StormAlarm | None:
        """The alarm of a storm that sounds now.

        Of N alarms an hour each has the N-th part of an hour, begins in its first quarter and lasts for half of it, so
        that between two alarms there is always a pause. One in four is silenced halfway.
        """
        for fault in of_kind(self.faults, FaultKind.ALARM_STORM):
            at_us = time_us + self.on_us - fault.from_us
            if at_us < 0 or time_us + self.on_us >= fault.until_us:
                continue
            period_us = int(_HOUR_US / fault.per_hour)
            number, phase_us = divmod(at_us, period_us)
            begins_us, which, silenced = _draw(self.seed, number, period_us)
            if begins_us <= phase_us < begins_us + period_us // 2:
                return StormAlarm(which, silenced and phase_us >= begins_us + period_us // 4)
        return None

    def frozen(self) -> list[tuple[int, int]]:
        """When the patient stands still, by the device's time."""
        return self._windows(FaultKind.FROZEN)

    def forgotten(self) -> tuple[tuple[int, int], ...]:
        """When the clock counts from 1970, by the device's time."""
        return tuple(self._windows(FaultKind.CLOCK_1970))

    def steps(self) -> tuple[Step, ...]:
        """How the clock was set, by the device's time."""
        faults = of_kind(self.faults, FaultKind.CLOCK_STEP)
        return tuple(Step(fault.from_us - self.on_us, fault.until_us - self.on_us, fault.by_us) for fault in faults)

    def sends(self) -> list[int]:
        """When the device sends what it has stored by itself, by the device's time: at both ends of each window."""
        ends = (
            end for fault in of_kind(self.faults, FaultKind.STORED_TWICE) for end in (fault.from_us, fault.until_us)
        )
        return [at - self.on_us for at in ends if at >= self.on_us]

    def _windows(self, kind: FaultKind) -> list[tuple[int, int]]:
        """Windows by the device's time; one that began before the unit was switched on begins with it."""
        faults = of_kind(self.faults, kind)
        windows = [(max(0, fault.from_us - self.on_us), fault.until_us - self.on_us) for fault in faults]
        return [(start, end) for start, end in windows if start < end]
