"""What the tests of the clients share: a connection to the API server, and a namespace for each test."""

import itertools
from collections.abc import Callable
from pathlib import Path

import kubernetes
import pytest

from tidegate.kube.api import KubernetesApi, Resource

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
