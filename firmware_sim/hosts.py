"""Waiting for the hosts that open the ports: what is sent before they read is lost, as on a real serial line."""

from collections.abc import Callable, Sequence

from firmware_sim.line import Line

TICK_S = 0.005


def await_hosts(
    lines: Sequence[Line],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    stopped: Callable[[], bool],
) -> None:
    """Until a host has opened every port, and has thrown away what it found there; or `stopped` says so.

    What the host sends meanwhile is left for `Line.read`.
    """
    while not all(line.connected() for line in lines):
        if stopped():
            return
        sleep(TICK_S)
    since, seen = clock(), [line.flushes() for line in lines]
    while not stopped() and clock() - since < max((line.patience_s() for line in lines), default=0.0):
        sleep(TICK_S)
        if (now := [line.flushes() for line in lines]) != seen:
            since, seen = clock(), now
