"""What the collector keeps, and what it makes of a source that has nothing or can't be judged."""

import gc
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.operator.metrics.test_accumulate import Values, counted, pod, routers
from tidegate.errors import MetricsUnavailable
from tidegate.judge.case import Criteria
from tidegate.judge.overdispersion import LARGEST
from tidegate.metrics import from_prometheus, prometheus_parts
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.increments import ANSWERED, Process, SeriesKey
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.observers.model_server import ServerCounters, ServerRequests
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.model.evidence import NO_DURATIONS, MetricsGap
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms, Share

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=5)
ARMS = Arms("shop", "digits", "a", "b")


class Recorded:
    """A provider whose counters grow with time. The candidate's servers have a bucket of their own if that is asked."""

    def __init__(self, candidate_bound: str = "0.5", *, failing: bool = False) -> None:
        self.candidate_bound = candidate_bound
        self.failing = failing
        self.up = self.servers_up = True
        self.asked = self.most_points = 0

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        self.asked += 1
        self.most_points = max(self.most_points, points)
        if not self.up or (not self.servers_up and isinstance(query, ServerCounters)):
            raise MetricsUnavailable("Prometheus is away")
        wanted = re.compile(_revisions(query.promql))
        instants = [start + index * step for index in range(points)]
        return Readings([counted(self._sample(query, wanted, (at - BEGAN) / STEP), at) for at in instants])

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        raise AssertionError("nobody asks")

    def _sample(self, query: CounterQuery, wanted: re.Pattern[str], point: float) -> Values:
        if isinstance(query, RouterCounters):
            failed = 5 * point if self.failing else None
            return routers(1000 + 90 * point, 10 * point, failed)
        if isinstance(query, ServerRequests):
            return self._requests(point)
        return {key: value for key, value in self._servers(point).items() if wanted.fullmatch(key.revision)}

    def _requests(self, point: float) -> Values:
        owner = Process("shop", "a-1")
        return {SeriesKey(owner, "a", ANSWERED, "200"): 7 * point, SeriesKey(owner, "b", ANSWERED, "200"): 3 * point}

    def _servers(self, point: float) -> Values:
        count = max(0.0, point)
        return {**pod("a", 1, count, count), **pod("b", 2, count, count, self.candidate_bound)}


def _revisions(promql: str) -> str:
    found = re.search(r'revision=~?"([^"]+)"', promql)
    return found.group(1) if found else ".+"


@pytest.fixture
def spec(a_spec: Callable[..., ModelDeploymentSpec]) -> ModelDeploymentSpec:
    spec = a_spec()
    return replace(spec, analysis=replace(spec.analysis, interval=STEP))


def measured(collector: MetricsCollector, spec: ModelDeploymentSpec, until: int, candidate: str = "b") -> Measured:
    rollout = Rollout(candidate, BEGAN, 1, BEGAN, (Shift(BEGAN, 10),))
    arms = replace(ARMS, candidate=candidate)
    found = collector.measure(Look(arms, rollout, spec, Criteria(spec.analysis, 0.05), STEP, BEGAN + until * STEP))
    assert isinstance(found, Measured)
    return found


def seen(found: Measured) -> tuple[object, ...]:
    """All that a verdict is made of."""
    test, measurements, _ = found
    return (
        measurements,
        test.increments,
        test.last,
        test.stable,
        test.candidate,
        test.pods,
        [(metric.log_worse(), metric.log_acceptable()) for metric in test.metrics],
    )


def requests_of(found: Measured) -> tuple[int, int]:
    return found.test.stable.requests, found.test.candidate.requests


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

    assert requests_of(last) == (4 * 90, 4 * 10)
    assert seen(measured(MetricsCollector(Recorded()), spec, 4)) == seen(last)


