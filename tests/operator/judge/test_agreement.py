"""Paired agreement: what its evidence is worth, whatever stable's noise, and how soon it is enough."""

import math
from itertools import product
from random import Random

import pytest

from tidegate.judge.agreement import (
    Agreement,
    AgreementRules,
    Pairs,
    answer_of,
    log_evidence_of_agreement,
    log_evidence_of_difference,
    told,
)

RULES = AgreementRules()


def after(requests: int, differed: int = 0, noisy: int = 0, both: int = 0) -> Agreement:
    return answer_of(Pairs(requests, differed, noisy, both), RULES)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param(Pairs(), Agreement.UNDECIDED, id="nothing asked: nothing known"),
        pytest.param(Pairs(300), Agreement.UNDECIDED, id="300 of 300 alike: not enough yet"),
        pytest.param(Pairs(400), Agreement.AGREES, id="400 of 400 alike"),
        pytest.param(Pairs(10, 7), Agreement.UNDECIDED, id="7 of 10 otherwise: might be noise of stable's own"),
        pytest.param(Pairs(20, 10), Agreement.DIFFERS, id="10 of 20 otherwise"),
        pytest.param(Pairs(20, 10, 10, 10), Agreement.UNDECIDED, id="the same 10 on which stable differs from itself"),
        pytest.param(Pairs(1000, 20), Agreement.DIFFERS, id="2% of 1,000"),
        pytest.param(Pairs(1000, 20, 20), Agreement.UNDECIDED, id="2% of 1,000, and 2% others on stable itself"),
        pytest.param(Pairs(10_000, 5), Agreement.AGREES, id="5 of 10,000"),
    ],
)
def test_what_pairs_show(pairs: Pairs, expected: Agreement) -> None:
    assert answer_of(pairs, RULES) == expected


SHARES = (0.0, 0.001, 0.02, 0.3, 0.6, 1.0)


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.05, 0.5])
def test_an_e_value_is_worth_no_more_than_one_while_its_hypothesis_is_true(margin: float) -> None:
    """Of three requests, each of which tells against the candidate, for it, or nothing: enumerated."""
    outcomes = ((1, Pairs(1, 1, 0)), (-1, Pairs(1, 0, 1)), (0, Pairs(1)))
    for against, in_favour in product(SHARES, SHARES):
        if against + in_favour > 1:
            continue
        chances = {1: against, -1: in_favour, 0: 1 - against - in_favour}
        difference = agreement = 0.0
        for drawn in product(outcomes, repeat=3):
            chance = math.prod(chances[x] for x, _ in drawn)
            pairs = sum((pair for _, pair in drawn), Pairs())
            difference += chance * math.exp(log_evidence_of_difference(pairs, margin))
            agreement += chance * math.exp(log_evidence_of_agreement(pairs, margin))
        if against - in_favour <= margin:
            assert difference <= 1 + 1e-12, (against, in_favour)
        if against - in_favour >= margin:
            assert agreement <= 1 + 1e-12, (against, in_favour)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_of_a_hundred_that_are_the_same_hardly_one_is_called_different(noise: float) -> None:
    random, alarms = Random(3), 0
    for _ in range(100):
        pairs = Pairs()
        for _ in range(300):
            pairs += Pairs.of(differed=random.random() < noise, noisy=random.random() < noise)
            if log_evidence_of_difference(pairs, RULES.tolerate) >= math.log(100):
                alarms += 1
                break
    assert alarms <= 2


def test_a_model_that_differs_on_two_of_a_hundred_is_found_within_a_thousand() -> None:
    random, found = Random(4), 0
    for _ in range(50):
        pairs = Pairs()
        for _ in range(1000):
            pairs += Pairs.of(differed=random.random() < 0.02, noisy=False)
            if answer_of(pairs, RULES) is not Agreement.UNDECIDED:
                found += answer_of(pairs, RULES) is Agreement.DIFFERS
                break
    assert found == 50


def test_the_sentence_has_the_numbers_and_their_thresholds() -> None:
    assert told(Pairs(1000, 20, 1), RULES) == (
        "the candidate answers 20 of 1,000 requests otherwise than stable (2%), stable itself 1 of them; 0.1% beyond "
        "that is tolerated, difference evidence 7,094 (threshold 100), agreement evidence 0.068 (threshold 20)"
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"tolerate": 0.02, "accept": 0.01}, "tolerate is 2% and accept 1%; tolerate must be below accept"),
        ({"tolerate": -0.1}, "tolerate must be below accept, and both from 0%"),
        ({"accept": 1.0}, "both from 0% to below 100%"),
        ({"false_alarm": 0.0}, "must be between 0% and 100%"),
    ],
)
def test_margins_that_make_no_sense_are_refused(rules: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AgreementRules(**rules)
