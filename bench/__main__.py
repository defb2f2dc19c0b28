"""`make bench`: measures what proof costs, prints the table; `make bench ARGS="--json FILE"` writes it as JSON too."""

import argparse
import json
import platform
import signal
import sqlite3
import sys
from itertools import chain
from pathlib import Path

from bench import audit, evidence, growth, history, live, many, merging, outage, proofs, receipt, sealing, soak
from bench import bytes as sizes
from bench.figure import RUNS, Effort, Figure, Measure, told
from bench.yardstick import yardstick

MEASURES: dict[str, Measure] = {
    "sealing": sealing.measure,
    "live": live.measure,
    "receipt": receipt.measure,
    "bytes": sizes.measure,
    "evidence": evidence.measure,
    "audit": audit.measure,
    "merging": merging.measure,
    "many": many.measure,
    "proofs": proofs.measure,
    "history": history.measure,
    "growth": growth.measure,
}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        prog="python -m bench", description="What a user pays for proof, as ratios measured in one run."
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options.add_argument("--runs", type=int, default=RUNS, help="runs of which the median is taken")
    options.add_argument("--short", action="store_true", help="a tenth of the work, to see that it completes")
    options.add_argument("--only", metavar="NAMES", help=f"some of the measures: {','.join(MEASURES)}")
    options.add_argument("--soak", type=float, metavar="SECONDS", help="instead: eight devices through a real path")
    options.add_argument("--outage", action="store_true", help="instead: days without a collector, and the return")
    options.add_argument("--hours", type=float, default=72.0, help="how long the outage is")
    options.add_argument("--broker", choices=("embedded", "mosquitto"), default="embedded", help="of the outage")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    if chosen.soak:
        soak.run(chosen.soak)
        return
    if chosen.outage:
        sys.exit(0 if outage.run(chosen.hours, chosen.broker, chosen.json) else 1)
    names = chosen.only.split(",") if chosen.only else list(MEASURES)
    if unknown := [name for name in names if name not in MEASURES]:
        options.error(f"no measure is called {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    effort = Effort(chosen.runs, short=chosen.short)
    print(f"{_machine()}; median and range of {chosen.runs} runs unless said; goals are for a core of a 2 GHz x86")
    figures = {name: list(told(name, chain([yardstick()], MEASURES[name](effort)))) for name in names}
    if chosen.json:
        chosen.json.write_text(json.dumps(_report(effort, figures), indent=1, ensure_ascii=False) + "\n")


def _machine() -> str:
    return f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}"


def _report(effort: Effort, figures: dict[str, list[Figure]]) -> dict[str, object]:
    measured = {name: [figure.as_json() for figure in every] for name, every in figures.items()}
    return {"machine": _machine(), "runs": effort.runs, "short": effort.short, "figures": measured}


if __name__ == "__main__":
    main()
