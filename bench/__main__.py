"""`make bench`: prints the table; `make bench ARGS="--json FILE"` writes it as JSON too."""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from bench import outage, sealing, soak


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="What a user pays for proof, as ratios measured in one run.")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options.add_argument("--runs", type=int, default=5, help="runs of which the median is taken")
    options.add_argument("--short", action="store_true", help="a tenth of the work, to see that it completes")
    options.add_argument("--soak", type=float, metavar="SECONDS", help="instead: eight devices through a real path")
    options.add_argument("--outage", action="store_true", help="instead: days without a collector, and the return")
    options.add_argument("--hours", type=float, default=72.0, help="how long the outage is")
    options.add_argument("--broker", choices=("embedded", "mosquitto"), default="embedded", help="of the outage")
    chosen = options.parse_args()
    if chosen.soak:
        soak.run(chosen.soak)
        return
    if chosen.outage:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
        sys.exit(0 if outage.run(chosen.hours, chosen.broker, chosen.json) else 1)
    figures = []
    print(f"sealing, {sealing.READINGS} readings an entry, committed FULL; median of {chosen.runs} runs")
    print(f"{'entries a commit':>17} {'readings/s':>12} {'plain SQLite':>13} {'ratio':>7}  {'range':<11} entries alone")
    for batch, entries in ((1, 1000), (10, 5000), (100, 20000)):
        figure = sealing.measure(batch, runs=chosen.runs, entries=entries // 10 if chosen.short else entries)
        figures.append({"sealing": asdict(figure)})
        low, high = figure.ratio_range
        print(
            f"{batch:>17} {figure.sealed:>12,.0f} {figure.plain:>13,.0f} {figure.ratio:>7.2f}  {low:.2f}–{high:.2f}"
            f"   {figure.ratio_entries:>12.2f}"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
