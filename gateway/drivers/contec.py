r"""Contec CMS50D+ (firmware 4.6 and later) and CMS50E V7.0 pulse oximeters, 115200 8N1, no checksum.

Frame: ``type (b7 = 0) | HIGH (b7 = 1) | payload (b7 = 1)``; bit i of HIGH is the eighth bit of payload byte i, so the
only byte without b7 begins a frame. Live data are type 01, 60 a second:

    p0 b0-3 signal, b4 searching too long, b5 low SpO2, b6 beep, b7 probe error      p3 pulse, FF = invalid
    p1 b0-6 wave, b7 searching                                                       p4 SpO2, 7F = invalid
    p2 b0-3 bar graph, b4 = 1 perfusion index invalid                                p5/p6 perfusion index * 100, low
                                                                                     byte first, FFFF = invalid

Each of these frames gives three readings and a sample. Stored data are one value a second: type 0F three times (SpO2,
pulse), type 09 SpO2, pulse and perfusion index; zeros fill up. Their start is told by type 07 (user, segment, century,
year, month, day) and 12 (user, segment, hour, minute, second), or by zeros: then the data are undated. `Stored.ordinal`
is the second since that start; it begins at 0 with each of types 07, 08 and 12.

>>> decode(bytes.fromhex("01e0849392bce3ffff"))
(1, b'\x04\x13\x12<c\xff\xff')
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

from gateway.drivers.api import GOOD, Alarm, Event, FrameErrors, LineSettings, Notice, Reading, Signal, Stored, Wave
from gateway.drivers.common import Plausible, Run, choose, make_reading, table
from vitaledger.marks import Absence, AlarmKind, AlarmPhase, Check
from vitaledger.vitals import DIMENSIONLESS, PER_MINUTE, PERCENT

LIVE, DATE, LENGTH, STORED_PI, FEEDBACK, DISCONNECT, STORED, TIME = 0x01, 0x07, 0x08, 0x09, 0x0B, 0x0D, 0x0F, 0x12
# Payload bytes by type. 02, 03, 06, 13 and 14 (model, vendor, and answers nobody explained) are seen on real lines.
SIZES: Mapping[int, int] = (
    dict.fromkeys((0x01, 0x02, 0x03, 0x04, 0x05, 0x11, 0x13, 0x14, 0x15, 0x7D), 7)
    | dict.fromkeys((0x07, 0x08, 0x0F, 0x12), 6)
    | {0x09: 4, 0x0C: 0}
    | dict.fromkeys((0x06, 0x0A, 0x0B), 2)
    | dict.fromkeys((0x0D, 0x0E, 0x10), 1)
)
START, STOP, STOP_STORED, HEARTBEAT = 0xA1, 0xA2, 0xA7, 0xAF
HEARTBEAT_US = 5_000_000
RESTART_US = 3_000_000
HOLD_US = 100_000
NO_PULSE, NO_SATURATION, NO_PI = 0xFF, 0x7F, 0xFFFF
_HIGH = 0x80
_LIVE_SIZE = SIZES[LIVE] + 2  # type and high bits
_ERROR_EVERY = 540  # bytes, a second of live data: an unreadable line goes on telling so
_REASONS = {
    1: "it was switched off",
    2: "another user was chosen",
    3: "it is recording",
    4: "deleting failed",
    5: "it does not know the command",
}


def command(code: int) -> bytes:
    """A command of nine bytes without arguments."""
    return bytes((0x7D, 0x81, code)) + bytes((_HIGH,)) * 6


def decode(frame: bytes) -> tuple[int, bytes]:
    """Type and payload of a whole frame, the eighth bits put back."""
    high = frame[1]
    return frame[0], bytes(byte & 0x7F | (high >> i & 1) << 7 for i, byte in enumerate(frame[2:]))


class ContecDriver:
    """Contec CMS50D+ from 4.6 on, CMS50E V7.0.

    If the driver may send: on opening A7 and A2 (stop stored and live data, as the maker's program begins) and A1
    (start live data); AF (heartbeat) every five seconds; A1 again after each three seconds without data. It never asks
    for stored data, never sets the clock and never sends AE, which deletes the memory.
    """

    NAME: ClassVar[str] = "contec"
    VERSION: ClassVar[str] = "1"
    CHECK: ClassVar[Check] = Check.NOTHING
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, *, may_send: bool, options: Mapping[str, str] | None = None) -> None:
        choose(self.NAME, self.OPTIONS, options)
        self._may_send = may_send
        self._limits = (Plausible("pulse-rate"), Plausible("spo2"), Plausible("perfusion-index", -2))
        self._run = Run("pleth")
        self._out = b""
        self._heartbeat_us = self._data_us = 0
        self._opened = False
        self._low = False
        self._notice = ""
        self._forget()

    def _forget(self) -> None:
        self._frame = bytearray()
        self._size = 0  # payload bytes of the frame that is coming; -1 for a type nobody knows
        self._skipped = 0
        self._held: tuple[int, bytes] | None = None
        self._held_us = 0
        self._was_live = False
        self._date = self._time = ""
        self._ordinal = 0

    @property
    def signals(self) -> Mapping[str, Signal]:
        """Pulse rate, SpO2 and perfusion index."""
        return table(
            Signal("pulse", 149530, PER_MINUTE),
            Signal("spo2", 150456, PERCENT),
            Signal("pi", 150448, PERCENT, -2),
        )

    @property
    def waves(self) -> Mapping[str, Wave]:
        """The pleth wave, 0 to 127."""
        return {"pleth": Wave("pleth", 150452, DIMENSIONLESS, Fraction(60))}

    @property
    def line(self) -> LineSettings:
        """115200 8N1."""
        return LineSettings(115200)

    def opened(self, now_us: int) -> None:
        """Forget partial frames and the place in stored data; begin live data."""
        self._forget()
        if self._opened:
            self._run.lost([], now_us)
        self._opened = True
        self._heartbeat_us = self._data_us = now_us
        self._out = command(STOP_STORED) + command(STOP) + command(START)

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Decode what came; the samples of a run are told together, behind the readings."""
        events: list[Event] = []
        at = 0
        while at < len(data):
            if data[at] == LIVE and not self._frame and self._held is None:
                frame = data[at : at + _LIVE_SIZE]
                if len(frame) == _LIVE_SIZE and min(frame[1:]) >= _HIGH:  # whole: what its bytes one by one come to
                    self._complete(decode(frame), events, now_us)
                    at += _LIVE_SIZE
                    continue
            self._byte(data[at], events, now_us)
            at += 1
        self._run.flush(events, now_us)
        return events

    def _byte(self, byte: int, events: list[Event], now_us: int) -> None:
        if byte < _HIGH:
            self._begin(byte, events, now_us)
        elif not self._frame or self._size < 0:
            self._held = None  # more bytes than its type has: it was no stored data
            self._bad(1, events, now_us)
        else:
            self._frame.append(byte)
            if len(self._frame) == self._size + 2:
                frame = decode(bytes(self._frame))
                self._frame.clear()
                self._complete(frame, events, now_us)

    def tick(self, now_us: int) -> list[Event]:
        """Prepare the heartbeat, and the start command where live data stopped."""
        events: list[Event] = []
        if self._held is not None and now_us - self._held_us >= HOLD_US:
            held, self._held = self._held, None
            self._stored(*held, events, now_us)
        if self._opened:
            if now_us - self._heartbeat_us >= HEARTBEAT_US:
                self._heartbeat_us = now_us
                self._out += command(HEARTBEAT)
            if now_us - self._data_us >= RESTART_US:
                self._data_us = now_us
                self._out += command(START)
        return events

    def to_send(self, now_us: int) -> bytes:
        """Commands that are due; none at all if the driver may only listen."""
        del now_us
        out, self._out = self._out, b""
        return out if self._may_send else b""

    def _begin(self, byte: int, events: list[Event], now_us: int) -> None:
        """A byte without b7: a frame begins here, and the one before has to be whole."""
        if self._held is not None:
            held, self._held = self._held, None
            self._stored(*held, events, now_us)
        if self._frame:
            if self._frame[0] in {STORED, STORED_PI}:
                self._ordinal += 3 if self._frame[0] == STORED else 1  # those seconds are lost, not shifted
            self._bad(len(self._frame), events, now_us)
            self._frame.clear()
        self._frame.append(byte)
        self._size = SIZES.get(byte, -1)
        if self._size < 0:
            self._bad(1, events, now_us)

    def _bad(self, count: int, events: list[Event], now_us: int) -> None:
        """Count bytes that are in no frame, one error for a run of them."""
        before, self._skipped = self._skipped, self._skipped + count
        if before == 0 or before // _ERROR_EVERY != self._skipped // _ERROR_EVERY:
            self._run.lost(events, now_us)
            events.append(FrameErrors(now_us, "sync"))

    def _complete(self, frame: tuple[int, bytes], events: list[Event], now_us: int) -> None:
        self._skipped = 0
        kind, payload = frame
        if kind == LIVE:
            self._data_us = now_us
            self._was_live = True
            self._live(payload, events, now_us)
        elif kind in {STORED, STORED_PI}:
            # One flipped bit makes 09 of 01. In the middle of live data such a frame waits for the next one to begin,
            # which it does not where the byte was a live frame's.
            if self._was_live:
                self._held, self._held_us = frame, now_us
            else:
                self._stored(kind, payload, events, now_us)
        elif self._was_live and len(payload) == SIZES[LIVE]:
            # Answers of this length were not asked for: it is a live frame whose type was hit.
            self._run.lost(events, now_us)
            events.append(FrameErrors(now_us, "type"))
        elif kind in {DATE, TIME, LENGTH}:
            self._start(kind, payload)
        elif kind == FEEDBACK and payload[1]:
            reason = _REASONS.get(payload[1], f"reason {payload[1]:02X}")
            self._tell(f"the device refused command {payload[0]:02X}: {reason}", events, now_us)
        elif kind == DISCONNECT:
            reason = _REASONS.get(payload[0], f"reason {payload[0]:02X}")
            self._tell(f"the device ended the connection: {reason}", events, now_us)

    def _tell(self, text: str, events: list[Event], now_us: int) -> None:
        if text != self._notice:
            self._notice = text
            events.append(Notice(now_us, text))

    def _live(self, payload: bytes, events: list[Event], now_us: int) -> None:
        flags, wave, bar, pulse, saturation, pi_low, pi_high = payload
        absence: Absence | None = None
        if flags & 0x80:
            absence = Absence.PROBE_ERROR
        elif flags & 0x10 or wave & 0x80:
            absence = Absence.SEARCHING
        perfusion = pi_low | pi_high << 8
        invalid = (pulse == NO_PULSE, saturation == NO_SATURATION, bool(bar & 0x10) or perfusion == NO_PI)
        for handle, value, none, limits in zip(
            ("pulse", "spo2", "pi"), (pulse, saturation, perfusion), invalid, self._limits, strict=True
        ):
            if absence is not None or none:
                events.append(make_reading(handle, now_us, None, absence or Absence.INVALID, GOOD, None))
            else:
                events.append(make_reading(handle, now_us, value, None, limits.mark(value), None))
        low = bool(flags & 0x20)
        if low != self._low:
            self._low = low
            phase = AlarmPhase.ONSET if low else AlarmPhase.END
            bits = f"{flags:02X}"
            events.append(Alarm(now_us, bits, None, AlarmKind.PHYSIOLOGICAL, phase, "SpO2 low"))
        self._run.add(wave & 0x7F, absence, GOOD, events, now_us)

    def _start(self, kind: int, payload: bytes) -> None:
        """Where stored data begin. Only what the device tells is told; zeros tell nothing."""
        self._ordinal = 0
        self._was_live = False
        told = payload[2:]
        if kind == DATE:
            self._date = "{:02d}{:02d}-{:02d}-{:02d}".format(*told[:4]) if any(told[:4]) else ""
            self._time = ""
        elif kind == TIME:
            # Midnight is all zero too: it is a time where a date was told.
            self._time = "{:02d}:{:02d}:{:02d}".format(*told[:3]) if any(told[:3]) or self._date else ""

    def _stored(self, kind: int, payload: bytes, events: list[Event], now_us: int) -> None:
        self._run.flush(events, now_us)  # the samples that came before: behind these they would end the dump
        self._data_us = now_us
        self._was_live = False
        width = 2 if kind == STORED else 4
        time = f"{self._date} {self._time}".strip() or None
        for at in range(0, len(payload), width):
            second = payload[at : at + width]
            stored = Stored(self._ordinal, time)
            self._ordinal += 1  # a second that is only filled up is a second all the same
            if not any(second):
                continue
            saturation, pulse = second[:2]
            values = [("spo2", saturation, NO_SATURATION, 1), ("pulse", pulse, NO_PULSE, 0)]
            if kind == STORED_PI:
                values.append(("pi", second[2] | second[3] << 8, NO_PI, 2))
            for handle, value, none, limits in values:
                if value in {0, none}:
                    events.append(Reading(handle, now_us, None, Absence.INVALID, stored=stored))
                else:
                    quality = self._limits[limits].mark(value)
                    events.append(Reading(handle, now_us, value, quality=quality, stored=stored))
