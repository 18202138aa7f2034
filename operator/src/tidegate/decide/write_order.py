"""The writes that make a transition true, and their order, fixed here once for all strategies. Pure.

* Pods first: nothing gets traffic before its pods are ready. But what takes traffic away waits for no pod and for no
  record: it comes before them.
* The status before the route when traffic grows: after a crash the recorded step is carried out.
* The route before the status when traffic returns: seconds matter, and after a crash the judge says the same again.
* Nothing is deleted before the routers have been seen to send it nothing.
* What is new is recorded before its pods: people and tools see at once that it isn't ready, and a write that is taken
  shows that the object is still there.
* Its first route is recorded once the routers have it, which is some milliseconds later and makes one write of two.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from tidegate.decide.capacity import stable_size, until_fewer
from tidegate.decide.draining import is_drained
from tidegate.decide.leaving import LISTED_ON, still_listed
from tidegate.decide.transition import Transition
from tidegate.model import actions
from tidegate.model.actions import Action
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.revision import ModelFacts, RevisionState
from tidegate.model.status import Rollout, Shift, Status
from tidegate.model.writing_pace import numbers_each

ROUTERS_STARTING = timedelta(seconds=15)
"""Routers say what they have taken; this is only for one that says nothing any more."""

ROUTERS_TAKE = timedelta(seconds=1)
"""In which they have a first route; they say so, too."""


def to_decision(seen: Observation, transition: Transition, status: Status, before: Status) -> Decision:
    """Puts a transition's writes in order. `status` is its own, completed for people; `before` is what is recorded."""
    differs = transition.split is not None and (transition.split != seen.split or not seen.route_settings_match)
    shifting = (differs or _leaves(seen, transition)) and not transition.keeps_route
    waits = shifting and seen.split is None and before.stable is None and transition.status.rollout is None
    is_news = not waits and _is_news(seen, status, before)
    record: tuple[Action, ...] = (actions.RecordStatus(status),) if is_news else ()
    shift: tuple[Action, ...] = (actions.ShiftTraffic(transition.split),) if shifting and transition.split else ()
    pods = tuple(_pods(seen, transition))
    written = shift + record if transition.traffic_first else record + shift
    is_new = before == Status() and seen.split is None and not shift
    first = shift + record if _takes_away(seen, transition) else record if is_new else ()
    ordered = (
        *(first + pods if first else pods + written),
        *_restart(seen, status, before),
        *_pins(seen),
        *_deletions(seen, transition),
    )
    return Decision(status, ordered, transition.events, ROUTERS_TAKE if waits else _requeue_after(seen, transition))


def _leaves(seen: Observation, transition: Transition) -> bool:
    """Whether something may be left out of the route's list that isn't part of the split any more."""
    split = transition.split
    return split is not None and not seen.route.leaving <= {*still_listed(seen, split), *(name for name, _ in split)}


def _is_news(seen: Observation, status: Status, before: Status) -> bool:
    """Whether a status is worth a write: at once where something happened, now and then where only numbers did."""
    told = before.analysis
    if told is None or told.updated_at is None or status.analysis is None:
        return status != before
    if replace(status, analysis=replace(status.analysis, updated_at=told.updated_at)) == before:
        return False
    return (
        seen.now - told.updated_at >= numbers_each(seen.rollouts)
        or status.without_numbers() != before.without_numbers()
    )


def _requeue_after(seen: Observation, transition: Transition) -> timedelta | None:
    if transition.requeue_after is not None:
        return transition.requeue_after
    if any(state.replicas is not None for state in _unused(seen, transition)):
        return seen.propagation_delay
    if seen.route.leaving:
        return LISTED_ON
    if not seen.route_applied:
        return ROUTERS_STARTING
    is_larger = transition.status.rollout is None and stable_size(seen, transition.status) > seen.spec.replicas
    return until_fewer(seen, transition.status) if is_larger else None


def _takes_away(seen: Observation, transition: Transition) -> bool:
    """Whether anybody but stable loses traffic that it has: nothing that may fail stands before that."""
    stable, after = transition.status.stable, transition.split
    if after is None:
        return False
    if seen.split is None:
        # Of a route that can't be read nobody knows what routers make of it.
        return seen.recorded.stable is not None and after.weight(stable) == 100
    others = [(name, weight) for name, weight in seen.split if name != stable]
    split = seen.split
    return any(
        after.weight(name) < weight or (split.reaches(name) and not after.reaches(name)) for name, weight in others
    )


