"""The fault bench: a ward of real processes, a seeded plan of failures, and every value held against the truth.

`make fault` runs it; `make fault ARGS="--steps 100 --seed 5 --broker mosquitto"` makes it long. After every step both
sides verify what they have; at the end everything that the devices sent must be in verified history, once and in
order, or lie inside a signed gap.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.compare import Outcome, compare, truth_of
from tests.e2e.plan import Step, make
from tests.e2e.proxy import Mode, Proxy
from tests.e2e.ward import Ward


class FaultyWard(Ward):
    """A ward whose gateway reaches the broker over a line that can be broken."""

    proxy: Proxy

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
                if what == "kill":
                    self.kill(which)
                else:
                    self.stop(which)
                self.settle(step.lasts_s)
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


def run(folder: Path, broker: str, seed: int, steps: int, *, say=lambda _text: None) -> dict[str, Outcome]:
    """Run a plan and compare; raises what does not hold."""
    ward = FaultyWard(folder, broker, seed)
    done: Counter[str] = Counter()
    try:
        ward.start()
        ward.settle(2)
        for number, step in enumerate(make(seed, steps), 1):
            say(f"step {number}: {step}")
            ward.settle(step.wait_s)
            ward.do(step)
            done[step.action] += 1
            ward.gateway("verify")
            ward.collector("verify")
        ward.settle(3)
        ward.drain()
        ward.gateway("verify")
        ward.collector("verify")
        history = ward.history()
        assert set(history) == set(ward.devices)
        found = {device: compare(truth_of(ward.truth, device), history[device]) for device in ward.devices}
    finally:
        ward.stop_all()
    say(f"done: {dict(done)}")
    return found


def main() -> int:
    """Run from the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--broker", choices=("amqtt", "mosquitto"), default="mosquitto")
    chosen = options.parse_args()
    print(f"seed {chosen.seed}, {chosen.steps} steps, {chosen.broker}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vitaledger-fault-") as folder:
        began = time.monotonic()
        found = run(Path(folder) / "ward", chosen.broker, chosen.seed, chosen.steps, say=lambda t: print(t, flush=True))
    for device, result in found.items():
        print(
            f"{device}: {result.readings} readings and {result.samples} wave samples in verified history; missing, "
            f"each inside a signed gap: {result.missing_readings} and {result.missing_samples}; {len(result.gaps)} gaps"
        )
    print(f"seed {chosen.seed}: everything holds after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
