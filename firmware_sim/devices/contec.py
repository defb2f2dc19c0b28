"""Contec CMS50D+ (from 4.6) and CMS50E V7.0: a pulse oximeter that waits to be asked, 115200 8N1, without a checksum.

A message is a type, a byte of high bits and a payload whose length goes by the type. Only the type has bit 7 clear;
bit i of the second byte is bit 7 of payload byte i::

    01 e0 84 93 92 bc e3 ff ff     type 01: signal 4, wave 19, bar 2, no perfusion index, pulse 60, SpO2 99

Type 01 comes 60 times a second once the host has sent command A1, and each carries the numbers, which change once a
second. The host is to send AF every 5 s; without it the device says 0D and stops. Commands have nine bytes, ``7D 81
cmd`` and six more; A2 stops.

Stored data, one value a second: A3 asks for the number of segments (answered by type 0A), A4 for a segment's length
(08), A5 for its start (date 07 and time 12, all zero if the device's clock was never set), A6 for the data (0F, three
pairs of SpO2 and pulse, or 09 with the perfusion index; zeros fill the last one), A7 stops it. Nothing ever deletes:
AE is answered "failed". The device may also send its segment by itself, with 07 and 12 in front (`sends_us`: somebody
has chosen that in its menu); live data pause meanwhile.

Not confirmed by a second source, and chosen here: the layouts of 07, 08, 0A and 12 (user, segment, then the value;
years as century and year; lengths in samples, low byte first), of 0B (command, result), the reason byte of 0D, the
pace of a dump, and that AA is answered by type 04 with seven characters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from firmware_sim.devices.base import (
    MICROSECONDS,
    Absence,
    AlarmAt,
    Emission,
    Reading,
    Sensor,
    SensorAt,
    Ticker,
    always_good,
    missing,
    no_alarm,
)
from firmware_sim.physiology import Patient, Vitals

SIGNALS = ("pulse", "spo2", "pi")
DEFAULT_SERIAL = "SIM0001"
SERIAL_LENGTH = 7
NO_PULSE, NO_SPO2, NO_PI, ERROR_WAVE = 0xFF, 0x7F, 0xFFFF, 0x40

_LIVE_RATE, _DUMP_RATE = 60, 200
_COMMAND, _COMMAND_LENGTH = 0x7D, 9
_OK, _DELETE_FAILED, _UNSUPPORTED = 0, 4, 5
_LOW_SPO2 = 85
_LOW_FLAG = 0x20
_BEEP_US = 100_000


def encode(kind: int, payload: bytes) -> bytes:
    """A message of up to seven payload bytes."""
    high = 0x80
    for place, byte in enumerate(payload):
        high |= (byte >> 7) << place
    return bytes((kind, high, *(byte | 0x80 for byte in payload)))


@dataclass(frozen=True, slots=True)
class Stored:
    """The one segment in the device's memory.

    Attributes:
        seconds: how many values it has; 0 means that there is no segment.
        started: what the device's clock showed then, or None if it was never set.
        perfusion: the segment holds the perfusion index as well (type 09).
    """

    seconds: int = 0
    started: datetime | None = None
    perfusion: bool = False


NOTHING_STORED = Stored()


class Contec:
    """One oximeter on its line.

    Args:
        patient: whose finger it is on.
        serial: at most seven characters.
        sensor: what has happened to the sensor, by the device's time.
        heartbeat_us: how long it streams without a word from the host; None for ever.
        live: it streams from the start, as if a host had asked (there is none when bytes are only written to a file).
        stored: what is in its memory.
        sends_us: when it sends that by itself.
        alarms: what sets off the alarm beside the patient.
    """

    resync_frames = 1

    def __init__(
        self,
        patient: Patient,
        serial: str = DEFAULT_SERIAL,
        sensor: SensorAt = always_good,
        *,
        heartbeat_us: int | None = 10 * MICROSECONDS,
        live: bool = False,
        stored: Stored = NOTHING_STORED,
        sends_us: Iterable[int] = (),
        alarms: AlarmAt = no_alarm,
    ) -> None:
        self._patient = patient
        self._serial = serial.encode("ascii", "replace")[:SERIAL_LENGTH].ljust(SERIAL_LENGTH)
        self._sensor = sensor
        self._heartbeat_us = heartbeat_us
        self._heard_us = 0
        self._live = Ticker(_LIVE_RATE) if live else None
        self._dump: tuple[Ticker, list[Emission]] | None = None
        self._paused: Ticker | None = None
        self._stored = stored
        self._dumps = 0
        self._sends_us = sorted(sends_us) if stored.seconds else []
        self._alarms = alarms
        self._host = bytearray()
        self._answers: list[Emission] = []
        self._numbers_of: tuple[int, Sensor] | None = None
        self._numbers = bytes(4)
        self._readings: tuple[Reading, ...] = ()
        self._beat, self._beat_us = 0, -_BEEP_US

    def advance(self, until_us: int) -> list[Emission]:
        """Messages up to and including `until_us`."""
        said, self._answers = self._answers, []
        while self._sends_us and self._sends_us[0] <= until_us:
            at_us = self._sends_us.pop(0)
            self._proceed(at_us - 1, said)
            if self._dump is None:
                self._send_by_itself(at_us)
        self._proceed(until_us, said)
        return said

    def _proceed(self, until_us: int, said: list[Emission]) -> None:
        self._advance_dump(until_us, said)
        if (live := self._live) is None:
            return
        deadline = None if self._heartbeat_us is None else self._heard_us + self._heartbeat_us
        limit = until_us if deadline is None else min(until_us, deadline)
        while (time_us := live.next_us) <= limit:
            said.append(self._frame(time_us, last=live.count % _LIVE_RATE == _LIVE_RATE - 1))
            live.count += 1
        if deadline is not None and until_us >= deadline:
            said.append(_note(deadline, 0x0D, b"\x00"))
            self._live = None

    def receive(self, data: bytes, now_us: int) -> None:
        """Commands of nine bytes; a byte without bit 7 begins a new one."""
        for byte in data:
            if byte < 0x80:
                self._host.clear()
            self._host.append(byte)
            if len(self._host) == _COMMAND_LENGTH and self._host[0] == _COMMAND:
                self._obey(self._host[2] & 0x7F | (self._host[1] & 1) << 7, now_us)
            if len(self._host) >= _COMMAND_LENGTH or self._host[0] != _COMMAND:
                self._host.clear()

    def _obey(self, command: int, now_us: int) -> None:
        self._heard_us = now_us
        if command == 0xA1:
            self._dump, self._paused = None, None
            if self._live is None:
                self._live = Ticker(_LIVE_RATE, base_us=now_us, count=1)
        elif command in {0xA2, 0xA7}:
            self._live, self._dump, self._paused = None, None, None
            self._answers.append(_note(now_us, 0x0B, bytes((command, _OK))))
        elif command == 0xA6:
            self._live, self._paused = None, None
            self._dump = (Ticker(_DUMP_RATE, base_us=now_us, count=1), [*self._records(), _note(0, 0x0D, b"\x00")])
        elif command != 0xAF:
            self._answers += [_note(now_us, kind, payload) for kind, payload in self._answer(command)]

    def _answer(self, command: int) -> list[tuple[int, bytes]]:
        segments = 1 if self._stored.seconds else 0
        match command:
            case 0xA3:
                return [(0x0A, bytes((0, segments)))]
            case 0xA4:
                return [(0x08, bytes((0, 0)) + self._stored.seconds.to_bytes(4, "little"))]
            case 0xA5:
                return self._start_of_segment()
            case 0xAA:
                return [(0x04, self._serial)]
            case _:
                result = _DELETE_FAILED if command == 0xAE else _UNSUPPORTED
                return [(0x0B, bytes((command, result)))]

    def _start_of_segment(self) -> list[tuple[int, bytes]]:
        at = self._stored.started
        if at is None:
            return [(0x07, bytes(6)), (0x12, bytes(6))]
        date = bytes((0, 0, at.year // 100, at.year % 100, at.month, at.day))
        return [(0x07, date), (0x12, bytes((0, 0, at.hour, at.minute, at.second, 0)))]

    def _send_by_itself(self, now_us: int) -> None:
        self._paused, self._live = self._live, None
        messages = [_note(0, kind, payload) for kind, payload in self._start_of_segment()]
        self._dump = (Ticker(_DUMP_RATE, base_us=now_us), messages + self._records())

    def _frame(self, time_us: int, *, last: bool) -> Emission:
        state = self._sensor(time_us)
        vitals = self._patient.vitals(time_us)
        if self._numbers_of != (time_us // MICROSECONDS, state):
            self._numbers_of = (time_us // MICROSECONDS, state)
            self._renew(vitals, state)
        wave, beat = self._patient.wave(time_us)
        if beat != self._beat:
            self._beat, self._beat_us = beat, time_us
        if state is Sensor.GOOD:
            beep = 0x40 if time_us - self._beat_us < _BEEP_US else 0
            head = beep | min(8, 2 + round(vitals.perfusion * 2)) | self._low(time_us)
            sample, searching, bar = int(2 + 96 * wave), 0, int(15 * wave)
        elif state is Sensor.SEARCHING:
            head, sample, searching, bar = 0, int(2 + 10 * wave), 0x80, 0x10
        elif state is Sensor.INVALID:
            head, sample, searching, bar = 0x01, int(2 + 40 * wave), 0, 0x10
        else:
            head, sample, searching, bar = 0x80, ERROR_WAVE, 0, 0x10
        data = encode(0x01, bytes((head, sample | searching, bar)) + self._numbers)
        alarm = f"{head & _LOW_FLAG:02X}"
        return Emission(time_us, data, self._readings, (sample,), ends_group=last, alarm=alarm)

    def _low(self, time_us: int) -> int:
        return _LOW_FLAG if self._numbers[1] < _LOW_SPO2 or self._alarms(time_us) is not None else 0

    def _renew(self, vitals: Vitals, state: Sensor) -> None:
        if state is Sensor.GOOD:
            pulse, spo2 = min(254, round(vitals.pulse_average)), round(vitals.spo2_average)
            perfusion = round(vitals.perfusion * 100)
            self._readings = (Reading("pulse", pulse), Reading("spo2", spo2), Reading("pi", perfusion / 100))
        else:
            pulse, spo2, perfusion = NO_PULSE, NO_SPO2, NO_PI
            reason = {Sensor.SEARCHING: Absence.SEARCHING, Sensor.INVALID: Absence.INVALID}
            self._readings = missing(SIGNALS, reason.get(state, Absence.PROBE_ERROR))
        self._numbers = bytes((pulse, spo2)) + perfusion.to_bytes(2, "little")

    def _records(self) -> list[Emission]:
        """The stored segment, its times not set; it has nothing to do with who wears the device now."""
        again, self._dumps = self._dumps > 0, self._dumps + 1
        messages, pairs = [], list[tuple[int, int, int]]()
        for second in range(self._stored.seconds):
            spo2, pulse = 94 + second // 20 % 5, 58 + second // 7 % 11
            if self._stored.perfusion:
                messages.append(_with_perfusion(second, spo2, pulse, 200 + second % 90, again=again))
                continue
            pairs.append((second, spo2, pulse))
            if len(pairs) == 3 or second == self._stored.seconds - 1:
                messages.append(_three_seconds(pairs, again=again))
                pairs.clear()
        return messages

    def _advance_dump(self, until_us: int, said: list[Emission]) -> None:
        while self._dump is not None and self._dump[0].next_us <= until_us:
            ticker, messages = self._dump
            time_us = ticker.next_us
            said.append(replace(messages.pop(0), time_us=time_us))
            ticker.count += 1
            if not messages:
                self._dump = None
                self._live, self._paused = self._paused, None
                if self._live is not None:
                    # What would have been sent meanwhile is left out; the host has had enough to listen to.
                    self._heard_us = time_us
                    while self._live.next_us <= time_us:
                        self._live.count += 1


def _note(time_us: int, kind: int, payload: bytes) -> Emission:
    """A message that carries no reading and leaves the groups around it alone."""
    return Emission(time_us, encode(kind, payload), opens=False, ends_group=False)


def _with_perfusion(second: int, spo2: int, pulse: int, perfusion: int, *, again: bool) -> Emission:
    values = (("spo2", spo2), ("pulse", pulse), ("pi", perfusion / 100))
    readings = tuple(Reading(signal, value, stored=second) for signal, value in values)
    return Emission(0, encode(0x09, bytes((spo2, pulse)) + perfusion.to_bytes(2, "little")), readings, again=again)


def _three_seconds(pairs: list[tuple[int, int, int]], *, again: bool) -> Emission:
    payload = b"".join(bytes((spo2, pulse)) for _, spo2, pulse in pairs).ljust(6, b"\0")
    readings = tuple(
        Reading(signal, value, stored=second)
        for second, spo2, pulse in pairs
        for signal, value in (("spo2", spo2), ("pulse", pulse))
    )
    return Emission(0, encode(0x0F, payload), readings, again=again)
