"""What a rollout to a revision that was stable a short while ago does next. Pure.

It isn't judged against the revision that it is to replace, whose badness is why somebody goes back: one shift as soon
as all of its pods are ready, and the other revision goes when it is seen to get nothing any more.
"""

from tidegate.decide.capacity import full_size
from tidegate.decide.gates import Hold, Moment, Proposal, first_hold
from tidegate.decide.rollback_triggers import pods_trigger
from tidegate.decide.transition import Transition, advance, complete, hold, restore, roll_back
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Reason, StatusMessage
from tidegate.model.status import Rollout


def decide_fast_track(seen: Observation, rollout: Rollout) -> Transition:
    """One look at a rollout that goes back."""
    pods = full_size(seen.spec, rollout)
    if not rollout.shifts:
        if trigger := pods_trigger(seen, rollout, pods):
            return roll_back(seen, rollout, trigger)
        held = first_hold(seen, Proposal(Moment.RETURN, rollout, 100, pods))
        return _held(seen, held, pods, Phase.STARTING) if held else _shift(seen, rollout, pods)
    if restored := restore(seen, rollout, Phase.PROMOTING, pods):
        return restored
    held = first_hold(seen, Proposal(Moment.COMPLETE_RETURN, rollout, 100, pods))
    return _held(seen, held, pods, Phase.PROMOTING) if held else complete(seen, rollout, Reason.RETURNED)


def _held(seen: Observation, held: Hold, pods: int, phase: Phase) -> Transition:
    return hold(seen, held.phase or phase, held.why, replicas=pods)


def _shift(seen: Observation, rollout: Rollout, pods: int) -> Transition:
    message = f"{rollout.candidate} gets all requests again: it was stable within rollbackWindow"
    why = StatusMessage(Reason.RETURNING, message)
    return advance(seen, rollout, seen.spec.strategy.step_of_all, Phase.PROMOTING, why, pods)
