"""The fault bench in short: the same code as `make fault`, few steps, a fixed seed."""

import pytest

from tests.e2e.fault_bench import once_more, run
from tests.e2e.plan import ACTIONS, KILLS, make


def test_the_same_seed_gives_the_same_plan():
    assert make(5, 50) == make(5, 50) != make(6, 50)


def test_a_long_plan_does_everything():
    assert {step.action for step in make(1, 500)} == {name for name, _ in ACTIONS}
    assert {step.action for step in make(1, 50, kills_only=True)} == set(KILLS)


@pytest.mark.e2e
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("broker", "seed"), [("amqtt", 3), ("mosquitto", 4)])
def test_nothing_is_lost(tmp_path, broker, seed):
    report = once_more(tmp_path, lambda folder: run(folder, broker, seed, steps=4))
    assert all(result.readings for result in report.outcomes.values())
