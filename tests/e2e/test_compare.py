"""The comparison itself: it must see what is missing, doubled, changed or out of order."""

import json
from collections import Counter

import pytest

from tests.e2e.compare import Gap, Outcome, Said, compare, truth_of
from tests.e2e.report import Down, Report
from tests.e2e.ward import in_order

TRUTH = {"spo2": [Said(n / 3, f"{97 + n % 3}.0000") for n in range(30)]}


def row(at, value):
    return {
        "wall_ms": 1000.0, "offset_us": at * 1e6, "signal": "spo2", "value": value, "absent": None, "state": "proven"
    }  # fmt: skip


def rows(places):
    return [row(TRUTH["spo2"][n].at, TRUTH["spo2"][n].what) for n in places]


def gap(since, until):
    clock = None if since is None else {"wall_ms": 1000 + since * 1000}
    return {"event": "gap", "wall_ms": 1000 + until * 1000, "fields": {"since": clock, "reason": "crash"}}


def test_all_there():
    found = compare(TRUTH, [gap(None, 0), *rows(range(30))], began=1.0)
    assert (found.readings, found.missing_readings) == (30, 0)


def test_missing_inside_a_gap():
    found = compare(TRUTH, [gap(None, 0), *rows(range(9)), gap(2.9, 6.9), *rows(range(20, 30))], began=1.0)
    assert (found.readings, found.missing_readings) == (19, 11)
    assert found.lost == (1.0 + 3.0,)


@pytest.mark.parametrize(
    "history",
    [
        rows(range(29)),
        rows([*range(10), *range(11, 30)]),
        rows([*range(10), 9, *range(10, 30)]),
        rows([*range(10), 11, 10, *range(12, 30)]),
        [gap(None, 0), *rows(range(5)), gap(1.4, 1.5), *rows(range(20, 30))],
        [*rows(range(9)), row(3.0, "42"), *rows(range(10, 30))],
        [],
    ],
    ids=["end", "hole", "twice", "order", "beside the gap", "value", "nothing"],
)
def test_what_must_be_seen(history):
    with pytest.raises(AssertionError):
        compare(TRUTH, history, began=1.0)


def test_a_sample_late_in_its_line_has_its_own_time(tmp_path):
    sent = [n * 7 % 101 for n in range(240)]
    truth = tmp_path / "truth.jsonl"
    with truth.open("w") as lines:
        for at, first, end in ((0.0, 0, 60), (1.0, 60, 105), (7.0, 105, 165), (8.0, 165, 240)):
            line = {"device": "bed-1", "ordinal": first, "time": at, "wave": "pleth", "samples": sent[first:end]}
            lines.write(json.dumps(line) + "\n")

    def wave(at, first, end):
        return {"wall_ms": 1000.0, "offset_us": at * 1e6, "wave": "pleth", "samples": sent[first:end]}

    found = compare(
        truth_of(truth, "bed-1"),
        [gap(None, 0), wave(0, 0, 50), gap(0.8, 2.4), wave(2.45, 100, 105), wave(7.05, 105, 240)],
        began=1.0,
    )
    assert (found.samples, found.missing_samples) == (190, 50)


def test_the_order_of_a_chain_is_that_of_its_sequence():
    """Entry 1 ends at 909.9 + 0.8 ms, told as 909 and 1700 µs; entry 2 begins at 910.7 ms, told as 910."""

    def line(chain, wall_ms, offset_us):
        return {"origin": "o", "chain": chain, "wall_ms": wall_ms, "offset_us": offset_us}

    first = [line("c:port:bed-1", 900, 5), line("c:port:bed-1", 909, 1700), line("c:port:bed-1", 910, 0)]
    second = [line("c:sn:1", 905, 0), line("c:sn:1", 950, 0)]
    assert in_order([*second, *first]) == [first[0], second[0], *first[1:], second[1]]


def test_what_a_kill_cost():
    """Read until 19.2 s, killed at 20 s, started at 23 s, heard again at 24.5 s."""
    outcome = Outcome(10, 0, 2, 0, (Gap(None, 1.0, "start"), Gap(18.9, 24.5, "crash")), (19.2,))
    downs = (Down("gateway", True, 20.0, 23.0), Down("broker", True, 20.5, 22.0))
    report = Report(Counter({"kill gateway": 1, "kill broker": 1}), downs, {"bed-1": outcome})
    assert report.kills() == {"broker": 1, "gateway": 1}
    assert report.lost_by_kills() == [pytest.approx(0.8)]
    assert report.over_downtime() == [pytest.approx(5.6 - 3.0)]
    assert "kills -9: 2 (broker 1, gateway 1)" in list(report.lines())[-1]
