"""Verify here: what a page drew against what the proven entries say, in the browser that shows it."""

import json
import re
from itertools import pairwise

import pytest

from tests.browser.verify_fixtures import SITE, browser, serious, serve
from tests.browser.verify_unchecked import Handed
from tests.evidence_world import BED_1, BEGAN, POLICY_TEXT, World, content
from vitaledger.entry import Kind, PartType
from vitaledger.marks import Absence, Category, Check, Provenance, Quality, Use

PAGE = """<!doctype html><html lang="en"><title>bed-1</title><body><main><h1>bed-1</h1>
<div id="view" data-path="/devices/bed-1" data-label="g1/nonin:port:bed-1"></div>
<section id="verify-here" aria-label="Verify here"></section></main>
<script type="module" src="/static/verify/page.js"></script></body></html>"""
WIDTH = 2_000_000
SPO2 = [(97, 98, 99, 96), (None, 95, 94, 93), (92, 91, 90, 89), (88, 87, 86, 85), (84, 83, 82, 81), (80, 79, 78, 77)]
PI = [(310, 325, 300, 301)] * len(SPO2)
QUALITY = {3: Quality.LOW_PERFUSION, 4: Quality.ARTEFACT | Quality.LOW_PERFUSION}  # by entry, of its second value
LOW, ARTEFACT, OFF = 1, 4, 1 << (7 + Absence.SENSOR_OFF)


def values(n):
    times = ((0, 250_000, 500_000, 750_000),)
    absences = content.runs([Absence.SENSOR_OFF if value is None else None for value in SPO2[n]])
    quality = content.runs([Quality(0), QUALITY.get(n, Quality(0)), Quality(0), Quality(0)])
    spo2 = content.Series("spo2", 150456, 262688, Category.MEASURED, 0, 0, SPO2[n], absences, quality)
    pi = content.Series("pi", 150448, 262688, Category.MEASURED, -2, 0, PI[n], (), ())
    context = content.Context(0, None, None)
    made = content.Values(
        "nonin", "1", Provenance.DEVICE_LIVE, Use.DEMO, Check.CHECKSUM, context, times, (spo2, pi), None
    )
    return content.VALUES.encode(made)


WORLD = World(extra=[(BED_1, Kind.READINGS, [(PartType.VALUES, values(n))]) for n in range(len(SPO2))])
# entries of the world are a second apart; the first of these is the 13th
FIRST_US = (BEGAN + 13_000) * 1000


def model():
    """What a page draws of these entries, worked out by hand: cells of two seconds, two entries in each."""
    assert FIRST_US % WIDTH == WIDTH // 2
    at = FIRST_US // WIDTH
    spo2 = {
        at: {"n": 4, "lo": 96, "hi": 99, "marks": 0},
        at + 1: {"n": 7, "lo": 89, "hi": 95, "marks": OFF},
        at + 2: {"n": 7, "lo": 81, "hi": 88, "marks": LOW | ARTEFACT},
        at + 3: {"n": 4, "lo": 77, "hi": 80, "marks": 0},
    }
    pi = {at + n: {"n": count, "lo": 3, "hi": 3.25, "marks": 0} for n, count in enumerate((4, 8, 8, 4))}
    return {
        "from_us": FIRST_US - 5_000_000, "to_us": FIRST_US + 20_000_000, "cell_us": WIDTH, "done": {},
        "signals": {"spo2": spo2, "pi": pi},
    }  # fmt: skip


@pytest.fixture(scope="module")
def chrome(request):
    with browser(request) as found:
        yield found


