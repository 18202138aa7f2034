"""On a real API server: what is applied again is as it was, and nobody owns what isn't theirs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.gitops.manifests import MANIFESTS, in_namespace
from tests.operator.kube.following import following
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi, Manifest
from tidegate.kube.cluster import KubernetesCluster
from tidegate.resources.names import FIELD_MANAGER

pytestmark = pytest.mark.apiserver
Apply = Callable[..., dict[str, Any]]
CLIENT_SIDE: tuple[str, ...] = ()
SERVER_SIDE = ("--server-side", "--field-manager=kustomize-controller")
WAYS = pytest.mark.parametrize("flags", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
APPROVE = "tidegate.dev/approve"
OF_A_WRITE = {"resourceVersion", "managedFields"}


@pytest.fixture
def operator(connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[KubernetesCluster]:
    """The operator's hand on the cluster."""
    with following(connect, namespace) as cluster:
        yield cluster


@pytest.fixture
def apply(kubectl: Callable[..., CompletedProcess[str]], api_server: Path) -> Apply:
    """kubectl apply; what the API server made of it."""

    def run(manifest: dict[str, Any], *flags: str) -> dict[str, Any]:
        shown = ("-o", "json", "--show-managed-fields")
        done = kubectl(api_server, "apply", "-f", "-", *shown, *flags, given=json.dumps(manifest))
        assert done.returncode == 0, done.stderr
        made: dict[str, Any] = json.loads(done.stdout)
        return made

    return run


@WAYS
@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_what_is_applied_again_is_as_it_was(
    manifest: dict[str, Any],
    flags: tuple[str, ...],
    apply: Apply,
    kubectl: Callable[..., CompletedProcess[str]],
    api_server: Path,
    namespace: str,
) -> None:
    wanted = in_namespace(manifest, namespace)
    first = apply(wanted, *flags)
    differs = kubectl(api_server, "diff", "-f", "-", *flags, given=json.dumps(wanted))

    assert (differs.returncode, differs.stdout) == (0, "")
    assert lasting(apply(wanted, *flags)) == lasting(first)
    assert in_both(manifest["spec"], first["spec"]) == manifest["spec"]


def lasting(manifest: dict[str, Any]) -> dict[str, Any]:
    """All that says something of the model: the first apply after the creation stores the status' default, once."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in OF_A_WRITE}
    return {**manifest, "metadata": metadata}


def in_both(given: Any, found: Any) -> Any:
    """What was found, without fields that weren't given; the items of lists as a whole, as Argo CD compares them."""
    if not isinstance(given, dict):
        return found
    return {name: in_both(value, found[name]) for name, value in given.items() if name in found}


def test_the_operator_owns_the_status_and_nothing_else_of_a_model_deployment(
    apply: Apply, operator: KubernetesCluster, api: KubernetesApi, namespace: str
) -> None:
    wanted = in_namespace(MANIFESTS["every-list-canary"], namespace)
    before = apply(wanted, *SERVER_SIDE)
    annotated = api.merge(MODEL_DEPLOYMENTS, namespace, "canary", note("canary-81aa22bb/1"), manager="tidegate-cli")
    operator.seen(annotated, deleted=False)
    version = annotated["metadata"]["resourceVersion"]
    operator.record_status(namespace, "canary", {"observedGeneration": 1, "phase": "Live"}, version)
    operator.remove_annotation(namespace, "canary", APPROVE, "canary-81aa22bb/1")
    after = api.get(MODEL_DEPLOYMENTS, namespace, "canary")

    assert after is not None
    assert owned(after, FIELD_MANAGER) == [("status", {"f:status"})]
    assert owned(after, "kustomize-controller") == owned(before, "kustomize-controller")
    again = apply(wanted, *SERVER_SIDE)  # without --force-conflicts: nobody else has a field of it
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


@WAYS
def test_an_apply_leaves_a_control_that_has_not_been_read_yet(
    flags: tuple[str, ...], apply: Apply, api: KubernetesApi, namespace: str
) -> None:
    wanted = in_namespace(MANIFESTS["every-list-least"], namespace)
    apply(wanted, *flags)
    control = note("least-81aa22bb/1")
    paused = {**control, "spec": {"paused": True}}
    annotated = api.merge(MODEL_DEPLOYMENTS, namespace, "least", paused, manager="tidegate-cli")

    again = apply(wanted, *flags)

    assert again["metadata"]["annotations"][APPROVE] == "least-81aa22bb/1"
    assert again["spec"] == annotated["spec"]
    assert again["metadata"]["generation"] == annotated["metadata"]["generation"]


def note(value: str) -> Manifest:
    """An approval."""
    return {"metadata": {"annotations": {APPROVE: value}}}


def owned(manifest: Manifest, manager: str) -> list[tuple[str, set[str]]]:
    """What a manager has: by subresource, the topmost fields."""
    entries = [each for each in manifest["metadata"]["managedFields"] if each["manager"] == manager]
    return [(each.get("subresource", ""), set(each["fieldsV1"])) for each in entries]
