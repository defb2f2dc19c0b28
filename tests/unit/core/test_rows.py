"""What people read: values as decimals, units, and a sentence for each event."""

import re
from enum import IntEnum
from fractions import Fraction

import pytest

from vitaledger import content, events, marks, vitals
from vitaledger.content import scaled
from vitaledger.entry import Clock, Kind, PartType, genesis, seal
from vitaledger.errors import MisuseError
from vitaledger.events import ChainHead, LedgerHead
from vitaledger.marks import (
    Absence,
    AlarmKind,
    AlarmPhase,
    AlarmPriority,
    Category,
    Check,
    Direction,
    GapReason,
    LineState,
    Provenance,
    Quality,
    Sureness,
    Use,
)
from vitaledger.opened import open_entry
from vitaledger.raw import Chunk, encode_raw
from vitaledger.rows import NO_CHECK, EventRow, ReadingRow, WaveRow, describe, rows

ORIGIN, BED_1 = "h.example/gateway/g1", "nonin:port:bed-1"
NOW = Clock(1_700_000_012_500, bytes(16), 17_500, 3)
BEFORE = Clock(1_700_000_000_000, bytes(16), 5_000, 3)
OTHER_BOOT = Clock(1_700_000_000_500, b"\x01" * 16, 99_000, None)


@pytest.mark.parametrize(
    ("value", "exponent", "text"),
    [
        (97, 0, "97"),
        (0, 0, "0"),
        (-5, 0, "-5"),
        (97, 1, "970"),
        (97, 18, "97" + "0" * 18),
        (-97, 2, "-9700"),
        (345, -2, "3.45"),
        (345, -1, "34.5"),
        (340, -1, "34.0"),
        (5, -2, "0.05"),
        (5, -1, "0.5"),
        (0, -2, "0.00"),
        (-345, -2, "-3.45"),
        (-5, -2, "-0.05"),
        (-5, -1, "-0.5"),
        (-50, -1, "-5.0"),
        (1, -18, "0." + "0" * 17 + "1"),
        (-1, -18, "-0." + "0" * 17 + "1"),
        (2**63 - 1, -18, "9.223372036854775807"),
        (-(2**63), -18, "-9.223372036854775808"),
    ],
)
def test_scaled(value, exponent, text):
    assert scaled(value, exponent) == text
    assert Fraction(text) == value * Fraction(10) ** exponent


def test_scaled_no_further():
    with pytest.raises(MisuseError):
        scaled(1, -19)


def line(state, detail="", goes_on=None):
    return events.Line(state, "bed-1", detail, goes_on)


def alarm(phase, silenced=0):
    return events.Alarm("0x04", None, AlarmKind.TECHNICAL, phase, AlarmPriority.LOW, silenced, "sensor off", ())


