"""Reads a Masimo Rad-8 on a serial line: the software under test of this example. It knows nothing of simulators."""

import re
import time
from dataclasses import dataclass

import serial

_LINE = re.compile(
    rb"(?P<clock>\d\d/\d\d/\d\d \d\d:\d\d:\d\d) SN=(?P<serial>\w+) SPO2=(?P<spo2>\d{3}|---)% BPM=(?P<pulse>\d{3}|---) "
    rb"[ -~]*ALARM=(?P<alarm>[0-9A-F]{4}) EXC=[0-9A-F]{6}"
)


@dataclass(frozen=True)
class Measurement:
    """One second; None where the device says that it has no value."""

    serial: str
    spo2: int | None
    pulse: int | None
    alarm: int


class Decoder:
    """Bytes in, measurements out. A line that is not whole is counted and left out."""

    def __init__(self) -> None:
        self.bad_lines = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[Measurement]:
        """What is complete with these bytes."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        found = []
        for line in lines:
            if match := _LINE.fullmatch(line):
                found.append(
                    Measurement(
                        match["serial"].decode(),
                        None if match["spo2"] == b"---" else int(match["spo2"]),
                        None if match["pulse"] == b"---" else int(match["pulse"]),
                        int(match["alarm"], 16),
                    )
                )
            else:
                self.bad_lines += 1
        return found


def read(url: str, count: int, timeout_s: float = 30.0) -> list[Measurement]:
    """The next measurements of the device on a port; opens the port again when the cable was pulled."""
    decoder, found = Decoder(), []
    end = time.monotonic() + timeout_s
    while len(found) < count:
        try:
            with serial.serial_for_url(url, baudrate=9600, timeout=0.2) as port:
                while len(found) < count:
                    if time.monotonic() > end:
                        raise TimeoutError(f"{len(found)} of {count} measurements")
                    found += decoder.feed(port.read(port.in_waiting or 1))
        except serial.SerialException:
            if time.monotonic() > end:
                raise TimeoutError(f"no port {url}") from None
            time.sleep(0.05)
    return found[:count]
