"""What a running gateway counts, from what it seals: integers, whether anyone asks for them or not."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.draft import Draft
from vitaledger import events

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class Counts:
    """Since the start of this process. Written by the committing thread."""

    entries: int = 0
    readings: int = 0
    wave_samples: int = 0
    frame_errors: int = 0
    gaps: int = 0
    dropped_bytes: int = 0  # that a signed gap states
    incidents: int = 0
    commits: int = 0
    commit_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def committed(self, drafts: Sequence[Draft], seconds: float) -> None:
        """These are durable; that took so long."""
        self.commits += 1
        self.commit_s += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.entries += len(drafts)
        for draft in drafts:
            if draft.values is not None:
                self.readings += sum(len(series.values) for series in draft.values.series)
            self.wave_samples += sum(len(block.samples) for block in draft.waves)
            match draft.event:
                case events.FrameErrors():
                    self.frame_errors += sum(each.count for each in draft.event.counts)
                case events.Gap():
                    self.gaps += 1
                    self.dropped_bytes += draft.event.dropped_bytes or 0
                case events.Incident():
                    self.incidents += 1
                case _:
                    pass
