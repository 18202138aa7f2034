"""How many pods each revision needs. Pure.

What 100 % of the requests need is `spec.replicas`, which an autoscaler may set: it sees all the model's pods, so that
what it asks for is the whole load in pods, however that is split. While a rollout lasts, and for a while after, either
revision may have to take all requests at once, so what was needed then is needed still, whatever replicas fall to.
"""

import math
from dataclasses import replace
from datetime import timedelta

from tidegate.model.observation import Observation
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.model.status import Rollout, Status

KEPT_AFTER = timedelta(minutes=5)
"""How long all pods stay after a rollout although fewer are asked for, as long as an autoscaler looks back by default.

What it last asked for came of two revisions' load, and one of them may have answered, or failed, for less.
"""
A_TENTH_EACH = timedelta(minutes=1)
"""Then they go a tenth at a time. An autoscaler whose pods are within a tenth of its target keeps to what it has asked
for, even where more pods than that are what keeps them there: it has to see what the rest bear.
"""


def full_size(spec: ModelDeploymentSpec, rollout: Rollout | None) -> int:
    """Pods that 100 % of the requests need. While a rollout lasts, this only grows."""
    return spec.replicas if rollout is None else max(1, spec.replicas, rollout.replicas)


def candidate_size(spec: ModelDeploymentSpec, rollout: Rollout, step: int) -> int:
    """Pods that the candidate needs at a step.

    A switch, and a way back in one shift, take all of them before the first request. A canary gets as many as make the
    load of one of its pods that of one of stable's, which keeps all of its own; a step's own number and the surge may
    make that fewer, but never fewer than carry the step's weight.
    """
    full, strategy = full_size(spec, rollout), spec.strategy
    if not isinstance(strategy, Canary) or rollout.fast_track:
        return full
    weight, mirrored = strategy.weight_at(step), strategy.mirror_at(step)
    carrying = max(1, math.ceil(full * (weight + mirrored) / 100))
    given = strategy.replicas_at(step)
    # Copies leave stable's pods with all that they had.
    unasked = carrying if mirrored else pods_for_equal_load(full, weight)
    if strategy.rules_at(step):
        unasked = full  # nobody knows how many match
    wanted = given.of(full) if given else unasked
    return min(full, max(carrying, min(wanted, strategy.max_surge.of(full))))


def pods_for_equal_load(full: int, weight: int) -> int:
    """Pods for `weight` percent, beside `full` for the rest, so that none gets more than those do: at most `full`.

    A pod is indivisible: where few are needed, one of these may get much less.
    """
    return full if weight >= 50 else max(1, math.ceil(full * weight / (100 - weight)))


def is_scaled_to_zero(seen: Observation) -> bool:
    """Whether no pod is wanted, as nobody asks. A rollout that is under way keeps its pods."""
    return seen.spec.replicas == 0 and seen.recorded.rollout is None


def replicas_at_start(seen: Observation) -> int:
    """What 100 % of the requests are taken to need when a rollout starts: what is asked for, and what is there."""
    return max(seen.spec.replicas, seen.state(seen.recorded.stable).replicas or 0)


def with_floor(seen: Observation, status: Status) -> Status:
    """The status with what 100 % of the requests need by now, for as long as its rollout lasts."""
    rollout = status.rollout
    if rollout is None or status.stable is None:
        return status
    return replace(status, rollout=replace(rollout, replicas=full_size(seen.spec, rollout)))


def stable_size(seen: Observation, status: Status) -> int:
    """Pods that the stable revision needs: what 100 % of the requests need, whether a rollout lasts or is just over."""
    if status.rollout is not None or not status.history:
        return full_size(seen.spec, status.rollout)
    ended = status.history[0]
    tenths = max(0, 10 - _tenths_gone(seen.now - ended.finished_at))
    return max(seen.spec.replicas, math.ceil(ended.replicas * tenths / 10))


def until_fewer(seen: Observation, status: Status) -> timedelta:
    """How long until `stable_size` next falls by itself, after a rollout."""
    age = seen.now - status.history[0].finished_at if status.history else KEPT_AFTER
    return KEPT_AFTER - age if age < KEPT_AFTER else A_TENTH_EACH - (age - KEPT_AFTER) % A_TENTH_EACH


def _tenths_gone(age: timedelta) -> int:
    return 0 if age < KEPT_AFTER else (age - KEPT_AFTER) // A_TENTH_EACH + 1
