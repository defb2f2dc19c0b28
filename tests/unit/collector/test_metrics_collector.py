"""What the collector tells Prometheus: numbers of what was done, and labels that no message can make more of."""

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from collector import metrics
from collector.inbox import Inbox, Message
from collector.metrics import Metrics, Sources
from collector.reader import Reader
from collector.web.app import Health, create_app
from collector.web.server import Server
from tests.unit.collector.model_gateway import NOW, Desk, Gateway
from vitaledger import messages


class Link:
    connected = True


def scrape(page):
    return {
        (sample.name.removeprefix("vitaledger_collector_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_the_numbers_of_what_was_done(tmp_path):
    one, two = Gateway("g1").add(300), Gateway("g2").add(5)
    desk = Desk(tmp_path, one, two)
    desk.send_all(one)
    desk.send(one.message("up/health", messages.HEALTH.encode(messages.Health(7, NOW, 10**9, 12, 4))))
    desk.send(one.message("up/status", messages.STATUS.encode(messages.Status(1, bytes(16), bytes(16), "1", 300, 1))))
    desk.send(Gateway("stranger").add(1).anchor())
    inbox = Inbox(time.monotonic)
    for name in ("g1", "nobody", "nothing"):
        inbox.put(Message(name, "up/health", b"xyz"))
    with Reader.open(desk.path) as reader:
        made = Metrics(Sources(reader, desk.step.counts, inbox, Link()))
        made.observe_step(0.02)
        health = Health(ok=True, ledger_size=1, broker_connected=True, worker_ms=1, step_ms=1)
        server = Server(create_app(reader, lambda: health, made.page), "127.0.0.1", 0)
        server.start()
        answer = httpx.get(f"http://127.0.0.1:{server.port}/metrics", trust_env=False)
        server.stop()
        assert answer.headers["content-type"] == metrics.CONTENT_TYPE
        now = scrape(answer.content)
    assert now["stored_entries_total",] == 300
    assert now["stored_prefix_entries", one.origin] == now["custody_entries", one.origin] == 300
    assert now["custody_entries", two.origin] == now["witnessed_entries", two.origin] == 0
    assert (now["refusals_total",], now["logs",], now["forks_total",]) == (1, 2, 0)
    assert (now["waiting_messages",], now["waiting_bytes",], now["received_bytes_total",]) == (3, 9, 9)
    assert now["step_seconds_count",] == 1
    assert now["ledger_size",] == desk.store.ledger_head().size
    assert (now["gateway_backlog_entries", one.origin], now["gateway_online", one.origin]) == (7, 1)
    assert now["gateway_clock_bound_seconds", one.origin] == 0.004
    assert not [key for key in now if "nobody" in key or "stranger" in str(key)]
    assert ("gateway_online", two.origin) not in now
    desk.close()


def test_the_labels_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "MAX_ORIGINS", 3)
    desk = Desk(tmp_path, *(Gateway(f"g{n}") for n in range(5)))
    with Reader.open(desk.path) as reader:
        now = scrape(Metrics(Sources(reader, desk.step.counts, Inbox(time.monotonic), Link())).page())
    assert now["logs",] == 5
    assert len([key for key in now if key[0] == "stored_prefix_entries"]) == 3
    desk.close()
