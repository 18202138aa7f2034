"""Timeouts on what clients send: a call that was opened and then sends nothing holds a thread."""

from collections.abc import Iterator
from threading import Event, Lock, Thread
from time import monotonic

import grpc

CHECK_INTERVAL_SECONDS = 0.5


class ReceiveTimeouts:
    """Cancels calls whose next message doesn't come in time. One thread watches all of them."""

    def __init__(self) -> None:
        """Nothing is cancelled before `start`."""
        self._deadlines: dict[grpc.ServicerContext, float] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._cancel_overdue, name="grpc-bodies", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Cancels nothing from now on."""
        self._stopped.set()

    def next_message(self, messages: Iterator[bytes], context: grpc.ServicerContext, seconds: float) -> bytes | None:
        """None when the client has closed its side. Raises grpc.RpcError when the call is over."""
        with self._lock:
            self._deadlines[context] = monotonic() + seconds
        try:
            return next(messages, None)
        finally:
            with self._lock:
                del self._deadlines[context]

    def _cancel_overdue(self) -> None:
        while not self._stopped.wait(CHECK_INTERVAL_SECONDS):
            for context in self._overdue(monotonic()):
                context.cancel()

    def _overdue(self, now: float) -> list[grpc.ServicerContext]:
        with self._lock:
            return [context for context, deadline in self._deadlines.items() if deadline < now]
