"""Masimo Rad-8, Radical-7 and their like in ASCII-1: one line a second, 9600 8N1, no checksum.

The line is described in `masimo_line`; this file makes events of it. ALARM tells which limits are violated, EXC what
is the matter with sensor and signal. Dashes are an absence whose reason EXC gives; a number stays a number, and EXC
marks its quality. The time is the device's own clock with a year of two digits, read as 20yy, from 70 as 19yy.

EXC: 1 no sensor, 2 defective sensor, 4 low perfusion, 8 pulse search, 10 interference, 20 sensor off, 40 ambient light,
80 unrecognised sensor, 100 incompatible sensor, 400 low signal IQ, 800 Masimo SET (normal), 1000 no cable, 2000 cable
life expired, 4000/8000/10000 incompatible, unrecognised, defective cable, 20000 sensor calibrating, 40000 sensor life
expired, 80000 emitter temperature, 100000 sensor current, 200000/400000 SpCO, SpMet of low confidence. From 2000 on
except 20000 and 40000 they are from one open driver only (?).

SpCO, SpMet, PVI, desaturation index and PI delta have no confirmed 11073 code here (?): their code is 0.
"""

from collections.abc import Mapping
from typing import ClassVar

from gateway.drivers.api import (
    GOOD,
    Alarm,
    DeviceClock,
    Event,
    FrameErrors,
    Identity,
    LineSettings,
    Notice,
    Reading,
    Signal,
    Wave,
)
from gateway.drivers.common import Plausible, choose, table
from gateway.drivers.masimo_line import START, TAGS, BadLineError, Line, local_ms, parse
from vitaledger.marks import Absence, AlarmKind, AlarmPhase, Check, Quality
from vitaledger.vitals import DIMENSIONLESS, PER_MINUTE, PERCENT

MAX_LINE = 512
_ENDS = b"\r\n\0"
_ACTIVE, _SILENCED = 0x10, 0x20
_ALARMS: Mapping[int, str] = {
    0x0001: "SpO2 high",
    0x0002: "SpO2 low",
    0x0004: "pulse rate high",
    0x0008: "pulse rate low",
    _ACTIVE: "alarm active",
    0x0040: "low battery",
    0x0100: "SpCO high",
    0x0200: "SpCO low",
    0x0400: "SpMet high",
    0x0800: "SpMet low",
    0x1000: "desaturation index",
    0x2000: "perfusion index delta",
}
_PHYSIOLOGICAL = 0x3F0F
_FAULTS: Mapping[int, str] = {
    0x000001: "no sensor",
    0x000002: "defective sensor",
    0x000020: "sensor off",
    0x000080: "unrecognised sensor",
    0x000100: "incompatible sensor",
    0x001000: "no cable",
    0x002000: "cable life expired",
    0x004000: "incompatible cable",
    0x008000: "unrecognised cable",
    0x010000: "defective cable",
    0x040000: "sensor life expired",
    0x080000: "emitter temperature out of range",
    0x100000: "sensor current limit exceeded",
}
# The first that is set is the reason; what is not connected explains all the rest.
_REASONS = (
    (0x001001, Absence.SENSOR_DISCONNECTED),
    (0x000020, Absence.SENSOR_OFF),
    (0x000008, Absence.SEARCHING),
    (0x000002, Absence.PROBE_ERROR),
    (0x020000, Absence.CALIBRATING),
)
_QUALITIES = (
    (0x000004, Quality.LOW_PERFUSION),
    (0x000050, Quality.INTERFERENCE),
    (0x000400, Quality.LOW_SIGNAL),
    (0x020000, Quality.CALIBRATION_ONGOING),
    # The device gives a number although it says that there is no good sensor, or that it still searches.
    (0x0011AB, Quality.QUESTIONABLE),
)
_LOW_CONFIDENCE = {"spco": 0x200000, "spmet": 0x400000}
_HINT = (
    "the lines are not Masimo ASCII-1 (they may be ASCII-2, the factory setting of some models): set the serial output "
    "to ASCII 1 in the device's output menu"
)
_REGULAR = 16  # printable bytes: shorter ones are pieces of a line


def _printable(line: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte == 0x09 for byte in line)


