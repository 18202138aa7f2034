"""How much more one pod fails than another of the same revision."""

import random

import pytest

from tidegate.judge.overdispersion import Block
from tidegate.judge.pods import Tally
from tidegate.judge.spread import LARGEST, estimate_spread, luck
from tidegate.model.evidence import ALIKE, Spread


def blocks(rates: list[float], count: int = 120, requests: int = 200) -> list[Block]:
    draw = random.Random(7)
    return [
        {
            f"pod {n}": Tally(sum(draw.random() < rate for _ in range(requests)), requests)
            for n, rate in enumerate(rates)
        }
        for _ in range(count)
    ]


def test_pods_that_are_alike_have_no_spread() -> None:
    assert estimate_spread(blocks([0.01] * 5), 1.0) == ALIKE


def test_pods_that_differ_for_good_do() -> None:
    spread = estimate_spread(blocks([0.005, 0.01, 0.02]), 1.0)

    assert spread.pods == 3
    assert spread.sigma == pytest.approx(0.69, abs=0.1)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([], id="no history"),
        pytest.param(blocks([0.05]), id="a single pod"),
        pytest.param(blocks([0.0001, 0.0002], count=9), id="hardly a failure"),
    ],
)
def test_of_too_little_nothing_follows(told: list[Block]) -> None:
    assert estimate_spread(told, 1.0) == ALIKE


@pytest.mark.parametrize(
    ("spread", "pods", "expected"),
    [
        pytest.param(ALIKE, 1, 1.0, id="alike: none"),
        pytest.param(Spread(0.3, 9), 1, 2.50, id="one pod of the candidate"),
        pytest.param(Spread(0.3, 9), 3, 1.79, id="three average out"),
        pytest.param(Spread(0.3, 30), 3, 1.56, id="thirty of stable tell it better"),
        pytest.param(Spread(0.6, 2), 1, LARGEST, id="two tell hardly anything"),
    ],
)
def test_what_is_laid_to_luck(spread: Spread, pods: int, expected: float) -> None:
    assert luck(spread, pods) == pytest.approx(expected, rel=0.01)


def test_one_pod_of_equal_models_is_within_it_99_times_of_a_hundred() -> None:
    """Both arms' pods are drawn from the same distribution; what is known of σ comes from stable's nine."""
    draw, runs, beyond = random.Random(3), 4000, 0
    for _ in range(runs):
        logs = [draw.gauss(0, 0.6) for _ in range(9)]
        mean = sum(logs) / 9
        sigma = (sum((each - mean) ** 2 for each in logs) / 8) ** 0.5
        beyond += 2.718281828 ** (draw.gauss(0, 0.6) - mean) > luck(Spread(sigma, 9), 1)

    assert beyond / runs <= 0.015
