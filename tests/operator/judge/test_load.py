"""Latency is compared where the pods of both arms have the same to do."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.operator.decide.builder import a_spec
from tidegate.judge.case import Criteria
from tidegate.judge.load import differs, is_busier, is_idler
from tidegate.judge.verdict import judge
from tidegate.model.evidence import Answer, Counts, Durations, Increment, Load, Measurements, Verdict
from tidegate.model.reasons import Policy, Reason

BOUNDS = (*(0.004 * 1.2**k for k in range(20)), math.inf)
START = datetime(2026, 1, 1, tzinfo=UTC)
EQUAL, IDLER, BUSIER = Load(0.25, 0.25), Load(0.3, 0.1), Load(0.1, 0.3)
ANALYSIS = a_spec().analysis


def arm(requests: int, *, slower: int = 0) -> Counts:
    """Requests whose latency is spread over six buckets, `slower` buckets further up."""
    parts = [sum(1 for k in range(6) if k + slower <= index) * requests // 6 for index in range(len(BOUNDS))]
    return Counts(requests, 0, Durations(BOUNDS, (*parts[:-1], requests)))


def verdict(load: Load | None, *, slower: int = 0, promotes: bool = True, policy: Policy = Policy.HOLD) -> Verdict:
    increments = tuple(
        Increment(START + timedelta(seconds=5 * n), arm(600), arm(300, slower=slower), load=load) for n in range(60)
    )
    analysis = replace(ANALYSIS, latency=replace(ANALYSIS.latency, on_load_differs=policy))
    measured = Measurements(increments, reference=arm(6000).durations)
    return judge(measured, Criteria(analysis, analysis.false_promotion, promotes=promotes))


@pytest.mark.parametrize(
    ("load", "idler", "busier"),
    [
        pytest.param(None, False, False, id="unknown"),
        pytest.param(EQUAL, False, False, id="equal"),
        pytest.param(Load(0.12, 0.1), False, False, id="nearly equal"),
        pytest.param(IDLER, True, False, id="the candidate idles"),
        pytest.param(BUSIER, False, True, id="the candidate has more to do"),
    ],
)
def test_loads_are_told_apart(load: Load | None, idler: bool, busier: bool) -> None:
    assert (is_idler(load), is_busier(load), differs(load)) == (idler, busier, idler or busier)


@pytest.mark.parametrize("load", [None, EQUAL], ids=["unknown", "equal"])
def test_a_candidate_that_is_as_fast_at_equal_load_is_promoted(load: Load | None) -> None:
    assert verdict(load).answer is Answer.ACCEPTABLE


def test_a_candidate_that_idles_is_not_promoted_for_being_fast() -> None:
    found = verdict(IDLER)

    assert (found.answer, found.reason) == (Answer.NOT_ENOUGH, Reason.LOAD_DIFFERS)
    assert "a pod of the candidate gets 10% of the requests and one of stable's 30%" in found.message


def test_a_candidate_that_idles_may_take_a_step_that_is_no_promotion() -> None:
    assert verdict(IDLER, promotes=False).answer is Answer.ACCEPTABLE


def test_a_candidate_that_is_slow_though_it_idles_is_rolled_back() -> None:
    assert verdict(IDLER, slower=6).reason == Reason.LATENCY_WORSE


def test_a_candidate_that_has_more_to_do_is_not_rolled_back_for_being_slow() -> None:
    found = verdict(BUSIER, slower=6)

    assert (found.answer, found.reason) == (Answer.NOT_ENOUGH, Reason.LOAD_DIFFERS)


def test_a_candidate_that_is_as_fast_with_more_to_do_is_promoted() -> None:
    assert verdict(BUSIER).answer is Answer.ACCEPTABLE


def test_whoever_does_not_mind_the_load_compares_anyway() -> None:
    assert verdict(IDLER, policy=Policy.IGNORE).answer is Answer.ACCEPTABLE
    assert verdict(BUSIER, slower=6, policy=Policy.IGNORE).reason == Reason.LATENCY_WORSE
