"""The line to the broker: a thin shell around `gateway.uplink`, with paho beneath it.

Two threads: paho's own, which only puts what happens into a queue, and "uplink", which alone touches the state machine
and the log's reader. Each connection gets a client of its own, so that nothing that an earlier one had queued goes out
again behind the uplink's back; sessions are clean, and nothing depends on the broker's memory.

    protocol      5 first where "auto", and 3.1.1 when the broker hangs up or says nothing for 2 s; what worked is kept
    will          up/status with online 0, retained; up/status is published, retained, at each connection
    health        up/health every 10 s at QoS 0; it also shows that the network thread lives: when it has written
                  nothing for 30 s while the line counts as connected, the connection is made anew
    reconnecting  after 0.5 s, doubling to 10 s
"""

import contextlib
import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from gateway.actions import Action, Alarm, Fork, Publish, SaveLedgers, SaveReceipt, Succeeded
from gateway.config import MqttConfig
from gateway.generations import Offer
from gateway.ledgers import Ledgers
from gateway.receipts import VerifiedReceipt
from gateway.resolve import bounded, resolves
from gateway.uplink import Progress, Uplink
from vitaledger import messages
from vitaledger.errors import MalformedError, VitaledgerError
from vitaledger.messages import HEALTH, STATUS, Health, Status

KEEPALIVE_S = 15
CONNECT_S = 5.0
HANDSHAKE_S = 10.0  # from the TCP connection to the granted subscription
PROBE_S = 2.0  # a broker that does not know MQTT 5 may just say nothing
LOOK_S = 0.25  # while the connection is made
TICK_S = 1.0  # whatever happens wakes the thread before
HEALTH_S = 10.0
DEAD_S = 30.0
MIN_DELAY_S, MAX_DELAY_S = 0.5, 10.0
STOP_S = 3.0
INBOX = 256  # answers; the collector has at most one for each message in flight, and a few beside
MAX_PAYLOAD = 3 * messages.MAX_MESSAGE  # more than any answer has
MAX_IN_FLIGHT, MAX_QUEUED = 32, 64  # of paho's own
_PROTOCOLS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}
_log = logging.getLogger(__name__)


class LineError(VitaledgerError):
    """The broker cannot be reached or does not let us in; says why."""


class _OtherProtocolError(LineError):
    """The broker gave no answer to MQTT 5, and 3.1.1 is to be tried."""


