"""The history page hands out evidence and other forms, and the browser checks there what the page drew."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

import pytest

from collector.reader import Reader
from collector.web.verifier import verifier_page
from tests.browser import shop
from tests.browser.verify_fixtures import serious
from vitaledger import evidence, policy
from vitaledger.cli.verify import read_zip
from vitaledger.entry import parse_leaf

HOURS = "?span=1h"


def policy_text(hospital):
    return f"log {hospital.ward.vkey}\nquorum none\n"


def check(page, address, text, query=HOURS, chain=shop.MASIMO):
    page.goto(f"{address}/devices/{chain}{query}")
    page.wait_for_selector("body[data-shown]")
    page.fill("#policy-text", text)
    page.click("text=Check in this browser")
    page.wait_for_selector("#verify-here .banner.good, #verify-here .banner.bad")
    return page.inner_text("#verify-here .banner")


def test_the_browser_checks_what_the_page_drew(page, address, hospital):
    assert "✓ VERIFIED in this browser" in check(page, address, policy_text(hospital)), page.inner_text("#verify-here")
    said = page.inner_text('[data-step="drawn"]')
    values, signals = re.search(r"(\d+) values of (\d+) signals", said).groups()
    assert int(values) > 1000
    assert int(signals) >= 3
    assert serious(page) == []


def test_a_policy_of_another_ledger(page, address, hospital):
    other = policy_text(hospital).replace("log ward.example/", "log other.example/")
    page.goto(f"{address}/devices/{shop.MASIMO}{HOURS}")
    page.wait_for_selector("#policy-text")
    page.fill("#policy-text", other)
    page.wait_for_selector("#verify-here .bad")
    assert "expected key ID" in page.inner_text("#verify-here .bad")


def test_a_byte_changed_in_the_database(page, spoilt, hospital):
    address, path = spoilt
    assert "✗ NOT VERIFIED" in check(page, address, policy_text(hospital), f"?at={at(path)}&span=1h")
    assert all("503" in each for each in page.wrong)  # the console says that the collector gave none
    page.wrong.clear()
    said = page.inner_text("#verify-here .why")
    assert re.search(rf"{shop.MASIMO} entry 700: part \w+: commitment expected \w+…, found \w+…", said), said


def at(path):
    row = shop.place(path, shop.MASIMO, 700)
    with Reader.open(path) as reader:
        leaf, _ = reader.entry(row >> 40, row & ((1 << 40) - 1))
    return datetime.fromtimestamp(parse_leaf(leaf).clock.wall_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def web(hospital, tmp_path_factory):
    path = shop.copy(hospital, tmp_path_factory.mktemp("handouts"))
    with shop.client(path, hospital.ward.vkey) as client:
        yield client


def test_plain_evidence_is_the_same_and_deflated_as_a_whole(web, hospital, tmp_path):
    trusted = policy.parse(policy_text(hospital).encode())
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    times = f"from={quote((end - timedelta(minutes=20)).isoformat())}&to={quote(end.isoformat())}"
    found = []
    for plain in ("", "&plain=1"):
        answer = web.get(f"/devices/{shop.MASIMO}/export/evidence?{times}{plain}")
        assert answer.status_code == 200, answer.text
        (tmp_path / "e.zip").write_bytes(answer.content)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            how = {each.compress_type for each in archive.infolist()}
        assert how == {zipfile.ZIP_STORED if plain else zipfile.ZIP_DEFLATED}
        assert answer.headers.get("content-encoding") == ("gzip" if plain else None)
        found.append(evidence.verify(read_zip(tmp_path / "e.zip"), trusted))
    assert found[0].run == found[1].run
    assert len(found[0].entries) > 100


def test_the_verifier_is_handed_out(web):
    answer = web.get("/verify.html")
    assert sha256(answer.content).digest() == sha256(verifier_page().encode()).digest()
    assert "attachment" in answer.headers["content-disposition"]
