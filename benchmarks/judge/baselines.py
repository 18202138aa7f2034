"""Rules with a fixed threshold, as the documentation of Argo Rollouts and Flagger shows them. Pure.

Nothing to divide by is NaN, and NaN is not at least 99 %: both count such a check as failed. Argo's `failureLimit: 3`
aborts at the fourth failed measurement of one metric; Flagger's threshold is over all its metrics together.
"""

from dataclasses import dataclass

from benchmarks.judge.traffic import Arm, Bools, Recording
from benchmarks.judge.windows import nth, over_windows, percentile, share

LEAST_SUCCESS = 0.99
MOST_P99 = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Checks:
    """A look at the last `window` seconds, every so many, and the failed one that ends the release."""

    window: int
    every: int
    fails_at: int


ARGO = Checks(window=60, every=30, fails_at=4)
FLAGGER = Checks(window=60, every=60, fails_at=5)


def argo(recording: Recording) -> float | None:
    """Each metric counts its own failures; the first that has too many aborts."""
    found = [nth(failed, ARGO.fails_at) for failed in _failed_checks(recording, ARGO)]
    return min((_at(index, ARGO) for index in found if index is not None), default=None)


def flagger(recording: Recording) -> float | None:
    """A check fails where any metric does."""
    first, *others = _failed_checks(recording, FLAGGER)
    for failed in others:
        first = first | failed
    index = nth(first, FLAGGER.fails_at)
    return None if index is None else _at(index, FLAGGER)


def _failed_checks(recording: Recording, checks: Checks) -> list[Bools]:
    """One row per metric: which looks found it wrong, or found nothing."""
    arm = _looks(recording.candidate, recording.interval, checks)
    failed = [~(1 - share(arm.failed, arm.requests) >= LEAST_SUCCESS)]
    if arm.has_latency:
        failed.append(~(percentile(arm.histogram, 0.99) <= MOST_P99))
    return failed


def _looks(arm: Arm, interval: int, checks: Checks) -> Arm:
    requests, failed, histogram, slow = (
        over_windows(values, interval, window=checks.window, every=checks.every)
        for values in (arm.requests, arm.failed, arm.histogram, arm.slow)
    )
    return Arm(requests, failed, histogram, slow)


def _at(index: int, checks: Checks) -> float:
    return float((index + 1) * checks.every)
