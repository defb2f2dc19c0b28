"""Ports: whether they are there, by a name that stays, and whether we may open them.

None is opened: that could set lines that a device listens to, and take the port from a gateway that runs.
"""

import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import PortConfig
from gateway.drivers.load import load
from vitaledger.cli.doctor import Report, machine
from vitaledger.errors import VitaledgerError

BY_ID = Path("/dev/serial/by-id")
TCP_S = 2.0
_UNSTABLE = ("ttyUSB", "ttyACM")


def check_ports(report: Report, ports: Sequence[PortConfig], *, running: bool, by_id: Path = BY_ID) -> None:
    """Look at each port of the configuration."""
    if not ports:
        report.warn("ports", "the configuration names none", "add a [[port]] for each line to a device")
    for port in ports:
        name = f"port {port.name}"
        if _driver(report, name, port):
            if "://" in port.device:
                _url(report, name, port.device, running=running)
            else:
                _device(report, name, Path(port.device), by_id)


def _driver(report: Report, name: str, port: PortConfig) -> bool:
    if port.driver is None:
        report.error(name, "no driver is named", 'add driver = "…": `run` refuses a port without one')
        return False
    try:
        load(port.driver)(may_send=port.sends, options=port.options)
    except VitaledgerError as error:
        report.error(name, str(error), "correct driver or [port.options]")
        return False
    return True


def _device(report: Report, name: str, device: Path, by_id: Path) -> None:
    try:
        found = device.stat()
    except OSError as error:
        there = sorted(each.name for each in by_id.iterdir()) if by_id.is_dir() else []
        advice = f"there are now, in {by_id}: {', '.join(there)}" if there else "is it plugged in and switched on?"
        report.error(name, f"{device}: {error.strerror}", advice)
        return
    if not stat.S_ISCHR(found.st_mode):
        report.error(name, f"{device} is no serial port", "name the device file")
        return
    if not os.access(device, os.R_OK | os.W_OK):
        group, user = machine.group_name(found.st_gid), machine.user_name()
        advice = f"usermod --append --groups {group} {user}, then start the service again"
        report.error(name, f"{device}: {user} may not open it, the group {group} may", advice)
        return
    if device.name.startswith(_UNSTABLE):
        stable = _stable_name(device, by_id)
        advice = f'write device = "{stable}"' if stable else f"look for a name in {by_id}; a USB hub can be a help"
        report.warn(name, f"{device} is another port after other devices are plugged", advice)
        return
    target = device.resolve()
    report.ok(name, f"{device}" + (f" is {target} now" if target != device else "") + "; we may open it")


def _stable_name(device: Path, by_id: Path) -> Path | None:
    target = device.resolve()
    names = sorted(by_id.iterdir()) if by_id.is_dir() else []
    return next((each for each in names if each.resolve() == target), None)


def _url(report: Report, name: str, url: str, *, running: bool) -> None:
    """A terminal server often takes one client only: it is left alone while a gateway has the line."""
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if scheme not in {"socket", "rfc2217"}:
        report.ok(name, f"{scheme}:// is for pyserial to open; not looked at")
    elif host is None or port is None:
        report.error(name, f"{scheme}://…: expected HOST:PORT", 'as device = "socket://10.20.30.40:4001"')
    elif running:
        report.ok(name, f"{host}:{port}: the running gateway has it; not looked at")
    else:
        try:
            socket.create_connection((host, port), TCP_S).close()
        except OSError as error:
            why = error.strerror or "no answer"
            report.error(name, f"{host}:{port}: {why}", "is the terminal server on, and its port set to raw mode?")
        else:
            report.ok(name, f"{host}:{port} takes a connection")
