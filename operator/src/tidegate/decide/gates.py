"""What may hold a rollout, in one list. Pure.

Each gate looks at an Observation, and lets a proposal pass or says why not. The first gate of the list that holds is
the one that people read about. A new gate is a function and its row here, and its reason in `model.reasons`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from tidegate.decide.draining import is_drained
from tidegate.decide.gate_answers import awaited
from tidegate.decide.signature import signature_to_approve
from tidegate.judge.query_limits import field_of
from tidegate.model.control import Control, Intent
from tidegate.model.evidence import Answer, QueryState
from tidegate.model.gate import GatePoint
from tidegate.model.judged_queries import judged_queries
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Reason, StatusMessage
from tidegate.model.revision import RevisionState
from tidegate.model.spec import Strategy
from tidegate.model.status import Rollout
from tidegate.model.units import counted, format_duration, format_percent

ENOUGH_TO_MEASURE = 50
"""Live requests in a window below which the observed share says nothing."""
IGNORED_FROM = 0.25
"""The share of a revision of weight 0 from which on weights count for nothing: with two backends it would be 0.5."""


class Moment(Enum):
    """What a strategy proposes to do."""

    FIRST_TRAFFIC = auto()
    """A candidate without traffic gets its first."""
    MORE_TRAFFIC = auto()
    """A candidate that serves gets more, up to all of it."""
    PROMOTION_WITHOUT_VERDICT = auto()
    """All traffic, because time is up and the user wants it so."""
    KEEP_NO_LONGER = auto()
    """The evidence suffices after a switch that nothing had been judged before."""
    FIRST_TRAFFIC_BY_HAND = auto()
    """Somebody wants a candidate without traffic to get its first."""
    MORE_TRAFFIC_BY_HAND = auto()
    """Somebody wants a candidate that serves to get more, up to all of it."""
    COMPLETE = auto()
    """The candidate, which has all the traffic, becomes stable, and the old revision goes."""
    COMPLETE_BY_HAND = auto()
    """The same, because somebody wants it so."""
    RETURN = auto()
    """A revision that was stable a short while ago gets all the traffic again."""
    COMPLETE_RETURN = auto()
    """It becomes stable again."""


@dataclass(frozen=True)
class Proposal:
    """`weight` percent for the candidate, which takes `pods` ready pods; not before `lasting` of the present step."""

    moment: Moment
    rollout: Rollout
    weight: int
    pods: int
    lasting: timedelta = timedelta()


@dataclass(frozen=True)
class Hold:
    """Why a proposal waits. `phase` where that is a phase of its own; `grow`: the pods it needs are to start now."""

    why: StatusMessage
    phase: Phase | None = None
    grow: bool = False


Check = Callable[[Observation, Proposal], Hold | None]
"""None lets the proposal pass."""


@dataclass(frozen=True)
class Gate:
    """A check, its name, and what it is asked about."""

    name: str
    moments: frozenset[Moment]
    check: Check


def first_hold(seen: Observation, proposal: Proposal) -> Hold | None:
    """The first gate that holds the proposal; None where all are open."""
    holds = (gate.check(seen, proposal) for gate in GATES if proposal.moment in gate.moments)
    return next((hold for hold in holds if hold), None)


def told_exposure(weight: int, mirrored: int, *, matched: bool = False) -> str:
    """What a candidate gets, for people: a part of the requests, those of a group, or copies."""
    if mirrored:
        return f"copies of {mirrored}%"
    if not matched:
        return f"{weight}%"
    return f"those that match, and {weight}%" if weight else "those that match, and none"


def told_step_exposure(strategy: Strategy, step: int) -> str:
    """The same of a step."""
    return told_exposure(strategy.weight_at(step), strategy.mirror_at(step), matched=bool(strategy.rules_at(step)))


def pods_missing(seen: Observation, revision: str, pods: int, weight: int, mirrored: int = 0) -> StatusMessage | None:
    """Why a revision can't carry its weight, where fewer than `pods` of it are ready; the reason says since when."""
    state = seen.state(revision)
    if state.ready >= pods:
        return None
    if weight == mirrored == 0:
        why = state.failure.message if state.failure else "its pods are starting"
        refused = state.failure is not None and state.failure.reason == Reason.REPLICA_FAILURE
        reason = Reason.REPLICA_FAILURE if refused else Reason.PODS_STARTING
        return StatusMessage(reason, f"{revision} has {state.ready} of {pods} pods ready and no traffic: {why}")
    has = f"{revision} has {state.ready} of {pods} pods ready at {told_exposure(weight, mirrored)}"
    if _grows(seen, state):
        return StatusMessage(Reason.SCALING_UP, f"{has}: it grows")
    why = state.failure.message if state.failure else "some of its pods aren't ready"
    return StatusMessage(Reason.PODS_NOT_READY, f"{has}: {why}")


