"""Real terminals and sockets, and the command itself; everything is waited for, nothing is slept for."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

import pytest
from sim_decoders import DECODERS, truth

from firmware_sim.cli import main
from firmware_sim.errors import CaptureError, PortError
from firmware_sim.hosts import await_hosts
from firmware_sim.line import PtyLine, TcpLine, make_line
from firmware_sim.replay import Piece, is_capture, pace_bytes, pace_lines, parse_capture

PATIENCE = 20


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        select.select([], [], [], 0.002)
    return result


def open_tty(path):
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def take(fd, count):
    data = b""
    while len(data) < count:
        assert select.select([fd], [], [], PATIENCE)[0], "waited in vain"
        data += os.read(fd, 4096)
    return data


def take_all(fd):
    """Everything until the other side goes away."""
    data = bytearray()
    while True:
        assert select.select([fd], [], [], PATIENCE)[0], "waited in vain"
        try:
            piece = os.read(fd, 4096)
        except OSError:
            return bytes(data)
        if not piece:
            return bytes(data)
        data += piece


@pytest.fixture
def pty_line(tmp_path):
    line = PtyLine(str(tmp_path / "deep" / "port"))
    line.open()
    yield line
    line.close()


def test_a_terminal_is_raw_and_both_ways(pty_line, tmp_path):
    assert not pty_line.connected()
    assert pty_line.write(b"lost") == 0
    fd = open_tty(tmp_path / "deep" / "port")
    assert pty_line.connected()
    everything = bytes(range(256))
    assert pty_line.write(everything) == 256
    assert take(fd, 256) == everything
    os.write(fd, everything)
    heard = b""
    while len(heard) < 256:
        heard += pty_line.read()
    assert heard == everything
    assert not termios.tcgetattr(fd)[3] & termios.ECHO
    os.close(fd)
    until(lambda: not pty_line.connected())
    assert pty_line.pending() == 0


def test_a_terminal_knows_what_was_not_taken_and_forgets_it_for_the_next_reader(pty_line, tmp_path):
    path = tmp_path / "deep" / "port"
    fd = open_tty(path)
    pty_line.write(b"12345")
    assert pty_line.pending() == 5
    os.read(fd, 2)
    assert pty_line.pending() == 3
    os.close(fd)
    until(lambda: not pty_line.connected())
    fd = open_tty(path)
    assert pty_line.connected()
    pty_line.write(b"new")
    assert take(fd, 3) == b"new"
    os.close(fd)


def waited_s(line, happens):
    """The simulated seconds for which a line's host is waited for; `happens` maps a time to what the host does then."""
    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds
        for at in [at for at in happens if at <= now]:
            happens.pop(at)()

    await_hosts([line], clock=lambda: now, sleep=sleep, stopped=lambda: now > 60)
    assert not happens
    return now


def test_a_host_that_opens_and_flushes_late_is_waited_for(pty_line, tmp_path):
    path = tmp_path / "deep" / "port"
    for flushed_s in (1.01, 2.5):  # opened at 1 s
        fds = []
        happens = {1.0: lambda fds=fds: fds.append(open_tty(path))}
        happens[flushed_s] = lambda fds=fds: (os.write(fds[0], b"start"), termios.tcflush(fds[0], termios.TCIFLUSH))
        assert waited_s(pty_line, happens) == pytest.approx(flushed_s + 0.25, abs=0.02)
        assert pty_line.read() == b"start"
        pty_line.write(b"never taken")
        os.close(fds[0])
        until(lambda: not pty_line.connected())


def test_a_host_that_never_flushes_is_waited_for_a_while(pty_line, tmp_path):
    fd = open_tty(tmp_path / "deep" / "port")
    assert waited_s(pty_line, {}) == pytest.approx(2.0, abs=0.02)
    os.close(fd)


def test_a_full_terminal_loses_and_never_waits(pty_line, tmp_path):
    fd = open_tty(tmp_path / "deep" / "port")
    written = [pty_line.write(bytes(1000)) for _ in range(500)]
    assert written[0] == 1000
    assert written[-1] < 1000
    os.close(fd)


def test_an_unplugged_terminal_comes_back_under_its_name(pty_line, tmp_path):
    path = tmp_path / "deep" / "port"
    fd = open_tty(path)
    pty_line.close()
    assert take_all(fd) == b""
    assert not os.path.lexists(path)
    assert not pty_line.connected()
    assert pty_line.read() == b""
    os.close(fd)
    pty_line.open()
    pty_line.open()
    fd = open_tty(path)
    pty_line.write(b"x")
    assert take(fd, 1) == b"x"
    os.close(fd)


def test_a_file_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "port").write_text("mine")
    with pytest.raises(PortError):
        PtyLine(str(tmp_path / "port")).open()
    assert (tmp_path / "port").read_text() == "mine"


