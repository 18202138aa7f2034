"""How many streams are open, and which of them only wait for their client's next request."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

import grpc

from tidegate_server.errors import Overloaded
from tidegate_server.rpc.bodies import Bodies

RETRY_AFTER_SECONDS = 5
IDLE_SECONDS = 300.0


class Streams:
    """`most` may be open at once; each holds a thread, and is ended when it's silent for too long."""

    def __init__(self, most: int, bodies: Bodies) -> None:
        self._places, self._bodies = BoundedSemaphore(most), bodies
        self._lock = Lock()
        self._idle: set[grpc.ServicerContext] = set()
        self._ending = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises Overloaded when all are taken."""
        if not self._places.acquire(blocking=False):
            raise Overloaded(RETRY_AFTER_SECONDS)
        try:
            yield
        finally:
            self._places.release()

    def next_of(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Waits for the client. None when the stream is over, on the client's word or on ours."""
        with self._lock:
            if self._ending:
                return None
            self._idle.add(context)
        try:
            return self._bodies.next_of(bodies, context, IDLE_SECONDS)
        finally:
            with self._lock:
                self._idle.discard(context)

    def end(self) -> None:
        """Idle ones at once, the others after the answer that they wait for."""
        with self._lock:
            self._ending = True
            idle = list(self._idle)
        for context in idle:
            context.cancel()
