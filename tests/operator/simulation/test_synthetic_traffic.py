"""Numbers are drawn exactly, whichever way is the fastest for them."""

from random import Random
from statistics import mean, variance

import pytest

from tidegate.simulation.synthetic_traffic import FEW, binomial


@pytest.mark.parametrize(
    ("trials", "chance"), [(1000, 0.005), (1000, 0.3), (1000, 0.97), (40, 0.5), (FEW * 100, 0.01), (100_000, 0.02)]
)
def test_a_binomial_number_has_its_mean_and_variance(trials: int, chance: float) -> None:
    random = Random(1)
    drawn = [binomial(random, trials, chance) for _ in range(3000)]

    assert mean(drawn) == pytest.approx(trials * chance, rel=0.03)
    assert variance(drawn) == pytest.approx(trials * chance * (1 - chance), rel=0.15)


@pytest.mark.parametrize(("trials", "chance", "always"), [(7, 0.0, 0), (7, 1.0, 7), (0, 0.5, 0)])
def test_what_is_certain_is_not_drawn(trials: int, chance: float, always: int) -> None:
    assert binomial(Random(1), trials, chance) == always
