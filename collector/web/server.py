"""uvicorn in a thread of its own, on a socket that is bound before it starts, so that its port is known."""

import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from vitaledger.errors import MisuseError

MAX_CONNECTIONS = 128  # more are answered 503


class Server:
    """Serves from `start` to `stop`, which calls `ends` first. The socket is bound when it is made."""

    def __init__(self, app: ASGIApp, host: str, port: int, ends: Callable[[], None] = lambda: None) -> None:
        self._ends = ends
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        options = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(options)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread still serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way, and stop."""
        self._ends()
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(*found[:3])  # asyncio sets TCP_NODELAY where the protocol is told to be TCP only
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(MAX_CONNECTIONS)  # who comes while the pages still start waits, and is not refused
    except OSError as error:
        raise MisuseError(f"http {host}:{port}: cannot listen: {error.strerror}") from error
    return listening
