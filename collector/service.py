"""`vitaledger-collector run`: the ingest worker, the line to the broker and the web, each in its thread.

The worker is the only writer: it takes a batch from the inbox, runs one ledger step and publishes what came of it. A
step that fails is logged and repeated without the gateway that it failed on, which is set aside for a while.
"""

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial

from collector import restored
from collector.config import Config
from collector.enrolment import enroll, init, open_ledger
from collector.inbox import Inbox
from collector.ingest import Message, Publish, Step
from collector.metrics import Metrics, Sources
from collector.mqtt import Link
from collector.reader import Reader
from collector.store import Store
from collector.watchdog import Watchdog, notify
from collector.web.app import Health, create_app
from collector.web.server import Server
from collector.web.views import Pages

__all__ = ["Worker", "enroll", "init", "open_ledger", "run"]

_log = logging.getLogger(__name__)
PORT_FILE = "http-port"
STALLED_S = 30.0
IDLE_S = 1.0
SETTLE_S = 1.0  # how long what the broker retains may take to come, from the first message on
MAX_FIRST = 64  # batches in the first step
_STILL_AT_IT = "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000"  # copying a large store takes longer than a start may
LOOK_S = 0.5
STOP_S = 15.0  # more than a step takes on a slow disk


class Worker:
    """The ingest loop. `run` is the body of its thread."""

    def __init__(
        self,
        step: Step,
        inbox: Inbox,
        publish: Callable[[Publish], None],
        step_s: float,
        observe: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._step = step
        self._inbox = inbox
        self._publish = publish
        self._step_s = step_s
        self._observe = observe
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.run, name="ingest", daemon=True)
        self.came_round = time.monotonic()
        self.stepped: float | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    @property
    def ident(self) -> int | None:
        """The number of its thread."""
        return self._thread.ident

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout)

    def stop(self) -> None:
        """Finish the step under way, and return from `run`."""
        self._stop.set()
        self._inbox.close()

    def run(self) -> None:
        """Work until stopped."""
        batch: list[Message] = []
        while not self._stop.is_set():
            self.came_round = time.monotonic()
            try:
                batch = batch or self._take()
                self._process(batch)
                batch = []
            except Exception:  # noqa: BLE001  the outermost loop: log, leave out whom it failed on, go on
                _log.exception("a ledger step failed")
                batch = self._without_culprit(batch)

    def _take(self) -> list[Message]:
        if self._step.more:
            return self._inbox.take(0.0, 0.0)
        if self.stepped is None:
            return self._take_first()
        return self._inbox.take(self.stepped + self._step_s, IDLE_S)

    def _take_first(self) -> list[Message]:
        """What gateways retain, all of it: it may show that this store is an old copy, before anything is signed."""
        batch = self._inbox.take(0.0, IDLE_S)
        if not batch or self._stop.wait(SETTLE_S):
            return batch
        for _ in range(MAX_FIRST):
            more = self._inbox.take(0.0, 0.0)
            if not more:
                break
            batch += more
        return batch

    def _process(self, batch: list[Message]) -> None:
        if not batch and not self._step.more:
            return
        began = time.monotonic()
        answers = self._step.process(batch, _now_ms())
        self.stepped = time.monotonic()
        self._observe(self.stepped - began)
        for answer in answers:
            self._publish(answer)

    def _without_culprit(self, batch: list[Message]) -> list[Message]:
        """The batch to repeat: `Step.process` leaves out who is set aside. Where nobody is to blame, nothing."""
        culprit = self._step.culprit
        if culprit is None:
            self._stop.wait(IDLE_S)
            return []
        _log.error("gateway %s is set aside for a minute", culprit)
        self._step.set_aside(culprit, _now_ms())
        return batch


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run(config: Config, *, ready: Callable[[int], None] | None = None, stop: threading.Event | None = None) -> int:
    """Run the collector until SIGTERM, SIGINT or `stop`; `ready` gets the port of the web. 0 after a clean stop.

    Raises:
        MisuseError: store, key or port cannot be used.
        VerificationError: the stored ledger is not what its head says: it is never signed on.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    while True:
        config = _in_good_standing(config)
        code = _serve(config, ready, stop)
        if code is not None:
            return code
        ready = None


def _in_good_standing(config: Config) -> Config:
    """The ledger that may be signed on: the next one, begun now, where this one was found to be an old copy."""
    with Store.open(config.store_path) as store:
        if not store.halted():
            return config
    _log.error("ALARM: %s was restored from an old copy and is never signed on again", config.ledger_origin)
    begun = restored.begin(config, os.urandom, _now_ms(), partial(notify, _STILL_AT_IT))
    _log.error("ALARM: this collector goes on as %s, in %s", begun.ledger_origin, begun.ledger_dir)
    return begun


def _serve(config: Config, ready: Callable[[int], None] | None, stop: threading.Event) -> int | None:
    """Run on one ledger: the exit code, or None where it was found to be an old copy."""
    store, signer = open_ledger(config)
    step = Step(store, signer, [each.note for each in restored.lineage(store)])
    inbox = Inbox(time.monotonic)
    link = Link(config, inbox)
    reader = Reader.open(config.store_path)
    metrics = Metrics(Sources(reader, step.counts, inbox, link))
    worker = Worker(step, inbox, link.publish, config.ledger.step_ms / 1000, metrics.observe_step)
    http = config.http
    pages = Pages(config.store_path, str(signer.vkey), http.zone, http.names) if http.pages else None
    app = create_app(reader, lambda: _health(step, worker, link), metrics.page, pages)
    server = Server(app, http.host, http.port, pages.end if pages is not None else lambda: None)
    worker.start()
    server.start()
    link.start()
    _announce(config, server.port)
    if ready is not None:
        ready(server.port)
    watchdog = Watchdog(
        worker, link, web=lambda: server.alive, clock=time.monotonic, feed=partial(notify, "WATCHDOG=1")
    )
    trouble = None
    while trouble is None and not step.halted and not stop.wait(LOOK_S):
        trouble = watchdog.look()
    if not step.halted:
        notify("STOPPING=1")
    if trouble is not None:
        _log.critical("%s: this process ends, to be started again", trouble)
    link.stop()
    worker.stop()
    worker.join(STOP_S)
    if worker.alive:
        _log.critical("the ledger's thread does not end: what it had begun is not in the ledger\n%s", _stack(worker))
        logging.shutdown()
        os._exit(1)
    server.stop()
    reader.close()
    store.close()
    if step.halted and trouble is None and not stop.is_set():
        return None
    return 0 if trouble is None else 1


def _stack(worker: Worker) -> str:
    frame = sys._current_frames().get(worker.ident or 0)  # noqa: SLF001  the documented way to see it
    return "".join(traceback.format_stack(frame))


def _health(step: Step, worker: Worker, link: Link) -> Health:
    now = time.monotonic()
    round_s = now - worker.came_round
    stepped = worker.stepped
    return Health(
        ok=link.connected and round_s < STALLED_S,
        ledger_size=step.ledger.head.size,
        broker_connected=link.connected,
        worker_ms=int(round_s * 1000),
        step_ms=None if stepped is None else int((now - stepped) * 1000),
    )


def _announce(config: Config, port: int) -> None:
    """Say where the web is: on standard output, in the state directory, and to systemd where it waits for us."""
    host = f"[{config.http.host}]" if ":" in config.http.host else config.http.host
    print(f"http://{host}:{port}", flush=True)  # noqa: T201
    temporary = config.state_dir / f"{PORT_FILE}.new"
    temporary.write_text(f"{port}\n", "ascii")
    temporary.replace(config.state_dir / PORT_FILE)
    notify("READY=1")
