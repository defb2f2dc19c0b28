"""What the drivers of this package share: options, plausibility and runs of wave samples."""

import difflib
from collections.abc import Mapping

from gateway.drivers.api import GOOD, Event, Reading, Samples, Signal
from vitaledger.compiled import compile_make
from vitaledger.errors import MisuseError
from vitaledger.marks import Absence, Quality
from vitaledger.vitals import by_name

make_reading = compile_make(Reading)  # all fields in order; there are hundreds a second


def nearest(word: str, known: list[str]) -> str:
    """Name the known word that is nearest to `word`, or all of them, for an error message."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"


def choose(
    driver: str, accepted: Mapping[str, tuple[str, ...]], options: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Fill in the defaults of a driver's options.

    Raises:
        MisuseError: an option or a value that the driver does not know; names the nearest.
    """
    chosen = {name: values[0] for name, values in accepted.items()}
    for name, value in (options or {}).items():
        if name not in accepted:
            raise MisuseError(f"driver {driver}: unknown option {name!r}; {nearest(name, list(accepted))}")
        if value not in accepted[name]:
            known = nearest(str(value), list(accepted[name]))
            raise MisuseError(f"driver {driver}: option {name} cannot be {value!r}; {known}")
        chosen[name] = value
    return chosen


def table(*signals: Signal) -> Mapping[str, Signal]:
    """Index signals by handle."""
    return {signal.handle: signal for signal in signals}


class Plausible:
    """The limits of one signal in its own integers: value in, the mark for it out."""

    __slots__ = ("_high", "_low")

    def __init__(self, sign: str, exponent: int = 0) -> None:
        low, high = by_name(sign).plausible
        scale = 10**-exponent
        self._low, self._high = low * scale, high * scale

    def mark(self, value: int) -> Quality:
        """IMPLAUSIBLE where the value is outside of the limits, else nothing."""
        return GOOD if self._low <= value <= self._high else Quality.IMPLAUSIBLE


class Run:
    """Samples that belong together: one wave, one absence, one quality, nothing lost in between.

    A change of any of them closes the run; `flush` closes it at the end of a call, because what a call
    received is reported by that call.
    """

    __slots__ = ("_absence", "_handle", "_lost", "_quality", "_samples")

    def __init__(self, handle: str) -> None:
        self._handle = handle
        self._samples: list[int] = []
        self._absence: Absence | None = None
        self._quality = Quality(0)
        self._lost = False

    def lost(self, events: list[Event], now_us: int) -> None:
        """Close the run: the next samples do not follow these."""
        self.flush(events, now_us)
        self._lost = True

    def add(self, sample: int, absence: Absence | None, quality: Quality, events: list[Event], now_us: int) -> None:
        """Take one sample; a run of another kind is closed into `events` first."""
        if self._samples and (absence is not self._absence or quality != self._quality):
            self.flush(events, now_us)
        self._absence, self._quality = absence, quality
        self._samples.append(sample)

    def flush(self, events: list[Event], now_us: int) -> None:
        """Close the run into `events`, if there is one."""
        if self._samples:
            samples = tuple(self._samples)
            events.append(Samples(self._handle, now_us, samples, self._absence, self._quality, follows=not self._lost))
            self._samples.clear()
            self._lost = False
