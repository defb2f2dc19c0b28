"""What goes into the next message of entries: which come first, and how many fit.

live entries    from the end of the last stored range; where that is far back, from the newest tile on
the backlog     from the front, when nothing live waits
one message     entries of one tile, at most 64 KiB with its proof
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.runs import Run, first_gap
from vitaledger import entry as entries
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.messages import MAX_MESSAGE, MAX_RANGES, TILE, Sealed

LIVE_GAP = 2 * TILE
_OVERHEAD = 3 * 1024  # of a message: proof, origin, numbers
_READ = 32


class LogView(Protocol):
    """What the uplink reads of the log. What it answers was committed."""

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint."""

    def entries(self, first: int, end: int) -> Sequence[tuple[bytes, bytes | None]]:
        """(leaf, body) of entries [first, end)."""

    def consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        """What shows that size1 is a prefix of size2."""

    def subtree_proof(self, first: int, end: int, size: int) -> list[bytes]:
        """What shows that the tree of that size holds [first, end)."""

    def root_at(self, size: int) -> bytes | None:
        """The root of the first `size` entries, None where there are fewer."""


def fill(log: LogView, first: int, limit: int) -> tuple[list[Sealed], list[str]]:
    """As many entries of [first, limit) as one message holds, at least one; and what was wrong in them."""
    room = MAX_MESSAGE - _OVERHEAD
    batch: list[Sealed] = []
    wrong: list[str] = []
    while first + len(batch) < limit:
        at = first + len(batch)
        for leaf, body in log.entries(at, min(at + _READ, limit)):
            sound, problem = sound_body(leaf, body)
            room -= len(leaf) + len(sound) + 8
            if batch and room < 0:
                return batch, wrong
            if problem:
                wrong.append(f"entry {first + len(batch)}: {problem}; it is sent without that")
            batch.append(Sealed(leaf, sound))
    return batch, wrong


def next_first(covered: Sequence[Run], witnessed: int) -> int | None:
    """Where the next message of entries begins: live entries first, then the backlog; None where all are covered.

    `covered` holds what is stored or in flight, in order; it begins at 0 unless the log is empty there.
    """
    tail = covered[-1][1] if covered else 0
    if tail < witnessed:
        newest = (witnessed - 1) // TILE * TILE
        if witnessed - tail > LIVE_GAP and tail < newest and len(covered) < MAX_RANGES - 1:
            return newest
        return tail
    gap = first_gap(covered, 0)
    return gap if gap < witnessed else None


def sound_body(leaf: bytes, body: bytes | None) -> tuple[bytes, str | None]:
    """The body without the parts that the leaf does not commit to, and what was wrong with it."""
    if body is None:
        return entries.encode_body(()), "its body was pruned and is asked for"
    try:
        entry = entries.parse_leaf(leaf)
    except MalformedError:
        return body, None  # what cannot be read here is the collector's to judge
    try:
        parts = entries.parse_body(body)
    except MalformedError as error:
        return entries.encode_body(()), f"its stored body is damaged: {error}"
    try:
        entries.verify_body(entry, parts)
    except VerificationError as error:
        digests = {each.type: each.digest for each in entry.parts}
        good = [part for part in parts if entries.commit(part.salt, part.content) == digests.get(part.type)]
        return entries.encode_body(good), f"its stored body is damaged: {error}"
    return body, None
