"""FHIR and HL7 of what is rare: gaps, values that a device takes back, stored readings, codes and times of no table."""

from dataclasses import replace
from decimal import Decimal

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.exports import fhir, hl7
from collector.exports.extract import Extract, Request
from tests import strategies as made
from tests.evidence_world import BED_1, IDENTITY, LEDGER, ORIGIN, PLACED_CLOCK, placed, readings
from tests.hl7 import messages_of
from vitaledger import content, events
from vitaledger.csvform import Placed, Refused
from vitaledger.marks import Absence, Category, GapReason, Provenance, Quality, Use
from vitaledger.opened import open_entry

SERIES = readings(97).series[0]


def told(*run, identities=(), remarks=()):
    request = Request(1_760_000_000_000_000, "Ada", "vitaledger-collector 0.1.0")
    return Extract(ORIGIN, "g1", BED_1, LEDGER, 5, run, dict(identities), request, remarks, None)


def of_series(*series, **fields):
    return placed(values=replace(readings(*SERIES.values), series=series, **fields))


def observations(*run, **fields):
    resources = [entry.resource for entry in Bundle.model_validate_json(fhir.write(told(*run, **fields))).entry]
    return [each for each in resources if each.get_resource_type() == "Observation"]


def rows(*run):
    """The OBX and NTE rows of the messages, that of the device apart."""
    found = [row for message in messages_of(hl7.write(told(*run))) for row in message if row[0] in {"OBX", "NTE"}]
    return [row for row in found if not (row[0] == "OBX" and row[2] == "")]


def value_and_absence(observation):
    quantity, absent = observation.valueQuantity, observation.dataAbsentReason
    return quantity and str(quantity.value), absent and (absent.coding[0].code, absent.text)


@pytest.mark.parametrize(("exponent", "value"), [(0, "50"), (-1, "5.0"), (-2, "0.50"), (2, "5000")])
def test_decimals_keep_their_places(exponent, value):
    series = replace(SERIES, values=(50,), exponent=exponent)
    (found,) = observations(of_series(series))
    assert Decimal(found.valueQuantity.value) == Decimal(value)
    assert f'"value":{value},'.encode() in fhir.write(told(of_series(series)))
    assert rows(of_series(series))[0][5] == value


@pytest.mark.parametrize("absence", Absence)
def test_every_absence_has_a_reason(absence):
    entry = of_series(replace(SERIES, values=(None,), absences=((0, 1, absence),)))
    (found,) = observations(entry)
    value, (code, text) = value_and_absence(found)
    assert (value, text) == (None, absence.label)
    assert code in {"unknown", "not-performed", "error", "temp-unknown", "not-applicable"}
    row, note = rows(entry)
    assert (row[5], row[11]) == ("", "X")
    assert row[8]
    assert note[3] == absence.label


@pytest.mark.parametrize("quality", [Quality.INVALID, Quality.NOT_AVAILABLE | Quality.ARTEFACT])
def test_what_the_device_takes_back_is_no_value(quality):
    entry = of_series(replace(SERIES, quality=((0, 1, quality),)))
    (found,) = observations(entry)
    value, (code, _) = value_and_absence(found)
    assert (value, code) == (None, "error")
    assert found.note[0].text.startswith("the device sent 97 and marks it ")
    row, *notes = rows(entry)
    assert (row[5], row[11]) == ("", "X")
    assert notes[0][3].startswith("the device sent 97 and marks it ")


def test_a_questionable_value_stands_and_is_marked():
    entry = of_series(replace(SERIES, quality=((0, 1, Quality.QUESTIONABLE | Quality.LOW_PERFUSION),)))
    (found,) = observations(entry)
    assert value_and_absence(found) == ("97", None)
    assert [each.text for each in found.interpretation] == ["questionable", "low-perfusion"]
    row, note = rows(entry)
    assert (row[5], row[8], row[11]) == ("97", "QUES~DEMO", "R")
    assert note[3] == "quality: questionable, low-perfusion"


def test_codes_and_units():
    (found,) = observations(of_series(SERIES))
    assert [(each.system, each.code) for each in found.code.coding] == [
        ("http://loinc.org", "59408-5"), ("http://loinc.org", "2708-6"), ("urn:iso:std:iso:11073:10101", "150456")
    ]  # fmt: skip
    assert (found.valueQuantity.system, found.valueQuantity.code) == ("http://unitsofmeasure.org", "%")
    (row,) = rows(of_series(SERIES))
    assert row[3] == "150456^MDC_PULS_OXIM_SAT_O2^MDC^59408-5^SpO₂^LN"
    assert row[6] == "262688^MDC_DIM_PERCENT^MDC^%^%^UCUM"
    assert row[14] == "20231114221320.0000+0000"


def test_codes_that_no_table_has():
    unknown = replace(SERIES, handle="x^y|z", code=0, unit=12345)
    (found,) = observations(of_series(unknown))
    assert (found.code.coding, found.code.text) == (None, "x^y|z")
    assert (found.valueQuantity.system, found.valueQuantity.code) == ("urn:iso:std:iso:11073:10101", "12345")
    (row,) = rows(of_series(unknown))
    assert row[3] == "x\\S\\y\\F\\z^x\\S\\y\\F\\z^99VITALEDGER"
    assert row[6] == "12345^^MDC"
    (found,) = observations(of_series(replace(SERIES, code=4711)))
    assert [each.code for each in found.code.coding] == ["4711"]


