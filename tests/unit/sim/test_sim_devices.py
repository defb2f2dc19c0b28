"""The devices, bit for bit where a frame is published, and against small readers of their own."""

import json
import re
from datetime import datetime
from itertools import pairwise

import pytest
from sim_decoders import DECODERS, truth

from firmware_sim.devices import Contec, Masimo, Nonin
from firmware_sim.devices.base import Absence, Sensor
from firmware_sim.devices.clock import Clock
from firmware_sim.devices.contec import Stored, encode
from firmware_sim.devices.nonin import encode_frame2, encode_frame7, encode_packet8
from firmware_sim.emit import emit
from firmware_sim.physiology import Desaturation, Patient, Profile
from firmware_sim.scenario import MODELS, DeviceSpec, build
from firmware_sim.station import Station

SECOND = 1_000_000
STEADY = Profile(pulse=72, spo2=97)


def patient(**profile):
    return Patient(Profile(**profile), "seed")


def said(device, until_us):
    return b"".join(emission.data for emission in device.advance(until_us))


def test_a_nonin_packet_opens_bit_for_bit():
    frames = encode_frame2(0x81, 1, 0), encode_frame2(0x80, 1, 72), encode_frame2(0x80, 1, 97)
    assert b"".join(frames) == bytes.fromhex("0181010083 01800148CA 01800161E3")


