"""Calls of the network library that may hold their caller for longer than a watchdog waits."""

import socket
import threading
from collections.abc import Callable


def bounded(call: Callable[[], object], seconds: float) -> bool:
    """Make a call in a thread of its own; whether it came to its end in time. One that does not is left alone."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def resolves(host: str, port: int, seconds: float) -> bool | None:
    """Whether a host's name has an address; None where no answer came in time."""
    found: list[bool] = []

    def ask() -> None:
        try:
            found.append(bool(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError):
            found.append(False)

    bounded(ask, seconds)
    return found[0] if found else None
