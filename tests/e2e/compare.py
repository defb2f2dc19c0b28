"""Holds the verified history of a device against what the simulator says that it sent, value by value.

History is cut into runs at the signed gaps. Each run must be a piece of the truth without a hole, the pieces in order
and none twice, at the time at which the device sent it; what lies between two pieces must lie inside a signed gap.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

TOLERANCE_S = 1.2  # arrival against sending: pseudo-terminals, threads and a loaded machine


@dataclass(frozen=True, slots=True)
class Said:
    """One reading or one wave sample; `at` in seconds."""

    at: float
    what: str


def truth_of(path: Path, device: str) -> dict[str, list[Said]]:
    """What a device sent, by signal; waves as "wave:<handle>"."""
    found: dict[str, list[Said]] = defaultdict(list)
    waves: dict[str, list[tuple[float, list[int]]]] = defaultdict(list)
    with path.open() as lines:
        for line in lines:
            said = json.loads(line)
            if said["device"] != device or "alarm" in said:
                continue
            if "samples" in said:
                waves[f"wave:{said['wave']}"].append((said["time"], said["samples"]))
            else:
                found[said["signal"]].append(Said(said["time"], _word(said.get("value"), said.get("absent"))))
    return {**found, **{wave: _timed(pieces) for wave, pieces in waves.items()}}


def _timed(pieces: list[tuple[float, list[int]]]) -> list[Said]:
    """Each sample with its time: a line has that of its first, and a pause can only be between two lines."""
    steps = [(after - at) / len(samples) for (at, samples), (after, _) in pairwise(pieces)]
    step = min(steps, default=0.0)
    return [Said(at + n * step, str(each)) for at, samples in pieces for n, each in enumerate(samples)]


def _word(value: Any, absent: str | None) -> str:
    return f"absent:{absent}" if value is None else f"{float(value):.4f}"


@dataclass(frozen=True, slots=True)
class Gap:
    """A signed gap, in seconds of the gateway's wall clock."""

    since: float | None
    until: float
    reason: str

    @property
    def length(self) -> float:
        return self.until - self.since if self.since is not None else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found; `lost`: at each place where something is missing, the wall time of the first of it."""

    readings: int
    samples: int
    missing_readings: int
    missing_samples: int
    gaps: tuple[Gap, ...]
    lost: tuple[float, ...] = ()


def split(history: list[dict[str, Any]]) -> tuple[list[dict[str, list[Said]]], list[Gap]]:
    """The runs between gaps, each by signal, and the gaps."""
    runs: list[dict[str, list[Said]]] = [defaultdict(list)]
    gaps: list[Gap] = []
    for row in history:
        if row.get("event") == "gap":
            since, reason = row["fields"]["since"], row["fields"]["reason"]
            gaps.append(Gap(since["wall_ms"] / 1000 if since else None, row["wall_ms"] / 1000, reason))
            runs.append(defaultdict(list))
        elif "wave" in row:
            runs[-1][f"wave:{row['wave']}"] += [Said(_at(row), str(each)) for each in row["samples"]]
        elif "signal" in row:
            assert row["state"] == "proven", row
            runs[-1][row["signal"]].append(Said(_at(row), _word(row["value"], row["absent"])))
    return runs, gaps


def _at(row: dict[str, Any]) -> float:
    return float(row["wall_ms"] / 1000 + row["offset_us"] / 1e6)


def compare(truth: dict[str, list[Said]], history: list[dict[str, Any]], *, began: float | None = None) -> Outcome:
    """Compare one device; `began` is the wall time at which its truth begins, found out where not given.

    Raises AssertionError that names the first difference.
    """
    runs, gaps = split(history)
    readings = samples = missing_readings = missing_samples = 0
    signals = set(truth) | {signal for run in runs for signal in run}
    if began is None:
        began = _began(truth, runs)
    after, firsts = dict.fromkeys(signals, 0), []
    for run in runs:
        first = []
        for signal, start in _places(truth, run, after, began).items():
            got, lost = run[signal], truth[signal][after[signal] : start]
            _inside_gaps(lost, gaps, began, signal)
            if signal.startswith("wave:"):
                samples, missing_samples = samples + len(got), missing_samples + len(lost)
            else:
                readings, missing_readings = readings + len(got), missing_readings + len(lost)
            first += [said.at + began for said in lost[:1]]
            after[signal] = start + len(got)
        firsts += [min(first)] if first else []
    for signal, at in after.items():
        rest = truth.get(signal, [])[at:]
        assert not rest, f"{signal}: the last {len(rest)} never arrived, from {rest[0]}"
    return Outcome(readings, samples, missing_readings, missing_samples, tuple(gaps), tuple(firsts))


def _began(truth: dict[str, list[Said]], runs: list[dict[str, list[Said]]]) -> float:
    """The wall time of the truth's second 0: the first run is taken to begin with the first thing that was sent."""
    for run in runs:
        if run:
            readings = [signal for signal in run if not signal.startswith("wave:")]
            return min(run[signal][0].at - truth[signal][0].at for signal in readings or run)
    raise AssertionError("the history is empty")


def _places(
    truth: dict[str, list[Said]], run: dict[str, list[Said]], after: dict[str, int], began: float
) -> dict[str, int]:
    """Where in the truth each signal of a run stands.

    A value that stays the same fits in many places; the signals that a frame sends together begin in the same frame,
    so of the places at which every one of them fits the nearest in time is taken.
    """
    found = {
        signal: _fitting(truth.get(signal, []), got, after[signal], began, signal) for signal, got in run.items() if got
    }
    readings = {signal: places for signal, places in found.items() if not signal.startswith("wave:")}
    frames = [{truth[signal][place].at for place in places} for signal, places in readings.items()]
    together = set.intersection(*frames) if frames else set()
    placed = {}
    for signal, places in found.items():
        common = [place for place in places if truth[signal][place].at in together]
        wanted = run[signal][0].at - began
        best = common if signal in readings and common else places
        placed[signal] = min(best, key=lambda place: abs(truth[signal][place].at - wanted))
    return placed


def _fitting(sent: list[Said], got: list[Said], least: int, began: float, signal: str) -> list[int]:
    """The places in `sent`, from `least` on and near in time, at which every value agrees."""
    words = [said.what for said in got]
    places = [
        start
        for start in range(least, len(sent) - len(got) + 1)
        if abs(sent[start].at + began - got[0].at) < TOLERANCE_S
        and [said.what for said in sent[start : start + len(got)]] == words
    ]
    if places:
        return places
    near = min(range(len(sent)), key=lambda n: abs(sent[n].at + began - got[0].at), default=0)
    differ = next((n for n, word in enumerate(words) if near + n >= len(sent) or sent[near + n].what != word), None)
    raise AssertionError(
        f"{signal}: {len(got)} values from {got[0].at - began:.2f} s are no piece of the {len(sent)} sent after "
        f"{least}; held against place {near} they differ at {differ}: got {words[(differ or 0) - 2 :][:6]}, "
        f"sent {[said.what for said in sent[near + (differ or 0) - 2 :][:6]]}"
    )


def _inside_gaps(lost: list[Said], gaps: list[Gap], began: float, signal: str) -> None:
    for said in lost:
        at = said.at + began
        inside = any((gap.since or 0) - TOLERANCE_S <= at <= gap.until + TOLERANCE_S for gap in gaps)
        assert inside, f"{signal}: {said} is missing, and no signed gap says so: {gaps}"
