"""The pages and their data: what is verified is shown, what does not hold is shown as failed, and nothing else is."""

import json
import re
import sqlite3
from hashlib import sha256

import pytest

from collector.exports import FORMATS
from collector.generations import history
from collector.history import Span, find_device
from collector.reader import Reader
from collector.verified import VerifiedStore
from collector.web.checker.cells import is_drawn
from firmware_sim.physiology import Patient, Profile
from tests.browser import shop
from tests.browser.hospital import Bed, Hospital, Site
from tests.browser.shop import MASIMO
from tests.fault.ward import Ward
from vitaledger import evidence, policy
from vitaledger.cli.verify import read_zip
from vitaledger.marks import AlarmPhase, Provenance
from vitaledger.rows import ReadingRow, rows

NONIN, CONTEC, ICU, WAITING = "ward-3/nonin:port:bed-2", "ward-3/contec:port:bed-3", "icu/nonin:port:icu-1", "ward-5"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return shop.make(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def client(made, tmp_path_factory):
    path = shop.copy(made, tmp_path_factory.mktemp("served"))
    with shop.client(path, made.ward.vkey) as client:
        yield client


@pytest.fixture
def own(made, tmp_path):
    """A client with a store of its own, which may be changed."""
    path = shop.copy(made, tmp_path)
    with shop.client(path, made.ward.vkey) as client:
        yield client


def ask(client, label, from_us, to_us):
    """What the charts of an interval are drawn from: (head, parts, done)."""
    answer = client.get(f"/devices/{label}/data?from={from_us}&to={to_us}")
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert list(lines[0]) == ["head"]
    assert list(lines[-1]) == ["done"]
    return lines[0]["head"], [line["part"] for line in lines[1:-1]], lines[-1]["done"]


def columns(parts):
    """{signal: {cell: [n, lo, hi, marks]}} of all parts together."""
    found = {}
    for part in parts:
        for signal in part["signals"]:
            column = found.setdefault(signal["key"], {})
            for cell, n, lo, hi, marks in zip(
                *(signal[key] for key in ("cell", "n", "lo", "hi", "marks")), strict=True
            ):
                old = column.get(cell)
                if old is None:
                    column[cell] = [n, lo, hi, marks]
                elif n:
                    lows = (old[1], lo) if old[0] else (lo,)
                    highs = (old[2], hi) if old[0] else (hi,)
                    column[cell] = [old[0] + n, min(lows), max(highs), old[3] | marks]
                else:
                    old[3] |= marks
    return found


def expected(made, path, label, head):
    """The same by the way of the command line: each reading of each entry that holds, one by one."""
    found = {}
    with Reader.open(path) as reader:
        store = VerifiedStore(reader, made.ward.vkey)
        span = Span(head["from_us"], head["to_us"] - 1)
        for seen in history(store, find_device(store, label), span):
            for row in rows(seen.opened) if seen.opened else ():
                shown = isinstance(row, ReadingRow) and row.provenance is Provenance.DEVICE_LIVE
                if not shown or not span.covers(row.at_us) or row.value is None or not is_drawn(row.quality):
                    continue
                cell = found.setdefault(row.signal, {}).setdefault(row.at_us // head["cell_us"], [])
                cell.append(float(row.value))
    return {
        signal: {cell: (len(values), min(values), max(values)) for cell, values in column.items()}
        for signal, column in found.items()
    }


def drawn(parts):
    return {
        signal: {cell: tuple(each[:3]) for cell, each in column.items() if each[0]}
        for signal, column in columns(parts).items()
    }


def runs(parts, *states):
    return [run for part in parts for run in part["runs"] if run["state"] in states]


# -- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [MASIMO, NONIN, CONTEC])
@pytest.mark.parametrize("minutes", [10, 119, 60 * 24, 60 * 24 * 30])
def test_a_chart_holds_what_the_history_holds(client, made, label, minutes):
    to_us = made.now_ms * 1000
    head, parts, done = ask(client, label, to_us - minutes * 60_000_000, to_us)
    assert (to_us - head["from_us"]) / head["cell_us"] <= 2020
    assert drawn(parts) == expected(made, client.store, label, head)
    assert drawn(parts)["spo2"]
    assert done["entries"] == sum(part["entries"] for part in parts)


def test_parts_come_newest_first_and_the_first_needs_no_other(client, made):
    to_us = made.now_ms * 1000
    _, parts, _ = ask(client, NONIN, to_us - 7_000_000_000, to_us)
    begins = [min(run["from_us"] for run in part["runs"]) for part in parts if part["runs"]]
    assert begins == sorted(begins, reverse=True)


def test_gaps_carry_reason_and_length(client, made):
    to_us = made.now_ms * 1000
    _, parts, _ = ask(client, MASIMO, to_us - 7_200_000_000, to_us)
    told = [
        event for part in parts for event in part["events"] if event["kind"] == "gap" and not event["more"]["unknown"]
    ]
    assert [(each["more"]["reason"], each["at_us"] - each["from_us"]) for each in told] == [("unplugged", 360_000_000)]


def test_a_gap_that_ends_behind_the_interval_is_in_it(client, made):
    middle = (made.now_ms - 17 * 60_000) * 1000  # nothing was recorded around it
    _, parts, _ = ask(client, MASIMO, middle - 60_000_000, middle + 60_000_000)
    told = [event for part in parts for event in part["events"] if event["kind"] == "gap"]
    assert [each["more"]["reason"] for each in told] == ["unplugged"]
    assert not drawn(parts)


def test_marks_are_no_values(client, made):
    to_us = made.now_ms * 1000
    head, parts, _ = ask(client, MASIMO, to_us - 3_600_000_000, to_us)
    off_us = to_us - 49 * 60_000_000
    found = columns(parts)["spo2"]
    n, _, _, marks = found[off_us // head["cell_us"]]
    assert (n, marks) == (0, 1 << 10)  # sensor off
    assert found[(to_us - 40 * 60_000_000) // head["cell_us"]][3] == 1  # low perfusion
    artefact = found[(to_us - 25 * 60_000_000 + 5_000_000) // head["cell_us"]]
    assert (artefact[0], artefact[3]) == (0, 4)


def test_what_was_in_force_at_the_start(client, made):
    to_us = made.now_ms * 1000
    head, _, _ = ask(client, MASIMO, to_us - 30 * 60_000_000, to_us)
    assert head["identity"]["more"]["serial"] == "0000056661"
    assert head["alarm"]["more"]["text"] == "SpO2 low"
    assert head["alarm"]["more"]["on"] is True
    assert not head["begins_here"]
    head, _, _ = ask(client, MASIMO, to_us - 9_000_000_000, to_us)
    assert head["begins_here"]
    assert head["alarm"] is None


def test_readings_out_of_memory_are_told_and_not_drawn(client, made):
    to_us = made.now_ms * 1000
    _, parts, _ = ask(client, CONTEC, to_us - 7_000_000_000, to_us)
    assert sum(part["from_memory"] for part in parts) == 180
    told = [event for part in parts for event in part["events"] if event["kind"] == "memory"]
    assert "180 readings out of the device's memory" in told[0]["text"]


def test_states_are_told_apart(client, made):
    to_us = made.now_ms * 1000
    _, parts, _ = ask(client, "ward-5/nonin:port:bed-9", to_us - 7_000_000_000, to_us)
    assert {run["state"] for run in runs(parts, "proven", "custody")} == {"proven", "custody"}


@pytest.mark.parametrize("minutes", [119, 60 * 24, 60 * 24 * 30])
def test_a_byte_changed_in_the_database_is_failed_at_that_entry(own, made, minutes):
    to_us = made.now_ms * 1000
    from_us = to_us - minutes * 60_000_000
    whole = drawn(ask(own, MASIMO, from_us, to_us)[1])  # a block that was verified is known from here on
    shop.flip(own.store, MASIMO, 300)
    _, parts, _ = ask(own, MASIMO, from_us, to_us)
    (failed,) = runs(parts, "failed")
    assert (failed["first"], failed["last"], failed["timed"]) == (300, 300, False)
    assert re.search(r"masimo:sn:0000056661 entry 300: .*commit", failed["reason"])
    assert sum(n for n, _, _ in drawn(parts)["spo2"].values()) == sum(n for n, _, _ in whole["spo2"].values()) - 5
    proven = runs(parts, "proven")
    assert all(run["first"] > 300 or run["last"] < 300 for run in proven)
    assert failed["from_us"] in range(from_us, to_us)
    shop.flip(own.store, MASIMO, 300)
    assert drawn(ask(own, MASIMO, from_us, to_us)[1]) == whole


def test_an_entry_that_was_taken_out_is_missing(own, made):
    row = shop.place(own.store, MASIMO, 300)
    db = sqlite3.connect(own.store)
    db.execute("DELETE FROM positions WHERE chain = (SELECT chain FROM chains WHERE name = ?) AND seq = 300", (MASIMO,))
    db.execute("DELETE FROM entries WHERE id = ?", (row,))
    db.commit()
    db.close()
    to_us = made.now_ms * 1000
    _, parts, _ = ask(own, MASIMO, to_us - 86_400_000_000, to_us)
    assert ["entry 300 is missing" in run["reason"] for run in runs(parts, "failed")][:1] == [True]


def test_a_hole_however_wide_is_one_run(own, made):
    db = sqlite3.connect(own.store)
    db.execute("UPDATE chains SET next_seq = ? WHERE name = ?", (1 << 62, MASIMO))
    db.commit()
    db.close()
    to_us = made.now_ms * 1000
    _, parts, _ = ask(own, MASIMO, to_us - 86_400_000_000, to_us + 1_000_000)
    assert ["are missing" in run["reason"] for run in runs(parts, "failed")] == [True]
    assert drawn(parts)["spo2"]


@pytest.mark.parametrize(
    "query", ["", "?from=1", "?from=a&to=b", "?from=5&to=5", "?from=9&to=5", "?from=-1&to=5", f"?from=0&to={1 << 60}"]
)
def test_data_of_no_interval(client, query):
    answer = client.get(f"/devices/{MASIMO}/data{query}")
    assert answer.status_code == 400
    assert "expected" in answer.json()["wrong"]


def test_data_of_no_device(client):
    assert client.get("/devices/none/data?from=0&to=1").status_code == 404


# -- pages ------------------------------------------------------------------------------------------------------------

PAGES = ["/", "/explained", f"/devices/{MASIMO}", f"/devices/{MASIMO}/table", f"/devices/{MASIMO}/print"]


@pytest.mark.parametrize("path", [*PAGES, "/devices/none"])
def test_every_page_says_what_it_is_and_loads_nothing_from_elsewhere(client, path):
    answer = client.get(path)
    assert "A record, not for active monitoring." in answer.text
    assert "It raises no alarms." in answer.text
    assert 'id="newest-age"' in answer.text
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert not re.findall(r"(?:src|href|action)=\"(?!/|#|\?)", answer.text)
    assert not re.findall(r"<script(?! type=\"module\" src=)|<style|\son\w+=|\sstyle=", answer.text)


def test_the_overview_has_problems_first_and_marks_what_is_no_patients_record(client):
    page = client.get("/").text
    shown = re.findall(r'<tr id="device-([^"]+)"', page)
    levels = re.findall(r'data-id="[^"]+" class="level-(\d)', page)[: len(shown)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == "2"
    assert shown[0] == ICU
    assert shown[-1] == "masimo:sn:0000010001"  # swapped: ended
    parts = dict(re.findall(r'<tr id="device-([^"]+)"(.*?)</tr>', page, re.DOTALL))
    assert "not synchronised" in parts[ICU]
    assert "mark-demo" not in parts[ICU]
    assert all("mark-demo" in row for label, row in parts.items() if label != ICU)
    assert "in custody" in parts["ward-5/nonin:port:bed-9"]


def test_a_failure_deep_in_the_history_comes_to_the_overview(own):
    shop.flip(own.store, MASIMO, 40)  # two hours back: the patrol has to find it
    for _ in range(200):
        page = own.get("/").text
        if "entry 40 failed" in page:
            break
    assert "entry 40 failed" in page
    assert re.findall(r'<tr id="device-([^"]+)"', page)[0] == MASIMO
    assert f"/devices/{MASIMO}?span=1h&amp;at=" in page


def test_a_store_that_is_not_of_this_ledger_shows_nothing(made, tmp_path):
    path = shop.copy(made, tmp_path)
    with Reader.open(path) as reader:
        other = reader.logs()[0].vkey
    with shop.client(path, other) as client:
        answer = client.get("/")
        assert answer.status_code == 503
        assert "Nothing is shown that was not verified" in answer.text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?span=9h", "expected one of"),
        ("?from=2026-01-02&to=2026-01-01", "ends before it begins"),
        ("?from=2020-01-01&to=2026-01-01", "longer than 400 days"),
        ("?from=tomorrow", "ISO 8601"),
        ("?at=%F0%9F%98%80", "ISO 8601"),
    ],
)
def test_an_interval_that_is_none_is_said(client, query, text):
    for page in ("", "/table", "/print"):
        answer = client.get(f"/devices/{MASIMO}{page}{query}")
        assert answer.status_code == 400
        assert text in answer.text


def test_times_without_a_zone_are_of_the_pages_zone(made, tmp_path):
    path = shop.copy(made, tmp_path)
    with shop.client(path, made.ward.vkey, zone="Asia/Kathmandu") as client:
        page = client.get(f"/devices/{MASIMO}?from=2026-01-01T05:45&to=2026-01-01T06:45").text
        assert 'data-from-us="1767225600000000"' in page
        assert 'value="2026-01-01T05:45:00"' in page
        assert "Times are in Asia/Kathmandu" in page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example"])
def test_another_name_is_refused(client, host):
    for path in (*PAGES, "/static/base.js", f"/devices/{MASIMO}/data?from=0&to=1"):
        assert client.get(path, headers={"host": host}).status_code == 421
    assert client.get("/ledger/checkpoint", headers={"host": host}).status_code == 200


def test_only_reading(client):
    for path in PAGES:
        assert client.post(path).status_code == 405


# -- the table --------------------------------------------------------------------------------------------------------


def values_of(page):
    return [float(value) for value in re.findall(r"<b>([\d.]+)</b>", page)]


def test_the_table_sorts_on_the_server(client):
    up = values_of(client.get(f"/devices/{MASIMO}/table?sort=value&order=up&signal=spo2").text)
    down = values_of(client.get(f"/devices/{MASIMO}/table?sort=value&order=down&signal=spo2").text)
    assert len(up) > 400
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert up[0] == 62


def test_the_table_strikes_out_what_is_not_drawn_and_names_absences(client):
    pages = [client.get(f"/devices/{MASIMO}/table?signal=spo2&page={n}").text for n in range(1, 9)]
    text = "".join(pages)
    assert text.count("<s>") == 30
    assert "artefact" in text
    assert text.count("– sensor-off") == 180


def test_the_table_holds_an_hour_at_most_and_says_so(client):
    page = client.get(f"/devices/{MASIMO}/table?from=-2h&to=now").text
    assert "A table holds one hour at most" in page


def test_the_table_shows_what_failed(own):
    shop.flip(own.store, MASIMO, 1300)
    page = own.get(f"/devices/{MASIMO}/table?sort=state&order=up").text
    assert "not shown" in page
    assert re.search(r"entry 1300: .*commit", page)


@pytest.mark.parametrize("query", ["?sort=nothing", "?page=0", "?page=x", "?page=-1"])
def test_a_table_that_is_none(client, query):
    assert client.get(f"/devices/{MASIMO}/table{query}").status_code == 400


# -- files ------------------------------------------------------------------------------------------------------------


def test_evidence_of_a_page_is_what_the_offline_check_takes(client, made, tmp_path):
    answer = client.get(f"/devices/{MASIMO}/export/evidence?from=-10m&to=-2m")
    assert answer.status_code == 200, answer.text
    assert re.fullmatch(
        r'attachment; filename="masimo_sn_0000056661_\d+-\d+\.zip"', answer.headers["content-disposition"]
    )
    assert sha256(answer.content).hexdigest() == answer.headers["x-sha-256"]
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.content)
    trusted = policy.parse(f"log {made.ward.vkey}\nquorum none\n".encode())
    assert evidence.verify(read_zip(path), trusted).claim.chain == MASIMO


@pytest.mark.parametrize("form", ["fhir", "hl7", "csv"])
def test_other_forms_of_a_page(client, form):
    answer = client.get(f"/devices/{MASIMO}/export/{form}?from=-10m&to=-9m")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == int(answer.headers["content-length"]) > 1000
    assert answer.headers["content-disposition"].endswith(f'.{FORMATS[form].suffix}"')


def test_a_page_exports_a_day_at_most(client):
    answer = client.get(f"/devices/{MASIMO}/export/csv?from=-25h&to=now")
    assert answer.status_code == 400
    assert "a day at most" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("export/pdf?from=-1h&to=now", 400, "expected one of evidence"),
        ("export/csv?from=2020-01-01&to=2020-01-01T01:00", 400, "no entry in this span"),
        ("export/csv?from=-1h&to=now&origin=x", 400, "is not on x"),
    ],
)
def test_what_cannot_be_exported_is_said(client, path, status, text):
    answer = client.get(f"/devices/{MASIMO}/{path}")
    assert (answer.status_code, text in answer.text) == (status, True)


def test_there_is_no_evidence_of_what_failed(own):
    shop.flip(own.store, MASIMO, 1300)
    answer = own.get(f"/devices/{MASIMO}/export/evidence?from=-1h&to=now")
    assert answer.status_code == 503
    assert "cannot be evidence" in answer.text


# -- what others wrote ------------------------------------------------------------------------------------------------


def test_what_a_device_says_is_text_and_never_markup(tmp_path):
    hostile = "<img src=x onerror=alert(1)>'\"&"
    ward = Ward(tmp_path)
    ward.now_ms = shop.now_ms()
    site = Site("g1", 1)
    ward.enroll(site)
    site.now_ms = ward.now_ms - 60_000
    bed = Bed(site, "masimo:sn:1", Patient(Profile(), "p"), hostile, hostile, hostile, hostile)
    bed.begin(detail=hostile)
    bed.alarm(AlarmPhase.ONSET, hostile)
    bed.readings()
    Hospital(ward, ward.now_ms, 0, [site]).send(site)
    ward.close()
    with shop.client(ward.path, ward.vkey) as client:
        for path in ("/", "/devices/masimo:sn:1", "/devices/masimo:sn:1/table", "/devices/masimo:sn:1/print"):
            page = client.get(path).text
            assert "<img" not in page
            assert "&lt;img src=x" in page
        assert "<img" not in client.get("/devices/<img src=x>").text


def test_a_ledger_that_was_restored_is_told_on_overview_and_history(own):
    assert "Ledger: " not in own.get("/").text
    with sqlite3.connect(own.store) as db:
        db.execute("INSERT INTO halted (at_ms, gateway, shown) VALUES (1, 'ward-3', x'00')")
    said = "Ledger: this store was restored from an old copy, as gateway ward-3 has shown"
    assert said in own.get("/").text
    assert "nothing to look at" not in own.get("/").text
    assert said in own.get(f"/devices/{MASIMO}").text
