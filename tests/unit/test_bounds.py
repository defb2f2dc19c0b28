"""docs/bounds.md says what the code does; and the bounds that no other test reaches."""

import re
import time
import zipfile
from importlib import import_module
from pathlib import Path

import httpx
import pytest

import gateway.agent
import gateway.mqtt
from collector import service
from collector.inbox import Inbox, Message
from collector.mqtt import Link as CollectorLink
from collector.verify.report import MAX_KEPT, Report
from collector.web.server import MAX_CONNECTIONS
from gateway import last_words
from gateway.config import MqttConfig
from gateway.hold import MAX_HELD, Hold
from gateway.recorder import MAX_CHUNK, MAX_UNPLACED
from tests import docs
from tests.unit.collector.model_gateway import Desk, Gateway, of
from tests.unit.gateway.makers import drafts, instant
from tests.unit.gateway.recorder_kit import Rig, at
from tests.unit.gateway.test_agent import Running, configuration, entries  # noqa: F401  a fixture
from vitaledger import events, fork, messages, policy, proof
from vitaledger.authentic import AuthenticTiles
from vitaledger.cli.verify import TABLE, read_zip
from vitaledger.entry import _CHAINS_REMEMBERED, check_chain
from vitaledger.errors import MalformedError
from vitaledger.marks import MAX_PATTERNS, Direction, Quality
from vitaledger.merkle import leaf_hash
from vitaledger.tiles import MemoryTiles

PAGE = docs.ROOT / "docs" / "bounds.md"
ROWS = re.findall(
    r"^\| ([^|`]+) \| `([\w.]+)` \| ([^|]+) \| ([^|]+) \| `([\w./]+)::(\w+)` \|$", PAGE.read_text(), re.MULTILINE
)


def test_the_page_has_rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "`" in line]
    assert len(ROWS) == len(lines) > 50


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[1]}" for row in ROWS])
def test_a_row_says_what_the_code_does(row):
    _, name, bound, _, file, test = row
    module, _, attribute = name.rpartition(".")
    value = getattr(import_module(module), attribute)
    assert not isinstance(value, int) or str(value) == bound
    assert f"def {test}" in (docs.ROOT / file).read_text()


def test_no_bound_of_the_programs_is_missing():
    named = {row[1] for row in ROWS}
    elsewhere = {
        "gateway.verify.MAX_REMARKS",  # of what is printed
        "gateway.mqtt.MAX_DELAY_S",
        "collector.mqtt.MAX_BACKOFF_S",
        "vitaledger.text.MAX_NUMBER",  # of a format's numbers
        "vitaledger.tiles.MAX_LEVEL",
        "vitaledger.events.MAX_NOTE",  # as in a statement
        "vitaledger.messages.MAX_NOTE",
    }
    for path in (
        path for package in ("vitaledger", "gateway", "collector") for path in (docs.ROOT / package).rglob("*.py")
    ):
        module = ".".join(path.relative_to(docs.ROOT).with_suffix("").parts)
        found = re.findall(r"^(?:\w+, )?(MAX_\w+)(?:, (MAX_\w+))? = ", path.read_text(), re.MULTILINE)
        for name in (each for pair in found for each in pair if each):
            assert f"{module}.{name}" in named | elsewhere, f"{module}.{name} is not in docs/bounds.md"


# -- gateway ----------------------------------------------------------------------------------------------------------


def test_what_is_held_back():
    hold = Hold(instant(0))
    hold.drafts = drafts(MAX_HELD - 1)
    assert not hold.due(instant(1), 5_000_000)
    hold.drafts = drafts(MAX_HELD)
    assert hold.due(instant(1), 5_000_000)


def test_bytes_that_no_driver_makes_anything_of():
    rig = Rig()
    rig.recorder.opened(at(0))
    raw = 0
    for n in range(50):
        rig.recorder.chunk(Direction.RECEIVED, bytes(MAX_CHUNK + 100), at(n / 50))
        assert sum(len(data) for _, data, _ in rig.recorder._unplaced) <= MAX_UNPLACED + MAX_CHUNK + 100
    for entry in rig.close(1):
        for chunk in entry.raw or ():
            assert len(chunk.data) <= MAX_CHUNK
            raw += len(chunk.data)
    assert raw == 50 * (MAX_CHUNK + 100)


