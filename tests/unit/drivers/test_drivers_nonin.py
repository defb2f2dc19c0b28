"""Nonin formats 2, 7 and 8 after the protocol document."""

import pytest
from device_frames import NOW, in_pieces, nonin_data, nonin_frame, nonin_frames, nonin_packet, readings, ready, values

from gateway.drivers.api import FrameErrors, Identity, Notice, Samples
from gateway.drivers.conformance import check_driver, joined
from gateway.drivers.nonin import NoninDriver, NoninFormat8
from vitaledger.errors import MisuseError
from vitaledger.marks import Absence, Check, Quality

ORDER = ["pulse", "spo2", "spo2.d", "spo2.fast", "spo2.beat", "pulse.e", "spo2.e", "spo2.e.d", "pulse.d", "pulse.e.d"]
OFF = Absence.SENSOR_DISCONNECTED


def make(fmt="2", may_send=False, **options):
    return ready(NoninDriver(may_send=may_send, options={"format": fmt} | options))


def errors(events):
    return [event.kind for event in events if isinstance(event, FrameErrors)]


def samples(events):
    return [sample for event in events if isinstance(event, Samples) for sample in event.samples]


def test_frames_of_the_document():
    packet = bytes.fromhex("0181010083 01800148ca 01800161e3") + b"".join(nonin_frames(nonin_data(72, 97)))[15:]
    got = values(make().receive(packet, NOW))
    assert (got["pulse"], got["spo2"]) == (72, 97)


@pytest.mark.parametrize("fmt", ["2", "7"])
def test_a_packet_gives_ten_readings_in_order_and_the_revision(fmt):
    events = make(fmt).receive(nonin_packet(72, 97, fmt=fmt), NOW)
    assert [(r.handle, r.value) for r in readings(events)] == list(
        zip(ORDER, [72, 97, 96, 95, 94, 73, 93, 92, 74, 75], strict=True)
    )
    assert {r.at_us for r in readings(events)} == {NOW}
    (identity,) = [event for event in events if isinstance(event, Identity)]
    assert (identity.make, identity.model, identity.serial, identity.firmware) == ("Nonin", "OEM III", None, "48")
    assert samples(events) == list(range(100, 125))


@pytest.mark.parametrize("fmt", ["2", "7"])
@pytest.mark.parametrize("rate", [0, 1, 18, 127, 128, 255, 256, 300, 321, 508])
def test_rates_cross_the_seventh_bit(fmt, rate):
    assert values(make(fmt).receive(nonin_packet(rate, fmt=fmt), NOW))["pulse"] == rate


@pytest.mark.parametrize("fmt", ["2", "7"])
def test_any_chunking_gives_the_same_events(fmt):
    data = b"\x00\x01\x80" + b"".join(nonin_packet(100 + i, 90 + i, fmt=fmt) for i in range(3)) + b"\x01\x01\x80\x00"
    data += nonin_packet(140, 95, 0x84, fmt)
    want = joined(make(fmt).receive(data, NOW))
    for pieces in in_pieces(data):
        driver = make(fmt)
        assert joined([event for piece in pieces for event in driver.receive(piece, NOW)]) == want


def test_missing_values_are_absent():
    data = nonin_data()
    data[0], data[1], data[2], data[9] = 3, 127, 127, 127
    got = values(make().receive(b"".join(nonin_frames(data)), NOW))
    assert got["pulse"] is got["spo2"] is got["spo2.fast"] is Absence.INVALID
    assert got["pulse.d"] == 74


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (0x20, Quality.ARTEFACT),
        (0x10, Quality.OUT_OF_TRACK),
        (0x08, Quality.SENSOR_ALARM),
        (0x04, Quality.LOW_PERFUSION),
        (0x06, Quality.MARGINAL_PERFUSION),
        (0x02, Quality(0)),
        (0x34, Quality.ARTEFACT | Quality.OUT_OF_TRACK | Quality.LOW_PERFUSION),
    ],
)
def test_status_of_any_frame_marks_the_packet(status, quality):
    packet = b"".join(nonin_frames(nonin_data(), lambda i: status if i == 12 else 0))
    events = make().receive(packet, NOW)
    assert {r.quality for r in readings(events)} == {quality}
    assert [e.quality for e in events if isinstance(e, Samples) and 112 in e.samples] == [quality]
    next_packet = make()
    next_packet.receive(packet, NOW)
    assert {r.quality for r in readings(next_packet.receive(nonin_packet(), NOW))} == {Quality(0)}


