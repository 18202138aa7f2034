"""Bounds on what clients send and take in: how long it may take, and how many messages may be arriving at once.

A call that was opened and then sends nothing holds a thread, a message that is arriving holds up to its largest size,
and a response that isn't taken in holds its bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread
from time import monotonic

import grpc

from tidegate_server.errors import Overloaded

CHECK_INTERVAL_SECONDS = 0.5
UNHURRIED_SECONDS = 1.0
"""Who takes longer for a message gives way to those that wait to be read."""
MAX_WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = 1


class ReceiveTimeouts:
    """Cancels calls that are too slow. One thread watches all of them."""

    def __init__(self, max_reads: int) -> None:
        """Nothing is cancelled before `start`. `max_reads`: messages of calls that may be arriving at once."""
        self._deadlines: dict[grpc.ServicerContext, float] = {}
        self._reads: dict[grpc.ServicerContext, float] = {}
        self._max_reads, self._waiting = max_reads, 0
        self._changed = Condition()
        self._stopped = Event()
        self._thread = Thread(target=self._cancel_overdue, name="grpc-bodies", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Cancels nothing from now on."""
        self._stopped.set()

    def first_message(self, messages: Iterator[bytes], context: grpc.ServicerContext, seconds: float) -> bytes | None:
        """As `next_message`, once it may be read. Raises Overloaded where too many are arriving."""
        with self._read_slot(context):
            return self.next_message(messages, context, seconds)

    def next_message(self, messages: Iterator[bytes], context: grpc.ServicerContext, seconds: float) -> bytes | None:
        """None when the client has closed its side. Raises grpc.RpcError when the call is over."""
        with self.within(context, seconds):
            return next(messages, None)

    @contextmanager
    def within(self, context: grpc.ServicerContext, seconds: float) -> Iterator[None]:
        """Cancels the call when what is done here takes longer."""
        self.begin(context, seconds)
        try:
            yield
        finally:
            self.end(context)

    def begin(self, context: grpc.ServicerContext, seconds: float) -> None:
        """The call is cancelled unless `end` is said in time."""
        with self._changed:
            self._deadlines[context] = monotonic() + seconds

    def end(self, context: grpc.ServicerContext) -> None:
        """Whether or not it was begun."""
        with self._changed:
            self._deadlines.pop(context, None)

    @contextmanager
    def _read_slot(self, context: grpc.ServicerContext) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                is_free = self._changed.wait_for(lambda: len(self._reads) < self._max_reads, MAX_WAIT_SECONDS)
            finally:
                self._waiting -= 1
            if not is_free:
                raise Overloaded(RETRY_AFTER_SECONDS, "too many messages are being received at once")
            self._reads[context] = monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._reads[context]
                self._changed.notify()

    def _cancel_overdue(self) -> None:
        while not self._stopped.wait(CHECK_INTERVAL_SECONDS):
            for context in self._overdue(monotonic()):
                context.cancel()

    def _overdue(self, now: float) -> list[grpc.ServicerContext]:
        with self._changed:
            late = [context for context, deadline in self._deadlines.items() if deadline < now]
            # The first ones came first, and so are the slowest.
            slow = [context for context, since in self._reads.items() if now - since > UNHURRIED_SECONDS]
            return late + slow[: self._waiting]
