"""Lines that are real: pseudo-terminals and sockets, pulled and put back."""

import contextlib
import os
import socket
import threading
import time
import tty

import pytest

from gateway.chains import Chains
from gateway.clock import SystemClock
from gateway.drivers.api import LineSettings, Reading
from gateway.intake import Intake
from gateway.line import Line
from gateway.port import Backoff, LineGoneError, Port, is_there
from gateway.recorder import Limits
from tests.unit.gateway.recorder_kit import SUBJECT
from vitaledger import events
from vitaledger.marks import Check, GapReason

SETTINGS = LineSettings(115200)


@contextlib.contextmanager
def pty(link):
    master, slave = os.openpty()
    tty.setraw(slave)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(slave))
    os.close(slave)
    try:
        yield master
    finally:
        with contextlib.suppress(OSError):
            os.close(master)


@contextlib.contextmanager
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening, f"socket://127.0.0.1:{listening.getsockname()[1]}"


def read_until(port, size):
    data = b""
    while len(data) < size:
        data += port.read(5)
    return data


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.01)
    return found


def test_a_terminal_carries_every_byte_value_both_ways(tmp_path):
    link = tmp_path / "device"
    everything = bytes(range(256)) * 8
    with pty(link) as master, Port(str(link), SETTINGS) as port:
        os.write(master, everything)
        assert read_until(port, len(everything)) == everything
        port.write(everything[:256])
        assert os.read(master, 4096) == everything[:256]
        assert port.read(0.01) == b""


def test_a_terminal_that_goes_away_is_gone_after_its_last_bytes(tmp_path):
    link = tmp_path / "device"
    with pty(link) as master, Port(str(link), SETTINGS) as port:
        os.write(master, b"last")
        assert port.read(5) == b"last"
        os.close(master)
        with pytest.raises(LineGoneError):
            port.read(5)
        port.close()
        port.close()


def test_a_link_is_followed_anew(tmp_path):
    link = tmp_path / "device"
    for text in (b"one", b"two"):
        with pty(link) as master, Port(str(link), SETTINGS) as port:
            os.write(master, text)
            assert port.read(5) == text


def test_a_line_has_one_owner(tmp_path):
    link = tmp_path / "device"
    with pty(link), Port(str(link), SETTINGS), pytest.raises(LineGoneError):
        Port(str(link), SETTINGS)


@pytest.mark.parametrize("device", ["/dev/no-such-device", "socket://127.0.0.1:1", "nosuch://x", "/dev/null"])
def test_what_cannot_be_opened_says_why(device):
    with pytest.raises(LineGoneError) as caught:
        Port(device, SETTINGS)
    assert str(caught.value)


def test_a_socket_keeps_what_came_before_it_was_looked_at():
    with server() as (listening, url):
        accepted = []

        def serve():
            accepted.append(listening.accept()[0])
            accepted[0].sendall(b"first")

        thread = threading.Thread(target=serve)
        thread.start()
        with Port(url, SETTINGS) as port:
            thread.join()
            assert read_until(port, 5) == b"first"
            port.write(b"answer")
            assert accepted[0].recv(100) == b"answer"
            accepted[0].sendall(b"last")
            accepted[0].close()
            assert read_until(port, 4) == b"last"
            with pytest.raises(LineGoneError, match="closed"):
                port.read(5)


def test_a_socket_that_is_reset_is_gone():
    with server() as (listening, url), Port(url, SETTINGS) as port:
        peer = listening.accept()[0]
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.close()
        with pytest.raises(LineGoneError):
            port.read(5)


def test_a_line_that_pyserial_reads_itself():
    with Port("loop://", SETTINGS) as port:
        port.write(b"round")
        assert read_until(port, 5) == b"round"


def test_backoff_doubles_and_begins_anew():
    backoff = Backoff(0.2, 1.0)
    assert [backoff.failed() for _ in range(4)] == [0.2, 0.4, 0.8, 1.0]
    backoff.worked()
    assert backoff.failed() == 0.2


def test_is_there(tmp_path):
    assert is_there(str(tmp_path)) is True
    assert is_there(str(tmp_path / "no")) is False
    assert is_there("socket://h:1") is None


def heard(master):
    """What the gateway sent; without anybody at the other end a terminal's master cannot be read."""

    def attempt():
        with contextlib.suppress(OSError):
            return os.read(master, 100)
        return b""

    return wait_for(attempt)


class Bytes:
    """A driver for tests: each byte is a reading, 0xFF makes it fail."""

    NAME, VERSION, CHECK, OPTIONS = "fake", "3", Check.NOTHING, {}
    signals, waves, line = SUBJECT.signals, {}, SETTINGS

    def __init__(self, out, seen):
        self.out, self.seen = out, seen

    def opened(self, now_us):
        pass

    def receive(self, data, now_us):
        if b"\xff" in data:
            raise ZeroDivisionError("a driver's fault")
        self.seen.append(len(data))
        return [Reading("spo2", now_us, byte) for byte in data]

    def tick(self, now_us):
        return []

    def to_send(self, now_us):
        out, self.out = self.out, b""
        return out


