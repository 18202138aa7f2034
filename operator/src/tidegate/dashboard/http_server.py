"""Who serves the pages: a pool of threads, of which each open page has one, and nothing without a bound."""

import logging
import socket

from cheroot.wsgi import Server

MOST_HEADER_BYTES = 32 * 1024
"""A bearer token is a header, and so is the cookie that has one."""
MOST_BODY_BYTES = 16 * 1024
SEND_SECONDS = 10
"""Who doesn't take in what was sent for so long is hung up on, and so is who sends nothing."""
SPARE_THREADS = 16
"""Threads for what isn't a stream."""
MOST_WAITING = 256
"""Connections that wait for a thread."""

log = logging.getLogger(__name__)


class PageServer(Server):
    """Serves `wsgi_app`, which is set before `serve`, until it is stopped."""

    def __init__(self, address: tuple[str, int], streams: int) -> None:
        """For so many streams at once. Listens at once; raises OSError where that can't be."""
        super().__init__(
            address,
            None,
            numthreads=streams + SPARE_THREADS,
            request_queue_size=MOST_WAITING,
            accepted_queue_size=MOST_WAITING,
            timeout=SEND_SECONDS,
            shutdown_timeout=1,
            server_name="tidegate",
        )
        self.max_request_header_size = MOST_HEADER_BYTES
        self.max_request_body_size = MOST_BODY_BYTES
        self.prepare()

    @property
    def port(self) -> int:
        """Where it listens; the one that was chosen where 0 was asked for."""
        return int(self.bind_addr[1])

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Leaves nothing open where the address is taken."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Who hangs up isn't worth a line."""
        if level >= logging.ERROR:
            log.log(level, "%s", msg, exc_info=traceback)
