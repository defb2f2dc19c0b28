"""What a killed gateway had read, taken up again: with real drivers, with another one, and with a damaged journal."""

import os
import shutil
import sqlite3
from contextlib import suppress
from random import Random

import pytest

from gateway import config, schema
from gateway import journal as journals
from gateway.chains import Chains
from gateway.draft import Instant
from gateway.drivers.contec import ContecDriver
from gateway.drivers.masimo import MasimoDriver
from gateway.drivers.nonin import NoninDriver
from gateway.placement import Subject
from gateway.reader import Reader
from gateway.recorder import Limits, Recorder
from gateway.salvage import Wired, salvage
from gateway.slots import verify_slots
from gateway.source import Source
from gateway.tape import MAX_PENDING, Position, Tape, What
from gateway.verify import verify_store
from tests.unit.gateway.makers import KEY, LEDGER_KEY, drafts, heads, make_older, open_store
from tests.unit.gateway.recorder_kit import BOOT
from tests.unit.gateway.test_agent import LINE, Running, configuration, entries, pty, wait_for  # noqa: F401
from vitaledger import content
from vitaledger.entry import Clock
from vitaledger.errors import MalformedError
from vitaledger.events import Boot, Gap, Notice
from vitaledger.marks import Direction, Quality, Use

LIMITS = Limits(5_000_000, 1_000_000)


def nonin(second):
    """A packet a third of a second: 25 frames."""
    data = b""
    for n in range(75):
        at = n % 25
        frame = bytes((1, 0x80 | (at == 0), (second * 75 + n) % 250, {1: 72, 2: 97, 3: 48}.get(at, 0)))
        data += frame + bytes((sum(frame) % 256,))
    return data


def contec(second):
    return bytes.fromhex("01e0849392bce3ffff") * 60


def masimo(second):
    return LINE


DEVICES = {"nonin": (NoninDriver, nonin), "contec": (ContecDriver, contec), "masimo": (MasimoDriver, masimo)}


def subject(driver):
    return Subject("bed-1", driver.NAME, driver.VERSION, driver.CHECK, Use.DEMO, driver.signals, driver.waves)


