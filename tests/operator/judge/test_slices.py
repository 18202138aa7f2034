"""A group that is worse is found, however good the whole is; a group that isn't is no false alarm."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.case import Criteria
from tidegate.judge.checkpoint import taken_up, written_down
from tidegate.judge.rules import REASONS
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.slices import PART_OF_SLICES
from tidegate.judge.verdict import judge
from tidegate.model.evidence import Answer, CellCounts, Counts, Durations, Increment, Measurements, Verdict
from tidegate.model.slices import OTHER, Slice, cells_of
from tidegate.model.spec import Analysis, ModelDeploymentSpec

START = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = (0.1, math.inf)
TENANTS = Slice("tenant", "x-tenant", ("acme", "umbrella", "initech"))
CELLS = {group: cells for (_, group), (*cells,) in cells_of((TENANTS,)).items()}
Told = Mapping[str, tuple[int, int]]
"""Group → requests, and how many of them failed."""


def arm(told: Told) -> Counts:
    cells = {CELLS[group][0]: CellCounts(*counts) for group, counts in told.items() if counts[0]}
    requests, failed = (sum(counts[index] for counts in told.values()) for index in (0, 1))
    return Counts(requests, failed, Durations(BOUNDS, (requests, requests)), cells=cells)


def increments(*told: tuple[Told, Told]) -> tuple[Increment, ...]:
    """Of the candidate and of stable, five seconds apart."""
    return tuple(
        Increment(START + timedelta(seconds=5 * (at + 1)), arm(stable), arm(candidate))
        for at, (candidate, stable) in enumerate(told)
    )


@pytest.fixture(scope="session")
def analysis(a_spec: Callable[..., ModelDeploymentSpec]) -> Analysis:
    return replace(a_spec().analysis, slices=(TENANTS,))


def verdict_on(analysis: Analysis, *told: tuple[Told, Told]) -> Verdict:
    reference = Durations(BOUNDS, (1000, 1000))
    return judge(Measurements(increments(*told), reference), Criteria(analysis, analysis.false_promotion))


GOOD: Told = {"acme": (50, 0), "umbrella": (150, 3), "initech": (150, 3), OTHER: (150, 3)}
WORSE_FOR_ACME: Told = {"acme": (50, 10), "umbrella": (150, 0), "initech": (150, 0), OTHER: (150, 0)}


def test_a_candidate_that_is_as_good_overall_but_worse_for_one_group_goes_back(analysis: Analysis) -> None:
    stable: Told = {"acme": (50, 1), "umbrella": (150, 3), "initech": (150, 3), OTHER: (150, 3)}
    verdict = verdict_on(analysis, *[(WORSE_FOR_ACME, stable)] * 5)

    assert (verdict.answer, verdict.reason) == (Answer.WORSE, "SliceWorse")
    assert verdict.message.startswith(
        "slice tenant, acme: error rate 20% (50 of 250 requests) against 2% on stable (5 of 250 requests); "
        "all requests: error rate 2% (50 of 2,500 requests) against 2% on stable (50 of 2,500 requests); "
        "rollback evidence "
    )


def test_without_slices_nobody_sees_that(analysis: Analysis) -> None:
    stable: Told = {"acme": (50, 1), "umbrella": (150, 3), "initech": (150, 3), OTHER: (150, 3)}
    verdict = verdict_on(replace(analysis, slices=()), *[(WORSE_FOR_ACME, stable)] * 5)

    assert (verdict.answer, verdict.reason) == (Answer.ACCEPTABLE, "NoWorse")


def test_one_that_is_worse_for_all_is_told_as_that(analysis: Analysis) -> None:
    bad: Told = {group: (requests, requests // 5) for group, (requests, _) in GOOD.items()}
    verdict = verdict_on(analysis, *[(bad, GOOD)] * 3)

    assert (verdict.answer, verdict.reason) == (Answer.WORSE, "ErrorRateAboveCeiling")


NONE_OF_ACME: Told = {**GOOD, "acme": (0, 0)}


def test_a_group_without_requests_does_not_hold_a_promotion_and_says_so(analysis: Analysis) -> None:
    verdict = verdict_on(analysis, *[(NONE_OF_ACME, GOOD)] * 20)

    assert (verdict.answer, verdict.reason) == (Answer.ACCEPTABLE, "NoWorse")
    assert "; few requests of slice tenant, acme (0 and 1,000 on stable), so little is known of them" in verdict.message


def test_one_that_is_required_holds_it_until_it_is_shown(analysis: Analysis) -> None:
    waits = replace(analysis, slices=(replace(TENANTS, required=True),))
    missing, seen = (verdict_on(waits, *[(told, GOOD)] * 40) for told in (NONE_OF_ACME, {**GOOD, "acme": (50, 0)}))

    assert (missing.answer, missing.reason) == (Answer.NOT_ENOUGH, "MoreRequestsNeeded")
    assert missing.message.startswith("slice tenant, acme: no requests against 0% on stable (0 of 2,000 ")
    assert (seen.answer, seen.reason) == (Answer.ACCEPTABLE, "NoWorse")


def test_the_others_are_never_required(analysis: Analysis) -> None:
    waits = replace(analysis, slices=(replace(TENANTS, required=True),))
    no_others: Told = {**GOOD, OTHER: (0, 0)}
    verdict = verdict_on(waits, *[(no_others, no_others)] * 40)

    assert (verdict.answer, verdict.reason) == (Answer.ACCEPTABLE, "NoWorse")


def test_weights_still_add_to_one(analysis: Analysis) -> None:
    test = SequentialTest(SequentialTestParameters(analysis))
    weights = {metric.name: metric.weight for metric in test.metrics}

    assert weights == pytest.approx({"errors": 0.4, "latency": 0.24, "ceiling": 0.16, "slices": PART_OF_SLICES})
    assert sum(weights.values()) == pytest.approx(1.0)


def test_a_test_that_is_taken_up_again_goes_on_as_if_it_had_never_been_away(analysis: Analysis) -> None:
    waits = replace(analysis, slices=(replace(TENANTS, required=True),))
    whole = SequentialTest(SequentialTestParameters(waits))
    first, second = increments((WORSE_FOR_ACME, GOOD), (WORSE_FOR_ACME, GOOD))
    whole.update(first)
    resumed = taken_up(written_down(whole))
    for test in (whole, resumed):
        test.update(second)

    assert written_down(resumed) == written_down(whole)
    assert resumed.candidate.cells == {CELLS[group][0]: CellCounts(*_twice(WORSE_FOR_ACME[group])) for group in CELLS}


def _twice(counts: tuple[int, int]) -> tuple[int, int]:
    return counts[0] * 2, counts[1] * 2


def alone(*told: Told) -> tuple[Increment, ...]:
    """The candidate has all the traffic."""
    return tuple(replace(each, concurrent=False) for each in increments(*((candidate, {}) for candidate in told)))


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        pytest.param(10, "SliceWorse", id="after 500 requests of stable's: against those"),
        pytest.param(1, None, id="after 50 of them: too few to be held against"),
        pytest.param(0, None, id="after a switch: nothing is known of groups"),
    ],
)
def test_without_stable_a_group_is_held_against_stables_time_beside_the_candidate(
    beside: int, reason: str | None, analysis: Analysis
) -> None:
    tolerant = replace(analysis, error_rate=replace(analysis.error_rate, ceiling=0.5))
    test = SequentialTest(SequentialTestParameters(tolerant, before=Counts(10_000, 200)))
    for each in (*increments(*[(GOOD, GOOD)] * beside), *alone(*[WORSE_FOR_ACME] * 10)):
        test.update(each)

    assert (REASONS[test.rejected_at.heaviest] if test.rejected_at else None) == reason


SHARES = {"acme": 0.1, "umbrella": 0.3, "initech": 0.25, OTHER: 0.35}


def drawn(chance: random.Random, requests: int, rates: Mapping[str, float]) -> Told:
    """So many requests, by the groups' shares, of which each fails by itself."""
    groups = chance.choices(list(SHARES), list(SHARES.values()), k=requests)
    failed = [group for group in groups if chance.random() < rates[group]]
    return {group: (groups.count(group), failed.count(group)) for group in SHARES}


