"""A gateway at work for long: memory, CPU and bytes written while eight simulated devices stream through a real path.

`make bench ARGS="--soak 600"`. `bench.live` measures the same for two minutes and holds it against the goals.
"""

import tempfile
import time
from pathlib import Path

from bench.scratch import scratch
from bench.ward import Ward, cpu_s, rss_mb, spent


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
                    f"{spent(gateway).written / 1e6:>11.1f} {rss_mb(collector):>13.1f} {cpu_s(collector):>7.1f}",
                    flush=True,
                )
        finally:
            ward.stop_all()
