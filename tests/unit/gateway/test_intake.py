"""One thread reads all lines: what comes, from whom, in order, and when; lines that go away, are full, or get stuck."""

import contextlib
import os
import threading
import time

import pytest

from gateway import intake as module
from gateway.clock import SystemClock
from gateway.draft import Instant
from gateway.inbox import FULL, MAX_WAITING, Inbox
from gateway.intake import Intake
from gateway.port import LineGoneError, Port
from tests.unit.gateway.test_port import SETTINGS, pty, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Open:
    """A line that the intake reads."""

    def __init__(self, intake, link):
        self.port, self.inbox = Port(str(link), SETTINGS), Inbox()
        self.leave = intake.follow(link.name, self.port, self.inbox)

    def close(self):
        self.leave()
        self.port.close()

    def read(self):
        return b"".join(data for data, _ in self.inbox.pieces())


@pytest.fixture
def incidents():
    return []


@pytest.fixture
def intake(incidents):
    intake = Intake(SystemClock(), incidents.append)
    intake.start()
    yield intake
    intake.stop()


@pytest.fixture
def lines(intake, tmp_path):
    """Makes open lines, by name, each with the device's end."""
    with contextlib.ExitStack() as stack:

        def make(name):
            master = stack.enter_context(pty(tmp_path / name))
            line = Open(intake, tmp_path / name)
            stack.callback(line.close)
            return line, master

        yield make


def test_each_line_gets_its_own_bytes_in_order_and_never_before_they_came(lines):
    (one, first), (two, second) = lines("one"), lines("two")
    clock, found, before = SystemClock(), {one: [], two: []}, 0
    for n in range(15):
        before = clock.now().mono_us
        os.write(first, b"%02d" % n)
        os.write(second, b"%03d" % n)
        wait_for(lambda n=n: (one.inbox.received, two.inbox.received) == (2 * (n + 1), 3 * (n + 1)))
        for line in (one, two):
            found[line] += [(data, at.mono_us - before) for data, at in line.inbox.pieces()]
    assert b"".join(data for data, _ in found[one]) == b"".join(b"%02d" % n for n in range(15))
    assert b"".join(data for data, _ in found[two]) == b"".join(b"%03d" % n for n in range(15))
    assert min(late for line in found.values() for _, late in line) >= 0


def test_bytes_are_gathered_and_a_wake_up_has_one_time_for_all_lines(lines):
    (one, first), (two, second) = lines("one"), lines("two")
    end = time.monotonic() + 1.05
    while time.monotonic() < end:
        os.write(first, b"a")
        os.write(second, b"b")
        time.sleep(0.001)
    wait_for(lambda: one.inbox.received == two.inbox.received)
    pieces = [(at, data) for data, at in one.inbox.pieces()]
    assert len(pieces) <= 13  # ten a second, and not a thousand
    assert {at for at, _ in pieces} & {at for _, at in two.inbox.pieces()}


def test_a_line_that_goes_away_says_so_behind_its_last_bytes_and_others_go_on(lines):
    (one, first), (two, second) = lines("one"), lines("two")
    os.write(first, b"last")
    wait_for(lambda: one.inbox.received == 4)
    os.close(first)
    with pytest.raises(LineGoneError):
        one.inbox.wait(10)
    assert one.read() == b"last"
    os.write(second, b"on")
    wait_for(lambda: two.read() == b"on")
    with pytest.raises(LineGoneError):
        one.inbox.wait(0)


def test_what_nobody_takes_waits_in_the_kernel_and_is_not_lost(lines):
    line, master = lines("one")
    sent = bytes(range(256)) * 400
    writer = threading.Thread(target=lambda: [os.write(master, sent[at : at + 512]) for at in range(0, len(sent), 512)])
    writer.start()
    wait_for(lambda: line.inbox.full)
    assert line.inbox.waiting < FULL + 4096
    found = b""
    while len(found) < len(sent):
        line.inbox.wait(1)
        found += line.read()
    writer.join()
    assert found == sent


def test_the_number_of_a_closed_port_is_not_read_for_it(intake, tmp_path):
    """Lines that come and go take the numbers of one another; each byte goes to the line that it was sent to."""
    for n in range(20):
        name = b"%02d" % n
        with pty(tmp_path / "device") as master:
            line = Open(intake, tmp_path / "device")
            os.write(master, name)
            wait_for(lambda line=line: line.inbox.received == 2)
            os.write(master, name)  # may be read while it is closed
            line.close()
            assert set(line.read().decode()) <= set(name.decode())
            assert line.read() == b""


