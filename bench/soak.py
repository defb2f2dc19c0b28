"""A gateway at work: memory, CPU and bytes written while eight simulated devices stream through a real path.

`make bench ARGS="--soak 600"`. Three of the devices stream 60 or 75 frames a second with pleth and raw bytes.
"""

import os
import tempfile
import time
from pathlib import Path

from bench.scratch import scratch
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
    """The demo's stage with eight devices."""

    devices = MIX

    def pid(self, name: str) -> int:
        """The process id of one of the programs."""
        return self._processes[name].pid


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def written_mb(pid: int) -> float:
    """MB that a process has sent to the disk, as the kernel counts them."""
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"]) / 1e6


def run(seconds: float) -> None:
    """Print a line a minute, and at the end."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-soak-", dir=scratch()) as name:
        ward = Ward(Path(name), seed=7)
        try:
            ward.start()
            began = time.monotonic()
            print(f"{'s':>6} {'gateway MB':>11} {'CPU s':>7} {'written MB':>11} {'collector MB':>13} {'CPU s':>7}")
            while (age := time.monotonic() - began) < seconds:
                time.sleep(min(60.0, seconds - age))
                ward.check()
                gateway, collector = ward.pid("gateway"), ward.pid("collector")
                print(
                    f"{time.monotonic() - began:>6.0f} {rss_mb(gateway):>11.1f} {cpu_s(gateway):>7.1f} "
                    f"{written_mb(gateway):>11.1f} {rss_mb(collector):>13.1f} {cpu_s(collector):>7.1f}",
                    flush=True,
                )
        finally:
            ward.stop_all()
