"""decide(): which of the situations this is, and what follows. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from tidegate.decide.blue_green import decide_blue_green
from tidegate.decide.canary import decide_canary
from tidegate.decide.capacity import is_scaled_to_zero, with_floor
from tidegate.decide.controls import hear, with_controls
from tidegate.decide.destinations import guarded
from tidegate.decide.disruption import with_budgets
from tidegate.decide.draining import is_drained
from tidegate.decide.edited_strategy import fits
from tidegate.decide.fast_track import decide_fast_track
from tidegate.decide.gate_answers import until_asked_again, with_answers, with_gate_records
from tidegate.decide.notices import with_notices
from tidegate.decide.progress import PEOPLE, limited, with_waits
from tidegate.decide.refused_write import told
from tidegate.decide.restart import with_restart
from tidegate.decide.route_restoration import patient
from tidegate.decide.sound_clock import TOLERANCE, with_sound_clock
from tidegate.decide.status_view import with_view
from tidegate.decide.transition import PODS_STARTING, Transition, abandon, begin
from tidegate.decide.write_order import to_decision, with_shift
from tidegate.judge.query_limits import field_of
from tidegate.model.decision import Decision, Event
from tidegate.model.evidence import Answer, QueryState, Verdict
from tidegate.model.inputs import InputState
from tidegate.model.observation import Observation
from tidegate.model.own_query import OwnQuery
from tidegate.model.reasons import ConditionType, Outcome, Phase, Reason, StatusMessage
from tidegate.model.spec import BlueGreen, Canary
from tidegate.model.status import AnalysisView, Rejected, Rollout, Status
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration


def decide(seen: Observation) -> Decision:
    """What to do about one ModelDeployment. The same observation always gives the same decision."""
    recorded, heard = seen.recorded, hear(with_answers(with_sound_clock(seen)))
    seen = heard.seen
    transition = heard.transition or with_restart(seen, _in_time(seen, _transition(seen)))
    transition = told(seen, patient(seen, limited(seen, guarded(seen, transition))))
    transition = replace(transition, events=(*transition.events, *_events(seen, transition)))
    status = with_waits(seen, transition, _timed(seen, with_shift(seen, transition)))
    status = with_floor(seen, with_gate_records(transition.reconciling, status))
    status = with_notices(seen, transition, with_view(seen, transition, status))
    decision = to_decision(seen, transition, status, recorded)
    return with_controls(heard, with_budgets(seen, decision))


def _transition(seen: Observation) -> Transition:
    recorded = seen.recorded
    if recorded.stable is None:
        return _adopted(seen) or _first_release(seen)
    if seen.desired == recorded.stable:
        return abandon(seen, recorded.rollout) if recorded.rollout else _keep(seen)
    if recorded.rollout is None or recorded.rollout.candidate != seen.desired:
        if is_scaled_to_zero(seen):
            return replace(_keep(seen), reconciling=_waits_for_pods(seen))
        return _keep(seen) if _rejected(seen) else begin(seen)
    if recorded.rollout.fast_track:
        return decide_fast_track(seen, recorded.rollout)
    if not fits(seen.spec.strategy, recorded.rollout):
        return begin(seen)
    match seen.spec.strategy:
        case Canary() as canary:
            return decide_canary(seen, canary, recorded.rollout)
        case BlueGreen() as blue_green:
            return decide_blue_green(seen, blue_green, recorded.rollout)
        case _ as unhandled:
            assert_never(unhandled)


def _in_time(seen: Observation, transition: Transition) -> Transition:
    pause = until_asked_again(seen, transition.reconciling)
    if pause is None or transition.requeue_after is None:
        return transition
    return replace(transition, requeue_after=min(pause, transition.requeue_after))


def _rejected(seen: Observation) -> bool:
    rejected = seen.recorded.rejected
    if seen.recorded.rollout is not None or rejected is None:
        return False
    return rejected.revision == seen.desired and rejected.plan == seen.plan


def _keep(seen: Observation) -> Transition:
    """No rollout: stable has all the traffic, and whatever is left of others goes."""
    stable = seen.recorded.stable or ""
    rejected = seen.recorded.rejected if seen.desired != stable else None
    return Transition(
        replace(seen.recorded, rejected=rejected),
        TrafficSplit.only(stable),
        Phase.ROLLED_BACK if rejected else Phase.LIVE,
        reconciling=_still_served(seen, rejected) if rejected else None,
        stalled=StatusMessage(rejected.reason, rejected.message) if rejected else None,
    )


def _still_served(seen: Observation, rejected: Rejected) -> StatusMessage | None:
    """Says so while routers are still seen to send requests to a revision that was rolled back."""
    gone = rejected.revision not in seen.revisions or seen.state(rejected.revision).replicas is None
    if gone or (seen.split == TrafficSplit.only(seen.recorded.stable or "") and is_drained(seen, rejected.revision)):
        return None
    message = f"all requests are to go to {seen.recorded.stable}; waiting to see the last leave {rejected.revision}"
    return StatusMessage(Reason.WAITING_FOR_ZERO_TRAFFIC, message)


def _adopted(seen: Observation) -> Transition | None:
    """Without a recorded stable revision, the one that the route names first is it: a status may be lost, it isn't.

    A restored backup has no status, and nothing may be promoted for that. A candidate is named second for as long as
    its rollout lasts, though it has the most traffic, or all of it.
    """
    first = next((name for name, _ in seen.split or () if seen.state(name).snapshot), seen.desired)
    if first == seen.desired:
        return None
    message = f"{first} is stable again: the route names it first, and the status didn't say which revision is"
    return Transition(
        replace(seen.recorded, stable=first, rollout=None),
        # Only the record is made now: whoever answers in the meantime goes on until that revision has pods.
        TrafficSplit.only(first) if seen.state(first).ready > 0 else seen.split,
        Phase.LIVE,
        events=(Event(Reason.STABLE_ADOPTED, message, warning=True),),
        traffic_first=True,
        requeue_after=PODS_STARTING,
    )


def _first_release(seen: Observation) -> Transition:
    """Nothing is stable yet, so there is nothing to compare with: the first revision goes live when a pod is ready."""
    if seen.state(seen.desired).ready > 0 and not _differs(seen):
        message = f"{seen.desired} is live: the first revision of {seen.name}"
        return Transition(
            replace(seen.recorded, stable=seen.desired, rollout=None, rejected=None),
            TrafficSplit.only(seen.desired),
            Phase.LIVE,
            events=() if seen.split == TrafficSplit.only(seen.desired) else (Event(Reason.LIVE, message),),
            traffic_first=True,
        )
    if seen.spec.replicas == 0:
        waits = replace(seen.recorded, rollout=None)
        return Transition(waits, seen.split, Phase.STARTING, reconciling=_waits_for_pods(seen))
    rollout = seen.recorded.rollout
    if rollout is None or rollout.candidate != seen.desired:
        rollout = Rollout(seen.desired, seen.now, 0, seen.now)
    return _first_pods(seen, rollout)


def _waits_for_pods(seen: Observation) -> StatusMessage:
    message = f"spec.replicas is 0, so {seen.desired} waits: it comes up when pods are asked for"
    return StatusMessage(Reason.SCALED_TO_ZERO, message)


def _differs(seen: Observation) -> bool:
    failure = seen.state(seen.desired).failure
    return failure is not None and failure.reason == Reason.FILES_DIFFER


def _first_pods(seen: Observation, rollout: Rollout) -> Transition:
    failure = seen.state(seen.desired).failure
    refused = seen.refusal.message if seen.refusal else "its pods are starting"
    why = failure.message if failure else refused
    reason = failure.reason if failure else Reason.PODS_STARTING
    message = StatusMessage(reason, f"{seen.desired} isn't ready yet: {why}")
    waited = rollout.since.pods is not None and seen.now - rollout.since.pods >= seen.spec.progress_deadline
    hopeless = waited or (failure is not None and failure.permanent)
    return Transition(
        replace(seen.recorded, rollout=rollout),
        seen.split,
        Phase.FAILED if hopeless else Phase.STARTING,
        reconciling=None if hopeless else message,
        stalled=message if hopeless else None,
        candidate_replicas=seen.spec.replicas,
        requeue_after=PODS_STARTING,
    )


def _timed(seen: Observation, status: Status) -> Status:
    """Notes when a rolled-back revision was first seen without traffic."""
    if not status.history or status.rollout is not None or seen.share is None:
        return status
    newest = status.history[0]
    if newest.outcome not in GONE_BACK or newest.seconds_to_zero_traffic is not None:
        return status
    if not is_drained(seen, newest.revision) or seen.recorded.shifted_at is None:
        return status
    seconds = (seen.share.since - newest.finished_at).total_seconds()
    timed = replace(newest, seconds_to_zero_traffic=max(0.0, seconds))
    return replace(status, history=(timed, *status.history[1:]))


GONE_BACK = frozenset({Outcome.ROLLED_BACK, Outcome.ABORTED})
NOTEWORTHY = frozenset(
    {
        Reason.PODS_NOT_READY,
        Reason.REPLICA_FAILURE,
        Reason.SHARE_UNLIKE_WEIGHT,
        Reason.SUSPICION_OF_WORSE,
        Reason.STABLE_UNWELL,
        Reason.PREDICTIONS_DIFFER,
        Reason.CONSTANT_OUTPUT,
        Reason.QUERY_BEYOND_LIMIT,
        Reason.QUERY_UNUSABLE,
        Reason.GATE_REFUSED,
        Reason.GATE_FAILED,
    }
)
"""Holds that somebody should hear of; waiting for pods or for evidence is what every rollout does."""


def _events(seen: Observation, transition: Transition) -> Iterator[Event]:
    """What changed in what can be seen, in the pods' failures, and in what the rollout waits for."""
    if seen.recorded.rollout:
        yield from _events_of_templates(seen.spec.analysis.queries, seen.recorded.analysis)
    if seen.recorded.rollout and transition.status.rollout and seen.recorded.stable:
        yield from _events_of_judging(seen, seen.recorded.analysis)
        yield from _events_of_stable(seen, seen.recorded.rollout)
    if seen.recorded.rollout and abs(seen.clock_jump) > TOLERANCE:
        way = "forward" if seen.clock_jump > timedelta() else "back"
        message = (
            f"the operator's clock was set {way} by {format_duration(abs(seen.clock_jump))}; no deadline counts it"
        )
        yield Event(Reason.CLOCK_JUMPED, message, warning=True)
    stalled, reconciling = transition.stalled, transition.reconciling
    if stalled and not transition.events and _is_new(seen, ConditionType.STALLED, stalled):
        yield Event(stalled.reason, stalled.message, warning=True)
    if reconciling and reconciling.reason in NOTEWORTHY and _is_new(seen, ConditionType.RECONCILING, reconciling):
        yield Event(reconciling.reason, reconciling.message, warning=True)
    if reconciling and reconciling.reason in PEOPLE and _is_new(seen, ConditionType.RECONCILING, reconciling):
        yield Event(reconciling.reason, reconciling.message)