class MasimoDriver:
    """Masimo oximeters in ASCII-1. It never sends anything.

    Option `model` is what stands on the device, because its protocol does not tell.
    """

    NAME: ClassVar[str] = "masimo"
    VERSION: ClassVar[str] = "2"
    CHECK: ClassVar[Check] = Check.NOTHING
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model": ("Rad-8 or Radical-7", "Rad-5", "Rad-8", "Rad-87", "Radical-5", "Radical-7"),
    }

    def __init__(self, *, may_send: bool, options: Mapping[str, str] | None = None) -> None:
        del may_send
        self._model = choose(self.NAME, self.OPTIONS, options)["model"]
        self._signals = table(
            Signal("spo2", 150456, PERCENT),
            Signal("pulse", 149530, PER_MINUTE),
            Signal("pi", 150448, PERCENT, -2),
            Signal("spco", 0, PERCENT, -1),
            Signal("spmet", 0, PERCENT, -1),
            Signal("desat", 0, DIMENSIONLESS),
            Signal("pidelta", 0, PERCENT),
            Signal("pvi", 0, PERCENT),
        )
        self._limits = {
            "spo2": Plausible("spo2"),
            "pulse": Plausible("pulse-rate"),
            "pi": Plausible("perfusion-index", -2),
            "spco": Plausible("spco", -1),
            "spmet": Plausible("spmet", -1),
            "desat": Plausible("desaturation-index"),
            "pidelta": Plausible("perfusion-delta"),
            "pvi": Plausible("pvi"),
        }
        self._line = bytearray()
        self._overlong = False
        self._hinted = False
        self._serial: str | None = None
        self._alarms = 0
        self._silenced = False
        self._faults = 0

    @property
    def signals(self) -> Mapping[str, Signal]:
        """What any model sends; a line gives readings for the fields that it has."""
        return self._signals

    @property
    def waves(self) -> Mapping[str, Wave]:
        """None: ASCII-1 has no waves."""
        return {}

    @property
    def line(self) -> LineSettings:
        """9600 8N1."""
        return LineSettings(9600)

    def opened(self, now_us: int) -> None:
        """Forget a partial line. Alarms go on: their end is told by the next line that does not have them."""
        del now_us
        self._line.clear()
        self._overlong = False

    def tick(self, now_us: int) -> list[Event]:
        """Nothing depends on the time."""
        del now_us
        return []

    def to_send(self, now_us: int) -> bytes:
        """Return nothing, ever."""
        del now_us
        return b""

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Decode the lines that end in what came."""
        events: list[Event] = []
        for byte in data:
            if byte in _ENDS:
                if self._line:
                    self._ended(bytes(self._line), events, now_us)
                    self._line.clear()
                self._overlong = False
            else:
                self._line.append(byte)
                if len(self._line) > MAX_LINE:
                    # Noise without an end may stand before a good line: its end is kept.
                    del self._line[: MAX_LINE // 2]
                    self._overlong = True
                    events.append(FrameErrors(now_us, "length"))
        return events

    def _ended(self, raw: bytes, events: list[Event], now_us: int) -> None:
        starts = [found.start() for found in START.finditer(raw)]
        if starts and starts[-1] > 0:
            # A lost line end, or noise before the line: the last date begins the line that has an end.
            if not self._overlong:
                events.append(FrameErrors(now_us, "sync"))
            raw = raw[starts[-1] :]
        try:
            line = parse(raw)
        except BadLineError as bad:
            events.append(FrameErrors(now_us, bad.kind))
            tagged = b"SPO2=" in raw or b"EXC=" in raw
            regular = len(raw) >= _REGULAR and b"=" not in raw and not tagged and _printable(raw)
            if regular and not self._hinted:
                self._hinted = True
                events.append(Notice(now_us, _HINT))
            return
        self._hinted = False
        self._second(line, events, now_us)

    def _second(self, line: Line, events: list[Event], now_us: int) -> None:
        if line.serial is not None:
            if self._serial not in {None, line.serial}:
                self._alarms = self._faults = 0  # another device: its alarms begin, those of the other do not end
            self._serial = line.serial
            events.append(Identity("Masimo", self._model, line.serial))
        clock = local_ms(line.time)
        if clock is not None:
            events.append(DeviceClock(now_us, line.time, clock))
        reason = next((absence for bits, absence in _REASONS if line.exceptions & bits), Absence.INVALID)
        common = GOOD
        for bits, mark in _QUALITIES:
            if line.exceptions & bits:
                common |= mark
        for handle, _ in TAGS.values():
            if handle not in line.values:
                continue
            quality = common
            if line.exceptions & _LOW_CONFIDENCE.get(handle, 0):
                quality |= Quality.QUESTIONABLE
            value = line.values[handle]
            if value is None:
                events.append(Reading(handle, now_us, None, reason, quality & ~Quality.QUESTIONABLE))
            else:
                events.append(Reading(handle, now_us, value, quality=quality | self._limits[handle].mark(value)))
        self._tell_alarms(line, events, now_us)
        self._tell_faults(line, events, now_us)

    def _tell_alarms(self, line: Line, events: list[Event], now_us: int) -> None:
        """Onset and end of each bit; an update of those that go on where the device was silenced or no longer is."""
        silenced = bool(line.alarm & _SILENCED)
        bits = line.alarm & ~_SILENCED
        if bits & ~_ACTIVE:
            bits &= ~_ACTIVE  # it sums up the others, and is an alarm of its own only where none of them is set
        before, self._alarms = self._alarms, bits
        changed, self._silenced = silenced != self._silenced, silenced
        for number in range(32):
            bit = 1 << number
            if not (bits | before) & bit:
                continue
            if bits & bit and before & bit:
                if not changed:
                    continue
                phase = AlarmPhase.UPDATE
            else:
                phase = AlarmPhase.ONSET if bits & bit else AlarmPhase.END
            kind = AlarmKind.PHYSIOLOGICAL if bit & _PHYSIOLOGICAL else AlarmKind.TECHNICAL
            text = _ALARMS.get(bit, f"reserved bit {bit:04X}")
            events.append(Alarm(now_us, line.alarm_text, None, kind, phase, text, silenced=silenced))

    def _tell_faults(self, line: Line, events: list[Event], now_us: int) -> None:
        before, self._faults = self._faults, line.exceptions
        for bit, text in _FAULTS.items():
            if (before ^ line.exceptions) & bit:
                phase = AlarmPhase.ONSET if line.exceptions & bit else AlarmPhase.END
                events.append(Alarm(now_us, line.exceptions_text, None, AlarmKind.TECHNICAL, phase, text))
