"""Whether the clock was set since an object's last pass: then what has been waited for isn't known from it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from tidegate.decide.sound_clock import TOLERANCE
from tidegate.kube.informer import Key
from tidegate.model.status import Status


@dataclass
class ClockWatch:
    """Holds the clock against one that nobody can set. Safe to use from several threads."""

    steady: Callable[[], float] = monotonic
    _offsets: dict[Key, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jump(self, key: Key, now: datetime, recorded: Status) -> timedelta:
        """How far the clock was set since `note`; 0 where it wasn't.

        After a restart only what is recorded tells: a time that is still to come means that it was set back.
        """
        offset = now.timestamp() - self.steady()
        with self._lock:
            before = self._offsets.setdefault(key, offset)
        jumped = timedelta(seconds=round(offset - before))
        early = min(timedelta(), now - _latest(recorded, now))
        return next((each for each in (jumped, early) if abs(each) >= TOLERANCE), timedelta())

    def note(self, key: Key, now: datetime) -> None:
        """What is recorded of the object goes by the clock as it is now."""
        offset = now.timestamp() - self.steady()
        with self._lock:
            self._offsets[key] = offset

    def forget(self, key: Key) -> None:
        """Of an object that there is no more."""
        with self._lock:
            self._offsets.pop(key, None)


def _latest(recorded: Status, now: datetime) -> datetime:
    """The latest time that is recorded of the rollout; `now` where there is none."""
    rollout = recorded.rollout
    if rollout is None:
        return now
    return max(rollout.started_at, rollout.step_started_at, *(shift.at for shift in rollout.shifts[-1:]))
