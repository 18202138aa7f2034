"""Since when a rollout waits, and for what. Pure.

Every wait for the world (pods, routers, metrics) has a limit: after `progressDeadline` without progress the rollout is
Stalled and says why. Only the instants at which a wait began are recorded.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.decide.capacity import full_size
from tidegate.decide.deadline import suspended_since
from tidegate.decide.transition import Transition
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Reason, StatusMessage
from tidegate.model.status import Rollout, Since, Status
from tidegate.model.units import format_duration

PODS = frozenset({Reason.PODS_STARTING, Reason.PODS_NOT_READY, Reason.SCALING_UP, Reason.REPLICA_FAILURE})
ROUTERS = frozenset(
    {
        Reason.SHARE_NOT_SEEN,
        Reason.SHARE_UNLIKE_WEIGHT,
        Reason.WAITING_FOR_ZERO_TRAFFIC,
        Reason.ROUTE_REFUSED,
        Reason.ROUTE_NOT_APPLIED,
        Reason.HOSTNAME_TAKEN,
    }
)

GATES = frozenset({Reason.GATE_ASKED, Reason.GATE_REFUSED, Reason.GATE_FAILED})


PEOPLE = frozenset({Reason.WAITING_FOR_APPROVAL, Reason.STEP_PAUSED})


def limited(seen: Observation, transition: Transition) -> Transition:
    """The transition, Stalled where what it waits for has been waited for as long as may be."""
    rollout, waits = seen.recorded.rollout, transition.reconciling
    if rollout is None or transition.status.rollout is None or waits is None or transition.stalled:
        return transition
    began = _waits_since(seen, rollout.since, waits.reason)
    limit = seen.spec.progress_deadline
    if began is None or seen.spec.paused or seen.now - began < limit:
        return transition
    why = StatusMessage(waits.reason, f"for {format_duration(limit)} or longer without progress: {waits.message}")
    return replace(transition, phase=Phase.HELD, reconciling=None, stalled=why)


def with_waits(seen: Observation, transition: Transition, status: Status) -> Status:
    """`status` with what its rollout waits for, and for how long its deadlines stood still so far."""
    rollout = status.rollout
    if rollout is None:
        return status
    before = seen.recorded.rollout
    if before is None or (before.candidate, before.started_at) != (rollout.candidate, rollout.started_at):
        before = replace(rollout, since=Since())
    since = _since(seen, transition, before.since, rollout)
    suspended = _suspended_seconds(seen, before, since) if before.shifts else 0
    return replace(status, rollout=replace(rollout, since=since, suspended_seconds=suspended))


def _waits_since(seen: Observation, since: Since, reason: str) -> datetime | None:
    if reason in ROUTERS:
        return since.routers
    if reason in PODS:
        return since.pods
    return since.unseen if seen.verdict.answer is Answer.CANNOT_SEE and reason == seen.verdict.reason else None


def _since(seen: Observation, transition: Transition, before: Since, rollout: Rollout) -> Since:
    def kept(began: datetime | None, *, is_so: bool) -> datetime | None:
        return (began or seen.now) if is_so else None

    paused, unseen = seen.spec.paused, seen.verdict.answer is Answer.CANNOT_SEE
    told = transition.stalled or transition.reconciling
    by_people = paused or (told is not None and told.reason in PEOPLE)
    ready = seen.state(rollout.candidate).ready
    serves_all = rollout.granted == 100 and ready >= full_size(seen.spec, rollout)
    missing = ready < (transition.candidate_replicas or 0)
    return Since(
        paused=kept(before.paused, is_so=by_people),
        unseen=kept(before.unseen, is_so=unseen),
        pods=kept(None if _has_grown(seen, rollout, ready) else before.pods, is_so=missing and not paused),
        routers=kept(before.routers, is_so=told is not None and told.reason in ROUTERS and not paused),
        steady=kept(before.steady, is_so=serves_all and not unseen),
        gates=kept(before.gates, is_so=told is not None and told.reason in GATES),
    )


def _has_grown(seen: Observation, rollout: Rollout, ready: int) -> bool:
    """Whether a pod has got ready since the status was recorded."""
    view = seen.recorded.candidate_view
    return view is not None and view.revision == rollout.candidate and ready > view.ready_replicas


def _suspended_seconds(seen: Observation, before: Rollout, since: Since) -> int:
    """What was recorded, and the time from when the deadlines came to stand until they ran, or stood for less."""
    began = suspended_since(before.since)
    if began is None:
        return before.suspended_seconds
    still = suspended_since(since) or seen.now
    first = before.shifts[0].at
    return before.suspended_seconds + max(timedelta(), max(still, first) - max(began, first)) // timedelta(seconds=1)
