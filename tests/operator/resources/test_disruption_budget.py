"""What is read from PodDisruptionBudgets, ours and others', and from who scaled a Deployment."""

from typing import Any

import pytest

from tidegate.resources.disruption_budget import parse_budget
from tidegate.resources.names import MODEL_DEPLOYMENT, labels
from tidegate.resources.revision import parse_workload

POD = labels("digits", "digits-6f9c1d2e")


def a_budget(spec: dict[str, Any], status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": "theirs"}, "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        pytest.param(None, False, id="no selector: no pod"),
        pytest.param({}, True, id="an empty one: all pods"),
        pytest.param({"matchLabels": {MODEL_DEPLOYMENT: "digits"}}, True, id="the model's pods"),
        pytest.param({"matchLabels": {MODEL_DEPLOYMENT: "other"}}, False, id="another model's"),
        pytest.param({"matchExpressions": [{"key": MODEL_DEPLOYMENT, "operator": "Exists"}]}, True, id="any model's"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, True, id="without a label"),
        pytest.param(
            {"matchExpressions": [{"key": MODEL_DEPLOYMENT, "operator": "In", "values": ["a", "digits"]}]},
            True,
            id="one of several models",
        ),
        pytest.param(
            {"matchExpressions": [{"key": MODEL_DEPLOYMENT, "operator": "NotIn", "values": ["digits"]}]},
            False,
            id="all models but this",
        ),
    ],
)
def test_a_disruption_budget_selects_a_pod_as_kubernetes_has_it(selector: Any, selects: bool) -> None:
    spec = {} if selector is None else {"selector": selector}

    assert parse_budget(a_budget(spec)).selects(POD) == selects


@pytest.mark.parametrize(
    ("spec", "status", "forbids"),
    [
        pytest.param({"maxUnavailable": 0}, {}, "maxUnavailable: 0", id="none may go"),
        pytest.param({"maxUnavailable": "0%"}, {}, "maxUnavailable: 0%", id="no percent may go"),
        pytest.param({"minAvailable": "100%"}, {}, "minAvailable: 100%", id="all have to stay"),
        pytest.param(
            {"minAvailable": 3},
            {"desiredHealthy": 3, "expectedPods": 3},
            "minAvailable: 3 of 3 pods",
            id="so many stay",
        ),
        pytest.param({"minAvailable": 3}, {"desiredHealthy": 3, "expectedPods": 4}, "", id="one of four may go"),
        pytest.param({"minAvailable": 3}, {"desiredHealthy": 3, "expectedPods": 0}, "", id="there are no pods"),
        pytest.param({"minAvailable": 3}, {}, "", id="Kubernetes hasn't counted yet"),
        pytest.param({"maxUnavailable": 1}, {"desiredHealthy": 0, "expectedPods": 1}, "", id="the only one may go"),
    ],
)
def test_what_forbids_every_eviction(spec: dict[str, Any], status: dict[str, Any], forbids: str) -> None:
    assert parse_budget(a_budget(spec, status)).forbids == forbids


def written_by(manager: str, *, subresource: str = "", field: str = "f:replicas") -> dict[str, Any]:
    written = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {field: {}}}}
    return {**written, "subresource": subresource} if subresource else written


@pytest.mark.parametrize(
    ("entries", "by"),
    [
        pytest.param([], None, id="nobody knows"),
        pytest.param([written_by("tidegate")], None, id="us"),
        pytest.param(
            [written_by("kube-controller-manager", subresource="status")], None, id="the status: the Deployment's own"
        ),
        pytest.param(
            [written_by("tidegate", field="f:template"), written_by("kube-controller-manager", subresource="scale")],
            "kube-controller-manager",
            id="an autoscaler",
        ),
        pytest.param([written_by("kubectl", subresource="scale")], "kubectl", id="kubectl scale"),
    ],
)
def test_who_scaled_a_deployment_is_read_from_its_managed_fields(entries: list[dict[str, Any]], by: str | None) -> None:
    manifest = {"metadata": {"name": "digits-1", "managedFields": entries}, "spec": {"replicas": 2}}

    assert parse_workload(manifest).scaled_by == by
