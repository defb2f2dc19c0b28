"""What event entries say: one record each, `[number, field, …]`, the content of a part of type 4.

Device events have numbers below 32, gateway events from 32. A number once given keeps its meaning for ever.
Reserved: 8 settings [handle, value, exponent, unit, since], 9 calibration [handle, detail], 10 self-test [passed,
detail], 11 maintenance [who, detail], 12 placement [site, who].

>>> gap = Gap(GapReason.UNPLUGGED, Clock(1_700_000_000_000, bytes(16), 5_000, 3), "device not found", 0)
>>> decode(encode(gap)) == gap
True
>>> decode(b"\\x81\\x18\\x63")
Traceback (most recent call last):
vitaledger.errors.MalformedError: event: unknown event 99; a newer version may know it
"""

from dataclasses import dataclass
from typing import Any

from vitaledger.entry import CLOCK, MAX_BODY, MAX_CHAIN, MAX_LEAF, Clock
from vitaledger.marks import (
    AlarmKind,
    AlarmPhase,
    AlarmPriority,
    Check,
    GapReason,
    LineState,
    Sureness,
    Use,
)
from vitaledger.shape import HASH, Shape, array, blob, enum, integer, null_or, record, text, uint, union

MAX_NOTE = 16 * 1024
_LINE: Shape[str] = text(0, 256)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is on the line, and how sure that is."""

    make: str
    model: str
    serial: str | None
    firmware: str | None
    port: str
    sureness: Sureness
    driver: str
    driver_version: str
    use: Use
    check: Check


@dataclass(frozen=True, slots=True)
class Line:
    """The line came up, went down, or this micro-chain is closed; `next_chain` is the one that goes on."""

    state: LineState
    port: str
    detail: str
    next_chain: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """No readings from `since` to this entry's clock. `since` is None where nothing was ever sealed before.

    `dropped_bytes` counts what came and was not kept; None where that is not known.
    """

    reason: GapReason
    since: Clock | None
    detail: str
    dropped_bytes: int | None


@dataclass(frozen=True, slots=True)
class Silence:
    """The line stands and the device has sent nothing since."""

    since: Clock


@dataclass(frozen=True, slots=True)
class FrameErrorCount:
    """How many frames were bad in one way: "checksum", "sync", "length"."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class FrameErrors:
    """Bytes that were no frame, counted since the last such entry."""

    counts: tuple[FrameErrorCount, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """An alarm limit in force: null where there is none on that side."""

    handle: str
    low: int | None
    high: int | None
    exponent: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of the device. `bits` is verbatim; `code` its MDC code where the nomenclature has one."""

    bits: str
    code: int | None
    kind: AlarmKind
    phase: AlarmPhase
    priority: AlarmPriority
    silenced: int
    text: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The device's own time, verbatim, and how far it is ahead of the gateway's, as if both had one zone."""

    device_time: str
    offset_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an engineer has to know or set right."""

    text: str


@dataclass(frozen=True, slots=True)
class Boot:
    """The gateway program started. `clean` is 1 where the run before had stopped cleanly."""

    version: str
    run_id: bytes
    clean: int
    detail: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The gateway program stops on purpose."""

    detail: str


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was moved against the monotonic one by `delta_ms`; `bound_ms` is the error bound after it."""

    delta_ms: int
    bound_ms: int | None


@dataclass(frozen=True, slots=True)
class Config:
    """SHA-256 of the configuration file that this run works by."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Disk:
    """Free and total bytes of the file system of the store, when a limit was crossed."""

    free: int
    total: int
    detail: str


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a micro-chain stands: the seq of its next entry and the leaf hash of its last."""

    chain: str
    next_seq: int
    last: bytes


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """A provider ledger's checkpoint in short: what this log had seen of it."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Heads:
    """Every micro-chain's head, with the newest verified ledger checkpoint: makes absence provable.

    The entry cannot have been made before that ledger checkpoint.
    """

    chains: tuple[ChainHead, ...]
    ledger: LedgerHead | None


@dataclass(frozen=True, slots=True)
class Incident:
    """A part of the gateway failed and was restarted."""

    part: str
    detail: str


@dataclass(frozen=True, slots=True)
class Succeeds:
    """Entry 0 of a successor log: the predecessor's last known checkpoint, verbatim, and its micro-chains' heads."""

    checkpoint: bytes
    chains: tuple[ChainHead, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """An entry of a predecessor log that the collector lacks, verbatim (entries of kind 5 only)."""

    origin: str
    index: int
    leaf: bytes
    body: bytes


Event = (
    Identity
    | Line
    | Gap
    | Silence
    | FrameErrors
    | Alarm
    | ClockOffset
    | Notice
    | Boot
    | Stop
    | ClockStep
    | Config
    | Disk
    | Heads
    | Incident
    | Succeeds
    | Carried
)

_HEAD = record(ChainHead, text(1, MAX_CHAIN), uint(), HASH)
_LIMIT = record(Limit, text(1, 32), null_or(integer()), null_or(integer()), uint(-18, 18))
_SHAPES: dict[int, tuple[type[Event], tuple[Shape[Any], ...]]] = {
    1: (
        Identity,
        (
            text(0, 64),
            text(0, 64),
            null_or(text(1, 64)),
            null_or(text(1, 64)),
            text(1, 64),
            enum(Sureness),
            text(1, 32),
            text(1, 32),
            enum(Use),
            enum(Check),
        ),
    ),
    2: (Line, (enum(LineState), text(1, 64), _LINE, null_or(text(1, MAX_CHAIN)))),
    3: (Gap, (enum(GapReason), null_or(CLOCK), _LINE, null_or(uint()))),
    4: (Silence, (CLOCK,)),
    5: (FrameErrors, (array(record(FrameErrorCount, text(1, 32), uint(1)), 1, 32),)),
    6: (
        Alarm,
        (
            text(0, 64),
            null_or(uint(0, 2**32 - 1)),
            enum(AlarmKind),
            enum(AlarmPhase),
            enum(AlarmPriority),
            uint(0, 1),
            _LINE,
            array(_LIMIT, 0, 32),
        ),
    ),
    7: (ClockOffset, (text(1, 64), integer())),
    13: (Notice, (text(1, 256),)),
    32: (Boot, (text(1, 32), blob(16, 16), uint(0, 1), _LINE)),
    33: (Stop, (_LINE,)),
    34: (ClockStep, (integer(), null_or(uint()))),
    35: (Config, (HASH,)),
    36: (Disk, (uint(), uint(), _LINE)),
    37: (Heads, (array(_HEAD, 0, 128), null_or(record(LedgerHead, text(1, 256), uint(), HASH)))),
    38: (Incident, (text(1, 32), _LINE)),
    48: (Succeeds, (blob(0, MAX_NOTE), array(_HEAD, 0, 128))),
    49: (Carried, (text(1, 256), uint(), blob(1, MAX_LEAF), blob(0, MAX_BODY))),
}
_EVENT: Shape[Event] = union(
    {tag: (of, record(of, *shapes, tag=tag)) for tag, (of, shapes) in _SHAPES.items()}, "event"
)
FIRST_GATEWAY_EVENT = 32


def encode(event: Event) -> bytes:
    """Write an event as the content of a part.

    Raises:
        MisuseError: a field is out of its bounds.
    """
    return _EVENT.encode(event)


def decode(content: bytes) -> Event:
    """Read the content of an event part strictly.

    Raises:
        MalformedError: not an event that this version knows.
    """
    return _EVENT.decode(content, "event")


def of_gateway(event: Event) -> bool:
    """Whether an event belongs on the gateway's own micro-chain."""
    return next(tag for tag, (of, _) in _SHAPES.items() if of is type(event)) >= FIRST_GATEWAY_EVENT
