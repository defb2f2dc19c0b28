"""The process that verifies for the pages: folding, kept blocks, bounds, and its life."""

import asyncio
import os
import sqlite3
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hatchling.builders.wheel import WheelBuilder
from hypothesis import given
from hypothesis import strategies as st

from collector import config
from collector.reader import Reader
from collector.verified import State
from collector.web.checker import chart, desk, rows, table
from collector.web.checker.__main__ import step_back
from collector.web.checker.cells import Cell, Cells, Packed, Signal, _below
from collector.web.checker.client import Checker, CheckerError
from collector.web.checker.desk import BLOCK, Desk
from collector.web.checker.patrol import Patrol
from collector.web.views import overview
from tests.fault.ward import T0, make_ward
from vitaledger.content import Series
from vitaledger.errors import MisuseError
from vitaledger.marks import Category, Check, Provenance

ROOT = Path(__file__).parents[3]
SPO2 = Signal("spo2", 150456, 262688, Category.MEASURED, Provenance.DEVICE_LIVE, Check.NOTHING)
BED_1 = "g1/nonin:port:bed-1"
ALL = ((T0 - 172_800_000) * 1000, (T0 + 10_000_000) * 1000)  # so long that its cells come from kept blocks


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=600)
    made.close()
    return made


def parts(found, label, from_us, to_us):
    device = found.device(label)
    answers = [each for each in chart.chart(found, device, from_us, to_us) if each]
    return [each["part"] for each in answers if "part" in each], answers[-1]["done"]


