"""No traffic goes where no ready pod is. Pure: one guard, asked about every transition of every strategy."""

from dataclasses import replace

from tidegate.decide.transition import Transition, hold
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Reason, StatusMessage


def guarded(seen: Observation, transition: Transition) -> Transition:
    """The transition, or a hold in its place where it would send traffic to a revision without a ready pod.

    Where nobody who has traffic has a ready pod either, there is nothing to keep, and the transition goes on.
    """
    before, after = seen.split, transition.split
    if before is None or after is None:
        return transition
    more = [name for name, weight in after if weight > before.weight(name)]
    more += [after.matched.revision] if after.matched and after.matched != before.matched else []
    absent = [name for name in more if seen.state(name).ready == 0]
    serving = [name for name, weight in before if weight > 0 and seen.state(name).ready > 0]
    if not absent or not serving:
        return transition
    why = StatusMessage(Reason.NO_READY_POD, _sentence(seen, transition, absent[0], serving[0]))
    rollout, begun = seen.recorded.rollout, transition.status.rollout
    if begun is not None and (rollout is None or rollout.started_at != begun.started_at):
        # The new candidate comes up all the same: it may be what mends it.
        return replace(transition, split=before, phase=Phase.HELD, reconciling=None, stalled=why)
    replicas = seen.state(rollout.candidate).replicas if rollout else None
    held = hold(seen, Phase.HELD, why, replicas=replicas)
    return replace(held, split=before, reconciling=None, stalled=why)


def _sentence(seen: Observation, transition: Transition, absent: str, serving: str) -> str:
    reason = transition.stalled.message if transition.stalled else "traffic is to move"
    state = seen.state(absent)
    why = state.failure.message if state.failure else "none of its pods is ready"
    return f"{serving} keeps its traffic, for {absent} couldn't take it ({why}): {reason}"