HEADS = (ChainHead(BED_1, 4, bytes(32)), ChainHead("gateway", 9, bytes(32)))
WORDS = [
    (
        events.Identity(
            "Nonin", "3012", "501", "1.0", "bed-1", Sureness.PROTOCOL, "nonin", "1", Use.CLINICAL, Check.CHECKSUM
        ),
        "identity",
        "Nonin 3012, serial 501, on bed-1; identity by protocol, use clinical",
    ),
    (
        events.Identity("", "", None, None, "bed-1", Sureness.PORT, "nonin", "1", Use.DEMO, Check.NOTHING),
        "identity",
        "unknown device, tells no serial number, on bed-1; identity by port, use demo",
    ),
    (line(LineState.UP), "line", "line up on bed-1"),
    (line(LineState.DOWN, "unplugged"), "line", "line down on bed-1 (unplugged)"),
    (
        line(LineState.CLOSED, "serial learned", "nonin:sn:501"),
        "line",
        "line closed on bed-1 (serial learned); goes on as nonin:sn:501",
    ),
    (events.Gap(GapReason.UNPLUGGED, BEFORE, "", None), "gap", "gap of 12.5 s: unplugged"),
    (events.Gap(GapReason.SILENCE, BEFORE, "power?", 0), "gap", "gap of 12.5 s: silence (power?)"),
    (events.Gap(GapReason.OVERLOAD, BEFORE, "", 42), "gap", "gap of 12.5 s: overload; 42 bytes not kept"),
    (events.Gap(GapReason.START, None, "", None), "gap", "gap, its beginning unknown: start"),
    (events.Gap(GapReason.CRASH, OTHER_BOOT, "", None), "gap", "gap of 12.0 s: gateway stopped without warning"),
    (events.Silence(BEFORE), "silence", "nothing received for 12.5 s"),
    (events.Silence(OTHER_BOOT), "silence", "nothing received for 12.0 s"),
    (
        events.FrameErrors((events.FrameErrorCount("checksum", 3), events.FrameErrorCount("sync", 1))),
        "frame-errors",
        "bad frames: 3 checksum, 1 sync",
    ),
    (alarm(AlarmPhase.ONSET), "alarm", "technical alarm onset: sensor off"),
    (alarm(AlarmPhase.END, 1), "alarm", "technical alarm end: sensor off, silenced"),
    (events.ClockOffset("12:00:07", 7040), "clock-offset", "device clock 12:00:07, +7.0 s against the gateway"),
    (events.ClockOffset("11:59", -60_000), "clock-offset", "device clock 11:59, -60.0 s against the gateway"),
    (events.Notice("set the clock"), "notice", "text set the clock"),
    (events.Boot("0.1.0", bytes(16), 1, ""), "boot", "started, version 0.1.0"),
    (
        events.Boot("0.1.0", bytes(16), 0, "after power"),
        "boot",
        "started, version 0.1.0 (after power); the run before was not stopped cleanly",
    ),
    (events.Stop("asked to"), "stop", "detail asked to"),
    (events.ClockStep(-3600_000, 20), "clock-step", "delta_ms -3600000, bound_ms 20"),
    (events.Config(b"\xab" * 32), "config", "digest " + "ab" * 8),
    (events.Disk(1, 100, "below 5 %"), "disk", "free 1, total 100, detail below 5 %"),
    (events.Heads(HEADS, None), "heads", "heads of 2 micro-chains"),
    (
        events.Heads((), LedgerHead("h.example/ledger", 7, bytes(32))),
        "heads",
        "heads of 0 micro-chains, ledger seen at size 7",
    ),
    (events.Incident("uplink", "restarted"), "incident", "part uplink, detail restarted"),
    (events.Succeeds(b"note", ()), "succeeds", "checkpoint " + b"note".hex() + ", chains ()"),
    (events.Carried("h.example/gateway/g1", 7, b"leaf", b""), "carried", None),
]


@pytest.mark.parametrize(("event", "name", "text"), WORDS, ids=[f"{name}-{n}" for n, (_, name, _) in enumerate(WORDS)])
def test_words_of_each_event(event, name, text):
    if text is not None:
        assert describe(event, NOW) == text
    ours = isinstance(event, events.Carried)
    chain = "gateway" if events.of_gateway(event) else BED_1
    kind = Kind.CARRIED if ours else Kind.GATEWAY_EVENT if events.of_gateway(event) else Kind.DEVICE_EVENT
    (row,) = rows(sealed(kind, chain, [(PartType.EVENT, events.encode(event))]))
    assert row == EventRow(NOW.wall_ms * 1000, name, describe(event, NOW), event)
    assert not re.search(r"[\x00-\x1f]|<|Enum", row.text)


def test_every_event_is_in_the_table():
    assert {type(event) for event, _, _ in WORDS} == {of for of, _ in events._SHAPES.values()}


def sealed(kind, chain, contents):
    return open_entry(*seal(kind, chain, 0, genesis(ORIGIN, chain), NOW, contents, [bytes(16) for _ in contents]))


def values(series, times=((0, 333_333, 666_667), (1_000_000,)), provenance=Provenance.DEVICE_LIVE, stored=None):
    context = content.Context(None, None, None)
    return content.Values("nonin", "1", provenance, Use.TEST, Check.NOTHING, context, times, tuple(series), stored)


