"""Who has a gateway's store open: one process, which holds a lock on a file beside the database.

And what a store raises where the database or the lock refuses.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vitaledger.errors import MisuseError, VitaledgerError

LOCK = "lock"


class StoreError(VitaledgerError):
    """The database refused: disk full, an I/O error, a damaged file. Nothing of what was asked was stored."""


class StoreLockedError(MisuseError):
    """Another process has the store open."""


def take_lock(path: Path) -> IO[bytes]:
    """Lock the store in a directory until the file that is answered is closed, or this process ends.

    Raises:
        StoreLockedError: another process has it open.
    """
    file = (path / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreLockedError(f"{path}: another process has this store open") from error
    os.set_inheritable(file.fileno(), False)
    return file


def is_locked(path: Path) -> bool:
    """Whether a process has the store in this directory open."""
    try:
        file = (path / LOCK).open("rb")
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def translated() -> Iterator[None]:
    """What the database raises inside is a StoreError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(f"store: {error}") from error
