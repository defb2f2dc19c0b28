"""The clocks of devices: set by hand, in no time zone, and wrong in every way in which such clocks are.

Of what a clock shows, the device sends the local time and often only two digits of the year. Daylight saving moves it
an hour forward in spring and back in autumn, when one hour shows twice:

>>> from datetime import datetime
>>> clock = Clock(datetime(2026, 10, 25, 2, 59, 59), Daylight.EU)
>>> f"{clock.at(0):%H:%M:%S} {clock.at(1_000_000):%H:%M:%S}"
'02:59:59 02:00:00'
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from firmware_sim.devices.base import MICROSECONDS

_HOUR = timedelta(hours=1)
_SUNDAY = 6
_FORGOTTEN = datetime(1970, 1, 1)  # noqa: DTZ001 - the device knows no time zone


class Daylight(StrEnum):
    """Whose rule a clock follows."""

    EU = "eu"
    US = "us"


@dataclass(frozen=True, slots=True)
class Step:
    """From `from_us` up to, and without, `until_us` of the device's time the clock is `by_us` further."""

    from_us: int
    until_us: int
    by_us: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A device's clock.

    Attributes:
        shows: what it shows when the device is switched on.
        daylight: whose daylight saving it follows; None for none. A time in the hour that comes twice is taken for its
            first coming.
        steps: spells during which somebody has set it to another time.
        forgotten: when its battery fails, and until when, by the device's time: it counts from 1970 on.
    """

    shows: datetime
    daylight: Daylight | None = None
    steps: tuple[Step, ...] = ()
    forgotten: tuple[tuple[int, int], ...] = ()

    def at(self, time_us: int) -> datetime:
        """What it shows, in whole seconds."""
        for from_us, until_us in self.forgotten:
            if from_us <= time_us < until_us:
                return _FORGOTTEN + timedelta(seconds=(time_us - from_us) // MICROSECONDS)
        moved = sum(step.by_us for step in self.steps if step.from_us <= time_us < step.until_us)
        gone = timedelta(seconds=(time_us + moved) // MICROSECONDS)
        if self.daylight is None:
            return self.shows + gone
        began = self.shows - _HOUR if is_summer(self.shows - _HOUR, self.daylight) else self.shows
        standard = began + gone
        return standard + _HOUR if is_summer(standard, self.daylight) else standard


USUAL = Clock(datetime(2024, 3, 1, 8, 0, 0))  # noqa: DTZ001 - the device knows no time zone


def is_summer(standard: datetime, daylight: Daylight) -> bool:
    """Whether daylight saving holds at a time of the standard clock.

    EU: from 02:00 on the last Sunday of March to 02:00 (by then 03:00) on the last Sunday of October, as in central
    Europe. US: from 02:00 on the second Sunday of March to 01:00 (by then 02:00) on the first Sunday of November.
    """
    year = standard.year
    if daylight is Daylight.EU:
        return _sunday(year, 3, 25, 2) <= standard < _sunday(year, 10, 25, 2)
    return _sunday(year, 3, 8, 2) <= standard < _sunday(year, 11, 1, 1)


def _sunday(year: int, month: int, day: int, hour: int) -> datetime:
    """The first Sunday that is not before a day."""
    first = datetime(year, month, day, hour)  # noqa: DTZ001 - the device knows no time zone
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7)
