"""MQTT topics and payloads between gateway and collector.

Root `vitaledger/v1/<gateway>/`; the gateway's name is also its certificate's CN, its client id and its user name.

    up/checkpoint    a witness add-checkpoint request, verbatim (vitaledger.witness)
    down/checkpoint  [SHA-256 of the request, status, body, last witnessed checkpoint verbatim or null]
    up/entries       [id, origin, checkpoint size, first, [[leaf, body], …], [proof]], at most 64 KiB; `pack`ed
    down/entries     [id, status, origin, [[first, end], …] stored ranges, newest witnessed size, detail]
    down/receipt     [statement, .tlog-proof]
    up/succession    a succession note (vitaledger.succession), signed by the key of the log that cannot go on
    down/succession  [SHA-256 of the note, status, least number that is free for the new origin, detail]
    down/ledger      [succession note, …] that lead from the first provider ledger to this one, in order
    up/status        [online, run id, boot id, version, size, ledger size], retained, and the will
    up/ledger        [[succession note, …] that lead to the ledger that is believed, its newest checkpoint or null],
                     retained
    up/health        [backlog, oldest unreceipted ms or null, free bytes, commit p99 ms, clock bound ms or null]

The entries of one up/entries message lie in one tile: with end = first + count, `proof` is the subtree consistency
proof of [first rounded down to a multiple of 256, end) to the named checkpoint. Packed, such a message is a byte 01 and
the raw deflate of it, and no more than 64 KiB when it is inflated. As it is it begins with 86, and is read as well.

>>> topic("g1", "up/entries")
'vitaledger/v1/g1/up/entries'
>>> parse_topic("vitaledger/v1/g1/up/entries")
('g1', 'up/entries')
>>> answer = EntriesAnswer(7, 200, "h.example/gateway/g1", (Range(0, 512),), 600, "")
>>> ENTRIES_ANSWER.decode(ENTRIES_ANSWER.encode(answer), "down/entries") == answer
True
>>> sealed = (Sealed(b"leaf", b"body" * 50),) * 3
>>> plain = ENTRIES.encode(Entries(1, "h.example/gateway/g1", 9, 0, sealed, ()))
>>> packed = pack(plain)
>>> len(plain), len(packed), unpack(packed, "up/entries") == unpack(plain, "up/entries") == plain
(651, 49, True)
"""

import re
from dataclasses import dataclass

from vitaledger.entry import MAX_BODY
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.shape import HASH, Shape, array, blob, integer, null_or, record, text, uint
from vitaledger.squeeze import deflate, inflate
from vitaledger.statement import MAX_NOTE

ROOT = "vitaledger/v1"
UP = ("up/checkpoint", "up/entries", "up/succession", "up/status", "up/health", "up/ledger")
DOWN = ("down/checkpoint", "down/entries", "down/receipt", "down/succession", "down/ledger")
MAX_MESSAGE = 64 * 1024
MAX_RANGES = 8
MAX_LEDGERS = 64  # of one provider: each was restored from an old copy
TILE = 256
_PACKED = b"\x01"
_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

OK, WAITING, BAD_REQUEST, FORBIDDEN, UNKNOWN, CONFLICT, REFUSED = 200, 202, 400, 403, 404, 409, 422


@dataclass(frozen=True, slots=True)
class CheckpointAnswer:
    """The collector's answer to up/checkpoint."""

    request: bytes
    status: int
    body: bytes
    last: bytes | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry on its way: its leaf and its body, as they were sealed."""

    leaf: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """A run of entries of one tile. `leaf`s may be of any format: what is proven is stored."""

    id: int
    origin: str
    size: int
    first: int
    entries: tuple[Sealed, ...]
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Entries [first, end), at least one."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class EntriesAnswer:
    """What the collector holds of an origin, after message `id`."""

    id: int
    status: int
    origin: str
    stored: tuple[Range, ...]
    witnessed: int
    detail: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A statement and the proof that it is in the provider ledger."""

    statement: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class SuccessionAnswer:
    """The answer to up/succession: 200 taken, 202 waits for a person, 403 refused by one, 409 the new name is taken."""

    note: bytes
    status: int
    free: int
    detail: str


@dataclass(frozen=True, slots=True)
class Status:
    """Who is there. The will is the same with online 0."""

    online: int
    run_id: bytes
    boot_id: bytes
    version: str
    size: int
    ledger_size: int


