"""`vitaledger demo`: three simulated devices, a gateway, a broker and a collector, seen at work in a terminal."""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.live import Live

from vitaledger.cli import screen
from vitaledger.cli.stage import Stage, StageError, json_lines

_ARRIVE_S = 30.0


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="Stop when the devices have talked this long (default: at Ctrl-C)."
)
@click.option("--json", "as_json", is_flag=True, help="Let everything arrive, then print one JSON object.")
@click.option("--tamper", is_flag=True, help="Then change one stored byte and show what verification says.")
@click.option("--seed", default=7, show_default=True, help="Seed of the simulated devices.")
@click.option("--keep", type=click.Path(path_type=Path), help="Work in this new folder and leave it there.")
def demo(*, seconds: float | None, as_json: bool, tamper: bool, seed: int, keep: Path | None) -> None:
    """Watch readings travel from three simulated devices into a ledger, and see them verified."""
    console = Console(stderr=as_json)
    with _folder(keep) as folder:
        stage = Stage(folder, seed)
        try:
            with console.status("starting a broker, a collector, a gateway and three devices"):
                stage.start()
            _watch(stage, console, seconds if seconds is not None else (20 if as_json else None), show=not as_json)
            result = finish(stage)
        finally:
            stage.stop_all()
        if as_json:
            click.echo(json.dumps(result))
        else:
            console.print(screen.summary(result, folder, kept=keep is not None))
        if tamper:
            click.echo(_tamper(stage), err=as_json)
    if not result["verify_ok"] or result["failures"]:
        raise SystemExit(1)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        try:
            keep.mkdir(parents=True)
        except FileExistsError:
            raise click.UsageError(f"--keep {keep}: is there already; the demo wants a new folder") from None
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="vitaledger-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Latest:
    """The newest object of a stream of JSON lines, read by a thread so that nothing waits for it."""

    def __init__(self, stream: IO[str]) -> None:
        self.value: dict[str, Any] = {}
        self._stream = stream
        threading.Thread(target=self._read, name="watch", daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            if line.startswith("{"):
                self.value = json.loads(line)


def _watch(stage: Stage, console: Console, seconds: float | None, *, show: bool) -> None:
    """Show the stage until the time is over or Ctrl-C is pressed."""
    began = time.monotonic()
    live = Live(console=console, refresh_per_second=4, transient=False, screen=False) if show else None
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        streams = (
            (
                _Latest(stack.enter_context(stage.watch("vitaledger-collector", stage.collector_config))),
                _Latest(stack.enter_context(stage.watch("vitaledger-gateway", stage.gateway_config))),
            )
            if show
            else None
        )
        if live:
            stack.enter_context(live)
        while seconds is None or time.monotonic() - began < seconds:
            stage.check()
            if live and streams:
                live.update(screen.live(streams[0].value, streams[1].value, time.monotonic() - began, stage.pages()))
            time.sleep(0.25)


def finish(stage: Stage) -> dict[str, Any]:
    """Stop the devices, let everything arrive, stop the programs, and count both ends."""
    stage.stop("devices")
    sent = _truth(stage.truth)
    stage.await_condition("everything receipted", _ARRIVE_S, stage.at_rest)
    stage.stop("gateway")
    gateway = json_lines(stage.gateway("status", "--json"))[-1]
    stage.stop("collector")
    collector = json_lines(stage.collector("status", "--json"))[-1]
    devices = json_lines(stage.collector("devices", "--json"))
    counts = {"readings": 0, "wave_samples": 0, "failed": 0}
    for device in devices:
        lines = json_lines(stage.collector("history", device["chain"], "--json", ok=(0, 1)))
        summary = lines[-1]["summary"]
        for key in counts:
            counts[key] += summary[key]
    checks = [_verified(stage.collector), _verified(stage.gateway)]
    log = next(each for each in collector["logs"] if each["origin"] == gateway["origin"])
    return {
        "readings_sent": sent["readings"],
        "readings_in_ledger": counts["readings"],
        "wave_samples_sent": sent["wave_samples"],
        "wave_samples_in_ledger": counts["wave_samples"],
        "devices": len(devices),
        "entries": gateway["entries"],
        "gateway_size": gateway["size"],
        "anchored_size": log["witnessed_size"],
        "custody_size": gateway["custody_size"],
        "ledger_size": collector["ledger_size"],
        "receipt_ms_p50": gateway["receipt_ms_p50"],
        "receipt_ms_p99": gateway["receipt_ms_p99"],
        "verify_ok": all(check is None for check in checks),
        "failures": [check for check in checks if check is not None]
        + ([f"{counts['failed']} readings failed verification"] if counts["failed"] else []),
    }


def _truth(path: Path) -> dict[str, int]:
    counts = {"readings": 0, "wave_samples": 0}
    with path.open() as lines:
        for line in lines:
            said = json.loads(line)
            if "samples" in said:
                counts["wave_samples"] += len(said["samples"])
            elif "signal" in said:
                counts["readings"] += 1
    return counts


def _verified(run: Any) -> str | None:  # noqa: ANN401  a bound method of the stage
    try:
        run("verify")
    except StageError as error:
        return str(error)
    return None


def _tamper(stage: Stage) -> str:
    """Change one byte of one stored body behind the collector's back, and answer what verification says."""
    with contextlib.closing(sqlite3.connect(stage.collector_store)) as store:
        row, body = store.execute("SELECT id, body FROM entries ORDER BY length(body) DESC LIMIT 1").fetchone()
        at = len(body) // 2
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        store.execute("UPDATE entries SET body = ? WHERE id = ?", (changed, row))
        store.commit()
    try:
        stage.collector("verify")
    except StageError as error:
        said = str(error)
    else:
        raise StageError(f"byte {at} of entry {row % 2**40}'s body was changed and verification did not see it")
    return f"Changed one bit of byte {at} in the stored body of entry {row % 2**40}.{os.linesep}{said}"
