"""The ward that gateways are measured with: eight simulated devices, and what the kernel knows of a process.

Three of the devices stream 60 or 75 frames a second with pleth; all keep their raw bytes. Together they send some 1.9
KB and 275 readings a second.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.config import MqttConfig
from vitaledger.cli.stage import Stage

_NONIN, _CONTEC, _MASIMO = "nonin", "contec", "masimo"
MIX = {
    "bed-1": (_NONIN, 'model = "nonin-df2"'),
    "bed-2": (_NONIN, 'model = "nonin-df2"'),
    "bed-3": (_CONTEC, 'model = "contec"'),
    **{f"bed-{n}": (_MASIMO, f'model = "masimo"\nserial = "00000566{n:02}"') for n in range(4, 9)},
}
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


class Ward(Stage):
    """The demo's stage with eight devices. `anchor_s`: how often the gateway anchors."""

    devices = MIX

    def __init__(self, folder: Path, seed: int, anchor_s: float = MqttConfig().anchor_every_s) -> None:
        super().__init__(folder, seed)
        self._anchor_s = anchor_s

    def prepare(self, port: int) -> None:
        super().prepare(port)
        settings = self.gateway_config.read_text()
        self.gateway_config.write_text(re.sub("anchor_every_s = .*", f"anchor_every_s = {self._anchor_s}", settings))

    def start_bare(self) -> None:
        """Start the devices, and in the gateway's place a process that only reads their lines."""
        lines = [f"{driver}={self.folder}/{name}" for name, (driver, _) in self.devices.items()]
        self._spawn("bare", "python", str(Path(__file__).with_name("bare.py")), *lines)
        self.start_devices()

    def stop_all(self) -> None:
        """As for every stage; the process in the gateway's place first."""
        self.stop("bare")
        super().stop_all()

    @property
    def gateway_state(self) -> Path:
        """Where the gateway keeps its log."""
        return self.gateway_config.parent / "state"

    def pid(self, name: str) -> int:
        """The process id of one of the programs."""
        return self._processes[name].pid


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process used: CPU seconds, and bytes that it sent to the disk, in the pages that the kernel writes."""

    cpu_s: float
    written: int


def spent(pid: int) -> Spent:
    """What a process has used so far."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    try:  # nanoseconds; of threads that live, which a gateway's do
        seconds = sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
    except OSError:
        seconds = cpu_s(pid)
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Spent(seconds, int(lines["write_bytes"]))


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK
