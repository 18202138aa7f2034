"""The transitions that every strategy is made of. Pure.

A transition names what should be true next: who is stable, where the rollout stands, how traffic is split. The order of
the writes that make it true is in `write_order`.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.decide.capacity import full_size, replicas_at_start
from tidegate.decide.deadline import is_out_of_time
from tidegate.decide.gates import pods_missing, told_exposure
from tidegate.decide.rollback_window import left_stable_at
from tidegate.judge.sampling import INGESTION_LAG, until_next_point
from tidegate.model.control import Intent
from tidegate.model.decision import Event
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Outcome, Phase, Reason, StatusMessage
from tidegate.model.spec import Strategy
from tidegate.model.status import HistoryEntry, Rejected, Rollout, Status
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration

PODS_STARTING = timedelta(seconds=5)
"""Pods announce themselves; this is only for what doesn't, such as a deadline."""


@dataclass(frozen=True)
class Transition:
    """What should be true next. `reconciling` and `stalled` are the conditions of these names, as kstatus has them."""

    status: Status
    split: TrafficSplit | None
    phase: Phase
    reconciling: StatusMessage | None = None
    stalled: StatusMessage | None = None
    candidate_replicas: int | None = None
    """Pods that the candidate needs; None where there is no candidate."""
    events: tuple[Event, ...] = ()
    traffic_first: bool = False
    """Whether the route is written before the status: where traffic returns to stable."""
    requeue_after: timedelta | None = None
    keeps_route: bool = False
    """Whether the route stays as somebody edited it, for a while."""


def hold(seen: Observation, phase: Phase, why: StatusMessage, *, replicas: int | None = None) -> Transition:
    """Nothing moves: the rollout holds where it is, and traffic stays as it was granted."""
    rollout, split = seen.recorded.rollout, seen.split
    if rollout is not None and not rollout.shifts:
        # Whoever had traffic before it has none any more; the guard knows when that can't be yet.
        split = TrafficSplit.between(seen.recorded.stable or "", rollout.candidate, 0)
    return Transition(seen.recorded, split, phase, why, candidate_replicas=replicas, requeue_after=next_reconcile(seen))


def advance(
    seen: Observation, rollout: Rollout, step: int, phase: Phase, why: StatusMessage, replicas: int
) -> Transition:
    """The rollout enters `step`, or takes it up again, with the weight that the strategy has there."""
    entered = step != rollout.step
    started = seen.now if entered else rollout.step_started_at
    strategy = seen.spec.strategy
    split = TrafficSplit.between(
        seen.recorded.stable or "",
        rollout.candidate,
        strategy.weight_at(step),
        mirrored=strategy.mirror_at(step),
        rules=strategy.rules_at(step),
    )
    return Transition(
        replace(seen.recorded, rollout=replace(rollout, step=step, step_started_at=started)),
        split if entered else granted_split(seen.recorded.stable or "", rollout, strategy),
        phase,
        why,
        candidate_replicas=replicas,
        events=(Event(why.reason, why.message),) if entered else (),
        requeue_after=seen.spec.analysis.interval + INGESTION_LAG,
    )


def restore(seen: Observation, rollout: Rollout, phase: Phase, replicas: int) -> Transition | None:
    """Where the route says something else than was granted: a write was lost, or somebody edited it."""
    granted = rollout.granted
    if seen.split == granted_split(seen.recorded.stable or "", rollout, seen.spec.strategy):
        return None
    if missing := pods_missing(seen, rollout.candidate, replicas, granted, rollout.mirrored):
        return hold(seen, Phase.HELD, missing, replicas=replicas)
    grows = seen.split is not None and granted > seen.split.weight(rollout.candidate)
    if grows and seen.verdict.answer is Answer.CANNOT_SEE and not rollout.fast_track:
        return hold(seen, Phase.HELD, StatusMessage(seen.verdict.reason, seen.verdict.message), replicas=replicas)
    what = told_exposure(granted, rollout.mirrored, matched=rollout.is_matched)
    message = f"the route differed from step {rollout.step} and is set to {what} again"
    return advance(seen, rollout, rollout.step, phase, StatusMessage(Reason.TRAFFIC_RESTORED, message), replicas)


