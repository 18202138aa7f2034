"""The confidence sequence that people are shown."""

import math
import random

import pytest

from tidegate.judge.confidence_sequence import RATIOS, ConfidenceSequence


def interval(*increments: tuple[int, int, int, int], chance: float = 0.01) -> tuple[float, float]:
    """Of polls of (failures, requests) of the candidate and of stable."""
    told = ConfidenceSequence(chance)
    for failed_c, requests_c, failed_s, requests_s in increments:
        told.add((failed_c, requests_c), (failed_s, requests_s))
    return told.low, told.high


@pytest.mark.parametrize(
    ("increments", "expected"),
    [
        pytest.param([], (0.0, math.inf), id="nothing seen: anything"),
        pytest.param([(5, 0, 0, 100)], (0.0, math.inf), id="no requests of the candidate: anything"),
        pytest.param([(0, 5000, 100, 5000)], (0.0, 0.0743), id="a hundred failures of stable alone: at most a tenth"),
        pytest.param([(100, 5000, 0, 5000)], (13.45, math.inf), id="of the candidate alone: at least ten times"),
        pytest.param([(200, 10000, 200, 10000)], (0.595, 1.68), id="as many of both: about the same"),
    ],
)
def test_the_interval_after(increments: list[tuple[int, int, int, int]], expected: tuple[float, float]) -> None:
    assert interval(*increments) == pytest.approx(expected, rel=0.01)


def test_it_never_grows_again() -> None:
    told, widths = ConfidenceSequence(0.05), []
    for increment in [(20, 1000, 20, 1000), (0, 1000, 40, 1000), (60, 1000, 0, 1000)]:
        told.add(increment[:2], increment[2:])
        widths.append((told.low, -told.high))
    assert widths == sorted(widths, key=lambda pair: pair[0])
    assert [high for _, high in widths] == sorted(high for _, high in widths)


def test_it_leaves_the_truth_out_at_most_as_often_as_it_says() -> None:
    draw, runs, left_out, true_ratio = random.Random(3), 150, 0, 2.0
    assert true_ratio in RATIOS
    for _ in range(runs):
        told = ConfidenceSequence(0.1)
        for _ in range(20):
            failed_c = sum(draw.random() < 0.04 for _ in range(50))
            failed_s = sum(draw.random() < 0.02 for _ in range(100))
            told.add((failed_c, 50), (failed_s, 100))
        left_out += not told.low <= true_ratio <= told.high
    assert left_out / runs <= 0.1
