"""What the tests of the clients share: a connection to the API server, and a namespace for each test."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import kubernetes
import pytest

from tests.operator.kube.upstream import Upstream, apply_upstream
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.cluster import KubernetesCluster
from tidegate.resources.ownership import Owner

NAMESPACES = Resource("v1", "Namespace", "namespaces")
_numbers = itertools.count()


@pytest.fixture(scope="session")
def connect(api_server: Path) -> Callable[[], KubernetesApi]:
    """A connection of one's own to the API server."""
    kubernetes.config.load_kube_config(config_file=str(api_server))  # type: ignore[no-untyped-call]
    return KubernetesApi


@pytest.fixture(scope="session")
def api(connect: Callable[[], KubernetesApi]) -> KubernetesApi:
    return connect()


@pytest.fixture
def namespace(api: KubernetesApi) -> str:
    """A namespace that no other test uses."""
    name = f"shop-{next(_numbers)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api._json("POST", NAMESPACES.path(), manifest)
    return name


def made(api: KubernetesApi, resource: Resource, namespace: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    """A new object as the API server has it."""
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    new = api.create(resource, {**kind, "metadata": {"name": name, "namespace": namespace}, "spec": dict(spec)})
    assert new is not None
    return new


@pytest.fixture
def digits(cluster: KubernetesCluster, api: KubernetesApi, namespace: str) -> Manifest:
    """A ModelDeployment with its defaults, which the test's `cluster` has seen."""
    new = made(api, MODEL_DEPLOYMENTS, namespace, "digits", {"model": {"uri": "http://models/1"}})
    cluster.seen(new, deleted=False)
    return new


@pytest.fixture
def owner(digits: Manifest, namespace: str) -> Owner:
    return Owner(namespace, "digits", digits["metadata"]["uid"])


@pytest.fixture(scope="session")
def serve_crds(
    api_server: Path, kubectl: Callable[..., CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Puts CRDs of other projects on the API server: `serve_crds(upstream, only=names)`, as `apply_upstream` does."""

    def serve(upstream: Upstream, only: Sequence[str] = ()) -> None:
        apply_upstream(kubectl, api_server, upstream, tmp_path_factory.mktemp("modules"), only)

    return serve
