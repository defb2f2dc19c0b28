"""Statements: the leaves of the provider ledger.

    statement = [1, kind, collector's time in ms since 1970 UTC, …]
      1 anchor      gateway checkpoint, the note verbatim
      2 custody     origin, size, root          bodies and leaves of [0, size) are durably stored
      3 enrolment   gateway, origin, vkey
      4 revocation  origin, last trusted size, reason
      5 succession  old origin, its last witnessed checkpoint, new origin, new vkey, the succession note
      6 loss        origin, first, end, reason  anchored but no longer to be had
      7 finding     origin, index, reason       stored, but this entry cannot be read or breaks its micro-chain
    8 and on are reserved (association, access, closing).

>>> data = encode(Custody(1_700_000_000_000, "h.example/gateway/g1", 1, bytes(32)))
>>> decode(data).size, len(data)
(1, 68)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitaledger.errors import MalformedError
from vitaledger.shape import HASH, Shape, blob, record, text, uint, union

VERSION = 1
MAX_STATEMENT = 65_535
MAX_NOTE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """What every statement has: the collector's time of making it, in ms since 1970 UTC."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Anchor(Record):
    """A gateway's checkpoint was seen, consistent with the one before."""

    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Custody(Record):
    """Every entry of [0, size) is durably stored at the collector, and their root is this."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Enrolment(Record):
    """From here on this key speaks for this origin."""

    gateway: str
    origin: str
    vkey: str


@dataclass(frozen=True, slots=True)
class Revocation(Record):
    """The origin's key is not trusted beyond `last_trusted_size`."""

    origin: str
    last_trusted_size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Succession(Record):
    """`new_origin` goes on where `old_origin` ended; `note` is signed by the old key."""

    old_origin: str
    old_checkpoint: bytes
    new_origin: str
    new_vkey: str
    note: bytes


@dataclass(frozen=True, slots=True)
class Loss(Record):
    """Entries [first, end), at least one, were anchored and are no longer to be had; custody goes on behind them."""

    origin: str
    first: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """Entry `index` is stored and proven, and cannot be read or breaks its micro-chain."""

    origin: str
    index: int
    reason: str


Statement = Anchor | Custody | Enrolment | Revocation | Succession | Loss | Finding


def _wrong_loss(loss: Loss) -> str | None:
    return f"a loss that ends at {loss.end} and begins at {loss.first}" if loss.first >= loss.end else None


_AT = _NUMBER = uint()
_ORIGIN: Shape[str] = text(1, 255)
_REASON: Shape[str] = text(0, 512)
_NOTE: Shape[bytes] = blob(1, MAX_NOTE)
_SHAPES: dict[int, tuple[type[Statement], tuple[Shape[Any], ...]]] = {
    1: (Anchor, (_AT, _NOTE)),
    2: (Custody, (_AT, _ORIGIN, uint(), HASH)),
    3: (Enrolment, (_AT, text(1, 64), _ORIGIN, text(1, 512))),
    4: (Revocation, (_AT, _ORIGIN, uint(), _REASON)),
    5: (Succession, (_AT, _ORIGIN, _NOTE, _ORIGIN, text(1, 512), _NOTE)),
    6: (Loss, (_AT, _ORIGIN, uint(), uint(), _REASON)),
    7: (Finding, (_AT, _ORIGIN, uint(), _REASON)),
}
_CHECKS: dict[int, Callable[[Any], str | None]] = {6: _wrong_loss}
_BARE: Shape[Statement] = union(
    {tag: (of, record(of, *shapes, tag=tag, check=_CHECKS.get(tag))) for tag, (of, shapes) in _SHAPES.items()},
    "statement",
)


def _versioned() -> Shape[Statement]:
    def parse(item: Any, where: str) -> Statement:  # noqa: ANN401  what comes off the wire
        if type(item) is not list or not item:
            raise MalformedError(f"{where}: expected an array that begins with a version")
        version = _NUMBER.parse(item[0], f"{where}: version")
        if version != VERSION:
            raise MalformedError(f"{where}: version {version}; this program knows version {VERSION}")
        return _BARE.parse(item[1:], where)

    def dump(value: Statement) -> Any:  # noqa: ANN401
        bare = _BARE.dump(value)
        return [VERSION, *bare] if isinstance(bare, list) else bare

    return Shape(parse, dump)


_STATEMENT = _versioned()


def encode(statement: Statement) -> bytes:
    """Write a statement as a leaf of the provider ledger.

    Raises:
        MisuseError: a field is out of its bounds.
    """
    return _STATEMENT.encode(statement)


def decode(leaf: bytes) -> Statement:
    """Read a leaf of the provider ledger strictly.

    Raises:
        MalformedError: not a statement that this version knows.
    """
    return _STATEMENT.decode(leaf, "statement")
