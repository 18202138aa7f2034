"""A model that fails on one image in five is rolled back within 15 seconds of its first bad answer."""

import pytest

from tests.e2e.stage import Stage
from tidegate_demo.records import Outcome, exposure

pytestmark = pytest.mark.e2e


def test_bad_model_rolls_back(stage: Stage) -> None:
    stage.go_live("v2")
    with stage.loaded() as load:
        stage.apply("v3")
        status = stage.until_ended("RolledBack")
        stage.settled()

    outcomes = stage.nothing_lost(load)
    bad = status["history"][0]["revision"]
    assert status["history"][0]["reason"] == "ErrorRateWorse"
    assert {request.revision for request in outcomes[Outcome.MODEL_ERROR]} == {bad}
    seconds = exposure(load.requests, bad).first_to_last_bad
    assert seconds is not None
    assert seconds <= 15

    stalled = next(c for c in status["conditions"] if c["type"] == "Stalled")
    assert stalled["status"] == "True"
    assert "error rate" in stalled["message"]
    assert "RolledBack" in stage.event_reasons()
