"""A candidate that can't run is rejected before it sees a request, with a sentence that says what to do."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.e2e.stage import Stage

pytestmark = pytest.mark.e2e

Model = Callable[[Stage], Mapping[str, Any]]


def uri(name: str) -> Model:
    return lambda stage: {"uri": f"http://{stage.files}/{name}"}


@pytest.mark.parametrize(
    ("model", "reason", "said"),
    [
        pytest.param(uri("digits-nonsense.onnx"), "NotOnnx", "ONNX", id="not-onnx"),
        pytest.param(
            lambda stage: {"uri": f"http://{stage.files}/digits-v2.onnx", "sha256": "0" * 64},
            "WrongDigest",
            "sha256",
            id="wrong-digest",
        ),
        pytest.param(uri("digits-other.onnx"), "SignatureChanged", "pixels FP32[-1,32]", id="other-inputs"),
        pytest.param(uri("digits-forgetful.tar"), "SelftestFailed", "self-test case 1", id="fails-its-self-test"),
        pytest.param(uri("digits-v9.onnx"), "ProgressDeadlineExceeded", "404", id="unreachable-uri"),
    ],
)
def test_crashing_model_never_gets_traffic(stage: Stage, model: Model, reason: str, said: str) -> None:
    stage.go_live("v1", replicas=1)
    with stage.loaded(rate=50) as load:
        stage.apply_model(model(stage), progressDeadline="20s", replicas=1)
        status = stage.until_ended("RolledBack")
        stage.settled()

    stage.nothing_lost(load)
    assert {stage.versions[request.revision] for request in load.requests} == {"v1"}
    assert status["history"][0]["reason"] == reason
    assert said in status["history"][0]["message"]
