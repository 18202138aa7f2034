"""decide(): which of the situations this is, and what follows. Pure."""

from dataclasses import replace
from typing import assert_never

from tidegate.decide.blue_green import SWITCHED, decide_blue_green
from tidegate.decide.canary import decide_canary, weight_at
from tidegate.decide.status_view import with_view
from tidegate.decide.transition import PODS_STARTING, Transition, abandon, begin, is_drained, to_decision, with_shift
from tidegate.model.decision import Decision, Event
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.spec import BlueGreen, Canary, Strategy
from tidegate.model.status import AnalysisView, Rollout, Status
from tidegate.model.traffic import TrafficSplit


def decide(seen: Observation) -> Decision:
    """What to do about one ModelDeployment. The same observation always gives the same decision."""
    transition = _transition(seen)
    status = _timed(seen, with_shift(seen, transition))
    return to_decision(seen, _with_events(seen, transition), with_view(seen, transition, status))


def _transition(seen: Observation) -> Transition:
    recorded = seen.recorded
    if recorded.stable is None:
        return _first_release(seen)
    if seen.desired == recorded.stable:
        return abandon(seen, recorded.rollout) if recorded.rollout else _keep(seen)
    if recorded.rollout is None or recorded.rollout.candidate != seen.desired:
        return _keep(seen) if _rejected(seen) else begin(seen)
    if not _fits(seen.spec.strategy, recorded.rollout):
        return begin(seen)
    match seen.spec.strategy:
        case Canary() as canary:
            return decide_canary(seen, canary, recorded.rollout)
        case BlueGreen() as blue_green:
            return decide_blue_green(seen, blue_green, recorded.rollout)
        case _ as unhandled:
            assert_never(unhandled)


def _rejected(seen: Observation) -> bool:
    rejected = seen.recorded.rejected
    if seen.recorded.rollout is not None or rejected is None:
        return False
    return rejected.revision == seen.desired and rejected.plan == seen.plan


def _fits(strategy: Strategy, rollout: Rollout) -> bool:
    """Whether the step that was granted carries the weight that was granted with it.

    After an edit of the strategy its number may stand for more traffic than any verdict allowed.
    """
    granted = rollout.shifts[-1].weight if rollout.shifts else 0
    if isinstance(strategy, Canary):
        # A blue-green switch is step 2 too, and had no smaller weight before it.
        promoted_by_steps = rollout.step <= len(strategy.steps) or any(shift.weight < 100 for shift in rollout.shifts)
        return promoted_by_steps and granted == weight_at(strategy, rollout.step)
    return granted == (100 if rollout.step == SWITCHED else 0)


def _keep(seen: Observation) -> Transition:
    """No rollout: stable has all the traffic, and whatever is left of others goes."""
    stable = seen.recorded.stable or ""
    rejected = seen.recorded.rejected if seen.desired != stable else None
    stalled = (rejected.reason, rejected.message) if rejected else None
    return Transition(
        replace(seen.recorded, rejected=rejected),
        TrafficSplit.only(stable),
        "RolledBack" if rejected else "Live",
        stalled=stalled,
    )


def _first_release(seen: Observation) -> Transition:
    """Nothing is stable yet, so there is nothing to compare with: the first revision goes live when a pod is ready."""
    state = seen.state(seen.desired)
    rollout = seen.recorded.rollout
    if rollout is None or rollout.candidate != seen.desired:
        rollout = Rollout(seen.desired, seen.now, 0, seen.now)
    if state.ready > 0:
        message = f"{seen.desired} is live: the first revision of {seen.name}"
        return Transition(
            replace(seen.recorded, stable=seen.desired, rollout=None, rejected=None),
            TrafficSplit.only(seen.desired),
            "Live",
            events=(Event("Live", message),),
            traffic_first=True,
            requeue_after=PODS_STARTING,
        )
    why = state.failure.message if state.failure else "its pods are starting"
    waited = seen.now - rollout.started_at >= seen.spec.progress_deadline
    hopeless = (state.failure is not None and state.failure.permanent) or waited
    reason = state.failure.reason if state.failure else "PodsStarting"
    message = f"{seen.desired} isn't ready yet: {why}"
    return Transition(
        replace(seen.recorded, rollout=rollout),
        seen.split,
        "Failed" if hopeless else "Starting",
        reconciling=None if hopeless else (reason, message),
        stalled=(reason, message) if hopeless else None,
        candidate_replicas=seen.spec.replicas,
        requeue_after=PODS_STARTING,
    )


def _timed(seen: Observation, status: Status) -> Status:
    """Notes when a rolled-back revision was first seen without traffic."""
    if not status.history or status.rollout is not None or seen.share is None:
        return status
    newest = status.history[0]
    if newest.outcome != "RolledBack" or newest.seconds_to_zero_traffic is not None:
        return status
    if not is_drained(seen, newest.revision) or seen.recorded.shifted_at is None:
        return status
    seconds = (seen.share.since - newest.finished_at).total_seconds()
    timed = replace(newest, seconds_to_zero_traffic=max(0.0, seconds))
    return replace(status, history=(timed, *status.history[1:]))


def _with_events(seen: Observation, transition: Transition) -> Transition:
    """Adds what changed in the judge's sight, in the pods' trouble, and in what the rollout waits for."""
    extra: list[Event] = []
    before = seen.recorded.analysis
    blind = seen.verdict.answer is Answer.CANNOT_SEE
    if seen.recorded.rollout and transition.status.rollout and seen.recorded.stable:
        if blind and not _was_blind(before):
            extra.append(Event(seen.verdict.reason, f"the rollout holds: {seen.verdict.message}", warning=True))
        if seen.verdict.caution and (before is None or before.caution != seen.verdict.caution):
            extra.append(Event("NoisyStable", seen.verdict.caution, warning=True))
        if _was_blind(before) and not blind:
            extra.append(Event("MetricsSeen", "the metrics can be seen again, the rollout goes on"))
    stuck_before = seen.recorded.condition("Stalled")
    if (
        transition.stalled
        and not transition.events
        and (stuck_before is None or stuck_before.reason != transition.stalled[0])
    ):
        extra.append(Event(transition.stalled[0], transition.stalled[1], warning=True))
    doing_before = seen.recorded.condition("Reconciling")
    if (
        transition.reconciling
        and transition.reconciling[0] in TOLD
        and (doing_before is None or doing_before.reason != transition.reconciling[0])
    ):
        extra.append(Event(transition.reconciling[0], transition.reconciling[1], warning=True))
    return replace(transition, events=(*transition.events, *extra)) if extra else transition


TOLD = frozenset(
    {
        "PodsNotReady",
        "ShareUnlikeWeight",
        "SuspicionOfWorse",
        "StableUnwell",
        "PredictionsDiffer",
        "ConstantOutput",
        "QueryBeyondLimit",
        "QueryUnusable",
    }
)
"""Holds that somebody should hear of; waiting for pods or for evidence is what every rollout does."""


def _was_blind(before: AnalysisView | None) -> bool:
    return before is not None and before.verdict == Answer.CANNOT_SEE.value
