"""What the metrics of one test know besides the increment at hand. Pure.

It is updated after them, so that what an increment is held against never depends on that increment.
"""

import math
from dataclasses import dataclass, field

from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment, Predictions

ENOUGH_OF_THE_PAST = 100
"""Requests of stable below which its past is no yardstick."""
ABSENT_FOR = 50
"""Requests of the candidate without one of stable's, though the split gives it a share, after which it is away."""
ALL_BUT_ALL = 0.5
"""Share of failures from which on stable's latency is that of its failures."""
SURE = 3.09
"""Standard deviations to one side: the chance that a bound of the past is wrong is one in a thousand."""


@dataclass
class Context:
    """Of stable: whether it is well, and what it did while it served; of the candidate: how many pods it has.

    `before` is what stable did before the rollout; what it does beside the candidate is fresher.
    """

    ceiling: float
    before: Counts
    beside: Counts = field(default_factory=Counts)
    candidate_pods: int = 1
    failing: float = 0.0
    """The share of stable's requests that failed when it was last seen."""
    is_concurrent: bool = True
    """Whether stable was to have a share of the traffic in the latest increment."""
    _without_stable: int = 0

    def update_traffic(self, increment: Increment) -> None:
        """Takes in requests and failures, after all metrics have."""
        self.is_concurrent = increment.concurrent
        if not increment.concurrent:
            return
        self.beside = self.beside + increment.stable.traffic
        if increment.stable.requests:
            self._without_stable = 0
        else:
            self._without_stable += increment.candidate.requests

    def update_health(self, look: Increment) -> None:
        """The same, of no less than a LOOK: of a few requests nobody can say whether stable is well."""
        if look.concurrent and look.stable.requests:
            self.failing = look.stable.failed / look.stable.requests

    def update_details(self, increment: Increment) -> None:
        """Takes in latency, predictions and pods, after all metrics have."""
        if increment.pods:
            self.candidate_pods = len(increment.pods)
        if increment.concurrent:
            stable = increment.stable
            self.beside = self.beside + Counts(durations=stable.durations, predictions=stable.predictions)

    @property
    def is_alone(self) -> bool:
        """Whether the candidate was last seen without stable, which has no share, or answers nothing of it."""
        return not self.is_concurrent or self._without_stable >= ABSENT_FOR

    @property
    def stable_is_unwell(self) -> bool:
        """Whether stable, beside the candidate, was above the ceiling when it was last seen."""
        return not self.is_alone and self.failing > self.ceiling

    def leaves_alone(self, increment: Increment) -> bool:
        """Whether the candidate is without stable in an increment, by what was known before it."""
        return not increment.concurrent or (self.is_alone and not increment.stable.requests)

    @property
    def past(self) -> Counts:
        """What an increment without stable is held against."""
        return self.beside if self.beside.requests >= ENOUGH_OF_THE_PAST else self.before

    @property
    def past_durations(self) -> Durations:
        """The same of latency: before the rollout stable's pods had all requests, as the candidate's have now."""
        return next(
            (each for each in (self.before.durations, self.beside.durations) if each.total >= ENOUGH_OF_THE_PAST),
            NO_DURATIONS,
        )

    @property
    def past_predictions(self) -> Predictions:
        """The same of what was answered."""
        return self.beside.predictions if self.beside.predictions.classes else self.before.predictions


def at_most(bad: float, requests: float, phi: float = 1.0, sure: float = SURE) -> float:
    """The upper bound of a share that was seen, `bad` of `requests` in clumps of φ (Wilson & Hilferty 1931)."""
    clumps = bad / phi + 1
    return min(1.0, phi * _cubed(clumps, sure) / requests)


def at_least(bad: float, requests: float, phi: float = 1.0) -> float:
    """The lower bound."""
    return phi * max(0.0, _cubed(bad / phi, -SURE)) / requests if bad else 0.0


def _cubed(count: float, sure: float) -> float:
    """The mean of a Poisson distribution that has `count` or more, or fewer, with the chance of `sure`."""
    return count * math.pow(max(0.0, 1 - 1 / (9 * count) + sure / (3 * math.sqrt(count))), 3)
