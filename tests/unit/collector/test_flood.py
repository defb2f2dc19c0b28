"""One gateway that sends as much as it can slows the others down by no more than two: counted, not timed."""

import time

import pytest

from collector.inbox import (
    LARGE,
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_BYTES,
    MAX_GATEWAYS,
    MAX_MESSAGES,
    SHARE,
    Inbox,
    Message,
)
from collector.mirror import MAX_ADVANCE
from tests.unit.collector.model_gateway import Desk, Gateway

WINDOW = 16  # entries messages that a gateway has in flight


def work_until_stored(tmp_path, quiet_count, loud_count):
    """(steps, messages worked on) until the quiet gateways' entries are all here: inbox and step as they are."""
    quiet = [Gateway(f"quiet-{n}").add(240) for n in range(quiet_count)]
    loud = [Gateway(f"loud-{n}").add(64) for n in range(loud_count)]
    tmp_path.mkdir()
    desk, inbox = Desk(tmp_path, *quiet, *loud), Inbox(time.monotonic)
    for gateway in (*quiet, *loud):
        desk.send(gateway.anchor())
    todo = {gateway.name: list(gateway.runs(most=3)) for gateway in quiet}
    again = {gateway.name: list(gateway.runs(most=1)) for gateway in loud}
    steps = worked = 0
    while any(desk.store.log_of(gateway.name).stored < 240 for gateway in quiet):
        for messages in again.values():
            while inbox.put(messages[steps % 64]):
                pass
        for messages in todo.values():
            window, messages[:] = messages[:WINDOW], messages[WINDOW:]
            assert all(inbox.put(message) for message in window)
        batch = inbox.take(0, 0)
        desk.send(*batch)
        steps, worked = steps + 1, worked + len(batch)
    desk.close()
    return steps, worked


@pytest.mark.parametrize("quiet", [1, 4])
def test_a_flood_costs_the_others_at_most_twice_the_work(tmp_path, quiet):
    steps, worked = work_until_stored(tmp_path / "alone", quiet, 0)
    flooded_steps, flooded = work_until_stored(tmp_path / "flooded", quiet, 1)
    assert (steps, worked) == (5, 80 * quiet)
    assert flooded_steps == steps
    assert flooded <= 2 * worked


def test_a_flood_alone_makes_no_step_come_sooner():
    now = [0.0]
    inbox = Inbox(lambda: now[0])
    for n in range(MAX_MESSAGES):
        inbox.put(Message("loud", "up/entries", b"%d" % n))
    assert MAX_MESSAGES >= LARGE
    began = time.monotonic()
    inbox.take(0.1, 1)
    assert time.monotonic() - began >= 0.09
    for n in range(LARGE // SHARE):
        for _ in range(SHARE):
            inbox.put(Message(f"g{n}", "up/entries", b""))
    assert len(inbox.take(1000, 1)) >= LARGE  # many gateways do not wait


def test_the_bounds_of_the_inbox():
    inbox = Inbox(time.monotonic)
    assert inbox.put(Message("g", "up/entries", bytes(MAX_BYTES - 1)))
    assert not inbox.put(Message("g", "up/entries", bytes(2)))
    for n in range(MAX_GATEWAYS - 1):
        assert inbox.put(Message(f"h{n}", "up/health", b""))
    assert not inbox.put(Message("one more", "up/health", b""))
    assert inbox.put(Message("h0", "up/health", b""))
    assert inbox.dropped == 2
    assert [len(inbox.take(0, 0)) for _ in range(2)] == [1, MAX_BATCH]  # the first message is a batch by itself
    large = Inbox(time.monotonic)
    for n in range(64):
        large.put(Message(f"g{n}", "up/entries", bytes(MAX_BYTES // 4)))
    assert sum(len(message.payload) for message in large.take(0, 0)) == MAX_BATCH_BYTES


def test_a_long_backlog_is_moved_over_in_steps_and_others_are_served_between(tmp_path, monkeypatch):
    monkeypatch.setattr("collector.mirror.MAX_ADVANCE", 300)
    monkeypatch.setattr("collector.mirror.Mirror.advance.__defaults__", (300,))
    long, other = Gateway("long").add(1200), Gateway("other").add(3)
    desk = Desk(tmp_path, long, other)
    desk.send(long.anchor(), *long.runs(first=256))
    desk.send(*long.runs(end=256))
    assert desk.step.more
    assert desk.store.log_of("long").stored == 300
    desk.send(other.anchor(), *other.runs())
    assert desk.store.log_of("other").stored == 3
    assert desk.store.log_of("long").stored == 600
    assert MAX_ADVANCE == 2048
    desk.close()
