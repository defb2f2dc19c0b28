"""Drafts held back until it is known whose they are."""

from gateway.draft import Draft, Instant

MAX_HELD = 64


class Hold:
    """Entries of a device that is not known yet, in order. `began` is when it began to be unknown."""

    def __init__(self, began: Instant) -> None:
        self.began = began
        self.drafts: list[Draft] = []
        self.bytes = 0
        self._heard_us: int | None = None

    def heard(self, count: int, now: Instant) -> None:
        """So many bytes came."""
        self.bytes += count
        if self._heard_us is None:
            self._heard_us = now.mono_us

    def due(self, now: Instant, entry_us: int) -> bool:
        """Whether it was long enough: one entry's time since the first byte, or too many drafts."""
        if len(self.drafts) >= MAX_HELD:
            return True
        return self._heard_us is not None and now.mono_us - self._heard_us >= entry_us
