"""A candidate alone is held against what stable's pods did when they had as much to do."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.operator.decide.builder import a_spec
from tidegate.judge.case import Criteria
from tidegate.judge.latency_history import overdispersion_at_equal_load, slow_at_load
from tidegate.judge.overdispersion import overdispersion_over_time
from tidegate.judge.pods import Tally
from tidegate.judge.verdict import judge
from tidegate.model.evidence import (
    Answer,
    Counts,
    Durations,
    Increment,
    LatencyBlock,
    Measurements,
    Overdispersion,
    PodTraffic,
    Spread,
    Verdict,
)
from tidegate.model.reasons import Policy, Reason
from tidegate.model.spec import Analysis

START = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = (*(0.0025 * 1.2**k for k in range(36)), math.inf)
PODS = 4
ANALYSIS = a_spec().analysis
CEILING = replace(ANALYSIS, latency=replace(ANALYSIS.latency, ceiling=((50, timedelta(milliseconds=400)),)))


def durations(requests: int, load: float, slower: float = 1.0) -> Durations:
    """Of pods that bear 100 requests a second: exponential, 10 ms / (1 - ρ) on average."""
    mean = slower * 0.01 / (1 - load / 100)
    cumulative = [round(requests * -math.expm1(-bound / mean)) for bound in BOUNDS]
    return Durations(BOUNDS, tuple(cumulative))


def block(load: float) -> LatencyBlock:
    requests = round(load * 15 * PODS)
    took = durations(requests, load)
    return LatencyBlock(load, requests, {each: took.slower_than(at) for each, at in AT.items()})


REFERENCE = durations(100_000, 90)
AT = {each: next(i for i, c in enumerate(REFERENCE.cumulative) if c >= each * 1000) for each in (50, 90, 95, 99)}
PAST = tuple(block(86 + 0.1 * number) for number in range(80))
"""Of pods that had from 86 to 93.9 requests a second."""
LEARNED = Overdispersion(latency_blocks=PAST, latency_over_time=dict.fromkeys(AT, 1.0))


def verdict(
    *loads: float, slower: float = 1.0, analysis: Analysis = ANALYSIS, learned: Overdispersion = LEARNED, step: int = 15
) -> Verdict:
    """After a candidate had all requests for a while, `loads` each for so many seconds."""
    increments = [
        Increment(
            START + timedelta(seconds=step * (number + 1)),
            Counts(),
            Counts(round(load * step * PODS), 0, durations(round(load * step * PODS), load, slower)),
            concurrent=False,
            pod_traffic=PodTraffic(step, load * step),
        )
        for number, load in enumerate(loads)
    ]
    before = Counts(100_000, 0, REFERENCE)
    measured = Measurements(tuple(increments), REFERENCE, overdispersion=learned, before=before)
    return judge(measured, Criteria(analysis, analysis.false_promotion, promotes=True))


def answered(found: Verdict) -> tuple[Answer, str]:
    return found.answer, found.reason


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        pytest.param([90.0] * 8, (Answer.ACCEPTABLE, "NoWorse"), id="as busy as stable on average"),
        pytest.param([93.5] * 8, (Answer.ACCEPTABLE, "NoWorse"), id="as busy as stable at its busiest"),
        pytest.param([98.0] * 8, (Answer.NOT_ENOUGH, "LoadHigh"), id="busier than stable ever was: nobody knows"),
        pytest.param([98.0] * 8 + [90.0], (Answer.ACCEPTABLE, "NoWorse"), id="busier for a time"),
        pytest.param([60.0] * 8, (Answer.ACCEPTABLE, "NoWorse"), id="idler"),
    ],
)
def test_an_equal_model_is_not_blamed_for_its_load(loads: Sequence[float], expected: tuple[Answer, str]) -> None:
    assert answered(verdict(*loads)) == expected


@pytest.mark.parametrize("load", [60.0, 88.0, 93.5])
def test_a_slower_model_goes_back_at_any_load_that_stable_had(load: float) -> None:
    slower = 10 if load < 80 else 3

    assert answered(verdict(*[load] * 4, slower=slower)) == (Answer.WORSE, "LatencyWorse")


def test_what_nobody_can_say_is_told_with_the_way_out() -> None:
    assert verdict(98.0).message == (
        "a pod of the candidate answers 98 requests a second and is slower than stable's were, which had at most 93.9 "
        "each in the half hour before, so nobody can say whether it is the model or the load; the rollout goes on when "
        "the load or the latency is as before: raise spec.replicas, or set spec.analysis.latency.ceiling to go back at "
        "a latency whatever the load"
    )


def test_a_ceiling_holds_at_any_load() -> None:
    assert answered(verdict(*[98.0] * 4, slower=2, analysis=CEILING)) == (Answer.WORSE, "LatencyAboveCeiling")


def test_more_load_alone_is_no_doubt() -> None:
    assert answered(verdict(*[95.0] * 8, slower=0.4)) == (Answer.ACCEPTABLE, "NoWorse")


def test_where_load_does_not_matter_it_is_no_excuse() -> None:
    ignored = replace(ANALYSIS, latency=replace(ANALYSIS.latency, on_load_differs=Policy.IGNORE))

    assert verdict(*[98.0] * 4, analysis=ignored).reason == Reason.LATENCY_WORSE


def test_increments_that_are_shorter_than_stables_blocks_are_joined() -> None:
    assert answered(verdict(*[90.0] * 14, slower=3, step=1)) == (Answer.ACCEPTABLE, "NoWorse")
    assert verdict(*[90.0] * 31, slower=3, step=1).reason == Reason.LATENCY_WORSE


def test_what_stables_pods_differ_by_is_laid_to_the_candidates_pods() -> None:
    differing = replace(LEARNED, latency_spread=dict.fromkeys(AT, Spread(0.4, 4)))

    assert verdict(*[90.0] * 4, slower=2.2).reason == Reason.LATENCY_WORSE
    assert verdict(*[90.0] * 4, slower=2.2, learned=differing).answer is Answer.ACCEPTABLE


def test_stables_blocks_of_less_load_are_left_out() -> None:
    blocks = (LatencyBlock(1.0, 100, {50: 5}), LatencyBlock(2.0, 200, {50: 60}), LatencyBlock(3.0, 300, {50: 200}))

    assert [slow_at_load(blocks, 50, load) for load in (0.5, 2.0, 2.5, 3.5)] == [
        Tally(265, 600),
        Tally(260, 500),
        Tally(200, 300),
        None,
    ]


def test_what_load_explains_is_no_overdispersion() -> None:
    shuffled = [PAST[number * 37 % len(PAST)] for number in range(len(PAST))]
    together = [{"all": Tally(each.slow[90], each.requests)} for each in shuffled]

    assert overdispersion_over_time(together) > 20
    assert overdispersion_at_equal_load(shuffled, 90) < 1.5