def test_red_and_green_in_different_frames_are_not_yellow():
    events = make().receive(b"".join(nonin_frames(nonin_data(), lambda i: 4 if i < 9 else 2)), NOW)
    assert {r.quality for r in readings(events)} == {Quality.LOW_PERFUSION}


def test_disconnected_sensor_has_no_value_but_keeps_its_samples():
    events = make().receive(nonin_packet(status=0x40), NOW)
    assert {(r.value, r.absence) for r in readings(events)} == {(None, OFF)}
    assert {e.absence for e in events if isinstance(e, Samples)} == {OFF}
    assert samples(events) == list(range(100, 125))


def test_one_disconnected_frame_is_enough():
    events = make().receive(b"".join(nonin_frames(nonin_data(), lambda i: 0x40 if i == 24 else 0)), NOW)
    assert {r.absence for r in readings(events)} == {OFF}


@pytest.mark.parametrize("fmt", ["2", "7"])
@pytest.mark.parametrize("offset", range(0, 125, 7))
def test_start_in_the_middle(fmt, offset):
    data = nonin_packet(80, 97, fmt=fmt)[offset:] + nonin_packet(81, 98, fmt=fmt) + nonin_packet(82, 99, fmt=fmt)
    got = [r.value for r in readings(make(fmt).receive(data, NOW)) if r.handle == "pulse"]
    assert got == ([80] if offset == 0 else []) + [81, 82]


@pytest.mark.parametrize("fmt", ["2", "7"])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 7, 62, 120, 124])
def test_a_bad_frame_costs_its_packet_only(fmt, at):
    bad = bytearray(nonin_packet(80, 97, fmt=fmt))
    bad[at] ^= 0x10
    driver = make(fmt)
    driver.receive(nonin_packet(79, 97, fmt=fmt), NOW)
    events = driver.receive(bytes(bad) + nonin_packet(81, 98, fmt=fmt), NOW)
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [81]
    assert errors(events)
    assert [event.follows for event in events if isinstance(event, Samples)].count(False) == 1
    if fmt == "2":
        assert len(samples(events)) == 49


def test_frames_that_never_came():
    frames = nonin_frames(nonin_data(80))
    events = make().receive(b"".join(frames[:7] + frames[8:]) + nonin_packet(81), NOW)
    assert errors(events) == ["length"]
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [81]
    assert [(len(e.samples), e.follows) for e in events if isinstance(e, Samples)] == [(24, True), (25, False)]


def test_a_packet_without_sync_gives_nothing():
    frames = nonin_frames(nonin_data(81))
    frames[0] = nonin_frame(0x80, 100, 0)
    events = make().receive(nonin_packet(80) + b"".join(frames) + nonin_packet(82), NOW)
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [80, 82]
    assert errors(events) == ["sync"]


def test_format_7_does_not_lock_onto_a_resting_pleth():
    """80 00 with reserved zeros makes good checksums one byte off; SYNC tells the difference."""
    data = [nonin_frame(0x80 | (i == 0), 0x8000, byte, "7") for i, byte in enumerate(nonin_data(80))]
    stream = b"".join(data[4:])[1:] + b"".join(data) * 2
    events = make("7").receive(stream, NOW)
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [80, 80]
    assert set(samples(events)) == {0x8000}


def test_impossible_values_are_kept_and_marked():
    got = {r.handle: r for r in readings(make().receive(nonin_packet(0, 110), NOW))}
    assert (got["pulse"].value, got["pulse"].quality) == (0, Quality.IMPLAUSIBLE)
    assert (got["spo2"].value, got["spo2"].quality) == (110, Quality.IMPLAUSIBLE)


