"""What a driver is: bytes and the present time in, events and bytes to send out.

A driver owns no port, no clock and no thread. The agent calls it like this, always from one thread:

    driver.opened(now)                  the line was opened: forget partial frames, begin the opening commands
    driver.receive(data, now) -> [...]  bytes came, in pieces of any size
    driver.tick(now) -> [...]           at least once a second, also when nothing comes; four times a second after the
                                        driver has sent something, until it was given an answer, for two seconds at most
    driver.to_send(now) -> bytes        after these; b"" most of the time

`now` is the gateway's monotonic time in µs. The agent measured it when the bytes arrived, up to a second before the
call, and it never goes back from call to call; what a driver emits bears
the `now` of the call that completed it. No byte sequence whatever may raise: what is not a frame is counted
as `FrameErrors`, and the driver looks for the next frame, losing at most one packet after the last bad byte.

A driver that was not named in the configuration only listens: it is made with ``may_send=False`` and `to_send` answers
b"". What a named driver may send stands in its class docstring.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Protocol

from vitaledger.marks import Absence, AlarmKind, AlarmPhase, AlarmPriority, Category, Check, Quality, Sureness

GOOD = Quality(0)


@dataclass(frozen=True, slots=True)
class Signal:
    """A numeric signal of a device. A reading's value times 10**exponent is in `unit`."""

    handle: str  # unique in the device: "spo2", "spo2.fast"
    code: int  # 32-bit MDC code (partition * 65,536 + term); 0 where the nomenclature has none
    unit: int  # 32-bit MDC unit code
    exponent: int = 0
    category: Category = Category.MEASURED


@dataclass(frozen=True, slots=True)
class Wave:
    """A sampled signal. Its value is (sample + offset) * scale, in `unit`."""

    handle: str
    code: int
    unit: int
    rate: Fraction  # samples a second
    scale: Fraction = Fraction(1)
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A reading out of the device's memory: its place there and the device's own time, verbatim where it tells one."""

    ordinal: int
    device_time: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, or one stated absence (`value` None and a reason), of one signal at one time."""

    handle: str
    at_us: int
    value: int | None
    absence: Absence | None = None
    quality: Quality = GOOD
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of a wave. `at_us` is the arrival of the last one."""

    handle: str
    at_us: int
    samples: tuple[int, ...]
    absence: Absence | None = None
    quality: Quality = GOOD
    follows: bool = True  # False: at least one frame was lost since the samples before


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is. Sent for every frame that tells it; the recorder counts three equal ones."""

    make: str
    model: str
    serial: str | None
    firmware: str | None = None
    sureness: Sureness = Sureness.PROTOCOL


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of the device changed. `bits` is what the device sent, verbatim."""

    at_us: int
    bits: str
    code: int | None
    kind: AlarmKind
    phase: AlarmPhase
    text: str
    priority: AlarmPriority = AlarmPriority.UNKNOWN
    silenced: bool = False


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """The device told its own time. `text` is verbatim; `local_ms` that time as ms since 1970, zone unknown."""

    at_us: int
    text: str
    local_ms: int


@dataclass(frozen=True, slots=True)
class FrameErrors:
    """Bytes that were no frame. `kind` is one of the driver's few fixed words, as "checksum", "sync", "length"."""

    at_us: int
    kind: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an engineer has to know or set right, said once until it changes, as a wrong output format."""

    at_us: int
    text: str


Event = Reading | Samples | Identity | Alarm | DeviceClock | FrameErrors | Notice


class Driver(Protocol):
    """A device protocol. Class attributes describe it; an instance follows one line."""

    NAME: ClassVar[str]  # as in the configuration and in chain names; lower case ASCII
    VERSION: ClassVar[str]
    CHECK: ClassVar[Check]
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]]  # option name -> accepted values, the first is the default

    def __init__(self, *, may_send: bool, options: Mapping[str, str] | None = None) -> None:
        """Raise `vitaledger.errors.MisuseError` for an option or value that the driver does not know."""

    @property
    def signals(self) -> Mapping[str, Signal]:
        """Every numeric signal that this driver can emit, by handle."""

    @property
    def waves(self) -> Mapping[str, Wave]:
        """Every wave that this driver can emit, by handle."""

    @property
    def line(self) -> "LineSettings":
        """How the line is set for this device."""

    def opened(self, now_us: int) -> None:
        """The line was opened, or opened again."""

    def receive(self, data: bytes, now_us: int) -> list[Event]:
        """Bytes came from the device."""

    def tick(self, now_us: int) -> list[Event]:
        """Time went on."""

    def to_send(self, now_us: int) -> bytes:
        """Take the bytes that are to be sent to the device now."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Serial settings: `parity` is N, E or O."""

    baud: int
    bits: int = 8
    parity: str = "N"
    stop: int = 1
