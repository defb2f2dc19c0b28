"""Masimo ASCII-1 after the documents and lines that were published."""

import os
from pathlib import Path

import pytest
from device_frames import NOW, in_pieces, masimo_line, readings, ready, values

from gateway.drivers.api import Alarm, DeviceClock, FrameErrors, Identity, Notice
from gateway.drivers.conformance import check_driver
from gateway.drivers.masimo import MAX_LINE, MasimoDriver
from vitaledger.marks import Absence, AlarmKind, AlarmPhase, Quality

CAPTURES = Path(__file__).parents[3].parent / "shared" / "captures"
CAPTURE = CAPTURES / "masimo-rad8.bin"
NA = Absence.INVALID


def make():
    return ready(MasimoDriver(may_send=True))


def run(*lines):
    return make().receive(b"".join(lines), NOW)


def alarms(events):
    return [(a.phase.label, a.text, a.bits) for a in events if isinstance(a, Alarm)]


def errors(events):
    return [event.kind for event in events if isinstance(event, FrameErrors)]


if CAPTURE.exists() or (os.environ.get("VITALEDGER_REQUIRE_ALL") == "1" and CAPTURES.exists()):

    def test_five_seconds_of_a_real_rad_8():
        data = CAPTURE.read_bytes()
        for pieces in in_pieces(data):
            driver = make()
            events = [event for piece in pieces for event in driver.receive(piece, NOW)]
            by_handle = {}
            for reading in readings(events):
                by_handle.setdefault(reading.handle, []).append(reading.absence or reading.value)
            assert by_handle == {
                "spo2": [98] * 5,
                "pulse": [97, 96, 96, 96, 97],
                "pi": [360, 395, 425, 319, 241],
                "spco": [NA] * 5,
                "spmet": [NA] * 5,
                "desat": [NA] * 5,
                "pidelta": [NA] * 5,
            }
            assert {e.serial for e in events if isinstance(e, Identity)} == {"0000056661"}
            assert {r.quality for r in readings(events)} == {Quality(0)}
            assert not [e for e in events if isinstance(e, Alarm | FrameErrors | Notice)]
            assert [e.text[-2:] for e in events if isinstance(e, DeviceClock)] == ["45", "46", "47", "48", "49"]


def test_the_line_of_the_document():
    events = run(masimo_line())
    assert values(events) == {
        "spo2": 98, "pulse": 97, "pi": 360, "spco": NA, "spmet": NA, "desat": NA, "pidelta": NA,
    }  # fmt: skip
    (clock,) = [event for event in events if isinstance(event, DeviceClock)]
    assert (clock.text, clock.local_ms) == ("02/22/16 22:47:45", 1456181265000)


# Lines as open drivers and manuals quote them: fields missing, added, dashed, with and without percent.
PUBLISHED = [
    (
        (
            "12/01/05 11:56:29 SN=0123456789 SPO2=098% BPM=240 PI=20.00% SPCO=01.0% SPMET=00.5% DESAT=01 PIDELTA=-02 "
            "PVI=027 ALARM=0000 EXC=000800"
        ),
        {"spo2": 98, "pulse": 240, "pi": 2000, "spco": 10, "spmet": 5, "desat": 1, "pidelta": -2, "pvi": 27},
    ),
    ("09/15/10 15:10:29 SPO2=097% BPM=064 PI=11.82% ALARM=20 EXC=800", {"spo2": 97, "pulse": 64, "pi": 1182}),
    (
        (
            "03/17/16 19:19:36 SN=---------- SPO2=098% BPM=123 PI=00.55 SPCO=--% SPMET=--.-% SPHB=--.- SPOC=-- "
            "RESVD=--- DESAT=-- PIDELTA=+-- PVI=--- ALARM=000000 EXC=0000C00 EXC1=00000000"
        ),
        {"spo2": 98, "pulse": 123, "pi": 55, "spco": NA, "spmet": NA, "desat": NA, "pidelta": NA, "pvi": NA},
    ),
    (
        "03/19/16 13:37:12 SN=0000093112 SPO2=---% BPM=---% DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000001",
        dict.fromkeys(("spo2", "pulse", "desat", "pidelta"), Absence.SENSOR_DISCONNECTED),
    ),
    (
        "05/15/07 08:12:21 SN=0000070986 SPO2=---% BPM=--- PI=--.--% PIDELTA= 02 PVI=--- ALARM=0000 EXC=000008 ",
        {"spo2": Absence.SEARCHING, "pulse": Absence.SEARCHING, "pi": Absence.SEARCHING, "pidelta": 2,
         "pvi": Absence.SEARCHING},
    ),
]  # fmt: skip


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\n\r"])
@pytest.mark.parametrize(("line", "want"), PUBLISHED)
def test_published_lines(line, want, end):
    for pieces in in_pieces((line + end).encode()):
        driver = make()
        events = [event for piece in pieces for event in driver.receive(piece, NOW)]
        assert values(events) == want
        assert errors(events) == []


