"""A world in which time passes: pods start, and the operator reconciles when it said it would or pods have come. Pure.

The simulator and the tests' world are such worlds; they differ in what the operator reads and writes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Pods:
    """How many pods a revision has, and when they are ready; None for never."""

    count: int
    ready_from: datetime | None


class SimulatedWorld(ABC):
    """`now` is in whole seconds, and goes on by itself."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    @abstractmethod
    def pods(self) -> Mapping[str, Pods]:
        """Of each revision that has a Deployment."""

    @abstractmethod
    def reconcile(self) -> timedelta | None:
        """One pass of the operator; how long until it wants the next, None to wait for a change."""

    def pass_time(self, due: datetime | None) -> None:
        """The world goes on by a second, or up to when a reconcile is due where nothing can happen before."""
        self.now += SECOND

    def ready(self) -> dict[str, int]:
        """Pods that are ready now, by revision."""
        return {
            revision: pods.count if pods.ready_from is not None and self.now >= pods.ready_from else 0
            for revision, pods in self.pods().items()
        }

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Lets time pass, and reconciles."""
        due: datetime | None = self.now
        while not is_over():
            ready = self.ready()
            if due is not None and due <= self.now:
                again = self.reconcile()
                due = None if again is None else self.now + max(again, SECOND)
                if self.ready() != ready:
                    due = self.now + SECOND
            self.pass_time(due)
            if self.ready() != ready:
                due = self.now
