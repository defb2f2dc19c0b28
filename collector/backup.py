"""A copy of the store while the collector runs, verified before it counts; and the way back.

    FILE        the store, a SQLite file like the one that it is a copy of: `verify_store` reads it where it lies
    FILE.key    the ledger's key, mode 0600, only where it was asked for (`with_key`)

The copy is of one moment: SQLite writes it out of one read transaction, beside which the collector goes on. It is made
under another name, made durable, verified as a whole, and then linked to its name, which must be free.

`restore` puts a copy into a state directory in which there is nothing but, at most, the ledger's key: that of a ledger
that goes on in the place of another into the directory of its number. **A restored collector has forgotten what came
after the copy.** Gateways show the newest head of the ledger that they have; where the copy does not contain it, the
collector never signs that ledger again and goes on as the next. Restore only where the newer store is lost.
"""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from collector import keys
from collector.config import Config
from collector.reader import Reader
from collector.store import Store
from collector.verify import Progress, Report, verify_store
from vitaledger import succession
from vitaledger.errors import MisuseError, VerificationError
from vitaledger.keys import parse_vkey

KEY_SUFFIX = ".key"


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was verified: where, what is in it, and where its key is, if it has one."""

    path: Path
    report: Report
    key: Path | None

    @property
    def key_place(self) -> Path:
        """Where a restored store expects its key."""
        return self.path.with_name(keys.FILE_NAME)


def backup(config: Config, target: Path, vkey: str, *, with_key: bool, progress: Progress | None = None) -> Copied:
    """Copy the store to `target`; when this returns the copy is durable and everything in it holds.

    Raises:
        MisuseError: `target` is there already, its directory is not, or the key cannot be read; nothing was left.
        VerificationError: the copy does not hold, so the store may not; nothing was left.
    """
    key = _beside(target) if with_key else None
    for taken in filter(None, (target, key)):
        if taken.exists():
            raise MisuseError(f"{taken} is there already: nothing was changed")
    secret = _secret(config) if with_key else None
    with _draft(target) as draft, _refused(target):
        with Reader.open(config.store_path) as reader:
            _copy(reader, draft)
        report = _verified(draft, vkey, progress)
        if key is not None and secret is not None:
            _write(key, secret)
        try:
            os.link(draft, target)
        except OSError:
            if key is not None:
                key.unlink(missing_ok=True)
            raise
    return Copied(target, report, key)


def restore(config: Config, source: Path, vkey: str | None, *, progress: Progress | None = None) -> Copied:
    """Put a copy into the configuration's empty state directory, with its key where there is one beside it.

    vkey: the ledger's pinned key; None: that of the key file, or else what the copy says itself.

    Raises:
        MisuseError: the directory is not empty, or the copy is of another provider or key; nothing was changed.
        VerificationError: the copy does not hold; nothing was changed.
    """
    with Reader.open(source) as reader:
        provider, said = reader.provider(), reader.ledger_vkey()
    if provider != config.provider:
        raise MisuseError(f"{source} is of {provider}, the configuration of {config.provider}: nothing was changed")
    config = replace(config, generation=succession.generation(parse_vkey(said).name)[1])
    state = config.state_dir
    kept = {config.key_path, *config.key_path.parents}
    found = sorted(each.name for each in state.rglob("*") if each not in kept)
    if found:
        raise MisuseError(f"{state} is not empty ({', '.join(found[:5])}): nothing was changed")
    key = _beside(source)
    own = next((each for each in (config.key_path, key) if each.is_file()), None)
    pinned = vkey or (said if own is None else str(keys.load(own, config.ledger_origin).vkey))
    if pinned != said:
        raise MisuseError(f"{source} is of the key {said}, expected {pinned}: nothing was changed")
    for directory in (state, config.ledger_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(config.store_path) as draft, _refused(config.store_path):
        shutil.copyfile(source, draft)
        with Store.open(draft) as store:  # brings a copy of an older version up
            store.checkpoint_file()
        _sync(draft)
        report = _verified(draft, pinned, progress)
        if own == key:
            _write(config.key_path, key.read_bytes())
        os.link(draft, config.store_path)
    return Copied(config.store_path, report, config.key_path if config.key_path.is_file() else None)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + KEY_SUFFIX)


def _secret(config: Config) -> bytes:
    keys.load(config.key_path, config.ledger_origin)  # says what is wrong with it
    return config.key_path.read_bytes()


def _copy(reader: Reader, draft: Path) -> None:
    """VACUUM INTO: one read transaction, and a whole file without a log beside it."""
    if not draft.parent.is_dir():
        raise MisuseError(f"{draft.parent}: no such directory")
    try:
        reader.copy_to(draft)
    except sqlite3.DatabaseError as error:
        raise VerificationError(f"the store cannot be copied: {error}; `verify` says more") from error
    _sync(draft)


def _verified(draft: Path, vkey: str, progress: Progress | None) -> Report:
    report = verify_store(draft, vkey, progress=progress)
    if not report.ok:
        raise VerificationError(f"the copy does not hold, and is not kept: {report.failures[0]}")
    return report


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A name beside the target's, for us alone; gone at the end."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
        if target.parent.is_dir():
            _sync(target.parent)


@contextmanager
def _refused(target: Path) -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    except FileExistsError as error:
        raise MisuseError(f"{error.filename2 or error.filename} is there already: nothing was changed") from error
    except OSError as error:
        raise MisuseError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        os.umask(before)


def _write(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
