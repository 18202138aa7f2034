"""What the two models answer to the same traffic."""

import math

import pytest

from tidegate.judge.drift import Drift, Shift, constant_answer, largest_shift
from tidegate.model.evidence import NO_PREDICTIONS, Durations, Predictions
from tidegate.model.reasons import Policy
from tidegate.model.spec import PredictionDrift

TOLERATED = PredictionDrift(0.05, 0.25, Policy.HOLD)
SCORES = (0.5, 1.0, math.inf)


def answers(cats: int, dogs: int, *, unsure: int = 0) -> Predictions:
    rows = cats + dogs
    return Predictions({"cat": cats, "dog": dogs}, Durations(SCORES, (unsure, rows, rows)))


def evidence(candidate: Predictions, stable: Predictions, increments: int) -> float:
    drift = Drift(TOLERATED)
    for _ in range(increments):
        drift.add(candidate, stable)
    return math.exp(min(drift.log_value(), 700.0))


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [
        pytest.param(answers(50, 50), answers(450, 450), id="the same"),
        pytest.param(answers(55, 45), answers(450, 450), id="as much as is tolerated"),
        pytest.param(answers(0, 0), answers(450, 450), id="no answers of the candidate"),
        pytest.param(NO_PREDICTIONS, NO_PREDICTIONS, id="a model without classes"),
    ],
)
def test_nothing_is_made_of(candidate: Predictions, stable: Predictions) -> None:
    assert evidence(candidate, stable, 60) < 2


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [
        pytest.param(answers(80, 20), answers(450, 450), id="30 points more cats"),
        pytest.param(answers(20, 80), answers(450, 450), id="30 points fewer cats"),
        pytest.param(answers(50, 50, unsure=80), answers(450, 450, unsure=90), id="the same classes, lower scores"),
    ],
)
def test_noticed_are(candidate: Predictions, stable: Predictions) -> None:
    assert evidence(candidate, stable, 30) > 100


def test_the_largest_shift_is_told_with_both_shares() -> None:
    shift = largest_shift(answers(80, 20, unsure=40), answers(450, 450), TOLERATED)

    assert shift == Shift("class cat", (80, 100), (450, 900))
    assert str(shift) == "class cat in 80% of the answers against 50% on stable"
    assert largest_shift(NO_PREDICTIONS, answers(1, 1), TOLERATED) is None


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        pytest.param(answers(60, 0), answers(400, 500), "cat", id="always the same class: that class"),
        pytest.param(answers(40, 0), answers(400, 500), None, id="too few answers to call it so"),
        pytest.param(answers(60, 1), answers(400, 500), None, id="one other answer"),
        pytest.param(answers(60, 0), answers(899, 1), None, id="stable hardly answers anything else either"),
        pytest.param(NO_PREDICTIONS, NO_PREDICTIONS, None, id="a model without classes"),
    ],
)
def test_a_constant_answer(candidate: Predictions, stable: Predictions, expected: str | None) -> None:
    assert constant_answer(candidate, stable) == expected
