"""Contec CMS50D+ from 4.6 on, after the protocol document and traces that were published."""

import pytest
from device_frames import NOW, contec, contec_live, in_pieces, readings, ready, values

from gateway.drivers.api import Alarm, FrameErrors, Notice, Samples, Stored
from gateway.drivers.conformance import check_driver, joined
from gateway.drivers.contec import ContecDriver, command
from vitaledger.marks import Absence, AlarmKind, AlarmPhase, Quality

S = 1_000_000


def make(may_send=False):
    return ready(ContecDriver(may_send=may_send))


def errors(events):
    return [event.kind for event in events if isinstance(event, FrameErrors)]


def test_the_frame_of_the_document():
    events = make().receive(bytes.fromhex("01e0849392bce3ffff"), NOW)
    assert [(r.handle, r.value, r.absence) for r in readings(events)] == [
        ("pulse", 60, None),
        ("spo2", 99, None),
        ("pi", None, Absence.INVALID),
    ]
    assert [e.samples for e in events if isinstance(e, Samples)] == [(19,)]


def test_every_frame_yields_three_readings_and_a_sample():
    events = make().receive(b"".join(contec_live(wave=i, pulse=60 + i) for i in range(60)), NOW)
    assert [r.handle for r in readings(events)] == ["pulse", "spo2", "pi"] * 60
    assert [sample for e in events if isinstance(e, Samples) for sample in e.samples] == list(range(60))


@pytest.mark.parametrize(
    ("frame", "want"),
    [
        (contec_live(), {"pulse": 60, "spo2": 99, "pi": 360}),
        (contec_live(pulse=200, pi=0x80FF), {"pulse": 200, "spo2": 99, "pi": 0x80FF}),
        (contec_live(pulse=0xFF), {"pulse": Absence.INVALID, "spo2": 99, "pi": 360}),
        (contec_live(spo2=0x7F), {"pulse": 60, "spo2": Absence.INVALID, "pi": 360}),
        (contec_live(pi=0xFFFF), {"pulse": 60, "spo2": 99, "pi": Absence.INVALID}),
        (contec_live(bar=0x12), {"pulse": 60, "spo2": 99, "pi": Absence.INVALID}),
        (contec_live(flags=0x84), dict.fromkeys(("pulse", "spo2", "pi"), Absence.PROBE_ERROR)),
        (contec_live(flags=0x14), dict.fromkeys(("pulse", "spo2", "pi"), Absence.SEARCHING)),
        (contec_live(wave=0x93), dict.fromkeys(("pulse", "spo2", "pi"), Absence.SEARCHING)),
        (contec_live(flags=0x94, wave=0x93), dict.fromkeys(("pulse", "spo2", "pi"), Absence.PROBE_ERROR)),
        # a finger out of a real probe, as published: zeros that are no values
        (bytes.fromhex("01e184c0908080ffff"), dict.fromkeys(("pulse", "spo2", "pi"), Absence.PROBE_ERROR)),
        (contec_live(pulse=0, spo2=0, pi=0), {"pulse": 0, "spo2": 0, "pi": 0}),
    ],
)
def test_values_and_reasons(frame, want):
    for pieces in in_pieces(frame):
        driver = make()
        assert values([event for piece in pieces for event in driver.receive(piece, NOW)]) == want


@pytest.mark.parametrize(("name", "frame"), [("spo2", contec_live(spo2=120)), ("pulse", contec_live(pulse=3))])
def test_what_no_patient_can_have_is_marked(name, frame):
    marked = {r.handle: r.quality for r in readings(make().receive(frame, NOW))}
    assert marked.pop(name) == Quality.IMPLAUSIBLE
    assert set(marked.values()) == {Quality(0)}


def test_low_spo2_is_an_alarm_on_change():
    driver = make()
    events = driver.receive(contec_live(flags=0x24) * 2 + contec_live(), NOW)
    alarms = [event for event in events if isinstance(event, Alarm)]
    assert [(a.phase, a.bits, a.kind) for a in alarms] == [
        (AlarmPhase.ONSET, "24", AlarmKind.PHYSIOLOGICAL),
        (AlarmPhase.END, "04", AlarmKind.PHYSIOLOGICAL),
    ]


def test_published_answers_are_no_errors():
    """Types that the document does not name stand on real lines; `0c 80` has no payload at all."""
    stream = bytes.fromhex(
        "0c80 0c80 06808087 118081818080808080 0e8081 1380a0a0a0a0a0a0a0 1480a0a0a0a0a08080"
        "028080b5b0c4a8c1a9 0281ffaba0a0a0a0a0 0480f5f3e5f2a0a0a0 0380a0a0a0a0a0a0a0 01e085b396c1e1ffff"
    )
    events = make().receive(stream, NOW)
    assert errors(events) == []
    assert values(events) == {"pulse": 65, "spo2": 97, "pi": Absence.INVALID}


@pytest.mark.parametrize("at", range(9))
def test_a_dropped_or_flipped_byte_costs_at_most_one_frame_more(at):
    for damage in (lambda f: f[:at] + f[at + 1 :], lambda f: f[:at] + bytes((f[at] ^ 0x80,)) + f[at + 1 :]):
        driver = make()
        driver.receive(contec_live(pulse=59), NOW)
        events = driver.receive(damage(contec_live()) + contec_live(pulse=61) + contec_live(pulse=62), NOW)
        assert [r.value for r in readings(events) if r.handle == "pulse"][-1] == 62
        assert 61 in [r.value for r in readings(events) if r.handle == "pulse"]
        assert len(errors(events)) == 1
        assert [e.follows for e in events if isinstance(e, Samples)].count(False) == 1


