"""A TCP line between gateway and broker that can be cut or black-holed, as networks do."""

import contextlib
import selectors
import socket
import threading
from enum import Enum


class Mode(Enum):
    """What happens to bytes."""

    PASS = "pass"
    REFUSE = "refuse"  # connections are closed as they come
    SWALLOW = "swallow"  # connections stand and nothing arrives


class Proxy:
    """Listens on a free port of this machine and passes on to `target`; one thread, started at once."""

    def __init__(self, target: int) -> None:
        self.mode = Mode.PASS
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._stopping = False
        self._cutting = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Close every connection that stands."""
        self._cutting.set()

    def close(self) -> None:
        """Stop listening and close everything."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            if self._cutting.is_set():
                self._cutting.clear()
                for sock in list(self._peers):
                    self._drop(sock)
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._pass(key.fileobj)
        for sock in list(self._peers):
            self._drop(sock)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self.mode is Mode.REFUSE:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            near.close()
            return
        for sock, other in ((near, far), (far, near)):
            self._peers[sock] = other
            self._selector.register(sock, selectors.EVENT_READ, None)

    def _pass(self, sock: socket.socket) -> None:
        other = self._peers.get(sock)
        if other is None:
            return
        try:
            data = sock.recv(65536)
            if data and self.mode is not Mode.SWALLOW:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        other = self._peers.pop(sock, None)
        for each in (sock, other):
            if each is None:
                continue
            self._peers.pop(each, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            each.close()