class _Message:
    def __init__(self, leaf, payload):
        self.topic, self.payload = messages.topic("g1", leaf), payload


def line_of():
    return gateway.mqtt._Line(MqttConfig(), "g1", gateway.mqtt.MQTTProtocolVersion.MQTTv311, b"")


def test_answers_of_the_collector():
    line = line_of()
    for _ in range(gateway.mqtt.INBOX):
        line._on_message(None, None, _Message("down/receipt", b"x"))
    assert line.dropped == 0
    line._on_message(None, None, _Message("down/receipt", b"x"))
    line.put(None)  # a wake-up is not an answer
    assert line.dropped == 1
    line = line_of()
    line._on_message(None, None, _Message("down/receipt", bytes(gateway.mqtt.MAX_PAYLOAD + 1)))
    assert (line.dropped, line.take(0.01)) == (1, None)
    largest = messages.Receipt(bytes(messages.MAX_MESSAGE), bytes(messages.MAX_MESSAGE))
    assert len(messages.RECEIPT.encode(largest)) <= gateway.mqtt.MAX_PAYLOAD


def test_what_paho_keeps():
    client = line_of()._client
    assert (client._max_inflight_messages, client._max_queued_messages) == (32, 64)
    from collector.config import parse

    link = CollectorLink(parse(b'provider = "h"', Path("collector.toml")), Inbox(time.monotonic))
    client = link._make(gateway.mqtt.MQTTProtocolVersion.MQTTv311)
    assert (client._max_inflight_messages, client._max_queued_messages) == (256, 4096)


def test_alarms_that_others_cause(configuration, monkeypatch):  # noqa: F811
    made = []
    build = gateway.agent.Agent.__init__

    def keep(self, *args, **more):
        build(self, *args, **more)
        made.append(self)

    monkeypatch.setattr(gateway.agent.Agent, "__init__", keep)
    running = Running(configuration)
    for n in range(5000):
        made[0]._alarm(f"alarm {n}")
    now = [time.monotonic() + gateway.agent.ALARMS_S]
    monkeypatch.setattr(gateway.agent.time, "monotonic", lambda: now[0])
    made[0]._alarm("later")
    monkeypatch.undo()
    assert running.end() == 0
    told = [each.event.detail for each in entries(configuration) if isinstance(each.event, events.Incident)]
    # the uplink tells of its own that there is no broker, in the one time or in the other
    assert sum(text.startswith("alarm ") for text in told) <= gateway.agent.MAX_ALARMS
    assert sum(text.startswith("later") for text in told) == 1
    assert [text for text in told if re.search(r"; \d+ more were not sealed$", text)]


def test_last_words(tmp_path):
    last_words.leave(tmp_path, "x" * 5000)
    assert len(last_words.read(tmp_path)) == last_words.MAX_BYTES
    last_words.forget(tmp_path)
    assert last_words.read(tmp_path) is None
    last_words.leave(tmp_path / "none", "nobody can")


# -- collector --------------------------------------------------------------------------------------------------------


def test_messages_that_are_too_large_are_refused_and_answered(tmp_path):
    one = Gateway("g1").add(3)
    desk = Desk(tmp_path, one)
    large = one.anchor().payload + b"x" * messages.MAX_MESSAGE
    [answer] = of(messages.CheckpointAnswer, desk.send(Message("g1", "up/checkpoint", large)))
    assert answer.status == messages.BAD_REQUEST
    [answer] = of(messages.EntriesAnswer, desk.send(Message("g1", "up/entries", bytes(messages.MAX_MESSAGE + 1))))
    assert answer.status == messages.BAD_REQUEST
    assert desk.step.counts.refused == 2
    desk.close()


def test_a_gateway_with_very_many_chains(tmp_path, monkeypatch):
    monkeypatch.setattr("collector.strands._MAX_CACHED", 10)
    one = Gateway("g1")
    for n in range(60):
        one.add(1, name=f"nonin:port:bed-{n % 30}")
    desk = Desk(tmp_path, one)
    desk.send(one.anchor())
    for run in one.runs(most=7):
        desk.send(run)
        assert len(desk.step._mirrors[1]._strands._strands) <= 10 + 7
    assert desk.store.log_of("g1").stored == 60
    assert desk.store.findings(1) == []
    desk.close()