@pytest.mark.parametrize("kind", [0x00, 0x03, 0x05, 0x09, 0x11, 0x21, 0x41])
def test_a_hit_type_in_live_data_is_counted_and_gives_no_reading(kind):
    hit = bytes((kind,)) + contec_live()[1:]
    events = make().receive(contec_live(pulse=60) + hit + contec_live(pulse=61), NOW)
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [60, 61]
    assert len(errors(events)) == 1


def test_stored_data_dated():
    data = contec(0x07, 0, 0, 20, 14, 8, 18) + contec(0x12, 0, 0, 2, 38, 18, 0)
    data += contec(0x0F, 98, 70, 97, 200, 96, 72) + contec(0x0F, 98, 70, 0, 0, 0, 0)
    for pieces in in_pieces(data):
        driver = make()
        got = readings([event for piece in pieces for event in driver.receive(piece, NOW)])
        time = "2014-08-18 02:38:18"
        assert [(r.handle, r.value, r.stored) for r in got] == [
            ("spo2", 98, Stored(0, time)),
            ("pulse", 70, Stored(0, time)),
            ("spo2", 97, Stored(1, time)),
            ("pulse", 200, Stored(1, time)),
            ("spo2", 96, Stored(2, time)),
            ("pulse", 72, Stored(2, time)),
            ("spo2", 98, Stored(3, time)),
            ("pulse", 70, Stored(3, time)),
        ]


def test_stored_data_undated_with_perfusion_index():
    data = contec(0x07, 0, 0, 0, 0, 0, 0) + contec(0x12, 0, 0, 0, 0, 0, 0)
    data += contec(0x09, 98, 70, 104, 1) + contec(0x09, 127, 255, 255, 255) + contec(0x09, 0, 0, 0, 0)
    got = readings(make().receive(data, NOW))
    assert [(r.handle, r.value, r.absence) for r in got] == [
        ("spo2", 98, None),
        ("pulse", 70, None),
        ("pi", 360, None),
        ("spo2", None, Absence.INVALID),
        ("pulse", None, Absence.INVALID),
        ("pi", None, Absence.INVALID),
    ]
    assert {r.stored.device_time for r in got} == {None}


def test_stored_data_sent_again_have_the_same_place():
    dump = contec(0x07, 0, 0, 20, 26, 1, 2) + contec(0x12, 0, 0, 0, 0, 0, 0) + contec(0x0F, 98, 70, 98, 70, 98, 70)
    driver = make()
    first, second = readings(driver.receive(dump, NOW)), readings(driver.receive(dump, NOW))
    assert first == second
    assert [r.stored for r in first[::2]] == [Stored(i, "2026-01-02 00:00:00") for i in range(3)]


def test_lost_stored_seconds_do_not_shift_the_others():
    good = contec(0x0F, 98, 70, 98, 70, 98, 70)
    events = make().receive(contec(0x12, 0, 0, 1, 2, 3, 0) + good + good[:5] + good, NOW)
    assert [r.stored.ordinal for r in readings(events) if r.handle == "pulse"] == [0, 1, 2, 6, 7, 8]


def test_stored_data_behind_live_data():
    driver = make()
    events = driver.receive(contec_live() + contec(0x0F, 98, 70, 97, 71, 96, 72), NOW)
    events += driver.tick(NOW + S)
    assert [r.value for r in readings(events) if r.stored] == [98, 70, 97, 71, 96, 72]


def test_commands():
    driver = make(may_send=True)
    assert driver.to_send(NOW) == command(0xA7) + command(0xA2) + command(0xA1)
    sent = {}
    for tick in range(1, 60):
        now = NOW + tick * S // 4
        driver.receive(contec_live(), now)
        assert driver.tick(now) == []
        if out := driver.to_send(now):
            sent[tick] = out
    assert sent == {20: command(0xAF), 40: command(0xAF)}


def test_live_data_are_started_again_after_three_seconds():
    driver = make(may_send=True)
    driver.to_send(NOW)
    out = b""
    for tick in range(1, 29):
        driver.tick(NOW + tick * S // 4)
        out += driver.to_send(NOW + tick * S // 4)
    assert out == command(0xA1) + command(0xAF) + command(0xA1)
    assert command(0xAE) not in out


def test_notices_are_said_once():
    driver = make()
    events = driver.receive(contec(0x0D, 1) * 2 + contec(0x0B, 0xA1, 5) + contec(0x0B, 0xA1, 0), NOW)
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert texts == [
        "the device ended the connection: it was switched off",
        "the device refused command A1: it does not know the command",
    ]


def test_chunks():
    data = b"".join(contec_live(wave=i, flags=4 | (i % 3 == 0) << 7) for i in range(20))
    data += b"\x93\x44" + contec_live()
    want = joined(make().receive(data, NOW))
    for pieces in in_pieces(data):
        driver = make()
        assert joined([event for piece in pieces for event in driver.receive(piece, NOW)]) == want


def test_conformance():
    check_driver(ContecDriver, [contec_live(pulse=60 + i) for i in range(5)])
    check_driver(ContecDriver, [contec(0x09, 98, 70 + i, 104, 1) for i in range(5)])
