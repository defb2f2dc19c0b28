"""The long outage: days of eight devices without a collector, and the return.

    make bench ARGS="--outage"                  72 hours; half an hour or more of work for two cores
    make bench ARGS="--outage --hours 2"

*The outage* is played faster than real time (`bench.outage_gateway` says which parts are real), beside a collector that
runs and hears nothing. *The return* is in real time: `vitaledger-gateway run` on that state with live simulated
devices, `vitaledger-collector run` and a broker, over loopback. At the end both sides verify, and the readings in the
ledger are counted against what the devices said.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from typing import Any

from bench.outage_devices import MIX
from bench.outage_return import Memory, Witness
from bench.scratch import scratch
from bench.ward import cpu_s, rss_mb
from collector.service import PORT_FILE
from gateway.config import MqttConfig
from gateway.reader import Reader
from tests.e2e.ward import Ward as Base
from vitaledger.cli.stage import GATEWAY, json_lines

HOUR_TWO = 2.0
ANCHOR_S = MqttConfig().anchor_every_s
_LOOK_S = 0.5
_LIMIT_S = 3 * 3600.0


class Ward(Base):
    """The ward with eight devices, and anchors as often as by default."""

    devices = MIX

    def anchor_every(self, seconds: float) -> None:
        text = self.gateway_config.read_text()
        self.gateway_config.write_text(text.replace("anchor_every_s = 2", f"anchor_every_s = {seconds}"))

    @property
    def broker_port(self) -> int:
        return self._broker_port

    def pid(self, name: str) -> int:
        return self._processes[name].pid


@dataclass(frozen=True, slots=True)
class Away:
    """The outage: the gateway's memory by hour, and the log at its end."""

    hours: float
    entries: int
    readings: int
    samples: int
    gateway_mb: dict[int, float]
    gateway_mb_end: float
    collector_mb: tuple[float, float]  # of a collector that hears nothing: at the beginning, and at the end
    gateway_disk_mb: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Back:
    """The return.

    Seconds are from the start of the gateway's process. The collector's MB are by how much of the outage it has stored.
    """

    backlog: int
    anchored_s: float
    drain_s: float
    entries_a_s: float
    live_first: bool
    live_entries: int
    live_median_s: float
    live_greatest_s: float
    gateway_mb: tuple[float, float, float]  # at the connection, the most, when drained
    collector_mb: tuple[float, float, float]  # when hour 2 was stored, the most, when all was stored
    gateway_cpu_s: float
    collector_cpu_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Both sides at the end."""

    entries: int
    receipts: int
    custody: int
    said: int
    counted: int
    samples_said: int
    samples_counted: int
    gateway_disk_mb: float
    collector_disk_mb: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured."""

    broker: str
    away: Away
    back: Back
    ended: Ended

    def goals(self) -> list[tuple[str, str, str, bool]]:
        """(what, goal, found, whether it holds)."""
        grown = _growth(self.away.gateway_mb.get(2), self.away.gateway_mb_end)
        collector = _growth(self.back.collector_mb[0] * (self.away.hours > HOUR_TWO), self.back.collector_mb[2])
        back, ended = self.back, self.ended
        whole = (ended.counted, ended.samples_counted) == (ended.said, ended.samples_said)
        return [
            ("newest anchor witnessed", "≤ 10 s", f"{back.anchored_s:.1f} s", back.anchored_s <= 10),
            ("oldest live reading", "< 30 s", f"{back.live_greatest_s:.1f} s", back.live_greatest_s < 30),
            ("drain", "≤ 30 min", f"{back.drain_s / 60:.1f} min", back.drain_s <= 1800),
            ("gateway, hour 2 to the end", "≤ 10 %", _percent(grown), grown is None or grown <= 0.1),
            ("collector, hour 2 to the end", "≤ 10 %", _percent(collector), collector is None or collector <= 0.1),
            ("readings in the ledger", f"{ended.said:,}", f"{ended.counted:,}", whole),
            ("entries with a receipt", f"{ended.entries:,}", f"{ended.custody:,}", ended.entries == ended.custody),
        ]


def _growth(before: float | None, after: float) -> float | None:
    return None if not before else after / before - 1


def _percent(part: float | None) -> str:
    return "shorter than that" if part is None else f"{part:+.1%}".replace("%", " %")


def measure(folder: Path, hours: float, broker: str, *, anchor_s: float = ANCHOR_S, seed: int = 7) -> Figures:
    """Play the outage and the return in a folder; raises StageError where a process fails."""
    ward = Ward(folder, broker, seed)
    try:
        ward.prepare(ward.start_broker())
        ward.anchor_every(anchor_s)
        ward.start_collector()
        ward.await_condition("the collector runs", 60, (folder / "collector" / "state" / PORT_FILE).exists)
        away = _stay_away(ward, hours, seed)
        back = _come_back(ward, away)
        return Figures(broker, away, back, _end(ward, away))
    finally:
        ward.stop_all()


def _stay_away(ward: Ward, hours: float, seed: int) -> Away:
    idle = rss_mb(ward.pid("collector"))
    command = [sys.executable, "-m", "bench.outage_gateway", str(ward.gateway_config)]
    command += ["--hours", str(hours), "--seed", str(seed)]
    by_hour: dict[int, float] = {}
    said: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                said = json.loads(line)
                if "hour" in said:
                    by_hour[said["hour"]] = said["rss_mb"]
                    print(f"hour {said['hour']:>3}: {said['entries']:>8,} entries, {said['rss_mb']:.1f} MB", flush=True)
        except BaseException:
            process.terminate()
            raise
    if process.returncode or "end" not in said:
        raise SystemExit(f"the outage ended with exit {process.returncode}")
    return Away(
        hours,
        said["entries"],
        said["readings"],
        said["samples"],
        by_hour,
        said["rss_mb"],
        (idle, rss_mb(ward.pid("collector"))),
        _disk_mb(ward.folder / "gateway" / "state"),
        said["seconds"],
    )


