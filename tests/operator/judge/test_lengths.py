"""Increments of any length: what a judge makes of them depends on seconds and requests, not on how many there are."""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import BY_CHANCE, Counts, Increment, Overdispersion
from tidegate.model.spec import Analysis, ModelDeploymentSpec

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def analysis(a_spec: Callable[..., ModelDeploymentSpec]) -> Analysis:
    return a_spec().analysis


def a_test(analysis: Analysis, phi: float = 1.0) -> SequentialTest:
    return SequentialTest(
        SequentialTestParameters(analysis, overdispersion=Overdispersion(phi) if phi > 1 else BY_CHANCE)
    )


def second(number: float, stable: Counts, candidate: Counts, lasted: float = 1.0) -> Increment:
    until = START + timedelta(seconds=number)
    return Increment(until, stable, candidate, since=until - timedelta(seconds=lasted))


def traffic(seed: int, seconds: int, cut: int) -> Iterator[Increment]:
    """Ten requests a second, one of them the candidate's, which fails on a tenth; each second in `cut` parts."""
    chance = random.Random(seed)
    for number in range(seconds * cut):
        per_arm = [sum(chance.random() < share / cut for _ in range(10)) for share in (0.9, 0.1)]
        failed = sum(chance.random() < 0.1 for _ in range(per_arm[1]))
        yield second((number + 1) / cut, Counts(per_arm[0]), Counts(per_arm[1], failed), 1 / cut)


def test_five_failures_of_ten_requests_are_enough_at_once(analysis: Analysis) -> None:
    test = a_test(analysis)
    test.update(second(1, Counts(90), Counts(10, 5)))

    assert test.rejected_at
    assert test.rejected_at.log_worse > math.log(100)


def test_evidence_rises_as_fast_however_often_is_read(analysis: Analysis) -> None:
    reached = []
    for cut in (1, 4):
        tests = [a_test(analysis) for _ in range(12)]
        for seed, test in enumerate(tests):
            for increment in traffic(seed, 120, cut):
                test.update(increment)
        reached.append(sum(test.last.log_worse for test in tests) / len(tests))

    assert reached[1] == pytest.approx(reached[0], rel=0.25)
    assert min(reached) > 4


def test_in_clumps_what_speaks_for_the_candidate_counts_whole_until_the_block_ends(analysis: Analysis) -> None:
    test = a_test(analysis, phi=5.0)
    for number in range(1, 16):
        test.update(second(number, Counts(90, 1), Counts(10, 1)))
        if number == 14:
            in_the_block = test.metrics[0].log_worse()

    assert test.metrics[0].log_worse() > in_the_block + 1


def test_without_clumps_a_block_changes_nothing(analysis: Analysis) -> None:
    short, apart = a_test(analysis), a_test(analysis)
    for number in range(1, 20):
        short.update(second(number, Counts(90, 1), Counts(10, 1)))
        apart.update(second(number, Counts(90, 1), Counts(10, 1)))
        for e_process in apart.e_processes:
            e_process.end_block()

    assert short.last == apart.last


def test_whoever_scrapes_may_go_on_where_routers_were_asked_and_the_block_ends(analysis: Analysis) -> None:
    test = a_test(analysis, phi=5.0)
    test.update(second(1, Counts(90, 2), Counts(10, 1)))
    assert any(any(e_process._under_way) for e_process in test.e_processes)

    test.update(Increment(START + timedelta(seconds=6), Counts(450, 2), Counts(50)))

    assert not any(any(e_process._under_way) for e_process in test.e_processes)
    assert test.candidate.requests == 60


def test_predictions_that_are_scraped_meanwhile_end_no_block(analysis: Analysis) -> None:
    test = a_test(analysis, phi=5.0)
    test.update(second(1, Counts(90, 2), Counts(10, 1)))
    before = test.last

    test.update_details(Increment(START + timedelta(seconds=1), Counts(), Counts(), {"b-1": Counts(5)}))

    assert test.last == before


def test_a_second_of_stables_bad_luck_is_no_illness(analysis: Analysis) -> None:
    test = a_test(analysis)
    test.update(second(1, Counts(90, 8), Counts(10)))
    assert not test.context.stable_is_unwell

    for number in range(2, 6):
        test.update(second(number, Counts(90, 8), Counts(10)))
    assert test.context.stable_is_unwell


def test_time_is_counted_in_seconds(analysis: Analysis) -> None:
    test = a_test(analysis)
    test.update(second(1, Counts(90), Counts(10)))
    test.update(second(1.25, Counts(20), Counts(3), 0.25))
    test.update(Increment(START + timedelta(seconds=6), Counts(450), Counts(50)))

    assert test.watched == timedelta(seconds=1.25) + analysis.interval
