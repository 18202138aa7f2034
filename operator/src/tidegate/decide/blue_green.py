"""What a blue-green rollout does next. Pure.

Full size without traffic, one switch, and a way back while the old revision is kept.

Steps: 0 pods come up, 1 they prove steady without traffic, 2 they have all of it and the old revision is kept.
"""

from tidegate.decide.capacity import full_size
from tidegate.decide.deadline import after_deadline, deadline_exceeded
from tidegate.decide.gates import Moment, Proposal, first_hold, pods_missing
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.decide.transition import Transition, advance, complete, doubted_too_long, hold, restore, roll_back
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Policy, Reason, StatusMessage
from tidegate.model.spec import BLUE_GREEN_SWITCHED as SWITCHED
from tidegate.model.spec import BLUE_GREEN_VERIFYING as VERIFYING
from tidegate.model.spec import BlueGreen
from tidegate.model.status import Rollout
from tidegate.model.units import format_duration

COMING_UP = 0


def decide_blue_green(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    """One look at a blue-green rollout."""
    if trigger := rollback_trigger(seen, rollout):
        return roll_back(seen, rollout, trigger)
    if rollout.step == SWITCHED:
        return _after_switch(seen, strategy, rollout)
    pods = full_size(seen.spec, rollout)
    if missing := pods_missing(seen, rollout.candidate, pods, 0):
        if rollout.step == VERIFYING:
            # What was steady isn't any more: its time begins anew.
            why = StatusMessage(Reason.PODS_NOT_READY, missing.message)
            return advance(seen, rollout, COMING_UP, Phase.STARTING, why, pods)
        return hold(seen, Phase.STARTING, missing, replicas=pods)
    by_hand = bool(rollout.by_hand.full_by) or rollout.by_hand.promoted == rollout.step
    if rollout.step == COMING_UP and not by_hand:
        return _verify(seen, strategy, rollout)
    moment = Moment.FIRST_TRAFFIC_BY_HAND if by_hand else Moment.FIRST_TRAFFIC
    proposal = Proposal(moment, rollout, 100, pods, strategy.verify_for)
    if held := first_hold(seen, proposal):
        return hold(seen, held.phase or Phase.BLUE_GREEN, held.why, replicas=pods)
    return _switch(seen, strategy, rollout)


def _verify(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    span = format_duration(strategy.verify_for)
    message = f"{rollout.candidate} is at full size; it must stay ready for {span} before the switch"
    why = StatusMessage(Reason.VERIFYING, message)
    return advance(seen, rollout, VERIFYING, Phase.BLUE_GREEN, why, full_size(seen.spec, rollout))


def _switch(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    kept = f"; {seen.recorded.stable} is kept for {format_duration(strategy.keep_old)}"
    message = f"{rollout.candidate} gets all requests{_by(rollout)}{'' if rollout.by_hand.full_by else kept}"
    why = StatusMessage(Reason.SWITCHED, message)
    return advance(seen, rollout, SWITCHED, Phase.BLUE_GREEN, why, full_size(seen.spec, rollout))


def _by(rollout: Rollout) -> str:
    """Whose word the switch rests on."""
    by_hand = rollout.by_hand
    if by_hand.full_by:
        return f", promoted in full {by_hand.full_by}"
    if by_hand.promoted == rollout.step:
        return f", promoted {by_hand.promoted_by}"
    return f", approved {by_hand.approved_by}" if by_hand.approved is not None else ""


def _after_switch(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    pods = full_size(seen.spec, rollout)
    by_hand = bool(rollout.by_hand.full_by)
    over = None if by_hand else after_deadline(seen, rollout)
    if over == Policy.ROLLBACK:
        return roll_back(seen, rollout, deadline_exceeded(seen))
    if restored := restore(seen, rollout, Phase.BLUE_GREEN, pods):
        return restored
    if by_hand:
        held = first_hold(seen, Proposal(Moment.COMPLETE_BY_HAND, rollout, 100, pods))
        waits = hold(seen, Phase.BLUE_GREEN, held.why, replicas=pods) if held else None
        return waits or complete(seen, rollout, Reason.PROMOTED_BY_HAND)
    late = over == Policy.PROMOTE
    held = None if late else first_hold(seen, Proposal(Moment.KEEP_NO_LONGER, rollout, 100, pods))
    # keepOld, and a pause, hold although time is up.
    kept = Proposal(Moment.COMPLETE, rollout, 100, pods, strategy.keep_old)
    if held := first_hold(seen, kept) or held:
        waits = hold(seen, held.phase or Phase.BLUE_GREEN, held.why, replicas=pods)
        return doubted_too_long(seen, rollout, waits)
    return complete(seen, rollout, Reason.DEADLINE_EXCEEDED if late else Reason.EVIDENCE_ACCEPTABLE)