@pytest.fixture
def tcp_line():
    line = TcpLine("127.0.0.1", 0)
    line.open()
    yield line
    line.close()


def dial(line):
    host, port = line.url().removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def test_a_server_has_one_client_at_a_time(tcp_line):
    assert tcp_line.write(b"lost") == 0
    first = dial(tcp_line)
    until(tcp_line.connected)
    second = dial(tcp_line)
    until(lambda: tcp_line.read() == b"" and second.recv(1) == b"")
    assert tcp_line.write(b"abc") == 3
    assert first.recv(3) == b"abc"
    first.sendall(b"hello")
    assert until(tcp_line.read) == b"hello"
    until(lambda: tcp_line.pending() == 0)
    first.close()
    until(lambda: tcp_line.read() == b"" and not tcp_line.connected())
    third = dial(tcp_line)
    until(tcp_line.connected)
    third.close()
    second.close()


def test_an_unplugged_server_comes_back_at_its_number(tcp_line):
    url = tcp_line.url()
    client = dial(tcp_line)
    until(tcp_line.connected)
    tcp_line.write(b"last words")
    tcp_line.close()
    assert client.makefile("rb").read() == b"last words"
    client.close()
    with pytest.raises(OSError):
        dial(tcp_line)
    tcp_line.open()
    assert tcp_line.url() == url
    dial(tcp_line).close()


def test_a_slow_client_costs_bytes_not_time(tcp_line):
    client = dial(tcp_line)
    until(tcp_line.connected)
    assert any(tcp_line.write(bytes(100_000)) < 100_000 for _ in range(500))
    client.close()


@pytest.mark.parametrize("port", ["", "pty:", "tcp://", "tcp://h", "/dev/ttyS0", "udp://h:1"])
def test_names_that_are_no_port(port):
    with pytest.raises(PortError):
        make_line(port)


def test_a_port_that_is_taken(tcp_line):
    with pytest.raises(PortError):
        make_line(tcp_line.url()).open()


# --- the command ---


def start(*arguments):
    code = "import sys; from firmware_sim.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def scenario(tmp_path, model, port, more=""):
    path = tmp_path / "scenario.toml"
    path.write_text(f'seed = 3\n[[device]]\nname = "d"\nmodel = "{model}"\nport = "{port}"\n{more}')
    return path


def in_thread(function, *arguments):
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)), daemon=True)
    thread.start()
    return lambda: (thread.join(PATIENCE), results[0])[1]


def test_run_on_a_terminal_until_sigterm_delivers_all_that_is_in_the_truth(tmp_path):
    path = scenario(tmp_path, "nonin-df2", f"pty:{tmp_path}/port", "start_s = 0.3")
    with start("run", path, "--truth", tmp_path / "truth") as process:
        assert process.stdout.readline() == f"d pty:{tmp_path}/port\n"
        fd = open_tty(tmp_path / "port")
        finish = in_thread(take_all, fd)
        until(lambda: (tmp_path / "truth").read_text().count("\n") > 20)
        process.send_signal(signal.SIGTERM)
        data = finish()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""
    os.close(fd)
    readings, waves = truth((tmp_path / "truth").read_text())
    decoded, samples = DECODERS["nonin-df2"](data)
    assert decoded == [(item["signal"], item["value"]) for item in readings]
    assert samples == [sample for item in waves for sample in item["samples"]]
    assert not os.path.lexists(tmp_path / "port")


def test_run_over_tcp_answers_the_host_and_ends_by_itself(tmp_path):
    path = scenario(tmp_path, "contec", "tcp://127.0.0.1:0")
    ready = tmp_path / "ready"
    with start("run", path, "--truth", tmp_path / "truth", "--ready", ready, "--seconds", "2") as process:
        until(ready.exists)
        name, url = ready.read_text().split()
        assert name == "d"
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=PATIENCE) as client:
            client.sendall(bytes((0x7D, 0x81, 0xA1, *[0x80] * 6)))
            data = client.makefile("rb").read()
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""
    readings, _ = truth((tmp_path / "truth").read_text())
    assert readings
    assert DECODERS["contec"](data)[0] == [(item["signal"], item["value"]) for item in readings]


def test_a_run_is_unplugged_and_plugged_in_again(tmp_path):
    fault = 'fault = [{ kind = "unplug", from_s = 1.0, until_s = 1.6 }]'
    path = scenario(tmp_path, "nonin-df2", f"pty:{tmp_path}/port", fault)
    with start("run", path, "--truth", tmp_path / "truth", "--seconds", "3") as process:
        process.stdout.readline()
        fd = open_tty(tmp_path / "port")
        first = take_all(fd)
        os.close(fd)
        until((tmp_path / "port").exists)
        fd = open_tty(tmp_path / "port")
        second = take_all(fd)
        os.close(fd)
        assert process.wait(PATIENCE) == 0
    assert first
    assert second
    _, waves = truth((tmp_path / "truth").read_text())
    assert [1.0 <= item["time"] < 1.6 for item in waves] == ["fault" in item for item in waves]


