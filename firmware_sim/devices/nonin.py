"""Nonin OEM III, Xpod and 3150: a pulse oximeter that streams by itself at 9600 8N1.

Data format 2 sends 75 frames a second, 25 of them a packet::

    01 | status | pleth 0-255 | data | sum of the four bytes before, mod 256

Data format 7 leaves the 01 out and has a pleth of two bytes, the high one first. Data format 8 sends four bytes a
second and no checksum. In status, bit 7 is always set, bit 0 marks the first frame of a packet, bit 6 says that the
sensor is disconnected. The data byte means another thing in each frame of the packet. The pulse is sent as two bits
and seven bits, 511 where there is none; the saturation as seven bits, 127 where there is none.

A packet that says pulse 72 and SpO2 97 begins ``01 81 01 00 83 01 80 01 48 CA 01 80 01 61 E3``.

The host may choose the format with ``02 70 02 02 fmt 03`` and is answered 06, or 15 for anything else. The new format
begins with a new packet. The device tells no serial number.
"""

from collections.abc import Callable

from firmware_sim.devices.base import Absence, Emission, Reading, Sensor, SensorAt, Ticker, always_good, missing
from firmware_sim.physiology import Patient, Vitals

FORMATS = (2, 7, 8)
SIGNALS = (
    "pulse",
    "spo2",
    "spo2.d",
    "spo2.fast",
    "spo2.beat",
    "pulse.e",
    "spo2.e",
    "spo2.e.d",
    "pulse.d",
    "pulse.e.d",
)
"""What a packet of format 2 or 7 says, in the order of the data byte's position."""

NO_PULSE = 511
NO_SPO2 = 127
_PACKET = 25
_WIDE = 7
_SLOW = 8
_REVISION = 0x21
_ACK, _NAK = b"\x06", b"\x15"
_START, _END = 0x02, 0x03
_WEAK, _FAIR = 0.5, 1.0

# signal → place of its (first) data byte, what it shows
_PLACES: tuple[tuple[str, int, Callable[[Vitals], float]], ...] = (
    ("pulse", 0, lambda v: v.pulse_average),
    ("spo2", 2, lambda v: v.spo2_average),
    ("spo2.d", 8, lambda v: v.spo2_average),
    ("spo2.fast", 9, lambda v: v.spo2),
    ("spo2.beat", 10, lambda v: v.spo2),
    ("pulse.e", 13, lambda v: v.pulse_slow),
    ("spo2.e", 15, lambda v: v.spo2_slow),
    ("spo2.e.d", 16, lambda v: v.spo2_slow),
    ("pulse.d", 19, lambda v: v.pulse_average),
    ("pulse.e.d", 21, lambda v: v.pulse_slow),
)


def encode_frame2(status: int, pleth: int, data: int) -> bytes:
    """A frame of data format 2."""
    return bytes((1, status, pleth, data, (1 + status + pleth + data) & 0xFF))


def encode_frame7(status: int, pleth: int, data: int) -> bytes:
    """A frame of data format 7."""
    high, low = pleth >> 8, pleth & 0xFF
    return bytes((status, high, low, data, (status + high + low + data) & 0xFF))


def encode_packet8(pulse: int, spo2: int, *, flags: int = 0, sensor_flags: int = 0) -> bytes:
    """The four bytes of data format 8; `flags` go into byte 0, `sensor_flags` into byte 3."""
    return bytes((0x80 | flags | (pulse >> 7 & 3), pulse & 0x7F, spo2 & 0x7F, sensor_flags))


