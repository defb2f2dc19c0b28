"""Carrying over: what a log that could not go on holds, and the collector may lack, into its successor.

    entry 0            Succeeds: the old log's checkpoint and every micro-chain's head in it
    then, some a tick  Carried, in the old log's order: its entries from the newest custody receipt to its end

Below the custody receipt the collector has everything; what it has of the rest is not known here, so all of it is
carried, verbatim, and who shows it shows an entry that is also in the old log's mirror once. The devices' lines are
open meanwhile: a long backlog does not keep the gateway from recording. Whether everything was carried stands in a
file beside the store; without it the successor's own entries say how far it came.

A body that is too large for one event goes in several, each with some of its parts. A part that fills an event by
itself (48 KiB, four times what a recorder puts into one) stays behind; the collector finds that it is missing.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from gateway import recovery
from gateway.draft import Draft, Instant
from gateway.ledgers import Ledgers
from gateway.outbox import sound_body
from gateway.reader import Rows
from vitaledger import events
from vitaledger.entry import GATEWAY_CHAIN, MAX_CONTENT, Clock, Kind, Part, encode_body, parse_body, parse_leaf
from vitaledger.errors import MisuseError
from vitaledger.keys import Verifier
from vitaledger.opened import open_entry

AT_ONCE = 512  # entries
BYTES_AT_ONCE = 2 * 1024 * 1024
_READ = 64

_log = logging.getLogger(__name__)


class Predecessor:
    """The log that could not go on, open for reading.

    `key` verifies its checkpoints and bears its origin's name; only receipts of the newest of `ledgers` count.
    """

    def __init__(self, rows: Rows, key: Verifier, ledgers: Ledgers) -> None:
        self._rows, self._key, self._ledgers = rows, key, ledgers

    def succeeds(self) -> events.Succeeds:
        """The first event of the successor's log. MisuseError where the old log is empty."""
        data = self._rows.checkpoint()
        if data is None:
            raise MisuseError(f"{self._key.name}: an empty log has no successor")
        found = recovery.restore(self._rows, self._key.name, self._key).heads
        return events.Succeeds(data, tuple(found[name] for name in sorted(found)))

    def last_clocks(self) -> dict[str, Clock | None]:
        """When the last thing in each device's micro-chain was, as far as that can be told."""
        found: dict[str, Clock | None] = {}
        for name in recovery.restore(self._rows, self._key.name, self._key).heads:
            if name != GATEWAY_CHAIN:
                row = self._rows.last_entry_of(name, self._rows.size, recovery.REACH)
                found[name] = None if row is None else recovery.last_clock(row[1], row[2])
        return found

    def carry(self, new: Rows, now: Callable[[], Instant]) -> "Carry":
        """What the successor's log, which `new` reads, lacks of this one."""
        receipt = self._rows.newest_receipt()
        first = receipt.size if receipt is not None and self._ledgers.covers(receipt.proof) else 0
        return Carry(self._rows, self._key.name, first, new, now)


class Carry:
    """What is still to be carried over from `old` into the log that `new` reads. Belongs to one thread."""

    def __init__(self, old: Rows, origin: str, first: int, new: Rows, now: Callable[[], Instant]) -> None:
        self._old, self._origin, self._now = old, origin, now
        self._end = old.size
        self._next = max(first, _carried(new, origin))

    @property
    def left(self) -> int:
        """How many entries."""
        return max(0, self._end - self._next)

    def take(self) -> list[Draft]:
        """The next ones, at most so many as one commit takes well; nothing when all were taken."""
        drafts: list[Draft] = []
        size, first = 0, self._next
        while self._next < self._end and self._next - first < AT_ONCE and size < BYTES_AT_ONCE:
            rows = self._old.entries(self._next, min(self._next + _READ, self._end, first + AT_ONCE))
            for leaf, body in rows:
                sound, _ = sound_body(leaf, body)
                for event in pieces(self._origin, self._next, leaf, sound):
                    drafts.append(Draft(Kind.CARRIED, GATEWAY_CHAIN, self._now(), event=event))
                    size += len(event.leaf) + len(event.body)
                self._next += 1
        return drafts


def pieces(origin: str, index: int, leaf: bytes, body: bytes) -> Iterator[events.Carried]:
    """An entry as events that carry it: one, or several where it is too large for one."""
    whole = events.Carried(origin, index, leaf, body)
    if len(events.encode(whole)) <= MAX_CONTENT:
        yield whole
        return
    if parse_leaf(leaf).kind is Kind.CARRIED:  # what it carries is what must not be lost
        event = open_entry(leaf, body).event
        if isinstance(event, events.Carried):
            yield event
        return
    batch: list[Part] = []
    for part in parse_body(body):
        if not _fits(origin, index, leaf, [part]):
            # No recorder here makes one (12 KiB, not 48), and a log that cannot go on would be worse.
            _log.error("%s entry %d: a part of %d bytes cannot be carried over", origin, index, len(part.content))
            continue
        if batch and not _fits(origin, index, leaf, [*batch, part]):
            yield events.Carried(origin, index, leaf, encode_body(batch))
            batch = []
        batch.append(part)
    yield events.Carried(origin, index, leaf, encode_body(batch))


def _fits(origin: str, index: int, leaf: bytes, parts: Sequence[Part]) -> bool:
    return len(events.encode(events.Carried(origin, index, leaf, encode_body(parts)))) <= MAX_CONTENT


def _carried(new: Rows, origin: str) -> int:
    """One more than the index of the last entry of `origin` that was carried into the log; 0 where none was."""
    at = new.size
    while (row := new.last_entry_of(GATEWAY_CHAIN, at, recovery.REACH)) is not None:
        at, leaf, body = row
        if parse_leaf(leaf).kind is not Kind.CARRIED or body is None:
            continue
        event = open_entry(leaf, body).event
        if isinstance(event, events.Carried) and event.origin == origin:
            return event.index + 1
    return 0
