"""A layer under sqlite3 in which the n-th write, truncation, sync or deletion fails, before or after it took effect.

It wraps the methods of SQLite's own file layer in this process, so that the product's code runs unchanged above it.
"""

import ctypes
import sqlite3
from contextlib import contextmanager
from pathlib import Path

_POINTER, _INT, _INT64, _NAME = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
OK, FULL = 0, 13
ERRORS = {  # what SQLite's file layer answers for an errno
    ("write", "EIO"): 10 | 3 << 8,
    ("truncate", "EIO"): 10 | 6 << 8,
    ("sync", "EIO"): 10 | 4 << 8,
    ("delete", "EIO"): 10 | 10 << 8,
}
MODES = ("before", "after", "half")


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", _INT),
        *((name, _POINTER) for name in ("close", "read", "write", "truncate", "sync")),
        *((f"rest{n}", _POINTER) for n in range(13)),
    ]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", _INT),
        ("file_size", _INT),
        ("max_path", _INT),
        ("next", _POINTER),
        ("name", _NAME),
        ("data", _POINTER),
        ("open", _POINTER),
        ("delete", _POINTER),
    ]


_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, ctypes.POINTER(_File), _INT, _POINTER)
_DELETE = ctypes.CFUNCTYPE(_INT, _POINTER, _NAME, _INT)
_WRITE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _INT64)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _INT64)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


class Faults:
    """Counts what reaches the disk; operation `at` fails, and all after it where `on` is set."""

    def __init__(self):
        self.count, self.at, self.mode, self.error, self.on = 0, None, "before", "EIO", False
        self.hit = 0

    def arm(self, at, mode, error, on=False):
        self.count, self.at, self.mode, self.error, self.on, self.hit = 0, at, mode, error, on, 0

    def disarm(self):
        self.count, self.at = 0, None

    def do(self, what, act, half=None):
        self.count += 1
        failing = self.at is not None and (self.count - 1 == self.at or (self.on and self.count > self.at))
        if not failing:
            return act()
        self.hit += 1
        if self.mode == "after":
            act()
        elif self.mode == "half" and half is not None:
            half()
        return FULL if self.error == "ENOSPC" and what != "delete" else ERRORS[what, "EIO"]


def library():
    """The library that the sqlite3 module runs on; None where it is not shared, so that nothing can be put under it."""
    try:
        maps = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    loaded = {line.split()[-1] for line in maps if "libsqlite3" in line}
    if not loaded:
        return None
    found = ctypes.CDLL(min(loaded))
    found.sqlite3_libversion.restype = _NAME
    return found if found.sqlite3_libversion().decode() == sqlite3.sqlite_version else None


@contextmanager
def faults():
    """The layer, for as long as the block runs; for one test at a time."""
    lib = library()
    lib.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = lib.sqlite3_vfs_find(None).contents
    layer, made = Faults(), {}
    old_open, old_delete = vfs.open, vfs.delete

    def methods_of(original):
        address = ctypes.addressof(original)
        if address not in made:
            copy = _Methods.from_buffer_copy(original)
            write, truncate, sync = _WRITE(original.write), _TRUNCATE(original.truncate), _SYNC(original.sync)

            def do_write(file, data, size, at):
                return layer.do(
                    "write", lambda: write(file, data, size, at), lambda: write(file, data, max(1, size // 2), at)
                )

            callbacks = (
                _WRITE(do_write),
                _TRUNCATE(lambda file, size: layer.do("truncate", lambda: truncate(file, size))),
                _SYNC(lambda file, flags: layer.do("sync", lambda: sync(file, flags))),
            )
            for name, callback in zip(("write", "truncate", "sync"), callbacks, strict=True):
                setattr(copy, name, ctypes.cast(callback, _POINTER).value)
            made[address] = (copy, callbacks)
        return made[address][0]

    def do_open(self, name, file, flags, out):
        done = _OPEN(old_open)(self, name, file, flags, out)
        if done == OK and file.contents.methods:
            file.contents.methods = ctypes.pointer(methods_of(file.contents.methods.contents))
        return done

    opener = _OPEN(do_open)
    deleter = _DELETE(lambda self, name, sync: layer.do("delete", lambda: _DELETE(old_delete)(self, name, sync)))
    vfs.open = ctypes.cast(opener, _POINTER).value
    vfs.delete = ctypes.cast(deleter, _POINTER).value
    try:
        yield layer
    finally:
        vfs.open, vfs.delete = old_open, old_delete
