"""Device bytes in, verified readings out: real processes, real brokers, and every value held against the truth."""

import time

import pytest

from tests.e2e.compare import Outcome, compare, truth_of
from tests.e2e.ward import Ward
from vitaledger.cli.stage import json_lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
BROKERS = ("amqtt", "mosquitto")
JOURNAL_S = 1.5  # what a killed gateway may cost


@pytest.fixture(params=BROKERS)
def ward(request, tmp_path):
    ward = Ward(tmp_path / "ward", request.param)
    try:
        ward.start()
        yield ward
    finally:
        ward.stop_all()


def settle(ward: Ward, seconds: float) -> None:
    """Let the devices talk for so long."""
    until = time.monotonic() + seconds
    ward.await_condition("time goes on", seconds + 10, lambda: time.monotonic() >= until)


def outcome(ward: Ward) -> dict[str, Outcome]:
    ward.drain()
    ward.gateway("verify")
    ward.collector("verify")
    history = ward.history()
    assert set(history) == set(ward.devices)
    return {device: compare(truth_of(ward.truth, device), history[device]) for device in ward.devices}


def assert_nothing_missing(found: dict[str, Outcome]) -> None:
    for device, result in found.items():
        assert result.readings > 0, device
        assert (result.missing_readings, result.missing_samples) == (0, 0), (device, result)


def test_every_reading_arrives_once(ward):
    settle(ward, 12)
    assert_nothing_missing(outcome(ward))


def test_broker_killed_and_started_again(ward):
    settle(ward, 5)
    ward.kill("broker")
    settle(ward, 4)
    ward.start_broker()
    settle(ward, 6)
    assert_nothing_missing(outcome(ward))


def test_collector_killed_and_started_again(ward):
    settle(ward, 5)
    ward.kill("collector")
    settle(ward, 4)
    ward.start_collector()
    settle(ward, 6)
    assert_nothing_missing(outcome(ward))


def test_gateway_killed_and_started_again(ward):
    settle(ward, 9)
    ward.kill("gateway")
    gone = time.time()
    settle(ward, 3)
    ward.start_gateway()
    settle(ward, 10)
    for device, result in outcome(ward).items():
        assert result.missing_readings > 0, f"{device}: the kill came to nothing"
        crash = [gap for gap in result.gaps if gap.reason == "crash"]
        assert len(crash) == 1, (device, result.gaps)
        assert crash[0].since is not None
        lost = min(at for at in result.lost if crash[0].since <= at <= crash[0].until)
        assert gone - lost <= JOURNAL_S, (device, crash)  # the rest of the gap is the time it was down
    boots = [row for row in json_lines(ward.gateway("history", "gateway", "--json")) if row.get("event") == "boot"]
    assert "recovered" in boots[-1]["text"], boots