def granted_split(stable: str, rollout: Rollout, strategy: Strategy) -> TrafficSplit:
    """How requests are split by what was granted last. Of a group only that there is one is recorded."""
    rules = strategy.rules_at(rollout.step) if rollout.is_matched else ()
    return TrafficSplit.between(stable, rollout.candidate, rollout.granted, mirrored=rollout.mirrored, rules=rules)


def begin(seen: Observation) -> Transition:
    """A new rollout of the desired revision; a rollout of another one that was under way is superseded."""
    stable, desired = seen.recorded.stable or "", seen.desired
    recorded = seen.recorded
    events: tuple[Event, ...] = ()
    if recorded.rollout is not None:
        if desired != recorded.rollout.candidate and _has_earned_its_traffic(seen, recorded.rollout):
            return replace(complete(seen, recorded.rollout, Reason.NEWER_SPEC), requeue_after=timedelta(seconds=1))
        why = _superseded(recorded.rollout, desired)
        recorded = _ended(seen, recorded.rollout, Outcome.SUPERSEDED, why)
        events = (Event(Reason.SUPERSEDED, why.message),)
    started = _started(seen, stable)
    fast_track = started.reason == Reason.RETURNING
    rollout = Rollout(desired, seen.now, 0, seen.now, fast_track=fast_track, replicas=replicas_at_start(seen))
    return Transition(
        replace(recorded, rollout=rollout, rejected=None, analysis=None),
        TrafficSplit.between(stable, desired, 0),
        Phase.STARTING,
        started,
        candidate_replicas=full_size(seen.spec, rollout) if fast_track else 1,
        events=(*events, Event(started.reason, started.message)),
        traffic_first=True,
        requeue_after=PODS_STARTING,
    )


def _has_earned_its_traffic(seen: Observation, rollout: Rollout) -> bool:
    """Whether a candidate that has all the traffic may keep it although the spec asks for another one by now.

    The evidence decides: only one that is shown to be acceptable does, or that was stable before.
    """
    serves = seen.split is not None and seen.split.weight(rollout.candidate) == 100 == rollout.granted
    at_full_size = seen.state(rollout.candidate).ready >= full_size(seen.spec, rollout)
    return serves and at_full_size and (rollout.fast_track or seen.verdict.answer is Answer.ACCEPTABLE)


def _started(seen: Observation, stable: str) -> StatusMessage:
    left = left_stable_at(seen)
    if left is None:
        return StatusMessage(Reason.ROLLOUT_STARTED, f"{seen.desired} comes up beside {stable}, without traffic")
    ago, window = format_duration(max(timedelta(), seen.now - left)), format_duration(seen.spec.rollback_window)
    message = (
        f"{seen.desired} was stable until {ago} ago, within rollbackWindow ({window}): "
        "it gets all requests in one shift as soon as its pods are ready"
    )
    return StatusMessage(Reason.RETURNING, message)


def _superseded(rollout: Rollout, desired: str) -> StatusMessage:
    if rollout.candidate == desired:
        message = f"the rollout of {desired} begins anew with the strategy as it is now"
        return StatusMessage(Reason.STRATEGY_CHANGED, message)
    return StatusMessage(Reason.NEWER_SPEC, f"{rollout.candidate} gives way to {desired}, which the spec asks for now")


def roll_back(seen: Observation, rollout: Rollout, why: StatusMessage) -> Transition:
    """All traffic returns to stable, now; the candidate isn't tried again until the user changes something."""
    sentence = f"{rollout.candidate} was rolled back: {why.message}"
    event = Event(Reason.ROLLED_BACK, f"{why.reason}: {sentence}", warning=True)
    return _rejected(seen, rollout, Outcome.ROLLED_BACK, StatusMessage(why.reason, sentence), event)


