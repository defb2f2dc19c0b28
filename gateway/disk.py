"""When the disk fills: a warning, an orderly end of the intake, and its return.

    more than 80 % used      low: a Disk entry and a warning; over at 78 %
    less than `min_free`     full: a Disk entry, and the lines stop taking: each chain gets a signed gap
    1/4 more than that       and room for the reserve again: the intake goes on; a gap counts what was not kept

Free is what the file system has, with the pages that pruning has freed inside the store, as long as there is room for
its write-ahead log. So an intake that stopped resumes when somebody makes room, or when receipts come and retention
lets bodies go. Nothing that has no receipt is ever deleted for it.

The *reserve* is a file of real blocks in the state directory. It is deleted when the disk is full, so that the entries
that say so, and a start in that state, find room even where other programs took the last byte; and made again after.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vitaledger.events import Disk

LOW, LOW_OVER = 0.80, 0.78
RESERVE = 4 * 1024 * 1024
RESERVE_NAME = "reserve"
_WAL = 16 * 1024 * 1024  # what the store's write-ahead log may need of the file system
FULL_DETAIL = "the disk is full"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the file system, and those inside the store's file that can be used again."""

    free: int
    total: int
    reusable: int = 0

    @property
    def available(self) -> int:
        """What the log can still grow by."""
        return self.free + (self.reusable if self.free >= _WAL else 0)

    @property
    def used(self) -> float:
        """The part of the file system that is used."""
        return 1 - self.free / self.total if self.total else 0.0


class DiskWatch:
    """Follows the disk: pure, and says each change once.

    >>> watch = DiskWatch(64)
    >>> [event.detail for free in (500, 150, 63, 70, 90) for event in watch.look(Space(free, 1000))]
    ['more than 80 % used', 'less than 64 bytes free: the intake stops', 'the intake goes on']
    >>> [event.detail for event in watch.look(Space(300, 1000))]
    ['at most 78 % used again']
    """

    def __init__(self, min_free: int, reserve: int = 0) -> None:
        self.low = self.full = False
        self._min_free, self._resume = min_free, min_free * 5 // 4 + reserve

    def look(self, space: Space) -> list[Disk]:
        """What changed since the last look; `low` and `full` are as of now."""
        told = []
        if not self.low and space.used > LOW:
            self.low = True
            told.append(f"more than {LOW:.0%} used".replace("%", " %"))
        if not self.full and space.available < self._min_free:
            self.full = True
            told.append(f"less than {self._min_free} bytes free: the intake stops")
        elif self.full and space.available >= self._resume:
            self.full = False
            told.append("the intake goes on")
        if self.low and not self.full and space.used <= LOW_OVER:
            self.low = False
            told.append(f"at most {LOW_OVER:.0%} used again".replace("%", " %"))
        return [Disk(space.free, space.total, detail) for detail in told]


class Reserve:
    """The file that is given up when the disk is full."""

    def __init__(self, directory: Path, size: int) -> None:
        self._path, self.size = directory / RESERVE_NAME, size

    def make(self) -> None:
        """Take the room; a disk that has none is for `DiskWatch` to tell."""
        try:
            if self._path.exists() and self._path.stat().st_size == self.size:
                return
            with self._path.open("wb") as file:
                file.write(bytes(self.size))  # of zeros that are written there are blocks on any file system
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            logger.warning("%s: no room for the reserve: %s", self._path, error.strerror)
            self.release()

    def release(self) -> None:
        """Give the room up."""
        self._path.unlink(missing_ok=True)


class DiskGuard:
    """Watches the file system of a state directory. `stopped` tells every line whether to take what comes."""

    def __init__(self, directory: Path, min_free: int) -> None:
        size = min(RESERVE, min_free)
        self._directory, self._min_free = directory, min_free
        self._watch, self._reserve = DiskWatch(min_free, size), Reserve(directory, size)
        self._last: list[Disk] = []

    @property
    def stopped(self) -> bool:
        """Whether the intake is stopped."""
        return self._watch.full

    @property
    def low(self) -> bool:
        """Whether the disk is nearly full."""
        return self._watch.low

    def begin(self) -> None:
        """Before the store is opened: make the reserve, or give it up where the disk is full already."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._reserve.make()
        self._last = self.look(lambda: 0)

    def look(self, reusable: Callable[[], int]) -> list[Disk]:
        """What changed, as entries; logged. `reusable`, see `Space`, is asked for where it matters."""
        told, self._last = self._last, []
        usage = shutil.disk_usage(self._directory)
        was = self._watch.full
        inside = reusable() if was or usage.free < self._min_free else 0
        told += self._watch.look(Space(usage.free, usage.total, inside))
        for event in told:
            log = logging.INFO if event.detail.endswith(("again", "on")) else logging.WARNING
            logger.log(log, "disk: %s (%d of %d bytes free)", event.detail, event.free, event.total)
        if self._watch.full and not was:
            self._reserve.release()
        elif was and not self._watch.full:
            self._reserve.make()
        return told


def describe(directory: Path, min_free: int, reusable: int, *, running: bool) -> tuple[str, int]:
    """For `status`: "ok", "low" or "full …" as it is now, and the free bytes.

    A running gateway without its reserve has stopped the intake.
    """
    usage = shutil.disk_usage(directory)
    space = Space(usage.free, usage.total, reusable)
    if space.available < min_free or (running and not (directory / RESERVE_NAME).exists()):
        return "full: the intake is stopped", usage.free
    return ("low" if space.used > LOW else "ok"), usage.free
