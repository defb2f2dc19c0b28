"""The rows of the store as they are read: schema.sql says what their columns mean. Nothing here is verified."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class LogRow:
    """A gateway's log; see schema.sql. `enrolled` and `custody` are statements' indices in the ledger."""

    log: int
    gateway: str
    origin: str
    vkey: str
    enrolled: int
    witnessed: int
    checkpoint: bytes | None
    stored: int
    custody: int | None


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A micro-chain; `broken` is the index of the first entry that breaks it: completeness ends there."""

    chain: int
    log: int
    name: str
    next_seq: int
    last: bytes
    broken: int | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where entry `seq` of a micro-chain stands in its log, and its gateway's wall clock."""

    seq: int
    idx: int
    wall_ms: int


class Sealed(NamedTuple):
    """An entry with what is stored of it, of whatever type that is; None where there is no row."""

    place: Position
    leaf: bytes | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The head of the provider ledger; `checkpoint` is the signed note."""

    size: int
    root: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that was refused, with its reason."""

    at_ms: int
    gateway: str
    topic: str
    status: int
    reason: str
    message: bytes


@dataclass(frozen=True, slots=True)
class ForkRow:
    """Two signed heads of a log that cannot both be true; size and root are of the one that was not witnessed."""

    id: int
    at_ms: int
    log: int
    size: int
    root: bytes
    evidence: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class SuccessionRow:
    """A succession that a gateway asked for; `log` is the one that ends, `state` taken, waiting or refused."""

    id: int
    at_ms: int
    log: int
    origin: str
    vkey: str
    note: bytes
    state: str
    statement: int | None


@dataclass(frozen=True, slots=True)
class Halted:
    """What a gateway showed (an up/ledger message) that this store does not contain: it is an old copy."""

    at_ms: int
    gateway: str
    shown: bytes


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """Entry `idx` of log `log` carries over entry `at` of `origin`, which is entry `seq` of a micro-chain there."""

    log: int
    idx: int
    origin: str
    at: int
    chain: str
    seq: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Presence:
    """What a gateway said of itself last: messages.STATUS and messages.HEALTH, a claim."""

    gateway: str
    at_ms: int
    status: bytes | None
    health: bytes | None