def _grows(seen: Observation, state: RevisionState) -> bool:
    """Whether no pod was lost, and there are to be more: what was granted is served on."""
    view, told = seen.recorded.candidate_view, {condition.reason for condition in seen.recorded.conditions}
    if state.failure or view is None or view.revision != state.name or Reason.PODS_NOT_READY in told:
        return False
    return 0 < view.ready_replicas <= state.ready


def _pods_are_ready(seen: Observation, proposal: Proposal) -> Hold | None:
    missing = pods_missing(seen, proposal.rollout.candidate, proposal.pods, 0)
    return Hold(missing, Phase.STARTING, grow=True) if missing else None


def _too_early(seen: Observation, proposal: Proposal, reason: Reason, message: str) -> Hold | None:
    rollout = proposal.rollout
    if rollout.by_hand.skipped == rollout.step or seen.now - rollout.step_started_at >= proposal.lasting:
        return None
    return Hold(StatusMessage(reason, message))


def _has_been_verified(seen: Observation, proposal: Proposal) -> Hold | None:
    span = format_duration(proposal.lasting)
    message = f"{proposal.rollout.candidate} must stay ready for {span} before the switch"
    return _too_early(seen, proposal, Reason.VERIFYING, message)


def _is_not_paused_before_traffic(seen: Observation, proposal: Proposal) -> Hold | None:
    if not seen.spec.paused:
        return None
    return Hold(StatusMessage(Reason.PAUSED, "spec.paused is true; the candidate has no traffic yet"), Phase.PAUSED)


def _signature_is_approved(seen: Observation, proposal: Proposal) -> Hold | None:
    rollout = proposal.rollout
    difference = signature_to_approve(seen, rollout)
    if difference is None or rollout.by_hand.approved == rollout.step:
        return None
    message = (
        f"clients of stable would break: {difference}; {rollout.candidate} waits for approval, without traffic: "
        f"{approval_command(seen, rollout)}"
    )
    return Hold(StatusMessage(Reason.WAITING_FOR_APPROVAL, message), Phase.WAITING_FOR_APPROVAL)


def _can_be_seen(seen: Observation, proposal: Proposal) -> Hold | None:
    if seen.verdict.answer is not Answer.CANNOT_SEE:
        return None
    message = f"the candidate gets no traffic while nothing can be seen: {seen.verdict.message}"
    return Hold(StatusMessage(seen.verdict.reason, message), Phase.HELD)


def _queries_allow_traffic(seen: Observation, proposal: Proposal) -> Hold | None:
    """What is judged of a candidate without traffic has to have been asked, and to be within its limits."""
    said = {result.name: result for result in seen.verdict.queries}
    for query in (judged.query for judged in judged_queries(seen.spec, proposal.rollout)):
        result = said.get(query.name)
        if query.dry_run or (result and result.state is QueryState.SUCCESSFUL):
            continue
        reason = QUERY_HOLDS[result.state] if result else Reason.QUERY_PENDING
        message = f"before the switch {field_of(query.name)} {result.message if result else 'is still to be asked'}"
        return Hold(StatusMessage(reason, message), Phase.HELD if reason != Reason.QUERY_PENDING else None)
    return None


def _old_has_been_kept(seen: Observation, proposal: Proposal) -> Hold | None:
    span = format_duration(proposal.lasting)
    message = f"{seen.recorded.stable} is kept for {span} after the last shift: {seen.verdict.message}"
    return _too_early(seen, proposal, Reason.KEEPING_OLD, message)


def _is_at_full_size(seen: Observation, proposal: Proposal) -> Hold | None:
    missing = pods_missing(seen, proposal.rollout.candidate, proposal.pods, proposal.weight)
    return Hold(missing, grow=True) if missing else None


