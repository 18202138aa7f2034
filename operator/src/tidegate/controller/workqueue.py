"""When what is reconciled: a queue in which no object is ever worked on twice at once.

Events and ticks only name an object. Passes over one object never overlap, those asked for while one is under way are
folded into one more afterwards, and a failed one is repeated after a growing pause.

What is urgent is taken first, and some of the threads take nothing else: a thousand objects that come up at once, each
with its writes, mustn't stand before the look that sees a rollout fail.
"""

import heapq
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import uniform
from time import monotonic
from typing import Protocol

from tidegate.errors import ClusterUnavailable, LeadershipLost, ObjectChanged
from tidegate.model.back_off import doubled

Key = tuple[str, str]
Reconcile = Callable[[str, str, datetime], timedelta | None]
Urgent = Callable[[str, str], bool]

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
OVERTAKEN_PAUSE = 0.05
"""After a write that came second: what was written first is known by now, and a rollback may be what is to be done."""

NUDGED_PAUSE = 2.0
"""Seconds that are left of any pause while there are new counters."""

KEPT_FREE = 4
"""Of so many threads, one takes nothing but what is urgent."""
IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)


class Result(StrEnum):
    """How a pass ended, in controller-runtime's words."""

    SUCCESS = "success"
    REQUEUE_AFTER = "requeue_after"
    REQUEUE = "requeue"
    """Somebody else wrote first: once more, at once."""
    ERROR = "error"
    PANIC = "panic"
    """An error that nobody foresaw. It counts as one."""


class QueueListener(Protocol):
    """Whoever hears of what a queue does; called from its threads."""

    def added(self) -> None:
        """An object was planned to be looked at."""

    def began(self, urgent: bool, late: float) -> None:
        """A pass begins, so many seconds after its time."""

    def ended(self, result: Result, seconds: float) -> None:
        """It has ended, after so many seconds."""


class Unheard:
    """A QueueListener that hears nothing."""

    def added(self) -> None: ...
    def began(self, urgent: bool, late: float) -> None: ...
    def ended(self, result: Result, seconds: float) -> None: ...


class _Due:
    """What is to be reconciled when, of one urgency. Used with the queue's lock held."""

    def __init__(self, lock: threading.Lock) -> None:
        self.changed = threading.Condition(lock)
        self._heap: list[tuple[float, Key]] = []

    def add(self, at: float, key: Key) -> None:
        heapq.heappush(self._heap, (at, key))
        self.changed.notify()

    def pop(self) -> tuple[float, Key]:
        return heapq.heappop(self._heap)

    def seconds(self, planned: Mapping[Key, float]) -> float:
        """Until the first one is due; what was planned for another time meanwhile is dropped."""
        while self._heap and planned.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] - monotonic() if self._heap else IDLE_SECONDS

    def waiting(self, planned: Mapping[Key, float]) -> int:
        """How many are due."""
        now = monotonic()
        return sum(1 for at, key in self._heap if at <= now and planned.get(key) == at)


