"""Which rollouts need no whole look now: of those only what routers have counted since is taken in.

A whole look reads the cluster and decides. It comes when it was planned, when anything around the rollout has changed,
and when the verdict has. Counters come each second, and most of them change nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from tidegate.kube.api import Manifest
from tidegate.kube.informer import Key
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation

LONGEST = timedelta(seconds=5)
"""From one whole look to the next: routers that fall silent, and times that have come, aren't told by anybody."""


@dataclass(frozen=True)
class _Settled:
    """A whole look that left nothing to do, and until when nothing was planned."""

    manifest: Manifest
    changes: int
    at: datetime
    until: datetime


@dataclass
class Glances:
    """Safe to use from several threads; each object is looked at by one at a time."""

    _changes: dict[Key, int] = field(default_factory=dict)
    _settled: dict[Key, _Settled] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def changed(self, namespace: str, name: str) -> None:
        """Something around this ModelDeployment has."""
        self._changes[namespace, name] = next(self._numbers)

    def until(self, key: Key, manifest: Manifest, now: datetime) -> datetime | None:
        """Until when a glance suffices; None where a whole look is needed now."""
        last = self._settled.get(key)
        if last is None or last.manifest is not manifest or last.changes != self._changes.get(key, 0):
            return None
        return last.until if last.at <= now < last.until else None

    def begin(self, key: Key) -> int:
        """A whole look begins; gives back what `end` is to be told."""
        self._settled.pop(key, None)
        return self._changes.get(key, 0)

    def end(self, key: Key, manifest: Manifest, changes: int, at: datetime, planned: timedelta | None) -> None:
        """It has left nothing to do before it is `planned` to be repeated."""
        longest = LONGEST if planned is None else min(planned, LONGEST)
        self._settled[key] = _Settled(manifest, changes, at, at + longest)

    def forget(self, key: Key) -> None:
        """There is no such object any more."""
        self._settled.pop(key, None)
        self._changes.pop(key, None)


def leaves_nothing_to_do(seen: Observation, decision: Decision) -> bool:
    """Whether only other counters, or something from outside, can change what was decided."""
    rollout = decision.status.rollout
    if rollout is None or not rollout.shifts or decision.actions or decision.events:
        return False
    waits = rollout.since.pods or rollout.since.routers
    return not waits and seen.route_applied and not seen.refusal and not seen.clock_jump
