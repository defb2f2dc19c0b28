"""Devices inside a test: on real ports in a thread of their own, or in virtual time, where the test pumps the bytes.

`firmware_sim.pytest_plugin` makes fixtures of this; without pytest it is used as a context manager::

    with Rig(from_table(describe("masimo", port="pty:/tmp/rad"))) as rig:
        device = rig["masimo"]
        ...                                    # serial.serial_for_url(device.url)
        device.wait_for_readings(14)
    assert device.truth                        # complete once the rig has stopped
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.errors import SimulatorError
from firmware_sim.records import Kind, Record, parse_record
from firmware_sim.scenario import Scenario
from firmware_sim.serve import Server
from firmware_sim.station import Station

_JOIN_S = 10.0


def describe(model: str, name: str | None = None, seed: int = 0, **keys: Any) -> dict[str, Any]:  # noqa: ANN401
    """A scenario of one device, as it would stand in a file: further keys are those of a device, faults included."""
    return {"seed": seed, "device": [{"name": name or model, "model": model, **keys}]}


def relocate(scenario: Scenario, folder: Path) -> Scenario:
    """The same scenario with its terminals and links under a folder, and free numbers for TCP ports.

    So the tests of one file can run at the same time.
    """

    def path(old: str) -> str:
        return str(folder / old.lstrip("/"))

    def port(old: str | None) -> str | None:
        if old is None:
            return None
        if old.startswith("pty:"):
            return f"pty:{path(old.removeprefix('pty:'))}"
        return "tcp://127.0.0.1:0"

    devices = (
        replace(
            spec,
            port=port(spec.port or f"pty:/{spec.name}"),
            by_id=None if spec.by_id is None else path(spec.by_id),
            faults=tuple(replace(fault, port=port(fault.port)) for fault in spec.faults),
        )
        for spec in scenario.devices
    )
    return replace(scenario, devices=tuple(devices))


class SimulatedDevice:
    """One device of a rig that runs."""

    def __init__(self, rig: "Rig", name: str) -> None:
        self.name = name
        self._rig = rig

    @property
    def port(self) -> str:
        """The port as a scenario writes it, `pty:PATH` or `tcp://HOST:PORT`; another one once it was moved."""
        return self._rig.port(self.name)

    @property
    def url(self) -> str:
        """The port as pyserial's `serial_for_url` takes it: a path, or `socket://HOST:PORT`."""
        return self.port.removeprefix("pty:").replace("tcp://", "socket://")

    @property
    def truth(self) -> list[Record]:
        """What the device has said until now; all of it once it was stopped."""
        return [record for record in self._rig.truth if record.device == self.name]

    def readings(self, signal: str | None = None) -> list[Record]:
        """The readings among that, of one signal if it is named."""
        of_kind = (record for record in self.truth if record.kind is Kind.READING)
        return [record for record in of_kind if signal in {None, record.signal}]

    @property
    def lost(self) -> int:
        """How many bytes nobody was there to take."""
        return self._rig.lost(self.name)

    def wait_for_readings(self, count: int, timeout_s: float = 30.0) -> None:
        """Wait until the device has said so many readings; raises TimeoutError."""
        said = self._rig.wait_for(self.name, count, timeout_s)
        if said < count:
            raise TimeoutError(f"{self.name} has said {said} of {count} readings in {timeout_s:g} s")

    def stop(self) -> None:
        """Stop the device and all others of its rig; a reader has a second to take what was sent."""
        self._rig.stop()