# -- folding ----------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(-400, 400), st.integers(0, 31)), min_size=1, max_size=60),
    st.sampled_from([60, 300, 1800, 3600]),
)
def test_wide_cells_drop_no_extreme(readings, width_s):
    fold = Cells(60_000_000)
    column = fold.columns.setdefault(SPO2, {})
    for at_s, value, marks in readings:
        cell = column.setdefault(at_s * 1_000_000 // 60_000_000, Cell())
        cell.take(value / 10, value / 10, 1)
        cell.marks |= marks
    wide = Packed.of(fold).coarsen(width_s * 1_000_000, 0, 6_000_000_000).columns[SPO2]
    for number, cell in wide.items():
        inside = [(value / 10, marks) for at_s, value, marks in readings if at_s // 60 * 60 // width_s == number]
        assert (cell.n, cell.lo, cell.hi) == (len(inside), min(inside)[0], max(inside)[0])
        assert all(marks & ~cell.marks == 0 for _, marks in inside)
    assert sum(cell.n for cell in wide.values()) == len(readings)


def test_the_time_below_90_is_that_of_each_reading_until_the_next():
    series = Series("spo2", 150456, 262688, Category.MEASURED, -1, 0, (899, 900, 880, None, 850), (), ())
    times = [0, 1_000_000, 2_000_000, 9_000_000, 9_500_000]
    assert _below(series, times) == [1_000_000, 0, 5_000_000, 0, 500_000]


def test_columns_of_any_interval_are_bounded():
    for seconds in (1, 59, 3600, 28_800, 86_400, 604_800, 2_592_000, 400 * 86_400):
        width = chart.width_of(0, seconds * 1_000_000)
        assert seconds * 1_000_000 / width <= chart.MAX_COLUMNS
        assert width >= 60_000_000 or width * 2016 >= seconds * 1_000_000 / 10


# -- kept blocks ------------------------------------------------------------------------------------------------------


def counted(monkeypatch, found):
    """How many runs of entries are opened one by one from here on."""
    opened = []
    verify = Desk.verify

    def count(self, log, chain, first, last, *rest):
        opened.append((first, last))
        return verify(self, log, chain, first, last, *rest)

    monkeypatch.setattr(Desk, "verify", count)
    return opened


def test_a_block_is_verified_once_and_then_held_against_the_stored_bytes(ward, monkeypatch):
    found = Desk(ward.path, ward.vkey)
    opened = counted(monkeypatch, found)
    with found.snapshot():
        first, _ = parts(found, BED_1, *ALL)
        cold = list(opened)
        opened.clear()
        second, _ = parts(found, BED_1, *ALL)
    whole = [run for run in cold if run[0] % BLOCK == 0 and run[1] == run[0] + BLOCK - 1]
    assert whole
    assert not set(opened) & set(whole)  # only the block that is not full yet
    assert sum(part["entries"] for part in first) == sum(part["entries"] for part in second)


@pytest.mark.parametrize("what", ["body", "leaf", "moved", "finding", "tile"])
def test_a_kept_block_is_not_believed_when_the_store_was_changed(tmp_path, what):
    made = make_ward(tmp_path, entries=600)
    made.close()
    found = Desk(made.path, made.vkey)
    with found.snapshot():
        clean, _ = parts(found, BED_1, *ALL)
    assert {run["state"] for part in clean for run in plain(part["runs"])} == {"proven"}
    with Reader.open(made.path) as reader:
        row = next(each for each in reader.chains() if each.name == "nonin:port:bed-1")
        place = reader.positions(row.chain, 100, 100)[0]
        leaf, body = reader.entry(1, place.idx)
    db = sqlite3.connect(made.path)
    entry = (1 << 40) + place.idx
    sql = {
        "body": ("UPDATE entries SET body = ? WHERE id = ?", (body[:-1] + bytes([body[-1] ^ 1]), entry)),
        "leaf": ("UPDATE entries SET leaf = ? WHERE id = ?", (leaf[:-1] + bytes([leaf[-1] ^ 1]), entry)),
        "moved": ("UPDATE positions SET idx = idx + 1 WHERE chain = ? AND seq = 100", (row.chain,)),
        "finding": ("INSERT INTO findings VALUES (1, ?, 0)", (place.idx,)),
        "tile": ("UPDATE tiles SET hashes = zeroblob(8192) WHERE log = 1 AND level = 0 AND n = 0", ()),
    }[what]
    assert db.execute(*sql).rowcount == 1
    db.commit()
    db.close()
    with found.snapshot() as store:
        store._logs.clear()  # tiles that were checked are kept for as long as the log stands still
        after, _ = parts(found, BED_1, *ALL)
        bad = [run for part in after for run in plain(part["runs"]) if run["state"] == "failed"]
        assert any(run["first"] <= 100 <= run["last"] for run in bad)
        assert any(run.first <= 100 <= run.last for run in found.of(row).troubles)
        assert rows.overview(found, ALL[1])["devices"][0]["level"] == rows.FAILED


def plain(found):
    return msgspec.json.decode(msgspec.json.encode(found))


def test_kept_cells_are_bounded_and_the_oldest_go(ward, monkeypatch):
    monkeypatch.setattr(desk, "MAX_CELLS", 30)
    found = Desk(ward.path, ward.vkey)
    with found.snapshot():
        whole, _ = parts(found, BED_1, *ALL)
        assert 0 < found._cells <= 30
        again, _ = parts(found, BED_1, *ALL)
    assert sum(part["entries"] for part in again) == sum(part["entries"] for part in whole)


def test_events_of_a_view_are_bounded_and_the_rest_is_counted(ward, monkeypatch):
    found = Desk(ward.path, ward.vkey)
    with found.snapshot():
        whole, done = parts(found, BED_1, *ALL)
        told = sum(len(part["events"]) for part in whole)
        assert (told, done["events_left_out"]) == (1, 0)
        monkeypatch.setattr(chart, "MAX_EVENTS", 0)
        few, done = parts(found, BED_1, *ALL)
        assert (sum(len(part["events"]) for part in few), done["events_left_out"]) == (0, told)


def test_rows_of_a_table_are_bounded_and_the_rest_is_counted(ward, monkeypatch):
    found = Desk(ward.path, ward.vkey)
    monkeypatch.setattr(table, "MAX_ROWS", 100)
    with found.snapshot():
        *_, answer = table.table(found, found.device(BED_1), *ALL)
    assert len(answer["rows"]) == 100
    assert answer["left_out"] > 0


def test_known_clocks_are_bounded(ward, monkeypatch):
    monkeypatch.setattr(desk, "MAX_CLOCKS", 2)
    found = Desk(ward.path, ward.vkey)
    with found.snapshot():
        row, chain = found.device(BED_1).chains[0]
        found.of(chain).clocks.update({3, 1, 2})
        found.verify(found.log(row), chain, 0, 3)
        assert found.of(chain).clocks == {2, 3}


def test_the_patrol_comes_by_every_entry_and_says_how_far_it_came(ward):
    found = Desk(ward.path, ward.vkey)
    patrol = Patrol(found)
    turns = 0
    while patrol._rounds < 2:
        with found.snapshot():
            patrol.turn(ALL[1])
        turns += 1
    assert turns > 3
    with found.snapshot() as store:
        for _, chain in [pair for device in rows.devices(store.reader) for pair in device.chains]:
            assert found.of(chain).back_to_us == (T0 * 1000)
    assert patrol.due > time.monotonic()


def test_the_newest_state_is_that_of_the_newest_entry(ward):
    found = Desk(ward.path, ward.vkey)
    with found.snapshot():
        seen = rows.overview(found, ALL[1])
    assert {each["state"] for each in seen["devices"]} == {State.PROVEN.value}
    assert seen["newest_us"] == max(each["reading_us"] for each in seen["devices"])


# -- the process ------------------------------------------------------------------------------------------------------


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 60))


