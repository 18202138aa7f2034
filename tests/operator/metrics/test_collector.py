"""What the collector keeps, and what it makes of a source that has nothing or can't be judged."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.operator.metrics.test_accumulate import pod, routers
from tidegate.errors import MetricsUnavailable
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.increments import Sample
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.provider import CounterQuery
from tidegate.model.evidence import Measurements, MetricsGap
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms, Share

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=5)
ARMS = Arms("shop", "digits", "a", "b")


class Recorded:
    """A provider whose counters grow with time. The candidate's servers have a bucket of their own if that is asked."""

    def __init__(self, candidate_bound: str = "0.5") -> None:
        self.candidate_bound = candidate_bound
        self.up = True
        self.asked = 0

    def samples(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> list[Sample]:
        self.asked += 1
        if not self.up:
            raise MetricsUnavailable("Prometheus is away")
        sample = self._routers if isinstance(query, RouterCounters) else self._servers
        taken = [sample((start - BEGAN + index * step) // STEP) for index in range(points)]
        wanted = re.compile(".+") if sample == self._routers else re.compile(_revisions(query.promql))
        return [{key: value for key, value in each.items() if wanted.fullmatch(key.revision)} for each in taken]

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        raise AssertionError("nobody asks")

    def _routers(self, point: int) -> Sample:
        return routers(1000 + 90 * point, 10 * point)

    def _servers(self, point: int) -> Sample:
        count = max(0, point)
        return {**pod("a", 1, count, count), **pod("b", 2, count, count, self.candidate_bound)}


def _revisions(promql: str) -> str:
    found = re.search(r'revision=~?"([^"]+)"', promql)
    assert found is not None
    return found.group(1)


@pytest.fixture
def spec(a_spec: Callable[..., ModelDeploymentSpec]) -> ModelDeploymentSpec:
    spec = a_spec()
    return replace(spec, analysis=replace(spec.analysis, interval=STEP))


def measured(
    collector: MetricsCollector, spec: ModelDeploymentSpec, until: int, candidate: str = "b"
) -> Measurements | MetricsGap:
    rollout = Rollout(candidate, BEGAN, 1, BEGAN, (Shift(BEGAN, 10),))
    arms = replace(ARMS, candidate=candidate)
    return collector.measurements(arms, rollout, spec, propagation_delay=STEP, until=BEGAN + until * STEP)


def test_each_point_is_asked_for_once(spec: ModelDeploymentSpec) -> None:
    provider = Recorded()
    collector = MetricsCollector(provider)
    for until in range(4):
        measured(collector, spec, until)
    asked = provider.asked

    measured(collector, spec, 4)
    measured(collector, spec, 4)
    assert provider.asked == asked + 2


def test_a_restart_comes_to_the_same(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    for until in range(5):
        last = measured(collector, spec, until)

    assert isinstance(last, Measurements)
    assert [increment.until for increment in last.increments] == [BEGAN + point * STEP for point in range(1, 5)]
    assert measured(MetricsCollector(Recorded()), spec, 4) == last


def test_after_an_outage_of_the_provider_all_goes_on_as_if_there_had_been_none(spec: ModelDeploymentSpec) -> None:
    provider = Recorded()
    collector = MetricsCollector(provider)
    measured(collector, spec, 1)
    provider.up = False
    assert measured(collector, spec, 2) == MetricsGap("MetricsUnavailable", "Prometheus is away")

    provider.up = True
    assert measured(collector, spec, 3) == measured(MetricsCollector(Recorded()), spec, 3)


def test_buckets_that_differ_are_said_each_time_and_nothing_is_counted_twice(spec: ModelDeploymentSpec) -> None:
    provider = Recorded(candidate_bound="0.25")
    collector = MetricsCollector(provider)
    gaps = [measured(collector, spec, until) for until in (3, 4)]

    assert {gap.reason for gap in gaps if isinstance(gap, MetricsGap)} == {"HistogramsDiffer"}
    provider.candidate_bound = "0.5"
    assert measured(collector, spec, 4) == measured(MetricsCollector(Recorded()), spec, 4)


def test_another_rollout_has_nothing_of_the_one_before(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 4)

    assert measured(collector, spec, 4, candidate="c") == measured(MetricsCollector(Recorded()), spec, 4, candidate="c")


def test_a_share_is_taken_from_what_has_been_collected_and_asked_for_where_nothing_was(
    spec: ModelDeploymentSpec,
) -> None:
    provider = Recorded()
    collector = MetricsCollector(provider)
    measured(collector, spec, 3)
    asked = provider.asked
    share = Share(BEGAN + 2 * STEP, BEGAN + 3 * STEP, {"a": 90, "b": 10}, {})

    assert (collector.share("shop", "digits", spec, STEP, BEGAN + 3 * STEP), provider.asked) == (share, asked)
    collector.forget("shop", "digits")
    assert (collector.share("shop", "digits", spec, STEP, BEGAN + 3 * STEP), provider.asked) == (share, asked + 1)
