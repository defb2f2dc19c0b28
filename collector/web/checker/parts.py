"""What verified entries add to a chart: cells, runs of proof, events and counts. Parts add up, in any order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from collector.history import Seen
from collector.verified import VerifiedLog
from collector.web.checker.cells import Cells, Signal
from collector.web.checker.told import Run, Runs, Told, event
from vitaledger import vitals
from vitaledger.marks import Check

MAX_EVENTS = 4_000  # of one view; the rest is counted

# what a chart of a sign shows, whatever its values are: the range that a clinician expects
AXES = {
    "spo2": (70, 100),
    "pulse-rate": (30, 220),
    "heart-rate": (30, 220),
    "perfusion-index": (0, 10),
    "respiratory-rate": (0, 60),
    "temperature": (33, 42),
}


@dataclass(slots=True)
class Part:
    """What some entries of a device say. `bound_ms` is the widest error bound of the gateway's clock in it."""

    cells: Cells
    runs: list[Run] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    entries: int = 0
    readings: int = 0
    wave_samples: int = 0
    from_memory: int = 0
    bound_ms: int = 0
    unsynchronised: int = 0

    @classmethod
    def of(
        cls,
        log: VerifiedLog,
        found: Iterable[Seen],
        width_us: int,
        from_us: int | None = None,
        to_us: int | None = None,
    ) -> "Part":
        """Fold entries of one micro-chain, in order; each is let go before the next one is opened."""
        part, runs = cls(Cells(width_us)), Runs(log)
        for seen in found:
            part.entries += 1
            opened = seen.opened
            runs.take(seen, opened)
            if opened is None:
                continue
            part.readings += opened.reading_count
            part.wave_samples += opened.sample_count
            part.from_memory += part.cells.add(opened, from_us, to_us)
            bound = opened.entry.clock.bound_ms
            part.unsynchronised += bound is None
            part.bound_ms = max(part.bound_ms, bound or 0)
            if (told := event(log, seen)) is not None:
                part.events.append(told)
        part.runs = runs.made()
        return part

    def clip(self, from_us: int, to_us: int) -> None:
        """Drop the runs and events that lie outside [from, to]."""
        self.runs = [run for run in self.runs if run.to_us >= from_us and run.from_us <= to_us]
        self.events = [each for each in self.events if each.at_us >= from_us and each.from_us <= to_us]

    def add(self, other: "Part") -> None:
        """Take in another part with cells of the same width."""
        self.cells.merge(other.cells)
        self.runs += other.runs
        self.events += other.events
        self.entries += other.entries
        self.readings += other.readings
        self.wave_samples += other.wave_samples
        self.from_memory += other.from_memory
        self.bound_ms = max(self.bound_ms, other.bound_ms)
        self.unsynchronised += other.unsynchronised

    def plain(self) -> dict[str, Any]:
        """For the page. Numbers of cells, not times: cell × width is µs since 1970 UTC."""
        return {
            "signals": [
                {
                    **signal_plain(signal),
                    "cell": sorted(column),
                    "n": [column[at].n for at in sorted(column)],
                    "lo": [column[at].lo for at in sorted(column)],
                    "hi": [column[at].hi for at in sorted(column)],
                    "marks": [column[at].marks for at in sorted(column)],
                    "below_us": sum(cell.below_us for cell in column.values()),
                }
                for signal, column in self.cells.columns.items()
            ],
            "runs": self.runs,
            "events": self.events,
            "entries": self.entries,
            "readings": self.readings,
            "wave_samples": self.wave_samples,
            "from_memory": self.from_memory,
            "bound_ms": self.bound_ms,
            "unsynchronised": self.unsynchronised,
        }


def signal_plain(signal: Signal) -> dict[str, Any]:
    """A signal with what a chart needs to draw it."""
    sign, unit = vitals.by_code(signal.code), vitals.unit(signal.unit)
    axis = AXES.get(sign.name, sign.chart) if sign else None
    return {
        "key": signal.key,
        "handle": signal.handle,
        "title": sign.title if sign else signal.handle,
        "primary": is_primary(signal),
        "code": signal.code,
        "unit": unit.display if unit else f"MDC unit {signal.unit}",
        "axis": axis,
        "category": signal.category.label,
        "provenance": signal.provenance.label,
        "unchecked": signal.check is Check.NOTHING,
    }


def is_primary(signal: Signal) -> bool:
    """Whether a signal is shown at first: a known sign under its plain handle, not another average of it."""
    return bool(signal.code) and "." not in signal.handle


def ordered(signals: Iterable[Signal]) -> list[Signal]:
    """In the order in which a clinician reads them: saturation, pulse, the rest; variants behind."""
    known = {code: n for n, code in enumerate(sign.code for sign in vitals.SIGNS if sign.code)}
    return sorted(signals, key=lambda each: (not is_primary(each), known.get(each.code, len(known)), each.handle))
