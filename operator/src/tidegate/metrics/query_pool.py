"""Where queries wait for Prometheus: on a few threads of their own, so that nothing else waits for it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, TypeVar

from tidegate.errors import MetricsUnavailable

T = TypeVar("T")
Key = tuple[str, str]

PATIENCE = 0.25
"""Seconds that one may wait for an answer at once; Prometheus' usual ones take milliseconds."""
LONGEST = 10.0
"""Seconds after which an answer that is still to come is as good as none."""


class Pool(Protocol):
    """Runs at most one job per key at a time."""

    def ask(self, key: Key, job: Callable[[], T]) -> T | None:
        """What the job gave; None while it is under way. Raises what it raised, MetricsUnavailable where it lasts."""


class AtOnce:
    """A Pool that waits for every answer."""

    def ask(self, key: Key, job: Callable[[], T]) -> T | None:
        return job()


@dataclass(frozen=True)
class _Asked:
    future: "Future[Any]"
    at: float


class QueryPool:
    """A Pool of a few threads. `answered` is called with the key of a job that took longer than anybody waited."""

    def __init__(self, threads: int, answered: Callable[[str, str], None], *, patience: float = PATIENCE) -> None:
        self._threads, self._patience, self._answered = threads, patience, answered
        self._executor = ThreadPoolExecutor(threads, "query")
        self._asked: dict[Key, _Asked] = {}
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Nothing that hasn't begun is asked any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def ask(self, key: Key, job: Callable[[], T]) -> T | None:
        with self._lock:
            asked = self._asked.get(key)
            is_new = asked is None
            if asked is None:
                # Where all threads are busy it would wait for others' answers, and that may take long.
                has_room = sum(not each.future.done() for each in self._asked.values()) < self._threads
                asked = self._asked[key] = _Asked(self._executor.submit(job), monotonic())
        if is_new and has_room:
            wait([asked.future], self._patience)
        if asked.future.done():
            with self._lock:
                del self._asked[key]
            result: T = asked.future.result()
            return result
        if is_new:
            asked.future.add_done_callback(lambda _: self._answered(*key))
        if (seconds := monotonic() - asked.at) > LONGEST:
            raise MetricsUnavailable(f"Prometheus hasn't answered for {seconds:.0f} s; it is waited for")
        return None
