"""What `status` tells: the devices, the log, how far the collector has it, and how long that took.

All of it comes from the store, so it can be asked for while the gateway runs and when it does not.
"""

from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from gateway.history import History
from gateway.ledgers import Ledgers
from gateway.reader import Reader, ReceiptRow
from vitaledger import proof
from vitaledger.checkpoint import parse_unverified
from vitaledger.content import scaled
from vitaledger.entry import GATEWAY_CHAIN, Kind, parse_leaf
from vitaledger.errors import VitaledgerError
from vitaledger.events import Line
from vitaledger.keys import Verifier
from vitaledger.marks import LineState
from vitaledger.opened import Opened, open_entry

SAMPLE = 2000  # receipted entries that the times to receipt are measured on
_LOOK_BACK = 32


@dataclass(frozen=True, slots=True)
class Device:
    """One micro-chain of a device. `values` are its latest, as text; `age_s` is the age of the last entry.

    `line` is "down" or "closed" where the last entry says so: everything that came before is sealed.
    """

    chain: str
    entries: int
    age_s: float | None
    last_reading_ms: int | None
    values: dict[str, str | None]
    failure: str | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """The state of a gateway. Sizes are numbers of entries, times ms since 1970 UTC by the gateway's wall clock."""

    gateway: str
    origin: str
    running: bool
    size: int = 0
    entries: int = 0
    custody_size: int = 0
    anchored_size: int | None = None  # at least: custody implies an anchor
    backlog: int = 0
    oldest_unreceipted_ms: int | None = None
    pruned: int = 0
    receipts: int = 0
    receipt_at_ms: int | None = None
    receipt_age_s: float | None = None
    ledger_size: int | None = None
    receipt_ms_p50: int | None = None
    receipt_ms_p99: int | None = None
    clock_bound_ms: int | None = None
    last_entry_ms: int | None = None
    devices: tuple[Device, ...] = field(default=())
    disk: str = "ok"  # "low", or "full: the intake is stopped" while there is less room than configured
    disk_free: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The same, for `--json`."""
        return asdict(self)


def make(
    gateway: str,
    own_key: Verifier,
    reader: Reader | None,
    *,
    running: bool,
    now_ms: int,
    ledgers: Ledgers | None = None,
) -> GatewayStatus:
    """The status of a gateway; `reader` is None where it has not run yet.

    Only receipts of the newest of `ledgers` count; None takes those that are stored.
    """
    if reader is None:
        return GatewayStatus(gateway, own_key.name, running)
    with reader.snapshot():
        history = History(reader, own_key)
        size = history.size
        newest = reader.newest_receipt()
        if newest is not None and ledgers is not None and not ledgers.covers(newest.proof):
            newest = None
        custody = newest.size if newest else 0
        seal = reader.seal()
        delays = sorted(receipt_delays(reader, custody))
        last = parse_leaf(reader.leaves(size - 1, size)[0]).clock if size else None
        waiting = parse_leaf(reader.leaves(custody, custody + 1)[0]).clock.wall_ms if custody < size else None
        return GatewayStatus(
            gateway,
            own_key.name,
            running,
            size,
            size,
            custody,
            custody or None,
            size - custody,
            waiting,
            seal.pruned if seal else 0,
            seal.receipts if seal else 0,
            newest.at_ms if newest else None,
            _age(now_ms, newest.at_ms) if newest else None,
            ledger_size(newest) if newest else None,
            percentile(delays, 50),
            percentile(delays, 99),
            last.bound_ms if last else None,
            last.wall_ms if last else None,
            tuple(_device(history, name, head.next_seq, now_ms) for name, head in _devices(history)),
        )


def receipt_delays(reader: Reader, custody: int) -> list[int]:
    """For the newest receipted readings entries: ms from the last byte in an entry to the receipt that covers it."""
    first = max(0, custody - SAMPLE)
    receipts = reader.receipts(above=first)
    receipt = next(receipts, None)
    delays = []
    for index, (leaf, body) in enumerate(reader.entries(first, custody), first):
        while receipt is not None and receipt.size <= index:
            receipt = next(receipts, None)
        if receipt is None or body is None:
            continue
        try:
            opened = open_entry(leaf, body)
        except VitaledgerError:
            continue
        if opened.entry.kind is Kind.READINGS:
            delays.append(receipt.at_ms - (opened.entry.clock.wall_ms + opened.last_us // 1000))
    return delays


def percentile(values: list[int], percent: int) -> int | None:
    """The nearest-rank percentile of sorted values."""
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else None


def ledger_size(receipt: ReceiptRow) -> int:
    """The size of the provider ledger in a stored receipt."""
    return parse_unverified(proof.parse(receipt.proof).checkpoint)[0].size


def latest_values(opened: Opened) -> dict[str, str | None]:
    """The last value of each signal in an entry; None where the device said that there is none."""
    if opened.values is None:
        return {}
    return {
        series.handle: None if series.values[-1] is None else scaled(series.values[-1], series.exponent)
        for series in opened.values.series
        if series.values
    }


def _devices(history: History) -> list[tuple[str, Any]]:
    return [(name, head) for name, head in history.chains().items() if name != GATEWAY_CHAIN]


def _device(history: History, chain: str, count: int, now_ms: int) -> Device:
    age: float | None = None
    line: str | None = None
    for n, shown in enumerate(islice(history.backward(chain), _LOOK_BACK)):
        if shown.failure is not None or shown.entry is None:
            return Device(chain, count, age, None, {}, shown.failure, line)
        if n == 0:
            age = _age(now_ms, shown.entry.clock.wall_ms)
            line = _line_state(shown.opened)
        if shown.opened is not None and (values := latest_values(shown.opened)):
            at = shown.entry.clock.wall_ms + shown.opened.last_us // 1000
            return Device(chain, count, age, at, values, line=line)
    return Device(chain, count, age, None, {}, line=line)


def _line_state(newest: Opened | None) -> str | None:
    if newest is None or not isinstance(newest.event, Line) or newest.event.state is LineState.UP:
        return None
    return newest.event.state.label


def _age(now_ms: int, then_ms: int) -> float:
    return round((now_ms - then_ms) / 1000, 1)
