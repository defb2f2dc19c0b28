"""Between the process and whoever supervises it: signals that stop it, and sd_notify(3) in a few lines."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def notify(state: str) -> None:
    """Send `state`, as ``READY=1`` or ``WATCHDOG=1``, to the socket that NOTIFY_SOCKET names.

    Nobody listening is no reason to fail: the supervisor would see that by itself.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        try:
            to.connect("\0" + address[1:] if address.startswith("@") else address)
            to.send(state.encode())
        except OSError:
            return


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set `stop`. Only the main thread may set handlers; elsewhere the caller has `stop`."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
