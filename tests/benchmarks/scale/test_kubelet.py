"""What is made of a Deployment where there are no controllers and no nodes."""

from typing import Any

import pytest

from benchmarks.scale.kubelet import Wish

DEPLOYMENT: dict[str, Any] = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"replicas": 3}}


def test_a_deployment_is_answered_with_all_its_pods_ready() -> None:
    status = {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 3}
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", **DEPLOYMENT, "status": status}
    assert Wish.of("ADDED", DEPLOYMENT).answered() == whole


@pytest.mark.parametrize(
    ("kind", "ready", "told"),
    [("MODIFIED", {}, False), ("MODIFIED", {"readyReplicas": 3}, True), ("DELETED", {}, True)],
)
def test_it_is_answered_once(kind: str, ready: dict[str, int], told: bool) -> None:
    assert Wish.of(kind, {**DEPLOYMENT, "status": ready}).told is told


def test_one_that_is_gone_wants_no_pods() -> None:
    assert Wish.of("DELETED", DEPLOYMENT).pods == 0
