"""Whether live inputs are those of the training, and how often that is said in error."""

from collections.abc import Mapping

import numpy as np
import pytest

from tidegate.judge.input_drift import inputs_seen
from tidegate.model.inputs import Features, InputCheck, InputPolicy, InputsSeen, InputState, Values

WARN, HOLD = InputCheck(), InputCheck(on_drift=InputPolicy.HOLD)
NUMBERS = ("below 18", "18..40", "40..65", "above 65", "missing")
COUNTRIES = ("de", "fr", "any other", "missing")


def age(live: tuple[int, ...], trained: tuple[int, ...] = (0, 5000, 5000, 0, 0)) -> Features:
    return {"age": bins(NUMBERS, live, trained)}


def country(live: tuple[int, ...], trained: tuple[int, ...] = (7000, 2000, 1000, 0)) -> Features:
    return {"country": bins(COUNTRIES, live, trained)}


def bins(names: tuple[str, ...], live: tuple[int, ...], trained: tuple[int, ...]) -> Mapping[str, Values]:
    return {name: Values(*each) for name, each in zip(names, zip(live, trained, strict=True), strict=True)}


@pytest.mark.parametrize(
    ("features", "said"),
    [
        pytest.param(age((0, 500, 500, 0, 0)), InputState.AS_TRAINED, id="the same"),
        pytest.param(age((0, 590, 410, 0, 0)), InputState.AS_TRAINED, id="a difference that is tolerated"),
        pytest.param(age((0, 900, 100, 0, 0)), InputState.DIFFER, id="younger"),
        pytest.param(age((0, 100, 900, 0, 0)), InputState.DIFFER, id="older"),
        pytest.param(age((0, 250, 250, 500, 0)), InputState.DIFFER, id="above all edges"),
        pytest.param(age((500, 250, 250, 0, 0)), InputState.DIFFER, id="below all edges"),
        pytest.param(age((0, 250, 250, 0, 500)), InputState.DIFFER, id="half of it is missing"),
        pytest.param(country((700, 200, 100, 0)), InputState.AS_TRAINED, id="the same countries"),
        pytest.param(country((200, 700, 100, 0)), InputState.DIFFER, id="another country"),
        pytest.param(country((400, 200, 400, 0)), InputState.DIFFER, id="unknown countries"),
        pytest.param({**age((0, 500, 500, 0, 0)), **country((200, 700, 100, 0))}, InputState.DIFFER, id="one of two"),
        pytest.param(age((0, 99, 0, 0, 0)), InputState.TOO_FEW, id="too few to say"),
        pytest.param({**age((0, 999, 1, 0, 0)), **country((0, 0, 0, 0))}, InputState.TOO_FEW, id="none of one feature"),
        pytest.param(age((0, 500, 500, 0, 0), (0, 0, 0, 0, 0)), InputState.TOO_FEW, id="no counts of the training"),
        pytest.param({}, InputState.NO_PROFILE, id="no profile"),
    ],
)
def test_live_inputs_are_held_against_the_training(features: Features, said: InputState) -> None:
    assert inputs_seen(features, WARN, 0.01).state is said


def test_what_differs_is_told_with_both_shares_and_what_follows() -> None:
    assert inputs_seen(age((0, 900, 100, 0, 0)), HOLD, 0.01) == InputsSeen(
        InputState.DIFFER,
        "the candidate isn't asked what it was trained on: age up to 40 in 90% of 1,000 live requests against 50% in "
        "training; a difference of 10% is tolerated, evidence 2e82 (threshold 100); look at where its inputs come from "
        "and what it was trained on; if it is to go on all the same, set spec.analysis.inputs.onDrift to Warn",
    )
    told = inputs_seen(country((200, 700, 100, 0)), WARN, 0.01).message
    assert "country fr in 70% of 1,000 live requests against 20% in training" in told or "country de in 20%" in told
    assert told.endswith("stable gets the same requests, so this stops nothing")


def test_a_small_profile_says_less_than_a_large_one() -> None:
    live = (0, 680, 320, 0, 0)
    assert inputs_seen(age(live, (0, 50, 50, 0, 0)), WARN, 0.01).state is InputState.AS_TRAINED
    assert inputs_seen(age(live, (0, 50_000, 50_000, 0, 0)), WARN, 0.01).state is InputState.DIFFER


def test_a_tolerance_of_everything_is_never_exceeded() -> None:
    assert inputs_seen(age((0, 1000, 0, 0, 0)), InputCheck(drift=1.0), 0.01).state is InputState.AS_TRAINED


def test_bins_that_nobody_knows_raise_what_an_answer_that_makes_no_sense_does() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        inputs_seen({"age": {"a..b": Values(200, 200)}}, WARN, 0.01)


def ever_differs(chance: np.random.Generator, shares: tuple[float, ...], looks: int, each: int) -> bool:
    """Whether it is ever called a difference, looked at as often as new requests come."""
    live = np.zeros(len(NUMBERS), int)
    for _ in range(looks):
        live += chance.multinomial(each, shares)
        if inputs_seen(age(tuple(live.tolist())), WARN, 0.01).state is InputState.DIFFER:
            return True
    return False


def test_a_difference_at_the_edge_of_what_is_tolerated_is_seldom_called_one() -> None:
    chance = np.random.default_rng(7)
    alarms = sum(ever_differs(chance, (0, 0.6, 0.4, 0, 0), 40, 50) for _ in range(200))
    assert alarms <= 2


def test_a_shift_twice_as_large_as_tolerated_is_found_within_two_thousand_requests() -> None:
    chance = np.random.default_rng(7)
    assert sum(ever_differs(chance, (0, 0.7, 0.3, 0, 0), 40, 50) for _ in range(50)) == 50