class Followed:
    """A line in its thread; `drafts` are all that came out so far."""

    def __init__(self, device, entry_us=200_000):
        self.chains, self.found, self.read = Chains({}, clean=True), [], []
        self.intake = Intake(SystemClock())
        self.line = Line(
            "bed-1",
            make_driver=lambda: Bytes(b"hello", self.read),
            describe=lambda _: SUBJECT,
            open_port=lambda driver: Port(device, driver.line),
            is_there=lambda: is_there(device),
            chains=self.chains,
            limits=Limits(entry_us),
            clock=SystemClock(),
            intake=self.intake,
        )

    def __enter__(self):
        self.intake.start()
        self.line.start()
        return self

    def __exit__(self, *_):
        self.line.ask_to_stop()
        assert self.line.join(10)
        self.intake.stop()

    @property
    def seen(self):
        return sum(self.read)

    @property
    def drafts(self):
        self.found += self.chains.take()
        return self.found

    @property
    def values(self):
        return [
            value for draft in self.drafts if draft.values for series in draft.values.series for value in series.values
        ]

    def events(self, kind):
        return [draft.event for draft in self.drafts if isinstance(draft.event, kind)]


def test_a_line_is_followed_over_an_unplugging(tmp_path):
    link = tmp_path / "device"
    with Followed(str(link)) as followed:
        with pty(link) as master:
            assert heard(master) == b"hello"
            os.write(master, b"\x01\x02")
            wait_for(lambda: followed.values == [1, 2])
        link.unlink()
        wait_for(lambda: followed.events(events.Line)[-1].state.label == "down")
        with pty(link) as master:
            wait_for(lambda: os.write(master, b"\x03") and 3 in followed.values)
    gaps = [event.reason for event in followed.events(events.Gap)]
    assert gaps == [GapReason.START, GapReason.UNPLUGGED]
    assert set(followed.values) == {1, 2, 3}
    sent = [chunk.data for draft in followed.drafts for chunk in draft.raw if chunk.direction == 1]
    assert b"hello" in sent


def test_a_driver_that_fails_costs_an_incident_and_a_gap_and_no_more(tmp_path):
    link = tmp_path / "device"
    with pty(link) as master, Followed(str(link)) as followed:
        heard(master)
        os.write(master, b"\x01")
        wait_for(lambda: followed.values == [1])
        os.write(master, b"\xff")
        incident = wait_for(lambda: followed.events(events.Incident))[0]
        assert incident == events.Incident("line bed-1", "ZeroDivisionError: a driver's fault")
        assert heard(master) == b"hello"  # it was opened again
        assert not followed.line.is_behind(time.monotonic())  # no commit waits for what is lost
        os.write(master, b"\x02")
        wait_for(lambda: followed.values == [1, 2])
        assert followed.line.alive
    gap = followed.events(events.Gap)[-1]
    assert gap.reason is GapReason.CRASH
    assert gap.since is not None


def test_bytes_wait_for_the_turn_and_not_more_than_a_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.line.PROMPT_S", 0.0)
    monkeypatch.setattr("gateway.line.TURN_S", 3600.0)  # none comes while the test lasts
    link = tmp_path / "device"
    with pty(link) as master:
        with Followed(str(link), entry_us=60_000_000) as followed:
            heard(master)
            os.write(master, bytes(100))
            wait_for(lambda: followed.line.received == 100)
            assert followed.line.is_behind(time.monotonic())
            assert followed.seen == 0
            for _ in range(4):
                os.write(master, bytes(1000))
            wait_for(lambda: followed.seen == 4100)
            wait_for(lambda: not followed.line.is_behind(time.monotonic()))
            os.write(master, bytes(3))
            wait_for(lambda: followed.line.received == 4103)
        assert followed.seen == 4103  # what waited when it stopped
        times = [chunk.at_us for draft in followed.drafts for chunk in draft.raw]
        assert len(set(times)) > 2


def test_what_waited_when_the_line_went_is_put(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.line.PROMPT_S", 0.0)
    monkeypatch.setattr("gateway.line.TURN_S", 3600.0)
    link = tmp_path / "device"
    with Followed(str(link)) as followed:
        with pty(link) as master:
            heard(master)
            os.write(master, bytes((1, 2)))
            wait_for(lambda: followed.line.received == 2)
            assert followed.seen == 0
        link.unlink()
        wait_for(lambda: followed.events(events.Line)[-1:] and followed.events(events.Line)[-1].state.label == "down")
        assert followed.values == [1, 2]


def test_a_driver_that_sent_something_is_fed_at_once_until_it_was_answered(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.line.TURN_S", 3600.0)
    monkeypatch.setattr("gateway.line.PROMPT_S", 3600.0)
    link = tmp_path / "device"
    with pty(link) as master, Followed(str(link)) as followed:
        heard(master)
        os.write(master, bytes((5,)))
        wait_for(lambda: followed.seen == 1)
        os.write(master, bytes((6,)))
        wait_for(lambda: followed.line.received == 2)
        assert followed.seen == 1  # it had nothing more to say


def test_a_driver_that_goes_on_saying_something_is_fed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.line.TURN_S", 3600.0)
    monkeypatch.setattr("gateway.line.PROMPT_S", 3600.0)
    monkeypatch.setattr(Bytes, "to_send", lambda self, _: b"more")
    link = tmp_path / "device"
    with pty(link) as master, Followed(str(link)) as followed:
        for n in range(3):
            heard(master)
            os.write(master, bytes((n,)))
            wait_for(lambda n=n: followed.seen == n + 1)


def test_a_line_that_cannot_be_waited_for_with_others_is_followed_by_itself():
    with Followed("loop://") as followed:  # what is sent comes back
        wait_for(lambda: followed.values == list(b"hello"))
        assert followed.line.received == 5
        assert not followed.intake._readings


def test_a_line_that_stops_puts_what_was_open(tmp_path):
    link = tmp_path / "device"
    with pty(link) as master:
        with Followed(str(link), entry_us=60_000_000) as followed:
            heard(master)
            os.write(master, b"\x07\x08")
            wait_for(lambda: followed.seen >= 2)
        assert followed.values == [7, 8]
        assert followed.events(events.Line)[-1].detail == "the gateway stops"
