"""An entry opened: leaf and body decoded to the last field, each part held against the leaf's commitment.

The gateway seals through here, the collector opens every entry that it takes, and whatever shows a reading opens it
again: one piece of code decides what an entry says, and `seal_entry` makes none that `open_entry` would refuse.

>>> from vitaledger import events
>>> from vitaledger.entry import Clock, Kind, genesis
>>> leaf, body = seal_entry(Kind.GATEWAY_EVENT, "gateway", 0, genesis("h.example/gateway/g1", "gateway"),
...                         Clock(1_700_000_000_000, bytes(16), 5_000, 2), bytes, event=events.Stop("asked to"))
>>> open_entry(leaf, body).event
Stop(detail='asked to')
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vitaledger import content, events
from vitaledger.compiled import compile_make
from vitaledger.entry import (
    GATEWAY_CHAIN,
    SALT_SIZE,
    Clock,
    Entry,
    Kind,
    Part,
    PartType,
    parse_body,
    parse_leaf,
    seal,
    verify_body,
)
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.raw import Chunk, decode_raw, encode_raw

_VALUES, _WAVES, _RAW, _EVENT = (int(part) for part in (PartType.VALUES, PartType.WAVES, PartType.RAW, PartType.EVENT))
# which parts an entry of each kind has: those it must have, and those it may have
_PARTS: dict[Kind, tuple[frozenset[int], frozenset[int]]] = {
    Kind.READINGS: (frozenset(), frozenset({PartType.VALUES, PartType.WAVES, PartType.RAW})),
    Kind.DEVICE_EVENT: (frozenset({PartType.EVENT}), frozenset({PartType.EVENT, PartType.RAW})),
    Kind.GATEWAY_EVENT: (frozenset({PartType.EVENT}), frozenset({PartType.EVENT})),
    Kind.CARRIED: (frozenset({PartType.EVENT}), frozenset({PartType.EVENT})),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry and what it holds; None for a part that it has not, or that was withheld."""

    entry: Entry
    values: content.Values | None
    waves: tuple[content.WaveBlock, ...] | None
    raw: tuple[Chunk, ...] | None
    event: events.Event | None
    withheld: tuple[int, ...]

    @property
    def reading_count(self) -> int:
        """How many readings the entry holds; wave samples are counted apart."""
        return sum(len(series.values) for series in self.values.series) if self.values else 0

    @property
    def sample_count(self) -> int:
        """How many wave samples the entry holds."""
        return sum(len(block.samples) for block in self.waves or ())

    @property
    def last_us(self) -> int:
        """The latest time in the entry, in µs after its clock."""
        times = [vector[-1] for vector in self.values.times if vector] if self.values else []
        times += [block.last_us for block in self.waves or ()]
        times += [chunk.at_us for chunk in self.raw or ()]
        return max(times, default=0)


_make_opened = compile_make(Opened)


def open_entry(leaf: bytes, body: bytes) -> Opened:
    """Open an entry.

    Raises:
        MalformedError: the leaf, the body or a content is not of a format that this version knows: a finding.
        VerificationError: the body is not what the leaf commits to.
    """
    entry = parse_leaf(leaf)
    parts = parse_body(body)
    return open_parts(entry, parts, verify_body(entry, parts))


def open_parts(entry: Entry, parts: Sequence[Part], withheld: tuple[int, ...]) -> Opened:
    """Open an entry whose parts were held against its commitments; raises MalformedError as `open_entry`."""
    committed = entry.parts
    types = (committed[0].type,) if len(committed) == 1 else tuple([part.type for part in committed])
    if wrong := _wrong_kind(entry.kind, entry.chain == GATEWAY_CHAIN, types):
        raise MalformedError(f"{_where(entry)}: {wrong}")
    values = waves = raw = event = None
    try:
        for part in parts:
            if part.type == _VALUES:
                values = content.VALUES.decode(part.content, "values part")
            elif part.type == _WAVES:
                waves = content.WAVES.decode(part.content, "waves part")
            elif part.type == _RAW:
                raw = decode_raw(part.content)
            else:
                event = events.decode(part.content)
    except MalformedError as error:
        raise MalformedError(f"{_where(entry)}: {error}") from None
    if event is not None and (wrong := _wrong_event(entry.kind, entry.chain, event)):
        raise MalformedError(f"{_where(entry)}: {wrong}")
    return _make_opened(entry, values, waves, raw, event, withheld)


def _where(entry: Entry) -> str:
    return f"{entry.chain} entry {entry.seq}"


def seal_entry(
    kind: Kind,
    chain: str,
    seq: int,
    prev: bytes,
    clock: Clock,
    random: Callable[[int], bytes],
    *,
    values: content.Values | None = None,
    context: content.Context | None = None,
    waves: Sequence[content.WaveBlock] = (),
    raw: Sequence[Chunk] = (),
    event: events.Event | None = None,
) -> tuple[bytes, bytes]:
    """Make the leaf and the body of an entry that says this; `random(n)` answers n bytes, for the salts.

    `context` stands in place of the one that the values have. Every check of `open_entry` is made, on the items before
    they are written (see `Shape.encode`).

    Raises:
        MisuseError: a field is out of its bounds, or the contents do not fit the kind or the micro-chain.
        MalformedError: raw bytes that could not be read again.
    """
    contents: list[tuple[int, bytes]] = []
    if values is not None:
        contents.append((_VALUES, content.encode_values(values, context or values.context)))
    if waves:
        contents.append((_WAVES, content.WAVES.encode(tuple(waves), "waves part")))
    if raw:
        contents.append((_RAW, encode_raw(raw)))
        decode_raw(contents[-1][1])  # the table against the bytes as they inflate
    if event is not None:
        contents.append((_EVENT, events.encode(event)))
    count = len(contents)
    parts = (contents[0][0],) if count == 1 else tuple([part for part, _ in contents])
    wrong = _wrong_kind(kind, chain == GATEWAY_CHAIN, parts)
    if wrong is None and event is not None:
        wrong = _wrong_event(kind, chain, event)
    if wrong is not None:
        raise MisuseError(f"{chain} entry {seq}: {wrong}")
    salts = [random(SALT_SIZE) for _ in contents]
    return seal(kind, chain, seq, prev, clock, contents, salts)


@lru_cache(256)  # a log has few kinds of entries; what an enrolled gateway makes up does not stay
def _wrong_kind(kind: Kind, of_gateway: bool, committed: tuple[int, ...]) -> str | None:  # noqa: FBT001  for the cache
    parts = _PARTS.get(kind)
    if parts is None:
        return f"kind {kind.name.lower()} is reserved; a newer version may know it"
    must, may = parts
    if not must <= set(committed) <= may or not committed:
        return f"parts {sorted(set(committed))} do not fit kind {kind.name.lower()}"
    if of_gateway != (kind is Kind.GATEWAY_EVENT or kind is Kind.CARRIED):
        return f"kind {kind.name.lower()} does not belong on this micro-chain"
    return None


def _wrong_event(kind: Kind, chain: str, event: events.Event) -> str | None:
    if (kind is Kind.CARRIED) != isinstance(event, events.Carried):
        return f"event {type(event).__name__} does not fit kind {kind.name.lower()}"
    if events.of_gateway(event) != (chain == GATEWAY_CHAIN):
        return f"event {type(event).__name__} does not belong on this micro-chain"
    return None