def _come_back(ward: Ward, away: Away) -> Back:
    seen, gateway, collector = Witness(GATEWAY), Memory(), Memory()
    with _watching(seen, ward.broker_port):
        seen.began = time.monotonic()
        ward.start_gateway()
        ward.start_devices()
        ward.await_condition("the gateway connects", 60, lambda: seen.connected)
        pids = ward.pid("gateway"), ward.pid("collector")
        began, cpu = time.monotonic(), [cpu_s(pid) for pid in pids]
        while not seen.drained:
            ward.check()
            now = time.monotonic()
            gateway.note(now, rss_mb(pids[0]))
            collector.note(now, rss_mb(pids[1]))
            if now - began > _LIMIT_S:
                raise SystemExit(f"the backlog is not drained in {_LIMIT_S:.0f} s")
            time.sleep(_LOOK_S)
        used = [cpu_s(pid) - before for pid, before in zip(pids, cpu, strict=True)]
        end = time.monotonic()
        gateway.note(end, rss_mb(pids[0]))
        collector.note(end, rss_mb(pids[1]))
        with Reader.open(ward.folder / "gateway" / "state") as log:
            sealed = log.size
            ward.await_condition("live readings are stored after the drain", 60, lambda: seen.newest > sealed)
            live = seen.live(log)
    hour_two = seen.backlog * min(1.0, HOUR_TWO / away.hours)
    at_two = next((at for at, size in seen.custody if size >= hour_two), end)
    return Back(
        seen.backlog,
        seen.anchored_s(),
        seen.drain_s(),
        seen.backlog / seen.drain_s(),
        seen.live_first(),
        live.entries,
        live.median_s,
        live.greatest_s,
        (gateway.seen[0][1], gateway.peak, gateway.at(end)),
        (collector.at(at_two), collector.peak, collector.at(end)),
        used[0],
        used[1],
    )


@contextmanager
def _watching(seen: Witness, port: int) -> Iterator[None]:
    client = seen.watch(port)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _end(ward: Ward, away: Away) -> Ended:
    ward.drain()
    own = json_lines(ward.gateway("verify", "--json"))[-1]
    theirs = json.loads(ward.collector("verify", "--json"))
    said, samples = _truth(ward.truth)
    return Ended(
        own["entries"],
        own["receipts"],
        own["custody"],
        away.readings + said,
        theirs["counts"]["readings"],
        away.samples + samples,
        theirs["counts"]["wave_samples"],
        _disk_mb(ward.folder / "gateway" / "state"),
        _disk_mb(ward.folder / "collector" / "state"),
    )


def _truth(path: Path) -> tuple[int, int]:
    readings = samples = 0
    with path.open() as lines:
        for line in lines:
            said = json.loads(line)
            readings += "signal" in said
            samples += len(said.get("samples", ()))
    return readings, samples


def _disk_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def show(figures: Figures) -> bool:
    """Print the table; whether every goal was reached."""
    away, back, ended = figures.away, figures.back, figures.ended
    lines: list[tuple[str, str, list[float]]] = [
        ("entries: of the outage, at the end", ",.0f", [away.entries, ended.entries]),
        ("readings said by the devices", ",.0f", [away.readings, ended.said]),
        ("readings, wave samples in the ledger", ",.0f", [ended.counted, ended.samples_counted]),
        ("gateway, MB on disk: outage, end", ",.0f", [away.gateway_disk_mb, ended.gateway_disk_mb]),
        ("collector, MB on disk", ",.0f", [ended.collector_disk_mb]),
        ("receipts that the gateway keeps", ",.0f", [ended.receipts]),
        ("backlog at the connection; entries/s", ",.0f", [back.backlog, back.entries_a_s]),
        ("live entries meanwhile; median s behind", ",.1f", [back.live_entries, back.live_median_s]),
        ("CPU s of gateway and collector", ",.0f", [back.gateway_cpu_s, back.collector_cpu_s]),
        ("gateway MB in the outage: hour 2, end", ",.1f", [away.gateway_mb.get(2, nan), away.gateway_mb_end]),
        ("gateway MB in the drain: begin, most, end", ",.1f", [*back.gateway_mb]),
        ("collector MB in the outage: begin, end", ",.1f", [*away.collector_mb]),
        ("collector MB: hour 2 stored, most, all", ",.1f", [*back.collector_mb]),
    ]
    print(
        f"\noutage of {away.hours:g} h, played in {away.took_s:.0f} s; return over loopback, broker {figures.broker}\n"
    )
    for what, form, values in lines:
        print(f"{what:<42}" + "".join(f"{format(value, form):>14}" for value in values))
    print(f"{'live before the backlog':<42}{'yes' if back.live_first else 'no':>14}\n")
    goals = figures.goals()
    for what, goal, found, holds in goals:
        print(f"{what:<30} {goal:>14} {found:>18}   {'yes' if holds else 'NO'}")
    return all(holds for *_, holds in goals)


def run(hours: float, broker: str, out: Path | None) -> bool:
    """Measure, print, and write the JSON where it is asked for; whether every goal was reached."""
    with tempfile.TemporaryDirectory(prefix="vitaledger-outage-", dir=scratch()) as name:
        figures = measure(Path(name), hours, broker)
    reached = show(figures)
    if out is not None:
        goals = [dict(zip(("what", "goal", "found", "holds"), each, strict=True)) for each in figures.goals()]
        out.write_text(json.dumps({"outage": asdict(figures), "goals": goals}, indent=1) + "\n")
    return reached