def test_the_device_itself_opens_its_packet_so():
    frames = said(Nonin(patient(pulse=72, spo2=97)), 2 * SECOND // 75)
    assert [(frames[at], frames[at + 1] & 0x81, frames[at + 3]) for at in (0, 5, 10)] == [
        (1, 0x81, 0),
        (1, 0x80, 72),
        (1, 0x80, 97),
    ]


def test_a_fast_heart_needs_both_bytes_of_the_nonin_pulse():
    emissions = Nonin(patient(pulse=200)).advance(SECOND)
    assert emissions[0].data[3] == 1
    assert emissions[1].data[3] == emissions[24].readings[0].value - 128


def test_nonin_format_7_has_no_start_byte_and_sums_what_it_has():
    assert encode_frame7(0x81, 0x1234, 5) == bytes((0x81, 0x12, 0x34, 5, (0x81 + 0x12 + 0x34 + 5) & 0xFF))


def test_nonin_format_8():
    assert encode_packet8(300, 97, sensor_flags=0x20) == bytes((0x82, 44, 97, 0x20))
    off = Nonin(patient(), 8, lambda _: Sensor.OFF).advance(0)
    assert off[0].data == bytes((0xA3, 0x7F, 0x7F, 0x08))
    assert {reading.absent for reading in off[0].readings} == {Absence.SENSOR_OFF}


def test_nonin_frames_keep_the_schedule_without_drift():
    times = [emission.time_us for emission in Nonin(patient()).advance(100 * SECOND)]
    assert times == [frame * SECOND // 75 for frame in range(7501)]


@pytest.mark.parametrize(("state", "bit"), [(Sensor.DISCONNECTED, 0x40), (Sensor.OFF, 0x18), (Sensor.SEARCHING, 0x10)])
def test_nonin_says_in_its_status_why_values_are_missing(state, bit):
    emissions = Nonin(patient(), 2, lambda _: state).advance(SECOND // 3)
    assert all(emission.data[1] & bit == bit for emission in emissions)
    wanted = Absence.SENSOR_DISCONNECTED if state is Sensor.DISCONNECTED else Absence.INVALID
    assert {reading.absent for emission in emissions for reading in emission.readings} == {wanted}
    assert all(len(emission.samples) == 1 for emission in emissions)


def test_nonin_changes_its_format_when_asked_with_the_next_packet():
    device = Nonin(patient())
    device.advance(100_000)
    device.receive(b"\x99\x02\x70\x02", 100_000)
    device.receive(b"\x02\x07\x03", 110_000)
    emissions = device.advance(SECOND)
    assert (emissions[0].time_us, emissions[0].data) == (110_000, b"\x06")
    later = [emission.data for emission in emissions[1:]]
    assert all(frame[0] == 1 for frame in later[:17])
    assert later[17][0] & 0x81 == 0x81


@pytest.mark.parametrize("operation", ["02 70 02 02 05 03", "02 71 00 03", "02 70 02 02 07 04"])
def test_nonin_refuses_what_it_does_not_know(operation):
    device = Nonin(patient())
    device.advance(0)
    device.receive(bytes.fromhex(operation), 1)
    assert device.advance(1)[0].data == b"\x15"


def test_nonin_goes_to_one_packet_a_second():
    device = Nonin(patient(), 7)
    device.receive(bytes.fromhex("02 70 02 02 08 03"), 0)
    lengths = [len(emission.data) for emission in device.advance(10 * SECOND)]
    assert lengths == [1] + [4] * 11


def test_a_contec_message_bit_for_bit():
    payload = bytes((0x04, 19, 0x12, 60, 99, 0xFF, 0xFF))
    assert encode(0x01, payload) == bytes.fromhex("01e084 9392bce3ffff")


A1, A2, AF = (bytes((0x7D, 0x81, command, *[0x80] * 6)) for command in (0xA1, 0xA2, 0xAF))


def command(code):
    return bytes((0x7D, 0x81, code, *[0x80] * 6))


def test_contec_waits_to_be_asked_and_stops_when_told():
    device = Contec(patient())
    assert device.advance(5 * SECOND) == []
    device.receive(b"\x11" + A1[:4], 5 * SECOND)
    device.receive(A1[4:], 5 * SECOND)
    frames = device.advance(6 * SECOND)
    assert len(frames) == 60
    assert frames[0].time_us == 5 * SECOND + SECOND // 60
    device.receive(A2, 6 * SECOND)
    assert [emission.data[0] for emission in device.advance(60 * SECOND)] == [0x0B]


def test_contec_stops_without_a_heartbeat():
    device = Contec(patient())
    device.receive(A1, 0)
    device.advance(8 * SECOND)
    device.receive(AF, 8 * SECOND)
    emissions = device.advance(30 * SECOND)
    assert emissions[-1].time_us == 18 * SECOND
    assert emissions[-1].data == bytes.fromhex("0d8080")
    assert len(emissions) == 601


def test_samples_after_a_pause_have_a_truth_line_of_their_own():
    """A Contec stops without a heartbeat and goes on when asked again, in the middle of a line of samples."""
    station = Station(DeviceSpec("spo2-1", "contec"), 1)
    station.advance(SECOND // 2)
    station.receive(A1, SECOND // 2)
    lines = station.advance(20 * SECOND).truth
    station.receive(A1, 20 * SECOND)
    lines += station.advance(22 * SECOND).truth + station.finish()
    waves = [line for line in map(json.loads, lines) if "wave" in line]
    assert sum(len(line["samples"]) for line in waves) == 600 + 120
    for line, after in pairwise(waves):
        assert after["ordinal"] == line["ordinal"] + len(line["samples"])
        ends = line["time"] + len(line["samples"]) / 60
        assert ends == pytest.approx(after["time"], abs=0.001) or (ends < 10.6 and after["time"] > 20)


@pytest.mark.parametrize(
    ("state", "absence", "byte2", "byte3"),
    [
        (Sensor.OFF, Absence.PROBE_ERROR, 0x80, 0xC0),
        (Sensor.PROBE_ERROR, Absence.PROBE_ERROR, 0x80, 0xC0),
        (Sensor.SEARCHING, Absence.SEARCHING, 0x80, None),
        (Sensor.INVALID, Absence.INVALID, 0x81, None),
    ],
)
def test_contec_says_why_values_are_missing(state, absence, byte2, byte3):
    emission = Contec(patient(), sensor=lambda _: state, live=True).advance(0)[0]
    assert {reading.absent for reading in emission.readings} == {absence}
    assert emission.data[2] == byte2
    assert byte3 is None or emission.data[3] == byte3
    assert bool(emission.data[1] & 1) == (absence is Absence.PROBE_ERROR)
    assert bool(emission.data[1] & 2) == (absence is Absence.SEARCHING)


def test_contec_tells_what_it_has_stored_and_keeps_it():
    stored = Stored(7, datetime.fromisoformat("2024-02-29T23:59:01"))
    device = Contec(patient(), "ABC", stored=stored)
    answers = {}
    for code in (0xA3, 0xA4, 0xA5, 0xAA, 0xAE, 0xB1):
        device.receive(command(code), 0)
        answers[code] = [emission.data.hex() for emission in device.advance(0)]
    assert answers[0xA3] == ["0a808081"]
    assert answers[0xA4] == ["0880808087808080"]
    assert answers[0xA5] == ["078080809498829d", "128080809" + "7bb8180"]
    assert answers[0xAA] == [encode(4, b"ABC    ").hex()]
    assert answers[0xAE] == [encode(0x0B, b"\xae\x04").hex()]
    for _ in range(2):
        device.receive(command(0xA6), 0)
        emissions = device.advance(SECOND)
        assert [emission.data[0] for emission in emissions] == [0x0F, 0x0F, 0x0F, 0x0D]
        assert sum(len(emission.readings) for emission in emissions) == 14
        assert emissions[2].data[4:] == b"\x80" * 4


def test_contec_stored_data_can_be_undated_and_have_a_perfusion_index():
    device = Contec(patient(), stored=Stored(3, None, perfusion=True))
    device.receive(command(0xA5), 0)
    assert [emission.data for emission in device.advance(0)] == [encode(7, bytes(6)), encode(0x12, bytes(6))]
    device.receive(command(0xA6), 0)
    emissions = device.advance(SECOND)
    readings = [(reading.signal, reading.value) for emission in emissions for reading in emission.readings]
    assert DECODERS["contec"](b"".join(emission.data for emission in emissions))[0] == readings
    assert len(readings) == 9


def test_a_masimo_line():
    line = said(
        Masimo(patient(), "0000056661", clock=Clock(datetime.fromisoformat("2022-12-31T23:59:59"))), SECOND
    ).split(b"\r\n")
    pattern = (
        rb"12/31/22 23:59:59 SN=0000056661 SPO2=097% BPM=07\d PI=0[23]\.\d\d% SPCO=--\.-% SPMET=--\.-% DESAT=-- "
        rb"PIDELTA=\+-- ALARM=0000 EXC=000800"
    )
    assert re.fullmatch(pattern, line[0])
    assert line[1].startswith(b"01/01/23 00:00:00 ")
    assert line[2] == b""


@pytest.mark.parametrize(
    ("state", "code", "absence"),
    [
        (Sensor.DISCONNECTED, b"000001", "sensor-disconnected"),
        (Sensor.OFF, b"000020", "sensor-off"),
        (Sensor.SEARCHING, b"000008", "searching"),
        (Sensor.PROBE_ERROR, b"000002", "probe-error"),
        (Sensor.INVALID, b"000010", "invalid"),
    ],
)
def test_masimo_says_why_values_are_missing(state, code, absence):
    emission = Masimo(patient(), sensor=lambda _: state, rainbow=True).advance(0)[0]
    assert emission.data.endswith(b"EXC=" + code + b"\r\n")
    assert [reading.absent for reading in emission.readings] == [absence] * 8
    assert b"PVI=---" in emission.data


def test_masimo_alarms_and_low_perfusion():
    line = said(Masimo(patient(spo2=80, pulse=160, perfusion=0.2)), 0)
    assert b"ALARM=0016 EXC=000804" in line


def test_the_wrong_masimo_output_has_no_truth():
    emissions = Masimo(patient(), ascii2=True).advance(3 * SECOND)
    assert all(emission.readings == () for emission in emissions)
    assert b"PR=" in emissions[0].data
    assert b"BPM=" not in emissions[0].data


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("pulse", [40, 72, 190, 290])
def test_what_is_decoded_is_the_truth(model, pulse):
    spec = DeviceSpec("d", model, profile=Profile(pulse=pulse, desaturations_per_hour=60), rainbow=True)
    data, lines = bytearray(), []
    emit(spec, 5, 120 * SECOND, data.extend, lines.append)
    readings, waves = truth("".join(lines))
    decoded, samples = DECODERS[model](bytes(data))
    assert decoded == [
        (item["signal"], item["value"]) if "value" in item else (item["signal"], None) for item in readings
    ]
    assert samples == [sample for item in waves for sample in item["samples"]]
    rates = {"nonin-df2": (30, 75), "nonin-df7": (30, 75), "nonin-df8": (2, 0), "contec": (180, 60), "masimo": (8, 0)}
    assert (len(readings), len(samples)) == tuple(120 * rate for rate in rates[model])


def test_a_desaturation_is_seen():
    fall = Profile(spo2=97, desaturations=(Desaturation(20 * SECOND, 60 * SECOND, 80),))
    someone = Patient(fall, "seed")
    course = [someone.vitals(second * SECOND).spo2 for second in range(80)]
    assert min(course[:20]) > 93
    assert 77 < min(course) < 83
    assert min(course[65:]) > 93


def test_the_pulse_wave_beats_at_the_pulse():
    someone = Patient(STEADY, "seed")
    beats = [someone.wave(step * 20_000)[1] for step in range(50 * 60)]
    assert 66 < beats[-1] < 78
    assert beats == sorted(beats)


def test_every_model_is_built():
    for model in MODELS:
        build(DeviceSpec("d", model), seed="s", serial=None, attended=True).advance(0)
