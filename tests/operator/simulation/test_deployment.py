"""What a decision asks for is so at once, and is observed the next time."""

from datetime import timedelta

from tests.operator.decide.builder import CANARY, NOW, TOO_LITTLE, a_spec
from tidegate.decide.rollout import decide
from tidegate.model.status import Shift
from tidegate.model.traffic import TrafficSplit
from tidegate.simulation.deployment import SimulatedDeployment

DELAY = timedelta(seconds=15)


def reconciled(deployment: SimulatedDeployment) -> SimulatedDeployment:
    return deployment.after(decide(deployment.observed(NOW, TOO_LITTLE, None, DELAY)))


def test_a_released_candidate_comes_up_without_traffic_and_then_gets_its_first_step() -> None:
    released = SimulatedDeployment.released(a_spec(strategy=CANARY), "old", "new")
    started = reconciled(released)
    stepped = reconciled(started)

    assert started.pods == {"old": 4, "new": 1}
    assert started.split == TrafficSplit.between("old", "new", 0)
    assert stepped.split == TrafficSplit.between("old", "new", 10)
    assert stepped.recorded.rollout is not None
    assert stepped.recorded.rollout.shifts == (Shift(NOW, 10),)
