"""Threads that die, ports that get stuck, a commit that stands still: noticed, begun again, and in the history."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from gateway import agent, config, last_words, mqtt, watchdog
from gateway.held import HeldPort
from gateway.port import Port
from gateway.reader import Reader
from gateway.watchdog import Watchdog
from tests.unit.gateway.test_agent import LINE, Running, configuration, entries  # noqa: F401  a fixture
from tests.unit.gateway.test_port import pty, wait_for
from tests.unit.gateway.test_uplink_mqtt import collector, link_of, port, wait  # noqa: F401  fixtures
from vitaledger import events
from vitaledger.marks import GapReason

# -- the rules, with a clock that is driven ---------------------------------------------------------------------------


class Part:
    def __init__(self, name, clock):
        self.name, self.clock = name, clock
        self.alive, self.given_up, self.restarts, self.stuck = True, None, [], None
        self.came_round = self.last_progress = clock[0]

    def restart(self, detail):
        self.restarts.append(detail)
        self.alive, self.came_round, self.last_progress = True, self.clock[0], self.clock[0]
        self.stuck = None

    def stuck_in(self):
        return self.stuck

    def goes_on(self):
        self.came_round = self.last_progress = self.clock[0]


class World:
    def __init__(self):
        self.now, self.fed, self.ended = [0.0], 0, []
        self.line, self.other, self.link = Part("bed-1", self.now), Part("bed-2", self.now), Part("uplink", self.now)
        self.intake = Part("intake", self.now)
        self.dog = Watchdog(
            [self.line, self.other],
            self.intake,
            self.link,
            clock=lambda: self.now[0],
            stalled=self.ended.append,
            feed=self.feed,
        )

    def feed(self):
        self.fed += 1

    def pass_s(self, seconds, *alive, commit=True, reads=True):
        """Second by second; what is named goes on. Answers when and why the process has to end."""
        for _ in range(seconds):
            self.now[0] += 1
            for part in (*alive, *([self.intake] if reads else [])):
                part.goes_on()
            if commit and (why := self.dog.came_round()) is not None:
                return self.now[0], why
            self.dog.look()
        return None


def test_all_goes_on():
    world = World()
    assert world.pass_s(300, world.line, world.other, world.link) is None
    assert (world.fed, world.line.restarts, world.ended) == (300, [], [])


def test_a_dead_thread_is_begun_again_at_once_and_not_for_ever():
    for name in ("line", "link", "intake"):
        world = World()
        part = getattr(world, name)
        parts = (world.line, world.other, world.link)
        for n in range(watchdog.RESTARTS):
            part.alive = False
            assert world.pass_s(1, *parts) is None
            assert part.restarts == ["its thread had ended"] * (n + 1)
        part.alive = False
        assert "again" in world.pass_s(1, *parts)[1]
        world.now[0] += watchdog.RESTARTS_S
        assert world.pass_s(1, *parts) is None  # a long time ago


def test_a_stuck_port_is_noticed_within_a_minute_and_touches_no_other_line():
    world = World()
    assert world.pass_s(41, world.other, world.link) is None
    assert (len(world.line.restarts), world.other.restarts) == (1, [])
    world.line.given_up = world.now[0]
    when, why = world.pass_s(100, world.line, world.other, world.link)
    assert (when, "bed-1 is stuck" in why) == (41 + 61, True)


def test_a_read_that_does_not_return_costs_its_line_a_restart_and_is_not_tried_for_ever():
    world = World()
    parts = (world.line, world.other, world.link)
    for n in range(watchdog.RESTARTS):
        world.intake.stuck = "bed-1"
        assert world.pass_s(1, *parts) is None
        assert (len(world.intake.restarts), len(world.line.restarts), world.other.restarts) == (n + 1, n + 1, [])
    assert world.intake.restarts[0] == "line bed-1: a read of it does not return"
    world.intake.stuck = "bed-1"
    assert "line bed-1 was begun again 3 times" in world.pass_s(1, *parts)[1]


def test_an_intake_that_stands_still_ends_the_process_within_a_minute():
    world = World()
    world.pass_s(5, world.line, world.other, world.link)
    when, why = world.pass_s(100, world.line, world.other, world.link, reads=False)
    assert (when - 5 <= 60, "reads the lines has stood still" in why) == (True, True)


def test_an_uplink_that_stands_still_ends_the_process_within_a_minute():
    world = World()
    world.pass_s(5, world.line, world.other, world.link)
    fed = world.fed
    when, why = world.pass_s(100, world.line, world.other)
    assert (when - 5 <= 60, "uplink has stood still" in why) == (True, True)
    assert world.fed == fed  # the supervisor's watchdog was not fed meanwhile


def test_a_commit_that_stands_still_ends_the_process_within_a_minute():
    world = World()
    world.pass_s(5, world.line, world.other, world.link)
    fed = world.fed
    world.pass_s(60, world.line, world.other, world.link, commit=False)
    assert world.ended == ["no commit has come to its end for 45 s"]
    assert world.fed == fed
    stopped = World()
    stopped.dog.stop()
    stopped.pass_s(60, commit=False)
    assert stopped.ended == []


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


# -- real threads -----------------------------------------------------------------------------------------------------


def dies_once(monkeypatch, of, name):
    """From now on the first thread that calls this ends there: nobody catches SystemExit. Answers which one did."""
    died, call = [], getattr(of, name)

    def ends(*args, **more):
        if not died:
            died.append(threading.current_thread())
            raise SystemExit
        return call(*args, **more)

    monkeypatch.setattr(of, name, ends)
    return died


def thread_of(name):
    return next((thread for thread in threading.enumerate() if thread.name == name), None)


def incidents(found):
    return [e.event for e in entries(found) if isinstance(e.event, events.Incident)]


def gaps(found):
    return [e.event.reason for e in entries(found) if isinstance(e.event, events.Gap)]


def readings(found):
    return [e for e in entries(found) if e.values]


def test_a_line_whose_thread_was_killed_goes_on(configuration, tmp_path, monkeypatch):  # noqa: F811
    with pty(tmp_path / "device") as master:
        running = Running(configuration)
        wait_for(lambda: os.write(master, LINE) and readings(configuration))
        died = dies_once(monkeypatch, HeldPort, "wait")
        wait_for(lambda: died and not died[0].is_alive())
        assert died[0].name == "line bed-1"
        wait_for(lambda: os.write(master, LINE) and GapReason.CRASH in gaps(configuration))
        assert running.end() == 0
    found = [each for each in incidents(configuration) if each.part == "line bed-1"]
    assert [each.detail for each in found] == ["its thread had ended"]


def test_an_uplink_whose_thread_was_killed_goes_on(configuration, monkeypatch):  # noqa: F811
    running = Running(configuration)
    died = dies_once(monkeypatch, mqtt.Link, "_serve")
    wait_for(lambda: died and not died[0].is_alive())
    wait_for(lambda: (again := thread_of("uplink")) is not None and again is not died[0])
    wait_for(lambda: any("begun again" in each.detail for each in incidents(configuration)))
    assert running.end() == 0


def test_an_intake_whose_thread_was_killed_goes_on(configuration, tmp_path, monkeypatch):  # noqa: F811
    with pty(tmp_path / "device") as master:
        running = Running(configuration)
        wait_for(lambda: os.write(master, LINE) and readings(configuration))
        died = dies_once(monkeypatch, Port, "take")
        wait_for(lambda: os.write(master, LINE) and died and not died[0].is_alive())
        before = len(readings(configuration))
        wait_for(lambda: os.write(master, LINE) and len(readings(configuration)) > before)
        assert running.end() == 0
    assert died[0].name == "intake"
    found = [each for each in incidents(configuration) if each.part == "intake"]
    assert [each.detail for each in found] == ["its thread had ended"]
    assert GapReason.CRASH not in gaps(configuration)  # nothing was lost


def hang_once(monkeypatch, of, name):
    """The first call that gets that far hangs until the second event is set; the first one says that it does."""
    stuck, release, call = threading.Event(), threading.Event(), getattr(of, name)

    def hangs(self, *args):
        found = call(self, *args)
        if not stuck.is_set():
            stuck.set()
            release.wait(60)
            return LINE.replace(b"SPO2=098", b"SPO2=042") if found else found
        return found

    monkeypatch.setattr(of, name, hangs)
    monkeypatch.setattr("gateway.port._open", _not_exclusive)
    return stuck, release


@pytest.mark.parametrize(
    ("of", "name", "thread", "told"),
    [(Port, "take", "intake", "does not return"), (HeldPort, "wait", "line bed-1", "nothing done")],
)
def test_what_is_stuck_is_given_up_and_what_it_says_later_is_not_heard(
    configuration,  # noqa: F811
    tmp_path,
    monkeypatch,
    of,
    name,
    thread,
    told,
):
    monkeypatch.setattr(watchdog, "LINE_S", 4)  # a line has its turn once a second
    with pty(tmp_path / "device") as master:
        stuck, release = hang_once(monkeypatch, of, name)
        running = Running(configuration)
        wait_for(lambda: os.write(master, LINE) and stuck.is_set())
        hanging = thread_of(thread)
        wait_for(lambda: os.write(master, LINE) and readings(configuration), 30)
        release.set()
        wait_for(lambda: not hanging.is_alive())
        assert running.end() == 0
    assert [each.part for each in incidents(configuration) if told in each.detail][-1:] == ["line bed-1"]
    values = {v for e in readings(configuration) for s in e.values.series if s.handle == "spo2" for v in s.values}
    assert values == {98}


def _not_exclusive(device, settings):
    """On a pseudo-terminal the second opening would be refused while the first hangs; a plain one shows the rest."""
    import serial

    return serial.serial_for_url(device, baudrate=settings.baud, timeout=0, write_timeout=1.0)


def test_a_network_thread_that_dies_while_connected_is_replaced_and_said(port, collector, monkeypatch):  # noqa: F811
    from random import Random

    from gateway.sealing import Sealer
    from tests.unit.gateway.makers import ORIGIN, drafts
    from tests.unit.gateway.model_collector import MemoryLog

    monkeypatch.setattr("gateway.mqtt.DEAD_S", 2.0)
    monkeypatch.setattr("gateway.mqtt.HEALTH_S", 0.3)
    sealer = Sealer(ORIGIN, {}, {}, None, Random(5).randbytes)
    rows = [(sealed.leaf, sealed.body) for sealed in map(sealer.seal, drafts(60))]
    log, saved, alarms = MemoryLog(), [], []
    log.grow(rows[:30])
    link = link_of(port, log, saved, alarms, protocol="3.1.1")
    link.start()
    try:
        wait(lambda: saved and saved[-1].size == 30)
        died = dies_once(monkeypatch, mqtt._Line, "_on_message")
        link._line._client.on_message = link._line._on_message
        log.grow(rows[30:])
        link.notify_sealed()
        wait(lambda: died and not died[0].is_alive())  # the answer to the next anchor
        assert "paho" in died[0].name
        wait(lambda: saved[-1].size == 60)
        assert any("network thread has stood still" in text for text in alarms)
        assert thread_of(died[0].name) is not died[0]
    finally:
        link.stop()


@pytest.fixture
def connected(configuration, port, collector):  # noqa: F811
    """A configuration with a broker, and a collector behind it."""
    path = configuration.path
    path.write_text(path.read_text().replace("[mqtt]\nport = 1", f'[mqtt]\nport = {port}\nprotocol = "3.1.1"'))
    return config.load(path)


def test_a_dead_network_thread_is_in_the_history(connected, monkeypatch):
    monkeypatch.setattr(mqtt, "DEAD_S", 2.0)
    monkeypatch.setattr(mqtt, "HEALTH_S", 0.3)
    died = dies_once(monkeypatch, mqtt._Line, "_on_publish")
    running = Running(connected)
    wait_for(lambda: died and not died[0].is_alive())
    wait_for(lambda: any("network thread has stood still" in each.detail for each in incidents(connected)), 30)
    with Reader.open(connected.state) as reader:
        wait_for(lambda: reader.newest_receipt() is not None, 30)  # by the one that was made anew
    assert running.end() == 0
    assert [each.part for each in incidents(connected)] == ["uplink"]


def ends_by_itself(running, found, why, release):
    """Wait until the gateway says in its log why it ends, and has ended with exit code 1."""
    wait_for(lambda: any(each.part == "agent" and why in each.detail for each in incidents(found)), 30)
    release.set()
    running.thread.join(30)
    assert running.codes == [1]
    assert not [e for e in entries(found) if isinstance(e.event, events.Stop)]


def test_an_uplink_that_hangs_ends_the_process_and_says_so_first(configuration, monkeypatch):  # noqa: F811
    monkeypatch.setattr(watchdog, "STILL_S", 1.5)
    release = threading.Event()
    monkeypatch.setattr(mqtt.Link, "_serve", lambda _: release.wait(60))
    ends_by_itself(Running(configuration), configuration, "the uplink has stood still", release)


def test_a_port_that_stays_stuck_ends_the_process_and_says_so_first(configuration, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(watchdog, "LEFT_S", 1.5)
    monkeypatch.setattr(agent, "LINES_STOP_S", 1.0)
    stuck, release = hang_once(monkeypatch, Port, "take")
    with pty(tmp_path / "device") as master:
        running = Running(configuration)
        wait_for(lambda: os.write(master, LINE) and stuck.is_set())
        ends_by_itself(running, configuration, "line bed-1 is stuck in its port", release)
    assert "line bed-1" in {each.part for each in incidents(configuration)}


def test_each_is_noticed_within_a_minute():
    rounds = agent.COMMIT_S + watchdog.LOOK_S
    assert max(watchdog.LINE_S, watchdog.STILL_S, watchdog.STALLED_S) + rounds <= 60
    assert mqtt.DEAD_S + mqtt.HEALTH_S + mqtt.TICK_S <= 60


STALL = """
import pathlib, sys, threading
from gateway import agent, config, watchdog
from gateway.store import Store
watchdog.STALLED_S, watchdog.LOOK_S = 2.0, 0.5
commit, seen = Store.commit, []
def stalls(self, *what):
    seen.append(1)
    if len(seen) > 1:
        threading.Event().wait()
    return commit(self, *what)
