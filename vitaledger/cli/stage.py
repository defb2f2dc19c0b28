"""The demo's stage: broker, collector, gateway and simulated devices as processes of their own, in one folder.

Nothing here reaches into the programs: it starts the installed commands, as an engineer would, and reads what they
print.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vitaledger.errors import VitaledgerError

PROVIDER = "demo.example"
GATEWAY = "ward-1"
_VKEY = re.compile(r"[^\s'\"+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+")
_PORT = re.compile(r"\b(\d{2,5})\s*$", re.MULTILINE)
_START_S = 60.0
_STOP_S = 20.0

# name of the port -> the driver that the gateway is told, and what the simulator is told
DEVICES = {
    "bed-1": ("nonin", 'model = "nonin-df2"\npatient = { pulse = 72, spo2 = 97 }'),
    "bed-2": ("contec", 'model = "contec"\npatient = { pulse = 88, spo2 = 95 }'),
    "bed-3": ("masimo", 'model = "masimo"\nserial = "0000056661"\npatient = { pulse = 64, spo2 = 96 }'),
}
COLLECTOR = """\
provider = "{provider}"
state = "state"

[mqtt]
host = "127.0.0.1"
port = {port}
protocol = "3.1.1"  # all that the embedded broker speaks

[http]
host = "127.0.0.1"
port = 0
pages = true
"""
GATEWAY_CONFIG = """\
provider = "{provider}"
gateway = "{gateway}"
ledger_vkey = "{vkey}"
state = "state"

