"""Increments that are taken one by one give the verdict that they give together."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.operator.judge.test_verdict import arm
from tidegate.controller.verdict_cache import VerdictCache
from tidegate.judge.case import Criteria
from tidegate.judge.verdict import judge
from tidegate.model.evidence import Answer, Increment, Measurements, MetricsGap, Overdispersion
from tidegate.model.spec import ModelDeploymentSpec

CASE = ("shop", "digits")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def criteria(a_spec: Callable[..., ModelDeploymentSpec]) -> Criteria:
    return Criteria(a_spec().analysis, 0.05)


def increment(number: int, failed: int = 0, requests: int = 100, slow: int = 0) -> Increment:
    return Increment(START + timedelta(seconds=5 * number), arm(900, 2, slow=9), arm(requests, failed, slow=slow))


def seen(*increments: Increment, overdispersion: float = 1.0) -> Measurements:
    return Measurements(increments, arm(1000).durations, overdispersion=Overdispersion(overdispersion))


arms = st.tuples(st.integers(0, 20), st.integers(20, 200), st.integers(0, 20))


@given(arms=st.lists(arms, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=50, deadline=None)
def test_one_by_one_is_the_same_as_all_together(
    criteria: Criteria, arms: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    increments = [increment(number, *each) for number, each in enumerate(arms)]
    verdict_cache = VerdictCache()
    for cut in sorted(cuts):
        verdict_cache.judge(CASE, seen(*increments[:cut]), criteria)
    assert verdict_cache.judge(CASE, seen(*increments), criteria) == judge(seen(*increments), criteria)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(seen(increment(0)), id="another beginning"),
        pytest.param(seen(increment(0, 20), increment(1, 20), overdispersion=3.0), id="other terms"),
    ],
)
def test_another_rollout_is_another_test(criteria: Criteria, other: Measurements) -> None:
    verdict_cache = VerdictCache()
    assert verdict_cache.judge(CASE, seen(increment(0, 20), increment(1, 20)), criteria).answer is Answer.WORSE
    assert verdict_cache.judge(CASE, other, criteria) == judge(other, criteria)


def test_an_edited_analysis_judges_all_increments_anew(criteria: Criteria) -> None:
    verdict_cache, increments = VerdictCache(), [increment(0, 20), increment(1, 20)]
    verdict_cache.judge(CASE, seen(*increments), criteria)
    errors = replace(
        criteria.analysis.error_rate, tolerate=replace(criteria.analysis.error_rate.tolerate, absolute=0.5)
    )
    mild = replace(criteria, analysis=replace(criteria.analysis, error_rate=replace(errors, ceiling=1.0)))

    assert verdict_cache.judge(CASE, seen(*increments), mild) == judge(seen(*increments), mild)
    assert judge(seen(*increments), mild).answer is not Answer.WORSE


def test_what_cannot_be_seen_is_said_and_the_evidence_goes_on_where_it_stopped(criteria: Criteria) -> None:
    verdict_cache, increments = VerdictCache(), [increment(number) for number in range(4)]
    verdict_cache.judge(CASE, seen(*increments[:2]), criteria)
    away = verdict_cache.judge(CASE, MetricsGap("MetricsUnavailable", "Prometheus is away"), criteria)

    assert away.answer is Answer.CANNOT_SEE
    assert verdict_cache.judge(CASE, seen(*increments), criteria) == judge(seen(*increments), criteria)


def test_what_is_forgotten_begins_anew(criteria: Criteria) -> None:
    verdict_cache = VerdictCache()
    verdict_cache.judge(CASE, seen(increment(0, 20), increment(1, 20)), criteria)
    verdict_cache.forget(*CASE)
    assert verdict_cache.judge(CASE, seen(increment(0)), criteria) == judge(seen(increment(0)), criteria)