def instant(us):
    return Instant(us, 1_700_000_000_000 + us // 1000, 3, BOOT)


def lived(name, seconds, seed=0, journal=None):
    """What a line had put and journaled when it was killed."""
    make, sends = DEVICES[name]
    random = Random(seed)
    chains = Chains({}, clean=True)
    journal = journal or journals.Journal(0, BOOT, clean=True)
    source = Source(make(may_send=False))
    recorder = Recorder(subject(make(may_send=False)), chains, LIMITS, tape=journal.tape("bed-1", name))
    us, put, rows, sent, told = 10**9, [], {}, [], []
    source.opened(us)
    recorder.opened(instant(us))
    data = b"".join(sends(second) for second in range(seconds))
    at, step = 0, max(1, len(data) // (seconds * 20))
    for tick in range(seconds * 20):
        us += 50_000
        piece = data[at : at + step + random.randrange(7)]
        at += len(piece)
        recorder.chunk(Direction.RECEIVED, piece, instant(us))
        found = source.receive(piece, us)
        told += found
        recorder.events(found, instant(us))
        recorder.tick(instant(us))
        sent.append(piece)
        if tick % 20 == 19:
            put += chains.take()
            made = journal.step()
            if made.row is not None:
                rows[made.end - 1] = made.row
            rows = {n: row for n, row in rows.items() if n >= made.first}
    return put, [rows[n] for n in sorted(rows)], b"".join(sent), told


def values(found):
    return [row for each in found if each.values for row in _rows(each)]


def _rows(draft):
    began = draft.began.mono_us
    return [(row.handle, began + row.at_us, row.value, row.quality) for row in content.readings(draft.values)]


def raw(found):
    return b"".join(chunk.data for draft in found for chunk in draft.raw if chunk.direction is Direction.RECEIVED)


@pytest.mark.parametrize("name", sorted(DEVICES))
@pytest.mark.parametrize("seconds", [1, 2, 4, 6, 11, 13])
def test_each_device_loses_nothing_that_was_journaled(name, seconds):
    put, rows, sent, told = lived(name, seconds, seconds)
    make = DEVICES[name][0]
    chains = {draft.chain: Clock(0, BOOT, 0, None) for draft in put}
    found = salvage(journals.read(rows), chains, {"bed-1": Wired(lambda: make(may_send=False), subject)}, LIMITS)
    assert raw([*put, *found.drafts]) == sent
    expected = [(each.handle, each.at_us, each.value, each.quality) for each in told if hasattr(each, "value")]
    assert sorted(values([*put, *found.drafts])) == sorted(expected)
    if chains:
        assert {draft.chain for draft in found.drafts} <= set(chains)
        assert not any(isinstance(draft.event, Gap) for draft in found.drafts)
    assert all(draft.began.boot_id == BOOT for draft in found.drafts)
    assert f"{found.bytes} bytes with {found.readings} readings" in found.detail or not found.drafts


def test_without_its_driver_the_bytes_are_kept():
    put, rows, sent, _ = lived("nonin", 7)
    known = {put[0].chain: None}
    for wired in ({}, {"bed-1": Wired(lambda: MasimoDriver(may_send=False), subject)}):
        found = salvage(journals.read(rows), known, wired, LIMITS)
        assert raw([*put, *found.drafts]) == sent
        assert not values(found.drafts)
    _, rows, sent, _ = lived("nonin", 2)  # nothing was sealed yet: nobody knows whose they are
    found = salvage(journals.read(rows), {}, {}, LIMITS)
    assert found.drafts == ()
    assert f"bed-1: {len(sent)} bytes lost, its driver nonin is not configured" in found.detail


def test_a_driver_that_fails_keeps_no_gateway_down():
    class Bad(NoninDriver):
        def receive(self, data, now_us):
            raise ZeroDivisionError

    _, rows, _, _ = lived("nonin", 7)
    found = salvage(journals.read(rows), {}, {"bed-1": Wired(lambda: Bad(may_send=False), subject)}, LIMITS)
    assert found.drafts == ()
    assert "ZeroDivisionError" in found.detail


def test_rows_are_few_and_small():
    journal = journals.Journal(0, BOOT, clean=True)
    _, rows, sent, _ = lived("nonin", 60, journal=journal)
    assert len(rows) <= 9  # an entry's five seconds, and what the driver needs to be warm
    assert max(map(len, rows)) < len(sent) / 60 * 1.4  # times and bytes of twenty pieces a second


def test_a_line_that_floods_is_not_journaled_until_that_is_sealed():
    tape = Tape("bed-1", "nonin")
    tape.follow(lambda: journals.Mark(Position(0, 0, 0), "c", None, "", 3, ""))
    for n in range(MAX_PENDING // 1000 + 1):
        tape.add(What.RECEIVED, instant(n), bytes(1000))
    assert tape.take() is None


@pytest.mark.parametrize("seed", range(40))
def test_a_row_that_was_changed_is_read_or_refused(seed):
    """Which rows are to be believed says the seal; reading any bytes must not end in a fault."""
    _, rows, _, _ = lived("masimo", 3)
    random = Random(seed)
    data = bytearray(rows[-1])
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    with suppress(MalformedError):
        journals.read([*rows[:-1], bytes(data)])


def test_a_store_of_the_version_before_gets_a_journal(tmp_path):
    with open_store(tmp_path) as store:
        store.commit([*drafts(20), heads(3000)])
    make_older(tmp_path, 1)
    with Reader.open(tmp_path) as reader:
        assert verify_store(reader, KEY, LEDGER_KEY).ok
    with open_store(tmp_path) as store:
        store.commit([], journals.Step(0, 1, b"\x00row"))
        assert store.journal() == [b"\x00row"]


def test_what_stood_still_is_still_marked():
    put, rows, _, told = lived("contec", 18)
    assert any(type(each).__name__ == "Notice" for each in told)
    make = DEVICES["contec"][0]
    found = salvage(
        journals.read(rows), {put[0].chain: None}, {"bed-1": Wired(lambda: make(may_send=False), subject)}, LIMITS
    )
    marks = {row[3] for row in values(found.drafts) if row[2] is not None}
    assert marks == {Quality.STALE}
    assert not any(isinstance(draft.event, Notice) for draft in found.drafts)


@pytest.fixture
def slow(configuration, tmp_path):  # noqa: F811
    """A gateway whose entries stay open over several commits: there is something in the journal most of the time."""
    path = tmp_path / "gateway.toml"
    path.write_text(path.read_text().replace("entry_seconds = 0.5", "entry_seconds = 3"))
    return config.load(path)


def kill(found, device):
    """A gateway that is stopped between two commits, with what it had journaled: the state is copied while it runs."""
    copy = found.state.with_name("copy")

    def copied():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(found.state, copy)
        return _journal(copy)

    with pty(device) as master:
        running = Running(found)
        wait_for(lambda: os_write(master) and [e for e in entries(found) if e.values], 15)
        wait_for(lambda: os_write(master) and copied(), 15)
        assert running.end() == 0
    shutil.rmtree(found.state)
    shutil.move(copy, found.state)


def os_write(master):
    return os.write(master, LINE)


def _journal(state):
    with Reader.open(state) as reader, reader.snapshot():
        return sum(each.open_bytes for each in journals.read(verify_slots(reader.seal(), reader.journal())))


def test_the_next_start_seals_what_the_journal_held(slow, tmp_path):
    kill(slow, tmp_path / "device")
    before = len(entries(slow))
    assert Running(slow).end() == 0
    after = entries(slow)[before:]
    boot = after[0].event
    assert isinstance(boot, Boot)
    assert "recovered" in boot.detail
    assert any(entry.values for entry in after)
    assert _journal(slow.state) == 0


def test_a_damaged_journal_is_told_and_does_not_keep_a_gateway_down(slow, tmp_path):
    kill(slow, tmp_path / "device")
    db = sqlite3.connect(slow.state / schema.DATABASE, isolation_level=None)
    db.execute("UPDATE journal SET data = x'0011'")
    db.close()
    before = len(entries(slow))
    assert Running(slow).end() == 0
    boot = entries(slow)[before].event
    assert "the journal is lost" in boot.detail
    assert _journal(slow.state) == 0
