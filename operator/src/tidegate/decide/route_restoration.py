"""How often a route that somebody else edits is set again. Pure.

The first time at once, then after a growing pause: two writers that never tire would write as fast as they can.
A rollback is no restoration: it is written at once, whoever edited the route how often.
"""

from dataclasses import replace
from datetime import timedelta

from tidegate.decide.transition import Transition, granted_split
from tidegate.model.back_off import doubled
from tidegate.model.decision import Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.spec import Strategy
from tidegate.model.status import Status
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration

MEMORY = timedelta(minutes=10)
"""How long a restoration counts."""
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE_UNGRANTED = timedelta(seconds=5)
"""Where the edit sends somebody more than was granted."""
QUARREL = 4
"""Restorations after which somebody should hear of it."""


def granted(recorded: Status, strategy: Strategy) -> TrafficSplit | None:
    """The split that the status says was granted last; None where nothing is live yet."""
    if recorded.stable is None:
        return None
    rollout = recorded.rollout
    if rollout is None:
        return TrafficSplit.only(recorded.stable)
    return granted_split(recorded.stable, rollout, strategy)


def is_restoration(seen: Observation, split: TrafficSplit | None) -> bool:
    """Whether to write `split` would only set a route again that somebody edited."""
    return seen.split is not None and split is not None and split == granted(seen.recorded, seen.spec.strategy)


def patient(seen: Observation, transition: Transition) -> Transition:
    """The transition; where it would set the route again too soon, without that, and with a word on who edits it."""
    edited = transition.split != seen.split or not seen.route_settings_match
    if not edited or not is_restoration(seen, transition.split):
        return transition
    left = _pause(seen) - (seen.now - max(seen.restorations, default=seen.now - MEMORY))
    if left <= timedelta():
        return replace(transition, events=(*transition.events, *_events(seen)))
    why = StatusMessage(Reason.ROUTE_EDITED, f"{_complaint(seen)}; it is set again in {format_duration(left)}")
    return replace(transition, split=seen.split, keeps_route=True, reconciling=why, requeue_after=left)


def _pause(seen: Observation) -> timedelta:
    times = len(seen.restorations)
    if not times:
        return timedelta()
    longest = LONGEST_PAUSE_UNGRANTED if _sends_ungranted(seen) else LONGEST_PAUSE
    return doubled(FIRST_PAUSE, times - 1, longest)


def _sends_ungranted(seen: Observation) -> bool:
    wanted = granted(seen.recorded, seen.spec.strategy)
    return wanted is not None and any(
        weight > wanted.weight(name) for name, weight in seen.split or () if name != seen.recorded.stable
    )


def _events(seen: Observation) -> tuple[Event, ...]:
    if len(seen.restorations) != QUARREL:
        return ()
    return (Event(Reason.ROUTE_EDITED, f"{_complaint(seen)}; it is set again less and less often", warning=True),)


def _complaint(seen: Observation) -> str:
    times = len(seen.restorations)
    who = seen.route.edited_by or "somebody"
    often = "once" if times == 1 else f"{times} times"
    return f"{who} edits the route of {seen.name}, which was set again {often} within {format_duration(MEMORY)}"