def test_what_is_far_behind_is_read_in_parts_and_comes_to_the_same(
    spec: ModelDeploymentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(MetricsCollector(Recorded()), spec, 40)
    monkeypatch.setattr(prometheus_parts, "POINTS_AT_ONCE", 3)
    monkeypatch.setattr(prometheus_parts, "BLOCKS_AT_ONCE", 2)
    monkeypatch.setattr(from_prometheus, "PARTS_OF_A_LOOK", 5)
    provider = Recorded()
    collector = MetricsCollector(provider)
    first = measured(collector, spec, 40)

    assert [gap.reason for gap in first.measurements.missing] == ["CatchingUp", "CatchingUp"]  # traffic, details
    assert requests_of(first) == (14 * 90, 14 * 10)
    assert provider.most_points <= 15 * 60 // 5 + 1

    for _ in range(4):
        last = measured(collector, spec, 40)
    assert seen(last) == seen(whole)


def test_after_an_outage_of_the_provider_all_goes_on_as_if_there_had_been_none(spec: ModelDeploymentSpec) -> None:
    provider = Recorded()
    collector = MetricsCollector(provider)
    measured(collector, spec, 1)
    provider.up = False
    away = measured(collector, spec, 2)
    assert set(away.measurements.missing) == {MetricsGap("MetricsUnavailable", "Prometheus is away")}

    provider.up = True
    assert seen(measured(collector, spec, 3)) == seen(measured(MetricsCollector(Recorded()), spec, 3))


def test_traffic_is_judged_with_care_while_nothing_could_be_learned_from_stable(spec: ModelDeploymentSpec) -> None:
    provider = Recorded()
    provider.servers_up = False
    collector = MetricsCollector(provider)
    blind = measured(collector, spec, 3)

    assert requests_of(blind) == (3 * 90, 3 * 10)
    assert blind.test.parameters.overdispersion.errors == LARGEST
    assert [gap.reason for gap in blind.measurements.missing] == ["MetricsUnavailable"]

    provider.servers_up = True
    assert seen(measured(collector, spec, 4)) == seen(measured(MetricsCollector(Recorded()), spec, 4))


def test_buckets_that_differ_take_latency_away_and_nothing_else(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded(candidate_bound="0.25"))
    found = [measured(collector, spec, until) for until in (3, 4)]

    assert [gap.reason for each in found for gap in each.measurements.missing] == ["HistogramsDiffer"] * 2
    assert requests_of(found[-1]) == (4 * 90, 4 * 10)
    assert found[-1].test.candidate.durations == NO_DURATIONS


def test_another_rollout_has_nothing_of_the_one_before(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 4)

    fresh = measured(MetricsCollector(Recorded()), spec, 4, candidate="c")
    assert seen(measured(collector, spec, 4, candidate="c")) == seen(fresh)


@pytest.mark.parametrize("seconds", [1, 5, 10, 60])
def test_times_only_go_forward_when_the_interval_is_edited(spec: ModelDeploymentSpec, seconds: int) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 24)
    edited = replace(spec, analysis=replace(spec.analysis, interval=timedelta(seconds=seconds)))
    for until in range(25, 49):
        last = measured(collector, edited, until)

    assert requests_of(last) == (48 * 90, 48 * 10)


def test_evidence_is_kept_where_an_edit_leaves_its_test_as_it_is(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 4)
    edited = replace(spec, analysis=replace(spec.analysis, deadline=timedelta(days=2), false_promotion=0.2))

    assert requests_of(measured(collector, edited, 5)) == (5 * 90, 5 * 10)


def test_evidence_is_gathered_anew_from_an_edit_that_asks_for_another_test(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 4)
    edited = replace(spec, analysis=replace(spec.analysis, false_rollback=0.1))
    measured(collector, edited, 5)
    found = measured(collector, edited, 6)

    assert requests_of(found) == (2 * 90, 2 * 10)
    assert found.measurements.exposed.requests == 6 * 10


def test_what_was_shown_worse_stays_so_whatever_is_edited(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded(failing=True))
    assert measured(collector, spec, 6).test.rejected_at
    mild = replace(spec, analysis=replace(spec.analysis, false_rollback=1e-9))

    assert measured(collector, mild, 7).test.rejected_at


def test_who_counts_requests_may_be_edited(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    measured(collector, spec, 4)
    edited = replace(spec, analysis=replace(spec.analysis, requests_from="Servers"))
    for until in (5, 6):
        found = measured(collector, edited, until)

    # Servers count each arm at a time of its own, which is another test: its evidence begins here.
    assert requests_of(found) == (7, 3)


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


def test_what_is_kept_does_not_grow_with_the_rollout(spec: ModelDeploymentSpec) -> None:
    collector = MetricsCollector(Recorded())
    kept = [kept_after(collector, spec, until) for until in (60, 240)]

    assert kept[1] - kept[0] < 100


def kept_after(collector: MetricsCollector, spec: ModelDeploymentSpec, until: int) -> int:
    """Objects that are held after a look."""
    measured(collector, spec, until)
    gc.collect()
    return len(gc.get_objects())


class Narrow(Recorded):
    """Notes how far back the servers' counters are asked for, and lacks the candidate's where that is `less_than`."""

    def __init__(self, less_than: timedelta = timedelta()) -> None:
        super().__init__()
        self.less_than = less_than
        self.looked_back: list[timedelta] = []

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        found = super().readings(query, start, step, points)
        if not isinstance(query, ServerCounters) or start < BEGAN + STEP:
            return found
        self.looked_back.append(query.looks_back)
        if query.looks_back >= self.less_than:
            return replace(found, interval=STEP.total_seconds())
        return Readings([{key: each for key, each in found.samples[0].items() if key.revision == "a"}])


def test_what_was_read_of_the_servers_is_not_read_again(spec: ModelDeploymentSpec) -> None:
    provider = Narrow()
    collector = MetricsCollector(provider)
    for until in range(1, 4):
        last = measured(collector, spec, until)

    assert provider.looked_back == [timedelta(seconds=6)] * 2
    assert seen(last) == seen(measured(MetricsCollector(Recorded()), spec, 3))


def test_where_one_who_answers_is_less_far_more_is_read_from_then_on(spec: ModelDeploymentSpec) -> None:
    provider = Narrow(less_than=2 * STEP)
    collector = MetricsCollector(provider)
    for until in range(1, 5):
        last = measured(collector, spec, until)

    assert provider.looked_back == [timedelta(seconds=seconds) for seconds in (6, 65, 16, 16)]
    assert seen(last) == seen(measured(MetricsCollector(Recorded()), spec, 4))
