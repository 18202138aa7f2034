"""What a transition comes to while the API server refuses a write that it rests on. Pure."""

from dataclasses import replace

from tidegate.decide.transition import Transition
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason

WAITS_FOR_PODS = frozenset({Reason.ROLLOUT_STARTED, Reason.PODS_STARTING, Reason.PODS_NOT_READY, Reason.SCALING_UP})
FOR_GOOD = frozenset({Reason.WRITE_REFUSED, Reason.NAME_TAKEN})


def told(seen: Observation, transition: Transition) -> Transition:
    """The same transition, stalled where a write is refused: traffic and deadlines go on, and people hear of it.

    What waits for pods waits for that write; all else is reconciled on. What passes by itself stalls nothing.
    """
    if seen.refusal is None or transition.stalled is not None:
        return transition
    if seen.refusal.reason not in FOR_GOOD:
        return replace(transition, reconciling=seen.refusal)
    waiting = transition.reconciling
    if waiting is not None and waiting.reason in WAITS_FOR_PODS:
        waiting = None
    return replace(transition, reconciling=waiting, stalled=seen.refusal)
