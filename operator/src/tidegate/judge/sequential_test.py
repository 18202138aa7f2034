"""The sequential test of one rollout: updated increment by increment, it may be read at any time. Pure.

The same increments under the same parameters always end in the same state, so a restarted operator that replays them
knows what the one before it knew. Its bounds rest on Ville's inequality (see `judge.e_process`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.judge.blocks import Blocks, ShortIncrements, SteadyBlocks
from tidegate.judge.confidence_sequence import ConfidenceSequence
from tidegate.judge.context import Context
from tidegate.judge.drift import Drift
from tidegate.judge.e_process import EProcess, log_sum
from tidegate.judge.load import is_busier, is_idler
from tidegate.judge.metric import Ceiling, Errors, LatencyMetric, Metric, Remedy, metrics_for
from tidegate.judge.overdispersion import CLUMPS_LAST
from tidegate.judge.slices import SliceErrors, with_slices
from tidegate.model.evidence import BY_CHANCE, NO_DURATIONS, Counts, Durations, Increment, Load, Overdispersion
from tidegate.model.reasons import Policy
from tidegate.model.spec import Analysis, CounterSource

AT_ONCE = 10.0
"""This many times the needed evidence rolls back on one increment; less has to be seen on two."""
WATCHFUL = 10.0
"""With this much evidence that the candidate is worse it doesn't advance, even if it isn't enough to roll back."""
PART_OF_DRIFT = 0.2
"""Its weight in a rollback, where the user wants one for it."""
NOTHING = Counts()


MOST_PODS = 500
"""Of the candidate that are remembered: a rollout that is held for days sees many come and go."""


@dataclass(frozen=True)
class SequentialTestParameters:
    """What the test is made with, fixed before the first increment.

    `reference` is stable's latency from before, `before` what else it answered.
    """

    analysis: Analysis
    reference: Durations = NO_DURATIONS
    overdispersion: Overdispersion = BY_CHANCE
    before: Counts = NOTHING
    points_apart: int = 0
    """Where the arms are scraped apart, the increments in which each of them is read once; 0 where they aren't."""

    def is_same_test(self, other: "SequentialTestParameters") -> bool:
        """Whether evidence under the one is evidence under the other: they differ in nothing that is tested."""
        return self._tested() == other._tested()

    def _tested(self) -> "SequentialTestParameters":
        analysis = replace(
            self.analysis,
            interval=timedelta(),
            false_promotion=0.0,
            queries=(),
            requests_from="",
            source=CounterSource.AUTO,
            on_inconclusive=Policy.HOLD,
            on_metrics_unavailable=Policy.HOLD,
            deadline=timedelta(),
        )
        return replace(self, analysis=analysis)


class EvidenceSnapshot(NamedTuple):
    """The evidence after one increment: of all metrics together, and which of them weighs most."""

    log_worse: float
    heaviest: str


