"""A real collector for a measure: a broker and `vitaledger-collector run` as processes of their own, on loopback.

The broker is mosquitto where it is installed, else the embedded one.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from bench.fleet import PROVIDER
from bench.scratch import scratch
from collector import config, enrolment
from tests.e2e.ward import Ward as Base
from vitaledger.cli.stage import COLLECTOR

_START_S = 60.0
_BROKERS = {"mosquitto": "mosquitto", "embedded": "the embedded broker"}


class Ward(Base):
    """The stage without gateways and devices: the measure speaks in their place."""

    @property
    def collector_pid(self) -> int:
        """The collector's process."""
        return self._processes["collector"].pid

    def healthy(self) -> bool:
        """Whether the collector is at work, and connected to the broker."""
        pages = self.pages()
        try:
            if pages is not None:
                with urlopen(f"{pages}healthz", timeout=5) as answer:
                    return bool(answer.status == HTTPStatus.OK)
        except OSError:
            pass
        return False


@dataclass(frozen=True, slots=True)
class Running:
    """A collector at work: its process, the broker's port, and which broker it is."""

    pid: int
    broker_port: int
    broker: str


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
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"  # where Debian has it, which is not on everybody's path
    broker = "mosquitto" if shutil.which("mosquitto", path=path) else "embedded"
    with tempfile.TemporaryDirectory(prefix="vitaledger-bench-", dir=scratch()) as name:
        ward = Ward(Path(name), broker)
        try:
            port = ward.start_broker()
            enrolled(ward.collector_config.parent, vkeys, port)
            ward.start_collector()
            ward.await_condition("the collector is connected", _START_S, ward.healthy)
            yield Running(ward.collector_pid, port, _BROKERS[broker])
        finally:
            ward.stop_all()
