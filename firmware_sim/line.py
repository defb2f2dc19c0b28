"""Ports on this machine that devices and captures are played on: pseudo-terminals and TCP servers.

A write never waits. What nobody reads is lost, as on a real serial line whose host is not there or too slow; the line
counts the lost bytes. All calls come from one thread.
"""

import contextlib
import errno
import fcntl
import os
import re
import select
import socket
import struct
import termios
import tty
from pathlib import Path
from typing import Protocol

from firmware_sim.errors import PortError

_READ = 4096
_DATA = bytes([termios.TIOCPKT_DATA])
_SIOCOUTQ = 0x5411

_SETTLE_S = 0.25  # a host that has flushed a port may do so again
_FLUSH_S = 2.0  # a host that opens a terminal may flush it, and a busy machine lets it wait with that: pyserial does


class Line(Protocol):
    """One port, open or not."""

    lost: int
    """Bytes that were written and that nobody could have read."""

    def open(self) -> None:
        """Make the port appear; raises PortError."""
        ...

    def close(self) -> None:
        """Make the port go away; a reader sees a hang-up."""
        ...

    def url(self) -> str:
        """The port's name as a scenario writes it, with the real number where it was 0."""
        ...

    def connected(self) -> bool:
        """Whether a host has the port open."""
        ...

    def write(self, data: bytes) -> int:
        """Write as much as fits and return how much that was; the caller says what becomes of the rest."""
        ...

    def read(self) -> bytes:
        """What the host has sent, or nothing."""
        ...

    def pending(self) -> int:
        """Bytes written that the host has not taken yet; 0 without a host."""
        ...

    def flushes(self) -> int:
        """How often the host has thrown away what it found, as far as that can be seen."""
        ...

    def patience_s(self) -> float:
        """How long after the opening, or the last flush, no further flush is to be expected."""
        ...


