"""The stdlib's HTTP server with bounds: on connections, on how long a stranger may keep one, and on what may be idle.

A stranger's connection lasts a few seconds, whatever comes over it and however slowly. Where all places are taken, the
oldest stranger's goes to who comes next, so that nobody can keep the probes or the operator out by holding connections.
"""

import contextlib
import logging
import socket
import socketserver
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

MOST_CONNECTIONS = 64
STRANGER_SECONDS = 10.0
"""All that a connection lasts over which nobody has shown the key."""
IDLE_SECONDS = 60.0
"""From one request to the end of the next, over a connection of somebody known."""
CHECK_SECONDS = 0.25

log = logging.getLogger(__name__)


@dataclass
class _Connection:
    deadline: float
    known: bool = False


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection. Handlers say by `know` that a connection's other side has shown the key."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[socket.socket, _Connection] = {}
        self._lock = threading.Lock()
        # A pod may have addresses of IPv4, of IPv6, or of both.
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "0.0.0.0", port), handler)

    def start(self) -> None:
        """Serves in a thread of its own, until `shutdown`."""
        threading.Thread(target=self.serve_forever, args=(CHECK_SECONDS,), name="http", daemon=True).start()

    def know(self, connection: socket.socket) -> None:
        """Lets a connection go on; anew after each answer."""
        with self._lock:
            if connection in self._open:
                self._open[connection] = _Connection(monotonic() + IDLE_SECONDS, known=True)

    def server_bind(self) -> None:
        """As in the base class, without asking a name server what this host is called."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """As in the base class; an address of IPv4 is told as such, by whichever family it came."""
        request, (host, *rest) = super().get_request()
        return request, (host.removeprefix("::ffff:"), *rest)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A place for a new connection, or none."""
        if self._has_place_for(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def _has_place_for(self, request: socket.socket) -> bool:
        with self._lock:
            strangers = [each for each, connection in self._open.items() if not connection.known]
            if len(self._open) >= MOST_CONNECTIONS:
                if not strangers:
                    return False
                self._end(strangers[0])  # the oldest: a dictionary keeps the order
            self._open[request] = _Connection(monotonic() + STRANGER_SECONDS)
            return True

    def service_actions(self) -> None:
        """Ends what has lasted too long; the base class calls this every CHECK_SECONDS or so."""
        now = monotonic()
        with self._lock:
            for each in [each for each, connection in self._open.items() if now >= connection.deadline]:
                self._end(each)

    def _end(self, connection: socket.socket) -> None:
        """Its thread sees the end of it at its next read or write."""
        del self._open[connection]
        with contextlib.suppress(OSError):  # it had ended already
            connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up, or is hung up on, isn't worth a line."""
        if not isinstance(sys.exception(), OSError):
            log.exception("a request from %s failed", client_address[0])