def test_the_first_step(monkeypatch):
    class Full:
        asked = 0

        def take(self, _not_before, _timeout):
            self.asked += 1
            return [self.asked]

    monkeypatch.setattr(service, "SETTLE_S", 0.0)
    inbox = Full()
    assert service.Worker(None, inbox, lambda _: None, 0.25)._take_first() == [*range(1, service.MAX_FIRST + 2)]


def test_failures_of_a_verification():
    report = Report()
    for n in range(MAX_KEPT + 5):
        report.fail("entries", str(n))
    assert (len(report.failures), report.failed, report.ok) == (MAX_KEPT, MAX_KEPT + 5, False)


def test_http_connections(monkeypatch):
    import socket

    from starlette.applications import Starlette

    from collector.web import server as web

    monkeypatch.setattr(web, "MAX_CONNECTIONS", 3)
    server = web.Server(Starlette(), "127.0.0.1", 0)
    server.start()

    def wait_for(holds):
        end = time.monotonic() + 10
        while True:
            try:
                if holds():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < end
            time.sleep(0.05)

    held = []
    try:
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{server.port}/", trust_env=False).status_code == 404)
        for _ in range(4):
            held.append(socket.create_connection(("127.0.0.1", server.port)))
            held[-1].sendall(b"GET / HTTP/1.1\r\n")  # and no more
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{server.port}/", trust_env=False).status_code == 503)
    finally:
        for line in held:
            line.close()
        server.stop()
    assert MAX_CONNECTIONS == 128


# -- formats ----------------------------------------------------------------------------------------------------------


def test_patterns_of_quality_bits():
    remembered = Quality._value2member_map_
    for n in range(3 * MAX_PATTERNS):
        bits = n << 7 | 1  # with and without bits that have no name
        made = Quality(bits)
        assert (int(made), made & ~Quality.INVALID, made) == (bits, bits & ~1, Quality(bits))
        assert Quality.INVALID in made
    assert len(remembered) <= MAX_PATTERNS
    assert Quality(Quality.STALE) is Quality.STALE


def test_a_policy_file():
    with pytest.raises(MalformedError, match="at most"):
        policy.parse("#" * (policy.MAX_POLICY + 1))


def test_files_from_outside():
    with pytest.raises(MalformedError, match="proof: expected at most 262144 bytes"):
        proof.parse(bytes(proof.MAX_PROOF_FILE + 1))
    with pytest.raises(MalformedError, match="fork: expected at most 262144 bytes"):
        fork.verify(bytes(fork.MAX_FILE + 1))


@pytest.mark.parametrize(("name", "size"), [("leaf", 17), (TABLE, 33), ("leaf", 16)])
def test_a_zip_from_outside(tmp_path, monkeypatch, name, size):
    for bound, value in (("MAX_FILE", 16), ("MAX_TABLE", 32), ("MAX_TOTAL", 40)):
        monkeypatch.setattr(import_module("vitaledger.cli.verify"), bound, value)
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(3 if size <= 16 else 1):  # three of 16 are too much together
            archive.writestr(name + str(n) * (size <= 16), bytes(size))
    unpacked = []
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda _, info: unpacked.append(info.filename) or b"")
    with pytest.raises(MalformedError, match="larger than evidence can be"):
        read_zip(tmp_path / "e.zip")
    assert len(unpacked) == (2 if size <= 16 else 0)


def test_checked_tiles(monkeypatch):
    monkeypatch.setattr("vitaledger.authentic._KEPT", 2)
    log = MemoryTiles(leaf_hash(b"%d" % n) for n in range(6 * 256))
    tiles = AuthenticTiles(log, 6 * 256, log.root())
    for index in (*range(0, 6 * 256, 100), 5):
        assert tiles.leaf_hash(index) == leaf_hash(b"%d" % index)
        assert len(tiles._checked) <= 2


def test_names_that_a_gateway_makes_up():
    for n in range(3 * _CHAINS_REMEMBERED):
        assert check_chain(f"nonin:port:bed-{n}") is None
    assert check_chain.cache_info().currsize <= _CHAINS_REMEMBERED
