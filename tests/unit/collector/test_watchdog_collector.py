"""The collector's threads: one that ends is begun again, a step that does not end ends the process."""

import os
import subprocess
import sys
import threading
import time

import pytest

from collector import mqtt, watchdog
from collector.enrolment import init
from collector.inbox import Inbox
from collector.watchdog import Watchdog
from tests.unit.collector.model_gateway import PROVIDER, Gateway
from tests.unit.collector.test_service_collector import _Line, broker, healthy, wait_for  # noqa: F401  a fixture

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Part:
    def __init__(self):
        self.alive, self.came_round, self.restarts = True, 0.0, 0

    def restart(self):
        self.alive, self.restarts = True, self.restarts + 1


def world():
    now, fed, worker, link, web = [0.0], [], Part(), Part(), Part()
    dog = Watchdog(worker, link, lambda: web.alive, lambda: now[0], lambda: fed.append(now[0]))

    def pass_s(seconds, *alive):
        for _ in range(seconds):
            now[0] += 1
            for part in alive:
                part.came_round = now[0]
            if (why := dog.look()) is not None:
                return now[0], why
        return None

    return pass_s, fed, worker, link, web


def test_it_is_fed_by_both_loops():
    pass_s, fed, worker, link, _ = world()
    assert pass_s(100, worker, link) is None
    assert len(fed) == 100
    for alone in (2, 3):
        made = world()
        when, why = made[0](100, made[alone])
        assert (when <= 60, made[1], bool(why)) == (True, [], True)


def test_what_ends():
    pass_s, _, worker, link, web = world()
    link.alive = False
    assert pass_s(10, worker, link) is None
    assert link.restarts == 1
    web.alive = False
    assert "web" in pass_s(10, worker, link)[1]
    worker.alive = False
    assert "ledger's thread has ended" in pass_s(10, worker, link)[1]


def test_a_network_thread_that_dies_or_hangs_is_replaced(broker, monkeypatch):  # noqa: F811
    from pathlib import Path

    from collector.config import parse

    monkeypatch.setattr(mqtt, "SILENT_S", 2.0)
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)
    inbox = Inbox(time.monotonic)
    text = f'provider = "h"\n[mqtt]\nport = {broker}\nprotocol = "3.1.1"\n'
    link = mqtt.Link(parse(text.encode(), Path("collector.toml")), inbox)
    hang, died, take = threading.Event(), [], link._on_message

    def first(client, data, message):
        if not died:
            died.append(threading.current_thread())
            raise SystemExit
        if len(died) == 1:
            died.append(threading.current_thread())
            hang.wait(30)
        take(client, data, message)

    link._on_message = first
    link.start()
    try:
        line = _Line(broker, Gateway())
        for n in (1, 2):
            wait_for(lambda: link.connected)
            wait_for(lambda n=n: line.send(Gateway().message("up/health", b"x")) or len(died) == n)
        wait_for(lambda: line.send(Gateway().message("up/health", b"y")) or inbox.take(0, 0))
        assert died[0] is not died[1]
        assert link.alive
        line.close()
    finally:
        hang.set()
        link.stop()


STALL = """
import pathlib, sys, threading
from collector import config, service, watchdog
from collector.ingest import Step
watchdog.STALLED_S, service.STOP_S = 2.0, 1.0
Step.process = lambda self, batch, now_ms: threading.Event().wait()
sys.exit(service.run(config.load(pathlib.Path(sys.argv[1]))))
"""


def test_a_step_that_does_not_end_ends_the_process(tmp_path, broker):  # noqa: F811
    init(tmp_path, PROVIDER, os.urandom(32))
    path = tmp_path / "collector.toml"
    path.write_text(f'provider = "{PROVIDER}"\n[mqtt]\nport = {broker}\n[http]\nport = 0\n')
    process = subprocess.Popen(
        [sys.executable, "-c", STALL, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    wait_for(lambda: healthy(url))
    line = _Line(broker, Gateway())
    line.send(Gateway().message("up/health", b"x"))
    assert process.wait(20) == 1
    said = process.communicate()[1]
    assert "no ledger step has come to its end" in said
    assert "in process" in said or "threading" in said
    line.close()


def test_the_bounds_of_the_watchdog_leave_time():
    assert watchdog.STALLED_S < 60
    assert mqtt.SILENT_S < 60
