"""The gateway's clocks, and what the kernel knows of their error.

Order and distance in time come from CLOCK_BOOTTIME, which nobody sets and which goes on while the machine sleeps. The
wall clock is a claim beside it, with the error bound that the kernel keeps for a clock that is being synchronised
(adjtimex(2), `maxerror`); where nothing synchronises it there is no bound.
"""

import ctypes
import ctypes.util
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from gateway.draft import Instant
from vitaledger.compiled import compile_make

STEP_MS = 500
SLEW_PPM = 500  # the fastest that the kernel turns the clock without a step
ASK_US = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_make_instant = compile_make(Instant)


class _Timex(ctypes.Structure):
    """`struct timex` of Linux; what follows `tai` is not used, but the kernel writes to it."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    ]


def kernel_bound() -> Callable[[], int | None]:
    """A function that asks the kernel for the wall clock's error bound in ms: None where it is not synchronised.

    It only reads (modes 0), for which no rights are needed. Where there is no adjtimex the answer is always None.
    """
    try:
        adjtimex = ctypes.PyDLL(ctypes.util.find_library("c") or "libc.so.6").adjtimex
    except (OSError, AttributeError):
        return lambda: None

    def ask() -> int | None:
        timex = _Timex()
        state = adjtimex(ctypes.byref(timex))
        if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
            return None
        return max(0, -(-int(timex.maxerror) // 1000))

    return ask


def boot_id() -> bytes:
    """The kernel's name for this boot, 16 bytes; on a system without one, 16 random bytes for this process."""
    try:
        return uuid.UUID(_BOOT_ID.read_text("ascii").strip()).bytes
    except (OSError, ValueError):
        return uuid.uuid4().bytes


class Clock(Protocol):
    """What the rest of the gateway asks of a clock."""

    def now(self) -> Instant:
        """Now, by both clocks."""


class SystemClock:
    """Reads both clocks together. Safe to use from any thread.

    The kernel is asked for the error bound once a second, and at once where the wall clock was moved; the answer is
    taken a millisecond wider, for what the bound grows by meanwhile.
    """

    def __init__(self, ask: Callable[[], int | None] | None = None) -> None:
        self.boot_id = boot_id()
        self._ask = ask or kernel_bound()
        self._asked: tuple[int, int, int | None] = (-ASK_US, 0, None)
        self._id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> Instant:
        """Now, by both clocks."""
        mono_us = time.clock_gettime_ns(self._id) // 1000
        wall_ms = time.time_ns() // 1_000_000
        asked_us, offset, bound = self._asked
        if mono_us - asked_us >= ASK_US or abs(wall_ms - mono_us // 1000 - offset) > 1:
            bound = self._ask()
            bound = None if bound is None else bound + 1
            self._asked = mono_us, wall_ms - mono_us // 1000, bound
        return _make_instant(mono_us, wall_ms, bound, self.boot_id)


def offset_ms(now: Instant) -> int:
    """How far the wall clock is ahead of the monotonic one."""
    return now.wall_ms - now.mono_us // 1000


class ClockWatch:
    """Finds steps: the wall clock was moved against the monotonic one by more than slewing can.

    >>> watch = ClockWatch()
    >>> [watch.look(Instant(s * 1_000_000, 1000 * s + shift, None, bytes(16))) for s, shift in
    ...  [(0, 0), (1, 0), (2, 400), (3, 700), (4, 700), (5, -3000)]]
    [None, None, None, 700, None, -3700]
    """

    __slots__ = ("_expected", "_seen_us")

    def __init__(self) -> None:
        self._expected: float | None = None
        self._seen_us = 0

    def look(self, now: Instant) -> int | None:
        """Answer by how many ms the wall clock was stepped, None where it was not. Look once a second or so."""
        offset, passed_us = offset_ms(now), now.mono_us - self._seen_us
        self._seen_us = now.mono_us
        if self._expected is None:
            self._expected = offset
            return None
        delta = offset - self._expected
        if abs(delta) > STEP_MS:
            self._expected = offset
            return round(delta)
        # What slewing can explain is followed, so that a slow drift of hours is never taken for a step.
        most = passed_us * SLEW_PPM / 1e9
        self._expected += max(-most, min(most, delta))
        return None