@pytest.fixture
def page(chrome):
    made = chrome.new_page()
    made.handed = Handed(WORLD, BED_1, 5, 11)
    made.route("**/*", serve)
    made.route("**/devices/bed-1", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    made.route("**/devices/bed-1/unchecked?*", made.handed.overview)
    made.route("**/devices/bed-1/unchecked/page?*", made.handed.page)
    made.goto(f"{SITE}/devices/bed-1")
    yield made
    made.close()


def draw(page, drawn):
    page.wait_for_selector("#policy-text")
    page.evaluate(
        """(text) => {
            const model = JSON.parse(text);
            const cells = (told) => ({ cells: new Map(Object.entries(told).map(([at, cell]) => [Number(at), cell])) });
            model.signals = new Map(Object.entries(model.signals).map(([key, told]) => [key, cells(told)]));
            document.getElementById('view').dispatchEvent(new CustomEvent('vitaledger:drawn', { detail: { model } }));
        }""",
        json.dumps(drawn),
    )


def check(page, drawn, text=POLICY_TEXT):
    draw(page, drawn)
    page.fill("#policy-text", text.decode())
    page.click("text=Check in this browser")
    page.wait_for_selector("#verify-here > div > .banner:not(.waiting)")
    return page.inner_text("#verify-here .banner")


def test_what_was_drawn_is_what_the_entries_say(page):
    assert "✓ VERIFIED in this browser" in check(page, model())
    said = page.inner_text('[data-step="drawn"]')
    # the last cell ends behind these entries
    assert "38 values of 2 signals in 6 cells" in said
    assert "2 drawn cells at the edge of these entries or outside them were not compared" in said
    drawn = model()
    assert f"?from={drawn['from_us']}&to={drawn['to_us']}" in page.handed.asked[0]
    assert serious(page) == []


@pytest.mark.parametrize(
    ("signal", "cell", "field", "value", "why"),
    [
        ("spo2", 1, "lo", 90, "the entries say 7 values from 89 to 95 with marks 1024, the page drew 7 values from 90"),
        ("spo2", 1, "hi", 96, "the entries say 7 values from 89 to 95"),
        ("spo2", 2, "n", 8, "the page drew 8 values from 81 to 88"),
        ("spo2", 2, "marks", 1, "the entries say 7 values from 81 to 88 with marks 5"),
        ("pi", 1, "lo", 2.99, "the page drew 8 values from 2.99 to 3.25"),
    ],
)
def test_a_cell_that_was_drawn_otherwise(page, signal, cell, field, value, why):
    drawn = model()
    drawn["signals"][signal][FIRST_US // WIDTH + cell][field] = value
    assert "✗ NOT VERIFIED" in check(page, drawn)
    assert why in page.inner_text("#verify-here .why")
    assert f"{signal}, 2025-06-15T15:06:5" in page.inner_text("#verify-here .why")
    assert f"number {6 + 2 * cell - 1} of" in page.inner_text("#verify-here .which")
    assert page.get_attribute('[data-step="contents"]', "data-state") == "good"


@pytest.mark.parametrize("signal", ["spo2", "more"])
def test_a_cell_or_a_signal_left_out_or_added(page, signal):
    drawn = model()
    if signal == "more":
        drawn["signals"]["more"] = {FIRST_US // WIDTH + 1: {"n": 1, "lo": 1, "hi": 1, "marks": 0}}
    else:
        del drawn["signals"]["spo2"][FIRST_US // WIDTH + 1]
    check(page, drawn)
    said = page.inner_text("#verify-here .why")
    assert "the page drew nothing" in said if signal == "spo2" else "the entries say nothing" in said


BAD = "#verify-here .why"


def body_of(handed, n=4):
    handed.entries[n][3] = flipped(handed.entries[n][3])


def leaf_of(handed, n=4):
    handed.entries[n][2] = flipped(handed.entries[n][2])


def flipped(data, at=-1):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def swap(handed):
    handed.entries[3][2:], handed.entries[4][2:] = handed.entries[4][2:], handed.entries[3][2:]


def part_dropped(handed):
    handed.entries[4][3] = b"\x80"


def nothing(handed):
    handed.entries[4][3] = None


def hash_of_another(handed):
    """The hash beside an entry, in the tile of the right edge."""
    tile = handed.log[8][0]
    tile[2] = flipped(tile[2], 32 * handed.entries[4][1])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (body_of, "nonin:port:bed-1 entry 9: part values: commitment expected "),
        (leaf_of, "nonin:port:bed-1 entry 9: entry 15 of the log: expected leaf hash "),
        (swap, "nonin:port:bed-1 entry 8: entry 14 of the log: expected leaf hash "),
        (part_dropped, "nonin:port:bed-1 entry 9: its part values is missing in the store"),
        (nothing, "nonin:port:bed-1 entry 9: entry 15 of the log is missing in the store, or not stored as bytes"),
        (lambda handed: handed.entries.pop(4), "nonin:port:bed-1 entry 9 is missing: the collector has nothing there"),
        (hash_of_another, "tile/0/0: of nonin:port:bed-1 entry 9 expected hash "),
    ],
)
def test_an_entry_that_does_not_hold_is_named_by_the_browser_and_the_others_are_checked(page, spoil, why):
    spoil(page.handed)
    drawn = model()
    bad = 2 if spoil is swap else 1
    assert f"✗ NOT VERIFIED in this browser: {bad} of" in check(page, drawn)
    assert page.inner_text(BAD).startswith(why)
    assert len(page.query_selector_all("#verify-here .failures tbody tr")) == bad
    told = page.inner_text("#verify-here .claims")
    assert f"of which {7 - bad} hold" in told.replace("\n", " ") or "entry 9 is missing" in why
    # entry 9 was drawn, and is not among what holds
    sealed = spoil is hash_of_another
    assert ("The other entries hold, and what the page drew" in page.inner_text("#verify-here")) == sealed
    assert serious(page) == []


def test_what_the_page_drew_without_the_failed_entry_is_confirmed(page):
    body_of(page.handed)
    drawn = model()
    at = FIRST_US // WIDTH
    drawn["signals"]["spo2"][at + 2] = {"n": 3, "lo": 81, "hi": 84, "marks": LOW | ARTEFACT}
    drawn["signals"]["pi"][at + 2] = {"n": 4, "lo": 3, "hi": 3.25, "marks": 0}
    assert "1 of 7 entries does not hold" in check(page, drawn)
    assert "The other entries hold, and what the page drew of them is what they say." in page.inner_text("#verify-here")
    assert page.get_attribute('[data-step="parts"]', "data-state") == "bad"
    assert page.get_attribute('[data-step="drawn"]', "data-state") == "good"


@pytest.mark.parametrize(
    ("spoil", "step", "why"),
    [
        (lambda handed: handed.answer.__setitem__(1, flipped(handed.answer[1], 30)), "ledger", "is not of this text"),
        (lambda handed: handed.log[2].__setitem__(1, flipped(handed.log[2][1])), "statements", "the anchor of"),
        (lambda handed: handed.log[3][0].__setitem__(1, flipped(handed.log[3][0][1])), "statements", "the key of"),
        (lambda handed: handed.log[4].__setitem__(1, bytes(32)), "after", "expected tree root"),
        (lambda handed: handed.log[4][3].__setitem__(3, flipped(handed.log[4][3][3])), "leaves", "commitment expected"),
        (lambda handed: handed.log[8][0].__setitem__(2, bytes(32 * 20)), "leaves", "tree of size 20: expected root"),
    ],
)
def test_where_everything_hangs_on_what_was_changed_nothing_is_confirmed(page, spoil, step, why):
    spoil(page.handed)
    assert "✗ NOT VERIFIED in this browser: 2025" in check(page, model())
    assert why in page.inner_text(BAD)
    wrong = page.query_selector_all('[data-step][data-state="bad"]')
    assert [each.get_attribute("data-step") for each in wrong][:1] == [step]


def late_heads(handed):
    """A heads entry that quotes a ledger head, and stands behind the entries."""
    handed.log[4][3] = [0, 12, *WORLD.gateway.entries[12]]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda handed: handed.entries.__delitem__(slice(0, 3)), "entries 5 to 7 are missing"),
        (lambda handed: handed.log[5].__setitem__(0, [8, 11]), "the collector hands over no entry of that time"),
        (lambda handed: handed.log[5].__setitem__(0, [5, 9]), "the collector hands over no entry of that time"),
        (lambda handed: handed.log.__setitem__(1, "nonin:port:bed-2"), "hands over entries of g1/nonin:port:bed-2"),
        (lambda handed: handed.log.__setitem__(5, [[5, 8], [8, 11]]), "are no runs"),
        (lambda handed: handed.entries.reverse(), "not in order"),
        (late_heads, "it does not stand before them"),
    ],
)
def test_a_collector_that_hands_over_less_or_something_else(page, spoil, why):
    spoil(page.handed)
    first, last = page.handed.log[5][0]
    page.handed.entries = [each for each in page.handed.entries if first <= each[0] <= last]
    assert "✗ NOT VERIFIED" in check(page, model())
    assert why in page.inner_text(BAD)


