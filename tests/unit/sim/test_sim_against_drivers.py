"""The scenarios against the gateway's drivers: what the truth calls intact is read, what it calls unreadable is not."""

import json
from collections import Counter
from pathlib import Path

import pytest

from firmware_sim.faults import FaultKind
from firmware_sim.scenario import load
from firmware_sim.station import Station
from gateway.drivers.api import Alarm, FrameErrors, Reading
from gateway.drivers.contec import ContecDriver
from gateway.drivers.masimo import MasimoDriver
from gateway.drivers.nonin import NoninDriver
from vitaledger.marks import AlarmPhase

SECOND = 1_000_000
SCENARIOS = Path(__file__).parents[3] / "scenarios"
DRIVERS = {"nonin": NoninDriver, "contec": ContecDriver, "masimo": MasimoDriver}
CASES = [
    pytest.param(path, number, id=f"{path.stem}-{spec.name}")
    for path in sorted(SCENARIOS.glob("*.toml"))
    if path.stem not in {"noisy-line", "sensor-off", "ward", "desaturation"}
    for number, spec in enumerate(load(path).devices)
]


def heard(spec, seed, seconds=60):
    """A driver's events, and the truth."""
    make, _, data_format = spec.model.partition("-df")
    driver = DRIVERS[make](may_send=True, options={"format": data_format} if data_format else None)
    driver.opened(0)
    station, events, items = Station(spec, seed, attended=True), [], []
    for second in range(seconds):
        progress = station.advance((second + 1) * SECOND - 1)
        items += [json.loads(line) for line in progress.truth]
        for at, data in progress.pieces:
            events += driver.receive(data, at)
            events += driver.tick(at)
            driver.to_send(at)
    return events, items


@pytest.mark.parametrize(("path", "number"), CASES)
def test_drivers_read_what_the_truth_calls_intact(path, number):
    scenario = load(path)
    spec = scenario.devices[number]
    events, items = heard(spec, scenario.seed)
    read = Counter((event.at_us, event.handle) for event in events if isinstance(event, Reading))
    said = [item for item in items if "signal" in item]
    intact = Counter((round(item["time"] * SECOND), item["signal"]) for item in said if "fault" not in item)
    assert intact - read == Counter()
    assert read - Counter((round(item["time"] * SECOND), item["signal"]) for item in said) == Counter()
    wrong = [fault for fault in spec.faults if fault.kind in {FaultKind.WRONG_BAUD, FaultKind.WRONG_PARITY}]
    assert not [at for at, _ in read if any(fault.covers(at) for fault in wrong)]
    assert bool(wrong) <= any(isinstance(event, FrameErrors) for event in events)


@pytest.mark.parametrize("number", [0, 1])
def test_drivers_tell_the_alarms_of_a_storm(number):
    scenario = load(SCENARIOS / "alarm-storm.toml")
    events, items = heard(scenario.devices[number], scenario.seed, 600)
    onsets = [event.at_us for event in events if isinstance(event, Alarm) and event.phase is AlarmPhase.ONSET]
    words = [(round(item["time"] * SECOND), int(item["alarm"], 16)) for item in items if "alarm" in item]
    began = [at for (at, word), before in zip(words, [0, *(word for _, word in words)], strict=False) if not before]
    assert onsets == began
    assert len(onsets) == 86
