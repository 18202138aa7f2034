"""A better model is promoted through its steps; nothing is lost on the way, and applying it again changes nothing."""

import time

import pytest

from tests.e2e.stage import Stage

pytestmark = pytest.mark.e2e


def test_canary_promotes(stage: Stage) -> None:
    stage.go_live("v1")
    with stage.loaded() as load:
        stage.apply("v2")
        status = stage.until_ended("Promoted")
        stage.settled()

    stage.nothing_lost(load)
    assert stage.versions[status["stable"]["revision"]] == "v2"
    assert {"RolloutStarted", "CanaryStep", "Promoting", "Promoted"} <= set(stage.event_reasons())
    assert {stage.versions[request.revision] for request in load.requests} == {"v1", "v2"}

    before = stage.read()
    stage.apply("v2")
    time.sleep(6)  # longer than any look would take; there is nothing to wait for where nothing happens

    after = stage.read()
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == before["status"]
