"""What both programs ask of their machine: disk, clock, file rights, versions, other people's packages."""

import grp
import json
import os
import platform
import pwd
import shutil
import sqlite3
import stat
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import vitaledger
from vitaledger.cli.doctor import Report

OURS = ("vitaledger", "gateway", "collector", "firmware_sim")
SYNC_TRIES = 8
SYNC_WARNING_S, SYNC_ERROR_S = 0.2, 1.0  # both programs commit about once a second, and wait for the disk each time
USED_WARNING, USED_ERROR = 0.80, 0.95
BOUND_WARNING_MS = 1000
VERIFY_DAYS = 30
LAST_VERIFY = "last-verify.json"
_SQLITE = (3, 35, 0)
_PACKAGES = ("cryptography", "cbor2", "paho-mqtt", "pyserial", "msgspec", "starlette")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
GROUP_READS = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def versions(report: Report) -> None:
    """This program, Python, SQLite and the packages that matter."""
    found = [f"vitaledger {vitaledger.__version__}", f"Python {platform.python_version()}"]
    found.append(f"SQLite {sqlite3.sqlite_version}")
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    if sqlite3.sqlite_version_info < _SQLITE:
        report.error("versions", ", ".join(found), "SQLite 3.35 or newer is needed: take a newer system or Python")
    else:
        report.ok("versions", ", ".join(found))


def shadowed(report: Report, owners: Mapping[str, Sequence[str]] | None = None) -> None:
    """Whether another distribution ships a package of one of our names: which of the two runs is then chance.

    owners: distributions by top-level package, as importlib.metadata.packages_distributions().
    """
    owners = metadata.packages_distributions() if owners is None else owners
    home = Path(vitaledger.__file__).resolve().parent.parent
    wrong = []
    for name in OURS:
        others = sorted({each for each in owners.get(name, ()) if each.lower() != "vitaledger"})
        if others:
            wrong.append(f"{name} is shipped by {', '.join(others)}, too")
        spec = find_spec(name)
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if place is not None and home not in place.parents:
            wrong.append(f"{name} is taken from {place}, not from {home}")
    if wrong:
        advice = "install vitaledger into a virtual environment of its own, or remove the other distribution"
        report.error("packages", "; ".join(wrong), advice)
    else:
        report.ok("packages", f"{', '.join(OURS)} are ours alone, from {home}")


def state_directory(report: Report, state: Path) -> bool:
    """Rights on the directory of the store, and how long its disk takes to make a write durable; whether it is there.

    It writes a small file of its own there, and removes it.
    """
    if not state.is_dir():
        where = _existing(state)
        advice = "" if os.access(where, os.W_OK) else f"make it, owned by the user of the service: {state}"
        say = report.warn if advice else report.ok
        say("state", f"{state}: not there yet; the first start makes it", advice)
        _sync(report, where)
        return False
    found = state.stat()
    owner = _user(found.st_uid)
    text = f"{state}: of {owner}, mode {stat.S_IMODE(found.st_mode):04o}"
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        report.error("state", f"{text}; {_user(os.geteuid())} may not write there", f"run this as {owner}")
    elif os.geteuid() == 0 and found.st_uid != 0:
        report.warn("state", f"{text}; looked at as root, who may do everything", f"run this as {owner}")
    elif found.st_mode & stat.S_IWOTH:
        report.error("state", f"{text}: anyone may write there", f"chmod 700 {state}")
    else:
        report.ok("state", text)
    _sync(report, state)
    return True


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.is_dir())


def _sync(report: Report, directory: Path) -> None:
    advice = "a commit waits for this: take another disk, or a card made for constant writing"
    try:
        times = sync_times(directory)
    except OSError as error:
        report.error("disk", f"{directory}: cannot be written: {error.strerror}", "run this as the service's user")
        return
    middle, worst = statistics.median(times), max(times)
    text = f"fsync takes {middle * 1000:.1f} ms, at worst {worst * 1000:.1f} ms of {len(times)}"
    if worst >= SYNC_ERROR_S:
        report.error("disk", text, advice)
    elif worst >= SYNC_WARNING_S:
        report.warn("disk", text, advice)
    else:
        report.ok("disk", text)


