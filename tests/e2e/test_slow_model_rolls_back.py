"""A model that is right but slower is rolled back on its latency."""

import pytest

from tests.e2e.stage import Stage

pytestmark = pytest.mark.e2e


def test_slow_model_rolls_back(stage: Stage) -> None:
    stage.go_live("v2")
    with stage.loaded() as load:
        stage.apply("v4", strategy={"canary": {"steps": [{"weight": 5}, {"weight": 50}]}})
        status = stage.until_ended("RolledBack")
        stage.settled()

    stage.nothing_lost(load)
    assert status["history"][0]["reason"] == "LatencyWorse"
