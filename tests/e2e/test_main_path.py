"""Device bytes in, verified readings out: real processes, real brokers, and every value held against the truth."""

import time

import pytest

from gateway.journal import read
from gateway.reader import Reader
from gateway.slots import verify_slots
from tests.e2e.compare import TOLERANCE_S, Outcome, compare, truth_of
from tests.e2e.fault_bench import STALL_S, Pulse, once_more
from tests.e2e.ward import Ward
from vitaledger.cli.stage import json_lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
BROKERS = ("amqtt", "mosquitto")
JOURNAL_S = 1.5  # what a killed gateway may cost


@pytest.fixture(params=BROKERS)
def on_a_ward(request, tmp_path):
    """Runs a play on a ward that has just started; once more on another where the machine stood still."""

    def run(play, stall_s=STALL_S):
        def attempt(folder):
            ward = Ward(folder, request.param)
            with Pulse(stall_s):
                try:
                    ward.start()
                    play(ward)
                finally:
                    ward.stop_all()

        once_more(tmp_path, attempt)

    return run


def settle(ward: Ward, seconds: float) -> None:
    """Let the devices talk for so long."""
    until = time.monotonic() + seconds
    ward.await_condition("time goes on", seconds + 10, lambda: time.monotonic() >= until)


def unsealed(ward: Ward) -> int:
    """How many bytes the gateway's journal has that no entry has: read, committed and not sealed yet."""
    with Reader.open(ward.folder / "gateway" / "state") as reader, reader.snapshot():
        return sum(line.open_bytes for line in read(verify_slots(reader.seal(), reader.journal())))


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


def test_broker_and_collector_killed_and_started_again(on_a_ward):
    def play(ward):
        settle(ward, 4)
        ward.kill("broker")
        settle(ward, 4)
        ward.start_broker()
        settle(ward, 4)
        ward.kill("collector")
        settle(ward, 4)
        ward.start_collector()
        settle(ward, 4)
        assert_nothing_missing(outcome(ward))

    on_a_ward(play)


def test_gateway_killed_and_started_again(on_a_ward):
    def play(ward):
        settle(ward, 9)
        ward.await_condition("something is read and not sealed yet", 10, lambda: unsealed(ward) > 0)
        gone = time.time()
        ward.kill("gateway")
        saved = unsealed(ward)  # nothing, where it has just sealed all of it
        settle(ward, 3)
        ward.start_gateway()
        settle(ward, 10)
        for device, result in outcome(ward).items():
            assert result.missing_readings > 0, f"{device}: the kill came to nothing"
            crash = [gap for gap in result.gaps if gap.reason == "crash"]
            assert len(crash) == 1, (device, result.gaps)
            assert crash[0].since is not None
            since, until = crash[0].since - TOLERANCE_S, crash[0].until + TOLERANCE_S
            lost = [at for at in result.lost if since <= at <= until]
            assert lost, (device, crash, result.lost)
            assert gone - min(lost) <= JOURNAL_S, (device, crash)  # the rest of the gap is the time it was down
        boots = [row for row in json_lines(ward.gateway("history", "gateway", "--json")) if row.get("event") == "boot"]
        assert ("recovered" in boots[-1]["text"]) == (saved > 0), (saved, boots)

    on_a_ward(play, stall_s=0.4)
