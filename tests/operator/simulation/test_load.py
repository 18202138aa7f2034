"""Equal models on busy deployments: whoever has more to do is slower, and that isn't the model's fault."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.operator.decide.builder import a_spec
from tidegate.model.reasons import Outcome
from tidegate.simulation.engine import simulate_rollout
from tidegate.simulation.synthetic_metrics import Scenario
from tidegate.simulation.synthetic_traffic import Behaviour

MODEL = Behaviour(0.001, 0.03, capacity=100.0)
DEFAULT_STEPS = {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}}


def rollout_of(utilisation: float, replicas: int, slower: float = 1.0) -> str:
    scenario = Scenario(
        utilisation * replicas * 100, MODEL, MODEL.times(latency=slower), timedelta(seconds=15), luck=0.05
    )
    spec = replace(a_spec(strategy=DEFAULT_STEPS), replicas=replicas)
    return simulate_rollout(spec, scenario, f"{utilisation} {replicas}").outcome


@pytest.mark.parametrize("replicas", [3, 10, 30])
@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
def test_an_equal_model_is_promoted_however_busy_its_pods_are(utilisation: float, replicas: int) -> None:
    assert rollout_of(utilisation, replicas) == Outcome.PROMOTED


@pytest.mark.parametrize("replicas", [3, 10, 30])
def test_a_slow_model_is_not_hidden_by_pods_that_idle_at_first(replicas: int) -> None:
    assert rollout_of(0.5, replicas, slower=2.0) == Outcome.ROLLED_BACK


def test_a_pod_that_is_near_what_it_bears_is_slow() -> None:
    assert MODEL.under(50) == replace(MODEL, median=0.06)
    assert MODEL.under(500) == replace(MODEL, median=1.5)
    assert replace(MODEL, capacity=None).under(500).median == 0.03


@pytest.mark.parametrize(
    ("slower", "expected"),
    [pytest.param(1.0, Outcome.PROMOTED, id="equal"), pytest.param(1.5, Outcome.ROLLED_BACK, id="slower")],
)
@pytest.mark.parametrize("run", range(3))
def test_a_model_alone_on_busy_pods_is_judged_by_what_they_have_to_do(
    slower: float, expected: Outcome, run: int
) -> None:
    """After a switch nobody serves beside it, and traffic that differs by 3 % makes latency differ by a third."""
    scenario = Scenario(900, MODEL, MODEL.times(latency=slower), timedelta(seconds=15), luck=0.05, bursts=0.03)
    strategy = {"type": "blueGreen", "blueGreen": {"verifyFor": "0s", "keepOld": "0s"}}
    spec = replace(a_spec(strategy=strategy, analysis={"bake": "10m"}), replicas=10)

    assert simulate_rollout(spec, scenario, f"alone {run}").outcome == expected
