"""Captured bytes, played on a port as the device once sent them.

Two forms are known. Raw bytes are played at the pace of a serial line, or one line of text at a time. The other form
is JSON lines: a header ``{"vitaledger-capture": 1, ...}`` and then one object a line with ``t_us``, ``dir`` and
``hex``; what the device had sent (``"dir": "in"``) is played at its own times, and what the host had sent is passed
over.

Unlike a device, a replay waits for its reader: nothing of a capture is lost because a reader was slow.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.errors import CaptureError
from firmware_sim.hosts import TICK_S, await_hosts
from firmware_sim.line import Line

HEADER_KEY = "vitaledger-capture"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are due at a time after the first ones."""

    time_us: int
    data: bytes


def is_capture(data: bytes) -> bool:
    """Whether the bytes are of the JSON-lines form."""
    first = data.split(b"\n", 1)[0]
    try:
        header = json.loads(first)
    except ValueError:
        return False
    return isinstance(header, dict) and HEADER_KEY in header


def pace_bytes(data: bytes, bytes_per_s: float, chunk: int) -> list[Piece]:
    """Raw bytes in chunks, each when a line of that speed would have carried it."""
    starts = range(0, len(data), chunk)
    return [Piece(round(at * MICROSECONDS / bytes_per_s), data[at : at + chunk]) for at in starts]


def pace_lines(data: bytes, interval_us: int) -> list[Piece]:
    """Raw bytes as lines that end with LF, one for each interval; a rest without one comes last."""
    return [Piece(number * interval_us, line) for number, line in enumerate(data.splitlines(keepends=True))]


def parse_capture(data: bytes) -> list[Piece]:
    """What the device sent, timed from its first bytes.

    Raises:
        CaptureError: a version that is not known, or a line that is not as it should be.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    if not is_capture(data) or json.loads(lines[0])[HEADER_KEY] != VERSION:
        raise CaptureError(f"not a capture of version {VERSION}")
    pieces: list[Piece] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            piece = _piece(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise CaptureError(f"line {number} of the capture: {error!r}") from error
        if piece is not None:
            pieces.append(piece)
    start = pieces[0].time_us if pieces else 0
    return [Piece(max(0, piece.time_us - start), piece.data) for piece in pieces]


def _piece(item: dict[str, Any]) -> Piece | None:
    match item["dir"]:
        case "in":
            return Piece(int(item["t_us"]), bytes.fromhex(item["hex"]))
        case "out":
            return None
        case other:
            message = f"dir is {other!r}"
            raise ValueError(message)


class Player:
    """Plays pieces on an open line.

    Args:
        line: where to.
        clock: seconds, never going back.
        sleep: waits some seconds.
        stopped: asked all the time; True ends whatever is being done.
    """

    def __init__(
        self,
        line: Line,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        stopped: Callable[[], bool],
    ) -> None:
        self._line, self._clock, self._sleep, self._stopped = line, clock, sleep, stopped

    def wait_for_client(self) -> None:
        """Until a host has the port open and has flushed what it found, see `await_hosts`."""
        await_hosts([self._line], clock=self._clock, sleep=self._sleep, stopped=self._stopped)

    def play(self, pieces: list[Piece]) -> None:
        """Write every piece when it is due, or later if the reader is slow; without a reader it is lost."""
        start = self._clock()
        for piece in pieces:
            while (self._clock() - start) * MICROSECONDS < piece.time_us and not self._stopped():
                self._line.read()
                ahead = piece.time_us / MICROSECONDS - (self._clock() - start)
                self._sleep(min(max(ahead, 0.0), TICK_S))
            rest = piece.data
            while rest and not self._stopped():
                rest = rest[self._line.write(rest) :]
                if rest and not self._line.connected():
                    self._line.lost += len(rest)
                    break
                if rest:
                    self._sleep(TICK_S)

    def drain(self) -> None:
        """Until the host has taken everything, or is gone."""
        self._sleep(TICK_S)
        while self._line.pending() and not self._stopped():
            self._line.read()
            self._sleep(TICK_S)

    def hold(self, seconds: float) -> None:
        """Leave the port open for some time."""
        end = self._clock() + seconds
        while self._clock() < end and not self._stopped():
            self._line.read()
            self._sleep(TICK_S)