def _events_of_judging(seen: Observation, before: AnalysisView | None) -> Iterator[Event]:
    verdict = seen.verdict
    unseen_before = before is not None and before.verdict == Answer.CANNOT_SEE.value
    unseen = verdict.answer is Answer.CANNOT_SEE
    if unseen and not unseen_before:
        yield Event(verdict.reason, f"the rollout holds: {verdict.message}", warning=True)
    if verdict.caution and (before is None or before.caution != verdict.caution):
        yield Event(Reason.NOISY_STABLE, verdict.caution, warning=True)
    if unseen_before and not unseen:
        yield Event(Reason.METRICS_SEEN, "the metrics can be seen again, the rollout goes on")
    inputs, told = verdict.inputs, seen.recorded.condition(ConditionType.INPUT_CAUTION)
    if inputs and inputs.state is InputState.DIFFER and told is None:
        yield Event(Reason.INPUTS_DIFFER, inputs.message, warning=True)
    yield from _events_of_dry_runs(verdict, before)


def _events_of_templates(queries: Iterable[OwnQuery], before: AnalysisView | None) -> Iterator[Event]:
    """A template that somebody has edited, or deleted, under a rollout that is judged by it."""
    known = {query.name: query.template for query in before.queries if query.template} if before else {}
    for query in queries:
        was = known.get(query.name, query.made_from)
        if was == query.made_from:
            continue
        now = query.problem or f"it is {query.made_from} now, which judges from here on, and its polls begin anew"
        yield Event(
            Reason.TEMPLATE_CHANGED, f"{field_of(query.name)} was made from MetricTemplate {was}: {now}", warning=True
        )


