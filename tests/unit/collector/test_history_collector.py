"""The verified view: what is shown as proven, what as failed, and what an interval holds."""

import shutil
import sqlite3
from contextlib import contextmanager

import pytest

from collector.generations import history
from collector.history import Span, devices, find_device, identity
from collector.reader import Reader
from collector.verified import State, VerifiedLedger, VerifiedStore
from tests.fault.ward import T0, add_oddities, make_ward
from vitaledger.errors import ForkError, MisuseError, VerificationError

BED_1, BED_2, MASIMO = "g1/nonin:port:bed-1", "g2/contec:port:bed-2", "masimo:sn:0000056661"


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    made = make_ward(tmp_path_factory.mktemp("ward"), entries=270)
    add_oddities(made)
    made.close()
    return made


@pytest.fixture
def changed(ward, tmp_path):
    """Open a copy of the store after some SQL."""

    @contextmanager
    def open_changed(*statements):
        path = tmp_path / "changed.sqlite"
        shutil.copyfile(ward.path, path)
        db = sqlite3.connect(path, isolation_level=None)
        for sql, *arguments in statements:
            assert db.execute(sql, arguments).rowcount > 0
        db.close()
        with Reader.open(path) as reader:
            yield VerifiedStore(reader, ward.vkey)

    return open_changed


def seen(store, text, span=None, newest=None):
    return list(history(store, find_device(store, text), span or Span(), newest))


def states(entries):
    return {each.verdict.state for each in entries}


def place_of(store, name, seq):
    chain = next(row for row in store.reader.chains() if row.name == name)
    return chain.chain, store.reader.positions(chain.chain, seq, seq)[0].idx


def test_what_an_interval_holds_is_looked_up_and_not_searched_for(changed):
    """The cost of an interval does not grow with the age of the log."""
    asked = []
    with changed() as store:
        device = find_device(store, BED_1)
        (first, *_), wanted = history(store, device, Span()), place_of(store, "nonin:port:bed-1", 5)[1]
        at_us = next(each.at_us for each in history(store, device, Span()) if each.look.index == wanted)
        store.reader._db.set_trace_callback(asked.append)
        assert list(history(store, device, Span(at_us, at_us + 1)))
        store.reader._db.set_trace_callback(None)
        plans = [
            step[3]
            for query in {query for query in asked if " FROM positions" in query}
            for step in store.reader._db.execute(f"EXPLAIN QUERY PLAN {query}")
        ]
    assert any("positions_by_time (chain=? AND wall_ms>? AND wall_ms<?)" in plan for plan in plans)
    searched = [plan for plan in plans if "positions" in plan]
    assert all(plan.startswith("SEARCH") and plan.count("?") > 1 for plan in searched), searched
    assert first.at_us < at_us


def test_a_clean_store_shows_everything_proven(changed):
    with changed() as store:
        for text in (BED_1, MASIMO):
            found = seen(store, text)
            assert states(found) == {State.PROVEN}
            assert [each.seq for each in found] == list(range(len(found)))
        assert identity(store, find_device(store, MASIMO)).serial == "0000056661"


def test_entries_that_wait_for_an_anchor_are_stored_and_not_proven(changed):
    with changed() as store:
        assert states(seen(store, "bed-9")) == {State.STORED}


def test_a_finding_is_shown_with_its_reason(changed):
    with changed() as store:
        found = [each for each in seen(store, BED_2) if each.verdict.state is State.FINDING]
        assert len(found) == 1
        assert "expected entry" in found[0].verdict.reason


@pytest.mark.parametrize("text", [BED_1, "nonin:port:bed-1", "bed-1", "g1/nonin"])
def test_a_device_is_found_by_any_unique_part(changed, text):
    with changed() as store:
        assert find_device(store, text).label == BED_1


def test_what_is_not_unique_names_the_candidates(changed):
    with changed() as store:
        with pytest.raises(MisuseError, match=r"g1/nonin:port:bed-1, g2/contec:port:bed-2"):
            find_device(store, "bed")
        with pytest.raises(MisuseError, match="known are"):
            find_device(store, "nobody")
        assert [device.label for device in devices(store.reader)] == [BED_1, BED_2, "g3/nonin:port:bed-9", MASIMO]


def test_an_interval_holds_the_entries_that_overlap_it(changed):
    with changed() as store:
        every = seen(store, BED_1)
        span = Span(from_us=(T0 + 100_000) * 1000, to_us=(T0 + 130_000) * 1000)
        expected = [e.seq for e in every if e.at_us <= span.to_us and e.at_us + e.opened.last_us >= span.from_us]
        assert [each.seq for each in seen(store, BED_1, span)] == expected
        assert [each.seq for each in seen(store, BED_1, Span(first_seq=7, last_seq=9))] == [7, 8, 9]
        assert [each.seq for each in seen(store, BED_1, newest=2)] == [every[-2].seq, every[-1].seq]
        assert seen(store, BED_1, Span(to_us=0)) == []


def test_a_changed_body_is_failed_and_its_neighbours_are_proven(changed):
    with changed() as store:
        _, index = place_of(store, "nonin:port:bed-1", 100)
        body = store.reader.entry(1, index)[1]
    wrong = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
    with changed(("UPDATE entries SET body = ? WHERE id = ?", wrong, (1 << 40) + index)) as store:
        found = seen(store, BED_1, Span(first_seq=99, last_seq=101))
        assert [each.verdict.state for each in found] == [State.PROVEN, State.FAILED, State.PROVEN]
        assert "expected" in found[1].verdict.reason
        assert found[1].opened is None


