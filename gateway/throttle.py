"""So many in a time and no more: what others can make us say must not fill the log."""

from collections import deque


class Throttle:
    """At most `most` in any `seconds`; the others are counted.

    >>> throttle = Throttle(2, 60.0)
    >>> [throttle.allows(now) for now in (0.0, 1.0, 2.0, 3.0, 61.0)]
    [True, True, False, False, True]
    >>> throttle.missed()
    2
    >>> throttle.missed()
    0
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._seconds = seconds
        self._missed = 0

    def allows(self, now: float) -> bool:
        """Whether one more is taken now."""
        if len(self._times) == self._times.maxlen and now - self._times[0] < self._seconds:
            self._missed += 1
            return False
        self._times.append(now)
        return True

    def missed(self) -> int:
        """How many were not taken since the last time that this was asked."""
        missed, self._missed = self._missed, 0
        return missed