SPO2 = content.Series(
    "spo2", 150456, 262688, Category.MEASURED, 0, 0, (97, None, 95), ((1, 1, Absence.SENSOR_OFF),),
    ((2, 1, Quality.ARTEFACT | Quality.LOW_PERFUSION),),
)  # fmt: skip
PI = content.Series("perfusion-index", 150448, 262688, Category.MEASURED, -2, 1, (345,), (), ())
ODD = content.Series("odd", 0, 12345, Category.CALCULATED, 1, 1, (-2,), (), ())
WAVE = content.WaveBlock("pleth", 150452, 262656, Fraction(75), Fraction(1, 2), -5, 400_000, 500_000, (1, 2, 3), (), ())


def test_rows_of_readings_and_waves():
    contents = [
        (PartType.VALUES, content.VALUES.encode(values([SPO2, PI, ODD]))),
        (PartType.WAVES, content.WAVES.encode((WAVE,))),
    ]
    began = NOW.wall_ms * 1000

    def row(at, signal, value, unit, mdc, absence=None, quality=0):
        return ReadingRow(
            began + at, signal, value, unit, mdc, absence, Quality(quality), Provenance.DEVICE_LIVE, Use.TEST
        )

    assert list(rows(sealed(Kind.READINGS, BED_1, contents))) == [
        row(0, "spo2", "97", "%", 150456),
        row(333_333, "spo2", None, "%", 150456, Absence.SENSOR_OFF),
        WaveRow(began + 400_000, began + 500_000, "pleth", (1, 2, 3)),
        row(666_667, "spo2", "95", "%", 150456, None, Quality.ARTEFACT | Quality.LOW_PERFUSION),
        row(1_000_000, "perfusion-index", "3.45", "%", 150448),
        row(1_000_000, "odd", "-20", "MDC unit 12345", 0),
    ]
    opened = sealed(Kind.READINGS, BED_1, contents)
    assert (opened.reading_count, opened.sample_count, opened.last_us) == (5, 3, 1_000_000)


def test_an_entry_of_raw_bytes_alone_has_no_rows():
    opened = sealed(Kind.READINGS, BED_1, [(PartType.RAW, encode_raw([Chunk(Direction.SENT, 70, b"\x7d")]))])
    assert list(rows(opened)) == []
    assert (opened.reading_count, opened.sample_count, opened.last_us) == (0, 0, 70)


# -- words of marks ---------------------------------------------------------------------------------------------------

ENUMS = (Absence, Category, Provenance, Use, Check, Sureness, LineState, GapReason, AlarmKind, AlarmPhase,
         AlarmPriority, Direction)  # fmt: skip


@pytest.mark.parametrize("of", ENUMS, ids=lambda of: of.__name__)
def test_labels(of):
    labels = [member.label for member in of]
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", label) for label in labels)


NUMBERS = {  # a number once given keeps its meaning for ever
    Absence: "INVALID SENSOR_DISCONNECTED SENSOR_OFF PROBE_ERROR SEARCHING CALIBRATING NOT_APPLICABLE OUT_OF_RANGE",
    Category: "MEASURED CALCULATED SETTING ALARM_LIMIT",
    Provenance: "DEVICE_LIVE DEVICE_STORED TRANSCRIBED TYPED",
    Use: "CLINICAL TEST DEMO",
    Check: "NOTHING COUNT CHECKSUM",
    Sureness: "PROTOCOL USB PORT DECLARED",
    LineState: "UP DOWN CLOSED",
    GapReason: "START CRASH UNPLUGGED SILENCE UNREADABLE DISK_FULL OVERLOAD RESTORED",
    AlarmKind: "PHYSIOLOGICAL TECHNICAL",
    AlarmPhase: "ONSET UPDATE END",
    AlarmPriority: "UNKNOWN LOW MEDIUM HIGH",
    Direction: "RECEIVED SENT",
    Kind: "READINGS DEVICE_EVENT GATEWAY_EVENT ASSOCIATION CARRIED",
    PartType: "VALUES WAVES RAW EVENT",
}


@pytest.mark.parametrize("of", NUMBERS, ids=lambda of: of.__name__)
def test_numbers_keep_their_meaning(of):
    first = 1 if of in {Absence, GapReason, Kind, PartType} else 0
    names = NUMBERS[of].split()
    assert {member.name: int(member) for member in of}.items() >= {
        name: number for number, name in enumerate(names, first)
    }.items()


