"""When routes were set again, of late. A restart forgets it, and the first restoration then is at once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.decide.route_restoration import MEMORY, is_restoration
from tidegate.kube.informer import Key
from tidegate.model.actions import ShiftTraffic
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation


@dataclass
class Restorations:
    """Safe to use from several threads, one per object."""

    _of: dict[Key, tuple[datetime, ...]] = field(default_factory=dict)

    def of(self, key: Key, now: datetime) -> tuple[datetime, ...]:
        """When the route of this object was set again, within MEMORY: not by a clock that was set back since."""
        return tuple(at for at in self._of.get(key, ()) if timedelta() <= now - at < MEMORY)

    def note(self, seen: Observation, decision: Decision) -> None:
        """Takes in what was written."""
        key = (seen.namespace, seen.name)
        if any(isinstance(each, ShiftTraffic) and is_restoration(seen, each.split) for each in decision.actions):
            self._of[key] = (*self.of(key, seen.now), seen.now)
        elif not self.of(key, seen.now):
            self._of.pop(key, None)

    def forget(self, key: Key) -> None:
        """There is no such object any more."""
        self._of.pop(key, None)
