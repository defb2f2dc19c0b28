"""Alarm storms, values that stand still, stored data that come twice, and clocks that are wrong."""

import doctest
import json
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sim_decoders import DECODERS, truth

from firmware_sim import records, wire
from firmware_sim.conditions import Conditions
from firmware_sim.devices import clock
from firmware_sim.devices.clock import Clock, Daylight
from firmware_sim.emit import emit
from firmware_sim.errors import CaptureError
from firmware_sim.faults import Fault, FaultKind
from firmware_sim.records import Kind, parse_record
from firmware_sim.rig import VirtualDevice, describe
from firmware_sim.scenario import DeviceSpec, from_table, load, parse

SECOND = 1_000_000
at = datetime.fromisoformat
SCENARIOS = Path(__file__).parents[3] / "scenarios"


def played(name, device, seconds):
    """Bytes and truth lines of one device of a scenario."""
    scenario = load(SCENARIOS / f"{name}.toml")
    spec = next(each for each in scenario.devices if each.name == device)
    return emitted(spec, seconds, scenario.seed)


def emitted(spec, seconds, seed=1):
    data, lines = bytearray(), []
    emit(spec, seed, round(seconds * SECOND), data.extend, lines.append)
    truth("".join(lines))
    return bytes(data), [json.loads(line) for line in lines]


# --- alarms ---


def onsets(words):
    return sum(before == 0 and word != 0 for before, word in pairwise([0, *words]))


def test_an_alarm_storm_has_ten_times_fifty_two_alarms_an_hour_and_all_are_in_the_truth():
    data, items = played("alarm-storm", "rad-1", 3605)
    sent = [int(word, 16) for word in re.findall(rb"ALARM=(\w+)", data)]
    said = [int(item["alarm"], 16) for item in items if "alarm" in item]
    assert onsets(sent) == onsets(said) == 520
    assert said == [word for before, word in pairwise([0, *sent]) if word != before]
    assert {word & 0x4F for word in said} == {0, 0x1, 0x2, 0x4, 0x8, 0x40}
    assert all(word & 0x10 for word in said if word)
    assert any(word & 0x20 for word in said)


def test_contec_tells_an_alarm_by_its_flag():
    data, items = played("alarm-storm", "contec-1", 600)
    sent = [message[2] & 0x20 for message in re.findall(rb"\x01[\x80-\xff]{8}", data)]
    said = [item["alarm"] for item in items if "alarm" in item]
    assert onsets(sent) == onsets(int(word, 16) for word in said) == 86
    assert set(said) == {"20", "00"}


def test_alarms_of_the_patient_are_in_the_truth_too():
    scenario = parse('[[device]]\nname = "d"\nmodel = "masimo"\npatient = { spo2 = 80 }')
    _, items = emitted(scenario.devices[0], 30)
    assert [item["alarm"] for item in items if "alarm" in item] == ["0012"]


def test_an_alarm_that_began_in_a_harmed_frame_is_said_again_by_a_whole_one():
    faults = (
        Fault(FaultKind.ALARM_STORM, 0, 60 * SECOND, per_hour=100),
        Fault(FaultKind.UNPLUG, 0, 12 * SECOND),
    )
    _, items = emitted(DeviceSpec("d", "masimo", faults=faults), 60)
    alarms = [item for item in items if "alarm" in item]
    assert alarms[0]["fault"] == "dropped"
    assert "fault" not in alarms[1]
    assert alarms[0]["alarm"] == alarms[1]["alarm"] != "0000"


