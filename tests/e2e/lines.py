"""Scenario files through a real gateway, several at a time: what each device said, and what verified history has."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from firmware_sim.scenario import load
from tests.e2e.compare import TOLERANCE_S
from tests.e2e.ward import Ward, in_order
from vitaledger.cli.stage import json_lines

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PORT = """
[[port]]
name = "{name}"
device = "{device}"
driver = "{driver}"
use = "demo"
"""


class Lines(Ward):
    """One gateway on the ports of several scenario files. A port is named `scenario.name`."""

    devices: ClassVar[dict[str, tuple[str, str]]] = {}

    def __init__(self, folder: Path, broker: str, scenarios: list[str]) -> None:
        super().__init__(folder, broker)
        self._scenarios = scenarios

    def start_gateway(self) -> None:
        settings, told = self.gateway_config.read_text(), set()
        for scenario in self._scenarios:
            for spec in load(SCENARIOS / f"{scenario}.toml").devices:
                # a link by the adapter's own name is what an engineer configures where there is one
                moved = [fault.port for fault in spec.faults]
                for path in [f"pty:{spec.by_id}"] if spec.by_id else [spec.port, *moved]:
                    if path is None or path in told:
                        continue
                    told.add(path)
                    name = f"{scenario}.{path.rpartition('/')[2]}"[:32]
                    device = self._moved(scenario, path.removeprefix("pty:"))
                    make, _, data_format = spec.model.partition("-df")
                    settings += PORT.format(name=name, device=device, driver=make)
                    settings += f'options = {{ format = "{data_format}" }}\n' if data_format else ""
        self.gateway_config.write_text(settings)
        super().start_gateway()

    def start_devices(self) -> None:
        for scenario in self._scenarios:
            file = self.folder / f"{scenario}.toml"
            file.write_text(self._moved(scenario, (SCENARIOS / file.name).read_text()))
            self._spawn(scenario, "firmware-sim", "run", str(file), "--truth", str(self.truth_file(scenario)), "--wait")

    def heard(self) -> bool:
        return all(self.played(scenario) > 0 for scenario in self._scenarios)

    def stop_devices(self) -> None:
        """Stop every scenario."""
        for scenario in self._scenarios:
            self.stop(scenario)

    def truth_file(self, scenario: str) -> Path:
        """Where a scenario's truth is written."""
        return self.folder / f"{scenario}.jsonl"

    def played(self, scenario: str) -> float:
        """How many seconds of a scenario the truth has by now."""
        path = self.truth_file(scenario)
        lines = path.read_text().splitlines() if path.exists() else []
        return max((float(json.loads(line)["time"]) for line in lines[-5:-1]), default=0.0)

    def chains(self) -> "dict[str, Chain]":
        """Every device's verified history."""
        found = {}
        for device in json_lines(self.collector("devices", "--json")):
            lines = json_lines(self.collector("history", device["chain"], "--json"))
            rows = in_order([line for line in lines if "wall_ms" in line])
            assert all(row["state"] == "proven" for row in rows)
            found[device["chain"].rpartition("/")[2]] = Chain(device["chain"], tuple(rows))
        return found

    def _moved(self, scenario: str, text: str) -> str:
        return text.replace(f"/tmp/vitaledger-{scenario}/", f"{self.folder}/{scenario}.")


@dataclass(frozen=True, slots=True)
class Chain:
    """One micro-chain as verified history shows it."""

    name: str
    rows: tuple[dict[str, Any], ...]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The fields of the events of one kind, in order."""
        return [row["fields"] for row in self.rows if row.get("event") == name]

    def readings(self, signal: str) -> list[dict[str, Any]]:
        """The rows of one signal."""
        return [row for row in self.rows if row.get("signal") == signal]

    def gaps(self) -> list[str]:
        """The reasons of its gaps, in order."""
        return [fields["reason"] for fields in self.events("gap")]


def truth(path: Path, device: str) -> list[dict[str, Any]]:
    """The lines of one device."""
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["device"] == device]


def check(said: list[dict[str, Any]], chain: Chain, began: float) -> int:
    """History must be what was said: in order, none twice, none else; what is missing was harmed or lies in a gap.

    `began` is the wall time of the scenario's second 0. Answers how many readings there are; AssertionError names the
    first that does not fit.
    """
    gaps = [
        (fields["since"]["wall_ms"] / 1000 - TOLERANCE_S if fields["since"] else 0.0, at + TOLERANCE_S)
        for fields, at in ((row["fields"], row["wall_ms"] / 1000) for row in chain.rows if row.get("event") == "gap")
    ]
    signals = defaultdict(list)
    for line in said:
        if "signal" in line and not line.get("again"):
            at = began + line["time"]
            spared = "fault" in line or any(since <= at <= until for since, until in gaps)
            signals[line["signal"]].append((_word(line.get("value"), line.get("absent")), spared))
    for signal in {row["signal"] for row in chain.rows if "signal" in row} | set(signals):
        got = [_word(row["value"], row["absent"]) for row in chain.readings(signal)]
        explain(signal, got, signals[signal])
    return sum("signal" in row for row in chain.rows)


def explain(signal: str, got: list[str], said: list[tuple[str, bool]]) -> None:
    """Raise AssertionError where `got` is not `said` without some of what may be missing.

    All ways are followed at once, as a set of places: a value that stays the same fits in many.
    """
    places = {0}
    for number, word in enumerate(got):
        reached = set()
        for place in places:
            for after in range(place, len(said)):
                if said[after][0] == word:
                    reached.add(after + 1)
                if not said[after][1]:
                    break
        assert reached, (
            f"{signal}: reading {number} of {len(got)}, {word}, was not said there: {said[min(places) :][:8]}"
        )
        places = reached
    last = [n for n, (_, spared) in enumerate(said) if not spared][-1:]
    assert not last or max(places) > last[0], f"{signal}: the last of {len(said)} never arrived"


def _word(value: Any, absent: str | None) -> str:
    return f"absent:{absent}" if value is None else f"{float(value):.4f}"
