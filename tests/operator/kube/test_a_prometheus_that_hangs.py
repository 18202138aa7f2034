"""A Prometheus that takes every question and never answers: the real operator, on a real API server."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import answers, free_port, running, until
from tidegate.kube.api import DEPLOYMENTS, MODEL_DEPLOYMENTS, KubernetesApi

pytestmark = pytest.mark.apiserver

ROLLOUTS = 50
IDLE = "idle"
STRATEGY = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}


@contextmanager
def hanging() -> Iterator[int]:
    """A port whose connections are taken and never answered."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:

        def take() -> None:
            try:
                while True:
                    kept.append(listener.accept()[0])
            except OSError:  # the listener is closed
                return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in kept:
        each.close()


def model_deployment(namespace: str, name: str, model: int) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "model": {"uri": f"http://models/{model}.onnx"}, "strategy": STRATEGY},
    }


def all_pods_ready(api: KubernetesApi, namespace: str, count: int) -> None:
    """Says of every Deployment that its pods are ready, since nothing runs them here, until there are as many."""

    def ready() -> bool:
        listed = api.list(DEPLOYMENTS, namespace, None)["items"]
        for each in listed:
            if each.get("status", {}).get("readyReplicas") != each["spec"]["replicas"]:
                wanted = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), each["spec"]["replicas"])
                api._json(
                    "PATCH",
                    DEPLOYMENTS.path(namespace, each["metadata"]["name"], "status"),
                    {"status": wanted},
                    content_type="application/merge-patch+json",
                )
        return len(listed) >= count

    until(ready, within=90)


def test_another_objects_event_is_answered_at_once_while_prometheus_hangs(
    api: KubernetesApi, api_server: Path, namespace: str, tmp_path: Path
) -> None:
    with hanging() as prometheus, operator(api_server, namespace, prometheus, tmp_path):
        names = [IDLE, *(f"rollout-{number}" for number in range(ROLLOUTS))]
        for name in names:
            api.create(MODEL_DEPLOYMENTS, model_deployment(namespace, name, 1))
        all_pods_ready(api, namespace, len(names))
        until(lambda: all(phase_of(api, namespace, name) == "Live" for name in names), within=60)
        for name in names[1:]:
            api.merge(MODEL_DEPLOYMENTS, namespace, name, {"spec": {"model": {"uri": "http://models/2.onnx"}}})
        all_pods_ready(api, namespace, len(names) + ROLLOUTS)
        time.sleep(15)  # all of them wait for Prometheus by now, and some for the second time

        took = [seconds_to_scale(api, namespace, replicas) for replicas in (2, 3, 4)]

    assert max(took) < 5, took  # less than it takes to give one query up


@contextmanager
def operator(api_server: Path, namespace: str, prometheus: int, folder: Path) -> Iterator[None]:
    """The operator as it runs in a pod."""
    health = free_port()
    environment = {
        "KUBECONFIG": str(api_server),
        "TIDEGATE_PROMETHEUS_URL": f"http://127.0.0.1:{prometheus}",
        "TIDEGATE_SERVER_IMAGE": "server:1",
        "TIDEGATE_NAMESPACE": namespace,
        "TIDEGATE_NAMESPACES": namespace,
        "TIDEGATE_METRICS_PORT": "0",
        "TIDEGATE_HEALTH_PORT": str(health),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with running(folder, [sys.executable, "-m", "tidegate", "operator"]) as process:
            answers(f"http://127.0.0.1:{health}/healthz", process)
            yield


def phase_of(api: KubernetesApi, namespace: str, name: str) -> str:
    found = api.get(MODEL_DEPLOYMENTS, namespace, name) or {}
    phase: str = found.get("status", {}).get("phase", "")
    return phase


def seconds_to_scale(api: KubernetesApi, namespace: str, replicas: int) -> float:
    """From the edit of the idle one's replicas to its Deployment's."""
    began = time.monotonic()
    api.merge(MODEL_DEPLOYMENTS, namespace, IDLE, {"spec": {"replicas": replicas}})
    until(lambda: replicas in _replicas(api, namespace), within=60)
    return time.monotonic() - began


def _replicas(api: KubernetesApi, namespace: str) -> list[int]:
    listed = api.list(DEPLOYMENTS, namespace, None)["items"]
    return [each["spec"]["replicas"] for each in listed if each["metadata"]["name"].startswith(f"{IDLE}-")]
