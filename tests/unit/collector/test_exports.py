"""Exports out of the store: every form tells the same entries, and none a value that did not verify."""

import json
import shutil
import sqlite3
from base64 import b64decode
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from collector.export import pack
from collector.exports import FORMATS, make
from collector.exports.extract import Request
from collector.history import Span, find_device
from collector.reader import Reader
from collector.verified import VerifiedStore
from tests.fault.ward import add_oddities, make_ward
from tests.hl7 import messages_of
from vitaledger import evidence, policy
from vitaledger.cli.verify import read_zip
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.rows import ReadingRow, rows

REQUEST = Request(1_760_000_000_000_000, "Ada", "vitaledger-collector 0.1.0")
SPAN = Span(first_seq=5, last_seq=9)
CHAIN = "masimo:sn:0000056661"


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=100)
    add_oddities(made)
    made.close()
    return made


def export(path, vkey, name, span=SPAN, device="56661", request=REQUEST):
    with Reader.open(path) as reader:
        store = VerifiedStore(reader, vkey)
        return make(store, find_device(store, device), span, request, name)


@pytest.fixture
def changed(ward, tmp_path):
    """The same store, with a byte of the body of the device's entry 7 changed."""
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(ward.path, path)
    db = sqlite3.connect(path, isolation_level=None)
    row, body = db.execute(
        "SELECT entries.id, body FROM entries, positions, chains WHERE chains.name = ? AND seq = 7 "
        "AND positions.chain = chains.chain AND entries.id = chains.log * (1 << 40) + positions.idx",
        (CHAIN,),
    ).fetchone()
    at = len(body) - 40
    db.execute("UPDATE entries SET body = ? WHERE id = ?", (body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], row))
    db.close()
    return path


def values_of(made):
    """Every value and absence that a form tells, in order."""
    if made.format.name == "fhir":
        resources = [entry.resource for entry in Bundle.model_validate_json(made.data).entry]
        told = [each for each in resources if each.get_resource_type() == "Observation"]
        return [(str(each.valueQuantity.value) if each.valueQuantity else None) for each in told if each.device]
    if made.format.name == "hl7":
        found = messages_of(made.data)
        return [row[5] or None for message in found for row in message if row[0] == "OBX" and row[2] == "NM"]
    lines = made.data.decode().splitlines()[1:]
    return [line.split(",")[3] or None for line in lines if line.split(",")[1] == "reading"]


def readings_of(made):
    files = unpack(made.data)
    proven = evidence.verify(files, policy.parse(files["policy.txt"]))
    found = [row for opened in proven.entries for row in rows(opened) if isinstance(row, ReadingRow)]
    return [row.value for row in found]


def unpack(data):
    return read_zip(Path("evidence.zip"), data)


def test_every_form_tells_what_the_evidence_proves(ward):
    proven = readings_of(export(ward.path, ward.vkey, "evidence"))
    assert len(proven) == 25
    assert None in proven
    for name in ("fhir", "hl7", "csv"):
        assert values_of(export(ward.path, ward.vkey, name)) == proven, name


