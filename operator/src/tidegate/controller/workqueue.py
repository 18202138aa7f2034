"""When what is reconciled: a queue in which no object is ever worked on twice at once.

Events and ticks only name an object. Passes over one object never overlap, those asked for while one is under way are
folded into one more afterwards, and a failed one is repeated after a growing pause.
"""

import heapq
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import uniform
from time import monotonic

from tidegate.errors import ClusterUnavailable, LeadershipLost, ObjectChanged

Key = tuple[str, str]
Reconcile = Callable[[str, str, datetime], timedelta | None]

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
OVERTAKEN_PAUSE = 0.05
"""After a write that came second: what was written first is known by now, and a rollback may be what is to be done."""

log = logging.getLogger(__name__)


class WorkQueue:
    """Runs `reconcile` for every object that was named, on a few threads, while `may_work` says so."""

    def __init__(self, reconcile: Reconcile, *, workers: int, may_work: Callable[[], bool]) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._may_work = may_work
        self._due: list[tuple[float, Key]] = []
        self._planned: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to work, in threads."""
        for number in range(self._workers):
            thread = threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> None:
        """Finishes what is under way, and nothing more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def enqueue(self, namespace: str, name: str, after: float = 0.0) -> None:
        """Reconcile an object in `after` seconds, or sooner if that was planned already."""
        with self._changed:
            self._plan((namespace, name), monotonic() + after)

    def overdue_seconds(self) -> float:
        """How long the most overdue object has been waiting; far above zero, the queue is stuck."""
        with self._changed:
            waiting = [at for key, at in self._planned.items() if key not in self._busy]
        return max(0.0, monotonic() - min(waiting, default=monotonic()))

    def _plan(self, key: Key, at: float) -> None:
        planned = self._planned.get(key)
        if planned is not None and planned <= at:
            return
        self._planned[key] = at
        heapq.heappush(self._due, (at, key))
        self._changed.notify()

    def _run(self) -> None:
        while (key := self._next()) is not None:
            after = self._reconcile_one(key)
            with self._changed:
                self._busy.discard(key)
                if after is not None:
                    self._plan(key, monotonic() + after)
                self._changed.notify()

    def _next(self) -> Key | None:
        with self._changed:
            while not self._stopping:
                wait = self._until_due()
                if wait <= 0:
                    key = self._take()
                    if key is not None:
                        return key
                    continue
                self._changed.wait(wait)
            return None

    def _until_due(self) -> float:
        if not self._may_work():
            return 0.5
        while self._due and self._planned.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] - monotonic() if self._due else 60.0

    def _take(self) -> Key | None:
        _, key = heapq.heappop(self._due)
        del self._planned[key]
        if key in self._busy:
            # It is being reconciled right now: once more, a moment after that.
            self._plan(key, monotonic() + 0.05)
            return None
        self._busy.add(key)
        return key

    def _reconcile_one(self, key: Key) -> float | None:
        namespace, name = key
        try:
            again = self._reconcile(namespace, name, datetime.now(UTC))  # noqa: TID251 - the one clock read
        except ObjectChanged as error:
            return self._pause(key, f"{namespace}/{name}: {error}", OVERTAKEN_PAUSE)
        except ClusterUnavailable as error:
            return self._pause(key, f"{namespace}/{name}: {error}", FIRST_PAUSE, error.retry_after or 0.0)
        except LeadershipLost as error:
            return self._pause(key, f"{namespace}/{name}: {error}", FIRST_PAUSE)
        except Exception:
            log.exception("%s/%s: reconciling failed", namespace, name)
            return self._pause(key, f"{namespace}/{name}: reconciling failed", FIRST_PAUSE)
        self._failures.pop(key, None)
        return again.total_seconds() if again is not None else None

    def _pause(self, key: Key, why: str, first: float, asked: float = 0.0) -> float:
        """A growing one, and no shorter than the API server asked for."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause: float = max(asked, min(first * 2**failures, LONGEST_PAUSE) * uniform(0.8, 1.2))
        log.warning("%s; trying again in %.1f s", why, pause)
        return pause
