"""A capture has every byte of the line, and `firmware-sim replay` reads the file."""

import json
import os
import threading

from firmware_sim.replay import is_capture, parse_capture
from gateway import capture
from gateway.config import PortConfig
from tests.unit.gateway.test_port import pty, wait_for


def record(tmp_path, settings=None, talk=lambda master: None):
    link, output, stop = tmp_path / "device", tmp_path / "capture.jsonl", threading.Event()
    codes = []
    with pty(link) as master:
        thread = threading.Thread(target=lambda: codes.append(capture.run(str(link), output, settings, stop=stop)))
        thread.start()
        wait_for(output.exists)
        talk(master)
        wait_for(lambda: len(output.read_text().splitlines()) > 1)
        stop.set()
        thread.join()
    assert codes == [0]
    return output.read_bytes()


def test_bytes_with_times_and_directions(tmp_path):
    def talk(master):
        threading.Event().wait(0.3)  # what is written before a terminal is opened is thrown away by opening it
        os.write(master, b"\x01\x81")

    data = record(tmp_path, talk=talk)
    header, first = [json.loads(line) for line in data.splitlines()][:2]
    assert header["vitaledger-capture"] == 1
    assert header["baud"] == 9600
    assert header["began"].endswith("Z")
    assert (first["dir"], first["hex"]) == ("in", "0181")
    assert first["t_us"] >= 0
    assert is_capture(data)
    assert [piece.data for piece in parse_capture(data)] == [b"\x01\x81"]


def test_a_named_driver_sends_what_it_sends(tmp_path):
    settings = PortConfig(name="bed-2", device="-", driver="contec")
    header, first = [json.loads(line) for line in record(tmp_path, settings).splitlines()][:2]
    assert header["baud"] == 115200
    assert first["dir"] == "out"
    assert first["hex"].startswith("7d81")


def test_it_ends_by_itself_and_without_a_device(tmp_path):
    output = tmp_path / "capture.jsonl"
    assert capture.run(str(tmp_path / "missing"), output, seconds=0.1) == 0
    assert len(output.read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    assert capture.run("loop://", tmp_path / "no" / "file", seconds=0.1) == 1
    assert "No such file" in capsys.readouterr().err