class WorkQueue:
    """Runs `reconcile` for every object that was named, on a few threads, while `may_work` says so.

    `urgent` says of an object, when it is named, whether it goes before others; `listener` hears of each pass.
    """

    def __init__(
        self,
        reconcile: Reconcile,
        *,
        workers: int,
        may_work: Callable[[], bool],
        urgent: Urgent = lambda namespace, name: False,
        listener: QueueListener | None = None,
    ) -> None:
        self._reconcile = reconcile
        self.workers = workers
        self._may_work = may_work
        self._is_urgent, self._listener = urgent, listener or Unheard()
        self._lock = threading.Lock()
        self._urgent, self._rest = _Due(self._lock), _Due(self._lock)
        self._planned: dict[Key, float] = {}
        self._busy: dict[Key, float] = {}
        """What is worked on, and since when."""
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        """What the API server asked for."""
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to work, in threads."""
        for number in range(self.workers):
            mine = (self._urgent,) if number < self.workers // KEPT_FREE else (self._urgent, self._rest)
            thread = threading.Thread(target=self._run, args=(mine,), name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> None:
        """Finishes what is under way, and nothing more."""
        with self._lock:
            self._stopping = True
            for due in (self._urgent, self._rest):
                due.changed.notify_all()
        deadline = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def enqueue(self, namespace: str, name: str, after: float = 0.0) -> None:
        """Reconcile an object in `after` seconds, or sooner if that was planned already."""
        key = (namespace, name)
        urgent = self._is_urgent(namespace, name)
        with self._lock:
            self._plan(key, monotonic() + after, urgent=urgent)

    def nudge(self, namespace: str, name: str) -> None:
        """Reconcile an object now, as there are new counters of it; one that failed just now, a little later.

        They come each second: a pause that grows to half a minute stays no pause then, and must stay none, for they may
        be what a rollback follows from. But nobody is asked twice a second who can't answer.
        """
        key = (namespace, name)
        urgent = self._is_urgent(namespace, name)
        with self._lock:
            after = max(NUDGED_PAUSE, self._not_before.get(key, 0.0) - monotonic()) if key in self._failures else 0.0
            self._plan(key, monotonic() + after, urgent=urgent)

    def overdue_seconds(self) -> float:
        """How long the most overdue object has been waiting; far above zero, the queue is stuck."""
        with self._lock:
            waiting = [at for key, at in self._planned.items() if key not in self._busy]
        return max(0.0, monotonic() - min(waiting, default=monotonic()))

    def waiting(self) -> tuple[int, int]:
        """How many objects are due: urgent ones, and others."""
        with self._lock:
            return self._urgent.waiting(self._planned), self._rest.waiting(self._planned)

    def busy_seconds(self) -> list[float]:
        """For how long each pass that is under way has been."""
        with self._lock:
            return [monotonic() - since for since in self._busy.values()]

    def _plan(self, key: Key, at: float, *, urgent: bool) -> None:
        planned = self._planned.get(key)
        if planned is not None and planned <= at:
            return
        self._planned[key] = at
        self._listener.added()
        (self._urgent if urgent else self._rest).add(at, key)
        if urgent:
            self._rest.changed.notify()  # whoever takes everything takes this first

    def _run(self, mine: Sequence[_Due]) -> None:
        while (taken := self._next(mine)) is not None:
            key, urgent, late = taken
            self._listener.began(urgent, late)
            began = monotonic()
            result, after = self._reconcile_one(key)
            self._listener.ended(result, monotonic() - began)
            urgent = self._is_urgent(*key)
            with self._lock:
                self._busy.pop(key, None)
                if key in self._again:
                    self._again.discard(key)
                    after = 0.0
                if after is not None:
                    self._plan(key, monotonic() + after, urgent=urgent)

    def _next(self, mine: Sequence[_Due]) -> tuple[Key, bool, float] | None:
        with self._lock:
            while not self._stopping:
                may_work = self._may_work()
                for due in mine if may_work else ():
                    if (taken := self._take(due)) is not None:
                        return taken
                wait = min(due.seconds(self._planned) for due in mine) if may_work else 0.5
                mine[-1].changed.wait(wait)
            return None

    def _take(self, due: _Due) -> tuple[Key, bool, float] | None:
        while due.seconds(self._planned) <= 0:
            at, key = due.pop()
            del self._planned[key]
            if key not in self._busy:
                self._busy[key] = monotonic()
                return key, due is self._urgent, monotonic() - at
            self._again.add(key)  # it is being reconciled right now: once more, after that
        return None

    def _reconcile_one(self, key: Key) -> tuple[Result, float | None]:
        namespace, name = key
        try:
            again = self._reconcile(namespace, name, datetime.now(UTC))  # noqa: TID251 - the one clock read
        except ObjectChanged as error:
            return Result.REQUEUE, self._pause(key, f"{namespace}/{name}: {error}", OVERTAKEN_PAUSE)
        except ClusterUnavailable as error:
            asked = error.retry_after or 0.0
            return Result.ERROR, self._pause(key, f"{namespace}/{name}: {error}", FIRST_PAUSE, asked)
        except LeadershipLost as error:
            return Result.ERROR, self._pause(key, f"{namespace}/{name}: {error}", FIRST_PAUSE)
        except Exception:
            log.exception("%s/%s: reconciling failed", namespace, name)
            return Result.PANIC, self._pause(key, f"{namespace}/{name}: reconciling failed", FIRST_PAUSE)
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        if again is None:
            return Result.SUCCESS, None
        return Result.REQUEUE_AFTER, again.total_seconds()

    def _pause(self, key: Key, why: str, first: float, asked: float = 0.0) -> float:
        """A growing one, and no shorter than the API server asked for."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._not_before[key] = monotonic() + asked
        pause = max(asked, doubled(first, failures, LONGEST_PAUSE) * uniform(0.8, 1.2))
        log.warning("%s; trying again in %.1f s", why, pause)
        return pause