def abort(seen: Observation, rollout: Rollout, intent: Intent) -> Transition:
    """Somebody wants the rollout to end now; the candidate isn't tried again until somebody wants that."""
    sentence = f"{rollout.candidate} was aborted {intent.asked}"
    stalled = StatusMessage(Reason.ABORTED, sentence)
    return _rejected(seen, rollout, Outcome.ABORTED, stalled, Event(Reason.ABORTED, sentence))


def _rejected(
    seen: Observation, rollout: Rollout, outcome: Outcome, stalled: StatusMessage, event: Event
) -> Transition:
    recorded = _ended(seen, rollout, outcome, stalled)
    rejected = Rejected(rollout.candidate, seen.plan, stalled.reason, stalled.message)
    return _only_stable(seen, replace(recorded, rejected=rejected), Phase.ROLLED_BACK, event, stalled=stalled)


def abandon(seen: Observation, rollout: Rollout) -> Transition:
    """The spec asks for the stable revision again: the rollout ends at once."""
    message = f"the spec asks for {seen.recorded.stable} again, so the rollout of {rollout.candidate} ends"
    recorded = _ended(seen, rollout, Outcome.ABORTED, StatusMessage(Reason.SPEC_RETURNED_TO_STABLE, message))
    return _only_stable(seen, recorded, Phase.LIVE, Event(Reason.ABORTED, message))


def _only_stable(
    seen: Observation, recorded: Status, phase: Phase, event: Event, stalled: StatusMessage | None = None
) -> Transition:
    return Transition(
        recorded,
        TrafficSplit.only(seen.recorded.stable or ""),
        phase,
        stalled=stalled,
        events=(event,),
        traffic_first=True,
        requeue_after=seen.spec.analysis.interval,
    )


def complete(seen: Observation, rollout: Rollout, reason: Reason) -> Transition:
    """The candidate, which has all the traffic already, is stable from now on. Its pods aren't touched."""
    why = f"promoted in full {rollout.by_hand.full_by}" if reason == Reason.PROMOTED_BY_HAND else seen.verdict.message
    message = f"{rollout.candidate} is stable: {why}"
    recorded = _ended(seen, rollout, Outcome.PROMOTED, StatusMessage(reason, message))
    return Transition(
        replace(recorded, stable=rollout.candidate, rejected=None),
        TrafficSplit.only(rollout.candidate),
        Phase.LIVE,
        events=(Event(Reason.PROMOTED, message),),
        requeue_after=seen.spec.analysis.interval,
    )


def doubted_too_long(seen: Observation, rollout: Rollout, waits: Transition) -> Transition:
    """A rollout that has all the traffic, Stalled where its evidence leaves doubts for longer than the deadline."""
    why = waits.reconciling
    if why is None or why.reason != seen.verdict.reason or not is_out_of_time(seen, rollout):
        return waits
    return replace(waits, reconciling=None, stalled=why)


def next_reconcile(seen: Observation) -> timedelta:
    """When the counters have a new block to judge; in the meantime only events matter."""
    rollout = seen.recorded.rollout
    if rollout is None or not rollout.shifts:
        return PODS_STARTING
    return until_next_point(rollout.shifts[-1].at, seen.spec.analysis.interval, seen.now) + INGESTION_LAG


def _ended(seen: Observation, rollout: Rollout, outcome: Outcome, why: StatusMessage) -> Status:
    entry = HistoryEntry(
        revision=rollout.candidate,
        outcome=outcome,
        reason=why.reason,
        message=why.message,
        started_at=rollout.started_at,
        finished_at=seen.now,
        requests=seen.verdict.exposed.requests,
        failed=seen.verdict.exposed.failed,
        shadow_requests=seen.verdict.shadowed.requests,
        stable=seen.recorded.stable or "",
        shifts=rollout.shifts,
        replicas=full_size(seen.spec, rollout),
    )
    return replace(seen.recorded, rollout=None).with_history(entry)