def test_an_unreadable_line_goes_on_telling():
    assert len(errors(make().receive(b"\x55" * 1250, NOW))) == 10


def test_opened_again_samples_do_not_follow():
    driver = make()
    driver.receive(nonin_packet() + b"\x01\x81\x05", NOW)
    driver.opened(NOW)
    events = driver.receive(nonin_packet(), NOW)
    assert [event.follows for event in events if isinstance(event, Samples)] == [False]
    assert errors(events) == []


@pytest.mark.parametrize("fmt", ["2", "7", "8"])
def test_set_format_is_sent_once_and_its_answer_is_no_error(fmt):
    driver = make(fmt, may_send=True, **{"set-format": "yes"})
    assert driver.to_send(NOW) == bytes((2, 0x70, 2, 2, int(fmt), 3))
    assert driver.to_send(NOW) == b""
    good = bytes.fromhex("80486100") if fmt == "8" else nonin_packet(fmt=fmt)
    events = driver.receive(good + b"\x06" + good, NOW)
    assert errors(events) == []
    assert not any(isinstance(event, Notice) for event in events)
    assert len(readings(events)) == (4 if fmt == "8" else 20)
    driver.opened(NOW)
    (refused,) = [event for event in driver.receive(b"\x15" + good, NOW) if isinstance(event, Notice)]
    assert f"data format {fmt}" in refused.text


def test_it_sends_nothing_unless_it_was_configured():
    assert make(may_send=True).to_send(NOW) == b""
    assert make(may_send=False, **{"set-format": "yes"}).to_send(NOW) == b""


@pytest.mark.parametrize("options", [{"fromat": "2"}, {"format": "9"}, {"set-format": "maybe"}])
def test_unknown_options_name_the_nearest(options):
    with pytest.raises(MisuseError, match=r"did you mean|known:"):
        NoninDriver(may_send=False, options=options)


def test_format_8_has_no_checksum_and_says_so():
    driver = make("8")
    assert isinstance(driver, NoninFormat8)
    assert driver.CHECK is Check.NOTHING
    assert make("2").CHECK is Check.CHECKSUM
    assert dict(driver.waves) == {}
    assert set(driver.signals) == {"pulse", "spo2"}


@pytest.mark.parametrize(
    ("frame", "want"),
    [
        ("80486100", {"pulse": 72, "spo2": 97}),
        ("81006120", {"pulse": 128, "spo2": 97}),
        ("837f6100", {"pulse": Absence.INVALID, "spo2": 97}),
        ("80487f00", {"pulse": 72, "spo2": Absence.INVALID}),
        ("80486108", {"pulse": Absence.SENSOR_OFF, "spo2": Absence.SENSOR_OFF}),
        ("c0486100", {"pulse": OFF, "spo2": OFF}),
    ],
)
def test_format_8(frame, want):
    for pieces in in_pieces(bytes.fromhex(frame)):
        driver = make("8")
        assert values([event for piece in pieces for event in driver.receive(piece, NOW)]) == want


@pytest.mark.parametrize(
    ("first", "quality"),
    [
        (0xA0, Quality.OUT_OF_TRACK),
        (0x90, Quality.LOW_PERFUSION),
        (0x88, Quality.MARGINAL_PERFUSION),
        (0x84, Quality.ARTEFACT),
    ],
)
def test_format_8_flags(first, quality):
    assert {r.quality for r in readings(make("8").receive(bytes((first, 72, 97, 0)), NOW))} == {quality}


def test_format_8_resynchronises():
    events = make("8").receive(bytes.fromhex("6100 8048 80496100 55 804a6100"), NOW)
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [73, 74]
    assert errors(events) == ["sync", "sync"]


@pytest.mark.parametrize("fmt", ["2", "7", "8"])
def test_conformance(fmt):
    packets = [nonin_packet(70 + i, 97 - i, fmt=fmt) for i in range(4)]
    if fmt == "8":
        packets = [bytes((0x80, 70 + i, 97, 0)) for i in range(4)]
    check_driver(NoninDriver, packets, {"format": fmt})