def with_shift(seen: Observation, transition: Transition) -> Status:
    """The transition's status with the time of its shift, if it moves traffic."""
    if transition.split is None or transition.split == seen.split:
        return transition.status
    status = replace(transition.status, shifted_at=seen.now)
    rollout = status.rollout
    if rollout is None:
        return status
    split, candidate = transition.split, rollout.candidate
    shift = Shift(seen.now, split.weight(candidate), split.mirrored(candidate), split.is_matched(candidate))
    if not (split.reaches(candidate) or rollout.shifts):
        return status
    return replace(status, rollout=replace(rollout, shifts=_with_shift(seen, rollout, shift)))


def _with_shift(seen: Observation, rollout: Rollout, shift: Shift) -> tuple[Shift, ...]:
    """A hundred at most: the first one, from which the deadline counts, and the latest.

    A shift that no router has taken yet is still the same one: its write failed, and is tried again.
    """
    before = rollout.shifts
    is_same = bool(before) and replace(before[-1], at=shift.at) == shift
    if is_same and seen.route.edited_by:
        return before  # what was granted is restored
    if is_same and (seen.recorded.applied_candidate != shift.weight or shift.mirror or shift.matched):
        before = before[:-1]
    return (*before[:1], *before[1:][-98:], shift)


def _pods(seen: Observation, transition: Transition) -> Iterator[Action]:
    stable, rollout = transition.status.stable, transition.status.rollout
    if stable:
        yield from _sized(seen, stable, stable_size(seen, transition.status), may_shrink=rollout is None)
    if rollout is not None and transition.candidate_replicas is not None:
        # A candidate only grows while its rollout lasts: its pods carry the traffic that is being measured.
        yield from _sized(
            seen, rollout.candidate, transition.candidate_replicas, may_shrink=rollout.candidate == stable
        )
    if not seen.found_by_clients:
        yield actions.EnsureClientServices()


def _sized(seen: Observation, revision: str, replicas: int, *, may_shrink: bool) -> Iterator[Action]:
    state = seen.state(revision)
    if state.snapshot is None or state.replicas is None or not state.reachable or not state.config_kept:
        yield actions.EnsureRevision(revision, replicas)
    if state.replicas is None:
        return
    if state.replicas < replicas or (may_shrink and state.replicas > replicas):
        yield actions.ScaleRevision(revision, replicas)


def _restart(seen: Observation, status: Status, before: Status) -> Iterator[Action]:
    """Of what was recorded in an earlier pass: asked for again after a crash, it has the same time."""
    restart = status.restart
    if restart and restart == before.restart and seen.state(restart.revision).restarted_at != restart.at:
        yield actions.RestartRevision(restart.revision, restart.at)


def _pins(seen: Observation) -> tuple[Action, ...]:
    return tuple(
        actions.PinModel(state.name, state.facts.sha256, state.facts.files_sha256)
        for state in seen.revisions.values()
        if state.facts and _unpinned(state, state.facts)
    )


def _unpinned(state: RevisionState, facts: ModelFacts) -> bool:
    if state.snapshot is None or state.replicas is None:
        return False
    if state.pinned is not None:
        return not state.pin_kept and state.pinned == facts.sha256
    # The user's digest is the ONNX file's alone.
    return state.snapshot.model.sha256 is None or facts.files_sha256 is not None


def _unused(seen: Observation, transition: Transition) -> list[RevisionState]:
    """Neither stable nor the candidate, the oldest first."""
    status = transition.status
    used = {status.stable, status.rollout.candidate if status.rollout else None}
    return sorted((state for state in seen.revisions.values() if state.name not in used), key=lambda it: it.number)


def _deletions(seen: Observation, transition: Transition) -> Iterator[Action]:
    unused, keep = _unused(seen, transition), seen.spec.revision_history_limit
    successor_is_ready = seen.state(transition.status.stable).ready > 0
    for state in sorted(unused, key=lambda it: it.name):
        # What could still serve is kept while what is to serve can't; pods that serve nobody may stand in its way.
        goes = state.replicas is not None and (successor_is_ready or state.ready == 0)
        listed = state.name in (seen.split or ()) or state.name in seen.route.leaving
        if goes and not listed and is_drained(seen, state.name):
            yield actions.DeleteWorkload(state.name)
    snapshots = [state.name for state in unused if state.replicas is None]
    for name in snapshots[: max(0, len(snapshots) - keep)]:
        yield actions.DeleteSnapshot(name)
