"""Faults, and what the truth says about them; scenario files and the examples."""

import json
from pathlib import Path

import pytest
from sim_decoders import DECODERS, truth

from firmware_sim.emit import emit
from firmware_sim.errors import ScenarioError
from firmware_sim.faults import Fault, FaultKind
from firmware_sim.scenario import DeviceSpec, parse
from firmware_sim.station import Station
from firmware_sim.wire import NoisyLine

SECOND = 1_000_000
EXAMPLES = sorted((Path(__file__).parents[3] / "scenarios").glob("*.toml"))


def emitted(spec, seconds, seed=1):
    data, lines = bytearray(), []
    emit(spec, seed, seconds * SECOND, data.extend, lines.append)
    return bytes(data), *truth("".join(lines))


def fault(kind, start, end, **more):
    return Fault(FaultKind(kind), round(start * SECOND), round(end * SECOND), **more)


@pytest.mark.parametrize(("kind", "mark"), [("drop", "dropped"), ("change", "changed"), ("repeat", "repeated")])
@pytest.mark.parametrize("model", ["nonin-df2", "contec", "masimo"])
def test_harmed_frames_are_marked_and_the_others_are_intact(kind, mark, model):
    clean, _, _ = emitted(DeviceSpec("d", model), 60)
    spec = DeviceSpec("d", model, faults=(fault(kind, 10, 40, probability=0.003),))
    data, readings, waves = emitted(spec, 60)
    assert data != clean
    assert {item.get("fault") for item in readings} == {None, mark}
    assert all(10 <= item["time"] < 42 for item in readings if "fault" in item)
    _, calm, calm_waves = emitted(DeviceSpec("d", model), 60)
    assert [{**item, "fault": 0} for item in readings] == [{**item, "fault": 0} for item in calm]
    assert sum(len(item["samples"]) for item in waves) == sum(len(item["samples"]) for item in calm_waves)


@pytest.mark.parametrize(("kind", "length"), [("drop", 0), ("change", 4), ("repeat", 8)])
def test_byte_faults(kind, length):
    line = NoisyLine((fault(kind, 0, 1, probability=1.0),), "seed")
    arrived, mark = line.carry(0, b"abcd")
    assert len(arrived) == length
    assert mark is not None
    assert line.carry(SECOND, b"abcd") == (b"abcd", None)
    if kind == "change":
        assert all((one ^ other).bit_count() == 1 for one, other in zip(arrived, b"abcd", strict=True))


def test_silence_has_neither_bytes_nor_truth():
    data, readings, waves = emitted(DeviceSpec("d", "nonin-df2", faults=(fault("silence", 3.5, 6.5),)), 10)
    assert len(data) == 5 * sum(len(item["samples"]) for item in waves)
    assert not any(3.5 <= item["time"] < 6.5 for item in readings + waves)
    assert len(readings) == 10 * (10 + 10)


def test_while_unplugged_the_truth_goes_on():
    data, readings, _ = emitted(DeviceSpec("d", "masimo", faults=(fault("unplug", 3, 6),)), 10)
    assert data.count(b"\n") == 7
    assert len(readings) == 70
    assert sorted({item["time"] for item in readings if item.get("fault") == "dropped"}) == [3, 4, 5, 6]
    station = Station(DeviceSpec("d", "masimo", faults=(fault("unplug", 3, 6),)), 1)
    assert [station.plugged(second * SECOND) for second in (2, 3, 5, 6)] == [True, False, False, True]


def test_another_unit_on_the_same_port():
    spec = DeviceSpec("d", "masimo", serial="111", faults=(fault("swap", 4, 7.5, serial="222"),))
    data, readings, _ = emitted(spec, 10)
    assert [line.split()[2] for line in data.splitlines()] == [b"SN=111"] * 4 + [b"SN=222"] * 3
    assert readings[28]["time"] == 7.5


