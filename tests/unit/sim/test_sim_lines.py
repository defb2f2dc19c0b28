"""Wrong settings, noise and plugs that move: what arrives, what the truth says, and which ports there are."""

import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sim_decoders import truth

from firmware_sim.cli import main
from firmware_sim.errors import PortError, ScenarioError
from firmware_sim.faults import DESCRIPTIONS, Fault, FaultKind
from firmware_sim.rig import Rig, VirtualDevice, relocate
from firmware_sim.scenario import MODELS, DeviceSpec, from_table, load, parse
from firmware_sim.serve import Server
from firmware_sim.station import Station
from firmware_sim.wire import Noise, as_heard

SECOND = 1_000_000
SCENARIOS = Path(__file__).parents[3] / "scenarios"


def scenario_of(name):
    return load(SCENARIOS / f"{name}.toml")


def pieces_of(spec, seconds, seed=1, step_us=SECOND):
    station = Station(spec, seed, attended=True)
    pieces, lines = [], []
    for at in range(0, seconds * SECOND, step_us):
        progress = station.advance(at + step_us - 1)
        pieces += progress.pieces
        lines += progress.truth
    lines += station.finish()
    truth("\n".join(lines))
    return pieces, [json.loads(line) for line in lines]


# --- settings ---


def test_a_stop_bit_more_changes_nothing_and_another_rate_everything():
    text = b"SPO2=097% BPM=072"
    assert as_heard(text, 9600, "8N2", 9600) == text
    for baud in (1200, 4800, 14400, 19200, 115200):
        assert not re.search(rb"\d{2}", as_heard(text, baud, "8N1", 9600))
    assert b"SPO2" not in as_heard(text, 9600, "8E1", 9600)
    assert as_heard(bytes(3), 9600, "8N1", 9600) == bytes(3)
    assert as_heard(b"\0", 2400, "8N1", 9600) == b"\0"  # a break is one byte, however long it is


@pytest.mark.parametrize("spec", scenario_of("wrong-baud").devices, ids=lambda spec: spec.name)
def test_with_wrong_settings_everything_is_marked_and_something_arrives(spec):
    seed = scenario_of("wrong-baud").seed
    pieces, items = pieces_of(spec, 40, seed)
    clean, _ = pieces_of(DeviceSpec(spec.name, spec.model, serial=spec.serial), 40, seed)
    calm = dict(clean)
    # A frame whose check bits all happen to be high comes through with a wrong parity too.
    inside = [data == calm[at] for at, data in pieces if any(fault.covers(at) for fault in spec.faults)]
    assert 0 <= sum(inside) < len(inside) / 10
    assert all(data == calm[at] for at, data in pieces if not any(fault.covers(at) for fault in spec.faults))
    for item in items:
        inside = any(fault.covers(round(item["time"] * SECOND)) for fault in spec.faults)
        assert not inside or item["fault"] == "unreadable"
    assert {item.get("fault") for item in items} == {None, "unreadable"}


# --- noise ---


@pytest.mark.parametrize("spec", scenario_of("noise").devices, ids=lambda spec: spec.name)
def test_noise_stands_between_frames_and_the_frame_behind_it_is_marked(spec):
    pieces, items = pieces_of(spec, 30, 41)
    calm, _ = pieces_of(DeviceSpec(spec.name, spec.model, start_us=spec.start_us, serial=spec.serial), 30, 41)
    frames = dict(calm)
    bursts = [(at, data) for at, data in pieces if frames.get(at) != data]
    assert bursts
    assert [at for at, _ in pieces] == sorted(at for at, _ in pieces)
    assert all(any(f.covers(at) for f in spec.faults if f.kind is FaultKind.NOISE) for at, _ in bursts)
    for at, _ in bursts:
        readings = (item for item in items if "signal" in item and round(item["time"] * SECOND) >= at)
        assert "fault" in next(readings, {"fault": "none came"})
    assert {item["fault"] for item in items if "fault" in item} == {"noise"}