def sync_times(directory: Path, tries: int = SYNC_TRIES) -> list[float]:
    """Seconds that writing 4 KiB and fsync take, measured in a directory."""
    path = directory / f".doctor-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    times = []
    try:
        for _ in range(tries):
            began = time.monotonic()
            os.write(descriptor, bytes(4096))
            os.fsync(descriptor)
            times.append(time.monotonic() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return times


def space(report: Report, directory: Path) -> None:
    """Free space, and inodes where the file system counts them."""
    where = _existing(directory)
    usage = shutil.disk_usage(where)
    used = 1 - usage.free / usage.total if usage.total else 0.0
    inodes = os.statvfs(where)
    text = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free"
    if inodes.f_files:
        used = max(used, 1 - inodes.f_favail / inodes.f_files)
        text += f", {inodes.f_favail} inodes"
    advice = "make room: what is not yet under a receipt is never deleted, and intake stops when the disk is full"
    if used >= USED_ERROR:
        report.error("space", f"{text}: {used:.0%} used", advice)
    elif used >= USED_WARNING:
        report.warn("space", f"{text}: {used:.0%} used", advice)
    else:
        report.ok("space", text)


def clock(report: Report, bound_ms: int | None, now: float, oldest: float) -> None:
    """The wall clock: whether something keeps it right and how well; `oldest` is a time that is surely past."""
    shown = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    if now < oldest:
        past = datetime.fromtimestamp(oldest, UTC).isoformat(timespec="seconds")
        report.error("clock", f"it says {shown}, and {past} is past", "set it, and install chrony: it keeps it right")
    elif bound_ms is None:
        advice = "install chrony or turn systemd-timesyncd on; until then times are marked as not synchronised"
        report.warn("clock", f"{shown}: the kernel's clock is not synchronised", advice)
    elif bound_ms > BOUND_WARNING_MS:
        report.warn("clock", f"{shown}, right to ±{bound_ms} ms", "is the time server reached? `chronyc tracking`")
    else:
        report.ok("clock", f"{shown}, right to ±{bound_ms} ms")


def secret_file(report: Report, name: str, path: Path, others: int = _OTHERS) -> bool:
    """Whether a file with a secret is there, can be read by us and by nobody else; its content is not looked at.

    others: the rights that nobody else may have; `GROUP_READS` lets the file's group read it.
    """
    try:
        found = path.stat()
    except OSError as error:
        report.error(name, f"{path}: {error.strerror}", "name the file in the configuration, or put it there")
        return False
    text = f"{path}: of {_user(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"
    if not os.access(path, os.R_OK):
        report.error(name, f"{text}; {_user(os.geteuid())} may not read it", "give it to the service's user: chown")
        return False
    if found.st_mode & others:
        report.error(name, f"{text}: others can read or change it", f"chmod 600 {path}")
        return False
    report.ok(name, text)
    return True


def remember_verify(state: Path, *, ok: bool, size: int, now: float) -> None:
    """Note that `verify` ran, for the next visit; where the directory cannot be written, nothing is noted."""
    path = state / LAST_VERIFY
    draft = path.with_name(f".{LAST_VERIFY}.{os.getpid()}")
    try:
        draft.write_text(json.dumps({"at": round(now), "ok": ok, "size": size}), "ascii")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)


def last_verify(report: Report, state: Path, command: str, now: float) -> None:
    """When everything that is stored was checked last, and what came of it."""
    try:
        found = json.loads((state / LAST_VERIFY).read_text("ascii"))
        at, good, size = int(found["at"]), bool(found["ok"]), int(found["size"])
    except (OSError, ValueError, KeyError, TypeError):
        report.ok("verify", "the whole store was not verified yet", f"{command} does it, also while it runs")
        return
    days = (now - at) / 86_400
    text = f"{size} entries were verified {days:.0f} days ago" if days >= 1 else f"{size} entries were verified today"
    if not good:
        report.error("verify", f"{text}, and something did not hold", f"{command} says what; keep the disk as it is")
    elif days > VERIFY_DAYS:
        report.warn("verify", text, f"{command} from time to time finds a failing disk early")
    else:
        report.ok("verify", text)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    """The name of a group, or its number."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def user_name() -> str:
    """Who we are."""
    return _user(os.geteuid())
