"""The e-process: golden values, and the properties that its bound on mistakes rests on."""

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.judge.e_process import (
    CEILING_UPWARD,
    DOWNWARD,
    UPWARD,
    Alternatives,
    EProcess,
    even,
    log_e,
    log_e_ceiling,
    log_taken_away,
)

Arms = tuple[int, int, int, int]
"""Failures of the candidate and of stable, requests of the candidate and of stable."""


GOLDEN_UPWARD = even((1.2, 1.5, 2.0, 2.75, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 100.0, 1000.0))
"""The grid that the golden values were computed with."""


def kappas(alternatives: Alternatives) -> list[float]:
    return [kappa for kappa, _ in alternatives]


def log_e_of(arms: Arms, kappa: float, ratio: float, absolute: float) -> float:
    return log_e(*arms, kappa=kappa, ratio=ratio, absolute=absolute)


@pytest.mark.parametrize(
    ("arms", "kappa", "ratio", "absolute", "expected"),
    [
        pytest.param((3, 2, 100, 900), 2, 1, 0, 1.6028906426582115, id="more failures than a tenth of the traffic"),
        pytest.param((3, 2, 100, 900), 2, 1.25, 0.001, 1.4258340231906823, id="the same against a margin"),
        pytest.param((5, 0, 100, 900), 1000, 1, 0, 11.468126758112868, id="only the candidate fails"),
        pytest.param((0, 5, 100, 900), 0.001, 2, 0.005, 1.5016315142993344, id="only stable fails"),
        pytest.param((1, 5, 500, 500), 0.5, 2, 0.005, 2.3646434680890414, id="half and half, the candidate better"),
        pytest.param((0, 0, 0, 0), 2, 1, 0, 0.0, id="no requests at all"),
        pytest.param((0, 7, 0, 900), 2, 1.25, 0.001, 0.0, id="no requests of the candidate"),
    ],
)
def test_log_e_is(arms: Arms, kappa: float, ratio: float, absolute: float, expected: float) -> None:
    assert log_e_of(arms, kappa, ratio, absolute) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("e_process", "ratio", "absolute", "increments", "expected"),
    [
        pytest.param(
            EProcess(GOLDEN_UPWARD, start_at_once=0.5, hazard=1 / 40),
            1,
            0,
            [(1, 2, 100, 900), (4, 3, 110, 890), (6, 4, 100, 900)],
            [1.0447223110609296, 20.640675665041606, 21647.768967144384],
            id="for worse, with an unknown start",
        ),
        pytest.param(
            EProcess(DOWNWARD, start_at_once=1.0),
            2,
            0.005,
            [(0, 2, 100, 900), (0, 3, 110, 890), (1, 4, 300, 900)],
            [1.7691997036811289, 4.2839550122107015, 9.039510818630061],
            id="for acceptable, from the first poll on",
        ),
    ],
)
def test_the_mixture_after_each_poll_is(
    e_process: EProcess, ratio: float, absolute: float, increments: list[Arms], expected: list[float]
) -> None:
    values = []
    for arms in increments:
        e_process.add(lambda kappa, arms=arms: log_e_of(arms, kappa, ratio, absolute))  # type: ignore[misc]
        values.append(math.exp(e_process.log_value))

    assert values == pytest.approx(expected, rel=1e-12)


def test_without_polls_there_is_no_evidence() -> None:
    assert EProcess(UPWARD).log_value == 0.0


def binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize("alternatives", [UPWARD, DOWNWARD, CEILING_UPWARD])
def test_the_weights_of_a_bet_add_to_one(alternatives: Alternatives) -> None:
    assert sum(weight for _, weight in alternatives) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kappa", kappas(UPWARD + DOWNWARD))
@pytest.mark.parametrize(("ratio", "absolute"), [(1.0, 0.0), (1.25, 0.001), (2.0, 0.005)])
def test_at_the_edge_of_the_null_the_expected_e_value_is_at_most_one(
    kappa: float, ratio: float, absolute: float
) -> None:
    for requests_c, requests_s, p in product((1, 3), (2, 7), (0.0, 0.02, 0.3)):
        q = ratio * p + absolute
        expected = sum(
            binomial(requests_c, failed_c, q)
            * binomial(requests_s, failed_s, p)
            * math.exp(log_e_of((failed_c, failed_s, requests_c, requests_s), kappa, ratio, absolute))
            for failed_c, failed_s in product(range(requests_c + 1), range(requests_s + 1))
        )
        assert expected <= 1 + 1e-12


@pytest.mark.parametrize("kappa", kappas(CEILING_UPWARD + DOWNWARD))
def test_at_the_ceiling_the_expected_e_value_is_at_most_one(kappa: float) -> None:
    for requests, ceiling in product((1, 10), (0.01, 0.05, 0.5)):
        expected = sum(
            binomial(requests, failed, ceiling)
            * math.exp(log_e_ceiling(failed, requests, kappa=kappa, ceiling=ceiling))
            for failed in range(requests + 1)
        )
        assert expected <= 1 + 1e-12