def test_a_collector_that_gives_none_says_why(page):
    why = "statement 2: missing in the store"
    wrong = f"<!doctype html><main><h1>That cannot be shown</h1><p class=card>{why}</p></main>"
    page.handed.instead = {"status": 503, "body": wrong, "content_type": "text/html; charset=utf-8"}
    assert "✗ NOT VERIFIED" in check(page, model())
    assert why in page.inner_text(BAD)


def test_what_waits_for_its_anchor_and_what_another_log_carries_is_said(page):
    page.handed.log[6] = 3
    page.handed.log[7] = [[FIRST_US + 2_000_000, FIRST_US + 2_000_001]]
    drawn = model()
    drawn["signals"]["spo2"][FIRST_US // WIDTH + 1]["n"] = 20
    assert "✓ VERIFIED in this browser" in check(page, drawn)
    said = page.inner_text("#verify-here")
    assert "3 entries that wait for their anchor" in said
    assert "2 hold entries that another log carries over" in said


def test_it_waits_for_what_is_drawn_and_for_a_policy(page):
    page.wait_for_selector("#policy-text")
    button = page.get_by_text("Check in this browser")
    assert button.is_disabled()
    page.fill("#policy-text", POLICY_TEXT.decode())
    page.wait_for_selector(".keys")
    assert button.is_disabled()
    draw(page, {**model(), "done": None})
    assert button.is_disabled()
    draw(page, model())
    assert button.is_enabled()


DAY_US = 86_400_000_000


def test_a_long_range_is_checked_a_day_after_the_other(page):
    page.handed.times = FIRST_US, FIRST_US + 6_000_000
    drawn = {**model(), "from_us": FIRST_US - 4 * DAY_US}
    assert "✓ VERIFIED in this browser" in check(page, drawn)
    spans = [tuple(int(each) for each in re.findall(r"=(\d+)", url)) for url in page.handed.asked]
    assert (spans[0][1], spans[-1][0]) == (drawn["to_us"], drawn["from_us"])
    assert all(older[1] - newer[0] == WIDTH for newer, older in pairwise(spans))
    assert all(to - begin <= DAY_US for begin, to in spans)
    states = [each.get_attribute("data-state") for each in page.query_selector_all("#verify-here details")]
    assert states == ["good", "none", "none", "none", "none"]
    first, last = page.handed.log[5][0]
    assert f"Entries {first} to {last} of {BED_1} of " in page.inner_text("#verify-here")


def test_what_was_drawn_of_another_day_is_held_against_that_day(page):
    page.handed.times = FIRST_US, FIRST_US + 6_000_000
    drawn = {**model(), "from_us": FIRST_US - 4 * DAY_US}
    drawn["signals"]["spo2"][drawn["from_us"] // WIDTH + 5] = {"n": 1, "lo": 90, "hi": 90, "marks": 0}
    assert "✗ NOT VERIFIED in this browser: 1 of 5 parts" in check(page, drawn)
    assert "the collector has no entry of this interval" in page.inner_text("#verify-here details[open] .why")


def test_a_long_check_can_be_stopped(page):
    page.handed.times = FIRST_US, FIRST_US + 6_000_000
    draw(page, {**model(), "from_us": FIRST_US - 4 * DAY_US})
    page.fill("#policy-text", POLICY_TEXT.decode())
    page.wait_for_selector(".keys")
    page.evaluate(
        """() => {
            for (const text of ['Check in this browser', 'Stop']) {
                [...document.querySelectorAll('button')].find((each) => each.textContent === text).click();
            }
        }"""
    )
    page.wait_for_selector("#verify-here > div > .banner.good")
    assert "Stopped: 1 of 5 parts were looked at, the newest first." in page.inner_text("#verify-here .banner")
    assert page.get_by_text("Check in this browser").is_enabled()


def of_days(page, function, *given):
    """What a function of days.js answers."""
    page.wait_for_selector("#policy-text")
    call = "async ([name, given]) => (await import('/static/verify/days.js'))[name](...given)"
    return page.evaluate(call, [function, given])


@pytest.mark.parametrize(("length", "cell"), [(DAY_US, 60), (3 * DAY_US, 216), (30 * DAY_US, 2160), (DAY_US + 700, 60)])
def test_each_cell_lies_whole_in_a_part(page, length, cell):
    begin, cell = FIRST_US, cell * 1_000_000
    found = [(part["from"], part["to"]) for part in of_days(page, "partsOf", begin, begin + length, DAY_US, cell)]
    assert found[0][1] == begin + length
    assert found[-1][0] == (begin if len(found) > 1 else begin + length - DAY_US)
    assert all(0 < to - since <= DAY_US for since, to in found)
    assert all(older[1] - newer[0] == cell for newer, older in pairwise(found))


def test_entries_of_none_of_the_days_are_told(page):
    stretch = lambda first, last, chain="c": {"origin": "o", "chain": chain, "first": first, "last": last}  # noqa: E731
    told = [stretch(90, 99), stretch(40, 50), stretch(51, 60), stretch(58, 70), stretch(0, 9, "d")]
    assert of_days(page, "stretchWords", told) == [
        "0 to 9 of d of o",
        "40 to 70, 90 to 99 of c of o; those between are of none of these times",
    ]


def test_what_was_drawn_before_it_listened(chrome):
    page = chrome.new_page()
    page.route("**/*", serve)
    early = PAGE.replace("</main>", "<script>document.getElementById('view').drawn = { model: %s };</script></main>")
    told = json.dumps({"from_us": 0, "to_us": WIDTH, "cell_us": WIDTH, "done": {}, "signals": {}})
    page.route("**/devices/bed-1", lambda route: route.fulfill(body=early % told, content_type="text/html"))
    page.goto(f"{SITE}/devices/bed-1")
    page.fill("#policy-text", POLICY_TEXT.decode())
    page.wait_for_selector(".keys")
    assert page.get_by_text("Check in this browser").is_enabled()
    page.close()


def test_over_plain_http_it_says_that_it_cannot(chrome):
    page = chrome.new_page()
    page.route("**/*", serve)
    page.route("**/devices/bed-1", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto("http://ward.test/devices/bed-1")
    page.wait_for_selector("#verify-here .banner.bad")
    said = page.inner_text("#verify-here .banner")
    assert "It cannot be checked here" in said
    assert "Download the evidence" in said
    assert page.query_selector("#policy-text") is None
    page.close()
