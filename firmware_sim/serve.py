"""A scenario in real time on real ports, in one loop and one thread.

The loop is handed its clock and its way to wait. It never waits for a reader: devices keep their pace, and the truth
says what they sent. Only when a port goes away on purpose, or at the end, is a reader given a moment to take what was
sent before.
"""

import sys
from collections.abc import Callable

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.errors import ScenarioError
from firmware_sim.hosts import TICK_S, await_hosts
from firmware_sim.plugs import Plug
from firmware_sim.scenario import Scenario
from firmware_sim.station import stations

_FLUSH_US = 200_000
_DRAIN_US = 1_000_000


class Server:
    """The devices of a scenario on their ports.

    Args:
        scenario: each device has a port.
        tell: takes the lines of the truth file, with their line ends.
        flush: called at least every 0.2 s, and at the end.
        clock: seconds, never going back.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        tell: Callable[[str], object],
        flush: Callable[[], object],
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        for spec in scenario.devices:
            if spec.port is None:
                raise ScenarioError(f"device {spec.name} has no port")
        self._plugs = [Plug(station) for station in stations(scenario)]
        self._tell, self._flush, self._clock, self._sleep = tell, flush, clock, sleep

    def open(self) -> list[tuple[str, str]]:
        """Make the ports; returns each device's name and port. Raises PortError, and then no port stays open."""
        try:
            for plug in self._plugs:
                plug.line.open()
        except Exception:
            self.close()
            raise
        return self.ports()

    def ports(self) -> list[tuple[str, str]]:
        """Each device's name and the port that it is on, or was on last."""
        return [(plug.station.name, plug.line.url()) for plug in self._plugs]

    def close(self) -> None:
        """Take the ports away."""
        for plug in self._plugs:
            plug.line.close()

    def wait_for_clients(self, stopped: Callable[[], bool]) -> None:
        """Wait until a host has opened every port and has flushed what it found, see `await_hosts`."""
        await_hosts([plug.line for plug in self._plugs], clock=self._clock, sleep=self._sleep, stopped=stopped)

    def run(self, stopped: Callable[[], bool], duration_us: int | None = None) -> None:
        """Serve until `stopped` says so or `duration_us` is over; then let the readers finish and close the ports."""
        start = self._clock()
        flushed_us = 0
        while True:
            now_us = int((self._clock() - start) * MICROSECONDS)
            # The last step ends just before the duration, as `emit` does, so that both have the same frames.
            over = duration_us is not None and now_us >= duration_us
            if over and duration_us is not None:
                now_us = duration_us - 1
            self._step(now_us)
            if over or stopped():
                break
            if now_us - flushed_us >= _FLUSH_US:
                flushed_us = now_us
                self._flush()
            self._sleep(TICK_S)
        for plug in self._plugs:
            self._write_truth(plug.station.finish())
        self._flush()
        self._drain()
        self.close()

    def lost(self) -> list[tuple[str, int]]:
        """How many bytes of each device nobody was there to take."""
        return [(plug.station.name, plug.lost) for plug in self._plugs]

    def _step(self, now_us: int) -> None:
        for plug in self._plugs:
            heard = plug.line.read()
            self._send(plug, now_us)
            if heard:
                plug.station.receive(heard, now_us)
                self._send(plug, now_us)
        # All plugs are pulled before any is put in, so that two devices can change places.
        for plug in self._plugs:
            plug.pull(now_us)
        for plug in self._plugs:
            plug.put(now_us)

    def _send(self, plug: Plug, now_us: int) -> None:
        progress = plug.station.advance(now_us)
        plug.write(progress.data)
        self._write_truth(progress.truth)

    def _write_truth(self, lines: list[str]) -> None:
        for line in lines:
            self._tell(line + "\n")

    def _drain(self) -> None:
        end = self._clock() + _DRAIN_US / MICROSECONDS
        # What was written a moment ago may not yet be counted as waiting on the other side.
        self._sleep(TICK_S)
        while any(plug.line.pending() for plug in self._plugs) and self._clock() < end:
            self._sleep(TICK_S)


def report_losses(losses: list[tuple[str, int]]) -> None:
    """Say on the error stream what nobody read: that is no error, but it explains a difference from the truth."""
    for name, lost in losses:
        if lost:
            sys.stderr.write(f"{name}: {lost} bytes were sent while nobody read\n")
