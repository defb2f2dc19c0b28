"""A ward for tests: the demo's stage with any broker and scenario, processes that can be killed, and the comparison."""

import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from operator import itemgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

from collector.cli import main as collector
from gateway.cli import main as gateway
from tests.parts import program
from vitaledger.cli import main as vitaledger
from vitaledger.cli.stage import Stage, StageError, json_lines

SHORT_ENTRIES = "\n[record]\nentry_seconds = 1\n"
MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
"""


_MAINS = {"vitaledger": vitaledger, "vitaledger-gateway": gateway, "vitaledger-collector": collector}


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ward(Stage):
    """The stage, with a broker of choice on a port that stays the same when it is started again."""

    settings = ""  # of the gateway, besides those of the demo

    def __init__(self, folder: Path, broker: str, seed: int = 7) -> None:
        super().__init__(folder, seed)
        self._broker = broker
        self._broker_port = free_port()

    def prepare(self, port: int) -> None:
        super().prepare(port)
        with self.gateway_config.open("a") as config:
            config.write(self.settings)

    def start_broker(self) -> int:
        if self._broker == "mosquitto":
            config = self.folder / "mosquitto.conf"
            config.write_text(MOSQUITTO.format(port=self._broker_port))
            self._spawn("broker", program("mosquitto"), "-c", str(config))
        else:
            self._spawn("broker", "vitaledger-collector", "broker", "--port", str(self._broker_port))
        self.await_condition("the broker listens", 20, self._listens)
        return self._broker_port

    def run(self, program: str, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end, in this process: starting one for each costs more than most of them do.

        The demo starts real ones, and the test of the README's commands does.
        """
        out, err, code = StringIO(), StringIO(), None
        with patch.object(sys, "argv", [program, *words]), redirect_stdout(out), redirect_stderr(err):
            try:
                _MAINS[program]()
            except SystemExit as end:
                code = end.code
        if (code or 0) not in ok:
            raise StageError(f"{program} {' '.join(words)}: exit {code}\n{out.getvalue()}{err.getvalue()}")
        return out.getvalue()

    def kill(self, name: str) -> None:
        """Kill a process as a power cut would: it gets no chance to do anything more."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def drain(self) -> None:
        """Stop the devices, wait until everything is receipted, and stop the gateway and the collector cleanly."""
        self.stop("devices")
        self.await_condition("everything receipted", 60, self.at_rest)
        self.stop("gateway")
        self.stop("collector")

    def history(self) -> dict[str, list[dict[str, Any]]]:
        """The verified history of each device, by the name of its port."""
        found: dict[str, list[dict[str, Any]]] = {}
        for device in json_lines(self.collector("devices", "--json")):
            lines = json_lines(self.collector("history", device["chain"], "--json", "--waves"))
            found.setdefault(device["identity"]["port"], []).extend(line for line in lines if "wall_ms" in line)
        # a line that was cut before its device had told its serial number three times is on the port's own chain
        return {port: in_order(lines) for port, lines in found.items()}

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._broker_port)) == 0


def in_order(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several chains' rows by time; rows of one chain stay in the order of its sequence.

    An entry's time is in whole milliseconds and a row's offset from it in microseconds: the last row of an entry can
    seem to be up to a millisecond younger than the first of the next.
    """
    newest: dict[tuple[str, str], float] = {}
    keyed = []
    for line in lines:
        chain = (line.get("carried") or line)["origin"], line["chain"]
        at = float(line["wall_ms"]) * 1000 + float(line["offset_us"])
        newest[chain] = max(at, newest.get(chain, at))
        keyed.append((newest[chain], line))
    return [line for _, line in sorted(keyed, key=itemgetter(0))]


def output_of(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