def test_emit_is_repeatable_and_several_devices_make_a_directory(tmp_path, capsys):
    path = tmp_path / "two.toml"
    path.write_text('[[device]]\nname = "a"\nmodel = "masimo"\n[[device]]\nname = "b"\nmodel = "nonin-df8"\n')
    for out in ("one", "two"):
        assert (
            main(["emit", str(path), "--seconds", "9", "-o", f"{tmp_path}/{out}", "--truth", f"{tmp_path}/{out}.t"])
            == 0
        )
    for name in ("a.bin", "b.bin"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one.t").read_bytes() == (tmp_path / "two.t").read_bytes()
    assert main(["emit", str(path), "--seconds", "9", "--device", "a", "-o", f"{tmp_path}/a"]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "one" / "a.bin").read_bytes()
    assert main(["emit", str(path), "--seconds", "9", "-o", f"{tmp_path}/a"]) == 2
    assert main(["emit", str(path), "--seconds", "9", "--device", "aa", "-o", f"{tmp_path}/a"]) == 2
    assert main(["run", str(path)]) == 2
    assert main(["run", str(tmp_path / "none.toml")]) == 2
    assert all(line.startswith("firmware-sim: ") for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize("arguments", [[], ["emit"], ["emit", "x", "--seconds", "-1", "-o", "y"], ["replay", "x"]])
def test_misuse_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "nonin-df7" in out
    assert "unplug" in out


LINES = b"SPO2=097%\r\nSPO2=096%\r\nSPO2=095%\r\n"
CAPTURE = b"".join(
    json.dumps(item).encode() + b"\n"
    for item in (
        {"vitaledger-capture": 1, "driver": "masimo"},
        {"t_us": 5_000_000, "dir": "in", "hex": LINES[:13].hex()},
        {"t_us": 5_040_000, "dir": "out", "hex": "7d81"},
        {"t_us": 5_080_000, "dir": "in", "hex": LINES[13:].hex()},
    )
)


def test_pieces_of_captures():
    assert pace_lines(LINES, 10) == [Piece(0, LINES[:11]), Piece(10, LINES[11:22]), Piece(20, LINES[22:])]
    assert pace_bytes(b"abcde", 4, 2) == [Piece(0, b"ab"), Piece(500_000, b"cd"), Piece(1_000_000, b"e")]
    assert parse_capture(CAPTURE) == [Piece(0, LINES[:13]), Piece(80_000, LINES[13:])]
    assert is_capture(CAPTURE)
    assert not is_capture(LINES)
    assert not is_capture(b"1\n")


@pytest.mark.parametrize(
    "line", ["{", "3", '{"t_us": 1}', '{"t_us": 1, "dir": "up", "hex": ""}', '{"t_us": 1, "dir": "in", "hex": "x"}']
)
def test_captures_that_are_wrong(line):
    with pytest.raises(CaptureError):
        parse_capture(b'{"vitaledger-capture": 1}\n' + line.encode())
    with pytest.raises(CaptureError):
        parse_capture(b'{"vitaledger-capture": 2}\n')


@pytest.mark.parametrize(
    ("content", "options"),
    [(LINES, ["--line-interval", "0.02"]), (LINES, ["--rate", "2000", "--chunk", "5"]), (LINES * 9, []), (CAPTURE, [])],
)
@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_replay_delivers_everything(tmp_path, content, options, kind):
    (tmp_path / "file").write_bytes(content)
    port = f"pty:{tmp_path}/port" if kind == "pty" else "tcp://127.0.0.1:0"
    with start("replay", tmp_path / "file", "--port", port, "--hold", "0.05", *options) as process:
        url = process.stdout.readline().strip()
        if kind == "pty":
            fd = open_tty(tmp_path / "port")
            data = take_all(fd)
            os.close(fd)
        else:
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=PATIENCE) as client:
                data = client.makefile("rb").read()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""
    assert data == (LINES if content is CAPTURE else content)


def test_replay_in_a_loop_until_stopped(tmp_path):
    (tmp_path / "file").write_bytes(LINES)
    with start("replay", tmp_path / "file", "--port", f"pty:{tmp_path}/port", "--loop", "--baud", "115200") as process:
        process.stdout.readline()
        fd = open_tty(tmp_path / "port")
        assert take(fd, 5 * len(LINES)).startswith(LINES * 5)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        os.close(fd)


def test_replay_without_a_reader_says_what_was_lost(tmp_path):
    (tmp_path / "file").write_bytes(LINES)
    options = ["--no-wait", "--hold", "0", "--rate", "100000"]
    with start("replay", tmp_path / "file", "--port", f"pty:{tmp_path}/port", *options) as process:
        assert process.wait(PATIENCE) == 0
        assert "33 bytes were sent while nobody read" in process.stderr.read()
