"""Gateways that were restored from an old copy, or that run twice: nothing is lost, and everybody is told."""

import shutil
import signal
import time

import pytest

from tests.e2e.compare import compare, truth_of
from tests.e2e.ward import SHORT_ENTRIES, Ward
from vitaledger.cli.stage import json_lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SECOND = "demo.example/gateway/ward-1/2"


@pytest.fixture
def ward(request, tmp_path):
    made = Ward(tmp_path / "ward", request.param)
    made.devices, made.settings = {"bed-1": made.devices["bed-1"]}, SHORT_ENTRIES
    try:
        made.start()
        yield made
    finally:
        made.stop_all()


def settle(ward, seconds):
    until = time.monotonic() + seconds
    ward.await_condition("time goes on", seconds + 10, lambda: time.monotonic() >= until)


def copy_state(ward):
    """A backup of a gateway that was stopped for it."""
    state, copy = ward.folder / "gateway" / "state", ward.folder / "copy"
    ward.stop("gateway")
    shutil.copytree(state, copy)
    ward.start_gateway()
    return copy


def restore(ward, copy):
    state = ward.folder / "gateway" / "state"
    shutil.rmtree(state)
    shutil.copytree(copy, state)


def goes_on_as_second(ward):
    rows = {row["origin"]: row for row in json_lines(ward.collector("gateways", "--json"))}
    return SECOND in rows and rows[SECOND]["custody_size"] > 3 and (ward.folder / "gateway/state/2/carried").exists()


@pytest.mark.parametrize(("ward", "offline"), [("mosquitto", False), ("amqtt", True)], indirect=["ward"])
def test_restored_from_an_old_copy(ward, offline, tmp_path):
    settle(ward, 2)
    copy = copy_state(ward)
    settle(ward, 4)
    ward.kill("gateway")
    restore(ward, copy)
    if offline:
        ward.kill("broker")
    ward.start_gateway()
    if offline:
        settle(ward, 4)
        ward.start_broker()
    ward.await_condition("the successor goes on", 40, lambda: goes_on_as_second(ward))
    settle(ward, 2)
    ward.drain()
    for words in (("--log", "1"), ()):
        ward.gateway("verify", *words)
    ward.collector("verify")
    for device, lines in ward.history().items():
        found = compare(truth_of(ward.truth, device), lines)
        assert found.readings > 0
        if offline:
            assert any(row.get("carried", {}).get("origin") == SECOND for row in lines), device
    (fork,) = json_lines(ward.collector("forks", "--json"))[:1]
    evidence = tmp_path / "fork.json"
    ward.collector("forks", "export", str(fork["id"]), "-o", str(evidence))
    assert "FORKED" in ward.run("vitaledger", "fork", str(evidence))
    first, second = json_lines(ward.collector("gateways", "--json"))
    assert any(SECOND in alarm for alarm in first["alarms"])
    assert any("contradict each other" in alarm for alarm in first["alarms"])
    assert second["alarms"] == []


@pytest.mark.parametrize("ward", ["mosquitto"], indirect=True)
def test_a_copy_that_runs_beside_the_first(ward):
    settle(ward, 2)
    copy = copy_state(ward)
    settle(ward, 3)
    other = ward.folder / "other"
    shutil.copytree(ward.folder / "gateway", other)
    restored = other / "state"
    shutil.rmtree(restored)
    shutil.copytree(copy, restored)
    config = (other / "gateway.toml").read_text().split("[[port]]")[0]
    (other / "gateway.toml").write_text(config)  # the devices are on the first
    ward._spawn("other", "vitaledger-gateway", "--config", str(other / "gateway.toml"), "run")

    def both_grow():
        rows = {row["origin"]: row for row in json_lines(ward.collector("gateways", "--json"))}
        return SECOND in rows and rows[SECOND]["custody_size"] > 3

    ward.await_condition("the copy goes on under an origin of its own", 60, both_grow)
    ward._processes["other"].send_signal(signal.SIGTERM)
    ward._processes.pop("other").wait(20)
    ward.drain()
    ward.collector("verify")
    for device, lines in ward.history().items():
        found = compare(truth_of(ward.truth, device), lines)
        assert found.readings > 0
    first, _ = json_lines(ward.collector("gateways", "--json"))
    assert any("still grows" in alarm for alarm in first["alarms"])