def test_a_serial_of_dashes_is_none():
    assert not [event for event in run(PUBLISHED[2][0].encode() + b"\r\n") if isinstance(event, Identity)]


@pytest.mark.parametrize(
    ("exc", "reason"),
    [
        ("000001", Absence.SENSOR_DISCONNECTED),
        ("001000", Absence.SENSOR_DISCONNECTED),
        ("001828", Absence.SENSOR_DISCONNECTED),
        ("000020", Absence.SENSOR_OFF),
        ("000808", Absence.SEARCHING),
        ("000002", Absence.PROBE_ERROR),
        ("020000", Absence.CALIBRATING),
        ("000800", Absence.INVALID),
        ("000000", Absence.INVALID),
    ],
)
def test_reasons_for_dashes(exc, reason):
    got = values(run(masimo_line(spo2="---", bpm="---", pi="--.--", exc=exc)))
    assert set(got.values()) == {reason}


@pytest.mark.parametrize(
    ("exc", "quality"),
    [
        ("000804", Quality.LOW_PERFUSION),
        ("000810", Quality.INTERFERENCE),
        ("000840", Quality.INTERFERENCE),
        ("000C00", Quality.LOW_SIGNAL),
        ("000820", Quality.QUESTIONABLE),
        ("000C14", Quality.LOW_SIGNAL | Quality.INTERFERENCE | Quality.LOW_PERFUSION),
        ("000800", Quality(0)),
    ],
)
def test_quality_of_numbers(exc, quality):
    got = {r.handle: r for r in readings(run(masimo_line(exc=exc)))}
    assert (got["spo2"].value, got["spo2"].quality) == (98, quality)


def test_low_confidence_is_of_one_value():
    rest = "SPCO=03.0% SPMET=01.0% DESAT=-- PIDELTA=+--"
    got = {r.handle: r.quality for r in readings(run(masimo_line(rest=rest, exc="200800")))}
    assert got["spco"] == Quality.QUESTIONABLE
    assert got["spmet"] == got["spo2"] == Quality(0)


@pytest.mark.parametrize(
    ("bit", "text", "kind"),
    [
        ("0001", "SpO2 high", AlarmKind.PHYSIOLOGICAL),
        ("0002", "SpO2 low", AlarmKind.PHYSIOLOGICAL),
        ("0004", "pulse rate high", AlarmKind.PHYSIOLOGICAL),
        ("0008", "pulse rate low", AlarmKind.PHYSIOLOGICAL),
        ("0010", "alarm active", AlarmKind.TECHNICAL),
        ("0040", "low battery", AlarmKind.TECHNICAL),
        ("0100", "SpCO high", AlarmKind.PHYSIOLOGICAL),
        ("0800", "SpMet low", AlarmKind.PHYSIOLOGICAL),
        ("1000", "desaturation index", AlarmKind.PHYSIOLOGICAL),
        ("2000", "perfusion index delta", AlarmKind.PHYSIOLOGICAL),
        ("0080", "reserved bit 0080", AlarmKind.TECHNICAL),
    ],
)
def test_alarm_bits(bit, text, kind):
    events = run(masimo_line(), masimo_line(alarm=bit), masimo_line(alarm=bit), masimo_line())
    assert alarms(events) == [("onset", text, bit), ("end", text, "0000")]
    assert {event.kind for event in events if isinstance(event, Alarm)} == {kind}


