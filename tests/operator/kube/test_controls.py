"""Controls as people give them: annotations on a real API server, the real operator, and a Prometheus that hangs."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.kube.test_a_prometheus_that_hangs import (
    all_pods_ready,
    hanging,
    model_deployment,
    operator,
    phase_of,
)
from tidegate.kube.api import DEPLOYMENTS, EVENTS, MODEL_DEPLOYMENTS, MODEL_ROUTES, KubernetesApi
from tidegate.model.control import Control, Intent
from tidegate.resources.names import RESTARTED_AT

pytestmark = pytest.mark.apiserver

ROUNDS = 5
NAME = "digits"


def ask(api: KubernetesApi, namespace: str, control: Control, revision: str, step: int | None = None) -> None:
    """kubectl annotate."""
    intent = Intent(control, revision, step, "alice", "a test")
    patch = {"metadata": {"annotations": {intent.annotation: intent.text}}}
    api.merge(MODEL_DEPLOYMENTS, namespace, NAME, patch)


def model(api: KubernetesApi, namespace: str) -> dict[str, Any]:
    return api.get(MODEL_DEPLOYMENTS, namespace, NAME) or {}


def weight(api: KubernetesApi, namespace: str, revision: str) -> int:
    """As the route has it, which is what routers follow."""
    route = api.get(MODEL_ROUTES, namespace, NAME) or {"spec": {"backends": []}}
    return {each["revision"]: int(each["weight"]) for each in route["spec"]["backends"]}.get(revision, 0)


def seconds_until(condition: Callable[[], bool]) -> float:
    began = monotonic()
    while not condition() and monotonic() - began < 30:
        sleep(0.01)
    return monotonic() - began


def is_answered(api: KubernetesApi, namespace: str) -> bool:
    return not any(key.startswith("tidegate.dev/") for key in model(api, namespace)["metadata"].get("annotations", {}))


def told(api: KubernetesApi, namespace: str, reason: str) -> list[str]:
    return [each["message"] for each in api.list(EVENTS, namespace, None)["items"] if each["reason"] == reason]


def test_an_abort_and_a_promotion_by_hand_are_routes_within_a_second_though_prometheus_hangs(
    api: KubernetesApi, api_server: Path, namespace: str, tmp_path: Path
) -> None:
    aborts, promotions = [], []
    with hanging() as prometheus, operator(api_server, namespace, prometheus, tmp_path):
        api.create(MODEL_DEPLOYMENTS, model_deployment(namespace, NAME, 1))
        all_pods_ready(api, namespace, 1)
        until(lambda: phase_of(api, namespace, NAME) == "Live", within=60)
        stable = model(api, namespace)["status"]["stable"]["revision"]
        api.merge(MODEL_DEPLOYMENTS, namespace, NAME, {"spec": {"model": {"uri": "http://models/2.onnx"}}})
        all_pods_ready(api, namespace, 2)
        until(lambda: "rollout" in model(api, namespace)["status"])
        candidate = model(api, namespace)["status"]["rollout"]["candidate"]
        for _ in range(ROUNDS):
            ask(api, namespace, Control.PROMOTE, candidate, 0)
            promotions.append(seconds_until(lambda: weight(api, namespace, candidate) == 20))
            until(lambda: is_answered(api, namespace))
            ask(api, namespace, Control.ABORT, candidate)
            aborts.append(seconds_until(lambda: weight(api, namespace, stable) == 100))
            until(lambda: is_answered(api, namespace))
            ask(api, namespace, Control.RETRY, candidate)
            until(lambda: "rollout" in model(api, namespace)["status"] and is_answered(api, namespace))
        ask(api, namespace, Control.APPROVE, candidate, 7)
        until(lambda: is_answered(api, namespace))
        ask(api, namespace, Control.RESTART, stable)
        until(lambda: restarted(api, namespace, stable))
        until(lambda: is_answered(api, namespace))

        history = model(api, namespace)["status"]["history"]

    print(f"abort → route: {median(aborts):.3f} s, promote → route: {median(promotions):.3f} s")  # noqa: T201
    assert median(aborts) < 1, aborts
    assert median(promotions) < 1, promotions
    assert [entry["outcome"] for entry in history] == ["Aborted"] * ROUNDS
    assert told(api, namespace, "Aborted") == [f"{candidate} was aborted by alice: a test"]
    assert told(api, namespace, "ControlRefused") == [
        f"approve of {candidate}/7 by alice: a test is refused: it is at step 0 by now"
    ]


def restarted(api: KubernetesApi, namespace: str, revision: str) -> bool:
    """Whether the Deployment's pods are to be replaced."""
    workload = api.get(DEPLOYMENTS, namespace, revision) or {}
    return RESTARTED_AT in workload["spec"]["template"]["metadata"]["annotations"]