def _nothing_speaks_against_it(seen: Observation, proposal: Proposal) -> Hold | None:
    """All traffic was granted already; what has come up since may keep the old revision."""
    verdict = seen.verdict
    doubted = verdict.answer is Answer.NOT_ENOUGH and verdict.reason in DOUBTS
    if verdict.answer is not Answer.CANNOT_SEE and not doubted:
        return None
    return Hold(StatusMessage(verdict.reason, f"{seen.recorded.stable} is kept on: {verdict.message}"))


def _has_baked(seen: Observation, proposal: Proposal) -> Hold | None:
    bake, steady = seen.spec.analysis.bake, proposal.rollout.since.steady
    if not bake or (steady and seen.now - steady >= bake):
        return None
    span, candidate = format_duration(bake), proposal.rollout.candidate
    message = f"{candidate} has all the traffic, and is judged on for {span}: {seen.verdict.message}"
    return Hold(StatusMessage(Reason.BAKING, message))


def _is_not_paused_at_the_end(seen: Observation, proposal: Proposal) -> Hold | None:
    if not seen.spec.paused:
        return None
    message = f"spec.paused is true; {proposal.rollout.candidate} has all the traffic, {seen.recorded.stable} is kept"
    return Hold(StatusMessage(Reason.PAUSED, message), Phase.PAUSED)


def _evidence_lets_old_go(seen: Observation, proposal: Proposal) -> Hold | None:
    if seen.verdict.answer is Answer.ACCEPTABLE:
        return None
    return Hold(StatusMessage(seen.verdict.reason, f"{seen.recorded.stable} is kept on: {seen.verdict.message}"))


def _evidence_suffices(seen: Observation, proposal: Proposal) -> Hold | None:
    if seen.verdict.answer is Answer.ACCEPTABLE:
        return None
    return Hold(StatusMessage(seen.verdict.reason, seen.verdict.message))


def _is_not_paused(seen: Observation, proposal: Proposal) -> Hold | None:
    if not seen.spec.paused:
        return None
    suffices = seen.verdict.answer is Answer.ACCEPTABLE
    has = "the evidence suffices for the next step: " if suffices else ""
    message = f"spec.paused is true; {has}{seen.verdict.message}"
    return Hold(StatusMessage(Reason.PAUSED, message), Phase.PAUSED)


def _step_is_not_paused(seen: Observation, proposal: Proposal) -> Hold | None:
    rollout = proposal.rollout
    pause = seen.spec.strategy.pause_at(rollout.step)
    if pause is None or rollout.by_hand.skipped == rollout.step:
        return None
    if pause.duration is None:
        if rollout.by_hand.approved == rollout.step:
            return None
        message = (
            f"{told_step(seen, rollout)} pauses until it is approved or skipped: {approval_command(seen, rollout)}"
        )
        return Hold(StatusMessage(Reason.STEP_PAUSED, message), Phase.PAUSED, grow=True)
    if seen.now - rollout.step_started_at >= pause.duration:
        return None
    message = f"{told_step(seen, rollout)} pauses for {format_duration(pause.duration)}"
    return Hold(StatusMessage(Reason.STEP_PAUSED, message), Phase.PAUSED)


def _is_approved(seen: Observation, proposal: Proposal) -> Hold | None:
    rollout = proposal.rollout
    if not seen.spec.strategy.wants_approval(rollout.step) or rollout.by_hand.approved == rollout.step:
        return None
    message = f"{told_step(seen, rollout)} waits for approval: {approval_command(seen, rollout)}"
    # The pods that come next are there when it is given.
    return Hold(StatusMessage(Reason.WAITING_FOR_APPROVAL, message), Phase.WAITING_FOR_APPROVAL, grow=True)


def told_step(seen: Observation, rollout: Rollout) -> str:
    """The present step, for people."""
    strategy = seen.spec.strategy
    if not strategy.moves_in_steps:
        return f"the switch to {rollout.candidate}"
    what = told_step_exposure(strategy, rollout.step)
    return f"step {rollout.step} of {strategy.steps_with_traffic} ({what})"


def approval_command(seen: Observation, rollout: Rollout) -> str:
    """What approves the present step."""
    return Intent(Control.APPROVE, rollout.candidate, rollout.step).command(seen.namespace, seen.name)


