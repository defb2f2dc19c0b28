"""The table of an evidence file: every cell, and that nothing a device sends can change its form."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies as made
from tests.evidence_world import BED_1, placed, readings
from tests.evidence_world import PLACED_CLOCK as CLOCK
from vitaledger import content, events, vitals
from vitaledger.csvform import COLUMNS, RENDERING, Placed, Refused, quality_words, render, sum_up, utc
from vitaledger.entry import PartType
from vitaledger.marks import (
    Absence,
    AlarmKind,
    AlarmPhase,
    AlarmPriority,
    Category,
    Check,
    GapReason,
    LineState,
    Provenance,
    Quality,
    Sureness,
    Use,
)
from vitaledger.opened import open_entry


def table(*run):
    """The rows, cells that are not empty only, the last three apart."""
    rows = list(csv.DictReader(io.StringIO(render(run).decode(), newline="")))
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in rows)
    return [{name: cell for name, cell in row.items() if cell} for row in rows]


def row_of(event, chain=BED_1):
    (row,) = table(placed(event=event, name=chain))
    assert (row.pop("time"), row.pop("entry"), row.pop("index")) == ("2023-11-14T22:13:20.000000Z", "0", "7")
    assert row.pop("bound_ms") == "3"
    return row


def test_readings():
    rows = table(placed(values=readings(97, None, 96)))
    assert rows[0] == {
        "time": "2023-11-14T22:13:20.000000Z", "kind": "reading", "signal": "spo2", "value": "97", "unit": "%",
        "category": "measured", "mdc": "150456", "mdc_unit": "262688", "loinc": "59408-5", "provenance": "device-live",
        "use": "demo", "check": "checksum", "entry": "0", "index": "7", "bound_ms": "3",
    }  # fmt: skip
    assert "value" not in rows[1]
    assert (rows[1]["absence"], rows[1]["quality"]) == ("sensor-off", "artefact")
    assert (rows[2]["time"], rows[2]["value"]) == ("2023-11-14T22:13:20.666666Z", "96")


def test_series_are_merged_by_time_and_stay_in_order():
    values = readings(97, 98)
    other = replace(values.series[0], handle="pulse", code=149530, unit=264864, exponent=-2, values=(7201, -50))
    rows = table(placed(values=replace(values, series=(*values.series, other))))
    assert [(row["signal"], row["value"]) for row in rows] == [
        ("spo2", "97"), ("pulse", "72.01"), ("spo2", "98"), ("pulse", "-0.50")
    ]  # fmt: skip


def test_codes_that_the_table_does_not_have_are_empty():
    values = readings(97)
    series = replace(values.series[0], code=0, unit=12345, category=Category.SETTING)
    (row,) = table(placed(values=replace(values, series=(series,))))
    assert (row["mdc"], row["mdc_unit"], row["category"]) == ("0", "12345", "setting")
    assert not {"loinc", "unit"} & set(row)


def test_stored_readings_have_the_devices_own_time():
    values = readings(97, 98)
    other = replace(values.series[0], handle="pulse", times=1)
    stored = content.StoredRows("2026-01-01", 4, ("=1+1", None))
    values = replace(
        values, provenance=Provenance.DEVICE_STORED, stored=stored, times=values.times * 2,
        series=(*values.series, other),
    )  # fmt: skip
    rows = table(placed(values=values))
    assert [(row["signal"], row.get("device_time")) for row in rows] == [
        ("spo2", "'=1+1"), ("pulse", None), ("spo2", None), ("pulse", None)
    ]  # fmt: skip
    assert {row["provenance"] for row in rows} == {"device-stored"}


def test_a_wave():
    wave = content.WaveBlock("pleth", 150452, 262656, Fraction(125, 2), Fraction(1), 0, 40, 90, (1, 2, 3), (), ())
    (row,) = table(placed(waves=[wave]))
    assert (row["time"], row["kind"], row["value"]) == ("2023-11-14T22:13:20.000040Z", "wave", "3")
    assert (row["signal"], row["unit"], row["mdc"], row["text"]) == ("pleth", "1", "150452", "125/2 per s")


IDENTITY = events.Identity("Nonin", "Xpod", "12", "48", "bed-1", Sureness.PORT, "n", "1", Use.TEST, Check.COUNT)
ALARM = events.Alarm("01", 196614, AlarmKind.TECHNICAL, AlarmPhase.ONSET, AlarmPriority.HIGH, 1, "sensor off", ())
EVENTS = [
    (
        IDENTITY,
        {
            "kind": "identity",
            "use": "test",
            "check": "count",
            "text": "Nonin; Xpod; serial 12; firmware 48; bed-1; port",
        },
    ),
    (
        replace(IDENTITY, make="", model="", serial=None, firmware=None),
        {"kind": "identity", "use": "test", "check": "count", "text": "bed-1; port"},
    ),
    (events.Line(LineState.UP, "bed-1", "", None), {"kind": "line", "text": "up"}),
    (
        events.Line(LineState.CLOSED, "bed-1", "learned", "n:sn:1"),
        {"kind": "line", "text": "closed; learned; goes on as n:sn:1"},
    ),
    (
        events.Gap(GapReason.UNPLUGGED, replace(CLOCK, wall_ms=0), 'a "b", c', 7),
        {"kind": "gap", "since": "1970-01-01T00:00:00.000000Z", "text": 'unplugged; a "b", c; 7 bytes not kept'},
    ),
    (events.Gap(GapReason.START, None, "", 0), {"kind": "gap", "text": "start"}),
    (events.Silence(CLOCK), {"kind": "silence", "since": "2023-11-14T22:13:20.000000Z"}),
    (
        events.FrameErrors((events.FrameErrorCount("checksum", 2), events.FrameErrorCount("sync", 1))),
        {"kind": "frame-errors", "text": "2 checksum; 1 sync"},
    ),
    (ALARM, {"kind": "alarm", "mdc": "196614", "text": "technical; onset; high; sensor off; silenced"}),
    (replace(ALARM, code=None, silenced=0), {"kind": "alarm", "text": "technical; onset; high; sensor off"}),
    (events.ClockOffset("-9:00", -1200), {"kind": "clock-offset", "device_time": "'-9:00", "text": "'-1200 ms"}),
    (events.Notice("@home"), {"kind": "notice", "text": "'@home"}),
]


@pytest.mark.parametrize(("event", "cells"), EVENTS, ids=lambda each: getattr(each, "__class__", type(each)).__name__)
def test_events(event, cells):
    assert row_of(event) == cells


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (events.Boot("1", bytes(16), 1, "x"), "boot"), (events.Stop("x"), "stop"),
        (events.ClockStep(1, 1), "clock-step"),
        (events.Config(bytes(32)), "config"), (events.Disk(1, 2, "x"), "disk"), (events.Heads((), None), "heads"),
        (events.Incident("p", "x"), "incident"), (events.Succeeds(b"", ()), "succeeds"),
    ],
)  # fmt: skip
def test_events_of_the_gateway_are_named(event, kind):
    assert row_of(event, "gateway") == {"kind": kind}


def test_parts_that_were_left_out_and_entries_that_cannot_be_read():
    both = placed(values=readings(97), waves=(), withheld=(PartType.VALUES,))
    none = placed(event=IDENTITY, withheld=(PartType.EVENT,))
    finding = Placed(9, both.entry, None)
    failed = Refused(-1, 4, 0, "failed", '=hash "x"')
    assert [(row["kind"], row.get("text")) for row in table(both, none, finding, failed)] == [
        ("withheld", "values"), ("withheld", "event"), ("finding", None), ("failed", "'=hash \"x\"")
    ]  # fmt: skip
    (row,) = table(failed)
    assert row == {"time": "1970-01-01T00:00:00.000000Z", "kind": "failed", "text": '\'=hash "x"', "entry": "4"}


def test_counts():
    run = [placed(values=readings(97, None)), placed(event=IDENTITY), Placed(9, placed(event=IDENTITY).entry, None)]
    counts = sum_up(run)
    assert (counts.readings, counts.absent, counts.findings) == (2, 1, 1)


def test_a_clock_that_was_never_synchronised_has_no_bound():
    (row,) = table(placed(event=IDENTITY, clock=replace(CLOCK, bound_ms=None)))
    assert "bound_ms" not in row


@given(st.text(max_size=40).filter(str.isprintable))
def test_no_text_leaves_its_cell(text):
    (row,) = table(placed(event=events.Line(LineState.DOWN, "p", text, None)))
    assert row["text"] == ("down; " + text if text else "down")
    (row,) = table(placed(event=events.Notice(text or "-")))
    assert row["text"] == ("'" if (text or "-")[0] in "=+-@" else "") + (text or "-")


@given(made.sealed_entries())
def test_any_entry_has_rows_of_its_own(sealed):
    opened = open_entry(*sealed)
    rows = table(Placed(1, opened.entry, opened))
    assert sum(row["kind"] == "reading" for row in rows) == opened.reading_count
    assert sum(int(row["value"]) for row in rows if row["kind"] == "wave") == opened.sample_count


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)))  # noqa: DTZ001
def test_times_are_those_of_the_calendar(at):
    at = at.replace(tzinfo=UTC)
    us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert utc(us) == at.isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("us", [-1, 253_402_300_800_000_000, 2**70, -(2**70)])
def test_times_of_no_calendar_are_numbers(us):
    assert utc(us) == str(us)


def test_quality_words():
    assert quality_words(Quality.ARTEFACT | Quality.INVALID | Quality(1 << 40)) == ("invalid", "artefact", "bit-40")


def test_the_tables_of_this_rendering():
    """What is added to a table that gives cells needs a new number: see the docstring of csvform."""
    told = [*(f"{unit.code}={unit.ucum}" for unit in vitals.UNITS.values())]
    told += [f"{sign.code}={sign.loinc[0]}" for sign in vitals.SIGNS if sign.code and sign.loinc]
    told += [
        f"{each.value}={each.label}" for of in (Absence, Category, Provenance, Use, Check, GapReason, LineState,
        AlarmKind, AlarmPhase, AlarmPriority, Sureness) for each in of
    ]  # fmt: skip
    told += [f"{int(flag)}={flag.labels[0]}" for flag in Quality]
    digest = sha256("\n".join(sorted(told)).encode()).hexdigest()
    assert (RENDERING, digest[:16]) == (1, "e118934d5637f334")