def test_no_storm_before_or_after_its_time():
    conditions = Conditions((Fault(FaultKind.ALARM_STORM, 10 * SECOND, 60 * SECOND),), 5 * SECOND, "seed")
    sounding = [at for at in range(0, 80 * SECOND, SECOND // 10) if conditions.alarm(at)]
    assert sounding[0] >= 5 * SECOND
    assert sounding[-1] < 55 * SECOND


# --- values that stand still ---


@pytest.mark.parametrize("device", ["nonin-1", "contec-1", "masimo-1"])
def test_frozen_values_are_exactly_constant_while_frames_go_on(device):
    scenario = load(SCENARIOS / "frozen.toml")
    spec = next(each for each in scenario.devices if each.name == device)
    data, items = played("frozen", device, 100)
    decoded, samples = DECODERS[spec.model](data)
    assert decoded == [(item["signal"], item.get("value")) for item in items if "signal" in item]
    assert samples == [sample for item in items if "wave" in item for sample in item["samples"]]
    frozen = [item for item in items if "signal" in item and item.get("frozen")]
    for signal in {item["signal"] for item in frozen}:
        values = [item.get("value") for item in frozen if item["signal"] == signal]
        assert len(values) > 60
        assert len(set(values)) == 1
    assert len({sample for item in items if item.get("frozen") and "wave" in item for sample in item["samples"]}) <= 1
    thawed = {item["value"] for item in items if item.get("signal") == "pulse" and not item.get("frozen")}
    assert len(thawed) > 1


# --- stored data ---


@pytest.mark.parametrize(("device", "width", "seconds"), [("dated", 2, 600), ("undated", 3, 100)])
def test_stored_readings_come_twice_and_the_second_time_is_marked(device, width, seconds):
    data, items = played("stored-twice", device, 60)
    decoded, _ = DECODERS["contec"](data)
    assert decoded == [(item["signal"], item["value"]) for item in items if "signal" in item]
    stored = [item for item in items if "stored" in item]
    first = [(item["stored"], item["signal"], item["value"]) for item in stored if not item.get("again")]
    second = [(item["stored"], item["signal"], item["value"]) for item in stored if item.get("again")]
    assert first == second
    assert len(first) == width * seconds
    assert [place for place, _, _ in first[::width]] == list(range(seconds))
    # Equal readings of different seconds are no repetition.
    assert len({(signal, value) for _, signal, value in first}) < len(first)
    assert data.count(bytes((0x07, 0x80))) >= 2
    times = [item["time"] for item in items if "signal" in item and "stored" not in item]
    gaps = [(round(one, 1), round(two, 1)) for one, two in pairwise(times) if two - one > 0.1]
    assert [start for start, _ in gaps] == ([5.0, 20.0] if device == "dated" else [8.0, 25.0])


def test_a_dump_that_the_host_asked_for_twice_is_marked_too():
    device = VirtualDevice(from_table(describe("contec", stored_s=3)), attended=False)
    for _ in range(2):
        device.write(bytes((0x7D, 0x81, 0xA6, *[0x80] * 6)))
        assert device.pump(1)
    assert [record.again for record in device.readings()] == [False] * 6 + [True] * 6


# --- clocks ---


def shown(device, seconds=60):
    data, items = played("clocks", device, seconds)
    lines = [line[:17].decode() for line in data.split(b"\r\n") if line]
    assert lines == [item["clock"] for item in items if item.get("signal") == "spo2"]
    return [datetime.strptime(f"{line} +0000", "%m/%d/%y %H:%M:%S %z").replace(tzinfo=None) for line in lines]


def steps(moments):
    """Where the clock did not go on by one second: how far it went."""
    return [
        (second, (two - one).total_seconds())
        for second, (one, two) in enumerate(pairwise(moments), 1)
        if (two - one).total_seconds() != 1
    ]


def test_clocks_are_wrong_as_they_are_meant_to_be():
    right = shown("right")
    assert right[0] == at("2026-10-25T02:59:30")
    assert steps(right) == []
    assert {(two - one).total_seconds() for one, two in zip(right, shown("fast"), strict=True)} == {1440}
    assert steps(shown("stepping")) == [(10, 91), (15, -3599), (20, -89)]
    assert steps(shown("autumn")) == [(30, -3599)]
    assert steps(shown("spring")) == [(30, 3601)]
    forgetful = shown("forgetful")
    assert f"{forgetful[10]:%m/%d/%y %H:%M:%S}" == "01/01/70 00:00:00"
    assert forgetful[41] == right[41]
    assert f"{shown('century')[30]:%m/%d/%y %H:%M:%S}" == "01/01/00 00:00:00"


@pytest.mark.parametrize(
    ("daylight", "before", "after"),
    [
        (Daylight.EU, "2026-03-29T01:59:59", "2026-03-29T03:00:00"),
        (Daylight.EU, "2026-10-25T02:59:59", "2026-10-25T02:00:00"),
        (Daylight.US, "2026-03-08T01:59:59", "2026-03-08T03:00:00"),
        (Daylight.US, "2026-11-01T01:59:59", "2026-11-01T01:00:00"),
        (Daylight.EU, "2026-07-01T12:00:00", "2026-07-01T12:00:01"),
        (None, "2026-03-29T01:59:59", "2026-03-29T02:00:00"),
    ],
)
def test_daylight_saving(daylight, before, after):
    device_clock = Clock(at(before), daylight)
    assert device_clock.at(0).isoformat() == before
    assert device_clock.at(SECOND).isoformat() == after


def test_the_hour_that_comes_twice_comes_only_twice():
    device_clock = Clock(at("2026-10-25T02:30:00"), Daylight.EU)
    assert device_clock.at(7200 * SECOND) == at("2026-10-25T03:30:00")


def test_the_epoch_can_be_given_when_a_scenario_is_read():
    moment = at("2031-05-06T07:08:09")
    scenario = load(SCENARIOS / "clocks.toml", epoch=moment)
    data, _ = emitted(scenario.devices[0], 1)
    assert data.startswith(b"05/06/31 07:08:09")


# --- truth, read back ---


def test_records_are_what_the_truth_says():
    _, items = played("clocks", "right", 2)
    record = parse_record(json.dumps(items[0]))
    assert (record.device, record.ordinal, record.signal, record.kind) == ("right", 0, "spo2", Kind.READING)
    assert (record.intact, record.clock) == (True, "10/25/26 02:59:30")
    assert parse_record('{"device": "d", "ordinal": 0, "time": 0.0, "alarm": "0012"}').kind is Kind.ALARM
    wave = parse_record('{"device": "d", "ordinal": 0, "time": 0.0, "wave": "pleth", "samples": [1, 2]}')
    assert (wave.kind, wave.samples) == (Kind.WAVE, (1, 2))
    for line in ("", "3", "{}", '{"device": "d", "ordinal": 0, "time": 0.0, "other": 1}'):
        with pytest.raises(CaptureError):
            parse_record(line)


@pytest.mark.parametrize("module", [clock, records, wire])
def test_the_examples_in_the_docstrings(module):
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted
