"""Whole rollouts on traffic that never was: the strategy's steps, the operator's looks, the judge. Pure.

What isn't played: pods take no time to start, routers split as they are told, nothing crashes, Prometheus always
answers, both models predict the same, and the user's own queries are content.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import TypeVar

from tidegate.decide.criteria import criteria_for
from tidegate.judge.overdispersion import estimate_overdispersion
from tidegate.judge.pods import Tally
from tidegate.judge.sampling import INGESTION_LAG
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.verdict import Criteria, answer
from tidegate.model.evidence import Answer, Counts, Increment, Measurements, Overdispersion, Verdict
from tidegate.model.spec import BlueGreen, Canary, CanaryStep, ModelDeploymentSpec
from tidegate.model.status import Rollout
from tidegate.simulation.synthetic_traffic import Behaviour, draw_arm, poisson, reference

LEARNED_FROM = timedelta(minutes=30)
LEARNED_IN = timedelta(seconds=15)
"""Stable's history that the operator learns from before a rollout, and its blocks (see `clients.preflight`)."""
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
Number = TypeVar("Number", int, float)
OUTCOMES = ("RolledBack", "Promoted", "Inconclusive")


@dataclass(frozen=True)
class Scenario:
    """What is played. Prometheus reads the counters every `scrape_interval`; `limit` ends the undecided."""

    rate: float
    stable: Behaviour
    candidate: Behaviour
    scrape_interval: timedelta
    limit: timedelta | None = None


@dataclass(frozen=True)
class SimulatedRollout:
    """One rollout's end, the time from the candidate's first request to it, and what the candidate answered by then."""

    outcome: str
    reason: str
    lasted: timedelta
    requests: int
    failed: int


def play(spec: ModelDeploymentSpec, scenario: Scenario, seed: str) -> SimulatedRollout:
    """The same seed always plays the same rollout, on any machine."""
    return _Playing(spec, scenario, Random(seed)).played()


def steps_of(spec: ModelDeploymentSpec) -> tuple[CanaryStep, ...]:
    """A blue-green switch is one step with all traffic, in which the old revision is kept."""
    match spec.strategy:
        case Canary(steps=steps):
            return steps
        case BlueGreen(keep_old=keep_old):
            return (CanaryStep(100, keep_old),)


def propagation_delay_of(spec: ModelDeploymentSpec, scenario: Scenario) -> timedelta:
    """How long after a later shift of traffic nothing is judged: the counters may still tell of the time before."""
    return max(spec.analysis.interval, scenario.scrape_interval)


class _Playing:
    """Times are counted from the candidate's first request."""

    def __init__(self, spec: ModelDeploymentSpec, scenario: Scenario, random: Random) -> None:
        self._spec, self._scenario, self._random = spec, scenario, random
        self._steps = steps_of(spec)
        self._step, self._stepped_at, self._now = 1, timedelta(), timedelta()
        self._first_scrape = random.random() * scenario.scrape_interval
        self._exposed = Counts()
        before = reference(random, round(scenario.rate * LEARNED_FROM.total_seconds()), scenario.stable)
        parameters = SequentialTestParameters(
            spec.analysis, isinstance(spec.strategy, Canary), before, _learned(spec, scenario, random)
        )
        self._test = SequentialTest(parameters)

    def played(self) -> SimulatedRollout:
        while True:
            if ended := self._play_step():
                outcome, reason = ended
                return SimulatedRollout(outcome, reason, self._now, self._exposed.requests, self._exposed.failed)
            self._step, self._stepped_at = self._step + 1, self._now

    def _play_step(self) -> tuple[str, str] | None:
        """Until the step ends, with the rollout or without it: outcome and reason, or None for the next step."""
        interval = self._spec.analysis.interval
        delay_points = math.ceil(propagation_delay_of(self._spec, self._scenario) / interval)
        heard = timedelta()
        # What a candidate answers before a later shift has settled isn't judged; before the first, it answered nothing.
        for number in count(1 if self._step == 1 else delay_points + 1):
            end = self._stepped_at + number * interval
            heard += self._update(end - interval, end, with_latency=number > delay_points)
            self._now = end + INGESTION_LAG
            verdict = answer(self._test, self._criteria(), Measurements((), exposed=self._exposed))
            ended = self._ended(verdict)
            if ended or self._may_step_up(verdict):
                self._expose(self._now - self._stepped_at - heard)
                return ended
        raise AssertionError("a step has an end")

    def _update(self, start: timedelta, end: timedelta, *, with_latency: bool) -> timedelta:
        """One poll: what the scrapes between two points brought. How long the candidate's traffic in it took."""
        seen_before, seen = self._scraped_by(start), self._scraped_by(end)
        candidate = max(seen, timedelta()) - max(seen_before, timedelta())
        weight = self._steps[self._step - 1].weight / 100
        increment = Increment(
            _ANY_TIME,
            self._drawn(self._scenario.stable, 1 - weight, seen - seen_before, with_latency),
            self._drawn(self._scenario.candidate, weight, candidate, with_latency),
        )
        self._test.update(increment)
        self._exposed = self._exposed + Counts(increment.candidate.requests, increment.candidate.failed)
        return candidate

    def _scraped_by(self, at: timedelta) -> timedelta:
        """When the counters were read that Prometheus has at a time."""
        every = self._scenario.scrape_interval
        return self._first_scrape + (at - self._first_scrape) // every * every

    def _drawn(self, behaviour: Behaviour, part: float, span: timedelta, with_latency: bool) -> Counts:
        requests = poisson(self._random, self._scenario.rate * part * span.total_seconds())
        return draw_arm(self._random, requests, behaviour if with_latency else replace(behaviour, median=None))

    def _ended(self, verdict: Verdict) -> tuple[str, str] | None:
        """As the operator decides: worse first, then the deadline, then the end of the last step."""
        analysis, limit = self._spec.analysis, self._scenario.limit
        if verdict.answer is Answer.WORSE:
            return "RolledBack", verdict.reason
        if verdict.answer is not Answer.ACCEPTABLE and self._now >= analysis.deadline:
            outcome = {"Rollback": "RolledBack", "Promote": "Promoted"}.get(analysis.on_inconclusive)
            return (outcome, "DeadlineExceeded") if outcome else ("Inconclusive", verdict.reason)
        if self._may_step_up(verdict) and self._step == len(self._steps):
            return "Promoted", "EvidenceAcceptable"
        if limit is not None and self._now >= limit:
            return "Inconclusive", "MinDuration" if verdict.answer is Answer.ACCEPTABLE else verdict.reason
        return None

    def _may_step_up(self, verdict: Verdict) -> bool:
        least = self._steps[self._step - 1].min_duration
        return verdict.answer is Answer.ACCEPTABLE and self._now - self._stepped_at >= least

    def _criteria(self) -> Criteria:
        # Of a rollout, the question takes nothing but the step.
        return criteria_for(self._spec, Rollout("candidate", _ANY_TIME, self._step, _ANY_TIME))

    def _expose(self, span: timedelta) -> None:
        """Traffic that nobody judges, and that users see all the same."""
        weight = self._steps[self._step - 1].weight / 100
        self._exposed = self._exposed + self._drawn(self._scenario.candidate, weight, span, with_latency=False)


def _learned(spec: ModelDeploymentSpec, scenario: Scenario, random: Random) -> Overdispersion:
    """What the operator would take stable's failures to clump by."""
    fixed = spec.analysis.overdispersion
    if fixed is not None:
        latency = spec.analysis.latency
        return Overdispersion(fixed, dict.fromkeys((*latency.quantiles, *dict(latency.ceiling)), fixed))
    per_pod = scenario.rate * LEARNED_IN.total_seconds() / spec.replicas
    stable = replace(scenario.stable, median=None)
    blocks = []
    for _ in range(LEARNED_FROM // LEARNED_IN):
        drawn = [draw_arm(random, poisson(random, per_pod), stable) for _ in range(spec.replicas)]
        blocks.append({f"pod {number}": Tally(each.failed, each.requests) for number, each in enumerate(drawn)})
    return Overdispersion(estimate_overdispersion(blocks))


@dataclass(frozen=True)
class OutcomeSummary:
    """All rollouts of one outcome: how many, and the median and the 90th percentile of what each took."""

    outcome: str
    count: int
    share: float
    seconds: tuple[float, float] | None
    requests: tuple[int, int] | None
    failed: tuple[int, int] | None
    reason: str | None
    """The most frequent one."""


def summaries_of(played: Sequence[SimulatedRollout]) -> tuple[OutcomeSummary, ...]:
    """One for each outcome, also for one that never came."""
    return tuple(
        _ending(outcome, [each for each in played if each.outcome == outcome], len(played)) for outcome in OUTCOMES
    )


def _ending(outcome: str, played: Sequence[SimulatedRollout], of: int) -> OutcomeSummary:
    if not played:
        return OutcomeSummary(outcome, 0, 0.0, None, None, None, None)
    (reason, _), *_ = Counter(each.reason for each in played).most_common(1)
    seconds = sorted(each.lasted.total_seconds() for each in played)
    requests, failed = sorted(each.requests for each in played), sorted(each.failed for each in played)
    return OutcomeSummary(
        outcome,
        len(played),
        len(played) / of,
        (_at_least(seconds, 0.5), _at_least(seconds, 0.9)),
        (_at_least(requests, 0.5), _at_least(requests, 0.9)),
        (_at_least(failed, 0.5), _at_least(failed, 0.9)),
        reason,
    )


def _at_least(ascending: Sequence[Number], share: float) -> Number:
    """The least value that is no smaller than such a share of them."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