def test_the_table_is_that_of_the_evidence(ward):
    files = unpack(export(ward.path, ward.vkey, "evidence").data)
    assert export(ward.path, ward.vkey, "csv").data == files["readings.csv"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_question_has_the_same_bytes(ward, name):
    one, other = (export(ward.path, ward.vkey, name) for _ in range(2))
    assert one.data == other.data
    assert one.file_name == f"masimo_sn_0000056661_5-9.{FORMATS[name].suffix}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_demonstration_is_marked(ward, name):
    made = export(ward.path, ward.vkey, name)
    assert "NOT CLINICAL: use is stated as demo" in made.remarks
    mark = {
        "evidence": None,
        "fhir": b'"code":"HTEST"',
        "hl7": b"|ORU^R01^ORU_R01|1760000000000-1|T|2.6|",
        "csv": b",demo,",
    }
    if mark[name]:
        assert mark[name] in made.data


def test_the_bundle_carries_the_evidence(ward):
    made = export(ward.path, ward.vkey, "fhir")
    by_url = {entry.fullUrl: entry.resource for entry in Bundle.model_validate_json(made.data).entry}
    kinds = [resource.get_resource_type() for resource in by_url.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Device": 2, "DeviceMetric": 1, "Observation": 25, "DocumentReference": 1, "Provenance": 1
    }  # fmt: skip
    provenance = next(each for each in by_url.values() if each.get_resource_type() == "Provenance")
    targets = [by_url[target.reference] for target in provenance.target]
    assert [each.get_resource_type() for each in targets] == ["Observation"] * 25
    document = by_url[provenance.entity[0].what.reference]
    attached = document.content[0].attachment.data
    attached = attached if attached.startswith(b"PK") else b64decode(attached)
    assert attached == export(ward.path, ward.vkey, "evidence").data
    assert attached == pack(unpack(attached))
    assert export(ward.path, ward.vkey, "evidence").sha256 in document.description
    for each in targets:
        assert by_url[by_url[each.device.reference].source.reference].serialNumber == "0000056661"


# -- what did not verify ----------------------------------------------------------------------------------------------


def test_evidence_is_not_made_over_an_entry_that_failed(ward, changed):
    with pytest.raises(VerificationError, match=f"cannot be evidence: {CHAIN} entry 7: part "):
        export(changed, ward.vkey, "evidence")


@pytest.mark.parametrize("name", ["fhir", "hl7", "csv"])
def test_an_entry_that_failed_has_no_value_and_is_told(ward, changed, name):
    proven = readings_of(export(ward.path, ward.vkey, "evidence"))
    made = export(changed, ward.vkey, name)
    assert values_of(made) == proven[:10] + proven[15:]  # of five entries the third
    assert f"{CHAIN} entry 7: part ".encode() in made.data
    assert any(
        remark.startswith("FAILED verification and told without a value: 1 of 5 entries; the first: ")
        for remark in made.remarks
    )


def test_the_bundle_of_a_failed_entry_says_why_no_evidence_goes_along(ward, changed):
    made = export(changed, ward.vkey, "fhir")
    resources = [entry.resource for entry in Bundle.model_validate_json(made.data).entry]
    (failed,) = [each for each in resources if getattr(each, "status", None) == "unknown"]
    assert failed.dataAbsentReason.coding[0].code == "error"
    assert failed.code.text == "entry that failed verification"
    assert any("no evidence goes along: cannot be evidence" in remark for remark in made.remarks)
    (provenance,) = [each for each in resources if each.get_resource_type() == "Provenance"]
    assert provenance.entity is None
    assert "no evidence goes along" in provenance.activity.text


def test_a_failed_entry_is_one_message_without_a_value(ward, changed):
    found = messages_of(export(changed, ward.vkey, "hl7").data)
    (message,) = [each for each in found if each[1][3].startswith("7/")]
    (row,) = [each for each in message if each[0] == "OBX"]
    assert (row[3].split("^")[0], row[5], row[11]) == ("failed", "", "X")


@pytest.mark.parametrize("name", ["fhir", "hl7", "csv"])
def test_findings_are_told(ward, name):
    made = export(ward.path, ward.vkey, name, Span(), "bed-2")
    assert any("FINDINGS and told without a value: " in remark for remark in made.remarks)
    assert b"finding" in made.data


def test_an_entry_whose_number_another_one_has_is_one_of_its_own(ward):
    bundle = json.loads(export(ward.path, ward.vkey, "fhir", Span(), "bed-2").data)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    told = messages_of(export(ward.path, ward.vkey, "hl7", Span(), "bed-2").data)
    assert len({message[0][10] for message in told}) == len(told)
    orders = [message[1][3] for message in told]
    assert len(orders) == len(set(orders))


@pytest.mark.parametrize("name", FORMATS)
def test_a_span_of_nothing(ward, name):
    with pytest.raises(MisuseError, match="no entry in this span"):
        export(ward.path, ward.vkey, name, Span(from_us=0, to_us=1))
