"""The outage's devices: a process of their own makes what eight devices send, a minute ahead of who reads it.

The truth is only counted here: how many readings and wave samples each device has said.
"""

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from firmware_sim.scenario import parse
from firmware_sim.station import stations

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

STEP_US = 100_000  # a line's bytes are read together so often, as `gateway.line` does
STRETCH_S = 60
_AHEAD = 2
_APART_S = 0.35  # they are not switched on in step with one another

# As `vitaledger.cli.stage` has it. Two of them stream 75 frames a second with pleth; all keep their raw bytes.
MIX = {
    **{f"bed-{n}": ("nonin", 'model = "nonin-df2"') for n in (1, 2)},
    **{f"bed-{n}": ("masimo", f'model = "masimo"\nserial = "00000566{n:02}"') for n in range(3, 9)},
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """What came in a stretch of time: for each step in order the bytes by port; and what was said until its end."""

    steps: tuple[dict[str, bytes], ...]
    readings: int
    samples: int


class Devices:
    """The devices' process. Use as a context manager; `stretches` gives what they send."""

    def __init__(self, seconds: int, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue: Queue[Stretch | None] = context.Queue(_AHEAD)
        self._process = context.Process(target=_make, args=(self._queue, seconds, seed), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def stretches(self) -> Iterator[Stretch]:
        while (stretch := self._queue.get()) is not None:
            yield stretch


def _make(queue: "Queue[Stretch | None]", seconds: int, seed: int) -> None:
    text = f"seed = {seed}\n"
    for n, (name, (_, settings)) in enumerate(MIX.items()):
        text += f'[[device]]\nname = "{name}"\nstart_s = {n * _APART_S}\n{settings}\n'
    running = stations(parse(text), attended=True)
    readings = samples = 0
    for begin in range(0, seconds, STRETCH_S):
        first, end = begin * 1_000_000, min(begin + STRETCH_S, seconds) * 1_000_000
        steps: list[dict[str, bytes]] = [{} for _ in range(first, end, STEP_US)]
        for station in running:
            progress = station.advance(end - 1)
            for at_us, data in progress.pieces:
                step = steps[(at_us - first) // STEP_US]
                step[station.name] = step.get(station.name, b"") + data
            said = progress.truth if end < seconds * 1_000_000 else [*progress.truth, *station.finish()]
            for line in said:
                if '"samples"' in line:
                    samples += len(json.loads(line)["samples"])
                elif '"signal"' in line:
                    readings += 1
        queue.put(Stretch(tuple(steps), readings, samples))
    queue.put(None)
