"""What is judged: each metric gathers evidence in two directions, increment by increment."""

import math
from collections.abc import Sequence

from tidegate.judge.e_process import CEILING_UPWARD, DOWNWARD, UPWARD, EProcess, log_e, log_e_ceiling, log_sum
from tidegate.judge.latency import Boundary, boundaries_of, bucket_from
from tidegate.model.evidence import Durations, Increment, Overdispersion
from tidegate.model.spec import ErrorRate, Latency, Margin

LATENCY_TOLERANCE = Margin(1.25, 0.001)
"""The pods of two revisions are never equally lucky with their nodes: a quarter more slow requests is no regression."""
LATENCY_LEEWAY = 0.5
"""A percentile is acceptable when fewer requests are slower than stable's share plus half of what it leaves above it.

A bucket's bound lies somewhat above the percentile, so stable's own share of slower requests may be near zero there,
and against zero nothing could ever be shown.
"""

Arm = tuple[float, float]
"""Bad requests, and requests."""


class Metric:
    """`weight` is its part in a rollback; `is_needed` whether a promotion has to wait for it."""

    name: str
    weight: float
    is_needed = True
    reads_details = False
    """Whether it is about latency, which comes from the servers; else it is about requests and failures."""

    def __init__(self) -> None:
        self.worse: list[EProcess] = []
        self.acceptable: list[EProcess] = []

    def update(self, increment: Increment) -> None:
        """Takes in one increment."""
        raise NotImplementedError

    def log_worse(self) -> float:
        """The average over what it looks at: valid whatever the dependence among them. 0 where it looks at nothing."""
        if not self.worse:
            return 0.0
        return log_sum(e_process.log_value for e_process in self.worse) - math.log(len(self.worse))

    def log_acceptable(self) -> float:
        """The minimum over what it looks at, as each has to be shown; -∞ where nothing can be."""
        return min((e_process.log_value for e_process in self.acceptable), default=-math.inf)


class Errors(Metric):
    """Failures of both arms."""

    name, weight = "errors", 0.5

    def __init__(self, errors: ErrorRate, overdispersion: Overdispersion) -> None:
        super().__init__()
        self._margins = errors.tolerate, errors.accept
        self._phi = overdispersion.errors
        self.worse, self.acceptable = [EProcess(UPWARD)], [EProcess(DOWNWARD, start_at_once=1.0)]

    def update(self, increment: Increment) -> None:
        candidate = increment.candidate.failed, increment.candidate.requests
        stable = increment.stable.failed, increment.stable.requests
        for e_process, margin in zip((*self.worse, *self.acceptable), self._margins, strict=True):
            add_two_arms(e_process, margin, candidate, stable, self._phi)


class Ceiling(Metric):
    """The candidate's failures against a fixed rate. Needed for a promotion only where nothing else can tell.

    An increment in which stable itself fails more often than that says nothing about the candidate: something else is
    broken. Leaving it out keeps the bound, as it is chosen by stable's counts and not by the candidate's.
    """

    name, weight = "ceiling", 0.2

    def __init__(self, ceiling: float, overdispersion: Overdispersion, *, is_needed: bool) -> None:
        super().__init__()
        self._ceiling, self._phi, self.is_needed = ceiling, overdispersion.errors, is_needed
        self.worse = [EProcess(CEILING_UPWARD)]
        if is_needed:
            self.weight = 1.0
            self.acceptable = [EProcess(DOWNWARD, start_at_once=1.0)]

    def update(self, increment: Increment) -> None:
        if increment.stable.failed > self._ceiling * increment.stable.requests:
            return
        arm = increment.candidate.failed, increment.candidate.requests
        for e_process in (*self.worse, *self.acceptable):
            add_ceiling(e_process, self._ceiling, arm, self._phi)