def test_asks_at_once_are_bounded(ward, monkeypatch):
    async def scenario():
        checker = Checker(ward.path, ward.vkey)
        open_asks = [checker.ask("overview") for _ in range(2)]
        monkeypatch.setattr("collector.web.checker.client.MAX_ASKS", 2)
        for each in open_asks:
            await anext(each)
        with pytest.raises(CheckerError, match="too many views"):
            await checker.one("overview")
        for each in open_asks:
            await each.aclose()
        assert (await checker.one("overview"))["devices"]
        await checker.close()

    run(scenario())


def test_an_answer_that_nobody_waits_for_is_cancelled(ward):
    async def scenario():
        checker = Checker(ward.path, ward.vkey)
        asked = checker.ask("chart", label=BED_1, from_us=ALL[0], to_us=ALL[1])
        await anext(asked)
        await asked.aclose()
        assert not checker._asks
        assert (await checker.one("device", label=BED_1))["label"] == BED_1
        await checker.close()

    run(scenario())


def test_a_process_that_was_killed_is_told_and_started_again(ward):
    async def scenario():
        checker = Checker(ward.path, ward.vkey)
        asked = checker.ask("chart", label=BED_1, from_us=ALL[0], to_us=ALL[1])
        await anext(asked)
        checker._process.kill()
        with pytest.raises(CheckerError, match="has ended"):
            async for _ in asked:
                pass
        assert (await checker.one("overview"))["devices"]
        await checker.close()

    run(scenario())


def test_the_process_ends_with_the_one_that_started_it(ward):
    async def scenario():
        checker = Checker(ward.path, ward.vkey)
        await checker.one("overview")
        process = checker._process
        await checker.close()
        return process.returncode

    assert run(scenario()) == 0


@pytest.mark.parametrize(
    ("ask", "args", "status"),
    [
        ("nothing", {}, 400),
        ("device", {"label": "none"}, 404),
        ("chart", {"label": "g1", "from_us": 0, "to_us": 1}, 404),
    ],
)
def test_what_cannot_be_answered_is_said(ward, ask, args, status):
    async def scenario():
        checker = Checker(ward.path, ward.vkey)
        with pytest.raises(CheckerError) as error:
            await checker.one(ask, **args)
        await checker.close()
        return error.value.status

    assert run(scenario()) == status


def test_a_process_that_may_not_lower_its_priority_works_all_the_same(monkeypatch, caplog):
    def refuse(_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    step_back()
    assert "own priority" in caplog.text


def test_those_who_watch_the_overview_are_bounded(monkeypatch):
    async def scenario():
        live = overview.Live(None)
        live._watching = {asyncio.Queue(1) for _ in range(overview.MAX_WATCHING)}
        return (await live.events(None)).status_code

    assert run(scenario()) == 503


# -- what is shipped and set up ---------------------------------------------------------------------------------------


def test_the_wheel_has_the_pages(tmp_path):
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    web = ROOT / "collector" / "web"
    for folder in ("templates", "static"):
        files = {each.relative_to(ROOT).as_posix() for each in (web / folder).rglob("*") if each.is_file()}
        assert files
        assert files <= names


def test_settings_of_the_pages():
    path = Path("collector.toml")
    found = config.parse(b'provider = "h.example"', path).http
    assert (found.pages, found.zone, found.names) == (False, "UTC", ())
    assert config.parse(config.TEMPLATE.format(provider="h.example").encode(), path).http.pages
    named = b'provider = "h.example"\n[http]\npages = true\nzone = "Europe/Berlin"\nnames = ["v.example"]\n'
    assert config.parse(named, path).http.names == ("v.example",)
    for zone in ("Mars/Olympus", "../../etc/passwd", ""):
        with pytest.raises(MisuseError, match="expected a zone"), suppress(UnicodeError):
            config.parse(b'provider = "h.example"\n[http]\nzone = "%s"\n' % zone.encode(), path)