class Nonin:
    """One module on its line.

    Args:
        patient: whose finger it is on.
        data_format: 2, 7 or 8.
        sensor: what has happened to the sensor, by the device's time.
    """

    resync_frames = 4

    def __init__(self, patient: Patient, data_format: int = 2, sensor: SensorAt = always_good) -> None:
        self._patient = patient
        self._sensor = sensor
        self._format = self._next_format = data_format
        self._ticker = Ticker(1 if data_format == _SLOW else 75)
        self._place = 0
        self._data = bytes(_PACKET)
        self._readings: tuple[Reading, ...] = ()
        self._flags = 0x80
        self._state = Sensor.GOOD
        self._beat = 0
        self._host = bytearray()
        self._answers: list[Emission] = []

    def advance(self, until_us: int) -> list[Emission]:
        """Frames up to and including `until_us`."""
        said, self._answers = self._answers, []
        while (time_us := self._ticker.next_us) <= until_us:
            if self._place == 0 and self._format != self._next_format:
                self._format = self._next_format
                self._ticker = Ticker(1 if self._format == _SLOW else 75, base_us=time_us)
            said.append(self._slow_packet(time_us) if self._format == _SLOW else self._frame(time_us))
            self._ticker.count += 1
        return said

    def receive(self, data: bytes, now_us: int) -> None:
        """Host operations ``02 op len data 03``; what does not begin with 02 is passed over."""
        self._host += data
        while self._host:
            if self._host[0] != _START:
                del self._host[0]
                continue
            if len(self._host) < 3 or len(self._host) < (end := 4 + self._host[2]):
                return
            operation, self._host = bytes(self._host[:end]), self._host[end:]
            self._answers.append(Emission(now_us, self._operate(operation), opens=False, ends_group=False))

    def _operate(self, operation: bytes) -> bytes:
        if operation[:4] == b"\x02\x70\x02\x02" and operation[-1] == _END and operation[4] in FORMATS:
            self._next_format = operation[4]
            return _ACK
        return _NAK

    def _frame(self, time_us: int) -> Emission:
        place = self._place
        if place == 0:
            self._begin_packet(time_us)
        wave, beat = self._patient.wave(time_us)
        status = self._flags | (place == 0)
        if self._state is not Sensor.GOOD:
            wave = 0.0
        elif beat != self._beat:
            status |= self._perfusion(time_us)
        self._beat = beat
        if self._format == _WIDE:
            pleth = int(5000 + 50_000 * wave)
            data = encode_frame7(status, pleth, self._data[place])
        else:
            pleth = int(20 + 200 * wave)
            data = encode_frame2(status, pleth, self._data[place])
        self._place = (place + 1) % _PACKET
        last = self._place == 0
        return Emission(time_us, data, self._readings if last else (), (pleth,), place == 0, last)

    def _perfusion(self, time_us: int) -> int:
        """The colour of the beat: green, yellow (both bits) or red; shown once a beat."""
        perfusion = self._patient.vitals(time_us).perfusion
        if perfusion >= _FAIR:
            return 0x02
        return 0x06 if perfusion >= _WEAK else 0x04

    def _begin_packet(self, time_us: int) -> None:
        # The sensor's state is taken once a packet, so that its frames never contradict one another.
        self._state = self._sensor(time_us)
        self._flags = {Sensor.GOOD: 0x80, Sensor.DISCONNECTED: 0xC0, Sensor.OFF: 0x98, Sensor.PROBE_ERROR: 0x98}.get(
            self._state, 0x90
        )
        good = self._state is Sensor.GOOD
        vitals = self._patient.vitals(time_us)
        data = bytearray(_PACKET)
        data[3] = _REVISION
        readings = []
        for signal, place, show in _PLACES:
            value = round(show(vitals))
            if signal.startswith("pulse"):
                value = value if good else NO_PULSE
                data[place], data[place + 1] = value >> 7 & 3, value & 0x7F
            else:
                value = value if good else NO_SPO2
                data[place] = value
            readings.append(Reading(signal, value))
        self._data = bytes(data)
        if not good:
            lost = self._state is Sensor.DISCONNECTED
            self._readings = missing(SIGNALS, Absence.SENSOR_DISCONNECTED if lost else Absence.INVALID)
        else:
            self._readings = tuple(readings)

    def _slow_packet(self, time_us: int) -> Emission:
        state = self._sensor(time_us)
        vitals = self._patient.vitals(time_us)
        if state is Sensor.GOOD:
            pulse, spo2 = round(vitals.pulse_average), round(vitals.spo2_average)
            weak = 0x10 if vitals.perfusion < _WEAK else 0x08 if vitals.perfusion < _FAIR else 0
            data = encode_packet8(pulse, spo2, flags=weak, sensor_flags=0x20)
            return Emission(time_us, data, (Reading("pulse", pulse), Reading("spo2", spo2)))
        off = state in {Sensor.OFF, Sensor.DISCONNECTED}
        data = encode_packet8(NO_PULSE, NO_SPO2, flags=0x20, sensor_flags=0x08 if off else 0)
        return Emission(time_us, data, missing(("pulse", "spo2"), Absence.SENSOR_OFF if off else Absence.INVALID))
