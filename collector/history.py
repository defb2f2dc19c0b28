"""The verified view of a device: its entries in order, each checked while it is handed out.

A device is a micro-chain name over all logs, where the name holds a serial number; one known only by its port is a
device of its gateway, never "the same device" elsewhere. An entry that does not hold is handed out as failed, one that
is missing too; nothing is left out and nothing unproven looks proven.

An interval of time is found by bisection over the entries' own, verified clocks, because the index of positions is not
proven. Where a gateway's clock ran back, that index names the entries that bisection cannot reach. So the cost of an
interval does not grow with the age of the log.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from collector.reader import Reader
from collector.rows import ChainRow, LogRow, Position, Sealed
from collector.verified import Look, State, Verdict, VerifiedLog, VerifiedStore
from vitaledger.compiled import compile_make
from vitaledger.entry import GATEWAY_CHAIN, genesis, parse_leaf
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.events import Identity
from vitaledger.opened import Opened

_BATCH = 256
_LOOK_BACK = 32  # entries in which an identity is looked for; each readings entry names it
_MAX_ENTRY_MS = 60_000  # an entry closes after 5 s; one that lasts longer is found by its neighbours all the same


@dataclass(frozen=True, slots=True)
class Device:
    """A device and the micro-chains that hold its entries, one for each log that it was on."""

    label: str
    chains: tuple[tuple[LogRow, ChainRow], ...]

    @property
    def name(self) -> str:
        """The micro-chain's name."""
        return self.chains[0][1].name


@dataclass(frozen=True, slots=True)
class Span:
    """What to show: by seq where those are given, else by time; both ends included, None is open."""

    from_us: int | None = None
    to_us: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None

    def covers(self, at_us: int) -> bool:
        """Whether a time lies in it."""
        return (self.from_us is None or at_us >= self.from_us) and (self.to_us is None or at_us <= self.to_us)


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry as it is shown; `at_us` is its clock, unproven where the entry failed.

    `carried` names the (origin, index) of the entry that carries it over, where it is not shown from its own log.
    """

    log: LogRow
    chain: str
    seq: int
    at_us: int
    look: Look
    carried: tuple[str, int] | None = None

    @property
    def verdict(self) -> Verdict:
        """How far it is proven."""
        return self.look.verdict

    @property
    def opened(self) -> Opened | None:
        """Its content, None wherever that must not be shown."""
        return self.look.opened if self.verdict.state is not State.FAILED else None


make_seen = compile_make(Seen)

# -- devices ----------------------------------------------------------------------------------------------------------


def devices(reader: Reader, *, gateways: bool = False) -> list[Device]:
    """Every device that a log speaks of, by label; with the gateways' own micro-chains where asked for."""
    logs = {row.log: row for row in reader.logs()}
    found: dict[str, list[tuple[LogRow, ChainRow]]] = {}
    for chain in reader.chains():
        log = logs.get(chain.log)
        if log is not None and (gateways or chain.name != GATEWAY_CHAIN):
            found.setdefault(_label(log, chain), []).append((log, chain))
    by_origin = {row.origin: row for row in logs.values()}
    for origin, name in reader.carried_chains():  # a device whose entries are all carried over has no chain there
        log = by_origin.get(origin)
        if log is not None and (gateways or name != GATEWAY_CHAIN) and reader.chain_of(log.log, name) is None:
            chain = ChainRow(0, log.log, name, 0, genesis(origin, name), None)
            found.setdefault(_label(log, chain), []).append((log, chain))
    return [
        Device(label, tuple(sorted(chains, key=lambda pair: pair[0].log))) for label, chains in sorted(found.items())
    ]


def _label(log: LogRow, chain: ChainRow) -> str:
    return chain.name if ":sn:" in chain.name else f"{log.gateway}/{chain.name}"


def identity(store: VerifiedStore, device: Device) -> Identity | None:
    """Who the device said it was last, from an entry that holds."""
    for log_row, chain in reversed(device.chains):
        log = store.log(log_row)
        for seen in reversed(list(chain_history(log, chain, Span(), _LOOK_BACK))):
            event = seen.opened.event if seen.opened else None
            if isinstance(event, Identity):
                return event
            values = seen.opened.values if seen.opened else None
            if values is not None and values.context.identity is not None:
                told = next(run(log, chain, values.context.identity, values.context.identity), None)
                event = told.opened.event if told and told.opened else None
                return event if isinstance(event, Identity) else None
    return None


