"""Masimo Rad-8 and Radical-7: one line of text a second at 9600 8N1, without a checksum.

The output that a reader wants is called ASCII-1 on the device::

    03/01/24 08:00:00 SN=0000012345 SPO2=097% BPM=072 PI=03.04% SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+--
        ALARM=0000 EXC=000800

(in one line). Each line ends with CR LF. Dashes say that there is no value; EXC says why, as a sum of bits in
hexadecimal. The time is the device's own clock. Which tags there are depends on the model: with `rainbow` the device
measures all of them and sends PVI as well. The widths of DESAT, PIDELTA and PVI, when they have values, are not
confirmed.

ALARM is a sum of bits too: 1 and 2 SpO2 high and low, 4 and 8 pulse high and low, 40 battery; 10 while any of them
sounds, 20 when somebody has silenced it.

The other output of the same menu, ASCII-2, is what some of these devices are set to when they are new. Its lines have
other tags and no serial number; no driver is asked to read them, so they have no truth.
"""

from firmware_sim.devices.base import (
    Absence,
    AlarmAt,
    Emission,
    Reading,
    Sensor,
    SensorAt,
    StormAlarm,
    Ticker,
    always_good,
    no_alarm,
)
from firmware_sim.devices.clock import USUAL, Clock
from firmware_sim.physiology import Patient, Vitals

DEFAULT_SERIAL = "0000012345"

_EXCEPTIONS = {
    Sensor.GOOD: (0x800, Absence.INVALID),
    Sensor.DISCONNECTED: (0x1, Absence.SENSOR_DISCONNECTED),
    Sensor.OFF: (0x20, Absence.SENSOR_OFF),
    Sensor.SEARCHING: (0x8, Absence.SEARCHING),
    Sensor.PROBE_ERROR: (0x2, Absence.PROBE_ERROR),
    Sensor.INVALID: (0x10, Absence.INVALID),
}
_SPO2_LOW, _PULSE_HIGH, _PULSE_LOW = 90, 140, 50
_LOW_PERFUSION = 0.3
_SOUNDING, _SILENCED = 0x10, 0x20
_STORM = (0x1, 0x2, 0x4, 0x8, 0x2, 0x40)

_Field = tuple[str, str, int | float | None, str, str]
"""Tag, handle, value, its text, the dashes that stand for none."""


def _fields(vitals: Vitals, *, good: bool, rainbow: bool) -> list[_Field]:
    spo2, pulse = round(vitals.spo2_average), round(vitals.pulse_average)
    perfusion = round(vitals.perfusion * 100)
    spco, spmet = 12 + spo2 % 3, 6 + pulse % 4
    desat, pidelta, pvi = max(0, 97 - spo2), round(vitals.perfusion) - 3, 10 + pulse % 9
    more = good and rainbow
    fields: list[_Field] = [
        ("SPO2", "spo2", spo2 if good else None, f"{spo2:03d}%", "---%"),
        ("BPM", "pulse", pulse if good else None, f"{pulse:03d}", "---"),
        ("PI", "pi", perfusion / 100 if good else None, f"{perfusion // 100:02d}.{perfusion % 100:02d}%", "--.--%"),
        ("SPCO", "spco", spco / 10 if more else None, f"{spco // 10:02d}.{spco % 10}%", "--.-%"),
        ("SPMET", "spmet", spmet / 10 if more else None, f"{spmet // 10:02d}.{spmet % 10}%", "--.-%"),
        ("DESAT", "desat", desat if more else None, f"{desat:02d}", "--"),
        ("PIDELTA", "pidelta", pidelta if more else None, f"{pidelta:+03d}", "+--"),
    ]
    if rainbow:
        fields.append(("PVI", "pvi", pvi if more else None, f"{pvi:03d}", "---"))
    return fields


def _alarm(vitals: Vitals, storm: StormAlarm | None) -> int:
    pulse = round(vitals.pulse_average)
    bits = 0x2 if round(vitals.spo2_average) < _SPO2_LOW else 0
    bits |= 0x4 if pulse > _PULSE_HIGH else 0x8 if pulse < _PULSE_LOW else 0
    if storm is not None:
        bits |= _STORM[storm.number % len(_STORM)]
    return bits | _SOUNDING | (_SILENCED if storm is not None and storm.silenced else 0) if bits else 0


class Masimo:
    """One monitor on its line.

    Args:
        patient: whom its sensor is on.
        serial: the digits after SN=.
        sensor: what has happened to the sensor, by the device's time.
        clock: the device's clock.
        alarms: what sets off alarms beside the patient.
        rainbow: the model measures SpCO, SpMet and the rest.
        ascii2: the device is set to the wrong output.
    """

    resync_frames = 1

    def __init__(
        self,
        patient: Patient,
        serial: str = DEFAULT_SERIAL,
        sensor: SensorAt = always_good,
        *,
        clock: Clock = USUAL,
        alarms: AlarmAt = no_alarm,
        rainbow: bool = False,
        ascii2: bool = False,
    ) -> None:
        self._patient = patient
        self._serial = serial
        self._sensor = sensor
        self._clock = clock
        self._alarms = alarms
        self._rainbow = rainbow
        self._ascii2 = ascii2
        self._ticker = Ticker(1)

    def advance(self, until_us: int) -> list[Emission]:
        """Lines up to and including `until_us`."""
        said = []
        while (time_us := self._ticker.next_us) <= until_us:
            said.append(self._line2(time_us) if self._ascii2 else self._line1(time_us))
            self._ticker.count += 1
        return said

    def receive(self, data: bytes, now_us: int) -> None:
        """Nothing: this output does not listen."""

    def _time(self, time_us: int) -> str:
        return f"{self._clock.at(time_us):%m/%d/%y %H:%M:%S}"

    def _line1(self, time_us: int) -> Emission:
        vitals = self._patient.vitals(time_us)
        state = self._sensor(time_us)
        good = state is Sensor.GOOD
        exception, absence = _EXCEPTIONS[state]
        if good and vitals.perfusion < _LOW_PERFUSION:
            exception |= 0x4
        clock = self._time(time_us)
        words, readings = [clock, f"SN={self._serial}"], []
        for tag, signal, value, text, dashes in _fields(vitals, good=good, rainbow=self._rainbow):
            words.append(f"{tag}={dashes if value is None else text}")
            readings.append(Reading(signal, value, absence if value is None else None))
        alarm = f"{_alarm(vitals, self._alarms(time_us)) if good else 0:04X}"
        words.append(f"ALARM={alarm}")
        words.append(f"EXC={exception:06X}")
        return Emission(time_us, " ".join(words).encode() + b"\r\n", tuple(readings), alarm=alarm, clock=clock)

    def _line2(self, time_us: int) -> Emission:
        vitals = self._patient.vitals(time_us)
        good = self._sensor(time_us) is Sensor.GOOD
        spo2, pulse = (round(vitals.spo2_average), round(vitals.pulse_average)) if good else (0, 0)
        perfusion = round(vitals.perfusion * 100) if good else 0
        text = (
            f"{self._time(time_us)} SpO2={spo2:03d} PR={pulse:03d} PI={perfusion // 100:02d}.{perfusion % 100:02d} "
            f"EXC={'800:SET' if good else '820:OffPat,SET'}\r\n"
        )
        return Emission(time_us, text.encode())
