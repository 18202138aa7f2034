"""A TCP proxy on loopback whose connections break after so many bytes, as a bad network's do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE = 2**16


class BreakingProxy:
    """`left`: bytes that still come through to the client, over all connections; None is all there are."""

    def __init__(self, port: int) -> None:
        self.left: int | None = None
        self.came = 0
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._behind))
            self._open |= {client, server}
            for pump in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                allowed = self._allowed(len(piece)) if counted else len(piece)
                target.sendall(piece[:allowed])
                if allowed < len(piece):
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _allowed(self, size: int) -> int:
        with self._lock:
            allowed = size if self.left is None else min(size, self.left)
            if self.left is not None:
                self.left -= allowed
            self.came += allowed
            return allowed

    def close(self) -> None:
        for each in (self._listener, *self._open):
            # An accept() that waits isn't woken by close() alone.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def breaking_proxy(port: int) -> Iterator[BreakingProxy]:
    """A proxy in front of a port of loopback."""
    proxy = BreakingProxy(port)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
