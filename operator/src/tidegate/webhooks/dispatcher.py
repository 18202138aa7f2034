"""When calls are made: on a few threads of their own, so that nothing else ever waits for a receiver.

One that hangs holds two of them at most, and the others go on.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

THREADS = 8
PER_TARGET = 2
"""Calls of one receiver at a time."""
MOST = 1000
"""Calls that wait."""
IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)

Attempt = Callable[[], float | None]
"""One try; gives back after how many seconds to try again, or None when that's it."""


@dataclass(frozen=True, order=True)
class _Call:
    at: float
    number: int
    target: str = field(compare=False)
    attempt: Attempt = field(compare=False)


class Dispatcher:
    """Safe to use from several threads. Its own are started when there is something to do."""

    def __init__(self, *, threads: int = THREADS, per_target: int = PER_TARGET, most: int = MOST) -> None:
        self._most_threads, self._per_target, self._most = threads, per_target, most
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._busy: Counter[str] = Counter()
        self._numbers = count()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def submit(self, target: str, attempt: Attempt, after: float = 0.0) -> bool:
        """False where too many wait already. `target` is whom one receiver is known by. Never blocks."""
        with self._changed:
            if len(self._waiting) >= self._most or self._stopping:
                return False
            self._add(target, attempt, after)
            if len(self._threads) < self._most_threads:
                thread = threading.Thread(target=self._run, name=f"webhook-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            return True

    def stop(self) -> None:
        """Nothing that hasn't begun is called any more."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()

    def _add(self, target: str, attempt: Attempt, after: float) -> None:
        self._waiting.append(_Call(monotonic() + after, next(self._numbers), target, attempt))
        self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            after: float | None = None
            try:
                after = call.attempt()
            except Exception:
                log.exception("a call of a webhook failed in a way that nobody foresaw")
            with self._changed:
                self._busy[call.target] -= 1
                if after is not None and not self._stopping:
                    self._add(call.target, call.attempt, after)
                self._changed.notify()

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._stopping:
                call = self._take()
                if call is not None:
                    return call
                self._changed.wait(self._seconds())
            return None

    def _take(self) -> _Call | None:
        """The first that is due, and whose receiver isn't busy."""
        now = monotonic()
        due = (each for each in self._waiting if each.at <= now and self._busy[each.target] < self._per_target)
        call = min(due, default=None)
        if call is not None:
            self._waiting.remove(call)
            self._busy[call.target] += 1
        return call

    def _seconds(self) -> float:
        now = monotonic()
        later = (each.at - now for each in self._waiting if each.at > now)
        return min(later, default=IDLE_SECONDS)
