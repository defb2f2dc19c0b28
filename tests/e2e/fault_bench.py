"""The fault bench: a ward of real processes, a seeded plan of failures, and every value held against the truth.

`make fault` runs it; `make fault ARGS="--steps 100 --seed 5 --broker mosquitto"` makes it long, `--kills-only` leaves
nothing but kills -9. After every step both sides verify what they have, and what was committed when a process was
killed must still be there; at the end everything that the devices sent must be in verified history, once and in order,
or lie inside a signed gap.
"""

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.e2e.committed import COLLECTOR, GATEWAY, Row, check_kept, committed
from tests.e2e.compare import compare, truth_of
from tests.e2e.plan import Step, make
from tests.e2e.proxy import Mode, Proxy
from tests.e2e.report import Down, Report
from tests.e2e.ward import Ward
from vitaledger.cli.stage import StageError

STALL_S = 3.0
T = TypeVar("T")


class StalledError(Exception):
    """The whole machine stood still: devices and kernel lost what no program could have read. Try again."""


class Pulse:
    """Notices while the block runs for how long at most this machine gave no time to anybody.

    What fails while that was longer than `stall_s` is a StalledError.
    """

    def __init__(self, stall_s: float = STALL_S) -> None:
        self.longest = 0.0
        self._stall_s = stall_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.1):
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if isinstance(error, AssertionError | StageError) and self.longest > self._stall_s:
            raise StalledError(f"this machine stood still for {self.longest:.1f} s: {error}") from error


def once_more(folder: Path, attempt: Callable[[Path], T]) -> T:
    """Attempt in a folder of its own, and where the machine stood still, once more in another."""
    try:
        return attempt(folder / "first")
    except StalledError:
        return attempt(folder / "again")


class FaultyWard(Ward):
    """A ward whose gateway reaches the broker over a line that can be broken, and that knows what was down."""

    proxy: Proxy

    def __init__(self, folder: Path, broker: str, seed: int) -> None:
        super().__init__(folder, broker, seed)
        self.downs: list[Down] = []
        self._stores = {
            "gateway": (folder / "gateway" / "state" / "log.db", GATEWAY),
            "collector": (self.collector_store, COLLECTOR),
        }
        self._committed: dict[str, dict[Row, bytes]] = {}

    def way_to(self, port: int) -> int:
        self.proxy = Proxy(port)
        return self.proxy.port

    def settle(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.await_condition("time goes on", seconds + 30, lambda: time.monotonic() >= until)

    def do(self, step: Step) -> None:
        """Break something, wait, and mend it."""
        what, _, which = step.action.partition(" ")
        match what:
            case "kill" | "restart":
                since = time.time()
                if what == "kill":
                    self.kill(which)
                else:
                    self.stop(which)
                self.remember()
                self.settle(step.lasts_s)
                self.downs.append(Down(which, what == "kill", since, time.time()))
                self.start_again(which)
            case "freeze":
                process = self._processes[which]
                process.send_signal(signal.SIGSTOP)
                self.settle(step.lasts_s)
                process.send_signal(signal.SIGCONT)
            case "cut":
                self.proxy.cut()
            case _:
                self.proxy.mode = Mode.REFUSE if what == "refuse" else Mode.SWALLOW
                self.proxy.cut() if what == "refuse" else None
                self.settle(step.lasts_s)
                self.proxy.mode = Mode.PASS

    def remember(self) -> None:
        """What both stores have committed by now."""
        self._committed = {name: committed(*store) for name, store in self._stores.items()}

    def check_stores(self) -> None:
        """Both sides verify, and have what they had."""
        self.gateway("verify")
        self.collector("verify")
        for name, before in self._committed.items():
            check_kept(name, before, committed(*self._stores[name]))

    def start_again(self, which: str) -> None:
        if which == "broker":
            self.start_broker()
        elif which == "collector":
            self.start_collector()
        else:
            self.start_gateway()

    def stop_all(self) -> None:
        super().stop_all()
        if hasattr(self, "proxy"):
            self.proxy.close()


def run(
    folder: Path,
    broker: str,
    seed: int,
    steps: int,
    *,
    kills_only: bool = False,
    say: Callable[[str], object] = lambda _text: None,
) -> Report:
    """Run a plan and compare; raises what does not hold, and StalledError where that may be the machine's doing."""
    with Pulse():
        return _run(FaultyWard(folder, broker, seed), make(seed, steps, kills_only=kills_only), say)


def _run(ward: FaultyWard, plan: Sequence[Step], say: Callable[[str], object]) -> Report:
    done: Counter[str] = Counter()
    try:
        ward.start()
        ward.settle(2)
        for number, step in enumerate(plan, 1):
            say(f"step {number}: {step}")
            ward.settle(step.wait_s)
            ward.do(step)
            done[step.action] += 1
            ward.check_stores()
        ward.settle(3)
        ward.drain()
        ward.check_stores()
        history = ward.history()
        assert set(history) == set(ward.devices)
        found = {device: compare(truth_of(ward.truth, device), history[device]) for device in ward.devices}
    finally:
        ward.stop_all()
    return Report(done, tuple(ward.downs), found)


def main() -> int:
    """Run from the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--broker", choices=("amqtt", "mosquitto"), default="mosquitto")
    options.add_argument("--kills-only", action="store_true", help="nothing but kills -9 of the three processes")
    options.add_argument("--keep", type=Path, help="an empty folder to keep everything in")
    chosen = options.parse_args()
    print(f"seed {chosen.seed}, {chosen.steps} steps, {chosen.broker}", flush=True)
    kept = nullcontext(chosen.keep) if chosen.keep else tempfile.TemporaryDirectory(prefix="vitaledger-fault-")
    with kept as folder:
        began = time.monotonic()
        report = run(
            Path(folder) / "ward",
            chosen.broker,
            chosen.seed,
            chosen.steps,
            kills_only=chosen.kills_only,
            say=lambda text: print(text, flush=True),
        )
    for line in report.lines():
        print(line)
    print(f"seed {chosen.seed}: everything holds after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
