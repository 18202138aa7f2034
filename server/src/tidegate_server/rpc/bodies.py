"""Waits for what clients send, but not for ever: a call that was opened and then says nothing holds a thread."""

from collections.abc import Iterator
from threading import Event, Lock, Thread
from time import monotonic

import grpc

LOOK_SECONDS = 0.5


class Bodies:
    """Cancels calls whose next message doesn't come in time. One thread looks after all of them."""

    def __init__(self) -> None:
        self._until: dict[grpc.ServicerContext, float] = {}
        self._lock = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._look_again_and_again, name="grpc-bodies", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()

    def next_of(self, bodies: Iterator[bytes], context: grpc.ServicerContext, seconds: float) -> bytes | None:
        """None when the client has said that no more will come. Raises grpc.RpcError when the call is over."""
        with self._lock:
            self._until[context] = monotonic() + seconds
        try:
            return next(bodies, None)
        finally:
            with self._lock:
                del self._until[context]

    def _look_again_and_again(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for context in self._overdue(monotonic()):
                context.cancel()

    def _overdue(self, now: float) -> list[grpc.ServicerContext]:
        with self._lock:
            return [context for context, until in self._until.items() if until < now]
