"""A seeded plan of what goes wrong on a ward: the same seed gives the same plan."""

from dataclasses import dataclass
from random import Random

# what can be done, and how often it is drawn
ACTIONS = (
    ("kill broker", 2),
    ("kill collector", 3),
    ("kill gateway", 3),
    ("restart collector", 1),
    ("restart gateway", 1),
    ("freeze collector", 1),
    ("freeze broker", 1),
    ("cut line", 3),
    ("refuse line", 2),
    ("swallow line", 2),
)
KILLS = ("kill broker", "kill collector", "kill gateway")


@dataclass(frozen=True, slots=True)
class Step:
    """After `wait_s` of peace do `action`; it lasts `lasts_s` (until the process is started again, the line mended)."""

    wait_s: float
    action: str
    lasts_s: float

    def __str__(self) -> str:
        return f"after {self.wait_s:.1f} s {self.action}, for {self.lasts_s:.1f} s"


def make(seed: int, steps: int, *, kills_only: bool = False, longest_s: float = 6.0) -> list[Step]:
    """A plan of so many steps; `kills_only`: nothing but kills, of each process as often as of the others."""
    random = Random(seed)
    names = list(KILLS) if kills_only else [name for name, weight in ACTIONS for _ in range(weight)]
    return [
        Step(round(random.uniform(0.5, 3.0), 1), random.choice(names), round(random.uniform(0.3, longest_s), 1))
        for _ in range(steps)
    ]
