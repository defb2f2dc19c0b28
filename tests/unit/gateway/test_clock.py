"""The clocks: read together, and steps told from drift."""

import threading
import time
import uuid
from pathlib import Path

import pytest

from gateway.clock import ClockWatch, SystemClock, kernel_bound, offset_ms
from gateway.draft import Instant


def at(seconds, shift_ms=0):
    return Instant(round(seconds * 1e6), 1_700_000_000_000 + round(seconds * 1000) + shift_ms, None, bytes(16))


def test_the_system_clock_goes_on_and_names_this_boot():
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.mono_us <= second.mono_us
    assert first.boot_id == second.boot_id == clock.boot_id
    assert len(first.boot_id) == 16
    kernel = Path("/proc/sys/kernel/random/boot_id")
    if kernel.is_file():
        assert first.boot_id == uuid.UUID(kernel.read_text().strip()).bytes
    assert abs(offset_ms(second) - offset_ms(first)) < 500


def test_the_error_bound_is_none_or_milliseconds_and_needs_no_rights():
    ask = kernel_bound()
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(bound is None or 0 <= bound < 10**7 for bound in found)


def test_the_bound_is_asked_for_again_where_the_clock_was_moved(monkeypatch):
    wall, answers = [time.time_ns()], iter([3, None, 7])
    monkeypatch.setattr("gateway.clock.time.time_ns", lambda: wall[0])
    monkeypatch.setattr("gateway.clock.time.clock_gettime_ns", lambda _: 5_000_000_000)
    clock = SystemClock(lambda: next(answers))
    assert [clock.now().bound_ms, clock.now().bound_ms] == [4, 4]
    wall[0] += 2_000_000
    assert [clock.now().bound_ms, clock.now().bound_ms] == [None, None]
    monkeypatch.setattr("gateway.clock.time.clock_gettime_ns", lambda _: 6_000_000_000)
    wall[0] += 1_000_000_000
    assert clock.now().bound_ms == 8


@pytest.mark.parametrize(
    ("what", "shifts", "steps"),
    [
        ("steady", [0] * 5, []),
        ("forward", [0, 0, 3_600_000, 3_600_000], [3_600_000]),
        ("back", [0, -501, -501], [-501]),
        ("half a second is not a step", [0, 500, 500], []),
        ("two small ones are", [0, 300, 600, 600], [600]),
        ("and back again", [0, 1000, 0], [1000, -1000]),
    ],
)
def test_steps(what, shifts, steps):
    watch = ClockWatch()
    found = [watch.look(at(n, shift)) for n, shift in enumerate(shifts)]
    assert [round(step, -1) for step in found if step is not None] == [round(step, -1) for step in steps], what


def test_a_slow_drift_is_never_a_step():
    watch = ClockWatch()
    assert not [step for n in range(20_000) if (step := watch.look(at(n, n // 4))) is not None]  # 250 ppm for hours


def test_a_sleep_is_not_a_step():
    watch = ClockWatch()
    assert [watch.look(at(n)) for n in (0, 1, 40_000, 40_001)] == [None] * 4
