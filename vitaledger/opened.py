"""An entry opened: leaf and body decoded to the last field, each part held against the leaf's commitment.

The gateway opens every entry before it seals it, the collector when it takes it, and whatever shows a reading opens
it again: one piece of code decides what an entry says.

>>> from vitaledger import events
>>> from vitaledger.entry import Clock, Kind, PartType, genesis, seal
>>> event = events.encode(events.Stop("asked to"))
>>> leaf, body = seal(Kind.GATEWAY_EVENT, "gateway", 0, genesis("h.example/gateway/g1", "gateway"),
...                   Clock(1_700_000_000_000, bytes(16), 5_000, 2), [(PartType.EVENT, event)], [bytes(16)])
>>> open_entry(leaf, body).event
Stop(detail='asked to')
"""

from dataclasses import dataclass

from vitaledger import content, events
from vitaledger.entry import GATEWAY_CHAIN, Entry, Kind, PartType, parse_body, parse_leaf, verify_body
from vitaledger.errors import MalformedError

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
    raw: tuple[content.Chunk, ...] | None
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


def open_entry(leaf: bytes, body: bytes) -> Opened:
    """Open an entry.

    Raises:
        MalformedError: the leaf, the body or a content is not of a format that this version knows: a finding.
        VerificationError: the body is not what the leaf commits to.
    """
    entry = parse_leaf(leaf)
    parts = parse_body(body)
    withheld = verify_body(entry, parts)
    where = f"{entry.chain} entry {entry.seq}"
    if wrong := _wrong_kind(entry):
        raise MalformedError(f"{where}: {wrong}")
    values = waves = raw = event = None
    try:
        for part in parts:
            if part.type == PartType.VALUES:
                values = content.VALUES.decode(part.content, "values part")
            elif part.type == PartType.WAVES:
                waves = content.WAVES.decode(part.content, "waves part")
            elif part.type == PartType.RAW:
                raw = content.decode_raw(part.content)
            else:
                event = events.decode(part.content)
    except MalformedError as error:
        raise MalformedError(f"{where}: {error}") from None
    if event is not None and (wrong := _wrong_event(entry, event)):
        raise MalformedError(f"{where}: {wrong}")
    return Opened(entry, values, waves, raw, event, withheld)


def _wrong_kind(entry: Entry) -> str | None:
    kind = entry.kind.name.lower()
    if entry.kind not in _PARTS:
        return f"kind {kind} is reserved; a newer version may know it"
    must, may = _PARTS[entry.kind]
    committed = {commitment.type for commitment in entry.parts}
    if not must <= committed <= may or not committed:
        return f"parts {sorted(committed)} do not fit kind {kind}"
    if (entry.chain == GATEWAY_CHAIN) != (entry.kind in {Kind.GATEWAY_EVENT, Kind.CARRIED}):
        return f"kind {kind} does not belong on this micro-chain"
    return None


def _wrong_event(entry: Entry, event: events.Event) -> str | None:
    if (entry.kind is Kind.CARRIED) != isinstance(event, events.Carried):
        return f"event {type(event).__name__} does not fit kind {entry.kind.name.lower()}"
    if events.of_gateway(event) != (entry.chain == GATEWAY_CHAIN):
        return f"event {type(event).__name__} does not belong on this micro-chain"
    return None