def rollbacks(
    analysis: Analysis, runs: range, stable: Mapping[str, float], candidate: Mapping[str, float]
) -> list[int | None]:
    """Of each run, in which increment it was rolled back; None where it wasn't. 500 requests each, 25 % go over."""
    return [_rolled_back_at(analysis, random.Random(seed), stable, candidate) for seed in runs]


def _rolled_back_at(
    analysis: Analysis, chance: random.Random, stable: Mapping[str, float], candidate: Mapping[str, float]
) -> int | None:
    test = SequentialTest(SequentialTestParameters(analysis))
    told = [(drawn(chance, 125, candidate), drawn(chance, 375, stable)) for _ in range(24)]
    for at, increment in enumerate(increments(*told), 1):
        test.update(increment)
        if test.rejected_at:
            return at
    return None


def test_revisions_that_are_equal_in_each_group_raise_no_alarm(analysis: Analysis) -> None:
    """Groups differ among each other as they like. How often it is wrong in thousands of runs is in docs/slices.md."""
    rates = {"acme": 0.2, "umbrella": 0.01, "initech": 0.0, OTHER: 0.03}

    assert rollbacks(analysis, range(10), rates, rates) == [None] * 10


def test_a_tenth_of_the_requests_of_which_a_fifth_fails_is_found_though_the_whole_is_as_good(
    analysis: Analysis,
) -> None:
    stable = dict.fromkeys(SHARES, 0.02)
    candidate = {"acme": 0.2, "umbrella": 0.0, "initech": 0.0, OTHER: 0.0}
    found = rollbacks(analysis, range(10), stable, candidate)

    assert None not in found
    assert rollbacks(replace(analysis, slices=()), range(10), stable, candidate) == [None] * 10
