"""Waking up and reading: what a gateway's lines cost a process that does nothing else.

A thread a line that reads and takes the time as `gateway.line` does, ten times a second while bytes come, and throws
away what it read. Once a second the driver is asked what it wants to send, because some devices stop without.

    python bench/bare.py DRIVER=DEVICE …
"""

import sys
import threading
import time
from pathlib import Path

from gateway.clock import SystemClock
from gateway.drivers.load import load
from gateway.line import GATHER_S, TURN_S
from gateway.port import READ_SIZE, Port


def follow(name: str, device: str) -> None:
    """Read one line until it is gone."""
    driver, clock = load(name)(may_send=True, options={}), SystemClock()
    turn = 0.0
    with Port(device, driver.line) as port:
        driver.opened(clock.now().mono_us)
        while True:
            data, now = port.read(_left_of(TURN_S)), clock.now()
            if time.monotonic() // TURN_S != turn:
                turn = time.monotonic() // TURN_S
                driver.tick(now.mono_us)
                if told := driver.to_send(now.mono_us):
                    port.write(told)
            if 0 < len(data) < READ_SIZE:
                time.sleep(_left_of(GATHER_S))


def _left_of(period_s: float) -> float:
    return period_s - time.monotonic() % period_s


def main() -> None:
    """Follow the lines that are named, once their devices are there."""
    lines = [each.split("=", 1) for each in sys.argv[1:]]
    while not all(Path(device).exists() for _, device in lines):
        time.sleep(0.05)
    for line in lines:
        threading.Thread(target=follow, args=line, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
