"""A scenario faster than real time: the bytes that would have arrived, and the truth, into files."""

from collections.abc import Callable

from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.scenario import DeviceSpec
from firmware_sim.station import Station

_STEP_US = 10 * MICROSECONDS


def emit(
    spec: DeviceSpec,
    seed: int,
    duration_us: int,
    write: Callable[[bytes], object],
    tell: Callable[[str], object],
    *,
    step_us: int = _STEP_US,
) -> None:
    """Run one device from 0 up to, and without, `duration_us`.

    Devices that wait to be asked behave as if a host had asked.

    Args:
        spec: the device.
        seed: the scenario's seed.
        duration_us: how long.
        write: takes the bytes, in pieces.
        tell: takes the lines of the truth file, each with its line end.
        step_us: how much time is made at once; it does not change what is written.
    """
    station = Station(spec, seed, attended=True)
    at_us = -1
    while at_us < duration_us - 1:
        at_us = min(at_us + step_us, duration_us - 1)
        progress = station.advance(at_us)
        write(progress.data)
        for line in progress.truth:
            tell(line + "\n")
    for line in station.finish():
        tell(line + "\n")
