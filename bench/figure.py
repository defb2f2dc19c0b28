"""What a measure answers: figures with their goals, and how they are printed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

RUNS = 5


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach; either bound may be missing."""

    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        return f"≥ {_number(self.least)}" if self.least is not None else f"≤ {_number(self.most or 0.0)}"

    def met_by(self, value: float) -> bool:
        """Whether a value reaches the goal."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some runs, and their range. `conditions`: readings an entry, entries a commit, batch sizes."""

    what: str
    value: float
    unit: str
    low: float
    high: float
    runs: int
    goal: Goal | None = None
    conditions: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.goal.met_by(self.value)

    def as_json(self) -> dict[str, Any]:
        """The figure and whether it reaches its goal."""
        return {**asdict(self), "met": self.met}

    def __str__(self) -> str:
        value = f"{_number(self.value)} {self.unit}".strip()
        spread = f"{_number(self.low)} to {_number(self.high)}" if self.runs > 1 else "one run"
        goal = "" if self.goal is None else f"{self.goal} {'met' if self.met else 'NOT met'}"
        return f"  {self.what:<58} {value:>22}   {spread:<24} {goal}".rstrip()


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work a measure does. `short`: a tenth or less, to see that it completes; its figures say little."""

    runs: int = RUNS
    short: bool = False

    def of(self, whole: int) -> int:
        """So many of a thing that a whole measure does `whole` of."""
        return max(1, whole // 10) if self.short else whole


Measure = Callable[[Effort], Iterable[Figure]]


def of_runs(what: str, values: Sequence[float], unit: str, goal: Goal | None = None, conditions: str = "") -> Figure:
    """The figure of some runs' values."""
    return Figure(what, median(values), unit, min(values), max(values), len(values), goal, conditions)


def told(name: str, figures: Iterable[Figure]) -> Iterator[Figure]:
    """Print each figure when it is there, under the measure's name and its conditions, and hand it on."""
    print(name, flush=True)
    conditions = ""
    for figure in figures:
        if figure.conditions != conditions:
            conditions = figure.conditions
            print(f"  · {conditions}")
        print(figure, flush=True)
        yield figure


def _number(value: float) -> str:
    if value != 0 and abs(value) < 10:
        return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
