"""Whether it is the model, or one pod of several that is sick. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.model.spec import Margin

ENOUGH = 50
"""Requests of the other pods below which nobody can say that they are well."""
UNLIKELY = 0.01


class Tally(NamedTuple):
    """Of one pod: requests, and those of them that were bad."""

    bad: int
    requests: int


@dataclass(frozen=True)
class SickPod:
    """One pod that accounts for what is wrong, and what the others did."""

    pod: str
    own: Tally
    others: Tally


def sick_pod(pods: Mapping[str, Tally], stable_rate: float, margin: Margin) -> SickPod | None:
    """The pod without which the others are within the margin of stable; None where there is none.

    Two things have to hold: the others' rate is tolerable, and if all pods were alike, so few of the bad requests would
    have been the others' with a chance of at most 1 % (binomial, given how many bad ones there were).
    """
    if len(pods) < 2:
        return None
    worst = max(pods, key=lambda pod: (pods[pod].bad / max(1, pods[pod].requests), pod))
    own = pods[worst]
    others = Tally(
        sum(tally.bad for pod, tally in pods.items() if pod != worst),
        sum(tally.requests for pod, tally in pods.items() if pod != worst),
    )
    if not own.bad or others.requests < ENOUGH:
        return None
    if others.bad > (margin.ratio * stable_rate + margin.absolute) * others.requests:
        return None
    share = others.requests / (others.requests + own.requests)
    if _at_most(others.bad, others.bad + own.bad, share) > UNLIKELY:
        return None
    return SickPod(worst, own, others)


def _at_most(successes: int, trials: int, chance: float) -> float:
    """P(X ≤ successes) for X ~ Binomial(trials, chance), 0 < chance < 1."""
    log_choose = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(successes + 1)
    ]
    return math.fsum(
        math.exp(log + k * math.log(chance) + (trials - k) * math.log1p(-chance)) for k, log in enumerate(log_choose)
    )
