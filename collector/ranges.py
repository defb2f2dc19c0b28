"""Which entries of a log are here: the prefix that custody covers, and runs beyond it.

>>> held = Ranges(256, [(512, 600)])
>>> held.add(256, 300), held.all(), held.beyond
(True, [(0, 300), (512, 600)], [(256, 300), (512, 600)])
>>> held.advance(300)
>>> held.beyond, held.holds(512, 600), held.holds(299, 301)
([(512, 600)], True, False)
>>> held.touches(300, 512), held.touches(300, 513)
(False, True)
"""

from collections.abc import Sequence

from vitaledger.messages import MAX_RANGES


class Ranges:
    """[0, stored) and at most seven runs behind a hole; a run that begins at `stored` waits to be moved over."""

    __slots__ = ("beyond", "stored")

    def __init__(self, stored: int, beyond: Sequence[tuple[int, int]]) -> None:
        self.stored = stored
        self.beyond = list(beyond)

    @property
    def prefix(self) -> int:
        """The end of what is here without a hole."""
        return self.beyond[0][1] if self.beyond and self.beyond[0][0] == self.stored else self.stored

    def all(self) -> list[tuple[int, int]]:
        """Everything that is here, as [first, end) apart from one another."""
        prefix = self.prefix
        return ([(0, prefix)] if prefix else []) + [run for run in self.beyond if run[0] > prefix]

    def holds(self, first: int, end: int) -> bool:
        """Whether all of [first, end) is here."""
        return first == end or any(low <= first and end <= high for low, high in self.all())

    def touches(self, first: int, end: int) -> bool:
        """Whether any of [first, end) is here."""
        return any(first < high and low < end for low, high in self.all())

    def can_add(self, first: int, end: int) -> bool:
        """Whether [first, end) leaves no more ranges than an answer can name. What joins the prefix always can."""
        return len([run for run in self._merged(first, end) if run[0] > self.stored]) < MAX_RANGES

    def add(self, first: int, end: int) -> bool:
        """Add [first, end); whether that changed anything."""
        merged = self._merged(first, end)
        changed = merged != self.beyond
        self.beyond = merged
        return changed

    def advance(self, stored: int) -> None:
        """The prefix was moved over to `stored`."""
        self.beyond = [(max(low, stored), high) for low, high in self.beyond if high > stored]
        self.stored = stored

    def _merged(self, first: int, end: int) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*self.beyond, (max(first, self.stored), end)]):
            if low >= high:
                continue
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return merged
