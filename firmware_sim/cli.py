"""The command `firmware-sim`: devices on ports, devices into files, captures on ports."""

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from firmware_sim import faults, replay, scenario
from firmware_sim.devices.base import MICROSECONDS
from firmware_sim.emit import emit
from firmware_sim.errors import CaptureError, ScenarioError, SimulatorError
from firmware_sim.line import make_line
from firmware_sim.serve import Server, report_losses
from firmware_sim.table import nearest

USAGE, FAILED = 2, 1


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _moment(text: str) -> datetime:
    if text == "now":
        return datetime.now()  # noqa: DTZ005 - devices know no time zone
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError
    return moment


_moment.__name__ = "local time"
_positive.__name__, _seconds.__name__, _count.__name__ = "positive number", "number of seconds", "count"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="firmware-sim", description="Simulated medical devices with a known truth.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="serve a scenario's devices on their ports, in real time")
    run.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    run.add_argument("--truth", type=Path, metavar="FILE", help="write what the devices said, as JSON lines")
    run.add_argument(
        "--seconds", type=_positive, metavar="N", help="stop after N seconds (default: at SIGINT or SIGTERM)"
    )
    run.add_argument(
        "--ready", type=Path, metavar="FILE", help="write the devices and their ports there when all are ready"
    )
    run.add_argument("--announce", action="store_true", help="print them as well (the default without --ready)")
    run.add_argument(
        "--epoch",
        type=_moment,
        metavar="WHEN",
        help="the local time at which the scenario begins, or now: what devices with a right clock show",
    )
    run.add_argument("--wait", action="store_true", help="begin when a host has opened every port")
    run.set_defaults(act=_run)

    out = commands.add_parser("emit", help="write a scenario's bytes and truth to files, faster than real time")
    out.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    out.add_argument("--seconds", type=_positive, required=True, metavar="N", help="how much of the scenario")
    out.add_argument(
        "-o", "--output", type=Path, required=True, metavar="BYTES", help="a file; for several devices a directory"
    )
    out.add_argument("--truth", type=Path, metavar="FILE", help="write what the devices said, as JSON lines")
    out.add_argument("--device", metavar="NAME", help="only this device")
    out.set_defaults(act=_emit)

    play = commands.add_parser("replay", help="play captured bytes on a port")
    play.add_argument("file", type=Path, metavar="FILE", help="raw bytes, or a capture with times (JSON lines)")
    play.add_argument("--port", required=True, metavar="PORT", help="pty:PATH or tcp://HOST:PORT")
    pace = play.add_mutually_exclusive_group()
    pace.add_argument("--baud", type=_positive, default=9600, help="pace of raw bytes, ten bits a byte (default 9600)")
    pace.add_argument("--rate", type=_positive, metavar="BYTES_PER_S", help="pace of raw bytes")
    pace.add_argument("--line-interval", type=_positive, metavar="SECONDS", help="one line of raw bytes every SECONDS")
    play.add_argument("--chunk", type=_count, default=16, metavar="N", help="raw bytes written at once (default 16)")
    play.add_argument("--loop", action="store_true", help="begin again at the end")
    play.add_argument("--no-wait", action="store_true", help="do not wait until a host has opened the port")
    play.add_argument(
        "--hold", type=_seconds, default=2.0, metavar="SECONDS", help="stay open after the last byte (default 2)"
    )
    play.set_defaults(act=_replay)

    commands.add_parser("list", help="name the device models and the faults").set_defaults(act=_list)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 for a failure, 2 for misuse."""
    arguments = parser().parse_args(argv)
    act: Callable[[argparse.Namespace], int] = arguments.act
    try:
        return act(arguments)
    except SimulatorError as error:
        return _fail(str(error), USAGE)
    except OSError as error:
        return _fail(str(error), FAILED)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"firmware-sim: {text}\n")
    return code


@contextlib.contextmanager
def _truth(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, while the block runs."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(arguments: argparse.Namespace) -> int:
    loaded = scenario.load(arguments.scenario, epoch=arguments.epoch)
    with _truth(arguments.truth) as truth, _stop_signals() as stop:
        server = Server(
            loaded,
            tell=truth.write if truth else lambda _line: None,
            flush=truth.flush if truth else lambda: None,
            clock=time.monotonic,
            sleep=time.sleep,
        )
        lines = "".join(f"{name} {port}\n" for name, port in server.open())
        try:
            if arguments.announce or arguments.ready is None:
                sys.stdout.write(lines)
                sys.stdout.flush()
            if arguments.ready is not None:
                # Whoever waits for the file may read it at once, so it appears whole.
                temporary = arguments.ready.with_name(f".{arguments.ready.name}.part")
                temporary.write_text(lines, encoding="utf-8")
                temporary.replace(arguments.ready)
            if arguments.wait:
                server.wait_for_clients(stop.is_set)
            duration = arguments.seconds
            server.run(stop.is_set, None if duration is None else round(duration * MICROSECONDS))
        finally:
            server.close()
    report_losses(server.lost())
    return 0


def _emit(arguments: argparse.Namespace) -> int:
    loaded = scenario.load(arguments.scenario)
    specs = list(loaded.devices)
    if arguments.device is not None:
        specs = [spec for spec in specs if spec.name == arguments.device]
        if not specs:
            known = tuple(spec.name for spec in loaded.devices)
            raise ScenarioError(f"no device {arguments.device!r}{nearest(arguments.device, known)}")
    several = len(specs) > 1 or arguments.output.is_dir()
    if several and arguments.output.exists() and not arguments.output.is_dir():
        raise ScenarioError("several devices: -o is to be a directory, or name one with --device")
    if several:
        arguments.output.mkdir(parents=True, exist_ok=True)
    with _truth(arguments.truth) as truth:
        for spec in specs:
            path = arguments.output / f"{spec.name}.bin" if several else arguments.output
            with path.open("wb") as file:
                tell = truth.write if truth else lambda _line: None
                emit(spec, loaded.seed, round(arguments.seconds * MICROSECONDS), file.write, tell)
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    line = make_line(arguments.port)
    try:
        data = arguments.file.read_bytes()
    except OSError as error:
        raise CaptureError(f"cannot read {arguments.file}: {error.strerror}") from error
    if replay.is_capture(data):
        pieces = replay.parse_capture(data)
    elif arguments.line_interval is not None:
        pieces = replay.pace_lines(data, round(arguments.line_interval * MICROSECONDS))
    else:
        pieces = replay.pace_bytes(data, arguments.rate or arguments.baud / 10, arguments.chunk)
    with _stop_signals() as stop:
        line.open()
        try:
            sys.stdout.write(f"{line.url()}\n")
            sys.stdout.flush()
            player = replay.Player(line, clock=time.monotonic, sleep=time.sleep, stopped=stop.is_set)
            if not arguments.no_wait:
                player.wait_for_client()
            player.play(pieces)
            while arguments.loop and pieces and not stop.is_set():
                player.play(pieces)
            player.drain()
            player.hold(arguments.hold)
        finally:
            line.close()
    report_losses([(str(arguments.file), line.lost)])
    return 0


def _list(_arguments: argparse.Namespace) -> int:
    width = max(map(len, (*scenario.MODELS, *faults.DESCRIPTIONS))) + 2
    sys.stdout.write("models\n" + "".join(f"  {name:{width}}{text}\n" for name, text in scenario.MODELS.items()))
    sys.stdout.write("faults\n" + "".join(f"  {kind:{width}}{text}\n" for kind, text in faults.DESCRIPTIONS.items()))
    return 0
