"""Blue-green moves all traffic at once, keeps the old revision, and goes back at once when the new one fails."""

import pytest

from tests.e2e.stage import BLUE_GREEN, Stage
from tidegate_demo.records import Outcome

pytestmark = pytest.mark.e2e


def test_blue_green_switches_and_returns(stage: Stage) -> None:
    stage.go_live("v1", strategy=BLUE_GREEN)
    with stage.loaded() as load:
        stage.apply("v5", strategy=BLUE_GREEN)
        switched = stage.until_ended("Promoted")
        stage.settled()
        stage.apply("v3", strategy=BLUE_GREEN)
        returned = stage.until_ended("RolledBack", rollouts=2)
        stage.settled()

    outcomes = stage.nothing_lost(load)
    assert stage.versions[switched["stable"]["revision"]] == "v5"
    assert returned["stable"]["revision"] == switched["stable"]["revision"]
    assert returned["history"][0]["reason"] == "ErrorRateWorse"
    assert {stage.versions[request.revision] for request in outcomes[Outcome.MODEL_ERROR]} == {"v3"}
