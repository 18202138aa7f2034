"""What a canary does next. Worst case first; every step up is granted by a verdict."""

import math
from dataclasses import replace

from tidegate.decide.faults import fault_of
from tidegate.decide.move import Move, complete, grant, replicas_for, roll_back, silent, stay
from tidegate.decide.question import stages_of
from tidegate.judge.forecast import forecast
from tidegate.model.decision import Announcement
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.spec import Canary
from tidegate.model.status import Rollout
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration, format_percent

ENOUGH_TO_MEASURE = 50
"""Live requests in a window below which the observed share says nothing."""


def decide_canary(seen: Observation, strategy: Canary, rollout: Rollout) -> Move:
    """One look at a canary."""
    if fault := fault_of(seen, rollout):
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


def _bring_up(seen: Observation, strategy: Canary, rollout: Rollout) -> Move:
    first = strategy.steps[0].weight
    needed = replicas_for(seen.spec, first)
    candidate = seen.state(rollout.candidate)
    if candidate.ready < needed:
        why = candidate.trouble.message if candidate.trouble else "its pods are starting"
        message = f"{rollout.candidate} has {candidate.ready} of {needed} pods ready and no traffic: {why}"
        return stay(seen, "Starting", ("PodsStarting", message), replicas=needed)
    if seen.spec.paused:
        return stay(
            seen, "Paused", ("Paused", "spec.paused is true; the candidate has no traffic yet"), replicas=needed
        )
    if seen.verdict.answer is Answer.CANNOT_SEE:
        message = f"the candidate gets no traffic while nothing can be seen: {seen.verdict.message}"
        return stay(seen, "Held", (seen.verdict.reason, message), replicas=needed)
    return _enter(seen, strategy, rollout, 1, needed)


def _restored(seen: Observation, strategy: Canary, rollout: Rollout) -> Move | None:
    """The route says something else than what was granted: a write was lost, or somebody edited it."""
    granted = weight_at(strategy, rollout.step)
    needed = replicas_for(seen.spec, granted)
    candidate = seen.state(rollout.candidate)
    split = TrafficSplit.between(seen.recorded.stable or "", rollout.candidate, granted)
    if candidate.ready < needed:
        why = candidate.trouble.message if candidate.trouble else "some of its pods aren't ready"
        message = f"{rollout.candidate} has {candidate.ready} of {needed} pods ready at {granted}%: {why}"
        return stay(seen, "Held", ("PodsNotReady", message), replicas=needed)
    if seen.split == split:
        return None
    grows = seen.split is not None and granted > seen.split.weight(rollout.candidate)
    if grows and seen.verdict.answer is Answer.CANNOT_SEE:
        return stay(seen, "Held", (seen.verdict.reason, seen.verdict.message), replicas=needed)
    doing = ("TrafficRestored", f"the route differed from step {rollout.step} and is set to {granted}% again")
    return grant(seen, rollout, rollout.step, granted, "Canary", doing, needed)


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


def _hold(seen: Observation, strategy: Canary, rollout: Rollout, reason: str, message: str) -> Move:
    needed = replicas_for(seen.spec, weight_at(strategy, rollout.step))
    return stay(seen, "Paused" if reason == "Paused" else "Canary", (reason, message), replicas=needed)


def _step_up(seen: Observation, strategy: Canary, rollout: Rollout) -> Move:
    step = rollout.step + 1
    needed = replicas_for(seen.spec, weight_at(strategy, step))
    if waiting := _scaling(seen, rollout, needed, f"{weight_at(strategy, step)}%"):
        return waiting
    return _enter(seen, strategy, rollout, step, needed)


def _enter(seen: Observation, strategy: Canary, rollout: Rollout, step: int, replicas: int) -> Move:
    weight = weight_at(strategy, step)
    sentence = f"{rollout.candidate} gets {weight}% of the requests (step {step} of {len(strategy.steps)})"
    if step > 1:
        sentence += f": {seen.verdict.message}"
    move = grant(seen, rollout, step, weight, "Canary", ("CanaryStep", sentence), replicas)
    return _with_outlook(seen, strategy, move) if step == 1 else move


def _with_outlook(seen: Observation, strategy: Canary, move: Move) -> Move:
    """Before the candidate's first request, people are told what to expect of the traffic that there is."""
    if seen.verdict.pace is None:
        return move
    outlook = forecast(seen.verdict.pace, seen.spec.analysis, stages_of(seen.spec, strategy), seen.settle)
    reason = "Outlook" if outlook.within_deadline else "TrafficTooLow"
    told = Announcement(reason, outlook.message, warning=not outlook.within_deadline)
    return replace(move, announcements=(*move.announcements, told))


def _promote(seen: Observation, strategy: Canary, rollout: Rollout) -> Move:
    if waiting := _scaling(seen, rollout, seen.spec.replicas, "all traffic"):
        return waiting
    sentence = f"{rollout.candidate} gets all requests: {seen.verdict.message}"
    doing = ("Promoting", sentence)
    return grant(seen, rollout, len(strategy.steps) + 1, 100, "Promoting", doing, seen.spec.replicas)


def _scaling(seen: Observation, rollout: Rollout, needed: int, share: str) -> Move | None:
    candidate = seen.state(rollout.candidate)
    if candidate.ready >= needed:
        return None
    message = f"{rollout.candidate} grows to {needed} pods for {share}, {candidate.ready} are ready"
    return stay(seen, "Canary", ("ScalingUp", message), replicas=needed)


def _finish(seen: Observation, rollout: Rollout) -> Move:
    if silent(seen, seen.recorded.stable or "", previews=False):
        shown = seen.verdict.answer is Answer.ACCEPTABLE
        return complete(seen, rollout, "EvidenceAcceptable" if shown else "DeadlineExceeded")
    message = f"{rollout.candidate} has all the traffic; waiting to see the last requests leave {seen.recorded.stable}"
    return stay(seen, "Promoting", ("WaitingForZeroTraffic", message), replicas=seen.spec.replicas)


def _out_of_time(seen: Observation, rollout: Rollout) -> Move:
    doing = ("DeadlineExceeded", deadline_sentence(seen))
    return replace(stay(seen, "Held", doing, replicas=seen.state(rollout.candidate).replicas), stuck=doing)
