"""One rollout before the judge: it hears poll after poll, and remembers what they add up to.

The same polls under the same terms always end in the same state, whoever heard them and whenever. So a restarted
operator that hears them all again knows what the one before it knew.
"""

import math
from dataclasses import dataclass, field

from tidegate.judge.drift import Drift
from tidegate.judge.eprocess import log_sum
from tidegate.judge.interval import Interval
from tidegate.judge.metric import LatencyMetric, Metric, metrics_for
from tidegate.model.evidence import BY_CHANCE, NO_DURATIONS, Counts, Dispersion, Durations, Poll
from tidegate.model.spec import Analysis

AT_ONCE = 10.0
"""This many times the needed evidence rolls back on one poll; less has to be seen on two."""
PART_OF_DRIFT = 0.2
"""Its weight in a rollback, where the user wants one for it."""


@dataclass(frozen=True)
class Terms:
    """What is judged by, fixed before the first poll.

    `concurrent` says whether stable serves beside the candidate; where it doesn't (after a blue-green switch), only
    ceilings can tell. `reference` is stable's latency from before.
    """

    analysis: Analysis
    concurrent: bool = True
    reference: Durations = NO_DURATIONS
    dispersion: Dispersion = BY_CHANCE


@dataclass(frozen=True)
class Look:
    """The evidence after one poll: of all metrics together, and which of them weighs most."""

    log_worse: float
    heaviest: str


@dataclass
class Trial:
    """What has been heard of one rollout."""

    terms: Terms
    polls: int = 0
    last: Look = field(default=Look(0.0, "errors"))
    condemned: Look | None = None
    """The first look at which the evidence sufficed to roll back: once by far, or on two polls that held requests."""
    highest: float = 0.0
    stable: Counts = field(default_factory=Counts)
    candidate: Counts = field(default_factory=Counts)
    pods: dict[str, Counts] = field(default_factory=dict)
    stable_is_unwell: bool = False
    """Whether stable itself was above the ceiling when it was last seen."""

    def __post_init__(self) -> None:
        analysis = self.terms.analysis
        self.metrics = metrics_for(
            analysis.error_rate,
            analysis.latency,
            self.terms.reference,
            self.terms.dispersion,
            concurrent=self.terms.concurrent,
        )
        self.interval = Interval(analysis.false_rollback)
        self.drift = Drift(analysis.predictions)
        self._suspected = False

    def hear(self, poll: Poll) -> None:
        """Takes in the next poll."""
        for metric in self.metrics:
            metric.hear(poll)
        self._add_up(poll)
        if self.terms.concurrent:
            self.interval.add(
                (poll.candidate.failed, poll.candidate.requests), (poll.stable.failed, poll.stable.requests)
            )
            self.drift.add(poll.candidate.predictions, poll.stable.predictions)
        self.last = self._weighed()
        self.highest = max(self.highest, self.last.log_worse)
        self._confirm(poll.candidate.requests > 0)

    @property
    def latency(self) -> LatencyMetric | None:
        """The metric of that name, where latency is judged."""
        return next((metric for metric in self.metrics if isinstance(metric, LatencyMetric)), None)

    def weakest(self) -> Metric:
        """The metric that a promotion waits for the most."""
        return min((metric for metric in self.metrics if metric.is_needed), key=lambda metric: metric.log_acceptable())

    def _add_up(self, poll: Poll) -> None:
        self.polls += 1
        ceiling = self.terms.analysis.error_rate.ceiling
        if poll.stable.requests:
            self.stable_is_unwell = poll.stable.failed > ceiling * poll.stable.requests
        self.stable, self.candidate = self.stable + poll.stable, self.candidate + poll.candidate
        for pod, counts in poll.pods.items():
            self.pods[pod] = self.pods.get(pod, Counts()) + counts

    def _weighed(self) -> Look:
        weighted = {metric.name: math.log(metric.weight) + metric.log_worse() for metric in self.metrics}
        if self.terms.concurrent and self.terms.analysis.predictions.on_drift == "Rollback":
            weighted = {name: value + math.log(1 - PART_OF_DRIFT) for name, value in weighted.items()}
            weighted["predictions"] = math.log(PART_OF_DRIFT) + self.drift.log_value()
        return Look(log_sum(weighted.values()), max(weighted, key=weighted.__getitem__))

    def _confirm(self, saw_candidate: bool) -> None:
        if self.condemned is not None:
            return
        needed = -math.log(self.terms.analysis.false_rollback)
        if self.last.log_worse >= needed + math.log(AT_ONCE):
            self.condemned = self.last
        elif saw_candidate:
            if self._suspected and self.last.log_worse >= needed:
                self.condemned = self.last
            self._suspected = self.last.log_worse >= needed
