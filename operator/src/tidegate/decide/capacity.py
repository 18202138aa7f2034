"""How many pods each revision needs. Pure."""

import math
from dataclasses import dataclass

from tidegate.model.spec import Strategy


@dataclass(frozen=True)
class Capacity:
    """Pods of both revisions; `candidate` is 0 where it carries nothing and prepares for nothing."""

    stable: int
    candidate: int


def capacity(replicas: int, strategy: Strategy, weight: int) -> Capacity:
    """What `weight` percent for the candidate takes, where `replicas` pods carry 100 % (stable's load per pod).

    Stable keeps what 100 % needs as long as traffic may return to it. A strategy that switches at once needs the
    candidate at full size before its first request.
    """
    carried = weight if strategy.moves_in_steps else 100
    return Capacity(replicas, max(1, math.ceil(replicas * carried / 100)))
