"""Samples of live requests on a real cluster: who answers otherwise goes back before it has any traffic."""

import json
from typing import Any

import pytest

from tests.controls.names import named
from tests.controls.scene import SOON_CONTENT
from tests.e2e.stage import Stage
from tidegate_demo.kubectl import Kubectl

pytestmark = pytest.mark.controls

COMPARED = {**SOON_CONTENT, "agreement": {"deadline": "5m"}}


def _server(**env: str) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return {"requestSamples": {"keySecret": "samples"}, "env": variables}


@pytest.mark.usefixtures("further")
def test_answers_are_compared_before_any_traffic(stage: Stage, kubectl: Kubectl) -> None:
    stage.run("create", "secret", "generic", "samples", "--from-literal=key=0123456789abcdef0123456789abcdef")
    stage.go_live("v2", analysis=COMPARED, server=_server())
    stable = stage.note()["stable"]["revision"]
    with named(kubectl), stage.loaded(rate=50.0, seconds=900) as load:
        _another_model_goes_back(stage, stable)
        _the_same_model_goes_on(stage)
    stage.nothing_lost(load)


def _another_model_goes_back(stage: Stage, stable: str) -> None:
    """v1 was trained on few images, and takes some for others."""
    stage.apply("v1", analysis=COMPARED, server=_server())
    status = stage.until_ended("RolledBack", rollouts=1)
    ended = status["history"][0]
    assert (status["stable"]["revision"], ended["reason"], ended["exposure"]["requests"]) == (stable, "GateRefused", 0)
    assert "the gate agreement ends it" in ended["message"]
    (job,) = json.loads(stage.run("get", "jobs", "--output", "json"))["items"]
    log = stage.run("logs", f"job/{job['metadata']['name']}")
    assert log.startswith("Differs: the candidate answers ")
    assert "pixels" not in log


def _the_same_model_goes_on(stage: Stage) -> None:
    stage.apply("v2", analysis=COMPARED, server=_server(ANOTHER="revision"))
    status = stage.until_ended("Promoted", rollouts=2, seconds=300)
    jobs = json.loads(stage.run("get", "jobs", "--output", "json"))["items"]
    assert sum(job["status"].get("succeeded", 0) for job in jobs) == 1
    assert status["stable"]["revision"] == status["history"][0]["revision"]