class PtyLine:
    """A pseudo-terminal in raw mode under a symbolic link whose path stays the same.

    Only the master side is held open, so that a hang-up on it tells whether a host has opened the other side. It is in
    packet mode (tty_ioctl(4), TIOCPKT), which tells of the host's flushes: a read gives a byte 0 and then data, or one
    byte that says what the host has done.

    Args:
        path: where the link is.
        by_id: another link, to the first, that names the device and not the port.
    """

    def __init__(self, path: str, by_id: str | None = None) -> None:
        self.lost = 0
        self._path = Path(path)
        self._by_id = None if by_id is None else Path(by_id)
        self._master = -1
        self._slave_name = ""
        self._stale = False
        self._flushes = 0

    def open(self) -> None:
        """See `Line.open`. An existing link is replaced; anything else of that name is left alone."""
        if self._master >= 0:
            return
        links = [self._path] if self._by_id is None else [self._path, self._by_id]
        for link in links:
            if link.exists() and not link.is_symlink():
                raise PortError(f"{link} exists and is not a link to a terminal")
        self._master, slave = os.openpty()
        self._slave_name = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        os.set_blocking(self._master, False)
        self._flushes = 0
        targets: tuple[str | Path, ...] = (self._slave_name, self._path.absolute())
        for link, target in zip(links, targets, strict=False):
            try:
                _link(link, target)
            except OSError as error:
                self.close()
                raise PortError(f"cannot make {link}: {error.strerror}") from error

    def close(self) -> None:
        """See `Line.close`. The links go first, so that nobody opens a terminal that is about to die."""
        if self._master < 0:
            return
        if self._by_id is not None:
            _unlink(self._by_id, self._path.absolute())
        _unlink(self._path, self._slave_name)
        os.close(self._master)
        self._master = -1

    def url(self) -> str:
        """See `Line.url`."""
        return f"pty:{self._path}"

    def connected(self) -> bool:
        """See `Line.connected`."""
        if self._master < 0:
            return False
        if _happened(self._master, select.POLLHUP):
            self._forget()
            return False
        return True

    def write(self, data: bytes) -> int:
        """See `Line.write`."""
        if not data or not self.connected():
            return 0
        with contextlib.suppress(BlockingIOError):
            written = os.write(self._master, data)
            self._stale = True
            return written
        return 0

    def read(self) -> bytes:
        """See `Line.read`."""
        if self._master < 0:
            return b""
        try:
            packet = os.read(self._master, _READ)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EIO}:
                return b""
            raise
        if packet[:1] == _DATA:
            return packet[1:]
        self._flushes += packet[0] & termios.TIOCPKT_FLUSHREAD
        return b""

    def flushes(self) -> int:
        """See `Line.flushes`. What the host did comes before what it sent, so no data is read here."""
        if self._master >= 0 and _happened(self._master, select.POLLPRI):
            self.read()
        return self._flushes

    def patience_s(self) -> float:
        """See `Line.patience_s`."""
        return _SETTLE_S if self._flushes else _FLUSH_S

    def pending(self) -> int:
        """See `Line.pending`."""
        if not self.connected():
            return 0
        try:
            slave = self._open_slave()
        except OSError:
            # The host has taken the terminal for itself alone; then there is no way to know.
            return 0
        try:
            # What was written a moment ago may not have come to the terminal yet; a poll there waits for that (n_tty).
            _happened(slave, select.POLLIN)
            return _ioctl_int(slave, termios.FIONREAD)
        finally:
            os.close(slave)

    def _open_slave(self) -> int:
        return os.open(self._slave_name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def _forget(self) -> None:
        """A real port that is opened anew does not deliver what its last user left unread."""
        if self._stale:
            slave = self._open_slave()
            with contextlib.suppress(OSError):
                termios.tcflush(slave, termios.TCIFLUSH)
            os.close(slave)
            self.flushes()  # that one was not the host's
            self._stale = False
        self._flushes = 0


def _link(link: Path, target: str | Path) -> None:
    """Make or replace a link in one step, so that it is never missing in between."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _unlink(link: Path, target: str | Path) -> None:
    """Remove a link that still leads to its target; one that somebody else has put there stays."""
    with contextlib.suppress(OSError):
        if link.readlink() == Path(target):
            link.unlink()


class TcpLine:
    """A TCP server like a serial device server: one client at a time, a second one is turned away."""

    def __init__(self, host: str, port: int) -> None:
        self.lost = 0
        self._host = host
        self._port = port
        self._server: socket.socket | None = None
        self._client: socket.socket | None = None

    def open(self) -> None:
        """See `Line.open`. After the first time the number stays the same, also where it was 0."""
        if self._server is not None:
            return
        try:
            self._server = socket.create_server((self._host, self._port), backlog=4)
        except (OSError, OverflowError) as error:
            raise PortError(f"cannot listen on {self._host}:{self._port}: {error}") from error
        self._server.setblocking(False)
        self._port = self._server.getsockname()[1]

    def close(self) -> None:
        """See `Line.close`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._drop()

    def url(self) -> str:
        """See `Line.url`."""
        return f"tcp://{self._host}:{self._port}"

    def connected(self) -> bool:
        """See `Line.connected`."""
        self._accept()
        return self._client is not None

    def write(self, data: bytes) -> int:
        """See `Line.write`."""
        self._accept()
        if self._client is None or not data:
            return 0
        try:
            return self._client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop()
            return 0

    def read(self) -> bytes:
        """See `Line.read`."""
        data = b""
        if self._client is not None:
            try:
                data = self._client.recv(_READ)
                if not data:
                    self._drop()
            except BlockingIOError:
                pass
            except OSError:
                self._drop()
        self._accept()
        return data

    def pending(self) -> int:
        """See `Line.pending`: what the other side's system has not acknowledged; the rest survives a close."""
        return 0 if self._client is None else _ioctl_int(self._client.fileno(), _SIOCOUTQ)

    def flushes(self) -> int:
        """See `Line.flushes`: a socket does not tell."""
        return 0

    def patience_s(self) -> float:
        """See `Line.patience_s`."""
        return _SETTLE_S

    def _accept(self) -> None:
        while self._server is not None:
            try:
                client, _ = self._server.accept()
            except BlockingIOError:
                return
            except OSError:
                continue
            if self._client is not None:
                client.close()
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client

    def _drop(self) -> None:
        if self._client is not None:
            # Unread input would turn the close into a reset, which throws away what the client has still to read.
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_WR)
                while self._client.recv(_READ):
                    pass
            self._client.close()
            self._client = None


def _happened(descriptor: int, event: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return any(found & event for _, found in poll.poll(0))


def _ioctl_int(descriptor: int, request: int) -> int:
    (value,) = struct.unpack("i", fcntl.ioctl(descriptor, request, b"\0\0\0\0"))
    return int(value)


def make_line(port: str, by_id: str | None = None) -> Line:
    """A closed line for ``pty:PATH`` or ``tcp://HOST:PORT``; raises PortError for anything else.

    `by_id` is a link of a terminal's, see `PtyLine`; a TCP port has none.
    """
    if port.startswith("pty:") and len(port) > len("pty:"):
        return PtyLine(port.removeprefix("pty:"), by_id)
    if match := re.fullmatch(r"tcp://([^/:]+):(\d{1,5})", port):
        return TcpLine(match[1], int(match[2]))
    raise PortError(f"a port is pty:PATH or tcp://HOST:PORT, not {port!r}")
