"""Where a device's plug is: in its port, pulled, or on its way to another port.

A pulled plug takes its port away. Put in again, the port comes back, under its old name or another; a link by the
device's own name (`by_id`, as systems keep one for each serial adapter) follows. What was sent before the plug was
pulled has long been read on a real line, so a reader is given a moment to take it before the port goes.
"""

from firmware_sim.errors import ScenarioError
from firmware_sim.line import make_line
from firmware_sim.station import Station

_PARTING_US = 500_000


class Plug:
    """A station and the line that it is on.

    Call `pull` for every plug, then `put` for every plug: a port that two devices exchange has to be free in between.
    Raises ScenarioError for a device without a port, PortError for one that cannot be.
    """

    def __init__(self, station: Station) -> None:
        port = station.port(0)
        if port is None:
            raise ScenarioError(f"device {station.name} has no port")
        self.station = station
        self.line = make_line(port, station.by_id)
        self._port = port
        self._lost_before = 0
        self._leaving_us: int | None = None
        self._gone = False

    @property
    def lost(self) -> int:
        """Bytes that nobody could have read, on all the ports that the device was on."""
        return self._lost_before + self.line.lost

    def write(self, data: bytes) -> None:
        """Write what fits; the rest is lost."""
        self.line.lost += len(data) - self.line.write(data)

    def pull(self, now_us: int) -> None:
        """Take the port away if it is time."""
        if self._gone:
            return
        plugged = self.station.plugged(now_us)
        if plugged and self.station.port(now_us) == self._port:
            self._leaving_us = None
            return
        if self._leaving_us is None:
            self._leaving_us = now_us
            # A step of time may pass over the whole absence; then there is no time left.
            if not plugged:
                return
        if plugged or self.line.pending() == 0 or now_us - self._leaving_us > _PARTING_US:
            self.line.close()
            self._gone = True

    def put(self, now_us: int) -> None:
        """Bring the port back if it is time; raises PortError."""
        port = self.station.port(now_us)
        if not self._gone or not self.station.plugged(now_us) or port is None:
            return
        if port != self._port:
            self._lost_before += self.line.lost
            self.line, self._port = make_line(port, self.station.by_id), port
        self.line.open()
        self._leaving_us, self._gone = None, False
