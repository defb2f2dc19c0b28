"""The fixtures come with firmware-sim: nothing is to be imported or configured for them."""

import threading
from itertools import pairwise

import pytest
from rad8_reader import Decoder, read


@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_what_is_read_is_what_was_sent(simulated_device, kind):
    device = simulated_device("masimo", kind=kind, serial="0000000007", seed=1, patient={"pulse": 88})
    found = read(device.url, count=3)
    device.stop()
    assert [one.spo2 for one in found] == [record.value for record in device.readings("spo2")[:3]]
    assert [one.pulse for one in found] == [record.value for record in device.readings("pulse")[:3]]
    assert {one.serial for one in found} == {"0000000007"}


def test_an_hour_of_alarms_in_virtual_time(simulated_device):
    storm = {"kind": "alarm-storm", "from_s": 0, "until_s": 3600}
    device = simulated_device("masimo", virtual_time=True, faults=[storm])
    decoder, words = Decoder(), [0]
    for _time, data in device.play(seconds=3600):
        for one in decoder.feed(data):
            if one.alarm != words[-1]:
                words.append(one.alarm)
    assert words[1:] == [int(record.alarm, 16) for record in device.truth if record.alarm]
    assert sum(word != 0 and before == 0 for before, word in pairwise(words)) == 520


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "wrong-baud", "from_s": 0, "until_s": 60, "baud": 19200},
        {"kind": "wrong-parity", "from_s": 0, "until_s": 60, "framing": "7E1"},
    ],
)
def test_a_line_with_wrong_settings_gives_nothing(simulated_device, fault):
    device = simulated_device("masimo", virtual_time=True, faults=[fault])
    assert Decoder().feed(device.pump(60)) == []
    assert {record.fault for record in device.truth} == {"unreadable"}


def test_noise_costs_no_more_than_the_lines_it_hits(simulated_device):
    noise = {"kind": "noise", "from_s": 5, "until_s": 55, "bytes_per_s": 3}
    device = simulated_device("masimo", virtual_time=True, faults=[noise])
    decoder = Decoder()
    found = decoder.feed(device.pump(60))
    assert decoder.bad_lines
    assert len(found) >= sum(record.intact for record in device.readings("spo2"))


@pytest.mark.scenario("two-beds.toml")
def test_two_beds(scenario):
    found = {}
    threads = [
        threading.Thread(target=lambda bed=bed: found.update({bed: read(scenario[bed].url, count=2)}))
        for bed in ("bed-1", "bed-2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scenario.stop()
    assert [one.spo2 is None for one in found["bed-1"]] == [False, True]
    # The line of second 1 was sent while the cable was out.
    sent = scenario["bed-2"].readings("spo2")
    assert [record.fault for record in sent[:3]] == [None, "dropped", "dropped"]
    assert found["bed-2"][0].spo2 == sent[0].value
    assert {one.serial for one in found["bed-2"]} == {"0000000102"}


@pytest.mark.scenario("two-beds.toml", virtual_time=True)
def test_two_beds_without_waiting(scenario):
    found = Decoder().feed(scenario["bed-1"].pump(4))
    assert [one.spo2 is None for one in found] == [False, True, False, False]