def test_a_line_is_woken_for_what_must_not_wait(lines):
    line, master = lines("one")
    os.write(master, bytes(10))
    wait_for(lambda: line.inbox.received == 10)
    assert not line.inbox._wake.is_set()
    for _ in range(MAX_WAITING // 512):
        os.write(master, bytes(512))
    line.inbox.wait(60)
    assert line.inbox.waiting >= MAX_WAITING
    wait_for(lambda: line.inbox.received == 10 + MAX_WAITING)
    line.read()
    line.inbox.wait(0)
    line.inbox.prompt_until = time.monotonic() + 60
    os.write(master, b"x")
    line.inbox.wait(60)
    assert line.read() == b"x"


def test_no_piece_bears_a_time_before_what_the_driver_was_told():
    inbox, (early, late, later) = Inbox(), (Instant(us, 5, None, bytes(16)) for us in (1, 2, 3))
    inbox.told = late
    inbox.put(b"a", early, 0.0)
    inbox.put(b"b", later, 0.0)
    assert list(inbox.pieces()) == [(b"a", late), (b"b", later)]


def hangs(monkeypatch, name):
    """From now on the read of that line does not return before the event is set; what it brings then is b"late"."""
    stuck, release, take = threading.Event(), threading.Event(), Port.take

    def hang(self):
        if self.device.endswith(name):
            stuck.set()
            release.wait(60)
            return b"late"
        return take(self)

    monkeypatch.setattr(Port, "take", hang)
    return stuck, release


def test_a_read_that_does_not_return_holds_up_the_others_for_some_seconds(intake, lines, incidents, monkeypatch):
    monkeypatch.setattr(module, "STUCK_S", 0.3)
    (one, first), (two, second) = lines("one"), lines("two")
    stuck, release = hangs(monkeypatch, "one")
    thread = intake._shift.thread
    os.write(first, b"x")
    assert stuck.wait(10)
    os.write(second, b"held up")
    assert intake.stuck_in() is None  # it may have begun this moment
    wait_for(lambda: intake.stuck_in() == "one")
    intake.restart("line one")
    wait_for(lambda: two.read() == b"held up")
    assert incidents == ["line one"]
    os.write(second, b"goes on")
    wait_for(lambda: two.inbox.received == 14)
    assert intake.stuck_in() is None
    release.set()
    wait_for(lambda: not thread.is_alive())
    assert (one.read(), two.read()) == (b"", b"goes on")  # what it brought later is not heard


def test_a_machine_that_stood_still_is_not_taken_for_a_read_that_is_stuck(intake, monkeypatch):
    monkeypatch.setattr(module, "STUCK_S", -1.0)  # any read is as old as that
    one, two = (object(), 0.0), (object(), 0.0)
    for inside in (one, two, None, one):
        intake._shift.inside = inside
        assert intake.stuck_in() is None


def test_what_was_read_before_another_line_got_stuck_is_handed_out(intake, lines, monkeypatch):
    monkeypatch.setattr(module, "STUCK_S", 0.1)
    (_, first), (two, second) = lines("one"), lines("two")
    stuck, release = hangs(monkeypatch, "one")
    sent = b""
    while not stuck.is_set():  # some of it is read in the round that gets stuck, before or behind
        sent += b"."
        os.write(second, b".")
        os.write(first, b"x")
    wait_for(lambda: intake.stuck_in() == "one")
    intake.restart("line one")
    wait_for(lambda: two.inbox.received == len(sent))
    release.set()


def test_a_thread_that_ended_is_replaced_and_nothing_is_lost(intake, lines, incidents, monkeypatch):
    line, master = lines("one")
    take = Port.take

    def ends(self):
        monkeypatch.setattr(Port, "take", take)
        raise SystemExit

    monkeypatch.setattr(Port, "take", ends)
    os.write(master, b"kept")
    wait_for(lambda: not intake.alive)
    intake.restart("its thread had ended")
    wait_for(lambda: line.read() == b"kept")
    assert (intake.alive, incidents) == (True, ["its thread had ended"])