def test_a_swapped_nonin_begins_a_new_packet():
    data, readings, _ = emitted(DeviceSpec("d", "nonin-df2", faults=(fault("swap", 2.1, 3),)), 4)
    starts = [at for at in range(0, len(data), 5) if data[at + 1] & 1]
    assert starts[:8] == [0, 125, 250, 375, 500, 625, 750, 790]
    assert len(readings) == 90


def test_sensor_faults_follow_the_scenario_not_the_device():
    spec = DeviceSpec("d", "nonin-df8", start_us=2 * SECOND, faults=(fault("sensor-off", 4, 6),))
    _, readings, _ = emitted(spec, 10)
    assert [item["time"] for item in readings if item.get("absent") == "sensor-off"] == [4, 4, 5, 5]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    scenario = parse(path.read_text())
    assert len({spec.port for spec in scenario.devices}) == len(scenario.devices)
    for spec in scenario.devices:
        data, readings, waves = emitted(spec, 100, scenario.seed)
        assert data
        assert readings
        if not any("fault" in item for item in readings) and path.stem not in {"noisy-line", "swap"}:
            decoded, samples = DECODERS[spec.model](data)
            assert decoded == [(item["signal"], item.get("value")) for item in readings]
            assert samples == [sample for item in waves for sample in item["samples"]]


def test_the_examples_show_what_they_are_for():
    by_name = {path.stem: parse(path.read_text()) for path in EXAMPLES}
    assert set(by_name) >= {"ward", "desaturation", "sensor-off", "noisy-line", "unplug", "swap"}
    off = {
        item["absent"] for spec in by_name["sensor-off"].devices for item in emitted(spec, 30)[1] if "absent" in item
    }
    assert off == {"sensor-disconnected", "sensor-off", "probe-error", "searching", "invalid"}
    _, readings, _ = emitted(by_name["desaturation"].devices[0], 60)
    assert min(item["value"] for item in readings if item["signal"] == "spo2") < 85


GOOD = '[[device]]\nname = "a"\nmodel = "masimo"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "not TOML"),
        ("seed = 1", "no [[device]]"),
        ('sede = 1\n[[device]]\nname = "a"\nmodel = "masimo"', "unknown key 'sede' (nearest: 'seed')"),
        (GOOD + 'serail = "1"', "device a: unknown key 'serail' (nearest: 'serial')"),
        (GOOD.replace("masimo", "massimo"), "no such model: 'massimo' (nearest: 'masimo')"),
        (GOOD + "fault = [{ kind = 'dorp', from_s = 0, until_s = 1 }]", "no such fault: 'dorp' (nearest: 'drop')"),
        (GOOD + "fault = [{ kind = 'drop', from_s = 0, until_s = 1 }]", "probability"),
        (GOOD + "fault = [{ kind = 'silence', from_s = 2, until_s = 1 }]", "from_s is to be before until_s"),
        (GOOD + "fault = [{ kind = 'silence', from_s = 2 }]", "until_s is missing"),
        (GOOD + "fault = [3]", "not a table"),
        (GOOD + "start_s = inf", "start_s"),
        (GOOD + "start_s = true", "start_s"),
        (GOOD + "patient = { puls = 3 }", "nearest: 'pulse'"),
        (GOOD + 'port = "/dev/ttyUSB0"', "port is to be"),
        (GOOD + GOOD, "two devices have the name 'a'"),
        (GOOD + "heartbeat_s = 3", "unknown key 'heartbeat_s'"),
        (GOOD.replace('"a"', '"a b"'), "a name consists of"),
        ('[[device]]\nname = "a"\nmodel = "contec"\nserial = "12345678"', "7 characters"),
        ('[[device]]\nname = "a"\nmodel = "nonin-df2"\nserial = "1"', "unknown key 'serial'"),
    ],
)
def test_scenarios_that_are_wrong_say_how(text, message):
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value).replace(text, "")


def test_truth_lines_are_json_with_six_decimals():
    lines = []
    emit(DeviceSpec("d", "nonin-df2"), 1, SECOND, bytearray().extend, lines.append)
    assert '"time": 0.320000, "signal": "pulse"' in lines[1]
    assert all(json.loads(line)["device"] == "d" for line in lines)
