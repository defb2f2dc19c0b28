"""A patient of numbers: pulse, saturation, perfusion and a pulse wave, plausible and repeatable.

The vitals change once a second, by slow drift, breathing and desaturations. The wave is a function of time within the
second, so that devices of any sample rate see the same heart. A patient is asked in the order of time and gives the
same answers for the same seed, however often it is asked.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

MICROSECONDS = 1_000_000
_WAVE_STEPS = 512


@dataclass(frozen=True, slots=True)
class Desaturation:
    """A fall of the saturation to `lowest` and back, between two times (µs)."""

    from_us: int
    until_us: int
    lowest: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Whom the sensor is on: resting pulse (/min), SpO2 (%), perfusion index (%), breaths (/min)."""

    pulse: float = 72.0
    spo2: float = 97.0
    perfusion: float = 3.0
    respiration: float = 15.0
    desaturations_per_hour: float = 0.0
    desaturations: tuple[Desaturation, ...] = ()


RESTING = Profile()


@dataclass(frozen=True, slots=True)
class Vitals:
    """One second of a patient; `*_average` follow in some seconds, `*_slow` in half a minute."""

    pulse: float
    pulse_average: float
    pulse_slow: float
    spo2: float
    spo2_average: float
    spo2_slow: float
    perfusion: float


def _pulse_wave() -> tuple[float, ...]:
    """One beat: the systolic peak and the smaller wave behind the dicrotic notch, scaled to 0…1."""
    beat = []
    for step in range(_WAVE_STEPS):
        x = step / _WAVE_STEPS
        beat.append(math.exp(-(((x - 0.18) / 0.09) ** 2)) + 0.45 * math.exp(-(((x - 0.48) / 0.13) ** 2)))
    low, high = min(beat), max(beat)
    return tuple((value - low) / (high - low) for value in beat)


_WAVE = _pulse_wave()


def _dip(event: Desaturation, time_us: int) -> float:
    """How deep in an event, 0…1: a fifth of it falling, three fifths down, a fifth recovering."""
    if not event.from_us <= time_us < event.until_us:
        return 0.0
    x = (time_us - event.from_us) / (event.until_us - event.from_us)
    return min(1.0, x * 5, (1 - x) * 5)


class Patient:
    """The source of one device's signals.

    Args:
        profile: whom the sensor is on.
        seed: equal seeds give equal patients.
        frozen: windows (µs) during which everything shows as it was when the window began.
    """

    def __init__(self, profile: Profile, seed: str, frozen: Iterable[tuple[int, int]] = ()) -> None:
        self._frozen = tuple(frozen)
        self._profile = profile
        self._random = random.Random(seed)  # noqa: S311 - repeatable noise, no secret
        self._second = -1
        self._beats = 0.0
        self._pulse_drift = self._spo2_drift = self._perfusion_drift = 0.0
        self._sudden: Desaturation | None = None
        self._vitals = Vitals(
            profile.pulse, profile.pulse, profile.pulse, profile.spo2, profile.spo2, profile.spo2, profile.perfusion
        )

    def vitals(self, time_us: int) -> Vitals:
        """The vitals of the second that contains `time_us`, which never is before the last one asked for."""
        time_us = self._shown(time_us)
        while self._second < time_us // MICROSECONDS:
            self._step()
        return self._vitals

    def wave(self, time_us: int) -> tuple[float, int]:
        """The pleth at a time, 0…1, and the number of heart beats until then."""
        time_us = self._shown(time_us)
        vitals = self.vitals(time_us)
        beats = self._beats + vitals.pulse / 60 * (time_us - self._second * MICROSECONDS) / MICROSECONDS
        number = int(beats)
        return _WAVE[int((beats - number) * _WAVE_STEPS)] * (0.9 + 0.1 * self._breath(time_us)), number

    def _shown(self, time_us: int) -> int:
        while (held := min((at for at, end in self._frozen if at <= time_us < end), default=time_us)) != time_us:
            time_us = held
        return time_us

    def _breath(self, time_us: int) -> float:
        return math.sin(2 * math.pi * self._profile.respiration * time_us / 60 / MICROSECONDS)

    def _step(self) -> None:
        if self._second >= 0:
            self._beats += self._vitals.pulse / 60
        self._second += 1
        now_us = self._second * MICROSECONDS
        noise = self._random.gauss
        self._pulse_drift = 0.98 * self._pulse_drift + noise(0, 0.5)
        self._spo2_drift = 0.98 * self._spo2_drift + noise(0, 0.12)
        self._perfusion_drift = 0.95 * self._perfusion_drift + noise(0, 0.03)
        depth = self._depth(now_us)
        last = self._vitals
        pulse = self._profile.pulse + self._pulse_drift + 1.5 * self._breath(now_us) + 0.6 * depth
        pulse = min(max(pulse, 20.0), 320.0)
        spo2 = min(max(self._profile.spo2 + self._spo2_drift - depth, 35.0), 100.0)
        self._vitals = Vitals(
            pulse=pulse,
            pulse_average=last.pulse_average + (pulse - last.pulse_average) / 4,
            pulse_slow=last.pulse_slow + (pulse - last.pulse_slow) / 8,
            spo2=spo2,
            spo2_average=last.spo2_average + (spo2 - last.spo2_average) / 3,
            spo2_slow=last.spo2_slow + (spo2 - last.spo2_slow) / 6,
            perfusion=min(max(self._profile.perfusion * (1 + self._perfusion_drift), 0.02), 20.0),
        )

    def _depth(self, now_us: int) -> float:
        """How far the saturation is below its resting value (%)."""
        rate = self._profile.desaturations_per_hour
        if rate and (self._sudden is None or now_us >= self._sudden.until_us):
            if self._random.random() < rate / 3600:
                length = self._random.randint(30, 90)
                fall = self._random.uniform(5, 15)
                self._sudden = Desaturation(now_us, now_us + length * MICROSECONDS, self._profile.spo2 - fall)
            else:
                self._sudden = None
        events = self._profile.desaturations + ((self._sudden,) if self._sudden else ())
        return max((_dip(event, now_us) * (self._profile.spo2 - event.lowest) for event in events), default=0.0)
