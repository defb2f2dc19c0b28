"""Frozen values while bytes flow: a wave that stands still for ten seconds, and values that never move for minutes.

The rule, for each line:

    a wave          every sample the same for 10 s of its own rate, the device saying all the time that a sensor is on
                    (no absence): a living patient's wave varies with each beat
    values          where the device has no wave: every signal that was measured the same for 5 min, of three at least,
                    the perfusion index among them, which varies by its second decimal

One notice goes behind the events of a call. From then on readings and samples bear `Quality.STALE`; the first sample
or value that is another ends it. What came before the ten seconds were over stays as it was sealed. A wave with an
absence, or with frames lost, begins anew. Device values are marked, never changed or left out.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.drivers.api import Event, Notice, Reading, Samples, Signal, Wave
from vitaledger.marks import Category, Quality

WAVE_S = 10
VALUES_US = 300_000_000
PERFUSION = 150448
_LEAST_SIGNALS = 3


class Frozen:
    """Watches one line. Holds a number for each signal and wave."""

    def __init__(self, signals: Mapping[str, Signal], waves: Mapping[str, Wave]) -> None:
        self._needed = {handle: int(wave.rate * WAVE_S) for handle, wave in waves.items()}
        measured = {handle: of for handle, of in signals.items() if of.category is Category.MEASURED}
        watched = not waves and len(measured) >= _LEAST_SIGNALS
        self._watched = set(measured) if watched and PERFUSION in {of.code for of in measured.values()} else set()
        self.reset()

    def reset(self) -> None:
        """The line was opened: whatever comes is new."""
        self._same: dict[str, tuple[int, int]] = {}  # wave: its last sample, and how many of them in a row
        self._values: dict[str, int] = {}
        self._since_us: int | None = None  # since when no value moved
        self._still = ""  # what stands still

    def judge(self, found: list[Event], now_us: int) -> list[Event]:
        """The events as they are to be recorded."""
        judged: list[Event] = []
        told: list[Event] = []
        for event in found:
            if isinstance(event, Samples):
                told += self._wave(event, now_us)
            elif self._watched and isinstance(event, Reading) and event.stored is None:
                told += self._reading(event, now_us)
            judged.append(_stale(event) if self._still else event)
        return judged + told

    def stand_still(self) -> None:
        """It was found so before: nothing moves until something does."""
        self._still = next(iter(self._needed), "values")

    def _wave(self, event: Samples, now_us: int) -> list[Event]:
        handle, samples = event.handle, event.samples
        last, count = self._same.get(handle, (samples[0], 0))
        if event.absence is not None:
            self._same.pop(handle, None)
            self._still = ""
            return []
        if not event.follows:
            count = 0
        if samples[0] != last or samples.count(samples[0]) != len(samples):
            # It moved: what is equal at the end counts from there.
            end = next((n for n, each in enumerate(reversed(samples)) if each != samples[-1]), len(samples))
            self._same[handle] = (samples[-1], end)
            self._still = "" if self._still == handle else self._still
            return []
        count += len(samples)
        self._same[handle] = (last, count)
        return self._begin(handle, f"every sample was {last} for {WAVE_S} s", now_us, count >= self._needed[handle])

    def _reading(self, event: Reading, now_us: int) -> list[Event]:
        if event.handle not in self._watched:
            return []
        if event.value is None:
            self._values.pop(event.handle, None)
            self._since_us, self._still = None, ""
        elif self._values.get(event.handle) != event.value:
            self._values[event.handle] = event.value
            self._since_us, self._still = now_us, ""
        elif self._since_us is not None and len(self._values) >= _LEAST_SIGNALS:
            still = now_us - self._since_us >= VALUES_US
            return self._begin("values", f"none has moved for {VALUES_US // 60_000_000} min", now_us, still)
        return []

    def _begin(self, what: str, how: str, now_us: int, still: bool) -> list[Event]:  # noqa: FBT001
        if not still or self._still:
            return []
        self._still = what
        return [Notice(now_us, f"{what}: {how} while a sensor is said to be on: marked stale")]


def _stale(event: Event) -> Event:
    if isinstance(event, Samples) or (isinstance(event, Reading) and event.stored is None and event.value is not None):
        return replace(event, quality=event.quality | Quality.STALE)
    return event