@dataclass
class SequentialTest:
    """All metrics of one rollout, and the first moment at which they suffice to roll back."""

    parameters: SequentialTestParameters
    increments: int = 0
    watched: timedelta = timedelta()
    """How long all of them are together."""
    last: EvidenceSnapshot = field(default=EvidenceSnapshot(0.0, "errors"))
    rejected_at: EvidenceSnapshot | None = None
    """The first evidence that sufficed to roll back: once by far, or on two increments that held requests."""
    highest: float = 0.0
    stable: Counts = field(default_factory=Counts)
    candidate: Counts = field(default_factory=Counts)
    pods: dict[str, Counts] = field(default_factory=dict)
    load: Load | None = None
    """Of a pod of each arm, as last seen; None where it isn't known, or doesn't matter to the user."""

    def __post_init__(self) -> None:
        parameters, analysis = self.parameters, self.parameters.analysis
        errors, overdispersion = analysis.error_rate, parameters.overdispersion
        self.context = Context(errors.ceiling, replace(parameters.before, durations=parameters.reference))
        self.metrics = self._fresh_metrics()
        self.under_load = LatencyMetric(analysis.latency, parameters.reference, overdispersion, self.context)
        """Latency once more, only of increments in which the candidate's pods had as much to do as stable's."""
        self.promoting = self._promoting()
        self.remedy = Remedy(errors.ceiling, overdispersion, self.context)
        self.confidence_sequence = ConfidenceSequence(analysis.false_rollback)
        self.drift = Drift(analysis.predictions)
        self._blocks = Blocks(parameters.points_apart, analysis.interval)
        self._steady = SteadyBlocks(overdispersion.errors)
        self._short, self._looks = ShortIncrements(), ShortIncrements(enough=math.inf)
        self._block_since: datetime | None = None
        """When the block began in which clumps of failures may be under way; None where there is none."""
        self._suspected_at: datetime | None = None

    def update(self, increment: Increment) -> None:
        """Takes in the next increment of everything."""
        for block in self._judged(increment):
            self._take_traffic(block)
            self._take_details(block)
            self._end_block(block)
            self._weigh(block, block.candidate.requests > 0)

    def update_traffic(self, increment: Increment) -> None:
        """Takes in the requests and failures of the next increment, which may be known before its details."""
        for block in self._judged(increment):
            self._take_traffic(block)
            self._end_block(block)
            self._weigh(block, block.candidate.requests > 0)

    def update_details(self, increment: Increment) -> None:
        """Takes in the latency, the predictions and the pods of the next increment."""
        self._take_details(increment)
        self._weigh(increment, increment.candidate.durations.total > 0)

    @property
    def latency(self) -> LatencyMetric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if isinstance(metric, LatencyMetric))

    @property
    def slices(self) -> SliceErrors | None:
        """The metric of that name; None where there are none."""
        return next((metric for metric in self.metrics if isinstance(metric, SliceErrors)), None)

    @property
    def errors(self) -> Errors:
        """The metric of that name, as far as it promotes."""
        return next(metric for metric in self.promoting if isinstance(metric, Errors))

    def needed(self, *, under_load: bool = False) -> list[Metric]:
        """What a promotion has to wait for, as things stand with stable; `under_load`: latency at equal loads only."""
        latency = self.under_load if under_load else self.latency
        if self.context.is_alone:
            ceilings: list[Metric] = [metric for metric in self.promoting if isinstance(metric, Ceiling)]
            return [*ceilings, self.errors] if self.errors.has_past else ceilings
        if self.context.stable_is_unwell:
            return [self.remedy, latency] if self.latency.is_comparable else [self.remedy]
        required = [self.slices] if self.slices and self.slices.required else []
        return [self.errors, latency, *required]

    def weakest(self, *, under_load: bool = False) -> Metric:
        """The metric that a promotion waits for the most."""
        return min(self.needed(under_load=under_load), key=lambda metric: metric.log_acceptable())

    def _promoting(self) -> Sequence[Metric]:
        """What tells of a promotion: the same, but where a rollback has to wait for the other arm's counters."""
        if not self.parameters.points_apart:
            return self.metrics
        others = self._fresh_metrics()
        return [own if own.reads_details else other for own, other in zip(self.metrics, others, strict=True)]

    def _fresh_metrics(self) -> Sequence[Metric]:
        parameters, analysis = self.parameters, self.parameters.analysis
        errors, overdispersion = analysis.error_rate, parameters.overdispersion
        metrics = metrics_for(errors, analysis.latency, parameters.reference, overdispersion, self.context)
        return with_slices(metrics, analysis.slices, errors, overdispersion, self.context)

    def _judged(self, increment: Increment) -> Iterator[Increment]:
        """What there is to judge with one increment more."""
        self.increments += 1
        self.watched += self.parameters.analysis.interval if increment.lasted is None else increment.lasted
        if self.parameters.points_apart:
            block = self._blocks.join(increment)
            yield from (block,) if block else ()
        else:
            yield from self._short.join(increment)

    def _take_traffic(self, increment: Increment) -> None:
        if self.parameters.points_apart:
            _update((*self.promoting, self.remedy), increment)
            if steady := self._steady.settle(increment):
                _update(self.metrics, steady)
        else:
            _update((*self.metrics, self.remedy), increment)
        self.stable = self.stable + increment.stable.traffic
        self.candidate = self.candidate + increment.candidate.traffic
        self.context.update_traffic(increment)
        for look in self._looks.join(increment):
            self._take_look(look)

    def _take_look(self, look: Increment) -> None:
        candidate, stable = look.candidate, look.stable
        if look.concurrent:
            self.confidence_sequence.add((candidate.failed, candidate.requests), (stable.failed, stable.requests))
        self.context.update_health(look)

    def _take_details(self, increment: Increment) -> None:
        stable, candidate = _details(increment.stable), _details(increment.candidate)
        if stable == candidate == NOTHING and not increment.pods:
            return
        self._take_latency(increment)
        if self.context.leaves_alone(increment) and not stable.predictions.classes:
            self.drift.add_alone(candidate.predictions, self.context.past_predictions)
        else:
            self.drift.add(candidate.predictions, stable.predictions)
        self.stable, self.candidate = self.stable + stable, self.candidate + candidate
        for pod, counts in increment.pods.items():
            known = self.pods.pop(pod, NOTHING)
            self.pods[pod] = known if counts == NOTHING else known + counts
        for forgotten in list(self.pods)[:-MOST_PODS]:
            del self.pods[forgotten]
        self.context.update_details(increment)

    def _take_latency(self, increment: Increment) -> None:
        minded = self.parameters.analysis.latency.on_load_differs == Policy.HOLD
        self.load = increment.load if minded else None
        for metric in self.metrics:
            if metric.reads_details and not (metric is self.latency and is_busier(self.load)):
                metric.update(increment)
        if not is_idler(self.load):
            self.under_load.update(increment)

    def _weigh(self, increment: Increment, saw_candidate: bool) -> None:
        self.last = self._weighed()
        self.highest = max(self.highest, self.last.log_worse)
        # Where the arms are scraped apart, the evidence is a block old already; where routers are asked directly, both
        # arms are counted by one process at one time.
        at_once = 1.0 if self.parameters.points_apart or increment.since else AT_ONCE
        self._confirm(increment.until, saw_candidate, at_once)

    def _end_block(self, increment: Increment) -> None:
        """Counts clumps as they came where as much time has gone by as they last."""
        if increment.since and self._block_since is None:
            self._block_since = increment.since
        if self._block_since and (increment.since is None or increment.until - self._block_since >= CLUMPS_LAST):
            self._block_since = None
            for e_process in self.e_processes:
                e_process.end_block()

    @property
    def all_metrics(self) -> Sequence[Metric]:
        """Each once, though it may both roll back and promote."""
        every = (*self.metrics, *self.promoting, self.under_load, self.remedy)
        return list({id(metric): metric for metric in every}.values())

    @property
    def e_processes(self) -> Iterator[EProcess]:
        """Those of all metrics."""
        return (e_process for metric in self.all_metrics for e_process in metric.e_processes())

    def _weighed(self) -> EvidenceSnapshot:
        weighted = {metric.name: math.log(metric.weight) + metric.log_worse() for metric in self.metrics}
        if self.parameters.analysis.predictions.on_drift == Policy.ROLLBACK:
            weighted = {name: value + math.log(1 - PART_OF_DRIFT) for name, value in weighted.items()}
            weighted["predictions"] = math.log(PART_OF_DRIFT) + self.drift.log_value()
        return EvidenceSnapshot(log_sum(weighted.values()), max(weighted, key=weighted.__getitem__))

    def _confirm(self, at: datetime, saw_candidate: bool, at_once: float) -> None:
        if self.rejected_at is not None:
            return
        needed = -math.log(self.parameters.analysis.false_rollback)
        if self.last.log_worse >= needed + math.log(at_once):
            self.rejected_at = self.last
        elif saw_candidate and self.last.log_worse < needed:
            self._suspected_at = None
        elif saw_candidate and self._suspected_at is None:
            self._suspected_at = at
        elif saw_candidate and self._suspected_at is not None and at > self._suspected_at:
            self.rejected_at = self.last


def _update(metrics: Sequence[Metric], traffic: Increment) -> None:
    for metric in metrics:
        if not metric.reads_details:
            metric.update(traffic)


def _details(arm: Counts) -> Counts:
    return Counts(durations=arm.durations, predictions=arm.predictions)