class Link:
    """The uplink's thread. Everything is called back from that thread alone.

    save: takes a verified receipt, to be durable with the next commit. alarm: tells people. status: what up/status says
    while online. health: what up/health says, from how far the uplink is. prepare: makes a successor ready for a log
    that has forked. succeeded: the collector has taken the successor that this note names. save_ledgers: keeps which
    provider ledgers are believed, durable when it returns.
    """

    def __init__(
        self,
        settings: MqttConfig,
        gateway: str,
        uplink: Uplink,
        *,
        save: Callable[[VerifiedReceipt], object],
        alarm: Callable[[str], object],
        status: Callable[[], Status],
        health: Callable[[Progress], Health],
        prepare: Callable[[Fork], Offer],
        succeeded: Callable[[bytes], object],
        save_ledgers: Callable[[Ledgers], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._uplink = uplink
        self._save = save
        self._alarm = alarm
        self._status = status
        self._health = health
        self._prepare = prepare
        self._succeeded = succeeded
        self._save_ledgers = save_ledgers
        self._shown = b""  # what up/ledger said last
        self._clock = clock
        self._stop = threading.Event()
        self._sealed = threading.Event()
        self._line: _Line | None = None
        self._protocols = list(_PROTOCOLS[settings.protocol])
        self._thread = self._make_thread()
        self._progress = uplink.progress()
        self._last_progress = clock()
        self._last_alarm = ""
        self._dropped = 0
        self.problem: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker's connection stands and the answers are subscribed."""
        line = self._line
        return line is not None and line.ready.is_set()

    @property
    def last_progress(self) -> float:
        """When the thread last went round, by `clock`. A watchdog restarts the link where this stands still."""
        return self._last_progress

    @property
    def progress(self) -> Progress:
        """How far the uplink is."""
        return self._progress

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    @property
    def dropped(self) -> int:
        """Messages of the collector that found the queue full, since the start: they come again."""
        line = self._line
        return self._dropped + (line.dropped if line is not None else 0)

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(target=self._work, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to connect, and go on for ever."""
        self._thread.start()

    def restart(self, detail: str) -> None:
        """Begin again after the thread has ended; what was in flight counts as not sent."""
        _log.error("the uplink is begun again: %s", detail)
        self._alarm(f"the uplink is begun again: {detail}")
        self._last_progress = self._clock()
        self._thread = self._make_thread()
        self._thread.start()

    def stop(self, timeout: float = CONNECT_S + 2) -> None:
        """Say that we are offline, disconnect and end the thread."""
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def notify_sealed(self) -> None:
        """The log has grown; may be called from any thread, costs nothing."""
        if not self._sealed.is_set():
            self._sealed.set()
            self._wake()

    def _wake(self) -> None:
        if (line := self._line) is not None:
            line.put(None)

    def _work(self) -> None:
        delay = MIN_DELAY_S
        while not self._stop.is_set():
            self._last_progress = self._clock()
            try:
                self._serve()
                delay = MIN_DELAY_S
            except _OtherProtocolError as error:
                _log.info("%s", error)
                continue
            except LineError as error:
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001  the outermost loop of this thread: log, and connect anew
                _log.exception("uplink failed")
                self._tell(f"the uplink failed and is started again: {type(error).__name__}: {error}")
            if not self._stop.wait(delay):
                delay = min(delay * 2, MAX_DELAY_S)

    def _serve(self) -> None:
        """One connection, from its beginning to its end; LineError where it never stood."""
        line = _Line(
            self._settings, self._gateway, self._protocols[0], STATUS.encode(replace(self._status(), online=0))
        )
        self._line = line
        try:
            line.open()
            self._handshake(line)
            self.problem = None
            self._last_alarm = ""
            line.publish(Publish("up/status", STATUS.encode(self._status()), retain=True))
            self._show_ledger(line)  # before anything that the collector would sign on
            self._do(line, self._uplink.connected(self._clock()))
            self._pump(line)
        finally:
            self._line = None
            self._dropped += line.dropped
            with contextlib.suppress(LineError):
                self._do(line, self._uplink.disconnected(self._clock()))
            line.close(STATUS.encode(replace(self._status(), online=0)) if self._stop.is_set() else None)
            self._progress = self._uplink.progress()

    def _handshake(self, line: "_Line") -> None:
        probing = len(self._protocols) > 1 and self._protocols[0] == MQTTProtocolVersion.MQTTv5
        end = self._clock() + (PROBE_S if probing else HANDSHAKE_S)
        while not line.ready.wait(LOOK_S):
            self._last_progress = self._clock()
            if line.lost.is_set() or self._clock() > end:
                self._protocols.append(self._protocols.pop(0))
                why = line.reason or f"broker {line.where}: connected, and then no answer"
                raise _OtherProtocolError(f"{why}; trying MQTT 3.1.1") if probing else LineError(why)
            if self._stop.is_set():
                return

    def _pump(self, line: "_Line") -> None:
        health_at = self._clock()
        while not (self._stop.is_set() or line.lost.is_set()):
            message = line.take(TICK_S)
            now = self._last_progress = self._clock()
            if message is not None:
                self._do(line, self._uplink.received(*message, now))
            if self._sealed.is_set():
                self._sealed.clear()
                self._do(line, self._uplink.sealed(now))
            self._do(line, self._uplink.tick(now))
            self._progress = self._uplink.progress()
            if now >= health_at:
                health_at = now + HEALTH_S
                line.publish(Publish("up/health", HEALTH.encode(self._health(self._progress)), qos=0))
                if self._shown != self._uplink.shown():
                    self._show_ledger(line)
            if line.reason and not line.lost.is_set():
                self._tell(line.reason)
            if now - line.alive > DEAD_S:
                raise LineError(f"broker {line.where}: the network thread has stood still for {DEAD_S:.0f} s")
        if line.lost.is_set() and not self._stop.is_set():
            self.problem = line.reason

    def _do(self, line: "_Line", actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Publish):
                line.publish(action)
            elif isinstance(action, Alarm):
                _log.warning("%s", action.text)
                self._alarm(action.text)
            elif isinstance(action, SaveReceipt):
                self._save_receipt(action)
            elif isinstance(action, Fork):
                offer = self._prepare(action)
                self._do(line, self._uplink.succeed(offer.note, offer.request, self._clock()))
            elif isinstance(action, Succeeded):
                self._succeeded(action.note)
            elif isinstance(action, SaveLedgers):
                self._keep_ledgers(action)
            else:
                self._show_ledger(line)

    def _show_ledger(self, line: "_Line") -> None:
        self._shown = self._uplink.shown()
        line.publish(Publish("up/ledger", self._shown, retain=True))

    def _keep_ledgers(self, action: SaveLedgers) -> None:
        saved = False
        try:
            self._save_ledgers(action.ledgers)
            saved = True
        finally:
            if not saved:
                self._uplink.ledgers, self._uplink.custody = action.before, action.custody

    def _save_receipt(self, action: SaveReceipt) -> None:
        saved = False
        try:
            self._save(action.receipt)
            saved = True
        finally:
            if not saved:
                self._uplink.custody = action.before

    def _tell(self, text: str) -> None:
        self.problem = text
        if text != self._last_alarm:
            self._last_alarm = text
            _log.warning("%s", text)
            self._alarm(text)


class _Line:
    """One connection. Its callbacks run in paho's thread, and only set flags and fill the queue."""

    def __init__(self, settings: MqttConfig, gateway: str, protocol: MQTTProtocolVersion, will: bytes) -> None:
        self.where = f"{settings.host}:{settings.port}"
        self.reason: str | None = None
        self.ready = threading.Event()
        self.lost = threading.Event()
        self.alive = time.monotonic()
        self.dropped = 0
        self._owner = threading.get_ident()
        self._settings = settings
        self._gateway = gateway
        self._inbox: queue.Queue[tuple[str, bytes] | None] = queue.Queue(INBOX)
        self._client = self._make(protocol, will)

    def _make(self, protocol: MQTTProtocolVersion, will: bytes) -> paho.Client:
        settings = self._settings
        made = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._gateway,
            clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else True,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        made.connect_timeout = CONNECT_S
        made.max_inflight_messages_set(MAX_IN_FLIGHT)
        made.max_queued_messages_set(MAX_QUEUED)
        made.will_set(messages.topic(self._gateway, "up/status"), will, qos=1, retain=True)
        try:
            if settings.user is not None:
                password = Path(settings.password_file).read_text("utf-8").strip() if settings.password_file else None
                made.username_pw_set(settings.user, password)
            if settings.ca is not None:
                made.tls_set(settings.ca, settings.cert, settings.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        except (OSError, ValueError) as error:
            raise LineError(f"broker {self.where}: certificate, key or password: {error}") from error
        made.on_connect = self._on_connect
        made.on_disconnect = self._on_disconnect
        made.on_subscribe = self._on_subscribe
        made.on_message = self._on_message
        made.on_publish = self._on_publish
        return made

    def open(self) -> None:
        """Connect, and let paho's thread run."""
        if resolves(self._settings.host, self._settings.port, CONNECT_S) is None:
            raise LineError(f"broker {self.where}: no answer to its name in {CONNECT_S:.0f} s")
        try:
            self._client.connect(self._settings.host, self._settings.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise LineError(f"broker {self.where}: {error}") from error
        self._client.loop_start()

    def close(self, farewell: bytes | None) -> None:
        """Disconnect; with a last retained status where we go on purpose."""
        if farewell is not None and self.ready.is_set() and not self.lost.is_set():
            sent = self._client.publish(messages.topic(self._gateway, "up/status"), farewell, 1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):
                sent.wait_for_publish(1.0)
        self._client.disconnect()
        if not bounded(self._client.loop_stop, STOP_S):
            _log.error("broker %s: the network thread does not end, and is left behind", self.where)

    def publish(self, message: Publish) -> None:
        """Hand a message to paho. That it arrives is for the collector to say."""
        sent = self._client.publish(
            messages.topic(self._gateway, message.leaf), message.payload, message.qos, message.retain
        )
        if sent.rc not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}:
            raise LineError(f"broker {self.where}: {paho.error_string(sent.rc)}")

    def put(self, message: tuple[str, bytes] | None) -> None:
        """Queue what came. When the queue is full it is dropped: only an answer that is handled counts."""
        try:
            self._inbox.put_nowait(message)
        except queue.Full:
            self.dropped += message is not None  # None only wakes: whoever has work is awake

    def take(self, timeout: float) -> tuple[str, bytes] | None:
        """The next message, or None when there is none in time."""
        try:
            return self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None

    def _mark(self) -> None:
        """The network thread lives. When it has died paho writes from whoever publishes, and calls back from there."""
        if threading.get_ident() != self._owner:
            self.alive = time.monotonic()

    # paho's signatures; none of these may raise, that would end its thread

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401
        self._mark()
        if reason.is_failure:
            self.reason = f"broker {self.where} refuses {self._gateway}: {reason}"
            self.lost.set()
            return
        client.subscribe(f"{messages.ROOT}/{self._gateway}/down/#", qos=1)

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:  # noqa: ANN401
        self._mark()
        if any(reason.is_failure for reason in reasons):
            self.reason = (
                f"broker {self.where} lets {self._gateway} not subscribe to {messages.ROOT}/{self._gateway}/down/#"
            )
            self.lost.set()
            return
        self.ready.set()

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401
        self.reason = self.reason or f"broker {self.where}: the connection ended: {reason}"
        self.lost.set()
        self.put(None)

    def _on_publish(self, _client: paho.Client, _data: Any, _mid: int, reason: Any, _properties: Any) -> None:  # noqa: ANN401
        self._mark()
        if reason is not None and reason.is_failure:  # MQTT 5 says so where 3.1.1 says success
            self.reason = f"broker {self.where} lets {self._gateway} not publish: {reason}"

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        self._mark()
        with contextlib.suppress(MalformedError, UnicodeDecodeError):
            gateway, leaf = messages.parse_topic(message.topic)
            if len(message.payload) > MAX_PAYLOAD:
                self.dropped += 1
            elif gateway == self._gateway and leaf in messages.DOWN:
                self.put((leaf, bytes(message.payload)))