@dataclass(frozen=True, slots=True)
class LedgerShown:
    """What a gateway knows of the provider ledger: what led it to this one, and the newest signed head that it has.

    All of it is the ledger's own word, verbatim: a collector that was restored from an old copy sees that it was.
    """

    notes: tuple[bytes, ...]
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the gateway is."""

    backlog: int
    oldest_unreceipted_ms: int | None
    disk_free: int
    commit_p99_ms: int
    clock_bound_ms: int | None


def _wrong_entries(message: Entries) -> str | None:
    end = message.first + len(message.entries)
    if message.first // TILE != (end - 1) // TILE:
        return f"entries [{message.first}, {end}) are not of one tile of {TILE}"
    return None if end <= message.size else f"entries end at {end}, the checkpoint at {message.size}"


def _wrong_range(run: Range) -> str | None:
    return f"a range that ends at {run.end} and begins at {run.first}" if run.first >= run.end else None


_STATUS_CODE = uint(100, 599)
_NOTE: Shape[bytes] = blob(1, MAX_NOTE)
_ORIGIN: Shape[str] = text(1, 255)
CHECKPOINT_ANSWER: Shape[CheckpointAnswer] = record(
    CheckpointAnswer, HASH, _STATUS_CODE, blob(0, MAX_MESSAGE), null_or(blob(1, MAX_MESSAGE))
)
ENTRIES: Shape[Entries] = record(
    Entries,
    uint(),
    _ORIGIN,
    uint(1),
    uint(),
    array(record(Sealed, blob(0, 4096), blob(0, MAX_BODY + 1024)), 1, TILE),
    array(HASH, 0, 63),
    check=_wrong_entries,
)
ENTRIES_ANSWER: Shape[EntriesAnswer] = record(
    EntriesAnswer,
    uint(),
    _STATUS_CODE,
    _ORIGIN,
    array(
        record(Range, uint(), uint(), check=_wrong_range),
        0,
        MAX_RANGES,
    ),
    uint(),
    text(0, 512),
)
RECEIPT: Shape[Receipt] = record(Receipt, blob(1, MAX_MESSAGE), blob(1, MAX_MESSAGE))
SUCCESSION_ANSWER: Shape[SuccessionAnswer] = record(SuccessionAnswer, HASH, _STATUS_CODE, uint(2), text(0, 512))
STATUS: Shape[Status] = record(Status, uint(0, 1), blob(16, 16), blob(16, 16), text(1, 32), uint(), uint())
LEDGER_NOTES: Shape[tuple[bytes, ...]] = array(_NOTE, 1, MAX_LEDGERS)
LEDGER_SHOWN: Shape[LedgerShown] = record(LedgerShown, array(_NOTE, 0, MAX_LEDGERS), null_or(_NOTE))
HEALTH: Shape[Health] = record(Health, uint(), null_or(integer()), uint(), uint(), null_or(uint()))


def pack(plain: bytes) -> bytes:
    """A message of entries as it travels: deflated where that is shorter."""
    packed = _PACKED + deflate(plain)
    return packed if len(packed) < len(plain) else plain


def unpack(payload: bytes, where: str) -> bytes:
    """A message of entries as it was before `pack`; one that was not packed is answered as it is.

    Raises:
        MalformedError: not what `pack` makes, or more than `MAX_MESSAGE` bytes; begins with `where`.
    """
    return inflate(payload[1:], MAX_MESSAGE, where) if payload[:1] == _PACKED else payload


def check_gateway(name: str) -> str | None:
    """Answer what is wrong with a gateway's name, or None: lower-case letters, digits and '-', at most 63."""
    if _GATEWAY.fullmatch(name):
        return None
    return f"gateway name {name!r}: expected lower-case letters, digits and '-', at most 63, not beginning with '-'"


def gateway_origin(provider: str, gateway: str, generation: int = 1) -> str:
    """The origin of a gateway's log: `<provider>/gateway/<gateway>`, for a successor with `/2`, `/3` after it."""
    return f"{provider}/gateway/{gateway}" + (f"/{generation}" if generation > 1 else "")


def ledger_origin(provider: str, generation: int = 1) -> str:
    """The origin of the provider ledger: `<provider>/ledger`, for a successor with `/2`, `/3` after it."""
    return f"{provider}/ledger" + (f"/{generation}" if generation > 1 else "")


def topic(gateway: str, leaf: str) -> str:
    """The full topic of one of `UP` or `DOWN`.

    Raises:
        MisuseError: not a gateway name or not a topic.
    """
    if wrong := check_gateway(gateway):
        raise MisuseError(wrong)
    if leaf not in UP + DOWN:
        raise MisuseError(f"topic {leaf!r}: expected one of {', '.join(UP + DOWN)}")
    return f"{ROOT}/{gateway}/{leaf}"


def parse_topic(full: str) -> tuple[str, str]:
    """Split a full topic into the gateway's name and the rest.

    Raises:
        MalformedError: not a topic of ours.
    """
    root, _, rest = full.partition(f"{ROOT}/")
    gateway, _, leaf = rest.partition("/")
    if root or check_gateway(gateway) or leaf not in UP + DOWN:
        raise MalformedError(f"topic {full!r}: expected {ROOT}/<gateway>/ and one of {', '.join(UP + DOWN)}")
    return gateway, leaf
