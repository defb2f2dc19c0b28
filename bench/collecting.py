"""A real collector for a measure: a broker and `vitaledger-collector run` as processes of their own, on loopback.

The broker is mosquitto where it is installed, with the bounds of deploy/mosquitto.conf; else the embedded one.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from bench.fleet import PROVIDER
from bench.scratch import scratch
from collector import config, enrolment
from collector.service import PORT_FILE
from vitaledger.cli.stage import COLLECTOR, command

_START_S = 60.0
_STOP_S = 20.0
_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
max_packet_size 262144
max_queued_messages 20000
max_queued_bytes 268435456
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A collector at work: its process, the broker's port, and which broker it is."""

    pid: int
    broker_port: int
    broker: str
    config: config.Config


def enrolled(folder: Path, vkeys: Iterable[str], broker_port: int = 1883) -> config.Config:
    """A new collector in a folder, with these gateways enrolled."""
    enrolment.init(folder, PROVIDER, os.urandom(32))
    path = folder / config.FILE_NAME
    path.write_text(COLLECTOR.format(provider=PROVIDER, port=broker_port), "utf-8")
    found = config.load(path)
    store, signer = enrolment.open_ledger(found)
    for vkey in vkeys:
        enrolment.enroll(store, signer, vkey, time.time_ns() // 1_000_000)
    store.close()
    return found


@contextmanager
def collecting(vkeys: Iterable[str]) -> Iterator[Running]:
    """Start both, and stop both at the end; nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        folder, port = Path(name), _free_port()
        of = enrolled(folder / "collector", vkeys, port)
        broker, words = _broker(folder, port)
        with _process(words, folder / "broker.log"):
            _await(lambda: _listens(port), f"{broker} on port {port}")
            words = [command("vitaledger-collector"), "--config", str(folder / "collector" / config.FILE_NAME), "run"]
            with _process(words, folder / "collector.log") as collector:
                _await((of.state_dir / PORT_FILE).exists, f"the collector; see {folder / 'collector.log'}")
                port_of_web = (of.state_dir / PORT_FILE).read_text("ascii").strip()
                _await(lambda: _healthy(port_of_web), f"the collector at its broker; see {folder / 'collector.log'}")
                yield Running(collector.pid, port, broker, of)


def _broker(folder: Path, port: int) -> tuple[str, list[str]]:
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        return "the embedded broker", [sys.executable, "-m", "collector.broker", "--port", str(port)]
    path = folder / "mosquitto.conf"
    path.write_text(_BROKER.format(port=port) + ("user root\n" if os.geteuid() == 0 else ""), "utf-8")
    return "mosquitto", [found, "-c", str(path)]


@contextmanager
def _process(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as out:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _START_S
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not there within {_START_S:.0f} s")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _healthy(port: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