def find_device(store: VerifiedStore, text: str) -> Device:
    """The one device that `text` names: label or micro-chain, serial number, port, or a part of the label.

    Raises:
        MisuseError: none, or several; names the candidates.
    """
    known = devices(store.reader, gateways=True)
    ways: tuple[Callable[[Device], bool], ...] = (
        lambda device: text in {device.label, device.name},
        lambda device: text == device.name.split(":", 2)[-1].partition("@")[0],
        lambda device: text.lower() in device.label.lower() and device.name != GATEWAY_CHAIN,
        lambda device: device.name != GATEWAY_CHAIN and _is_on(store, device, text),
    )
    for way in ways:
        found = [device for device in known if way(device)]
        if len(found) == 1:
            return found[0]
        if found:
            raise MisuseError(f"device {text!r} could be any of {', '.join(device.label for device in found)}")
    shown = [device.label for device in known if device.name != GATEWAY_CHAIN]
    raise MisuseError(f"no device {text!r}; known are: {', '.join(shown) or 'none'}")


def _is_on(store: VerifiedStore, device: Device, port: str) -> bool:
    told = identity(store, device)
    return told is not None and told.port == port


# -- entries ----------------------------------------------------------------------------------------------------------


def chain_history(log: VerifiedLog, chain: ChainRow, span: Span, newest: int | None = None) -> Iterator[Seen]:
    """The entries of one micro-chain in a span, in order of their numbers, links between them checked."""
    for first, last in _tail(runs_of(log, chain, span), newest):
        for seen in run(log, chain, first, last):
            if seen.verdict.state is State.FAILED or span.first_seq is not None or overlaps(seen, span):
                yield seen
    yield from out_of_order(log, chain, span)


def out_of_order(log: VerifiedLog, chain: ChainRow, span: Span) -> Iterator[Seen]:
    """Findings of this micro-chain whose number another entry holds already: shown behind the others."""
    if chain.broken is None:
        return
    for index, _ in log.reader.findings(log.row.log):
        row = log.reader.entry(log.row.log, index)
        try:
            entry = parse_leaf(row[0]) if row else None
        except MalformedError:
            continue
        if entry is None or entry.chain != chain.name:
            continue
        place = log.reader.positions(chain.chain, entry.seq, entry.seq)
        seen = Seen(log.row, chain.name, entry.seq, entry.clock.wall_ms * 1000, log.look(index))
        last = entry.seq if span.last_seq is None else span.last_seq
        inside = overlaps(seen, span) and (span.first_seq or 0) <= entry.seq <= last
        if inside and (not place or place[0].idx != index):
            yield seen


def run(log: VerifiedLog, chain: ChainRow, first: int, last: int) -> Iterator[Seen]:
    """Entries first to last of one micro-chain, each verified and linked to the one before it."""
    before = hash_before(log, chain, first)
    seq = first
    while seq <= last:
        rows = log.reader.sealed(chain, seq, min(seq + _BATCH - 1, last))
        for seen in follow(log, chain, rows, seq, before):
            before = seen.look.hash
            yield seen
        if rows:
            seq = rows[-1].place.seq + 1
        else:  # one row for a hole, however wide: its width is what a gateway, or a thief, wrote
            following = next_place(log.reader, chain.chain, seq, last)
            end = last if following is None else following.seq - 1
            yield _missing(log, chain, seq, end)
            before, seq = None, end + 1


def follow(log: VerifiedLog, chain: ChainRow, rows: Sequence[Sealed], seq: int, before: bytes | None) -> Iterator[Seen]:
    """Entries from `seq` on whose rows were read, each verified and linked; the first one to what `before` is.

    Where numbers are missing between them, that is told in their place.
    """
    indices = [row.place.idx for row in rows]
    findings = log.reader.findings_between(log.row.log, min(indices), max(indices)) if rows else {}
    for place, leaf, body in rows:
        if place.seq > seq:
            yield _missing(log, chain, seq, place.seq - 1)
            before = None
        seen = _see(log, chain, place, log.look_at(place.idx, leaf, body, findings.get(place.idx)), before)
        before, seq = seen.look.hash, place.seq + 1
        yield seen


def next_place(reader: Reader, chain: int, seq: int, last: int) -> Position | None:
    """The first position of a micro-chain in seq … last; what a hole before it costs does not depend on its width."""
    return reader.first_position(chain, seq, last)


def _missing(log: VerifiedLog, chain: ChainRow, first: int, last: int) -> Seen:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    reason = f"{chain.name} {which} missing: nothing in the store says where to find it"
    return Seen(log.row, chain.name, first, 0, Look(-1, Verdict(State.FAILED, reason)))


