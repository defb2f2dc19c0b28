"""Nonin OEM III, Xpod and 3150 pulse oximeters: data formats 2, 7 and 8 at 9600 8N1.

Formats 2 and 7 send 75 frames a second, each with one pleth sample and one byte of a packet of 25 frames, so a packet
of values comes three times a second. Byte of the packet, counted from 0: 0/1 heart rate (4-beat average), 2 SpO2,
3 firmware revision, 8 SpO2-D, 9 SpO2 fast, 10 SpO2 beat to beat, 13/14 extended heart rate, 15 E-SpO2, 16 E-SpO2-D,
19/20 heart rate D, 21/22 E-heart rate D. A rate is (MSB & 3) << 7 | (LSB & 7F), 511 = missing; SpO2 is b & 7F,
127 = missing. (Joining the rate as MSB << 8 | LSB is a known mistake; it is wrong from 128 on.)

A packet gives values only if all of its 25 frames were seen with good checksums and SYNC stood in the first one alone.
Its quality is everything that any of its frames said. The perfusion flags stand in a dozen frames around each beat.

Format 8 sends four bytes a second without a checksum: rate and SpO2 only.

Unconfirmed (?): bit 6 of byte 0 of format 8 as "sensor disconnected" is in open drivers, not in every document. The
firmware revision is reported as the number in its byte.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Self

from gateway.drivers.api import GOOD, Event, FrameErrors, Identity, LineSettings, Notice, Reading, Signal, Wave
from gateway.drivers.common import Plausible, Run, choose, make_reading, table
from gateway.drivers.nonin_frames import PACKET, SYNC, Frame, Framer, Framer8
from vitaledger.marks import Absence, Check, Quality, Sureness
from vitaledger.vitals import DIMENSIONLESS, PER_MINUTE, PERCENT

RATE, SATURATION, PLETH = 149530, 150456, 150452
NO_RATE, NO_SATURATION = 511, 127
REPLY_US = 2_000_000  # how long an answer to a host operation may take

# handle, byte of the packet; a rate has two bytes. The order is the order of the readings.
_VALUES = (
    ("pulse", 0),
    ("spo2", 2),
    ("spo2.d", 8),
    ("spo2.fast", 9),
    ("spo2.beat", 10),
    ("pulse.e", 13),
    ("spo2.e", 15),
    ("spo2.e.d", 16),
    ("pulse.d", 19),
    ("pulse.e.d", 21),
)
_FIRMWARE = 3

_DISCONNECTED, _ARTEFACT, _OUT_OF_TRACK, _SENSOR_ALARM, _RED, _GREEN = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02


def _quality(status: int) -> Quality:
    """What STATUS of one frame says of the quality; red and green together mean yellow."""
    marks = (
        (_ARTEFACT, Quality.ARTEFACT),
        (_OUT_OF_TRACK, Quality.OUT_OF_TRACK),
        (_SENSOR_ALARM, Quality.SENSOR_ALARM),
    )
    quality = GOOD
    for bit, mark in marks:
        if status & bit:
            quality |= mark
    if status & _RED:
        quality |= Quality.MARGINAL_PERFUSION if status & _GREEN else Quality.LOW_PERFUSION
    return quality


# Looked up 75 times a second: adding flags of an IntFlag one by one is slow.
_MARKS = tuple((Absence.SENSOR_DISCONNECTED if s & _DISCONNECTED else None, _quality(s)) for s in range(256))


def _signal(handle: str) -> Signal:
    rate = handle.startswith("pulse")
    return Signal(handle, RATE if rate else SATURATION, PER_MINUTE if rate else PERCENT)


class NoninDriver:
    """Nonin data formats 2 and 7, and 8 (then an instance of `NoninFormat8` is made, which has no checksum).

    Options: `format` is what the device is set to send. With `set-format` = yes, and only if the driver may send, the
    host operation ``02 70 02 02 format 03`` goes out each time the line is opened; nothing else is ever sent.
    `model` is what stands on the device, because its protocol does not tell.
    """

    NAME: ClassVar[str] = "nonin"
    VERSION: ClassVar[str] = "1"
    CHECK: ClassVar[Check] = Check.CHECKSUM
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "format": ("2", "7", "8"),
        "set-format": ("no", "yes"),
        "model": ("OEM III", "Xpod", "3150"),
    }

    def __new__(cls, *, may_send: bool, options: Mapping[str, str] | None = None) -> Self:  # noqa: ARG004
        """Make a `NoninFormat8` for format 8: what protects a frame is a property of the class."""
        if cls is NoninDriver and (options or {}).get("format") == "8":
            return object.__new__(NoninFormat8)  # type: ignore[return-value]
        return object.__new__(cls)

    def __init__(self, *, may_send: bool, options: Mapping[str, str] | None = None) -> None:
        chosen = choose(self.NAME, self.OPTIONS, options)
        self._format, self._model = chosen["format"], chosen["model"]
        self._set_format = may_send and chosen["set-format"] == "yes"
        self._signals = table(*(_signal(handle) for handle, _ in _VALUES))
        self._waves = {"pleth": Wave("pleth", PLETH, DIMENSIONLESS, Fraction(75))}
        self._rate, self._saturation = Plausible("pulse-rate"), Plausible("spo2")
        self._out = b""
        self._reply_until: int | None = None
        self._framer = Framer(self._format)
        self._run = Run("pleth")
        self._packet = bytearray(PACKET)
        self._at: int | None = None  # the next frame of the packet; None before the first SYNC
        self._counted = False  # that the packet now passing is not whole was counted as an error
        self._packet_quality = 0
        self._disconnected = False
        self._opened = False

    @property
    def signals(self) -> Mapping[str, Signal]:
        """Ten values a packet in formats 2 and 7, two in format 8."""
        return self._signals

    @property
    def waves(self) -> Mapping[str, Wave]:
        """The pleth wave: 8 bits in format 2, 16 bits in format 7, none in format 8."""
        return self._waves

    @property
    def line(self) -> LineSettings:
        """9600 8N1."""
        return LineSettings(9600)

    def opened(self, now_us: int) -> None:
        """Forget partial frames; ask for the format if that was configured."""
        self._framer.reset()
        self._at, self._counted = None, False
        if self._opened:
            self._run.lost([], now_us)
        self._opened = True
        self._ask(now_us)

    def _ask(self, now_us: int) -> None:
        if self._set_format:
            self._out = bytes((0x02, 0x70, 0x02, 0x02, int(self._format), 0x03))
            self._reply_until = now_us + REPLY_US

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Decode what came; the samples of a run are told together."""
        events: list[Event] = []
        self._framer.expect_reply = self._reply_until is not None and now_us <= self._reply_until
        for item in self._framer.feed(data):
            if isinstance(item, str):
                self._no_frame(item, events, now_us)
            else:
                self._frame(item, events, now_us)
        self._run.flush(events, now_us)
        return events

    def tick(self, now_us: int) -> list[Event]:
        """Nothing depends on the time but the waiting for an answer, which `receive` checks."""
        del now_us
        return []

    def to_send(self, now_us: int) -> bytes:
        """The format, once after each opening, if it was configured."""
        del now_us
        out, self._out = self._out, b""
        return out

    def _reply(self, word: str, events: list[Event], now_us: int) -> None:
        self._reply_until = None
        if word == "nak":
            events.append(Notice(now_us, f"the device refused to be set to data format {self._format}"))

    def _no_frame(self, word: str, events: list[Event], now_us: int) -> None:
        if word in {"ack", "nak"}:
            self._reply(word, events, now_us)
            return
        self._run.lost(events, now_us)
        self._at, self._counted = None, True
        events.append(FrameErrors(now_us, word))

    def _frame(self, frame: Frame, events: list[Event], now_us: int) -> None:
        status, pleth, data = frame
        at = self._at
        if status & SYNC:
            if at is not None and at != PACKET:
                self._run.lost(events, now_us)
                events.append(FrameErrors(now_us, "length"))  # good frames, but some of this packet never came
            at, self._counted = 0, False
            self._packet_quality, self._disconnected = 0, False
        elif at == PACKET:
            self._run.lost(events, now_us)
            events.append(FrameErrors(now_us, "sync"))
            self._framer.unlock()
            at, self._counted = None, True
        elif at is None and not self._counted:  # the line was opened in mid-packet
            events.append(FrameErrors(now_us, "length"))
            self._counted = True
        absence, quality = _MARKS[status]
        self._run.add(pleth, absence, quality, events, now_us)
        if at is not None:
            self._packet[at] = data
            self._packet_quality |= int(quality)
            self._disconnected |= absence is not None
            at += 1
        self._at = at
        if at == PACKET:
            self._run.flush(events, now_us)
            self._values(events, now_us)

    def _values(self, events: list[Event], now_us: int) -> None:
        packet, quality = self._packet, Quality(self._packet_quality)
        for handle, at in _VALUES:
            if handle.startswith("pulse"):
                value, missing = (packet[at] & 3) << 7 | packet[at + 1] & 0x7F, NO_RATE
                limits = self._rate
            else:
                value, missing, limits = packet[at] & 0x7F, NO_SATURATION, self._saturation
            if self._disconnected:
                events.append(make_reading(handle, now_us, None, Absence.SENSOR_DISCONNECTED, quality, None))
            elif value == missing:
                events.append(make_reading(handle, now_us, None, Absence.INVALID, quality, None))
            else:
                mark = limits.mark(value)
                events.append(
                    make_reading(handle, now_us, value, None, quality if mark is GOOD else quality | mark, None)
                )
        # The device tells its revision but neither who it is nor its serial number: only the port is sure.
        events.append(Identity("Nonin", self._model, None, str(packet[_FIRMWARE]), Sureness.PORT))


