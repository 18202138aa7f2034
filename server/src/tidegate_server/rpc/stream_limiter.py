"""How many streams are open, and which of them only wait for their client's next request."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

import grpc

from tidegate_server.errors import Overloaded
from tidegate_server.rpc.receive_timeouts import ReceiveTimeouts

RETRY_AFTER_SECONDS = 5
IDLE_TIMEOUT_SECONDS = 300.0


class StreamLimiter:
    """Each stream holds a thread, and is ended when it is idle for too long."""

    def __init__(self, max_streams: int, timeouts: ReceiveTimeouts) -> None:
        """`max_streams` may be open at once."""
        self._slots, self._timeouts = BoundedSemaphore(max_streams), timeouts
        self._lock = Lock()
        self._idle: set[grpc.ServicerContext] = set()
        self._stopping = False

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Raises Overloaded when all are taken."""
        if not self._slots.acquire(blocking=False):
            raise Overloaded(RETRY_AFTER_SECONDS)
        try:
            yield
        finally:
            self._slots.release()

    def next_message(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Waits for the client. None when either side has ended the stream."""
        with self._lock:
            if self._stopping:
                return None
            self._idle.add(context)
        try:
            return self._timeouts.next_message(messages, context, IDLE_TIMEOUT_SECONDS)
        finally:
            with self._lock:
                self._idle.discard(context)

    def stop(self) -> None:
        """Ends idle streams at once, the others after the response that they wait for."""
        with self._lock:
            self._stopping = True
            idle = list(self._idle)
        for context in idle:
            context.cancel()
