"""Whether the pods of both arms bear loads that latency may be compared at. Pure.

A pod with more to do is slower, whichever model it has, so that a candidate is no slower can be said of equal loads
only. Where the candidate's pods have less to do, a slower one is worse all the same, but a fast one may be idle. Where
they have more to do, it is the other way round.
"""

from tidegate.judge.latency_history import Overload
from tidegate.model.evidence import Load
from tidegate.model.units import format_percent

FACTOR = 1.25
"""Loads per pod that differ by more than this aren't compared. On a server that is at 40 % of what it can, a quarter
more load is a fifth more latency, which is what is tolerated by default: s/(1 - ρ) from 0.4 to 0.5.
"""


def is_idler(load: Load | None) -> bool:
    """Whether a pod of the candidate has much less to do than one of stable's."""
    return load is not None and load.candidate * FACTOR < load.stable


def is_busier(load: Load | None) -> bool:
    """Whether a pod of the candidate has much more to do than one of stable's."""
    return load is not None and load.candidate > load.stable * FACTOR


def differs(load: Load | None) -> bool:
    """Whether latency can't be compared in one direction."""
    return is_idler(load) or is_busier(load)


def explain_difference(load: Load) -> str:
    """What each has, and the way out."""
    return (
        f"a pod of the candidate gets {format_percent(load.candidate)} of the requests and one of stable's "
        f"{format_percent(load.stable)}, so latency can't be compared, and a promotion waits until it can; let the "
        "last step be 50%, where both have as many pods, or set spec.analysis.latency.onLoadDiffers to Ignore"
    )


def explain_overload(overload: Overload) -> str:
    """What a pod has to do, beside the most that one of stable's had, and the way out."""
    return (
        f"a pod of the candidate answers {overload.rate:.3g} requests a second and is slower than stable's were, "
        f"which had at most {overload.highest:.3g} each in the half hour before, so nobody can say whether it is the "
        "model or the load; the rollout goes on when the load or the latency is as before: raise spec.replicas, or set "
        "spec.analysis.latency.ceiling to go back at a latency whatever the load"
    )
