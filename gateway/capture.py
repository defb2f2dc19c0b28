r"""The bytes of a line with times and directions, as JSON lines: for a bug report, a test, a new driver.

    {"vitaledger-capture": 1, "device": "/dev/ttyUSB0", "baud": 9600, "began": "2026-01-31T08:00:00.000Z"}
    {"t_us": 0, "dir": "in", "hex": "0181010083"}
    {"t_us": 1200, "dir": "out", "hex": "027002020703"}

`t_us` counts from `began` on the monotonic clock; "in" is what the device sent. `firmware-sim replay` plays the file.
Nothing is sent unless a driver is named that may send: then what it sends, so that devices that have to be asked talk.
"""

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from gateway import service
from gateway.clock import Clock, SystemClock
from gateway.config import PortConfig
from gateway.drivers.api import Driver, LineSettings
from gateway.drivers.load import load
from gateway.port import Backoff, LineGoneError, Port

READ_S = 0.1
DEFAULT = LineSettings(9600)


class Capture:
    """Writes what goes over a line. Each line of the file is complete as soon as it is written."""

    def __init__(self, file: TextIO, device: str, settings: LineSettings, clock: Clock) -> None:
        self._file, self._clock = file, clock
        began = clock.now()
        self._began_us = began.mono_us
        self.received = 0
        at = datetime.fromtimestamp(began.wall_ms / 1000, UTC).isoformat(timespec="milliseconds")
        header = {"vitaledger-capture": 1, "device": device, "baud": settings.baud}
        self._write({**header, "began": at.replace("+00:00", "Z")})

    def now_us(self) -> int:
        """The monotonic time, as drivers take it."""
        return self._clock.now().mono_us

    def add(self, direction: str, data: bytes) -> None:
        """Write bytes that went "in" or "out" just now."""
        self._write({"t_us": self.now_us() - self._began_us, "dir": direction, "hex": data.hex()})
        self.received += len(data) if direction == "in" else 0

    def _write(self, item: dict[str, object]) -> None:
        self._file.write(json.dumps(item) + "\n")
        self._file.flush()


def run(
    device: str,
    output: Path,
    settings: PortConfig | None = None,
    *,
    seconds: float | None = None,
    line: LineSettings | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Record a line until SIGINT or SIGTERM, or for `seconds`; answers the exit code.

    With `settings` their driver says how the line is set, and sends what it may send. `line` sets it otherwise.

    Raises:
        MisuseError: the driver or its options are not known.
    """
    driver = None
    if settings is not None and settings.driver is not None:
        driver = load(settings.driver)(may_send=settings.sends, options=settings.options)
    line = line or (driver.line if driver is not None else DEFAULT)
    clock = SystemClock()
    with service.stopped_by_signals(stop or threading.Event()) as stopped:
        end_us = None if seconds is None else clock.now().mono_us + round(seconds * 1_000_000)

        def over() -> bool:
            return stopped.is_set() or (end_us is not None and clock.now().mono_us >= end_us)

        try:
            with output.open("w", encoding="ascii", newline="\n") as file:
                capture = Capture(file, device, line, clock)
                _record(capture, device, line, driver, over, stopped)
        except OSError as error:
            sys.stderr.write(f"vitaledger-gateway: {output}: {error.strerror}\n")
            return 1
    sys.stderr.write(f"{capture.received} bytes received, in {output}\n")
    return 0


def _record(
    capture: Capture,
    device: str,
    line: LineSettings,
    driver: Driver | None,
    over: Callable[[], bool],
    stopped: threading.Event,
) -> None:
    backoff, told = Backoff(), ""
    while not over():
        try:
            with Port(device, line) as port:
                told = ""
                _follow(capture, port, driver, over)
        except LineGoneError as gone:
            if str(gone) != told:
                told = str(gone)
                sys.stderr.write(f"vitaledger-gateway: {device}: {told}; trying again\n")
            stopped.wait(backoff.failed())


def _follow(capture: Capture, port: Port, driver: Driver | None, over: Callable[[], bool]) -> None:
    if driver is not None:
        driver.opened(capture.now_us())
        _send(capture, port, driver)
    while not over():
        data = port.read(READ_S)
        if data:
            capture.add("in", data)
        if driver is not None:
            if data:
                driver.receive(data, capture.now_us())
            driver.tick(capture.now_us())
            _send(capture, port, driver)


def _send(capture: Capture, port: Port, driver: Driver) -> None:
    if out := driver.to_send(capture.now_us()):
        port.write(out)
        capture.add("out", out)
