"""The history page hands out evidence and other forms, and the browser checks there what the page drew."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import cbor2
import pytest

from collector.reader import Reader
from collector.web.verifier import verifier_page
from tests.browser import shop
from tests.browser.verify_fixtures import serious
from vitaledger.entry import parse_leaf

HOURS = "?span=1h"
DAY_US = 86_400_000_000


def policy_text(hospital):
    return f"log {hospital.ward.vkey}\nquorum none\n"


def check(page, address, text, query=HOURS, chain=shop.MASIMO):
    page.goto(f"{address}/devices/{chain}{query}")
    page.wait_for_selector("body[data-shown]")
    page.fill("#policy-text", text)
    page.click("text=Check in this browser")
    page.wait_for_selector("#verify-here > div > .banner:not(.waiting)")
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
    assert "✗ NOT VERIFIED in this browser: 1 of" in check(page, address, policy_text(hospital), around(path))
    said = page.inner_text("#verify-here .why")
    assert re.search(rf"{shop.MASIMO} entry 700: part \w+: commitment expected \w+…, found \w+…", said), said
    assert re.search(r"index \d+ of the gateway's log, which is number 700", page.inner_text("#verify-here .which"))
    assert "The other entries hold, and what the page drew of them is what they say." in page.inner_text("#verify-here")
    assert serious(page) == []


def around(path, seq=700):
    return f"?at={at(path, seq)}&span=1h"


def at(path, seq=700):
    row = shop.place(path, shop.MASIMO, seq)
    with Reader.open(path) as reader:
        leaf, _ = reader.entry(row >> 40, row & ((1 << 40) - 1))
    return datetime.fromtimestamp(parse_leaf(leaf).clock.wall_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def change(path, what, row):
    """Change the store as somebody does who holds its file; `row` is that of the entry."""
    index = row & ((1 << 40) - 1)
    with closing(sqlite3.connect(path)) as db, db:
        if what == "leaf":
            (leaf,) = db.execute("SELECT leaf FROM entries WHERE id = ?", (row,)).fetchone()
            db.execute("UPDATE entries SET leaf = ? WHERE id = ?", (flipped(leaf, len(leaf) - 3), row))
        elif what == "tile":
            key = (row >> 40, index >> 8)
            (tile,) = db.execute("SELECT hashes FROM tiles WHERE log = ? AND level = 0 AND n = ?", key).fetchone()
            changed = flipped(tile, index % 256 * 32)
            db.execute("UPDATE tiles SET hashes = ? WHERE log = ? AND level = 0 AND n = ?", (changed, *key))
        elif what == "row":
            db.execute("DELETE FROM entries WHERE id = ?", (row,))
        elif what == "place":
            db.execute("DELETE FROM positions WHERE idx = ? AND seq = 700", (index,))
        else:
            db.execute("UPDATE entries SET body = (SELECT body FROM entries WHERE id = ?) WHERE id = ?", (row - 8, row))


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("what", "seq", "why"),
    [
        ("leaf", 700, "masimo:sn:0000056661 entry 700: entry {index} of the log: expected leaf hash"),
        ("leaf", 1370, "masimo:sn:0000056661 entry 1370: entry {index} of the log: expected leaf hash"),  # of the edge
        ("tile", 700, "tile/0/{tile}: of masimo:sn:0000056661 entry 700 expected hash"),
        ("row", 700, "masimo:sn:0000056661 entry 700: entry {index} of the log is missing in the store"),
        ("place", 700, "masimo:sn:0000056661 entry 700 is missing: the collector has nothing there"),
        ("body", 700, "masimo:sn:0000056661 entry 700: part "),
    ],
)
def test_whatever_was_changed_the_browser_names_the_entry(page, hospital, tmp_path, what, seq, why):
    path = shop.copy(hospital, tmp_path)
    row, query = shop.place(path, shop.MASIMO, seq), around(path, seq)
    change(path, what, row)
    index = row & ((1 << 40) - 1)
    with shop.serve(path, hospital.ward.vkey) as address:
        assert "✗ NOT VERIFIED in this browser: 1 of" in check(page, address, policy_text(hospital), query)
    assert page.inner_text("#verify-here .why").startswith(why.format(index=index, tile=index >> 8))
    (row,) = page.query_selector_all("#verify-here .failures tbody tr")
    assert row.get_attribute("data-seq") == str(seq)
    assert int(re.search(r"readings\s+(\d+)", page.inner_text("#verify-here .claims"))[1]) > 1000
    whole = what == "tile" or seq == 1370  # of these the page itself can show nothing of the log
    assert ("The other entries hold, and what the page drew" in page.inner_text("#verify-here")) != whole


def test_a_collector_that_lies_about_what_it_draws(page, address, hospital):
    def lie(route):
        lines = [json.loads(line) for line in route.fetch().text().splitlines()]
        signal = next(each for line in lines if "part" in line for each in line["part"]["signals"] if each["cell"])
        middle = len(signal["cell"]) // 2
        signal["hi"][middle] += 1
        lie.told = signal["key"]
        route.fulfill(body="".join(json.dumps(line) + "\n" for line in lines), content_type="application/x-ndjson")

    page.route("**/data?*", lie)
    assert "✗ NOT VERIFIED in this browser: 2" in check(page, address, policy_text(hospital))
    said = page.inner_text("#verify-here .why")
    assert said.startswith(f"{lie.told}, "), said
    assert "the entries say" in said
    assert page.get_attribute('[data-step="contents"]', "data-state") == "good"


def over_two_days(hospital):
    """An interval of 30 hours whose last day begins in the middle of what is stored."""
    end = datetime.fromtimestamp(hospital.now_ms / 1000, UTC) + timedelta(hours=23)
    return "?" + urlencode(
        {"from": f"{end - timedelta(hours=30):%Y-%m-%dT%H:%M:%SZ}", "to": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    )


def test_a_range_longer_than_a_day(page, address, hospital):
    assert "✓ VERIFIED in this browser" in check(page, address, policy_text(hospital), over_two_days(hospital))
    assert len(page.query_selector_all('#verify-here details[data-state="good"]')) == 2
    drawn = [each.text_content() for each in page.query_selector_all('#verify-here [data-step="drawn"]')]
    assert all(int(re.search(r"(\d+) values", said)[1]) > 1000 for said in drawn)
    (told,) = re.findall(rf"Entries (\d+) to (\d+) of {shop.MASIMO}", page.inner_text("#verify-here"))
    assert int(told[1]) - int(told[0]) > 1000
    assert serious(page) == []


def test_a_byte_changed_in_each_of_two_days(page, hospital, tmp_path):
    path = shop.copy(hospital, tmp_path)
    for seq in (200, 1000):
        shop.flip(path, shop.MASIMO, seq)
    with shop.serve(path, hospital.ward.vkey) as address:
        said = check(page, address, policy_text(hospital), over_two_days(hospital))
    assert "✗ NOT VERIFIED in this browser: 2 of 2 parts" in said
    rows = page.query_selector_all("#verify-here .failures tbody tr")
    assert [row.get_attribute("data-seq") for row in rows] == ["1000", "200"]


@pytest.mark.parametrize("which", ["that the border cuts", "before it", "behind it"])
def test_a_cell_of_any_day_that_was_not_drawn_as_it_is(page, address, hospital, which):
    def lie(route):
        lines = [json.loads(line) for line in route.fetch().text().splitlines()]
        head = lines[0]["head"]
        cut = (head["to_us"] - DAY_US) // head["cell_us"] + {
            "that the border cuts": 0,
            "before it": -1,
            "behind it": 1,
        }[which]
        for line in lines:
            for signal in line.get("part", {}).get("signals", ()):
                if signal["key"] == "spo2" and cut in signal["cell"]:
                    signal["hi"][signal["cell"].index(cut)] += 1
                    lie.told += 1
        route.fulfill(body="".join(json.dumps(line) + "\n" for line in lines), content_type="application/x-ndjson")

    lie.told = 0
    page.route("**/data?*", lie)
    said = check(page, address, policy_text(hospital), over_two_days(hospital))
    assert re.match("✗ NOT VERIFIED in this browser: [12] of 2 parts", said)  # parts overlap by a cell
    assert lie.told == 1
    assert page.inner_text("#verify-here details[open] .why").startswith("spo2, ")


@pytest.fixture(scope="module")
def web(hospital, tmp_path_factory):
    path = shop.copy(hospital, tmp_path_factory.mktemp("handouts"))
    with shop.client(path, hospital.ward.vkey) as client:
        yield client


def test_what_is_handed_over_unchecked_is_what_is_stored(web, hospital):
    end = hospital.now_ms * 1000
    path = f"/devices/{shop.MASIMO}/unchecked"
    answer = cbor2.loads(web.get(f"{path}?from={end - 600_000_000}&to={end}").content)
    (log,) = answer[2]
    origin, chain, anchor, _, _, ((first, last),), _, _, _ = log
    assert (origin, chain) == ("ward.example/gateway/ward-3", shop.MASIMO)
    with Reader.open(web.store) as reader:
        assert reader.statement(anchor[0]) == anchor[1]
        size = reader.anchors(1)[-1][0]
        page = cbor2.loads(web.get(f"{path}/page?origin={origin}&size={size}&first={first}&last={last}").content)
        assert [seq for seq, *_ in page[1]] == list(range(first, last + 1))
        assert all(reader.entry(1, index) == (leaf, body) for _, index, leaf, body in page[1])
        assert all(reader.tile(1, level, n) == hashes for level, n, hashes in page[2])


@pytest.mark.parametrize(
    "query",
    ["?from=0&to=86400000001", "?from=5&to=5", "?from=x&to=1", "?to=1",
     "/page?origin=other&size=1&first=0&last=0", "/page?origin=ward.example/gateway/ward-3&size=9999999&first=0&last=0",
     "/page?origin=ward.example/gateway/ward-3&size=100&first=3&last=2",
     "/page?origin=ward.example/gateway/ward-3&size=100&first=0&last=99999999999999999999"],
)  # fmt: skip
def test_what_cannot_be_handed_over(web, query):
    assert web.get(f"/devices/{shop.MASIMO}/unchecked{query}").status_code == 400


def test_the_verifier_is_handed_out(web):
    answer = web.get("/verify.html")
    assert sha256(answer.content).digest() == sha256(verifier_page().encode()).digest()
    assert "attachment" in answer.headers["content-disposition"]
