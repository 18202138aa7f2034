"""How a rollout's evidence and weights went while the dashboard ran: a bounded memory of its status. Pure."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from tidegate.dashboard.facts import Facts, evidence_share
from tidegate.kube.informer import Key
from tidegate.view.rollout_view import Role, RolloutView

MOST_ROLLOUTS = 500
MOST_POINTS = 240
"""Of one rollout. Where there are more, every second one is forgotten, so the whole rollout stays in view."""


@dataclass(frozen=True, slots=True)
class Point:
    """A rollout's status at an instant. Weights are percent of the requests; None where it wasn't known."""

    at: datetime
    wanted: float | None
    applied: float | None
    observed: float | None
    worse: float | None
    """How far the evidence for a rollback has come, 0 to 1."""
    acceptable: float | None
    """How far the evidence for a promotion has come, 0 to 1."""

    @classmethod
    def of(cls, view: RolloutView, now: datetime) -> "Point":
        """What a view shows."""
        weights, analysis = view.weights, view.analysis
        return cls(
            now,
            weights.wanted if weights else None,
            weights.applied if weights else None,
            weights.observed if weights else None,
            evidence_share(analysis.rollback) if analysis and analysis.rollback else None,
            evidence_share(analysis.promotion) if analysis and analysis.promotion else None,
        )

    def shows_what(self, other: "Point") -> bool:
        """Whether the two differ in time alone."""
        ours = self.wanted, self.applied, self.observed, self.worse, self.acceptable
        return ours == (other.wanted, other.applied, other.observed, other.worse, other.acceptable)


class Trends:
    """Points of the rollouts that are under way, by ModelDeployment. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: OrderedDict[Key, tuple[str, list[Point]]] = OrderedDict()

    def note(self, key: Key, facts: Facts, now: datetime) -> None:
        """Takes a point of the rollout under way; a finished one's points stay until the next begins."""
        candidate = facts.view.revision(Role.CANDIDATE)
        if not facts.is_moving or candidate is None:
            return
        identity = f"{candidate.name} {facts.started_at}"
        with self._lock:
            known, points = self._points.get(key, ("", []))
            if known != identity:
                points = []
            self._points[key] = (identity, _with(points, Point.of(facts.view, now)))
            self._points.move_to_end(key)
            while len(self._points) > MOST_ROLLOUTS:
                self._points.popitem(last=False)

    def forget(self, key: Key) -> None:
        """It was deleted."""
        with self._lock:
            self._points.pop(key, None)

    def of(self, key: Key) -> tuple[Point, ...]:
        """Oldest first; of the rollout under way, or else of the last one that was seen."""
        with self._lock:
            return tuple(self._points.get(key, ("", ()))[1])


def _with(points: list[Point], point: Point) -> list[Point]:
    if points and points[-1].shows_what(point):
        return points
    kept = points[::2] if len(points) >= MOST_POINTS else points
    return [*kept, point]
