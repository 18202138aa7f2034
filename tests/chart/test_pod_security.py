"""Every pod of the chart and of models is let in where Pod Security's strictest profile is enforced for real."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chart.conftest import CHART, KUBERNETES, Manifest, Server, documents
from tests.chart.test_names import ALL
from tests.operator.resources.test_manifests import (
    CONFIGURED,
    EVERYTHING,
    FITTED,
    FREE,
    GATE,
    IDS,
    IN_THE_IMAGE,
    ON_A_CLAIM,
    REVISION,
)
from tidegate.resources.gate_job import job_manifest
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import deployment_manifest

pytestmark = [pytest.mark.helm, pytest.mark.apiserver]
NAMESPACE = "restricted"
SNAPSHOTS = {
    "plain": FREE,
    "everything": EVERYTHING,
    "claim": ON_A_CLAIM,
    "image": IN_THE_IMAGE,
    "fitted": FITTED,
    "configured": CONFIGURED,
}
OPENSHIFT = pytest.mark.parametrize("openshift", [False, True], ids=["kubernetes", "openshift"])


@pytest.fixture(scope="module")
def restricted(server: Server) -> Server:
    """With a namespace in which the profile `restricted` is enforced."""
    name = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    made = server.kubectl(
        "create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": name})
    )
    assert made.returncode == 0, made.stderr
    return server


def let_in(server: Server, specs: Mapping[str, Any]) -> tuple[int, str, set[str]]:
    """The exit code of a dry run that creates pods of these specs, what the server complains of, and whom it took."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {key: value for key, value in spec.items() if key != "priorityClassName"},  # the cluster has none
        }
        for name, spec in specs.items()
    ]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    done = server.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", given=given)
    return done.returncode, done.stderr, {line.removeprefix("pod/") for line in done.stdout.splitlines()}


@OPENSHIFT
def test_the_charts_pods_and_those_of_its_test_are_let_in(openshift: bool, restricted: Server) -> None:
    flags = ("--set", f"{ALL},namespaces={{shop}},openshift.enabled={str(openshift).lower()}")
    text = restricted.helms["helm"](
        "template", "tidegate", str(CHART), "-n", NAMESPACE, "--kube-version", KUBERNETES, *flags
    ).stdout
    specs = {each["metadata"]["name"]: spec for each in documents(text) if (spec := of_a_pod(each))}

    assert specs.keys() == {"tidegate-operator", "tidegate-router", "tidegate-dashboard", "tidegate-test"}
    code, told, taken = let_in(restricted, specs)
    assert (code, told) == (0, "")
    assert taken == set(specs)


def of_a_pod(manifest: Manifest) -> Manifest | None:
    """The spec of a pod, or of those that a Deployment makes."""
    spec: Manifest = manifest.get("spec", {})
    return spec if manifest["kind"] == "Pod" else spec.get("template", {}).get("spec")


@OPENSHIFT
def test_pods_of_models_and_of_gates_are_let_in(openshift: bool, restricted: Server) -> None:
    fixed = not openshift
    gate = job_manifest(
        Owner(*IDS), ("digits-5ab1e000", REVISION), GATE, "q", "2026-01-01T11:55:00Z", b"{}", fixed_ids=fixed
    )
    made = {
        name: deployment_manifest(*IDS, REVISION, snapshot, 1, "Always", fixed_ids=fixed)
        for name, snapshot in SNAPSHOTS.items()
    }
    specs = {name: of_a_pod(each) for name, each in {**made, "gate": gate}.items()}

    code, told, taken = let_in(restricted, specs)
    assert (code, told) == (0, "")
    assert taken == set(specs)
    assert all(("runAsUser" in spec["securityContext"]) is fixed for spec in specs.values() if spec)


def test_a_pod_that_may_more_is_not(restricted: Server) -> None:
    code, told, taken = let_in(restricted, {"loose": {"containers": [{"name": "a", "image": "a"}]}})

    assert (code, taken) == (1, set())
    assert 'violates PodSecurity "restricted:latest"' in told