[mqtt]
host = "127.0.0.1"
port = {port}
protocol = "3.1.1"  # all that the embedded broker speaks
anchor_every_s = 2
"""
GATEWAY_PORT = """
[[port]]
name = "{name}"
device = "{folder}/{name}"
driver = "{driver}"
use = "demo"
"""


class StageError(VitaledgerError):
    """A process of the demo did not do its part; the message names its log file."""

    exit_code = 1


class Stage:
    """The processes of one demo and the folder that they work in. `stop` ends them, the source first."""

    devices = DEVICES

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.truth = folder / "truth.jsonl"
        self.collector_config = folder / "collector" / "collector.toml"
        self.gateway_config = folder / "gateway" / "gateway.toml"
        self.collector_store = folder / "collector" / "state" / "collector.sqlite"
        self._seed = seed
        self._processes: dict[str, subprocess.Popen[str]] = {}
        (folder / "log").mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start everything in the order in which nothing is lost: the devices last, when their ports are open."""
        self.prepare(self.start_broker())
        self.start_collector()
        self.start_gateway()
        self.start_devices()
        self.await_condition("the devices are heard", _START_S, self.heard)

    def prepare(self, port: int) -> None:
        """Make keys and configurations for a broker on this port, and enrol the gateway."""
        printed = self.run("vitaledger-collector", "init", str(self.folder / "collector"), "--provider", PROVIDER)
        ledger_vkey = _vkey(printed, "ledger")
        self.collector_config.write_text(COLLECTOR.format(provider=PROVIDER, port=port))
        init = ("init", str(self.folder / "gateway"), "--gateway", GATEWAY, "--provider", PROVIDER)
        vkey = _vkey(self.run("vitaledger-gateway", *init, "--ledger-vkey", ledger_vkey), "gateway")
        way = self.way_to(port)
        settings = GATEWAY_CONFIG.format(provider=PROVIDER, gateway=GATEWAY, vkey=ledger_vkey, port=way)
        for name, (driver, _) in self.devices.items():
            settings += GATEWAY_PORT.format(name=name, driver=driver, folder=self.folder)
        self.gateway_config.write_text(settings)
        self.collector("enroll", vkey)

    def start_broker(self) -> int:
        """Start the embedded broker on a free port and answer which."""
        log = self._spawn("broker", "vitaledger-collector", "broker", "--port", "0")
        self.await_condition("the broker's port", 20, lambda: _PORT.search(log.read_text()) is not None)
        found = _PORT.search(log.read_text())
        return int(found[1]) if found else 0

    def way_to(self, port: int) -> int:
        """The port at which the gateway is told to find the broker that listens on `port`."""
        return port

    def start_collector(self) -> None:
        """Start the collector's service."""
        self._spawn("collector", "vitaledger-collector", "--config", str(self.collector_config), "run")

    def pages(self) -> str | None:
        """The address of the collector's pages; None until it has said its port."""
        try:
            port = (self.collector_store.parent / "http-port").read_text("ascii").strip()
        except OSError:
            return None
        return f"http://127.0.0.1:{port}/"

    def start_gateway(self) -> None:
        """Start the gateway; it opens the devices' ports as they appear."""
        self._spawn("gateway", "vitaledger-gateway", "--config", str(self.gateway_config), "run")

    def start_devices(self) -> None:
        """Start the simulated devices; their time begins when the gateway has opened every port."""
        scenario = self.folder / "scenario.toml"
        text = f"seed = {self._seed}\n"
        for name, (_, settings) in self.devices.items():
            text += f'\n[[device]]\nname = "{name}"\nport = "pty:{self.folder}/{name}"\n{settings}\n'
        scenario.write_text(text)
        self._spawn("devices", "firmware-sim", "run", str(scenario), "--truth", str(self.truth), "--wait")

    def heard(self) -> bool:
        """Whether the devices have said something: they do so when the gateway listens."""
        return self.truth.exists() and self.truth.stat().st_size > 0

    def at_rest(self) -> bool:
        """Whether all that the devices sent before they were stopped is sealed and under a receipt.

        A port can have several chains: that in which a killed gateway wrote last ends without a word on the line.
        """
        state = json_lines(self.gateway("status", "--json"))[-1]
        if state["backlog"] or not state["devices"]:
            return False
        told = json_lines(self.collector("devices", "--json"))
        ports = {each["chain"]: each["identity"]["port"] for each in told if each["identity"]}
        newest: dict[str, dict[str, Any]] = {}
        for device in sorted(state["devices"], key=lambda each: each["age_s"], reverse=True):
            newest[ports.get(device["chain"], device["chain"])] = device
        return all(device["line"] for device in newest.values())

    def collector(self, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command of the collector and answer what it prints."""
        return self.run("vitaledger-collector", "--config", str(self.collector_config), *words, ok=ok)

    def gateway(self, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command of the gateway and answer what it prints."""
        return self.run("vitaledger-gateway", "--config", str(self.gateway_config), *words, ok=ok)

    def run(self, program: str, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end.

        Raises:
            StageError: it ended with a code that is not in `ok`; bears what it printed.
        """
        done = subprocess.run([command(program), *words], capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            said = (done.stdout + done.stderr).strip()
            raise StageError(f"{program} {' '.join(words)}: exit {done.returncode}\n{said}")
        return done.stdout

    @contextmanager
    def watch(self, program: str, config: Path) -> Iterator[IO[str]]:
        """The JSON lines of a program's `status --watch`, while the block runs."""
        process = subprocess.Popen(
            [command(program), "--config", str(config), "status", "--watch", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.terminate()
            process.wait()

    def check(self) -> None:
        """Raise StageError where a process has ended that should be running."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = self.folder / "log" / f"{name}.log"
                raise StageError(f"{name} ended with exit {process.returncode}; the end of {log}:\n{_tail(log)}")

    def stop(self, name: str) -> None:
        """Ask one process to stop and wait for it; kill it where it does not."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """Stop what still runs, the source first, so that everything that was sent arrives."""
        for name in ("devices", "gateway", "collector", "broker"):
            self.stop(name)

    def await_condition(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            StageError: it did not within that time.
        """
        until = time.monotonic() + seconds
        while not holds():
            self.check()
            if time.monotonic() > until:
                raise StageError(f"{what}: not within {seconds:.0f} s; the logs are in {self.folder / 'log'}")
            time.sleep(0.1)

    def _spawn(self, name: str, program: str, *words: str) -> Path:
        log = self.folder / "log" / f"{name}.log"
        with log.open("w") as out:
            self._processes[name] = subprocess.Popen(
                [command(program), *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops them in order
            )
        return log


def _vkey(printed: str, of: str) -> str:
    keys = [key for key in _VKEY.findall(printed) if f"/{of}" in key]
    if not keys:
        raise StageError(f"init printed no key of a {of}: {printed}")
    return str(keys[0])


def command(program: str) -> str:
    """The path of one of our commands: beside this Python, else on the PATH."""
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        raise StageError(f"{program} is not installed; the demo needs vitaledger[gateway,collector,sim]")
    return found


def json_lines(printed: str) -> list[dict[str, Any]]:
    """The objects of a command's JSON lines."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def _tail(path: Path, lines: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
