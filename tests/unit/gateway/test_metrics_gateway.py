"""What the gateway tells Prometheus: off by default, and then the numbers of what was sealed."""

import os
import re
import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import config
from gateway.counts import Counts
from tests.unit.gateway.makers import drafts
from tests.unit.gateway.test_agent import LINE, Running, configuration, entries  # noqa: F401  a fixture
from tests.unit.gateway.test_port import pty, wait_for
from vitaledger.errors import MalformedError


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port):
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        text = response.read().decode()
    return {
        (sample.name.removeprefix("vitaledger_gateway_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def measured(found, port):
    found.path.write_text(found.path.read_text().replace("[record]", f"[metrics]\nport = {port}\n[record]"))
    return config.load(found.path)


def test_the_numbers_are_those_of_the_log(configuration, tmp_path):  # noqa: F811
    port = free_port()
    loaded = measured(configuration, port)
    with pty(tmp_path / "device") as master:
        running = Running(loaded)
        sent = 0

        def counted():
            nonlocal sent
            sent += os.write(master, LINE)
            return scrape(port)["readings_total",] > 0

        wait_for(counted)
        now = scrape(port)
        assert running.end() == 0
    assert now["broker_connected",] == 0
    assert now["line_alive", "bed-1"] == 1
    assert 0 < now["received_bytes_total", "bed-1"] <= sent
    assert now["log_entries",] == now["backlog_entries",] >= now["sealed_entries_total",] - 1 > 2
    assert now["backlog_age_seconds",] < 60
    assert now["commit_seconds_count",] == now["commit_seconds_bucket", "+Inf"] > 0
    assert now["chains",] in {1, 2}  # the port's, and the serial number's once that was told three times
    assert ("receipt_age_seconds",) not in now
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_it_is_off_by_default_and_a_taken_port_stops_nothing(configuration):  # noqa: F811
    assert configuration.metrics is None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = Running(measured(configuration, taken.getsockname()[1]))
        assert running.end() == 0
    assert entries(configuration)


def test_a_misspelt_key(configuration):  # noqa: F811
    text = configuration.path.read_text().replace("[record]", "[metrics]\nprot = 1\n[record]")
    with pytest.raises(MalformedError, match=re.escape("unknown key 'prot' in [metrics]; did you mean 'port'")):
        config.parse(text.encode(), configuration.path)


def test_counts():
    counts = Counts()
    made = drafts(100)
    counts.committed(made, 0.02)
    counts.committed([], 30)
    assert (counts.entries, counts.commits) == (100, 2)
    assert counts.readings == sum(4 for draft in made if draft.values)
    assert (sum(counts.buckets), counts.buckets[-1]) == (2, 1)
