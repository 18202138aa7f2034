"""How many pods each weight takes."""

from typing import Any

import pytest

from tests.operator.decide.builder import BLUE_GREEN, CANARY, a_spec
from tidegate.decide.capacity import Capacity, capacity


@pytest.mark.parametrize(
    ("strategy", "replicas", "weight", "candidate"),
    [
        pytest.param(CANARY, 10, 10, 1, id="a tenth of the traffic: a tenth of the pods"),
        pytest.param(CANARY, 10, 11, 2, id="a little more is a whole pod"),
        pytest.param(CANARY, 3, 1, 1, id="never less than one"),
        pytest.param(CANARY, 3, 100, 3, id="all traffic: all pods"),
        pytest.param(BLUE_GREEN, 3, 0, 3, id="a switch needs all of them before it"),
    ],
)
def test_the_pods_of(strategy: dict[str, Any], replicas: int, weight: int, candidate: int) -> None:
    assert capacity(replicas, a_spec(strategy=strategy).strategy, weight) == Capacity(replicas, candidate)