DRY_RUNS = {QueryState.FAILED: Reason.DRY_RUN_FAILED, QueryState.INCONCLUSIVE: Reason.DRY_RUN_INCONCLUSIVE}


def _events_of_dry_runs(verdict: Verdict, before: AnalysisView | None) -> Iterator[Event]:
    """What a dry run would have come to, when it comes to that: nothing else follows from it."""
    known = {query.name: query.state for query in before.queries} if before else {}
    for result in verdict.queries:
        reason = DRY_RUNS.get(result.state) if result.dry_run else None
        if reason and known.get(result.name) != result.state:
            yield Event(reason, f"{field_of(result.name)} is a dry run, so nothing follows from this: {result.message}")


def _events_of_stable(seen: Observation, rollout: Rollout) -> Iterator[Event]:
    """A way back that has gone is told before it is needed."""
    before, stable = seen.recorded.stable_view, seen.state(seen.recorded.stable)
    if rollout.granted and stable.ready == 0 and before and before.ready_replicas > 0:
        why = f": {stable.failure.message}" if stable.failure else ""
        message = f"{stable.name} has no ready pod{why}; until it has one, {rollout.candidate} can't be rolled back"
        yield Event(Reason.NO_WAY_BACK, message, warning=True)


def _is_new(seen: Observation, kind: ConditionType, message: StatusMessage) -> bool:
    before = seen.recorded.condition(kind)
    return before is None or before.reason != message.reason
