"""Runs of indices: sorted, disjoint, not touching, as lists of (first, end).

>>> runs = add([], (0, 10), (20, 30))
>>> add(runs, (10, 12))
[(0, 12), (20, 30)]
>>> first_gap(runs, 0), first_gap(runs, 15), total(runs)
(10, 15, 20)
"""

from collections.abc import Iterable, Sequence

Run = tuple[int, int]


def add(runs: Sequence[Run], *more: Run) -> list[Run]:
    """The union, in order."""
    out: list[Run] = []
    for first, end in sorted((*runs, *more)):
        if first >= end:
            continue
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((first, end))
    return out


def first_gap(runs: Sequence[Run], at: int) -> int:
    """The first index from `at` on that no run holds."""
    for first, end in runs:
        if first <= at < end:
            at = end
    return at


def total(runs: Iterable[Run]) -> int:
    """How many indices."""
    return sum(end - first for first, end in runs)
