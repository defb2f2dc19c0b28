"""What a run of the fault bench saw, in a few lines: what was done, what history has, what the gaps cost."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.e2e.compare import Gap, Outcome


@dataclass(frozen=True, slots=True)
class Down:
    """A process was down from `since` until it was started again, in seconds of the wall clock."""

    process: str
    killed: bool
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was done and what was found, by device."""

    actions: Counter[str]
    downs: tuple[Down, ...]
    outcomes: Mapping[str, Outcome]

    def kills(self) -> dict[str, int]:
        """How often each process was killed."""
        return dict(sorted(Counter(down.process for down in self.downs if down.killed).items()))

    def gaps(self) -> list[Gap]:
        """The gaps of all devices."""
        return [gap for outcome in self.outcomes.values() for gap in outcome.gaps]

    def lost_by_kills(self) -> list[float]:
        """For each gap that holds a kill of the gateway: how many seconds of bytes before the first kill are lost."""
        kills = [down.since for down in self.downs if down.killed and down.process == "gateway"]
        found = []
        for outcome in self.outcomes.values():
            for since, until in ((gap.since, gap.until) for gap in outcome.gaps if gap.since is not None):
                killed = min((at for at in kills if since <= at <= until), default=None)
                lost = min((at for at in outcome.lost if since <= at <= until), default=until)
                found += [max(0.0, killed - lost)] if killed is not None else []
        return found

    def over_downtime(self) -> list[float]:
        """For each gap with a beginning: by how many seconds it is longer than the gateway was down in it."""
        downs = [down for down in self.downs if down.process == "gateway"]
        return [
            gap.length - sum(max(0.0, min(gap.until, down.until) - max(gap.since, down.since)) for down in downs)
            for gap in self.gaps()
            if gap.since is not None
        ]

    def lines(self) -> Iterator[str]:
        """For people."""
        for device, found in self.outcomes.items():
            yield (
                f"{device}: {found.readings} readings and {found.samples} wave samples in verified history, "
                f"{found.missing_readings} and {found.missing_samples} missing, each of them inside one of "
                f"{len(found.gaps)} signed gaps"
            )
        yield "done: " + ", ".join(f"{what} {count}" for what, count in sorted(self.actions.items()))
        readings = sum(each.readings + each.missing_readings for each in self.outcomes.values())
        samples = sum(each.samples + each.missing_samples for each in self.outcomes.values())
        kills = self.kills()
        yield (
            f"kills -9: {sum(kills.values())} ({', '.join(f'{name} {count}' for name, count in kills.items())}); "
            f"compared: {readings} readings and {samples} wave samples; of a committed entry lost: 0, twice: 0; "
            f"gaps: {len(self.gaps())}, at most {max(self.over_downtime(), default=0.0):.2f} s longer than the gateway "
            f"was down; a kill of the gateway cost at most the last {max(self.lost_by_kills(), default=0.0):.2f} s"
        )
