"""The process: `python -m collector.web.checker STORE VKEY [still]`; `still` has no patrol.

On standard input a line of JSON for each ask, `{"id": 1, "ask": "chart", "args": {…}}` or `{"id": 1, "cancel": true}`;
on standard output frames of [length, id, kind] and that many bytes: 0 an answer, 1 an error as JSON, 2 the end. Jobs
take turns of some hundredths of a second, so that a month that is being verified does not hold up the overview. The end
of the input is the end of the process, so it never outlives the collector.
"""

import contextlib
import logging
import math
import os
import queue
import signal
import sqlite3
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator  # noqa: TC003  as everywhere here
from pathlib import Path
from typing import Any

import msgspec

from collector.web.checker.client import ANSWER, END, ERROR, HEADER
from collector.web.checker.desk import Desk
from collector.web.checker.jobs import AskError, answers
from collector.web.checker.patrol import Patrol
from vitaledger.errors import MisuseError, VitaledgerError

_log = logging.getLogger("collector.web.checker")
_NICE = 10  # taking in goes before showing
_DRAW_BACK_S = 5.0  # after a patrol that failed
_LOOK_S = 60.0


class Process:
    """Jobs and the patrol, in turns."""

    def __init__(self, desk: Desk, *, still: bool) -> None:
        self._desk = desk
        self._patrol = Patrol(desk)
        if still:
            self._patrol.due = math.inf
        self._asks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._jobs: deque[tuple[int, Iterator[bytes | None]]] = deque()

    def run(self) -> None:
        """Work until the input ends."""
        threading.Thread(target=self._read, name="asks", daemon=True).start()
        while True:
            try:
                ask = self._asks.get(
                    block=not self._jobs, timeout=min(max(self._patrol.due - time.monotonic(), 0), _LOOK_S)
                )
            except queue.Empty:
                self._turn()
                continue
            if ask is None:
                return
            self._take(ask)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._asks.put(msgspec.json.decode(line))
        self._asks.put(None)

    def _take(self, ask: dict[str, Any]) -> None:
        if ask.get("cancel"):
            kept = [job for job in self._jobs if job[0] != ask["id"]]
            self._jobs = deque(kept)
        else:
            self._jobs.append((ask["id"], answers(self._desk, ask["ask"], ask["args"])))

    def _turn(self) -> None:
        if not self._jobs:
            if time.monotonic() >= self._patrol.due:
                self._walk()
            return
        number, job = self._jobs.popleft()
        try:
            with self._desk.snapshot():
                answer = next(job)
        except StopIteration:
            _send(number, END, b"")
            return
        except AskError as error:
            _fail(number, error.status, str(error))
            return
        except MisuseError as error:
            _fail(number, 400, str(error))
            return
        except (VitaledgerError, sqlite3.Error) as error:
            _fail(number, 503, str(error))
            return
        if answer is not None:
            _send(number, ANSWER, answer)
        self._jobs.append((number, job))

    def _walk(self) -> None:
        try:
            with self._desk.snapshot():
                self._patrol.turn(time.time_ns() // 1000)
        except (VitaledgerError, sqlite3.Error) as error:
            _log.warning("the patrol stopped: %s", error)
            self._patrol = Patrol(self._desk)
            self._patrol.due = time.monotonic() + _DRAW_BACK_S


def _fail(number: int, status: int, text: str) -> None:
    _send(number, ERROR, msgspec.json.encode({"status": status, "text": text}))


def _send(number: int, kind: int, data: bytes) -> None:
    out = sys.stdout.buffer
    out.write(struct.pack(HEADER, len(data), number, kind) + data)
    out.flush()


def step_back() -> None:
    """Take a lower priority than the collector's, where a process may."""
    try:
        os.nice(_NICE)
    except OSError as error:
        _log.warning("the pages are verified at the collector's own priority: %s", error)


def main() -> None:
    """Serve the asks of the process that started this one."""
    logging.basicConfig(format="%(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the collector; its end is ours
    step_back()
    with contextlib.suppress(BrokenPipeError):
        Process(Desk(Path(sys.argv[1]), sys.argv[2]), still="still" in sys.argv[3:]).run()


if __name__ == "__main__":
    main()
