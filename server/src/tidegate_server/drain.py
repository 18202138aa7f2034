"""When a server that got SIGTERM may stop. Pure: times are seconds of a monotonic clock, given by the caller.

Kubernetes sends SIGTERM and takes the pod out of its endpoints at the same moment, so requests go on arriving for a
while. A draining server says that it isn't ready, serves everything that still comes, and ends when that is over.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DrainPolicy:
    """In seconds since the signal."""

    min_seconds: float
    max_seconds: float


class Drain:
    """The one piece of state that the signal handler, the server's loop and the readiness probe share."""

    def __init__(self, policy: DrainPolicy) -> None:
        """Not begun yet."""
        self._policy = policy
        self._began: float | None = None

    @property
    def begun(self) -> bool:
        """There was a signal; `ready` is False from here on."""
        return self._began is not None

    def begin(self, now: float, policy: DrainPolicy | None = None) -> None:
        """The first signal counts; only a different policy (somebody at a keyboard is in a hurry) changes the rest."""
        if policy is not None:
            self._policy = policy
        if self._began is None:
            self._began = now

    def is_over(self, now: float, busy: bool) -> bool:
        """`busy`: a request is being read, queued, worked on or responded to."""
        if self._began is None:
            return False
        elapsed = now - self._began
        return elapsed >= self._policy.max_seconds or (elapsed >= self._policy.min_seconds and not busy)

    def seconds_left(self, now: float) -> float:
        """Until the deadline; 0 before a drain has begun."""
        return 0.0 if self._began is None else max(0.0, self._began + self._policy.max_seconds - now)

    def poll_seconds(self, now: float, idle: float) -> float:
        """How long to sleep before looking again: `idle` seconds, or less where a limit is nearer."""
        if self._began is None:
            return idle
        elapsed = now - self._began
        limit = self._policy.min_seconds if elapsed < self._policy.min_seconds else self._policy.max_seconds
        return max(0.0, min(idle, limit - elapsed))
