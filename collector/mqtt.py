"""The line to the broker: a thin adapter around paho, which delivers into the inbox and sends answers.

Clean sessions, QoS 1, no manual acknowledgement: what is lost on the way is sent again by its gateway, because only
our answer counts. An answer that cannot be sent now is dropped for the same reason. Each attempt to connect is a fresh
paho client whose thread ends with the connection; one thread of ours makes the attempts, with back-off, and notices a
network thread that died while it seemed connected. With protocol "auto" the versions are tried in turn until one is
taken.
"""

import contextlib
import logging
import socket
import ssl
import threading
import time
from itertools import cycle
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from collector.config import Config
from collector.inbox import Inbox, Message
from collector.ingest import Publish
from vitaledger.errors import MalformedError, MisuseError
from vitaledger.messages import ROOT, parse_topic, topic

_log = logging.getLogger(__name__)
CLIENT_ID = "vitaledger-collector"
CONNECT_TIMEOUT_S = 5.0
MAX_BACKOFF_S = 30.0
KEEPALIVE_S = 15
SILENT_S = 3.0 * KEEPALIVE_S
STOP_S = 3.0
MAX_IN_FLIGHT, MAX_QUEUED = 256, 4096  # of paho's own
MAX_PAYLOAD = 256 * 1024  # far above what is ever taken: what is larger is not even answered
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class Link:
    """Connects, and stays connected, from `start` to `stop`. MisuseError where a file of the configuration is wrong."""

    def __init__(self, config: Config, inbox: Inbox) -> None:
        self._config = config
        self._inbox = inbox
        self._client: paho.Client | None = None  # the connected one; written by the supervising thread
        self._stop = threading.Event()
        self._up = threading.Event()
        self._down = threading.Event()
        self._thread = self._make_thread()
        self._network = time.monotonic()  # when paho's thread last did something
        self.came_round = time.monotonic()
        self._password = _password(config)
        self._tls = _tls(config)

    @property
    def connected(self) -> bool:
        """Whether the broker has taken our subscription's connection."""
        return self._up.is_set() and not self._down.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread that connects lives."""
        return self._thread.is_alive()

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(target=self._supervise, name="mqtt-supervisor", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def restart(self) -> None:
        """Begin again after the thread has ended."""
        self._down.set()
        self._client = None
        self.came_round = time.monotonic()
        self._thread = self._make_thread()
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stop.set()
        self._down.set()
        self._thread.join(CONNECT_TIMEOUT_S * 2)

    def publish(self, answer: Publish) -> None:
        """Send an answer, if there is a connection."""
        client = self._client
        if client is not None and self.connected:
            client.publish(topic(answer.gateway, answer.topic), answer.payload, qos=1)

    def _supervise(self) -> None:
        wanted = self._config.mqtt.protocol
        versions = cycle(list(_VERSIONS.values()) if wanted == "auto" else [_VERSIONS[wanted]])
        version, backoff = next(versions), 0.25
        while not self._stop.is_set():
            self.came_round = time.monotonic()
            try:
                was_up = self._attempt(version)
            except (OSError, ValueError) as error:  # ValueError: paho refuses options
                _log.warning("broker %s:%d: %s", self._config.mqtt.host, self._config.mqtt.port, error)
                backoff = min(backoff * 2, MAX_BACKOFF_S)
            else:
                backoff = 0.25 if was_up else min(backoff * 2, MAX_BACKOFF_S)
                version = version if was_up else next(versions)
            self._stop.wait(backoff)

    def _attempt(self, version: MQTTProtocolVersion) -> bool:
        """One connection, from beginning to end; whether the broker ever took it."""
        if not _answers(self._config.mqtt.host, self._config.mqtt.port):
            raise OSError(f"no answer to its name in {CONNECT_TIMEOUT_S:.0f} s")
        client = self._make(version)
        self._up.clear()
        self._down.clear()
        client.connect(self._config.mqtt.host, self._config.mqtt.port, KEEPALIVE_S, **_clean(version))
        before = set(threading.enumerate())
        client.loop_start()
        network = [thread for thread in threading.enumerate() if thread not in before and "paho" in thread.name]
        self._client = client
        if self._stop.is_set():
            self._down.set()
        if not self._wait_up():
            self._down.set()
        self._network = time.monotonic()
        while not self._down.wait(1.0):
            self.came_round = time.monotonic()
            if self.came_round - self._network > SILENT_S:
                _log.error("the network thread has stood still for %.0f s", SILENT_S)
                self._down.set()
            if network and not any(thread.is_alive() for thread in network):
                _log.error("the network thread died")
                self._down.set()
        self._client = None
        client.disconnect()
        ending = threading.Thread(target=client.loop_stop, daemon=True)
        ending.start()
        ending.join(STOP_S)  # a network thread that hangs is left behind
        return self._up.is_set()

    def _wait_up(self) -> bool:
        waited = 0.0
        while waited < CONNECT_TIMEOUT_S and not self._down.is_set():
            if self._up.wait(0.1):
                return True
            waited += 0.1
        return False

    def _make(self, version: MQTTProtocolVersion) -> paho.Client:
        options = self._config.mqtt
        clean = {"clean_session": True} if version is MQTTProtocolVersion.MQTTv311 else {}
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.user or CLIENT_ID,
            protocol=version,
            reconnect_on_failure=False,
            **clean,  # type: ignore[arg-type]
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.max_queued_messages_set(MAX_QUEUED)
        if options.user is not None:
            client.username_pw_set(options.user, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_log = self._on_log
        return client

    # -- called by paho's thread: whatever these raise would end it ---------------------------------------------------

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:  # noqa: ANN401
        if reason.is_failure:
            _log.warning("broker refused the connection: %s", reason)
            self._down.set()
            return
        code, _ = client.subscribe(f"{ROOT}/+/up/#", qos=1)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._down.set()
            return
        _log.info("connected to the broker")
        self._up.set()

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:  # noqa: ANN401
        if not self._stop.is_set():
            _log.warning("connection to the broker lost: %s", reason)
        self._down.set()

    def _on_log(self, _client: paho.Client, _data: Any, _level: int, _text: str) -> None:  # noqa: ANN401
        # paho tells each packet, a ping at least every 15 s. One that we publish is told from our own threads.
        if threading.current_thread().name.startswith("paho"):
            self._network = time.monotonic()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        try:
            gateway, name = parse_topic(message.topic)
        except (MalformedError, UnicodeDecodeError):
            return
        if len(message.payload) <= MAX_PAYLOAD:
            self._inbox.put(Message(gateway, name, bytes(message.payload)))


def _answers(host: str, port: int) -> bool:
    """Whether the resolver says anything in time: it may hold its caller for longer than a watchdog waits."""

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CONNECT_TIMEOUT_S)
    return not asking.is_alive()


def _clean(version: MQTTProtocolVersion) -> dict[str, Any]:
    return {"clean_start": True} if version is MQTTProtocolVersion.MQTTv5 else {}


def _password(config: Config) -> str | None:
    if config.mqtt.password_file is None:
        return None
    path = config.path(config.mqtt.password_file)
    try:
        return path.read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise MisuseError(f"{path}: cannot read the password: {error.strerror}") from error


def _tls(config: Config) -> ssl.SSLContext | None:
    options = config.mqtt
    if options.ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=config.path(options.ca))
        if options.cert is not None and options.key is not None:
            context.load_cert_chain(config.path(options.cert), config.path(options.key))
    except OSError as error:
        raise MisuseError(f"[mqtt] ca, cert or key cannot be used: {error}") from error
    return context
