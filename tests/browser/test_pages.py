"""The pages in a real browser: what a clinician does, by mouse and by keyboard."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from axe_core_python.sync_playwright import Axe

from tests.browser import shop
from tests.browser.shop import MASIMO

HISTORY = f"/devices/{MASIMO}"
TWO_HOURS = "?from=-2h&to=now"


def opened(page, address, path):
    """Open a history and wait until all of it was verified and drawn."""
    page.goto(address + path)
    return shown(page)


def shown(page, not_this=None):
    page.wait_for_selector(f"body[data-shown]:not([data-shown='{not_this}'])")
    return page.get_attribute("body", "data-shown")


def interval(page):
    from_us, to_us = map(float, page.get_attribute("body", "data-shown").split("-"))
    return from_us, to_us


def trace(page):
    """Of how many pieces the line of the saturation is."""
    return page.locator(".chart[data-key=spo2] path.trace").get_attribute("d").count("M")


def lane(page, name):
    return page.locator(f"[data-lane={name}]")


def test_the_overview_is_live(page, hospital, tmp_path):
    path = shop.copy(hospital, tmp_path)
    with shop.serve(path, hospital.ward.vkey) as address:
        page.goto(address)
        page.get_by_text("live, verified just now").wait_for()
        assert page.get_by_text("entries that are not proven").count() == 0
        row = page.locator(f"tr[data-id='{MASIMO}']")
        row.get_by_role("link", name=MASIMO).focus()
        shop.flip(path, MASIMO, 1380)
        row.get_by_text("entry 1380 failed").wait_for()
        assert row.evaluate("row => row.classList.contains('level-3')")
        assert page.locator("#devices tr").first.get_attribute("data-id") == MASIMO
        assert page.evaluate("document.activeElement.textContent") == MASIMO  # who reads with the keyboard stays there
        assert page.get_by_text("1 with entries that are not proven").is_visible()


def test_from_the_overview_to_the_reading_that_is_not_proven_and_why(page, spoilt):
    address, _ = spoilt
    page.goto(address)
    page.get_by_role("link", name=re.compile("entry 700 failed")).click()  # one click
    shown(page)
    row = page.locator("#runs tr", has_text="failed")
    text = row.inner_text()
    assert "700" in text
    assert re.search(r"commit.*expected|expected.*found|does not", text, re.IGNORECASE)
    assert "chosen" in row.get_attribute("class")
    assert page.locator("#tile-proof").inner_text() == "✕ 1 failed"
    row.get_by_role("link", name="failed").click()  # two: what that means
    assert page.url.endswith("/explained#failed")
    assert page.locator("#failed").inner_text().startswith("✕")


@pytest.mark.parametrize("span", ["?from=-2h&to=now", "?span=24h", "?span=30d"])
def test_a_changed_byte_is_failed_at_that_entry_in_every_view(page, spoilt, span):
    address, path = spoilt
    opened(page, address, HISTORY + span)
    assert page.locator("#runs .level-3").inner_text().split()[:3] == ["✕", "failed", "700"]
    assert "✕ failed at entry 700" in lane(page, "proof").text_content()
    assert page.locator(".chart[data-key=spo2] .failed-area").count() == 1
    assert "1 of them does not hold" in page.locator("#progress").inner_text()
    pieces = trace(page)
    shop.flip(path, MASIMO, 700)
    opened(page, address, HISTORY + span)
    assert page.locator("#tile-proof").inner_text() == "✓ all anchored"
    assert page.locator(".failed-area").count() == 0
    assert trace(page) < pieces  # the line had broken there


def test_a_history_shows_what_happened(page, address):
    opened(page, address, HISTORY + TWO_HOURS)
    spo2 = page.locator(".chart[data-key=spo2]")
    assert trace(page) >= 4  # it breaks: gap, sensor off, artefact
    said = spo2.locator("svg text").all_text_contents()
    assert said[:4] == ["70", "80", "90", "100"]
    assert "▼ 62" in said
    assert spo2.locator(".low").count() == 1
    assert "○ sensor off" in "".join(said)
    assert "× artefact" in "".join(said)
    assert "no device checksum" in spo2.inner_text()
    assert "gap 6 min: unplugged" in lane(page, "axis").text_content()
    assert "▲ SpO2 low" in lane(page, "alarms").text_content()
    assert "Masimo Rad-8 SN 0000056661" in lane(page, "device").text_content()
    assert "✓ anchored" in lane(page, "proof").text_content()
    force = page.locator("#in-force").inner_text()
    assert "serial 0000056661" in force
    assert "none told by this device" in force
    assert re.fullmatch(r"1\d(\.\d)? min", page.locator("#tile-below").inner_text())
    assert page.locator("#tile-gaps").inner_text() == "1"


def test_values_are_those_of_the_table(page, address):
    opened(page, address, HISTORY + "?from=-35m&to=-26m")
    page.locator("#charts").focus()
    page.keyboard.press("ArrowLeft")
    said = page.locator("#cursor").inner_text()
    at, value = re.match(r"(\S+ \S+) UTC: SpO₂ (\d+) %", said).groups()
    query = f"from={at.replace(' ', 'T')}&to=now&signal=spo2&sort=time&order=up"
    page.goto(f"{address}{HISTORY}/table?{query}")
    first = page.locator("tbody tr").first.inner_text()
    assert first.startswith(at[:-1])
    assert f"{value} %" in first


def test_zoom_and_pan_by_keyboard_buttons_and_mouse(page, address):
    first = opened(page, address, HISTORY + TWO_HOURS)
    before = interval(page)
    page.locator("#charts").focus()
    page.keyboard.press("+")
    second = shown(page, first)
    closer = interval(page)
    assert before[0] < closer[0] < closer[1] < before[1]
    page.keyboard.press("Shift+ArrowLeft")
    third = shown(page, second)
    assert interval(page)[0] < closer[0]
    page.get_by_role("button", name="Zoom out").click()
    fourth = shown(page, third)
    box = page.locator(".chart[data-key=spo2] svg").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 60)
    page.mouse.up()
    shown(page, fourth)
    assert "from=" in page.url
    dragged = interval(page)
    assert (dragged[1] - dragged[0]) < (before[1] - before[0]) / 2
    assert "from=" in page.locator("#table-link").get_attribute("href")
    page.go_back()
    page.wait_for_selector(f"body[data-shown='{fourth}']")


def test_every_control_is_reached_by_keyboard_and_shows_that_it_is(page, address):
    opened(page, address, HISTORY + TWO_HOURS)
    reached = []
    for _ in range(60):  # a field of a date has many stops
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) != "none" or document_itself(page), reached[-1]
    assert reached[0] == "To the content"
    for wanted in ("Overview", "1 h", "30 d", "from", "to", "Show", "←", "+", "charts", "table-link", "print-link"):
        assert wanted in reached


def document_itself(page):
    return page.evaluate("document.activeElement === document.body")


def test_nothing_jumps_while_it_is_verified(page, address):
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "entry => { if (!entry.hadRecentInput) window.shift += entry.value; }))"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    for path in ("/", HISTORY + TWO_HOURS):
        page.goto(address + path)
        page.wait_for_selector("body[data-shown]" if path != "/" else "#live:has-text('just now')")
        page.wait_for_timeout(300)
        assert page.evaluate("window.shift") < 0.02


def test_a_lost_connection_is_said_and_the_age_goes_on(page, hospital, tmp_path):
    path = shop.copy(hospital, tmp_path)
    with shop.serve(path, hospital.ward.vkey) as address:
        page.goto(address)
        page.get_by_text("live, verified just now").wait_for()
        age = page.locator("#newest-age").inner_text()
        page.clock.install()
    page.clock.fast_forward(600_000)
    page.get_by_text("connection lost: values are old").wait_for()
    assert page.locator("#newest-age").inner_text() not in {age, "…"}
    page.goto("about:blank")
    assert all("net::ERR_" in each for each in page.wrong)
    page.wrong.clear()


def test_the_sheet_prints_on_a4(page, address):
    opened(page, address, f"{HISTORY}/print{TWO_HOURS}")
    page.emulate_media(media="print")
    assert page.locator("#print-now").is_hidden()
    text = page.locator("main").inner_text()
    for wanted in (
        "A record, not for active monitoring",
        "State of proof in words",
        "What it cannot prove",
        "ward.example/ledger",
    ):
        assert wanted in text
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    data = page.pdf(prefer_css_page_size=True)
    assert data.startswith(b"%PDF")
    assert re.search(rb"/MediaBox \[0 0 594\.\d+ 84[12]", data)


@pytest.mark.parametrize(
    "path",
    ["/", "/explained", HISTORY + TWO_HOURS, f"{HISTORY}/table?from=-10s&to=now", f"{HISTORY}/print{TWO_HOURS}"],
)
def test_axe_finds_nothing_serious(page, address, path):
    page.goto(address + path)
    if TWO_HOURS in path:
        shown(page)
    found = Axe().run(page)["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in {"serious", "critical"}] == []


def test_a_tablet_needs_no_sideways_scrolling(chromium, address):
    context = chromium.new_context(viewport={"width": 768, "height": 1024}, has_touch=True)
    page = context.new_page()
    for path in ("/", HISTORY + TWO_HOURS, f"{HISTORY}/table?from=-26m&to=-25m"):
        page.goto(address + path)
        if TWO_HOURS in path:
            shown(page)
        wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], path
    context.close()


def test_times_are_in_the_zone_that_the_page_names(page, hospital, tmp_path):
    path = shop.copy(hospital, tmp_path)
    with shop.serve(path, hospital.ward.vkey, zone="America/New_York") as address:
        opened(page, address, HISTORY + TWO_HOURS)
        said = page.locator("#progress").inner_text()
        assert "America/New_York" in said
        at = datetime.fromtimestamp(interval(page)[0] / 1e6, ZoneInfo("America/New_York"))
        assert said.startswith(f"{at:%Y-%m-%d %H:%M:%S}")
