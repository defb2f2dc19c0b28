"""Which part of the log can hold what claims a time in an interval: by bisection, its cost does not grow with the age.

Entries are looked up by CLOCK_BOOTTIME, which nobody sets, and not by the wall clock, which may have been set back.
The log falls into stretches within which the wall clock kept its distance to it, up to what slewing explains; these are
found by bisection, too. A stretch in which anything does not fit, such as an entry that does not verify, is taken
whole. Entries stand in the log in the order in which they were sealed, some seconds off; therefore the margins.

What this does not find: an entry made while the wall clock was wrong and was then set right again by as much, in an
interval of the wrong time. The collector's history finds it by its index.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.clock import SLEW_PPM, STEP_MS
from gateway.runs import Run, add
from vitaledger.entry import Clock

MARGIN_MS = 120_000  # twice the time from the first byte of an entry to its commit, and more
NEAR = 512  # entries beside: what a start seals of the run before it (gateway.salvage) has times of that run

ClockOf = Callable[[int], Clock | None]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Entries [first, end) of one boot without a step of the wall clock, by the clocks of the first and the last."""

    first: int
    end: int
    begins: Clock
    ends: Clock


def runs(clock_of: ClockOf, size: int, from_ms: int | None, to_ms: int | None) -> list[Run]:
    """The runs of entries of a log of `size` that may claim a wall time in [from_ms, to_ms); None is open.

    `clock_of` answers the clock of an entry, None where it cannot be relied on.
    """
    if not size or (from_ms is None and to_ms is None):
        return add([], (0, size))
    found: list[Run] = []
    for part in _stretches(clock_of, 0, size):
        if not isinstance(part, _Stretch):
            found.append(part)
            continue
        first, end = _inside(clock_of, part, from_ms, to_ms)
        if first < end:
            found.append((max(0, first - NEAR), min(size, end + NEAR)))
    return add([], *found)


def _offset(clock: Clock) -> int:
    return clock.wall_ms - clock.boot_ms


def _stretches(clock_of: ClockOf, first: int, end: int) -> Iterator[_Stretch | Run]:
    """[first, end) in parts, in order: stretches, and single entries that do not verify."""
    begins, ends = clock_of(first), clock_of(end - 1)
    if begins is not None and ends is not None and begins.boot_id == ends.boot_id:
        slewed_ms = STEP_MS + max(0, ends.boot_ms - begins.boot_ms) * SLEW_PPM // 1_000_000
        if abs(_offset(ends) - _offset(begins)) <= slewed_ms:
            yield _Stretch(first, end, begins, ends)
            return
    if end - first == 1:
        yield first, end
        return
    middle = (first + end) // 2
    yield from _stretches(clock_of, first, middle)
    yield from _stretches(clock_of, middle, end)


def _inside(clock_of: ClockOf, part: _Stretch, from_ms: int | None, to_ms: int | None) -> Run:
    """What of a stretch can lie in the interval."""
    offsets = _offset(part.begins), _offset(part.ends)
    first, end = part.first, part.end
    low = None if from_ms is None else from_ms - max(offsets) - MARGIN_MS
    high = None if to_ms is None else to_ms - min(offsets) + MARGIN_MS
    if (low is not None and part.ends.boot_ms < low) or (high is not None and part.begins.boot_ms > high):
        return first, first
    if low is not None and part.begins.boot_ms < low:
        first = _bisect(clock_of, part, low) or part.first
    if high is not None and part.ends.boot_ms > high:
        end = _bisect(clock_of, part, high) or part.end
    return first, max(first, end)


def _bisect(clock_of: ClockOf, part: _Stretch, boot_ms: int) -> int | None:
    """The first entry of a stretch at that time since boot or later; None where an entry on the way does not fit."""
    low, high = part.first, part.end
    while low < high:
        middle = (low + high) // 2
        clock = clock_of(middle)
        if clock is None or clock.boot_id != part.begins.boot_id:
            return None
        if clock.boot_ms < boot_ms:
            low = middle + 1
        else:
            high = middle
    return low
