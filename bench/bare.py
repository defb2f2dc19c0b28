"""Waking up and reading: what a gateway's lines cost a process that does nothing else.

The gateway's own thread reads all lines and takes the time (`gateway.intake`), and a thread a line wakes up once a
second, as `gateway.line` does, and throws away what was read. Then the driver is asked what it wants to send, because
some devices stop without.

    python bench/bare.py DRIVER=DEVICE …
"""

import sys
import threading
import time
from pathlib import Path

from gateway.clock import SystemClock
from gateway.drivers.load import load
from gateway.inbox import Inbox
from gateway.intake import Intake
from gateway.line import TURN_S
from gateway.port import Port


def follow(intake: Intake, name: str, device: str) -> None:
    """Follow one line until it is gone."""
    driver, clock, inbox = load(name)(may_send=True, options={}), SystemClock(), Inbox()
    with Port(device, driver.line) as port:
        driver.opened(clock.now().mono_us)
        intake.follow(name, port, inbox)
        while True:
            inbox.wait(TURN_S - time.monotonic() % TURN_S)
            for _ in inbox.pieces():
                pass
            now = clock.now()
            driver.tick(now.mono_us)
            if told := driver.to_send(now.mono_us):
                port.write(told)


def main() -> None:
    """Follow the lines that are named, once their devices are there."""
    lines = [each.split("=", 1) for each in sys.argv[1:]]
    while not all(Path(device).exists() for _, device in lines):
        time.sleep(0.05)
    intake = Intake(SystemClock())
    for line in lines:
        threading.Thread(target=follow, args=(intake, *line), daemon=True).start()
    intake.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