@pytest.mark.parametrize(
    ("alternatives", "start_at_once"),
    [pytest.param(UPWARD, 0.75, id="worse"), pytest.param(DOWNWARD, 1.0, id="acceptable")],
)
def test_however_often_one_looks_mistakes_stay_below_alpha(alternatives: Alternatives, start_at_once: float) -> None:
    draw, alpha, runs, crossed = random.Random(7), 0.1, 300, 0
    for _ in range(runs):
        e_process = EProcess(alternatives, start_at_once=start_at_once)
        for _ in range(40):
            # At the edge of the null: a candidate that fails 1.25 times as often as stable, plus 0.1 %.
            failed_c = sum(draw.random() < 0.0135 for _ in range(30))
            failed_s = sum(draw.random() < 0.01 for _ in range(90))
            e_process.add(
                lambda kappa, c=failed_c, s=failed_s: log_e_of((c, s, 30, 90), kappa, 1.25, 0.001)  # type: ignore[misc]
            )
            if e_process.log_value >= math.log(1 / alpha):
                crossed += 1
                break

    assert crossed / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@given(
    first=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    second=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    requests=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    split=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_splitting_a_poll_of_constant_split_changes_nothing(
    first: tuple[int, int], second: tuple[int, int], requests: tuple[int, int], split: tuple[int, int]
) -> None:
    part, other = (
        (*failed, size * split[0], size * split[1]) for failed, size in zip((first, second), requests, strict=True)
    )
    whole = tuple(a + b for a, b in zip(part, other, strict=True))
    one, two = (EProcess(DOWNWARD, start_at_once=1.0) for _ in range(2))
    for arms in (part, other):
        one.add(lambda kappa, arms=arms: log_e_of(arms, kappa, 2, 0.005))  # type: ignore[misc]
    two.add(lambda kappa: log_e(*whole, kappa=kappa, ratio=2, absolute=0.005))

    assert one.log_value == pytest.approx(two.log_value, rel=1e-9, abs=1e-9)


def test_a_gross_failure_does_not_overflow() -> None:
    e_process = EProcess(UPWARD)
    for _ in range(1000):
        e_process.add(lambda kappa: log_e_of((1000, 0, 1000, 1000), kappa, 1.25, 0.001))

    assert math.isfinite(e_process.log_value)
    assert e_process.log_value > 100_000


@pytest.mark.parametrize("kappa", kappas(UPWARD + DOWNWARD))
@pytest.mark.parametrize(("ratio", "absolute"), [(1.0, 0.0), (1.25, 0.001), (2.0, 0.005)])
def test_over_the_size_of_a_clump_requests_that_fail_together_keep_the_expectation_at_most_one(
    kappa: float, ratio: float, absolute: float
) -> None:
    phi = 5
    for clumps_c, clumps_s, p in product((1, 2), (2, 5), (0.02, 0.2)):
        q = ratio * p + absolute
        expected = sum(
            binomial(clumps_c, bad_c, q)
            * binomial(clumps_s, bad_s, p)
            * math.exp(
                log_e_of((phi * bad_c, phi * bad_s, phi * clumps_c, phi * clumps_s), kappa, ratio, absolute) / phi
            )
            for bad_c, bad_s in product(range(clumps_c + 1), range(clumps_s + 1))
        )
        assert expected <= 1 + 1e-12


PHI, BLOCK, SECONDS = 20, 15, 60


def clumps(chance: random.Random, *, lasting: int) -> list[int]:
    """Second by second, failures in clumps of PHI, every other second one, that are spread over some seconds."""
    failed = [0] * (SECONDS + PHI)
    for second in range(SECONDS):
        if chance.random() < 0.5:
            for number in range(PHI):
                failed[second + number * lasting // (PHI - 1)] += 1
    return failed


def reaches(needed: float, seed: int, *, under_way: bool) -> bool:
    """Whether the evidence ever does, looked at each second: both arms alike, the candidate's clumps come at once."""
    chance = random.Random(seed)
    candidate, stable = clumps(chance, lasting=0), clumps(chance, lasting=BLOCK - 1)
    e_process = EProcess(((3.0, 1.0),), start_at_once=1.0)
    for second in range(SECONDS):
        arms = candidate[second], stable[second], 50, 50
        e_process.add(
            lambda kappa, arms=arms: log_e_of(arms, kappa, 1.0, 0.0) / PHI,  # type: ignore[misc]
            under_way_at=lambda kappa, arms=arms: (  # type: ignore[misc]
                log_taken_away(*arms, kappa=kappa, ratio=1.0) * (1 - 1 / PHI) if under_way else 0.0
            ),
        )
        if (second + 1) % BLOCK == 0:
            e_process.end_block()
        if e_process.log_value >= math.log(needed):
            return True
    return False


def test_clumps_under_way_keep_mistakes_below_alpha_at_any_second_and_without_them_they_would_not() -> None:
    runs, needed = 500, 4.0

    mistakes = [
        sum(reaches(needed, seed, under_way=under_way) for seed in range(runs)) / runs for under_way in (True, False)
    ]
    assert mistakes[0] <= 1 / needed < mistakes[1]


@pytest.mark.parametrize(
    ("kappa", "expected"),
    [
        pytest.param(2.0, 2 * math.log(1000 / 1100), id="stable's speak against worse"),
        pytest.param(0.5, 3 * math.log(0.5 * 1000 / 950), id="the candidate's against better"),
    ],
)
def test_what_failures_take_away_is(kappa: float, expected: float) -> None:
    assert log_taken_away(3, 2, 100, 900, kappa=kappa, ratio=1.0) == pytest.approx(expected)


def test_five_increments_of_a_second_are_a_look() -> None:
    """A regression that began at any moment is as likely, however the time is cut."""
    cut, whole = EProcess(UPWARD), EProcess(UPWARD)
    for _ in range(60):
        whole.add(lambda kappa: 0.0)
        for _ in range(5):
            cut.add(lambda kappa: 0.0, looks=0.2)

    assert cut._not_started == pytest.approx(whole._not_started, rel=0.01)
