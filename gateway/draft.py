"""What the recorder hands to the store: an entry that has no number, no link and no salt yet."""

from dataclasses import dataclass

from vitaledger.content import Values, WaveBlock
from vitaledger.entry import Clock, Kind, make_clock
from vitaledger.events import Event
from vitaledger.raw import Chunk


@dataclass(frozen=True, slots=True)
class Instant:
    """Both clocks, read together: µs since boot (suspend included), wall ms since 1970 UTC and its error bound."""

    mono_us: int
    wall_ms: int
    bound_ms: int | None
    boot_id: bytes

    @property
    def clock(self) -> Clock:
        """The same as an entry bears it."""
        return make_clock(self.wall_ms, self.boot_id, self.mono_us // 1000, self.bound_ms)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be sealed: an event, or values, waves and raw bytes. `began` is the time of its first byte.

    The store fills in the context of `values` (which entries hold the identity, alarm and settings in force), because
    only it knows the numbers that entries get.
    """

    kind: Kind
    chain: str
    began: Instant
    event: Event | None = None
    values: Values | None = None
    waves: tuple[WaveBlock, ...] = ()
    raw: tuple[Chunk, ...] = ()
