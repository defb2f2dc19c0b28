"""What a store has to know at opening, from the end of the log backwards: start-up does not grow with the log's age.

    tree      the right edge, from the last entries and the full tiles under it; its root must be the signed one
    heads     of every micro-chain: from the last heads entry and the entries after it
    stop      whether the last entry of the gateway's own chain says that it stopped on purpose

Nothing is mended here: what does not fit is an error that says what does not fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.reader import Rows, Stored
from vitaledger import chain, events
from vitaledger.checkpoint import Checkpoint, open_checkpoint
from vitaledger.entry import GATEWAY_CHAIN, Clock, Entry, entry_hash, parse_body, parse_leaf
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.events import ChainHead
from vitaledger.keys import Verifier
from vitaledger.opened import open_entry
from vitaledger.tiles import TileBuilder

_STEP = 128
# How far back the last entry of a chain that went quiet is looked for, when it speaks again.
REACH = 200_000


@dataclass(frozen=True, slots=True)
class Restored:
    """The state of a log as its store holds it. `clocks` is of the chains seen in the scan alone."""

    builder: TileBuilder
    checkpoint: bytes | None
    heads: Mapping[str, ChainHead]
    clocks: Mapping[str, Clock]
    last_heads: int | None  # index of the newest heads entry
    stopped_cleanly: bool


def restore(rows: Rows, origin: str, key: Verifier) -> Restored:
    """Read the state of the log back.

    Raises:
        VerificationError: the signed checkpoint is not of this tree, or an entry does not link.
        MalformedError: an entry of the scan cannot be read.
    """
    data = rows.checkpoint()
    stored = rows.stored_size()
    if data is None:
        if stored:
            raise VerificationError(f"the store holds {stored} entries and no signed checkpoint")
        return Restored(TileBuilder(), None, {}, {}, None, stopped_cleanly=False)
    head = open_checkpoint(data, [key]).checkpoint
    if head.origin != origin:
        raise VerificationError(f"the store is of {head.origin}, expected {origin}")
    if stored != head.size:
        raise VerificationError(f"the signed checkpoint covers {head.size} entries, the store ends at {stored}")
    builder = _tree(rows, head)
    return _scan(rows, origin, head.size, builder, data)


def last_clock(leaf: bytes, body: bytes | None) -> Clock:
    """The clock of the latest thing in an entry; its own clock where the body was pruned or cannot be read."""
    entry = parse_leaf(leaf)
    clock = entry.clock
    if body is None:
        return clock
    try:
        offset_ms = open_entry(leaf, body).last_us // 1000
    except MalformedError:
        return clock
    return Clock(clock.wall_ms + offset_ms, clock.boot_id, clock.boot_ms + offset_ms, clock.bound_ms)


def _tree(rows: Rows, head: Checkpoint) -> TileBuilder:
    builder = TileBuilder.restore(head.size, rows.tile)
    if builder.root() != head.root:  # the edge may be wrong, which proves nothing: full tiles and leaves decide
        builder = TileBuilder.restore(head.size, rows.tile_without_edge)
    if builder.root() != head.root:
        raise VerificationError(
            f"root of {head.size} entries: the signed checkpoint says {head.root.hex()[:16]}…, "
            f"the stored entries give {builder.root().hex()[:16]}…"
        )
    return builder


def _scan(rows: Rows, origin: str, size: int, builder: TileBuilder, checkpoint: bytes) -> Restored:
    first = size
    tail: list[tuple[Entry, Stored]] = []
    heads_at: int | None = None
    found: events.Heads | None = None
    while first > 0 and found is None:
        begin = max(0, first - _STEP)
        step = [(parse_leaf(leaf), (leaf, body)) for leaf, body in rows.entries(begin, first)]
        for at in reversed(range(len(step))):
            event = _event(*step[at]) if found is None else None
            if isinstance(event, events.Heads):
                found, heads_at = event, begin + at
        tail = step + tail
        first = begin
    following = tail if heads_at is None else tail[heads_at - first :]
    heads = {head.chain: head for head in found.chains} if found else {}
    for entry, (leaf, _) in following:
        head = heads.get(entry.chain) or chain.start(origin, entry.chain)
        heads[entry.chain] = chain.follow(head, entry, entry_hash(leaf))
    last = {entry.chain: (entry, stored) for entry, stored in tail}
    clocks = {name: last_clock(*stored) for name, (_, stored) in last.items()}
    own = last.get(GATEWAY_CHAIN)
    stopped = own is not None and isinstance(_event(*own), events.Stop)
    return Restored(builder, checkpoint, heads, clocks, heads_at, stopped)


def _event(entry: Entry, stored: Stored) -> events.Event | None:
    leaf, body = stored
    if entry.chain != GATEWAY_CHAIN or body is None or not parse_body(body):
        return None
    return open_entry(leaf, body).event