def _step_has_lasted(seen: Observation, proposal: Proposal) -> Hold | None:
    span = format_duration(proposal.lasting)
    message = f"step {proposal.rollout.step} lasts at least {span}: {seen.verdict.message}"
    return _too_early(seen, proposal, Reason.MIN_DURATION, message)


def _share_is_as_wanted(seen: Observation, proposal: Proposal) -> Hold | None:
    """Evidence counts only at the weight that was wanted: the routers must be seen to split as they were told."""
    candidate = proposal.rollout.candidate
    if seen.share is None or (seen.recorded.shifted_at and seen.share.since < seen.recorded.shifted_at):
        message = "the routers' counters from after the last shift aren't there yet"
        return Hold(StatusMessage(Reason.SHARE_NOT_SEEN, message))
    wanted = seen.spec.strategy.weight_at(proposal.rollout.step) / 100
    if seen.spec.route_settings.sticky and 0 < wanted < 1:
        return _all_draw_by_the_weight(seen)
    live = sum(seen.share.live.values())
    if live < ENOUGH_TO_MEASURE:
        return None
    observed = seen.share.fraction(candidate) or 0.0
    if seen.state(seen.recorded.stable).ready == 0 and observed >= wanted:
        return None  # routers give the share of a revision without pods to the others
    # Five standard deviations of a binomial: one window in a million of an honest router lies outside.
    if abs(observed - wanted) <= 5 * math.sqrt(wanted * (1 - wanted) / live):
        return None
    message = (
        f"the routers send {format_percent(observed)} of the requests to {candidate}, {format_percent(wanted)} is "
        f"wanted{_late(seen)}"
    )
    return Hold(StatusMessage(Reason.SHARE_UNLIKE_WEIGHT, message))


def _weights_count(seen: Observation, proposal: Proposal) -> Hold | None:
    """A router that passes weights over shows it as soon as a revision is listed at 0: it gets as much as any other."""
    candidate, share = proposal.rollout.candidate, seen.share
    if seen.split is None or share is None or candidate not in seen.split or seen.split.weight(candidate):
        return None
    observed = share.fraction(candidate) or 0.0
    if sum(share.live.values()) < ENOUGH_TO_MEASURE or observed < IGNORED_FROM:
        return None
    message = (
        f"the routers send {format_percent(observed)} of the requests to {candidate}, which has a weight of 0: they "
        "pass weights over, and nothing can be released by them; set spec.traffic.router to Builtin, or name another "
        "Gateway"
    )
    return Hold(StatusMessage(Reason.WEIGHTS_IGNORED, message))


def _all_draw_by_the_weight(seen: Observation) -> Hold | None:
    """Where users are drawn: a few may send most requests, whose share then tells nothing."""
    if seen.route_applied:
        return None
    late = _late(seen) if seen.route.awaited else "; no router has told yet that it has taken the route"
    message = f"users stay with a revision, and not all routers draw by the new weight yet{late}"
    return Hold(StatusMessage(Reason.SHARE_NOT_SEEN, message))


def _late(seen: Observation) -> str:
    late = ", ".join(sorted(seen.route.awaited))
    return f"; {late} hasn't taken the route" if late else "; all routers have taken the route"


def _routers_take_the_route(seen: Observation, _: Proposal) -> Hold | None:
    return Hold(seen.route_refusal) if seen.route_refusal else None


def _routers_list_the_candidate(seen: Observation, proposal: Proposal) -> Hold | None:
    if not seen.route.lists_first:
        return None
    if seen.route_applied and proposal.rollout.candidate in (seen.split or ()):
        return None
    waits = seen.route.untold or "the route is being written"
    return Hold(StatusMessage(Reason.ROUTE_NOT_APPLIED, f"{proposal.rollout.candidate} gets no more yet: {waits}"))


def _has_capacity(seen: Observation, proposal: Proposal) -> Hold | None:
    ready = seen.state(proposal.rollout.candidate).ready
    if ready >= proposal.pods:
        return None
    share = "all traffic" if proposal.weight == 100 else f"{proposal.weight}%"
    message = f"{proposal.rollout.candidate} grows to {counted(proposal.pods, 'pod')} for {share}, {ready} are ready"
    return Hold(StatusMessage(Reason.SCALING_UP, message), grow=True)