def test_numbers_of_all_enumerations_stand_here():
    found = {each for each in vars(marks).values() if isinstance(each, type) and issubclass(each, IntEnum)}
    assert found - {IntEnum, marks._Labelled} <= set(NUMBERS)


def test_quality_bits():
    bits = {0: "INVALID", 1: "QUESTIONABLE", 2: "NOT_AVAILABLE", 3: "CALIBRATION_ONGOING", 4: "TEST_DATA",
            5: "DEMO_DATA", 8: "VALIDATED", 9: "EARLY", 10: "ONGOING", 14: "IN_ALARM", 15: "ALARM_INHIBITED",
            16: "ARTEFACT", 17: "OUT_OF_TRACK", 18: "LOW_PERFUSION", 19: "MARGINAL_PERFUSION", 20: "LOW_SIGNAL",
            21: "IMPLAUSIBLE", 22: "STALE", 23: "INTERFERENCE", 24: "SENSOR_ALARM"}  # fmt: skip
    assert {int(bit): bit.name for bit in Quality} == {1 << bit: name for bit, name in bits.items()}
    assert (Quality.LOW_SIGNAL | Quality.ARTEFACT).labels == ("artefact", "low-signal")
    assert Quality(0).labels == ()
    assert Quality(1 << 40 | 1).labels == ("invalid",)
    assert int(Quality(1 << 40 | 1)) == 1 << 40 | 1


def test_where_no_device_checksum_is_said():
    assert NO_CHECK == "no device checksum"


# -- vitals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "loinc", "ucum"),
    [
        ("spo2", 150456, "59408-5", "%"),
        ("pulse-rate", 149530, "8889-8", "/min"),
        ("heart-rate", 147842, "8867-4", "/min"),
        ("nibp-systolic", 150021, "8480-6", "mm[Hg]"),
        ("nibp-diastolic", 150022, "8462-4", "mm[Hg]"),
        ("temperature", 150344, "8310-5", "Cel"),
        ("respiratory-rate", 151562, "9279-1", "/min"),
        ("body-weight", 188736, "29463-7", "kg"),
    ],
)
def test_vital_signs(name, code, loinc, ucum):
    sign = vitals.by_name(name)
    assert (sign.code, sign.loinc[0], sign.ucum) == (code, loinc, ucum)
    assert vitals.by_code(code) is sign
    assert vitals.by_loinc(loinc) is sign


def test_the_table_of_signs_is_sound():
    names = [sign.name for sign in vitals.SIGNS]
    codes = [sign.code for sign in vitals.SIGNS if sign.code]
    assert len(set(names)) == len(names)
    assert len(set(codes)) == len(codes)
    for sign in vitals.SIGNS:
        assert sign.unit in vitals.UNITS, sign.name
        assert sign.chart[0] < sign.chart[1]
        assert sign.plausible[0] <= sign.chart[0]
        assert sign.chart[1] <= sign.plausible[1]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", sign.name)
        assert all(re.fullmatch(r"\d{1,5}-\d", code) for code in sign.loinc)
        assert all(has_check_digit(code) for code in sign.loinc), sign.name
        assert vitals.describe(sign.code)
    assert vitals.by_code(0) is None
    assert vitals.unit(1) is None


def has_check_digit(code):
    """The last digit of a LOINC code is a check digit: modulus 10, every second digit doubled from the right."""
    body, _, digit = code.partition("-")
    total = sum(sum(divmod(int(d) * (2 if n % 2 == 0 else 1), 10)) for n, d in enumerate(reversed(body)))
    return (-total) % 10 == int(digit)


@pytest.mark.parametrize(
    ("name", "value", "exponent", "plausible"),
    [
        ("spo2", 20, 0, True),
        ("spo2", 19, 0, False),
        ("spo2", 100, 0, True),
        ("spo2", 101, 0, False),
        ("spo2", 1000, -1, True),
        ("spo2", 1001, -1, False),
        ("spo2", 10, 1, True),
        ("spo2", 11, 1, False),
        ("temperature", 366, -1, True),
        ("temperature", 461, -1, False),
        ("peep", -10, 0, True),
        ("peep", -101, -1, False),
        ("peep", -1, 1, True),
    ],
)
def test_plausible(name, value, exponent, plausible):
    assert vitals.by_name(name).is_plausible(value, exponent) is plausible
