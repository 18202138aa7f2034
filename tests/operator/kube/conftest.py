"""What the tests of the clients share: a connection to the API server, and a namespace for each test."""

import itertools
from collections.abc import Callable
from pathlib import Path

import kubernetes
import pytest

from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.cluster import KubernetesCluster

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


def made_digits(api: KubernetesApi, cluster: KubernetesCluster, namespace: str) -> Manifest:
    """A ModelDeployment with its defaults, which the cluster has seen."""
    made = api.create(
        MODEL_DEPLOYMENTS,
        {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": "digits", "namespace": namespace},
            "spec": {"model": {"uri": "http://models/1"}},
        },
    )
    assert made is not None
    cluster.seen(made, deleted=False)
    return made
