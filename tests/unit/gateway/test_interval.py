"""An interval of the local log by bisection: everything that claims a time in it, at a cost that does not grow."""

import json
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import interval
from gateway.history import History
from gateway.reader import Reader
from tests.unit.gateway.makers import KEY, chain_of, drafts, open_store
from tests.unit.gateway.test_gateway_cli import invoke, ward  # noqa: F401  a fixture
from vitaledger.entry import Clock

START = 1_700_000_000_000


def covered(runs, index):
    return any(first <= index < end for first, end in runs)


@st.composite
def logs(draw):
    """Clocks of a log: machines that boot, wall clocks that are set, entries sealed up to a minute late."""
    clocks, wall = [], START
    offsets = draw(st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=4, unique=True))
    for n, offset in enumerate(offsets):
        boots = draw(st.booleans()) or not clocks
        boot, ms = (bytes([n] * 16), 0) if boots else (clocks[-1].boot_id, clocks[-1].boot_ms + 60_000)
        distance = wall + offset * 3_600_000 - ms
        for _ in range(draw(st.integers(1, 120))):
            ms += 2_000
            late = draw(st.sampled_from((0, 0, 4_000, 60_000)))
            clocks.append(Clock(distance + ms - late, boot, max(0, ms - late), None))
    return clocks


@settings(max_examples=60)
@given(logs(), st.data())
def test_everything_that_claims_a_time_in_the_interval_is_in_the_runs(clocks, data):
    times = sorted(clock.wall_ms for clock in clocks)
    from_ms = data.draw(st.none() | st.sampled_from(times))
    to_ms = data.draw(st.none() | st.integers(0, 600_000).map(lambda more: (from_ms or times[0]) + more))
    with patch.object(interval, "NEAR", 0):
        runs = interval.runs(clocks.__getitem__, len(clocks), from_ms, to_ms)
    for index, clock in enumerate(clocks):
        if (from_ms is None or clock.wall_ms >= from_ms) and (to_ms is None or clock.wall_ms < to_ms):
            assert covered(runs, index), (index, clock, runs)


@pytest.mark.parametrize("boots", [bytes(16), bytes(range(16))])
def test_what_a_start_sealed_of_the_run_before_it_is_in_the_interval_of_that(boots):
    """A gateway was killed and started again an hour later, on the same boot or another one."""
    away = 3_600_000

    def clock_of(index):
        if index < 100_000 or index in {100_001, 100_002}:
            ms = index * 2_000
            return Clock(START + ms, bytes(16), ms, 5)
        ms = index * 2_000 + away
        return Clock(START + ms, boots, ms - (0 if boots == bytes(16) else 150_000_000), 5)

    end = START + 100_000 * 2_000
    for from_ms, to_ms in ((end, end + 10_000), (end - 60_000, end + 10_000), (end, None)):
        runs = interval.runs(clock_of, 200_000, from_ms, to_ms)
        assert covered(runs, 100_001)
        assert covered(runs, 100_002)
        assert to_ms is None or sum(last - first for first, last in runs) < 5_000


def test_the_cost_does_not_grow_with_the_log():
    size, hour, asked = 10_000_000, 3_600_000, []

    def clock_of(index):
        asked.append(index)
        boot, ms = divmod(index, 1_000_000)  # ten boots, and on the last day the clock was set back by an hour
        back = hour if index > 9_950_000 else 0
        return Clock(START + index * 500 - back, bytes([boot] * 16), ms * 500, 5)

    [(first, end)] = interval.runs(clock_of, size, START + 5_000_000 * 500, START + 5_000_000 * 500 + 60_000)
    assert first <= 5_000_000
    assert 5_000_120 <= end <= first + 3_000
    assert len(asked) < 1_500
    twice = START + 9_949_000 * 500
    assert len(interval.runs(clock_of, size, twice, twice + 60_000)) == 2


def test_what_does_not_fit_is_taken_whole():
    def clock_of(index):
        return None if index == 5_000 else Clock(START + index * 2_000, bytes(16), index * 2_000, 5)

    assert interval.runs(clock_of, 10_001, START, START + 1_000) == [(0, 10_001)]
    assert interval.runs(clock_of, 0, None, None) == []
    assert interval.runs(clock_of, 7, None, None) == [(0, 7)]


def test_the_history_of_an_interval_is_that_part_of_the_whole_history(tmp_path):
    with open_store(tmp_path) as store:
        for first in range(0, 4000, 1000):
            store.commit(drafts(1000, first))
    with Reader.open(tmp_path) as reader:
        log = History(reader, KEY)
        whole = list(log.forward([chain_of(1)], log.within(None, None)))
        runs = log.within(START + 200_000, START + 210_000)
        found = list(log.forward([chain_of(1)], runs))
    inside = [each for each in whole if START + 200_000 <= each.entry.clock.wall_ms < START + 210_000]
    assert len(inside) > 30
    assert all(each in found for each in inside)
    assert sum(end - first for first, end in runs) < 3800 < len(whole) * 3


@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_the_last_lines_are_those_of_the_whole_history(ward, limit):  # noqa: F811
    whole = invoke("--config", ward, "history", "bed-1", "--json").stdout.splitlines()
    last = invoke("--config", ward, "history", "bed-1", "--json", "--limit", str(limit)).stdout.splitlines()
    assert last == whole[-limit:]
    since, until = (json.loads(whole[n])["at"] for n in (3, len(whole) // 2))
    between = invoke("--config", ward, "history", "bed-1", "--json", "--from", since, "--to", until)
    times = [datetime.fromisoformat(json.loads(line)["at"]).astimezone(UTC) for line in whole]
    expected = [line for line, at in zip(whole, times, strict=True) if times[3] <= at < times[len(whole) // 2]]
    assert between.stdout.splitlines() == expected