class Rig:
    """A scenario's devices on their ports, served by a thread.

    Args:
        scenario: each device has a port.
        wait: time begins when a host has opened every port, so that nothing is lost before.

    The thread alone touches the ports; the truth is under the lock of `_said`.
    """

    def __init__(self, scenario: Scenario, *, wait: bool = True) -> None:
        self.devices: Mapping[str, SimulatedDevice] = {
            spec.name: SimulatedDevice(self, spec.name) for spec in scenario.devices
        }
        self._wait = wait
        self._said = threading.Condition()
        self._truth: list[Record] = []
        self._counts = dict.fromkeys(self.devices, 0)
        self._over = False
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._server = Server(scenario, tell=self._tell, flush=lambda: None, clock=time.monotonic, sleep=time.sleep)
        self._thread = threading.Thread(target=self._serve, name="firmware-sim", daemon=True)

    def __getitem__(self, name: str) -> SimulatedDevice:
        """A device by its name."""
        return self.devices[name]

    def __enter__(self) -> Self:
        """Open the ports and begin."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Open the ports and begin; raises PortError."""
        self._server.open()
        self._thread.start()

    def stop(self) -> None:
        """Stop; once is enough. What went wrong in the thread is raised here."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    @property
    def truth(self) -> list[Record]:
        """What all devices have said until now."""
        with self._said:
            return list(self._truth)

    def port(self, name: str) -> str:
        """See `SimulatedDevice.port`."""
        return dict(self._server.ports())[name]

    def lost(self, name: str) -> int:
        """See `SimulatedDevice.lost`."""
        return dict(self._server.lost())[name]

    def wait_for(self, name: str, count: int, timeout_s: float) -> int:
        """How many readings a device has said: as soon as it is `count`, the time is over, or nothing will come."""
        with self._said:
            self._said.wait_for(lambda: self._counts[name] >= count or self._over, timeout_s)
            return self._counts[name]

    def _serve(self) -> None:
        try:
            if self._wait:
                self._server.wait_for_clients(self._stop.is_set)
            self._server.run(self._stop.is_set)
        except (SimulatorError, OSError) as error:
            self._error = error
            self._server.close()
        finally:
            with self._said:
                self._over = True
                self._said.notify_all()

    def _tell(self, line: str) -> None:
        record = parse_record(line)
        with self._said:
            self._truth.append(record)
            self._counts[record.device] += record.kind is Kind.READING
            self._said.notify_all()


class VirtualDevice:
    """A device without a port and without a clock: each pump moves its time on and gives what it sent meanwhile.

    Args:
        scenario: of one device, or of several of which `name` says which one.
        name: the device.
        attended: one that waits to be asked behaves as if a host had asked. Without it, `write` asks.
    """

    def __init__(self, scenario: Scenario, name: str | None = None, *, attended: bool = True) -> None:
        spec = next(each for each in scenario.devices if name in {None, each.name})
        self.name = spec.name
        self.truth: list[Record] = []
        self._station = Station(spec, scenario.seed, attended=attended)
        self._now_us = 0
        self._waiting: list[tuple[int, bytes]] = []

    @property
    def now(self) -> float:
        """Seconds since the start of the scenario."""
        return self._now_us / MICROSECONDS

    def play(self, seconds: float, step_s: float = 0.1) -> Iterator[tuple[float, bytes]]:
        """What arrives in the next seconds: times and bytes, a frame or a burst of noise at a time.

        Args:
            seconds: how far to go; time never waits for a clock.
            step_s: how much is made at once, and so how late at the most the device hears what is written meanwhile.
        """
        end_us = self._now_us + round(seconds * MICROSECONDS)
        step_us = max(1, round(step_s * MICROSECONDS))
        while self._now_us < end_us:
            self._now_us = min(self._now_us + step_us, end_us)
            # As in `emit`: up to, and without, the end.
            self._advance(self._now_us - 1)
            pieces, self._waiting = self._waiting, []
            for time_us, data in pieces:
                yield time_us / MICROSECONDS, data
        self._keep(self._station.finish())

    def pump(self, seconds: float) -> bytes:
        """The same as bytes in one piece."""
        return b"".join(data for _, data in self.play(seconds))

    def write(self, data: bytes) -> None:
        """Bytes from the host, now; the answer comes with the next step."""
        self._advance(self._now_us)
        self._station.receive(data, self._now_us)

    def readings(self, signal: str | None = None) -> list[Record]:
        """The readings that the device has said until now, of one signal if it is named."""
        of_kind = (record for record in self.truth if record.kind is Kind.READING)
        return [record for record in of_kind if signal in {None, record.signal}]

    def plugged(self) -> bool:
        """Whether the port would be there now."""
        return self._station.plugged(self._now_us)

    def _advance(self, until_us: int) -> None:
        progress = self._station.advance(until_us)
        self._waiting += progress.pieces
        self._keep(progress.truth)

    def _keep(self, lines: Sequence[str]) -> None:
        self.truth += [parse_record(line) for line in lines]
