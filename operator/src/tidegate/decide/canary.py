"""What a canary does next. Pure. Worst case first; every step up is granted by a verdict.

Step 0 brings pods up, 1..n carry traffic, n + 1 has all of it.
"""

from dataclasses import replace

from tidegate.decide.capacity import candidate_size, full_size
from tidegate.decide.criteria import stages_of
from tidegate.decide.deadline import after_deadline, deadline_exceeded
from tidegate.decide.gates import Hold, Moment, Proposal, first_hold, pods_missing, told_step_exposure
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.decide.transition import (
    Transition,
    advance,
    complete,
    doubted_too_long,
    hold,
    restore,
    roll_back,
)
from tidegate.judge.forecast import estimate_duration
from tidegate.model.decision import Event
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Policy, Reason, StatusMessage
from tidegate.model.spec import Canary
from tidegate.model.status import Rollout


def decide_canary(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    """One look at a canary."""
    if trigger := rollback_trigger(seen, rollout):
        return roll_back(seen, rollout, trigger)
    last, wanted = len(strategy.steps), _wanted_by_hand(strategy, rollout)
    if rollout.step == 0:
        moment = Moment.FIRST_TRAFFIC if wanted is None else Moment.FIRST_TRAFFIC_BY_HAND
        return _go_on(seen, strategy, wanted or rollout, moment)
    over = after_deadline(seen, rollout) if rollout.step <= last and wanted is None else None
    if over == Policy.ROLLBACK:
        return roll_back(seen, rollout, deadline_exceeded(seen))
    if unsettled := _unsettled(seen, strategy, rollout):
        return unsettled
    if rollout.step > last:
        return _finish(seen, strategy, rollout)
    if wanted is not None:
        return _go_on(seen, strategy, wanted, Moment.MORE_TRAFFIC_BY_HAND)
    if over == Policy.PROMOTE and not seen.spec.paused and not _waits_for_people(strategy, rollout):
        return _go_on(seen, strategy, replace(rollout, step=last), Moment.PROMOTION_WITHOUT_VERDICT)
    if over:
        return _out_of_time(seen, rollout)
    return _go_on(seen, strategy, rollout, Moment.MORE_TRAFFIC)


def _wanted_by_hand(strategy: Canary, rollout: Rollout) -> Rollout | None:
    """The rollout as if it stood at the step after which somebody wants it to go on; None where nobody does."""
    if rollout.by_hand.full_by:
        return replace(rollout, step=max(rollout.step, len(strategy.steps)))
    return rollout if rollout.by_hand.promoted == rollout.step else None


def _waits_for_people(strategy: Canary, rollout: Rollout) -> bool:
    """Whether this step or one that follows has to be approved still: no deadline stands in for that."""
    ahead = range(rollout.step, len(strategy.steps) + 1)
    given = rollout.by_hand.approved, rollout.by_hand.skipped
    return any(strategy.wants_approval(step) and step != given[0] for step in ahead) or any(
        step not in given and (pause := strategy.pause_at(step)) is not None and pause.duration is None
        for step in ahead
    )


def _go_on(seen: Observation, strategy: Canary, rollout: Rollout, moment: Moment) -> Transition:
    return _propose(seen, strategy, rollout, moment) or _step_up(seen, strategy, rollout)


def _unsettled(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition | None:
    """Pods that are gone, or a route that differs: first the granted step has to be true again."""
    pods = candidate_size(seen.spec, rollout, rollout.step)
    weight, mirrored = strategy.weight_at(rollout.step), strategy.mirror_at(rollout.step)
    if missing := pods_missing(seen, rollout.candidate, pods, weight, mirrored):
        return hold(seen, Phase.HELD, missing, replicas=pods)
    return restore(seen, rollout, Phase.CANARY, pods)


def _propose(seen: Observation, strategy: Canary, rollout: Rollout, moment: Moment) -> Transition | None:
    """The next step, as far as the gates hold it."""
    step = rollout.step + 1
    lasting = strategy.steps[rollout.step - 1].min_duration if rollout.step else Proposal.lasting
    proposal = Proposal(moment, rollout, strategy.weight_at(step), candidate_size(seen.spec, rollout, step), lasting)
    held = first_hold(seen, proposal)
    return _held(seen, strategy, rollout, held) if held else None


def _held(seen: Observation, strategy: Canary, rollout: Rollout, held: Hold) -> Transition:
    # Before its first traffic a candidate prepares for the first step, whatever holds it.
    step = rollout.step + 1 if held.grow or rollout.step == 0 else rollout.step
    return hold(seen, held.phase or Phase.CANARY, held.why, replicas=candidate_size(seen.spec, rollout, step))


def _step_up(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    step, last = rollout.step + 1, len(strategy.steps)
    pods = candidate_size(seen.spec, rollout, step)
    if step > last:
        message = f"{rollout.candidate} gets all requests: {_because(seen, rollout) or seen.verdict.message}"
        return advance(seen, rollout, step, Phase.PROMOTING, StatusMessage(Reason.PROMOTING, message), pods)
    what = told_step_exposure(strategy, step)
    nobody = ", and nobody its answers" if strategy.mirror_at(step) else ""
    sentence = f"{rollout.candidate} gets {what} of the requests{nobody} (step {step} of {last})"
    if why := _because(seen, rollout):
        sentence += f": {why}"
    stepped = advance(seen, rollout, step, Phase.CANARY, StatusMessage(Reason.CANARY_STEP, sentence), pods)
    return _with_estimate(seen, strategy, stepped) if step == 1 else stepped


def _because(seen: Observation, rollout: Rollout) -> str:
    """Why it goes on from its step."""
    step, by_hand = rollout.step, rollout.by_hand
    if by_hand.full_by:
        return f"promoted in full {by_hand.full_by}"
    if by_hand.promoted == step:
        return f"promoted {by_hand.promoted_by}"
    verdict = seen.verdict.message if step else ""
    approved = f"approved {by_hand.approved_by}" if by_hand.approved == step else ""
    return "; ".join(each for each in (approved, verdict) if each)


def _with_estimate(seen: Observation, strategy: Canary, stepped: Transition) -> Transition:
    """Before the candidate's first request, people are told what to expect of the traffic that there is."""
    if seen.verdict.baseline is None:
        return stepped
    stages = stages_of(seen.spec, strategy)
    estimate = estimate_duration(seen.verdict.baseline, seen.spec.analysis, stages, seen.propagation_delay)
    reason = Reason.OUTLOOK if estimate.within_deadline else Reason.TRAFFIC_TOO_LOW
    asked = sum(step.waits_for_people for step in strategy.steps)
    people = f"; {asked} of its steps wait for people on top of that" if asked else ""
    if chosen := sum(bool(step.rules) and not step.weight for step in strategy.steps):
        people += f"; nobody knows how many requests match, so the time for {chosen} of its steps isn't in this"
    event = Event(reason, f"{estimate.message}{people}", warning=not estimate.within_deadline)
    return replace(stepped, events=(*stepped.events, event))


def _finish(seen: Observation, strategy: Canary, rollout: Rollout) -> Transition:
    pods, by_hand = full_size(seen.spec, rollout), bool(rollout.by_hand.full_by)
    moment = Moment.COMPLETE_BY_HAND if by_hand else Moment.COMPLETE
    if held := first_hold(seen, Proposal(moment, rollout, 100, pods, strategy.keep_old)):
        waits = hold(seen, held.phase or Phase.PROMOTING, held.why, replicas=pods)
        return doubted_too_long(seen, rollout, waits)
    if by_hand:
        return complete(seen, rollout, Reason.PROMOTED_BY_HAND)
    shown = seen.verdict.answer is Answer.ACCEPTABLE
    return complete(seen, rollout, Reason.EVIDENCE_ACCEPTABLE if shown else Reason.DEADLINE_EXCEEDED)


def _out_of_time(seen: Observation, rollout: Rollout) -> Transition:
    why = deadline_exceeded(seen)
    if seen.spec.paused:
        told = StatusMessage(Reason.PAUSED, f"spec.paused is true; {why.message}")
        return hold(seen, Phase.PAUSED, told, replicas=seen.state(rollout.candidate).replicas)
    return replace(hold(seen, Phase.HELD, why, replicas=seen.state(rollout.candidate).replicas), stalled=why)
