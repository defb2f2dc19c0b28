"""A serial line: a real port, a pseudo-terminal or a TCP socket, opened by pyserial and read without losing a byte.

    /dev/serial/by-id/usb-…    a stable name; links are followed anew at each opening
    /dev/ttyS0, /dev/pts/7     any terminal
    socket://HOST:PORT         a terminal server in raw mode
    rfc2217://HOST:PORT        and whatever else pyserial's `serial_for_url` knows

pyserial opens and sets the line. It does not read where that can be avoided, because of three habits that cost bytes:
a read that meets the end of the line throws away what it had read before; on sockets `in_waiting` is 0 or 1; and
opening a socket throws away what has come already.
"""

import os
import select
import socket
from types import TracebackType
from typing import Any, Self

import serial
from serial.urlhandler import protocol_socket

from gateway.drivers.api import LineSettings

READ_SIZE = 4096
WRITE_TIMEOUT_S = 1.0


class LineGoneError(Exception):
    """The line cannot be opened, or is gone: pulled, switched off, closed by the other side. Says why."""


class _Socket(protocol_socket.Serial):  # type: ignore[misc]
    """A TCP line that keeps what came while it was opened, and notices a peer that vanished without a word."""

    def reset_input_buffer(self) -> None:
        """Nothing: on a new connection there is nothing stale."""

    def open(self) -> None:
        super().open()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Port:
    """An open line. For one thread; `close` may be called twice.

    Raises:
        LineGoneError: it cannot be opened, or another process has it.
    """

    def __init__(self, device: str, settings: LineSettings) -> None:
        self.device = device
        try:
            self._port = _open(device, settings)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise LineGoneError(_reason(error)) from error
        self._fd = _fileno(self._port)

    def read(self, timeout_s: float) -> bytes:
        """What has come, at most 4096 bytes; waits `timeout_s` for the first of it. b"" where nothing came.

        Raises:
            LineGoneError: the line is gone. What came before was returned by the calls before.
        """
        try:
            if self._fd is None:
                self._port.timeout = timeout_s
                return bytes(self._port.read(max(1, min(READ_SIZE, self._port.in_waiting))))
            ready = select.select([self._fd], [], [], timeout_s)[0]
        except (OSError, ValueError) as error:
            raise LineGoneError(_reason(error)) from error
        return self.take() if ready else b""

    @property
    def can_be_waited_for(self) -> bool:
        """Whether `fileno` and `take` work: many such lines can be waited for at once."""
        return self._fd is not None

    def fileno(self) -> int:
        """The number by which the system can be asked whether anything has come.

        Raises:
            ValueError: there is none.
        """
        if self._fd is None:
            raise ValueError(f"{self.device}: it cannot be waited for")
        return self._fd

    def take(self) -> bytes:
        """What has come, at most 4096 bytes, of a line of which the system has said that something has. Never waits.

        Raises:
            LineGoneError: the line is gone. What came before was returned by the calls before.
        """
        try:
            data = os.read(self.fileno(), READ_SIZE)
        except BlockingIOError:
            return b""
        except (OSError, ValueError) as error:
            raise LineGoneError(_reason(error)) from error
        if not data:
            raise LineGoneError("the other side closed the line")
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            LineGoneError: the line is gone, or has taken nothing for a second.
        """
        try:
            self._port.write(data)
        except (OSError, ValueError) as error:
            raise LineGoneError(_reason(error)) from error

    def close(self) -> None:
        """Give the line up."""
        self._fd = None
        try:
            self._port.close()
        except OSError:
            return  # it went away: there is nothing left to give up

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(device: str, settings: LineSettings) -> Any:  # noqa: ANN401  (pyserial has no types)
    options: dict[str, Any] = {
        "baudrate": settings.baud,
        "bytesize": settings.bits,
        "parity": settings.parity,
        "stopbits": settings.stop,
        "timeout": 0,
        "write_timeout": WRITE_TIMEOUT_S,
    }
    if device.startswith("socket://"):
        return _Socket(device, **options)
    if "://" not in device:
        options["exclusive"] = True
    return serial.serial_for_url(device, **options)


def _fileno(port: Any) -> int | None:  # noqa: ANN401
    try:
        return int(port.fileno())
    except (AttributeError, OSError):
        return None  # loop://, rfc2217://: pyserial reads these with threads of its own


def _reason(error: Exception) -> str:
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return text or type(error).__name__


def is_there(device: str) -> bool | None:
    """Whether a local device exists; None where only opening tells (URLs)."""
    return None if "://" in device else os.path.exists(device)  # noqa: PTH110  a name, maybe a link, asked often


class Backoff:
    """How long to wait before a line is tried again: 0.2 s, doubled to 5 s; from the beginning once bytes came."""

    def __init__(self, least_s: float = 0.2, most_s: float = 5.0) -> None:
        self._least, self._most = least_s, most_s
        self._next = least_s

    def failed(self) -> float:
        """Seconds to wait now."""
        wait, self._next = self._next, min(self._most, self._next * 2)
        return wait

    def worked(self) -> None:
        """Bytes came."""
        self._next = self._least