class NoninFormat8(NoninDriver):
    """Nonin data format 8: four bytes a second, no checksum.

    B0: b7 = 1, b6 sensor disconnected (?), b5 out of track, b4 low perfusion, b3 marginal perfusion, b2 artefact, b1-0
    rate bits 8-7. B1: rate bits 6-0. B2: SpO2. B3: b5 SmartPoint, b3 finger off. What it may send: see `NoninDriver`.
    """

    CHECK: ClassVar[Check] = Check.NOTHING

    def __init__(self, *, may_send: bool, options: Mapping[str, str] | None = None) -> None:
        super().__init__(may_send=may_send, options={"format": "8", **(options or {})})
        self._signals = table(_signal("pulse"), _signal("spo2"))
        self._waves = {}
        self._framer8 = Framer8()

    def opened(self, now_us: int) -> None:
        """Forget a partial frame; ask for the format if that was configured."""
        self._framer8.reset()
        self._ask(now_us)

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Decode what came."""
        events: list[Event] = []
        self._framer8.expect_reply = self._reply_until is not None and now_us <= self._reply_until
        for item in self._framer8.feed(data):
            if isinstance(item, bytes):
                self._second(item, events, now_us)
            elif item == "sync":
                events.append(FrameErrors(now_us, item))
            else:
                self._reply(item, events, now_us)
        return events

    def _second(self, frame: bytes, events: list[Event], now_us: int) -> None:
        first, low, saturation, flags = frame
        quality = GOOD
        for bit, mark in (
            (0x20, Quality.OUT_OF_TRACK),
            (0x10, Quality.LOW_PERFUSION),
            (0x08, Quality.MARGINAL_PERFUSION),
            (0x04, Quality.ARTEFACT),
        ):
            if first & bit:
                quality |= mark
        absence: Absence | None = None
        if first & 0x40:
            absence = Absence.SENSOR_DISCONNECTED
        elif flags & 0x08:
            absence = Absence.SENSOR_OFF
        for handle, value, missing, limits in (
            ("pulse", (first & 3) << 7 | low, NO_RATE, self._rate),
            ("spo2", saturation, NO_SATURATION, self._saturation),
        ):
            if absence is not None or value == missing:
                events.append(Reading(handle, now_us, None, absence or Absence.INVALID, quality))
            else:
                events.append(Reading(handle, now_us, value, quality=quality | limits.mark(value)))