@pytest.mark.parametrize("what", ["leaf", "missing", "position", "moved position", "position elsewhere", "tile"])
def test_whatever_is_wrong_with_an_entry_shows_it_as_failed(changed, what):
    with changed() as store:
        chain, index = place_of(store, "nonin:port:bed-1", 100)
        leaf = store.reader.entry(1, index + 1)[0]
        tile = store.reader.tile(1, 0, 0)
    row = (1 << 40) + index
    sql = {
        "leaf": ("UPDATE entries SET leaf = ? WHERE id = ?", leaf, row),
        "missing": ("DELETE FROM entries WHERE id = ?", row),
        "position": ("DELETE FROM positions WHERE chain = ? AND seq = 100", chain),
        "moved position": ("UPDATE positions SET idx = idx + 1 WHERE chain = ? AND seq = 100", chain),
        "position elsewhere": (  # the row of an entry of the log behind this one
            "UPDATE positions SET idx = 3 + (1 << 40) WHERE chain = ? AND seq = 100",
            chain,
        ),
        "tile": ("UPDATE tiles SET hashes = ? WHERE log = 1 AND level = 0 AND n = 0", tile[::-1]),
    }[what]
    with changed(sql) as store:
        found = seen(store, BED_1, Span(first_seq=99, last_seq=101))
        assert found[1].verdict.state is State.FAILED
        assert found[1].verdict.reason
        if what == "tile":
            assert states(seen(store, MASIMO)) == {State.PROVEN}
        else:
            assert found[0].verdict.state is State.PROVEN
        inside = Span(from_us=found[0].at_us, to_us=found[2].at_us) if found[2].at_us else None
        if inside is not None:
            assert any(each.seq == 100 and each.verdict.state is State.FAILED for each in seen(store, BED_1, inside))


def test_a_hole_in_the_numbers_is_one_row_however_wide(changed):
    with changed() as store:
        chain, _ = place_of(store, "nonin:port:bed-1", 0)
    wide = ("UPDATE chains SET next_seq = ? WHERE chain = ?", 1 << 62, chain)
    with changed(wide) as store:
        last = seen(store, BED_1)[-1]
        assert last.verdict.state is State.FAILED
        assert "are missing" in last.verdict.reason
        assert seen(store, BED_1, Span(from_us=T0 * 1000, to_us=(T0 + 9_000) * 1000))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE logs SET vkey = (SELECT vkey FROM logs WHERE log = 2) WHERE log = 1",
        "UPDATE logs SET enrolled = 0 WHERE log = 1 AND enrolled != 0 OR log = 2",
        "UPDATE anchors SET statement = statement - 1 WHERE log != 3",
    ],
)
def test_a_log_whose_key_or_anchor_does_not_hold_fails_as_a_whole(changed, sql):
    with changed((sql,)) as store:
        assert State.PROVEN not in states([*seen(store, BED_1)][:1] + [*seen(store, BED_2)][:1]) or "log = 1" in sql
        assert State.FAILED in states([*seen(store, BED_1), *seen(store, BED_2)])


def test_the_ledgers_checkpoint_must_be_of_the_pinned_key(ward, changed):
    with changed() as store:
        other = store.reader.logs()[0].vkey
        with pytest.raises(VerificationError):
            VerifiedLedger(store.reader, other)


def test_a_ledger_that_went_back_is_a_fork(tmp_path):
    made = make_ward(tmp_path, entries=40)
    try:
        with Reader.open(made.path) as reader:
            store = VerifiedStore(reader, made.vkey)
            before = store.ledger
            gateway = made.gateways[0]
            gateway.readings("nonin:port:bed-1")
            made.process([gateway.anchor(), *gateway.entries()])
            store.refresh()
            assert store.ledger.size > before.size
            with pytest.raises(ForkError):
                before.must_follow(store.ledger)
    finally:
        made.close()


def test_a_clock_that_ran_back_hides_nothing(tmp_path):
    made = make_ward(tmp_path, entries=40)
    gateway = made.gateways[0]
    first_ms = gateway.now_ms
    for step in (3_600_000, -3_590_000, 5_000):
        gateway.now_ms += step
        gateway.readings("nonin:port:bed-1")
    made.process([gateway.anchor(), *gateway.entries()])
    with Reader.open(made.path) as reader:
        store = VerifiedStore(reader, made.vkey)
        span = Span(from_us=(first_ms + 9_000) * 1000, to_us=(first_ms + 16_000) * 1000)
        assert len(seen(store, BED_1, span)) == 2
        late = Span(from_us=(first_ms + 3_599_000) * 1000, to_us=(first_ms + 3_601_000) * 1000)
        assert len(seen(store, BED_1, late)) == 1
    made.close()


def test_the_cost_of_an_interval_does_not_grow_with_the_log(tmp_path):
    costs = []
    for size in (300, 1500):
        made = make_ward(tmp_path / str(size), entries=size)
        made.close()
        with Reader.open(made.path) as reader:
            store = VerifiedStore(reader, made.vkey)
            asked = []
            reader._db.set_trace_callback(asked.append)
            assert len(seen(store, BED_1, Span(from_us=(T0 + 60_000) * 1000, to_us=(T0 + 80_000) * 1000))) > 3
            costs.append(len(asked))
    assert costs[1] < costs[0] * 1.5 + 20