def _the_users_gates_allow_it(seen: Observation, proposal: Proposal) -> Hold | None:
    """Asked last, when nothing else holds: an answer is about the moment at which it is given."""
    points = {GatePoint.PROMOTION if proposal.weight == 100 else GatePoint.STEP}
    if proposal.moment is Moment.FIRST_TRAFFIC:
        points.add(GatePoint.START)
    awaits = awaited(seen, proposal.rollout, proposal.rollout.step + 1, points)
    if awaits is None:
        return None
    return Hold(awaits, None if awaits.reason == Reason.GATE_ASKED else Phase.HELD)


def _old_is_drained(seen: Observation, proposal: Proposal) -> Hold | None:
    stable = seen.recorded.stable or ""
    if is_drained(seen, stable, previews=False):
        return None
    message = f"{proposal.rollout.candidate} has all the traffic; waiting to see the last requests leave {stable}"
    return Hold(StatusMessage(Reason.WAITING_FOR_ZERO_TRAFFIC, message))


DOUBTS = frozenset({Reason.SUSPICION_OF_WORSE, Reason.QUERY_BEYOND_LIMIT, Reason.QUERY_PENDING, Reason.LOAD_HIGH})
"""Verdicts for want of evidence that nevertheless say that something is wrong, or that a query is still to be asked."""

QUERY_HOLDS = {
    QueryState.FAILED: Reason.QUERY_BEYOND_LIMIT,
    QueryState.INCONCLUSIVE: Reason.QUERY_UNUSABLE,
    QueryState.PENDING: Reason.QUERY_PENDING,
}

RETURN, RETURNED = frozenset({Moment.RETURN}), frozenset({Moment.COMPLETE_RETURN})
FIRST, MORE = frozenset({Moment.FIRST_TRAFFIC}), frozenset({Moment.MORE_TRAFFIC})
LATE = frozenset({Moment.PROMOTION_WITHOUT_VERDICT})
FIRST_BY_HAND, MORE_BY_HAND = frozenset({Moment.FIRST_TRAFFIC_BY_HAND}), frozenset({Moment.MORE_TRAFFIC_BY_HAND})
LAST_BY_HAND = frozenset({Moment.COMPLETE_BY_HAND})
KEEP, LAST = frozenset({Moment.KEEP_NO_LONGER}), frozenset({Moment.COMPLETE})

GATES = (
    Gate("pods", FIRST | FIRST_BY_HAND | RETURN, _pods_are_ready),
    Gate("pause before traffic", FIRST | RETURN, _is_not_paused_before_traffic),
    Gate("verifyFor", FIRST, _has_been_verified),
    Gate("signature", FIRST, _signature_is_approved),
    Gate("metrics", FIRST, _can_be_seen),
    Gate("queries", FIRST, _queries_allow_traffic),
    Gate("full size", LAST | LAST_BY_HAND | RETURNED, _is_at_full_size),
    Gate("doubts", LAST, _nothing_speaks_against_it),
    Gate("pause at the end", LAST | RETURNED, _is_not_paused_at_the_end),
    Gate("evidence for the switch", KEEP, _evidence_lets_old_go),
    Gate("pause", MORE, _is_not_paused),
    Gate("pause of a step", MORE, _step_is_not_paused),
    Gate("evidence", MORE, _evidence_suffices),
    Gate("minDuration", MORE, _step_has_lasted),
    Gate("routers", FIRST | MORE | LATE | KEEP | LAST | FIRST_BY_HAND | MORE_BY_HAND, _routers_take_the_route),
    Gate("listed", FIRST | MORE | LATE | FIRST_BY_HAND | MORE_BY_HAND | RETURN, _routers_list_the_candidate),
    Gate("weights", FIRST, _weights_count),
    Gate("share", MORE, _share_is_as_wanted),
    Gate("capacity", MORE | LATE | MORE_BY_HAND, _has_capacity),
    Gate("approval", FIRST | MORE, _is_approved),
    Gate("spec.gates", FIRST | MORE | LATE, _the_users_gates_allow_it),
    Gate("drained", LAST | LAST_BY_HAND | RETURNED, _old_is_drained),
    Gate("keepOld", LAST, _old_has_been_kept),
    Gate("bake", LAST, _has_baked),
)
"""In the order in which they are told."""