def test_alarms_of_one_line_and_silencing():
    events = run(masimo_line(alarm="001A"), masimo_line(alarm="003A"), masimo_line(alarm="0028"), masimo_line())
    told = [(a.phase, a.text, a.silenced) for a in events if isinstance(a, Alarm)]
    assert told == [
        (AlarmPhase.ONSET, "SpO2 low", False),
        (AlarmPhase.ONSET, "pulse rate low", False),
        (AlarmPhase.UPDATE, "SpO2 low", True),
        (AlarmPhase.UPDATE, "pulse rate low", True),
        (AlarmPhase.END, "SpO2 low", True),
        (AlarmPhase.END, "pulse rate low", False),
    ]


def test_sensor_faults_are_technical_alarms():
    events = run(masimo_line(exc="000000"), masimo_line(exc="000020"), masimo_line(exc="000820"), masimo_line())
    assert alarms(events) == [("onset", "sensor off", "000020"), ("end", "sensor off", "000800")]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda s: s.replace(b"SPO2=098%", b"SPO2=0x8%"), "field"),
        (lambda s: s.replace(b"03.60", b"03.605"), "field"),
        (lambda s: s.replace(b"BPM=097", b"BPM=097.5"), "field"),
        (lambda s: s.replace(b"EXC=000800", b"EXC=0G0800"), "field"),
        (lambda s: s.replace(b"BPM=097 ", b""[:0]).replace(b"PI=", b"SPO2=097% PI="), "field"),
        (lambda s: s.replace(b" BPM", b" B\xd0M"), "format"),
        (lambda s: s[:40] + b"\r\n", "length"),
        (lambda s: s[30:], "format"),
    ],
)
def test_a_damaged_line_gives_no_value(damage, kind):
    events = run(damage(masimo_line()), masimo_line(bpm="061"))
    assert errors(events) == [kind]
    assert [r.value for r in readings(events) if r.handle == "pulse"] == [61]


def test_a_lost_line_end_costs_one_line():
    events = run(masimo_line(bpm="060")[:-2], masimo_line(bpm="061"))
    assert errors(events) == ["sync"]
    assert values(events)["pulse"] == 61


def test_noise_before_a_line_costs_nothing_and_no_memory():
    driver = make()
    events = driver.receive(b"\xfe\x01" * 100_000 + masimo_line(), NOW)
    assert set(errors(events)) == {"length"}
    assert values(events)["spo2"] == 98
    assert len(driver._line) <= MAX_LINE


def test_decimals_are_exact():
    got = values(run(masimo_line(pi="0.2", rest="SPCO=1% SPMET=12.30% PIDELTA=+05 NEW=abc")))
    assert (got["pi"], got["spco"], got["spmet"], got["pidelta"]) == (20, 10, 123, 5)


@pytest.mark.parametrize(("field", "text"), [("spo2", "123"), ("bpm", "007")])
def test_what_no_patient_can_have_is_marked(field, text):
    marked = [r for r in readings(run(masimo_line(**{field: text}))) if r.quality]
    assert [(r.value, r.quality) for r in marked] == [(int(text), Quality.IMPLAUSIBLE)]


def test_another_format_is_recognised_once():
    table = b"02/22/16 22:47:45   098   097   3.60   0000\r\n"
    driver = make()
    events = driver.receive(table * 3, NOW)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "ASCII 1" in notice.text
    assert errors(events) == ["format"] * 3
    assert not [event for event in driver.receive(masimo_line(), NOW) if isinstance(event, Notice)]
    assert [event for event in driver.receive(table, NOW) if isinstance(event, Notice)]


def test_a_clock_that_was_never_set_is_not_told():
    events = run(masimo_line(time="00/00/00 00:00:00"))
    assert not [event for event in events if isinstance(event, DeviceClock)]
    assert values(events)["spo2"] == 98


def test_another_device_on_the_line():
    events = run(masimo_line(alarm="0002"), masimo_line(alarm="0002", serial="0000099999"))
    assert [text for _, text, _ in alarms(events)] == ["SpO2 low", "SpO2 low"]


def test_it_never_sends():
    assert make().to_send(NOW) == b""


def test_conformance():
    check_driver(MasimoDriver, [masimo_line(bpm=f"{60 + i:03}") for i in range(5)])