def test_an_idle_line_has_noise_too_and_a_pulled_plug_none():
    noise = Fault(FaultKind.NOISE, 0, 10 * SECOND, bytes_per_s=50)
    pieces, items = pieces_of(DeviceSpec("d", "masimo", start_us=20 * SECOND, faults=(noise,)), 10)
    assert 250 < sum(len(data) for _, data in pieces) < 1000
    assert items == []
    away = Fault(FaultKind.UNPLUG, 0, 10 * SECOND)
    assert pieces_of(DeviceSpec("d", "masimo", start_us=20 * SECOND, faults=(noise, away)), 10)[0] == []


def test_noise_of_two_faults_comes_in_order():
    faults = [Fault(FaultKind.NOISE, start * SECOND, 9 * SECOND, bytes_per_s=90) for start in (1, 0)]
    times = [burst.time_us for burst in Noise(faults, "seed").until(20 * SECOND)]
    assert times == sorted(times)
    assert times[0] < SECOND


# --- plugs ---


class Stepped:
    """A scenario on real ports whose time the test moves on by hand, with a reader on every port that is there."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.heard = {}
        self.server = Server(scenario, tell=lambda _: None, flush=lambda: None, clock=lambda: 0.0, sleep=lambda _: None)
        self.server.open()
        self.readers = {}

    def to(self, second):
        """Go to a time in steps of a tenth of a second."""
        while getattr(self, "now", -1) < second * 10:
            self.now = getattr(self, "now", -1) + 1
            self.server._step(self.now * SECOND // 10)
            self.listen()

    def listen(self):
        for _, port in self.server.ports():
            path = port.removeprefix("pty:")
            if os.path.lexists(path) and path not in self.readers:
                self.readers[path] = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        for path, fd in list(self.readers.items()):
            while select.select([fd], [], [], 0)[0]:
                try:
                    piece = os.read(fd, 4096)
                except OSError:
                    piece = b""
                self.heard[path] = self.heard.get(path, b"") + piece
                if not piece:
                    os.close(self.readers.pop(path))
                    break

    def close(self):
        self.server.close()
        for fd in self.readers.values():
            os.close(fd)


def serials(data):
    """The serial numbers in the order of the lines."""
    return re.findall(rb"SN=(\d+)", data)


def links(folder):
    return {link.name for link in folder.iterdir() if link.is_symlink()}


def test_a_device_comes_back_under_another_name_and_its_own_link_follows(tmp_path):
    ward = Stepped(relocate(scenario_of("replug"), tmp_path))
    folder = tmp_path / "tmp" / "vitaledger-replug"
    by_id = folder / "by-id" / "usb-Nonin_Xpod-if00-port0"
    ward.to(9)
    assert links(folder) == {"ttyUSB0", "ttyUSB1"}
    assert by_id.readlink() == folder / "ttyUSB1"
    assert by_id.resolve() == (folder / "ttyUSB1").resolve()
    ward.to(12)
    assert links(folder) == {"ttyUSB1"}
    ward.to(16)
    assert links(folder) == {"ttyUSB2"}
    assert not os.path.lexists(by_id)
    ward.to(25)
    assert links(folder) == {"ttyUSB2", "ttyUSB3"}
    assert by_id.readlink() == folder / "ttyUSB3"
    assert dict(ward.server.ports())["rad-1"] == f"pty:{folder}/ttyUSB2"
    ward.to(40)
    assert links(folder) == {"ttyUSB0", "ttyUSB3"}
    ward.close()
    assert links(folder) == set()
    assert [len(serials(ward.heard[str(folder / name)])) for name in ("ttyUSB0", "ttyUSB2")] == [9 + 9, 16]


def test_two_devices_change_places_and_change_back(tmp_path):
    ward = Stepped(relocate(scenario_of("swapped-ports"), tmp_path))
    folder = tmp_path / "tmp" / "vitaledger-swapped-ports"
    ward.to(12)
    assert links(folder) == set()
    ward.to(40)
    ward.close()
    one, two = (serials(ward.heard[str(folder / name)]) for name in ("ttyUSB0", "ttyUSB1"))
    assert [list(dict.fromkeys(each)) for each in (one, two)] == [
        [b"0000062001", b"0000062002"],
        [b"0000062002", b"0000062001"],
    ]
    assert one[0] == one[-1] == b"0000062001"
    assert two[0] == two[-1] == b"0000062002"
    # Lines of the seconds 0, 14 and 32 were sent when the port was there and nobody had opened it yet.
    assert len(one) == len(two) == 41 - 4 - 2 - 3


@pytest.mark.parametrize("length_s", [0.0004, 0.3])
def test_ports_change_hands_however_short_the_time_between(tmp_path, length_s):
    faults = [{"kind": "swap-ports", "with": "b", "from_s": 5, "until_s": 5 + length_s}]
    names = ("a", "b")
    devices = [{"name": n, "model": "masimo", "serial": n, "port": f"pty:{tmp_path}/{n}"} for n in names]
    ward = Stepped(from_table({"device": [{**devices[0], "fault": faults}, devices[1]]}))
    ward.to(7)
    assert [port for _, port in ward.server.ports()] == [f"pty:{tmp_path}/b", f"pty:{tmp_path}/a"]
    assert links(tmp_path) == {"a", "b"}
    ward.close()


def test_run_moves_ports_in_real_time(tmp_path):
    path = tmp_path / "scenario.toml"
    text = (SCENARIOS / "swapped-ports.toml").read_text().replace("/tmp/vitaledger-swapped-ports", str(tmp_path))
    path.write_text(
        re.sub(r"from_s = 10, until_s = 14", "from_s = 1, until_s = 1.4", re.sub(r".*from_s = 30,.*\n", "", text))
    )
    code = "import sys; from firmware_sim.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", str(path), "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == f"rad-1 pty:{tmp_path}/ttyUSB0\n"
        end, heard = time.monotonic() + 40, b""
        while b"SN=0000062002" not in heard:
            assert time.monotonic() < end
            try:
                with (tmp_path / "ttyUSB0").open("rb", buffering=0) as port:
                    while b"SN=0000062002" not in heard and time.monotonic() < end and (piece := port.read(4096)):
                        heard += piece
            except OSError:
                time.sleep(0.01)
        process.terminate()
        assert process.wait(20) == 0


def test_a_swap_of_ports_is_two_moves():
    one, two = scenario_of("swapped-ports").devices
    assert [fault.kind for fault in one.faults + two.faults] == [FaultKind.REPLUG] * 4
    station = Station(one, 1)
    ports = [station.port(second * SECOND).rpartition("/")[2] for second in (0, 13, 14, 31, 32)]
    assert ports == ["ttyUSB0", "ttyUSB0", "ttyUSB1", "ttyUSB1", "ttyUSB0"]
    assert [Station(two, 1).plugged(second * SECOND) for second in (9, 10, 13, 14)] == [True, False, False, True]


def test_the_link_of_a_device_does_not_replace_a_file(tmp_path):
    (tmp_path / "mine").write_text("mine")
    table = {"device": [{"name": "d", "model": "masimo", "port": f"pty:{tmp_path}/p", "by_id": f"{tmp_path}/mine"}]}
    with pytest.raises(PortError):
        Rig(from_table(table)).start()
    assert (tmp_path / "mine").read_text() == "mine"


# --- scenario files ---


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_runs_on_ports_of_its_own(path, tmp_path):
    with Rig(relocate(load(path), tmp_path), wait=False) as rig:
        assert all(device.url for device in rig.devices.values())
        for device in rig.devices.values():
            if device.name not in {"contec-1", "dated", "undated"} and path.stem != "noise":
                device.wait_for_readings(1)


def test_every_fault_is_in_a_scenario_and_in_the_list(capsys):
    used = {match for path in SCENARIOS.glob("*.toml") for match in re.findall(r'kind = "([\w-]+)"', path.read_text())}
    assert used == {kind.value for kind in FaultKind}
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {kind.value} " in listed for kind in FaultKind)
    assert set(DESCRIPTIONS) == set(FaultKind)


A = '[[device]]\nname = "a"\nmodel = "masimo"\nport = "pty:/x/a"\n'
B = A.replace('"a"', '"b"').replace("/x/a", "/x/b")
NONIN = A.replace("masimo", "nonin-df2")


def faulty(kind, more="", device=A):
    return device + f"fault = [{{ kind = '{kind}', from_s = 1, until_s = 2{', ' + more if more else ''} }}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (faulty("wrong-baud", "buad = 4800"), "fault: unknown key 'buad' (nearest: 'baud')"),
        (faulty("noise", "bytes_per_sec = 3"), "unknown key 'bytes_per_sec' (nearest: 'bytes_per_s')"),
        (faulty("alarm-strom"), "no such fault: 'alarm-strom' (nearest: 'alarm-storm')"),
        (faulty("unplug", "serial = '1'"), "unknown key 'serial'"),
        (faulty("wrong-baud", "baud = 12"), "baud is to be from 300"),
        (faulty("wrong-parity", "framing = '9E1'"), "framing is to be as 8E1"),
        (faulty("alarm-storm", device=NONIN), "alarm-storm is for contec, masimo only"),
        (faulty("clock-step", "by_s = 5", NONIN), "clock-step is for masimo only"),
        (faulty("stored-twice", device=A.replace("masimo", "contec")), "stored_s"),
        (faulty("alarm-storm", "per_hour = 5000"), "per_hour is to be from 1 to 900"),
        (faulty("replug"), "port is missing"),
        (faulty("replug", "port = 'tcp://h:1'"), "pty:PATH"),
        (faulty("swap-ports", "with = 'bb'") + B, "no other device 'bb' (nearest: 'b')"),
        (faulty("swap-ports", "with = 'a'") + B, "no other device 'a' (nearest: 'b')"),
        (faulty("replug", "port = 'pty:/x/b'") + B, "two devices have the port 'pty:/x/b': a and b"),
        (A + B.replace("/x/b", "/x/a"), "two devices have the port 'pty:/x/a'"),
        (A + "by_id = '/x/l'\n" + B + "by_id = '/x/l'\n", "two devices have the by_id"),
        (A.replace("pty:/x/a", "tcp://h:1") + "by_id = '/x/l'\n", "by_id is the path"),
        (A + "daylight_saving = 'euu'\n", "no such daylight_saving: 'euu' (nearest: 'eu')"),
        (A + "clock = 2026-01-01T00:00:00Z\n", "local time without a zone"),
        (A + "clock = 2026-01-01T00:00:00\nclock_offset_s = 1\n", "either clock or clock_offset_s"),
        (A + "clock_ofset_s = 3\n", "unknown key 'clock_ofset_s' (nearest: 'clock_offset_s')"),
        ("epok = 3\n" + A, "unknown key 'epok' (nearest: 'epoch')"),
        (A + "fault = [{ from_s = 1, until_s = 2, kimd = 'drop' }]", "unknown key 'kimd' (nearest: 'kind')"),
        (A + "fault = [{ from_s = 1, until_s = 2 }]", "kind is missing"),
    ],
)
def test_faults_that_are_wrong_say_how(text, message):
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_device_is_not_moved_again_before_it_is_plugged_in():
    moves = "fault = [" + ", ".join(
        f"{{ kind = 'replug', from_s = {start}, until_s = {start + 5}, port = 'pty:/x/{start}' }}" for start in (1, 4)
    )
    with pytest.raises(ScenarioError, match="moved again"):
        parse(A + moves + "]")


@pytest.mark.parametrize("model", MODELS)
def test_virtual_time_gives_what_emit_gives(model, tmp_path):
    (tmp_path / "s.toml").write_text(f'seed = 4\n[[device]]\nname = "d"\nmodel = "{model}"\n')
    assert (
        main(["emit", f"{tmp_path}/s.toml", "--seconds", "5", "-o", f"{tmp_path}/b", "--truth", f"{tmp_path}/t"]) == 0
    )
    device = VirtualDevice(load(tmp_path / "s.toml"))
    pieces = [*device.play(2.3, step_s=0.01), *device.play(2.7)]
    assert b"".join(data for _, data in pieces) == (tmp_path / "b").read_bytes()
    assert len(device.readings()) == (tmp_path / "t").read_text().count('"signal"')
    assert device.now == 5