Store.commit = stalls
config = config.load(pathlib.Path(sys.argv[1]))
sys.exit(agent.run(config))
"""


def test_a_stalled_commit_ends_the_process_and_the_next_start_seals_it(configuration, tmp_path):  # noqa: F811
    with pty(tmp_path / "device") as master:
        process = subprocess.Popen([sys.executable, "-c", STALL, str(configuration.path)], stderr=subprocess.PIPE)
        began = time.monotonic()
        while process.poll() is None:
            assert time.monotonic() - began < 30
            os.write(master, LINE)
            time.sleep(0.1)
        said = process.communicate()[1].decode()
        assert process.returncode == 1
        assert "no commit has come to its end" in said
        assert "thread MainThread" in said
        assert last_words.read(configuration.state) == "no commit has come to its end for 2 s"
        running = Running(configuration)
        assert running.end() == 0
    assert [each.detail for each in incidents(configuration)][:1] == ["no commit has come to its end for 2 s"]
    assert last_words.read(configuration.state) is None


def test_the_supervisors_watchdog_is_fed_by_both_loops(configuration, tmp_path, monkeypatch):  # noqa: F811
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        running = Running(configuration)
        assert [told.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        frozen = time.monotonic() - 1
        monkeypatch.setattr(agent.Link, "last_progress", property(lambda _: frozen))
        told.settimeout(2.5)
        heard = []
        with contextlib.suppress(TimeoutError):
            while len(heard) < 4:
                heard.append(told.recv(100))
        assert len(heard) <= 2  # what was under way
        monkeypatch.undo()
        assert running.end() == 0
