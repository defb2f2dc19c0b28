"""The logs of one gateway: the first, and the successors that began when a log before could not go on.

    <state>/               the first log: its store; its key is the file that the configuration names
    <state>/2/             its successor: store, gateway.key, and the note by which the log before named it
    <state>/2/carried      everything of the log before that had to be carried over is sealed in this one

Each successor has its key beside its store, so that a copy of the state that is put back takes both away or brings
both: no key ever meets a store that it has signed past. A directory with a key and a note but no store is a candidate:
the collector was, or will be, asked to take it. Stores of logs that ended are never written again.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway import keys, schema
from gateway.config import Config
from gateway.outbox import LogView
from vitaledger import succession, witness
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.errors import MisuseError
from vitaledger.keys import Ed25519Signer
from vitaledger.messages import gateway_origin

NOTE = "succession.note"
KEY = "gateway.key"
CARRIED = "carried"


@dataclass(frozen=True, slots=True)
class Offer:
    """A successor that is prepared: the note that names it, and the request that shows the contradiction, if any."""

    note: bytes
    request: bytes | None


def of(config: Config, number: int) -> Config:
    """The configuration as it is for one of the logs; `config` may be that of any."""
    root = config.state if config.generation == 1 else config.state.parent
    if number == config.generation:
        return config
    if config.generation != 1:
        raise MisuseError("expected the configuration of the first log")
    directory = root / str(number)
    return msgspec.structs.replace(config, generation=number, state=directory, key=directory / KEY)


def newest(config: Config) -> Config:
    """The configuration of the log that goes on: the highest number that has a store."""
    begun = [number for number, path in _directories(config) if (path / schema.DATABASE).is_file()]
    return of(config, max(begun, default=1))


def choose(config: Config, number: int | None) -> Config:
    """One log by its number, or the newest; MisuseError where there is none of that number."""
    if number is None:
        return newest(config)
    if number != 1 and not (config.state / str(number) / schema.DATABASE).is_file():
        raise MisuseError(f"{config.state}: there is no log number {number}; `status` shows the newest")
    return of(config, number)


def before(first: Config, here: Config) -> Config | None:
    """The log that `here` succeeds; None for the first."""
    if here.generation == 1:
        return None
    said = succession.parse_unverified(read_file(here.state / NOTE))
    return of(first, succession.generation(said.old_origin)[1])


def notes(first: Config, here: Config) -> list[bytes]:
    """The notes that lead from the first log to this one, in order."""
    found: list[bytes] = []
    while (earlier := before(first, here)) is not None:
        found.insert(0, read_file(here.state / NOTE))
        here = earlier
    return found


def prepare(
    first: Config, here: Config, log: LogView, last: bytes, least: int, random: Callable[[int], bytes]
) -> Offer:
    """Make a successor of `here` ready, or find the one that was; durable when this returns.

    first: the configuration of the first log. last: the collector's checkpoint that `log` does not contain. least: the
    least number that the collector has free.
    """
    signer = keys.load(here.key, here.origin)
    taken = dict(_directories(first))
    number = max(here.generation + 1, least)
    while number in taken and not _is_candidate(taken[number], here.origin):
        number += 1
    directory = first.state / str(number)
    note = read_file(directory / NOTE) if number in taken and (directory / NOTE).is_file() else None
    return Offer(note or _make(directory, number, first, signer, log, random), _contradiction(signer, log, last))


def _make(
    directory: Path, number: int, first: Config, signer: Ed25519Signer, log: LogView, random: Callable[[int], bytes]
) -> bytes:
    data = log.checkpoint()
    if data is None:
        raise MisuseError(f"{signer.name}: an empty log has no successor")
    head, _ = parse_unverified(data)
    directory.mkdir(parents=True, exist_ok=True)
    origin = gateway_origin(first.provider, first.gateway, number)
    path = directory / KEY
    key = keys.load(path, origin) if path.is_file() else keys.create(path, origin, random(32))
    said = succession.Succession(signer.name, head.size, head.root, str(key.vkey))
    note = succession.sign_succession(said, signer)
    write_file(directory / NOTE, note)
    _sync(first.state)
    return note


def _contradiction(signer: Ed25519Signer, log: LogView, last: bytes) -> bytes | None:
    """Our own head at the size of the collector's, where our log is that long: two roots at one size, both signed.

    Where it is shorter the collector has our head already: it was the question, and it compares that with its own.
    """
    size = parse_unverified(last)[0].size
    root = log.root_at(size)
    if root is None:
        return None
    return witness.encode_request(0, [], sign_checkpoint(Checkpoint(signer.name, size, root), signer))


def _is_candidate(path: Path, origin: str) -> bool:
    if (path / schema.DATABASE).exists():
        return False
    if not (path / NOTE).is_file():
        return True  # a kill came between its key and its note
    return succession.parse_unverified(read_file(path / NOTE)).old_origin == origin


def _directories(config: Config) -> list[tuple[int, Path]]:
    root = config.state if config.generation == 1 else config.state.parent
    found = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    numbers = [(path.name, path) for path in found if path.name.isascii() and path.name.isdecimal()]
    return sorted((int(name), path) for name, path in numbers if name[0] != "0" and int(name) > 1)


def mark_carried(config: Config) -> None:
    """Everything was carried over and is durable."""
    write_file(config.state / CARRIED, b"")


def is_carried(config: Config) -> bool:
    """Whether nothing is left to be carried over."""
    return config.generation == 1 or (config.state / CARRIED).exists()


def read_file(path: Path) -> bytes:
    """The bytes of a file; MisuseError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path}: cannot be read: {error.strerror}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; durable when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
