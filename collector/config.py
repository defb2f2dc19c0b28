"""The collector's configuration: one TOML file into frozen records.

    provider = "hospital.example"       first part of every origin; never changed
    state = "state"                     directory of the store and the ledger's key, relative to this file

    [mqtt]
    host = "127.0.0.1"
    port = 1883

    [http]
    port = 8080

A key that nobody knows is an error that names the nearest known one: a misspelt option never falls back to a default.
"""

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from collector import keys, reader
from vitaledger.errors import MisuseError
from vitaledger.messages import ledger_origin

FILE_NAME = "collector.toml"
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
Port = Annotated[int, Meta(ge=0, le=65_535)]


class Mqtt(Struct, frozen=True, kw_only=True):
    """The broker. `ca` turns TLS on; files are relative to the configuration."""

    host: str = "127.0.0.1"
    port: Port = 1883
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    user: str | None = None
    password_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Http(Struct, frozen=True, kw_only=True):
    """Where the ledger and the pages are served; port 0 takes a free one.

    `pages` says whether the pages are served: they show readings to whoever reaches them. `names` are those by which
    they are reached beside this machine's own; `zone` is that of their times.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    pages: bool = False
    names: tuple[str, ...] = ()
    zone: str = "UTC"


class LedgerOptions(Struct, frozen=True, kw_only=True):
    """How often the ledger moves, at most."""

    step_ms: Annotated[int, Meta(ge=10, le=60_000)] = 250


class Config(Struct, frozen=True, kw_only=True):
    """The whole file.

    Not read from it: `base`, the directory that relative paths start from, and `generation`, the number of the ledger
    that goes on; its store and key are in a directory of that number below the state, those of the first in it.
    """

    provider: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    state: str = "state"
    mqtt: Mqtt = Mqtt()
    http: Http = Http()
    ledger: LedgerOptions = LedgerOptions()
    base: Path = Path()
    generation: int = 1

    def path(self, name: str) -> Path:
        """A path that the file names."""
        return self.base / name

    @property
    def state_dir(self) -> Path:
        """Where the store and the key are."""
        return self.path(self.state)

    @property
    def ledger_dir(self) -> Path:
        """Where the store and the key of the ledger are."""
        return self.state_dir if self.generation == 1 else self.state_dir / str(self.generation)

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self.ledger_dir / reader.FILE_NAME

    @property
    def key_path(self) -> Path:
        """The ledger's key file."""
        return self.ledger_dir / keys.FILE_NAME

    @property
    def ledger_origin(self) -> str:
        """The ledger's origin, which is also its key's name."""
        return ledger_origin(self.provider, self.generation)


def load(path: Path) -> Config:
    """Read a configuration file, for the ledger that goes on; MisuseError says what is wrong with it and where."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path}: cannot read the configuration: {error.strerror}") from error
    return newest(parse(data, path))


def newest(config: Config) -> Config:
    """The configuration of the ledger that goes on: the highest number that has a store."""
    found = config.state_dir.iterdir() if config.state_dir.is_dir() else ()
    numbers = [int(path.name) for path in found if _NUMBER.fullmatch(path.name) and (path / reader.FILE_NAME).is_file()]
    return msgspec.structs.replace(config, generation=max(numbers, default=1))


def choose(config: Config, number: int) -> Config:
    """The configuration of one ledger by its number; MisuseError where there is none of that number."""
    found = msgspec.structs.replace(config, generation=number)
    if not found.store_path.is_file():
        raise MisuseError(f"{found.store_path}: there is no ledger number {number}; the newest is {config.generation}")
    return found


def parse(data: bytes, path: Path) -> Config:
    """The configuration in a file's bytes; `path` is where relative paths start and what errors name."""
    try:
        found = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: not TOML: {error}") from error
    _check_keys(found, Config, str(path))
    try:
        config = msgspec.convert(found, Config)
    except msgspec.ValidationError as error:
        raise MisuseError(f"{path}: {error}") from error
    if (config.mqtt.cert is None) != (config.mqtt.key is None):
        raise MisuseError(f"{path}: [mqtt] cert and key belong together")
    if config.mqtt.cert is not None and config.mqtt.ca is None:
        raise MisuseError(f"{path}: [mqtt] cert needs ca: TLS is on where ca is set")
    try:
        ZoneInfo(config.http.zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = config.http.zone
        raise MisuseError(f"{path}: [http] zone {zone!r}: expected a zone of this machine, as Europe/Berlin") from None
    return msgspec.structs.replace(config, base=path.absolute().parent)


def _check_keys(found: dict[str, Any], of: type[Struct], where: str) -> None:
    fields = {
        field.name: field.type for field in msgspec.structs.fields(of) if field.name not in {"base", "generation"}
    }
    for key, value in found.items():
        if key not in fields:
            near = get_close_matches(key, fields, 1, 0)
            raise MisuseError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}?")
        section = fields[key]
        if isinstance(value, dict) and isinstance(section, type) and issubclass(section, Struct):
            _check_keys(value, section, f"{where}: [{key}]")


TEMPLATE = """\
# A collector of Vitaledger.

# First part of every origin: {provider}/ledger, {provider}/gateway/<gateway>. Signed into everything; never change it.
provider = "{provider}"

# Directory of the store and of the ledger's key, relative to this file.
state = "state"

[mqtt]
host = "127.0.0.1"
port = 1883
# "auto" tries MQTT 5 first and falls back to 3.1.1.
# protocol = "auto"
# user = "collector"
# password_file = "mqtt-password"
# TLS is on where ca is set. The client certificate is optional.
# ca = "ca.pem"
# cert = "collector.pem"
# key = "collector-key.pem"

[http]
# The ledger as tiles, and /healthz. Port 0 takes a free port; it is written to <state>/http-port.
host = "127.0.0.1"
port = 8080
# The pages: overview and history of the devices. They show readings to whoever reaches this port.
pages = true
# The zone of the pages' times.
# zone = "Europe/Berlin"
# Names by which the pages are reached, beside this machine's own.
# names = ["vitals.hospital.example"]

[ledger]
# At most one ledger step in this time.
# step_ms = 250
"""
