"""What a canary does next. Worst case first; every step up is granted by a verdict."""

import math
from dataclasses import replace

from tidegate.decide.criteria import stages_of
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.decide.transition import Transition, advance, complete, hold, is_drained, replicas_for, roll_back
from tidegate.judge.forecast import estimate_duration
from tidegate.model.decision import Event
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.spec import Canary
from tidegate.model.status import Rollout
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration, format_percent

ENOUGH_TO_MEASURE = 50
"""Live requests in a window below which the observed share says nothing."""


def decide_canary(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    """One look at a canary."""
    if fault := rollback_trigger(seen, rollout):
        return roll_back(seen, rollout, *fault)
    if rollout.step == 0:
        return _bring_up(seen, strategy, rollout)
    over = after_deadline(seen, rollout) if rollout.step <= len(strategy.steps) else None
    if over == "Rollback":
        return roll_back(seen, rollout, "DeadlineExceeded", deadline_sentence(seen))
    if restored := _restored(seen, strategy, rollout):
        return restored
    if rollout.step > len(strategy.steps):
        return _finish(seen, rollout)
    if over == "Promote" and not seen.spec.paused:
        return _promote(seen, strategy, rollout)
    if over:
        return _out_of_time(seen, rollout)
    if hold := _reason_to_hold(seen, strategy, rollout):
        return _hold(seen, strategy, rollout, *hold)
    if rollout.step == len(strategy.steps):
        return _promote(seen, strategy, rollout)
    return _step_up(seen, strategy, rollout)


def weight_at(strategy: Canary, step: int) -> int:
    """Percent at a step: 0 before the first, 100 after the last."""
    if step == 0:
        return 0
    return strategy.steps[step - 1].weight if step <= len(strategy.steps) else 100


def after_deadline(seen: Observation, rollout: Rollout) -> str | None:
    """What the user wants once the deadline has passed without a verdict: Hold, Promote or Rollback; None before."""
    analysis = seen.spec.analysis
    if seen.verdict.answer is Answer.ACCEPTABLE or not rollout.shifts:
        return None
    if seen.now - rollout.shifts[0].at < analysis.deadline:
        return None
    if seen.verdict.answer is Answer.CANNOT_SEE:
        return analysis.on_metrics_unavailable
    return analysis.on_inconclusive


def deadline_sentence(seen: Observation) -> str:
    """Why a rollout that is out of time stands where it does."""
    return f"no verdict within {format_duration(seen.spec.analysis.deadline)}: {seen.verdict.message}"


def _bring_up(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    first = strategy.steps[0].weight
    needed = replicas_for(seen.spec, first)
    candidate = seen.state(rollout.candidate)
    if candidate.ready < needed:
        why = candidate.failure.message if candidate.failure else "its pods are starting"
        message = f"{rollout.candidate} has {candidate.ready} of {needed} pods ready and no traffic: {why}"
        return hold(seen, "Starting", ("PodsStarting", message), replicas=needed)
    if seen.spec.paused:
        return hold(
            seen, "Paused", ("Paused", "spec.paused is true; the candidate has no traffic yet"), replicas=needed
        )
    if seen.verdict.answer is Answer.CANNOT_SEE:
        message = f"the candidate gets no traffic while nothing can be seen: {seen.verdict.message}"
        return hold(seen, "Held", (seen.verdict.reason, message), replicas=needed)
    return _enter(seen, strategy, rollout, 1, needed)


def _restored(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition | None:
    """The route says something else than what was granted: a write was lost, or somebody edited it."""
    granted = weight_at(strategy, rollout.step)
    needed = replicas_for(seen.spec, granted)
    candidate = seen.state(rollout.candidate)
    split = TrafficSplit.between(seen.recorded.stable or "", rollout.candidate, granted)
    if candidate.ready < needed:
        why = candidate.failure.message if candidate.failure else "some of its pods aren't ready"
        message = f"{rollout.candidate} has {candidate.ready} of {needed} pods ready at {granted}%: {why}"
        return hold(seen, "Held", ("PodsNotReady", message), replicas=needed)
    if seen.split == split:
        return None
    grows = seen.split is not None and granted > seen.split.weight(rollout.candidate)
    if grows and seen.verdict.answer is Answer.CANNOT_SEE:
        return hold(seen, "Held", (seen.verdict.reason, seen.verdict.message), replicas=needed)
    reconciling = ("TrafficRestored", f"the route differed from step {rollout.step} and is set to {granted}% again")
    return advance(seen, rollout, rollout.step, granted, "Canary", reconciling, needed)


def _reason_to_hold(seen: Observation, strategy: Canary, rollout: Rollout) -> tuple[str, str] | None:
    if seen.verdict.answer is not Answer.ACCEPTABLE:
        return seen.verdict.reason, seen.verdict.message
    if seen.spec.paused:
        return "Paused", f"spec.paused is true; the evidence suffices for the next step: {seen.verdict.message}"
    least = strategy.steps[rollout.step - 1].min_duration
    if seen.now - rollout.step_started_at < least:
        return "MinDuration", f"step {rollout.step} lasts at least {format_duration(least)}: {seen.verdict.message}"
    return _share_unlike_weight(seen, strategy, rollout)


def _share_unlike_weight(seen: Observation, strategy: Canary, rollout: Rollout) -> tuple[str, str] | None:
    """Evidence counts only at the weight that was wanted: the routers must be seen to split as they were told."""
    wanted = weight_at(strategy, rollout.step) / 100
    if seen.share is None or (seen.recorded.shifted_at and seen.share.since < seen.recorded.shifted_at):
        return "ShareNotSeen", "the routers' counters from after the last shift aren't there yet"
    live = sum(seen.share.live.values())
    if live < ENOUGH_TO_MEASURE:
        return None
    observed = seen.share.fraction(rollout.candidate) or 0.0
    # Five standard deviations of a binomial: one window in a million of an honest router lies outside.
    if abs(observed - wanted) <= 5 * math.sqrt(wanted * (1 - wanted) / live):
        return None
    message = (
        f"the routers send {format_percent(observed)} of the requests to {rollout.candidate}, "
        f"{format_percent(wanted)} is wanted; see the route's status for a router that hasn't taken it"
    )
    return "ShareUnlikeWeight", message


def _hold(seen: Observation, strategy: Canary, rollout: Rollout, reason: str, message: str) -> Transition:
    needed = replicas_for(seen.spec, weight_at(strategy, rollout.step))
    return hold(seen, "Paused" if reason == "Paused" else "Canary", (reason, message), replicas=needed)


def _step_up(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    step = rollout.step + 1
    needed = replicas_for(seen.spec, weight_at(strategy, step))
    if waiting := _scaling(seen, rollout, needed, f"{weight_at(strategy, step)}%"):
        return waiting
    return _enter(seen, strategy, rollout, step, needed)


def _enter(seen: Observation, strategy: Canary, rollout: Rollout, step: int, replicas: int) -> Transition:
    weight = weight_at(strategy, step)
    sentence = f"{rollout.candidate} gets {weight}% of the requests (step {step} of {len(strategy.steps)})"
    if step > 1:
        sentence += f": {seen.verdict.message}"
    transition = advance(seen, rollout, step, weight, "Canary", ("CanaryStep", sentence), replicas)
    return _with_estimate(seen, strategy, transition) if step == 1 else transition


def _with_estimate(seen: Observation, strategy: Canary, transition: Transition) -> Transition:
    """Before the candidate's first request, people are told what to expect of the traffic that there is."""
    if seen.verdict.baseline is None:
        return transition
    estimate = estimate_duration(
        seen.verdict.baseline, seen.spec.analysis, stages_of(seen.spec, strategy), seen.propagation_delay
    )
    reason = "Outlook" if estimate.within_deadline else "TrafficTooLow"
    told = Event(reason, estimate.message, warning=not estimate.within_deadline)
    return replace(transition, events=(*transition.events, told))


def _promote(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    if waiting := _scaling(seen, rollout, seen.spec.replicas, "all traffic"):
        return waiting
    sentence = f"{rollout.candidate} gets all requests: {seen.verdict.message}"
    reconciling = ("Promoting", sentence)
    return advance(seen, rollout, len(strategy.steps) + 1, 100, "Promoting", reconciling, seen.spec.replicas)


def _scaling(seen: Observation, rollout: Rollout, needed: int, share: str) -> Transition | None:
    candidate = seen.state(rollout.candidate)
    if candidate.ready >= needed:
        return None
    message = f"{rollout.candidate} grows to {needed} pods for {share}, {candidate.ready} are ready"
    return hold(seen, "Canary", ("ScalingUp", message), replicas=needed)


def _finish(seen: Observation, rollout: Rollout) -> Transition:
    if is_drained(seen, seen.recorded.stable or "", previews=False):
        shown = seen.verdict.answer is Answer.ACCEPTABLE
        return complete(seen, rollout, "EvidenceAcceptable" if shown else "DeadlineExceeded")
    message = f"{rollout.candidate} has all the traffic; waiting to see the last requests leave {seen.recorded.stable}"
    return hold(seen, "Promoting", ("WaitingForZeroTraffic", message), replicas=seen.spec.replicas)


def _out_of_time(seen: Observation, rollout: Rollout) -> Transition:
    reconciling = ("DeadlineExceeded", deadline_sentence(seen))
    return replace(
        hold(seen, "Held", reconciling, replicas=seen.state(rollout.candidate).replicas), stalled=reconciling
    )
