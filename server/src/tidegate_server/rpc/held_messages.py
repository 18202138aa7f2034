"""Messages as bytes that the process holds: a request until there is a response, a response until it is taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from tidegate_server.errors import Overloaded
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.rpc.receive_timeouts import ReceiveTimeouts

MAX_WAIT_SECONDS = 2.0
RETRY_AFTER_SECONDS = 1
TOO_MANY = "too many bytes of requests and answers are held at once"


class HeldMessages:
    """Any thread may call."""

    def __init__(self, held: HeldBytes, timeouts: ReceiveTimeouts, seconds: float) -> None:
        """`seconds`: how long a client may take to take in a response."""
        self._held, self._timeouts, self._seconds = held, timeouts, seconds

    @contextmanager
    def request(self, body: bytes) -> Iterator[None]:
        """Raises Overloaded where there is no room for it."""
        self._take(len(body))
        try:
            yield
        finally:
            self._held.give_back(len(body))

    @contextmanager
    def response(self, body: bytes, context: grpc.ServicerContext) -> Iterator[None]:
        """While a stream's response is sent. Raises Overloaded where there is no room for it."""
        self._take(len(body))
        try:
            with self._timeouts.within(context, self._seconds):
                yield
        finally:
            self._held.give_back(len(body))

    def last_response(self, body: bytes, context: grpc.ServicerContext) -> None:
        """Until the call is over. Raises Overloaded where there is no room for it."""
        self._take(len(body))
        self._timeouts.begin(context, self._seconds)
        if not context.add_callback(self._taken(len(body), context)):
            self._taken(len(body), context)()

    def _taken(self, size: int, context: grpc.ServicerContext) -> Callable[[], None]:
        def taken() -> None:
            self._timeouts.end(context)
            self._held.give_back(size)

        return taken

    def _take(self, size: int) -> None:
        if not (self._held.take(size) or self._held.take_soon(size, MAX_WAIT_SECONDS)):
            raise Overloaded(RETRY_AFTER_SECONDS, TOO_MANY)
