"""The gateway's configuration: one TOML file into frozen records, every key known, every path absolute.

    provider = "hospital.example"
    gateway = "ward-3"
    ledger_vkey = "hospital.example/ledger+…"
    state = "state"                     # relative to this file
    [mqtt]
    host = "broker.hospital.example"
    [[port]]
    name = "bed-1"
    device = "/dev/serial/by-id/usb-…"
    driver = "nonin"
    [port.options]
    format = "2"

A key that is not known is an error that names the line and the key that was probably meant.
"""

import re
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from vitaledger.errors import MalformedError, VitaledgerError
from vitaledger.keys import Ed25519Verifier, KeyType, parse_vkey
from vitaledger.marks import Use
from vitaledger.messages import check_gateway, gateway_origin, ledger_origin

DEFAULT_PATHS = (Path("gateway.toml"), Path("/etc/vitaledger/gateway.toml"))
_UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `\$([^`]*)`)?")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and how to speak to it. Without `ca` the line is not encrypted."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    user: str | None = None
    password_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    anchor_every_s: Seconds = 10.0


class RecordConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How entries are cut, how long bodies are kept once the collector has custody of them, when the intake stops."""

    entry_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    entry_readings: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 1000
    keep_raw: bool = True
    retention_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    min_free_mb: Annotated[float, msgspec.Meta(gt=0)] = 64.0


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus finds the gateway; without this section it does not. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 9464


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is on the line, for devices that cannot tell it themselves. Readings say that it was only declared."""

    make: str = ""
    model: str = ""
    serial: str | None = None


class PortConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line to a device."""

    name: Name
    device: Annotated[str, msgspec.Meta(min_length=1)]
    driver: str | None = None
    use: Literal["clinical", "test", "demo"] = "clinical"
    may_send: bool = True
    options: dict[str, str] = {}
    declared: Declared | None = None

    @property
    def use_mark(self) -> Use:
        """`use` as entries bear it."""
        return Use[self.use.upper()]

    @property
    def sends(self) -> bool:
        """Whether the driver may send: never where it was not named."""
        return self.may_send and self.driver is not None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    gateway: str
    ledger_vkey: str
    state: str = "state"
    key: str = "gateway.key"
    mqtt: MqttConfig = MqttConfig()
    record: RecordConfig = RecordConfig()
    metrics: MetricsConfig | None = None
    port: tuple[PortConfig, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that was read and checked. `digest` is the SHA-256 of the file's bytes.

    As read it is of the gateway's first log; `gateway.generations` gives that of a successor.
    """

    path: Path
    digest: bytes
    provider: str
    gateway: str
    ledger_vkey: str
    state: Path
    key: Path
    mqtt: MqttConfig
    record: RecordConfig
    metrics: MetricsConfig | None = None
    ports: tuple[PortConfig, ...]
    generation: int = 1

    @property
    def origin(self) -> str:
        """The origin of this gateway's log; also the name of its key."""
        return gateway_origin(self.provider, self.gateway, self.generation)

    @property
    def ledger_verifier(self) -> Ed25519Verifier:
        """The pinned key of the provider ledger."""
        return Ed25519Verifier(parse_vkey(self.ledger_vkey))


def find(path: Path | None) -> Path:
    """The configuration file to use: `path`, or the first default that is there; MalformedError where none is."""
    for candidate in (path,) if path else DEFAULT_PATHS:
        if candidate.is_file():
            return candidate
    looked = path or " or ".join(map(str, DEFAULT_PATHS))
    raise MalformedError(f"no configuration at {looked}; `vitaledger-gateway init` makes one")


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        MalformedError: not TOML, an unknown key, a value out of bounds; names file, line and key where they are known.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MalformedError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse(data, path)
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}") from error


def parse(data: bytes, path: Path) -> Config:
    """The configuration in a file's bytes; relative paths in it begin at the file's directory."""
    try:
        found = msgspec.toml.decode(data, type=_File)
    except msgspec.ValidationError as error:
        raise MalformedError(_explain(str(error), data.decode("utf-8", "replace"))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"not TOML: {error}") from error
    if wrong := check_gateway(found.gateway) or _wrong_ports(found.port) or _wrong_mqtt(found.mqtt):
        raise MalformedError(wrong)
    _check_ledger(found)
    base = path.absolute().parent
    mqtt = msgspec.structs.replace(
        found.mqtt,
        **{name: str(base / value) for name in ("password_file", "ca", "cert", "key") if (value := _get(found, name))},
    )
    return Config(
        path=path.absolute(),
        digest=sha256(data).digest(),
        provider=found.provider,
        gateway=found.gateway,
        ledger_vkey=found.ledger_vkey,
        state=base / found.state,
        key=base / found.key,
        mqtt=mqtt,
        record=found.record,
        metrics=found.metrics,
        ports=found.port,
    )


def _get(found: _File, name: str) -> str | None:
    value: str | None = getattr(found.mqtt, name)
    return value


def _check_ledger(found: _File) -> None:
    try:
        vkey = parse_vkey(found.ledger_vkey)
    except VitaledgerError as error:
        raise MalformedError(f"ledger_vkey: {error}") from error
    expected = ledger_origin(found.provider)
    if vkey.name != expected or vkey.type != KeyType.ED25519:
        raise MalformedError(f"ledger_vkey: expected an Ed25519 key named {expected}, found one named {vkey.name}")


def _wrong_ports(ports: tuple[PortConfig, ...]) -> str | None:
    names, devices = [port.name for port in ports], [port.device for port in ports]
    for what, values in (("name", names), ("device", devices)):
        for value in values:
            if values.count(value) > 1:
                return f"[[port]]: two ports have the {what} {value!r}"
    return None


def _wrong_mqtt(mqtt: MqttConfig) -> str | None:
    if (mqtt.cert is None) != (mqtt.key is None):
        return "[mqtt]: cert and key belong together"
    if mqtt.password_file is not None and mqtt.user is None:
        return "[mqtt]: password_file without user"
    return None


def _explain(message: str, text: str) -> str:
    """A decoder's message with the line that it is about and, for an unknown key, the nearest known one."""
    found = _UNKNOWN.search(message)
    if found is None:
        place = re.search(r"`\$([^`]*)`", message)
        key = place.group(1).rpartition(".")[2] if place else ""
        return _line_of(key, text) + message.replace("`$.", "`").replace("`$`", "the file")
    key, where = found.group(1), found.group(2) or ""
    table = re.sub(r"\[[^]]*\]", "", where).strip(".")
    kinds = {
        "": _File,
        "mqtt": MqttConfig,
        "record": RecordConfig,
        "metrics": MetricsConfig,
        "port": PortConfig,
        "port.declared": Declared,
    }
    known = kinds.get(table, _File).__struct_fields__
    near = get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
    return f"{_line_of(key, text)}unknown key {key!r}{f' in [{table}]' if table else ''}{hint}"


def _line_of(key: str, text: str) -> str:
    if key:
        for number, line in enumerate(text.splitlines(), start=1):
            if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(key)}[\"']?\s*(=|\])", line):
                return f"line {number}: "
    return ""
