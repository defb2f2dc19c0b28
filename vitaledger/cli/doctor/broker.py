"""A visit to the broker: what it lets us do, and what it says where it does not.

MQTT 5 is tried first even where the programs are set to 3.1.1, because only it says why: on 3.1.1 a refused publish is
acknowledged as a success, and the visitor has to conclude from the collector's silence. A refused subscription is
granted by some brokers on both.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from vitaledger.errors import VitaledgerError

UNHEARD = 0x10  # MQTT 5: no matching subscribers
STEP_S = 5.0
_NAMES = {MQTTProtocolVersion.MQTTv5: "MQTT 5", MQTTProtocolVersion.MQTTv311: "MQTT 3.1.1"}


class BrokerError(VitaledgerError):
    """The visit ended; `advice` says what to do."""

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Door:
    """Where the broker is and as whom we come. Files are absolute; the password is never shown."""

    host: str
    port: int
    user: str | None
    password_file: Path | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    client_id: str

    @property
    def where(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @property
    def identity(self) -> str:
        """As whom the broker knows us, as far as that can be told from here."""
        names = [f"client id {self.client_id}"]
        if self.user is not None:
            names.append(f"user {self.user}")
        if self.cert is not None and (cn := _common_name(self.cert)) is not None:
            names.append(f"certificate CN {cn}")
        return ", ".join(names)


def _common_name(path: Path) -> str | None:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes()).subject.get_attributes_for_oid(x509.OID_COMMON_NAME)
    except (OSError, ValueError):
        return None
    return str(found[0].value) if found else None


@dataclass(slots=True)
class Visit:
    """One connection. `deadline` is of time.monotonic(): nothing waits beyond it."""

    door: Door
    deadline: float
    protocol: str = ""
    lost: str | None = None
    came: list[tuple[str, bytes]] = field(default_factory=list)
    _client: paho.Client | None = None
    _five: bool = False
    _connected: ReasonCode | None = None
    _granted: dict[int, list[ReasonCode]] = field(default_factory=dict)
    _acks: dict[int, ReasonCode | None] = field(default_factory=dict)
    _resolved: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def tells_why(self) -> bool:
        """Whether the broker's acknowledgements say what was refused."""
        return self._five

    def open(self) -> None:
        """Connect, with MQTT 5 or else 3.1.1.

        Raises:
            BrokerError: says at which step and in whose words.
        """
        self._reach()
        for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            last = version is MQTTProtocolVersion.MQTTv311
            self._connect(version)
            self.await_that(lambda: self._connected is not None or self.lost is not None, STEP_S if last else 2.0)
            if self._connected is not None and not self._connected.is_failure:
                self.protocol = _NAMES[version]
                self._five = not last
                return
            refused, lost = self._connected, self.lost
            self.close()
            if refused is not None and "protocol" not in str(refused).lower():
                raise BrokerError(
                    f"{self.door.where} refuses {self.door.identity}: {refused}",
                    "look at the broker's log; check user, password or certificate, and that the broker knows them",
                )
            if last:
                advice = "is it an MQTT broker, and does it want a certificate that we do not show? Look at its log"
                raise BrokerError(f"{self.door.where}: connected, and then {lost or 'no answer to CONNECT'}", advice)
            self._connected = self.lost = None

    def _reach(self) -> None:
        door = self.door
        # a resolver that does not answer holds its caller for longer than we may take
        threading.Thread(target=self._resolve, daemon=True).start()
        if not self._resolved.wait(self._left(STEP_S)):
            raise BrokerError(f"{door.host}: no answer to the name in {STEP_S:.0f} s", "check this machine's DNS")
        try:
            socket.create_connection((door.host, door.port), self._left(STEP_S)).close()
        except socket.gaierror as error:
            raise BrokerError(f"{door.host}: {error.strerror}", "check [mqtt] host and this machine's DNS") from error
        except TimeoutError as error:
            raise BrokerError(f"{door.where}: no answer in {STEP_S:.0f} s", "a firewall or a wrong address?") from error
        except OSError as error:
            advice = "does the broker run, on this port? Check [mqtt] host and port"
            raise BrokerError(f"{door.where}: {error.strerror or error}", advice) from error

    def _resolve(self) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            socket.getaddrinfo(self.door.host, self.door.port, type=socket.SOCK_STREAM)
        self._resolved.set()

    def _connect(self, version: MQTTProtocolVersion) -> None:
        door = self.door
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=door.client_id,
            clean_session=None if version is MQTTProtocolVersion.MQTTv5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._left(STEP_S)
        if door.user is not None:
            client.username_pw_set(door.user, self._password())
        if door.ca is not None:
            client.tls_set_context(self._tls())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client
        try:
            client.connect(door.host, door.port, 15)
        except ssl.SSLCertVerificationError as error:
            advice = "check [mqtt] ca, the host's name in the broker's certificate, and this machine's clock"
            raise BrokerError(f"{door.where}: its certificate: {error.verify_message}", advice) from error
        except ssl.SSLError as error:
            advice = "does this port speak TLS, and does the broker know the authority of our certificate?"
            raise BrokerError(f"{door.where}: TLS: {error.reason or 'failed'}", advice) from error
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise BrokerError(f"{door.where}: {why}", "does this port speak what [mqtt] asks for?") from error
        client.loop_start()

    def _password(self) -> str | None:
        path = self.door.password_file
        if path is None:
            return None
        try:
            return path.read_text("utf-8").strip()
        except OSError as error:
            raise BrokerError(f"{path}: {error.strerror}", "name it in [mqtt] password_file") from error
        except ValueError:
            raise BrokerError(f"{path}: not UTF-8", "a password file holds one line of text") from None

    def _tls(self) -> ssl.SSLContext:
        door = self.door
        try:
            context = ssl.create_default_context(cafile=door.ca)
        except (OSError, ValueError) as error:
            raise BrokerError(f"{door.ca}: {_said(error, 'not a certificate')}", "[mqtt] ca is a PEM file") from None
        if door.cert is not None and door.key is not None:
            try:
                context.load_cert_chain(door.cert, door.key, password=lambda: "")
            except (OSError, ValueError) as error:
                why = _said(error, "they do not belong together, or one is no PEM file")
                advice = "[mqtt] cert and key are PEM files that belong together, the key without a password"
                raise BrokerError(f"{door.cert}, {door.key}: {why}", advice) from None
        return context

    def subscribe(self, topic: str) -> str | None:
        """Subscribe; the broker's reason where it says that it refuses."""
        client = self._alive()
        _, number = client.subscribe(topic, 1)
        mid = number or 0
        self.await_that(lambda: mid in self._granted, STEP_S)
        self._alive()
        found = self._granted.get(mid)
        if found is None:
            return "no answer to SUBSCRIBE"
        return next((str(each) for each in found if each.is_failure), None)

    def publish(self, topic: str, payload: bytes) -> tuple[str | None, bool]:
        """Publish at QoS 1: (the broker's reason where it refuses, whether somebody may have heard it)."""
        client = self._alive()
        sent = client.publish(topic, payload, 1)
        self.await_that(lambda: sent.mid in self._acks, STEP_S)
        self._alive()
        if sent.mid not in self._acks:
            return "no acknowledgement", False
        reason = self._acks[sent.mid]
        if reason is None or not self._five:
            return None, True
        return (str(reason) if reason.is_failure else None), reason.value != UNHEARD

    def await_that(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until `holds`, the connection is lost or the time is over; whether it holds."""
        with self._changed:
            self._changed.wait_for(lambda: holds() or self.lost is not None, self._left(seconds))
            return holds()

    def close(self) -> None:
        """Leave."""
        client, self._client = self._client, None
        if client is not None:
            client.on_disconnect = None
            client.disconnect()
            client.loop_stop()

    def _left(self, seconds: float) -> float:
        return max(0.01, min(seconds, self.deadline - time.monotonic()))

    def _alive(self) -> paho.Client:
        if self._client is None or self.lost is not None:
            raise BrokerError(f"{self.door.where}: the broker ended the connection: {self.lost or 'it is closed'}")
        return self._client

    # paho's thread

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._connected = reason
            self._changed.notify_all()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:  # noqa: ANN401
        with self._changed:
            self.lost = str(reason)
            self._changed.notify_all()

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _props: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._granted[mid] = reasons
            self._changed.notify_all()

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode | None, _props: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._acks[mid] = reason
            self._changed.notify_all()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        with self._changed:
            if len(self.came) < 256:
                self.came.append((message.topic, bytes(message.payload)))
            self._changed.notify_all()


def _said(error: Exception, otherwise: str) -> str:
    """The system's word for a file that cannot be opened; a library's word about what is in it is not passed on."""
    return error.strerror if isinstance(error, OSError) and error.errno and error.strerror else otherwise
