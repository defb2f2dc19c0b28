"""What is watched on a line beside its readings: whether anything comes, whether it can be read, what is wrong."""

from collections import Counter

from gateway.draft import Instant
from vitaledger.events import FrameErrorCount, FrameErrors

SILENCE_US = 10_000_000  # a silence longer than this is a gap
UNREADABLE_US = 10_000_000
MINUTE_US = 60_000_000
SETTLE_US = 5_000_000
MAX_KINDS = 32


class Quiet:
    """Tells silence (the line stands, nothing comes) from noise (bytes come, no frame among them)."""

    def __init__(self) -> None:
        self._heard: Instant | None = None
        self._first_us: int | None = None  # the first byte since the line opened or was silent
        self._since: Instant | None = None  # the line opened, or the last byte came
        self._told_us = 0
        self._noise_us: int | None = None  # the first byte after the last good frame
        self.unreadable = False

    @property
    def heard(self) -> bool:
        """Whether anything was received since the line opened."""
        return self._heard is not None

    def heard_before(self, now: Instant) -> bool:
        """Whether bytes had come before `now`, since the line opened or was silent."""
        return self._first_us is not None and self._first_us < now.mono_us

    def opened(self, now: Instant) -> None:
        """The line stands."""
        self._first_us = None
        self._heard, self._since, self._told_us = None, now, now.mono_us
        self._noise_us, self.unreadable = None, False

    def received(self, now: Instant) -> int | None:
        """Bytes came. Answers the µs of the silence that they end, None where it was none."""
        passed = now.mono_us - self._since.mono_us if self._since is not None else 0
        self._heard = self._since = now
        self._told_us = now.mono_us
        if passed > SILENCE_US:
            self._noise_us = self._first_us = None
        if self._first_us is None:
            self._first_us = now.mono_us
        if self._noise_us is None:
            self._noise_us = now.mono_us
        return passed if passed > SILENCE_US else None

    @property
    def clear(self) -> bool:
        """Whether a good frame came last: another one changes nothing."""
        return self._noise_us is None and not self.unreadable

    def good(self, *, whole: bool) -> bool:
        """A frame was good. Answers whether the line had been unreadable until now: it is until a `whole` reading."""
        self._noise_us = None
        was = self.unreadable and whole
        self.unreadable = self.unreadable and not whole
        return was

    def became_unreadable(self, now: Instant) -> bool:
        """Whether the line is found unreadable just now: said once."""
        if self.unreadable or self._noise_us is None or self._heard is None:
            return False
        still = now.mono_us - self._heard.mono_us <= SILENCE_US
        self.unreadable = still and self._heard.mono_us - self._noise_us > UNREADABLE_US
        return self.unreadable

    def silence_due(self, now: Instant) -> Instant | None:
        """Once a minute while nothing comes: since when."""
        if self._since is None or now.mono_us - self._told_us < MINUTE_US:
            return None
        self._told_us = now.mono_us
        return self._since


class FrameErrorCounter:
    """Counts frame errors by kind, for one entry a minute."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first_us = 0
        self._told_us: int | None = None

    def add(self, kind: str, count: int, now: Instant) -> None:
        """Count. Kinds beyond the thirty-first are counted together as "other"."""
        if count < 1:
            return
        if not self._counts:
            self._first_us = now.mono_us
        known = kind in self._counts or len(self._counts) < MAX_KINDS - 1
        self._counts[(kind or "other") if known else "other"] += count

    def due(self, now: Instant) -> bool:
        """Whether an entry is due: a minute after the last; the first a moment after the first error."""
        if not self._counts or now.mono_us - self._first_us < SETTLE_US:
            return False
        return self._told_us is None or now.mono_us - self._told_us >= MINUTE_US

    def take(self, now: Instant) -> FrameErrors | None:
        """What was counted since the last time; None where that is nothing."""
        if not self._counts:
            return None
        self._told_us = now.mono_us
        counts = tuple(FrameErrorCount(kind, count) for kind, count in sorted(self._counts.items()))
        self._counts.clear()
        return FrameErrors(counts)
