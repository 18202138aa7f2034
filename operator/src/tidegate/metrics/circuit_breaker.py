"""Stops asking a Prometheus that hangs: after a few answers that took too long, others fail at once for a while."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from random import uniform
from time import monotonic
from typing import TypeVar

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.provider import CounterQuery, MetricsProvider, Readings

T = TypeVar("T")

SLOW = 2.0
"""Seconds after which a failure is one by hanging: whoever refuses a connection does so at once."""
FAILURES = 3
"""So many in a row."""
PAUSE = (4.0, 8.0)
"""Seconds until the next question is let through, by chance, so that not all operators ask at once."""


class CircuitBreaker:
    """A MetricsProvider that fails fast while another one hangs. Safe to use from several threads."""

    def __init__(self, provider: MetricsProvider, *, now: Callable[[], float] = monotonic) -> None:
        self._provider, self._now = provider, now
        self._failures = 0
        self._closed_until = 0.0
        self._why = ""
        self._lock = threading.Lock()

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        return self._guarded(lambda: self._provider.readings(query, start, step, points))

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        return self._guarded(lambda: self._provider.series(promql, start, step, points))

    def _guarded(self, ask: Callable[[], T]) -> T:
        self._let_through()
        began = self._now()
        try:
            answer = ask()
        except MetricsUnavailable as error:
            self._failed(error, self._now() - began)
            raise
        with self._lock:
            self._failures = 0
        return answer

    def _let_through(self) -> None:
        """Raises MetricsUnavailable while nobody may ask; the first one after that is the probe."""
        with self._lock:
            if self._failures < FAILURES:
                return
            if self._now() < self._closed_until:
                raise MetricsUnavailable(self._why)
            self._closed_until = self._now() + uniform(*PAUSE)

    def _failed(self, error: MetricsUnavailable, seconds: float) -> None:
        with self._lock:
            if seconds < SLOW:
                return
            self._failures += 1
            self._why = str(error)
            self._closed_until = max(self._closed_until, self._now() + uniform(*PAUSE))
