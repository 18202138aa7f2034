"""A model that fails on one image in five is stopped on copies of requests: no user ever meets it."""

from typing import Any

import pytest

from tests.e2e.stage import Stage
from tidegate_demo.records import Outcome

pytestmark = pytest.mark.e2e
SHADOW: dict[str, Any] = {"canary": {"steps": [{"mirror": {"percent": 50}}, {"weight": 50}]}}


def test_shadow_spares_every_user(stage: Stage) -> None:
    stage.go_live("v2", strategy=SHADOW)
    stable = stage.note()["stable"]["revision"]
    with stage.loaded() as load:
        stage.apply("v3", strategy=SHADOW)
        status = stage.until_ended("RolledBack")
        stage.settled()

    outcomes = stage.nothing_lost(load)
    assert outcomes[Outcome.MODEL_ERROR] == []
    assert {request.revision for request in load.requests} == {stable}

    ended = status["history"][0]
    assert ended["reason"] == "ErrorRateWorse"
    assert (ended["exposure"]["requests"], ended["exposure"]["failed"]) == (0, 0)
    assert ended["exposure"]["shadowRequests"] > 0
    assert "0 users, " in ended["message"]
    assert [shift.get("weight", 0) for shift in ended["shifts"]] == [0] * len(ended["shifts"])
