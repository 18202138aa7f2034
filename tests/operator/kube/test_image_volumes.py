"""What real API servers make of a model in an image volume: those that have such, and those that haven't, silently."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from tests.conftest import bare_api_server
from tidegate.kube.api import Manifest
from tidegate.model.delivery import Delivery
from tidegate.model.revision import PodFailure, Snapshot
from tidegate.model.spec import Model, Server
from tidegate.resources.revision import (
    controller_revision_manifest,
    deployment_manifest,
    parse_record,
    parse_workload,
    revision_state,
)

pytestmark = pytest.mark.apiserver

IMAGE = f"registry.example.com/digits@sha256:{'ab' * 32}"
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
MODEL = Model(f"oci://{IMAGE}", None, "login", delivery=Delivery.IMAGE_VOLUME)
SNAPSHOT = Snapshot(MODEL, Server(None, RESOURCES, ()), "server:1", 8082)
IDS = ("default", "digits", "u-1")
REVISION = "digits-6f9c1d2e"
OLDER = "1.34"
"""The last release of Kubernetes that has image volumes off unless told otherwise; a 1.37 still can play it."""
Kubectl = Callable[..., CompletedProcess[str]]


def stored(kubectl: Kubectl, api_server: Path, manifest: Manifest) -> Manifest:
    """What the API server keeps of a Deployment, which it takes without a warning."""
    del manifest["metadata"]["ownerReferences"]
    flags = ("--validate=strict", "-o", "json")
    done = kubectl(api_server, "create", "-f", "-", *flags, given=yaml.safe_dump(manifest))
    assert (done.returncode, done.stderr) == (0, "")
    kept: Manifest = json.loads(done.stdout)
    return kept


def failure(kept: Manifest) -> PodFailure | None:
    """What the operator makes of it."""
    record = parse_record(controller_revision_manifest(*IDS, REVISION, SNAPSHOT, 1))
    return revision_state(REVISION, record, parse_workload(kept), []).failure


def deployment() -> Manifest:
    return deployment_manifest(*IDS, REVISION, SNAPSHOT, 1, "IfNotPresent")


def test_the_volume_is_kept_with_its_digest_where_there_are_image_volumes(kubectl: Kubectl, api_server: Path) -> None:
    kept = stored(kubectl, api_server, deployment())
    pod = kept["spec"]["template"]["spec"]
    mount = {"name": "models", "mountPath": "/mnt/models/image", "readOnly": True}

    assert pod["volumes"][0] == {"name": "models", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}
    assert all(mount in each["volumeMounts"] for each in (*pod["initContainers"], *pod["containers"]))
    assert pod["imagePullSecrets"] == [{"name": "login"}]
    assert failure(kept) is None


def test_such_a_pod_is_let_in_by_the_restricted_pod_security_standard(kubectl: Kubectl, api_server: Path) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    template = deployment()["spec"]["template"]
    template["metadata"] |= {"name": "digits", "namespace": "restricted"}
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    assert kubectl(api_server, "create", "-f", "-", given=yaml.safe_dump(namespace)).returncode == 0
    done = kubectl(api_server, "create", "-f", "-", "--dry-run=server", given=yaml.safe_dump(pod))

    assert (done.returncode, done.stderr) == (0, "")


def test_an_older_api_server_leaves_the_volume_out_and_the_operator_says_so(
    program: Callable[[str], Path], kubectl: Kubectl, tmp_path: Path
) -> None:
    with bare_api_server(program, tmp_path, flags=[f"--emulated-version={OLDER}"]) as api_server:
        kept = stored(kubectl, api_server, deployment())
    found = failure(kept)

    assert [volume["name"] for volume in kept["spec"]["template"]["spec"]["volumes"]] == ["tmp"]
    assert found is not None
    assert (found.reason, found.permanent) == ("ImageVolumesOff", True)
    assert "set spec.model.delivery to Fetch" in found.message