def test_stored_readings_tell_the_devices_time():
    stored = content.StoredRows(None, 0, ("12:00",))
    entry = of_series(SERIES, provenance=Provenance.DEVICE_STORED, stored=stored)
    (found,) = observations(entry)
    assert [note.text for note in found.note] == ["the device's own time: 12:00"]
    assert found.method.text == "device-stored"
    assert [note[3] for note in rows(entry)[1:]] == ["provenance: device-stored", "the device's own time: 12:00"]


@pytest.mark.parametrize(("category", "metric"), [(Category.SETTING, "setting"), (Category.CALCULATED, "calculation")])
def test_categories(category, metric):
    bundle = Bundle.model_validate_json(fhir.write(told(of_series(replace(SERIES, category=category)))))
    (found,) = [each.resource for each in bundle.entry if each.resource.get_resource_type() == "DeviceMetric"]
    assert found.category == metric


GAP = events.Gap(GapReason.UNPLUGGED, replace(PLACED_CLOCK, wall_ms=PLACED_CLOCK.wall_ms - 60_000), "", 7)


def test_a_gap():
    (found,) = observations(placed(event=GAP))
    assert (found.code.text, found.dataAbsentReason.text) == ("gap in the record", "unplugged")
    assert found.effectivePeriod.start.isoformat() == "2023-11-14T22:12:20+00:00"
    assert found.effectivePeriod.end.isoformat() == "2023-11-14T22:13:20+00:00"
    (message,) = messages_of(hl7.write(told(placed(event=GAP))))
    assert message[1][7:9] == ["20231114221220.0000+0000", "20231114221320.0000+0000"]
    assert message[2][3:6] == ["gap^gap in the record^99VITALEDGER", "1.0.0.0", "unplugged"]


@pytest.mark.parametrize("event", [replace(GAP, since=None), events.Silence(GAP.since)])
def test_other_gaps(event):
    (found,) = observations(placed(event=event))
    assert found.code.text == "gap in the record"
    assert len(messages_of(hl7.write(told(placed(event=event))))) == 1


@pytest.mark.parametrize("wall", [-5, 253_402_300_800_000, 2**62])
def test_times_of_no_calendar(wall):
    clock = replace(PLACED_CLOCK, wall_ms=wall)
    (found,) = observations(placed(values=readings(97), clock=clock))
    assert found.effectiveDateTime is None
    assert found.note[0].text == f"time by the gateway's clock: {wall * 1000} µs since 1970"
    (row,) = rows(placed(values=readings(97), clock=clock))
    assert (row[5], row[14]) == ("97", "")
    gap = placed(event=replace(GAP, since=clock), clock=clock)
    assert observations(gap)[0].effectivePeriod is None
    refused = Refused(3, 0, wall * 1000, "failed", "hash")
    assert observations(refused)[0].status == "unknown"
    assert len(rows(refused)) == 2


def test_clinical_use_is_not_marked_as_test():
    entry = placed(values=replace(readings(97), use=Use.CLINICAL))
    assert b"HTEST" not in fhir.write(told(entry))
    (message,) = messages_of(hl7.write(told(entry)))
    assert message[0][11] == "P"
    assert message[3][8] == ""


def test_one_entry_of_a_test_marks_every_message():
    clinical, test = (placed(values=replace(readings(97), use=use)) for use in (Use.CLINICAL, Use.TEST))
    found = messages_of(hl7.write(told(clinical, test)))
    assert [message[0][11] for message in found] == ["D", "D"]


def test_readings_name_the_device_that_was_there_then():
    swapped = replace(IDENTITY, model="Other")
    values = readings(97)
    one, other = (placed(index=n, values=replace(values, context=content.Context(n, None, None))) for n in (0, 4))
    none = placed(index=9, values=replace(values, context=content.Context(None, None, None)))
    bundle = Bundle.model_validate_json(
        fhir.write(told(one, other, none, identities={0: IDENTITY, 4: swapped}.items()))
    )
    by_url = {entry.fullUrl: entry.resource for entry in bundle.entry}
    found = [each for each in by_url.values() if each.get_resource_type() == "Observation"]
    devices = [by_url[by_url[each.device.reference].source.reference] for each in found]
    assert [device.modelNumber for device in devices] == ["Xpod", "Other", None]
    assert len(by_url) == len(bundle.entry)


@settings(max_examples=60)
@given(made.sealed_entries())
def test_whatever_was_sealed_is_a_bundle_and_messages(sealed):
    opened = open_entry(*sealed)
    entry = Placed(1, opened.entry, opened)
    count = opened.reading_count
    found = observations(entry)
    assert sum(each.device is not None for each in found) == count
    assert sum(row[0] == "OBX" and row[2] == "NM" for row in rows(entry)) == count


@given(st.text().filter(str.isprintable))
def test_no_text_leaves_its_field(text):
    assert not set(hl7.escape(text).replace("\\", "")) & set("|^&~")