class LatencyMetric(Metric):
    """Requests slower than boundaries near stable's percentiles, chosen before what is judged by them."""

    name, weight, reads_details = "latency", 0.3, True

    def __init__(self, latency: Latency, reference: Durations, overdispersion: Overdispersion) -> None:
        super().__init__()
        self._latency, self._reference, self._overdispersion = latency, reference, overdispersion
        self.boundaries: tuple[Boundary, ...] = ()
        self._choose()

    def update(self, increment: Increment) -> None:
        if not self.boundaries:
            # Too little was known of stable: this increment helps to choose, and so it isn't judged by what it chose.
            self._reference = self._reference + increment.stable.durations
            self._choose()
            return
        candidate, stable = increment.candidate.durations, increment.stable.durations
        for index, boundary in enumerate(self.boundaries):
            phi = self._overdispersion.latency.get(boundary.quantile, 1.0)
            slow_stable = stable.slower_than(boundary.stable) if stable.bounds else 0
            acceptance = Margin(1.0, LATENCY_LEEWAY * (1 - boundary.quantile / 100))
            for e_process, margin, at in (
                (self.worse[index], LATENCY_TOLERANCE, boundary.tolerate),
                (self.acceptable[index], acceptance, boundary.accept),
            ):
                slow = candidate.slower_than(at) if candidate.bounds else 0
                add_two_arms(e_process, margin, (slow, candidate.total), (slow_stable, stable.total), phi)

    def heaviest(self) -> Boundary:
        """The boundary with the most evidence that the candidate is slower."""
        return max(zip(self.worse, self.boundaries, strict=True), key=lambda pair: pair[0].log_value)[1]

    def _choose(self) -> None:
        self.boundaries = boundaries_of(self._reference, self._latency)
        self.worse = [EProcess(UPWARD) for _ in self.boundaries]
        self.acceptable = [EProcess(DOWNWARD, start_at_once=1.0) for _ in self.boundaries]


class LatencyCeiling(Metric):
    """The candidate's percentiles against fixed limits: of p99 250 ms, at most 1 % may be slower than 250 ms."""

    name, weight, is_needed, reads_details = "latency ceiling", 0.1, False, True

    def __init__(self, latency: Latency, overdispersion: Overdispersion) -> None:
        super().__init__()
        self._limits, self._overdispersion = latency.ceiling, overdispersion
        self.worse = [EProcess(CEILING_UPWARD) for _ in self._limits]

    def update(self, increment: Increment) -> None:
        durations = increment.candidate.durations
        for e_process, (quantile, limit) in zip(self.worse, self._limits, strict=True):
            # The first bound at or above the limit: fewer requests are slower than it, so nobody is wronged.
            slow = (
                durations.slower_than(bucket_from(durations.bounds, limit.total_seconds())) if durations.bounds else 0
            )
            phi = self._overdispersion.latency.get(quantile, 1.0)
            add_ceiling(e_process, 1 - quantile / 100, (slow, durations.total), phi)


def metrics_for(
    errors: ErrorRate, latency: Latency, reference: Durations, overdispersion: Overdispersion, *, concurrent: bool
) -> Sequence[Metric]:
    """What is judged. Their weights add to 1, which the bound on false rollbacks rests on.

    Without a stable arm beside the candidate, only ceilings can tell.
    """
    if not concurrent:
        return [Ceiling(errors.ceiling, overdispersion, is_needed=True)]
    ceiling = Ceiling(errors.ceiling, overdispersion, is_needed=False)
    both: list[Metric] = [Errors(errors, overdispersion), LatencyMetric(latency, reference, overdispersion), ceiling]
    if latency.ceiling:
        ceiling.weight = 0.1
        both.append(LatencyCeiling(latency, overdispersion))
    return both


def add_two_arms(e_process: EProcess, margin: Margin, candidate: Arm, stable: Arm, phi: float = 1.0) -> None:
    """One increment's evidence against a margin, over the size of a clump (see `judge.overdispersion`)."""
    e_process.add(
        lambda kappa: (
            log_e(
                candidate[0],
                stable[0],
                candidate[1],
                stable[1],
                kappa=kappa,
                ratio=margin.ratio,
                absolute=margin.absolute,
            )
            / phi
        )
    )


def add_ceiling(e_process: EProcess, ceiling: float, arm: Arm, phi: float = 1.0) -> None:
    """One increment's evidence against a fixed rate."""
    e_process.add(lambda kappa: log_e_ceiling(arm[0], arm[1], kappa=kappa, ceiling=ceiling) / phi)