def _see(log: VerifiedLog, chain: ChainRow, place: Position, look: Look, before: bytes | None) -> Seen:
    seq = place.seq
    entry = look.entry
    if entry is None:
        return Seen(log.row, chain.name, seq, place.wall_ms * 1000, look)
    at_us = entry.clock.wall_ms * 1000
    wrong = None
    if (entry.chain, entry.seq) != (chain.name, seq):
        wrong = f"expected {chain.name} entry {seq} at index {place.idx}, found {entry.chain} entry {entry.seq}"
        look = Look(look.index, look.verdict)  # its hash is not the one that the next entry is linked to
    elif before is not None and entry.prev != before and look.verdict.state is not State.FINDING:
        wrong = f"{chain.name} entry {seq}: prev: expected {before.hex()[:16]}…, found {entry.prev.hex()[:16]}…"
    if wrong and look.verdict.state is not State.FAILED:
        look = Look(look.index, Verdict(State.FAILED, wrong), look.hash)
    return make_seen(log.row, chain.name, seq, at_us, look, None)


def hash_before(log: VerifiedLog, chain: ChainRow, seq: int) -> bytes | None:
    """What entry `seq` must quote; None where that cannot be told (then the entry before is failed itself)."""
    if seq == 0:
        return genesis(log.row.origin, chain.name)
    before = log.reader.positions(chain.chain, seq - 1, seq - 1)
    return log.look(before[0].idx).hash if before else None


# -- intervals --------------------------------------------------------------------------------------------------------


def runs_of(log: VerifiedLog, chain: ChainRow, span: Span) -> list[tuple[int, int]]:
    """The runs [first, last] of seqs that a span covers, ascending and apart."""
    end = chain.next_seq - 1
    if span.first_seq is not None or span.last_seq is not None:
        first, last = span.first_seq or 0, end if span.last_seq is None else min(span.last_seq, end)
        return [(first, last)] if first <= last else []
    from_ms = None if span.from_us is None else span.from_us // 1000
    to_ms = None if span.to_us is None else span.to_us // 1000
    # one to the left: an entry that began before the span may reach into it
    first = 0 if from_ms is None else max(_first_after(log, chain, from_ms) - 1, 0)
    last = end if to_ms is None else _first_after(log, chain, to_ms) - 1
    seqs = set()
    if from_ms is not None and to_ms is not None:
        strays = log.reader.positions_between(chain.chain, from_ms - _MAX_ENTRY_MS, to_ms + 1, (first, last))
        seqs = {place.seq for place in strays if place.seq <= end}
    runs = [(first, last)] if first <= last else []
    for seq in sorted(seqs):
        if runs and runs[-1][1] + 1 == seq:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return sorted(runs)


def _tail(runs: list[tuple[int, int]], newest: int | None) -> list[tuple[int, int]]:
    """The runs, cut down to the last `newest` seqs."""
    if newest is None:
        return runs
    kept: list[tuple[int, int]] = []
    for first, last in reversed(runs):
        if newest > 0:
            kept.append((max(first, last - newest + 1), last))
            newest -= last - first + 1
    return kept[::-1]


def _first_after(log: VerifiedLog, chain: ChainRow, wall_ms: int) -> int:
    """The first seq whose entry's clock is later than `wall_ms`; chain.next_seq where none is."""
    low, high = 0, chain.next_seq
    while low < high:
        middle = (low + high) // 2
        # a number that is missing says nothing: the next one does
        place = next_place(log.reader, chain.chain, middle, high - 1)
        if place is None or _clock(log, chain, place) > wall_ms:
            high = middle
        else:
            low = place.seq + 1
    return low


def _clock(log: VerifiedLog, chain: ChainRow, place: Position) -> int:
    row = log.reader.entry(log.row.log, place.idx)
    try:
        entry = parse_leaf(row[0]) if row and type(row[0]) is bytes else None
    except MalformedError:
        entry = None
    if entry is None or (entry.chain, entry.seq) != (chain.name, place.seq):
        return place.wall_ms  # it will be shown as failed
    return entry.clock.wall_ms


def overlaps(seen: Seen, span: Span) -> bool:
    """Whether anything in an entry lies in a span of time."""
    lasts = seen.opened.last_us if seen.opened else 0
    return (span.to_us is None or seen.at_us <= span.to_us) and (
        span.from_us is None or seen.at_us + lasts >= span.from_us
    )
