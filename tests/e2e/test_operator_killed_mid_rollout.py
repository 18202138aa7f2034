"""The operator may die at any time: traffic goes on, and the rollout ends as it would have."""

import pytest

from tests.e2e.stage import Stage
from tidegate_demo import place

pytestmark = pytest.mark.e2e


def test_operator_killed_mid_rollout(stage: Stage) -> None:
    stage.go_live("v1")
    operator = ("--namespace", place.RELEASE_NAMESPACE, "--selector", place.OPERATOR_PODS)
    with stage.loaded() as load:
        stage.apply("v6")
        stage.until("the candidate has traffic", lambda s: s.get("traffic", {}).get("candidate", 0) > 0)
        stage.kubectl.run("delete", "pod", *operator, "--grace-period=0", "--force", "--wait=false")
        status = stage.until_ended("Promoted")
        stage.settled()

    stage.nothing_lost(load)
    assert stage.versions[status["stable"]["revision"]] == "v6"
    assert stage.event_reasons().count("Promoted") == 1
