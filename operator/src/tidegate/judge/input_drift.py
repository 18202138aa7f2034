"""Whether a candidate is asked other things than it was trained on. Pure.

Each feature is looked at from both sides: for numbers the shares of values up to each edge, for strings the share of
each category, for both the share of what is missing. Each is held against the training's share, as far as its counts
tell it, and what is tolerated besides. The counts only grow, so the evidence of all of them is a product over all
looks, and may be looked at as often as one likes; where a pod goes with its counts there is less of it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tidegate.judge.context import at_most
from tidegate.judge.drift import ALTERNATIVES, Share
from tidegate.judge.e_process import e_value, log_e_ceiling, log_sum
from tidegate.judge.explain import of_threshold
from tidegate.model.inputs import Bins, Features, InputCheck, InputPolicy, InputsSeen, InputState, Values
from tidegate.model.units import counted, format_percent

ENOUGH = 100
"""Live values of a feature, below which nothing is said of it."""
MISSING, ANY_OTHER, BELOW, BETWEEN = "missing", "any other", "below ", ".."
"""What the model server calls bins: only categories have ANY_OTHER, and only numbers have BELOW and BETWEEN."""


class Kind(NamedTuple):
    """Some values of a feature, and their share."""

    what: str
    live: Share
    trained: Share

    @property
    def excess(self) -> float:
        """By how much the live share is the larger one."""
        return self.live[0] / self.live[1] - self.trained[0] / self.trained[1]

    @property
    def others(self) -> "Kind":
        """All other values."""
        return Kind(self.what, _rest(self.live), _rest(self.trained))


def inputs_seen(features: Features, check: InputCheck, false_alarm: float) -> InputsSeen:
    """What the counts of a candidate come to. That all is within what is tolerated is called a difference at most once
    in 1/`false_alarm` rollouts."""
    if not features:
        return InputsSeen(
            InputState.NO_PROFILE,
            "the candidate's model has no training-profile.json, or its server counts none: nothing is known of its "
            "training",
        )
    fewest = min(features, key=lambda name: _total(features[name]).live)
    if (live := _total(features[fewest]).live) < ENOUGH:
        return InputsSeen(
            InputState.TOO_FEW,
            f"the candidate has got {counted(live, 'live value')} of {fewest}; {ENOUGH} say how they are distributed",
        )
    if untold := [name for name, bins in features.items() if not _total(bins).trained]:
        return InputsSeen(
            InputState.TOO_FEW,
            f"nobody tells how {untold[0]} was distributed in the candidate's training, only what it is asked; have "
            "Prometheus keep both of the model servers' metrics of inputs",
        )
    kinds = [kind for name, bins in features.items() for kind in _kinds(name, bins)]
    largest = max(kinds, key=lambda kind: abs(kind.excess))
    log_value = _log_value(kinds, check.drift)
    told = (
        f"{largest.what} in {_percent(largest.live)} of {largest.live[1]:,} live requests against "
        f"{_percent(largest.trained)} in training"
    )
    if log_value < -math.log(false_alarm):
        message = f"the largest difference of the inputs is {told}; {format_percent(check.drift)} is tolerated"
        return InputsSeen(InputState.AS_TRAINED, message)
    evidence = of_threshold(e_value(log_value), 1 / false_alarm)
    return InputsSeen(
        InputState.DIFFER,
        f"the candidate isn't asked what it was trained on: {told}; a difference of {format_percent(check.drift)} is "
        f"tolerated, evidence {evidence}; {ADVICE[check.on_drift]}",
    )


ADVICE = {
    InputPolicy.WARN: "stable gets the same requests, so this stops nothing",
    InputPolicy.HOLD: (
        "look at where its inputs come from and what it was trained on; if it is to go on all the same, set "
        "spec.analysis.inputs.onDrift to Warn"
    ),
}


def _log_value(kinds: Sequence[Kind], tolerated: float) -> float:
    """Log of the average evidence over all kinds, more and less of each.

    Those whose live share isn't beyond the line have next to none, and count as none, which is less: most of the work.
    """
    sides = [side for kind in kinds for side in (kind, kind.others)]
    beyond = (side for side in sides if side.excess > tolerated)
    return log_sum(_evidence(side.live, side.trained, tolerated) for side in beyond) - math.log(len(sides))


def _evidence(live: Share, trained: Share, tolerated: float) -> float:
    line = min(1.0, at_most(*trained) + tolerated)
    return log_sum(math.log(weight) + log_e_ceiling(*live, kappa=kappa, ceiling=line) for kappa, weight in ALTERNATIVES)


def _kinds(name: str, bins: Bins) -> Iterator[Kind]:
    total = _total(bins)
    if ANY_OTHER in bins:
        for category, values in bins.items():
            yield _kind(f"{name} {category}", values, total)
        return
    yield _kind(f"{name} {MISSING}", bins.get(MISSING, Values()), total)
    up_to = Values()
    for edge, values in sorted((_upper(bin_), values) for bin_, values in bins.items() if _is_bounded(bin_)):
        up_to = _sum(up_to, values)
        yield _kind(f"{name} up to {edge:g}", up_to, total)


def _is_bounded(bin_name: str) -> bool:
    return bin_name.startswith(BELOW) or BETWEEN in bin_name


def _upper(bin_name: str) -> float:
    """Raises ValueError where a server calls its bins otherwise."""
    return float(bin_name.removeprefix(BELOW).rpartition(BETWEEN)[2])


def _kind(what: str, values: Values, total: Values) -> Kind:
    return Kind(what, (values.live, total.live), (values.trained, total.trained))


def _total(bins: Bins) -> Values:
    return Values(sum(each.live for each in bins.values()), sum(each.trained for each in bins.values()))


def _sum(one: Values, other: Values) -> Values:
    return Values(one.live + other.live, one.trained + other.trained)


def _rest(share: Share) -> Share:
    return share[1] - share[0], share[1]


def _percent(share: Share) -> str:
    return format_percent(share[0] / share[1])
