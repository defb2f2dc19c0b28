"""The same seed gives the same bytes and the same truth, whatever the steps of time are."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.devices import Contec, Nonin
from firmware_sim.devices.clock import Daylight
from firmware_sim.devices.contec import Stored
from firmware_sim.emit import emit
from firmware_sim.faults import BYTE_FAULTS, Fault, FaultKind
from firmware_sim.physiology import Patient, Profile
from firmware_sim.scenario import MODELS, DeviceSpec
from firmware_sim.wire import as_heard

SECOND = 1_000_000
times = st.integers(0, 8 * SECOND)


@st.composite
def faults(draw):
    start, end = sorted((draw(times), draw(times)))
    kind = draw(st.sampled_from(FaultKind))
    probability = draw(st.floats(0, 0.1)) if kind in BYTE_FAULTS else 0.0
    return Fault(
        kind,
        start,
        end + 1,
        probability,
        baud=draw(st.sampled_from([None, 1200, 4800, 19200, 115200])),
        framing=draw(st.sampled_from(["8N1", "8E1", "7O2"])),
        bytes_per_s=draw(st.floats(0.1, 50)),
        per_hour=draw(st.floats(1, 900)),
        by_us=draw(st.integers(-10_000 * SECOND, 10_000 * SECOND)),
    )


specs = st.builds(
    DeviceSpec,
    name=st.just("d"),
    model=st.sampled_from(sorted(MODELS)),
    start_us=st.integers(0, 2 * SECOND),
    profile=st.builds(Profile, pulse=st.floats(30, 250), spo2=st.floats(70, 100)),
    faults=st.lists(faults(), max_size=4).map(tuple),
    stored=st.builds(Stored, seconds=st.integers(0, 50), perfusion=st.booleans()),
    clock_offset_us=st.integers(-(10**12), 10**12),
    daylight=st.sampled_from([None, *Daylight]),
)


def run(spec, seed, step_us):
    data, lines = bytearray(), []
    emit(spec, seed, 8 * SECOND, data.extend, lines.append, step_us=step_us)
    return bytes(data), lines


@settings(max_examples=60, deadline=None)
@given(spec=specs, seed=st.integers(0, 2**32), step_us=st.integers(3_000, 20 * SECOND))
def test_steps_of_time_change_nothing(spec, seed, step_us):
    assert run(spec, seed, step_us) == run(spec, seed, 10 * SECOND)


@settings(max_examples=60, deadline=None)
@given(spec=specs, seed=st.integers(0, 2**32))
def test_readings_and_samples_are_numbered_without_a_hole(spec, seed):
    _, lines = run(spec, seed, SECOND)
    items = [json.loads(line) for line in lines]
    readings = [item for item in items if "signal" in item]
    assert [item["ordinal"] for item in readings] == list(range(len(readings)))
    samples = 0
    for item in items:
        if "wave" in item:
            assert item["ordinal"] == samples
            samples += len(item["samples"])
    for item in readings:
        assert ("value" in item) != ("absent" in item)
    alarms = [item for item in items if "alarm" in item]
    assert [item["ordinal"] for item in alarms] == list(range(len(alarms)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.binary(max_size=12)), max_size=30), st.sampled_from([Nonin, Contec])
)
def test_no_bytes_from_a_host_upset_a_device(talk, make):
    device, now_us, last_us = make(Patient(Profile(), "seed")), 0, -1
    for wait_us, data in talk:
        now_us += wait_us
        said = device.advance(now_us)
        device.receive(data, now_us)
        for emission in said + device.advance(now_us):
            assert last_us <= emission.time_us <= now_us
            last_us = emission.time_us


@given(st.binary(max_size=40), st.sampled_from([300, 2400, 9600, 115200]), st.sampled_from(["8N1", "8N2"]))
def test_a_uart_with_the_right_settings_hears_what_was_sent(data, baud, framing):
    assert as_heard(data, baud, framing, baud) == data


@given(
    st.binary(max_size=40), st.integers(300, 230_400), st.sampled_from(["7E1", "8O1", "8N1"]), st.integers(300, 230_400)
)
def test_a_uart_never_hears_more_than_there_is_time_for(data, baud, framing, host_baud):
    sent = len(data) * (9 + (framing[0] == "8") + (framing[1] != "N")) / baud
    assert len(as_heard(data, baud, framing, host_baud)) <= sent * host_baud / 9 + 1
