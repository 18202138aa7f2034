"""What the operator's tests share: a spec with the CRD's own defaults, and a world with a clock."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.crd_schema import with_defaults

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def spec_schema() -> dict[str, Any]:
    """The schema of a ModelDeployment's spec."""
    crd = yaml.safe_load((CRDS / "modeldeployments.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


@pytest.fixture(scope="session")
def a_spec(spec_schema: dict[str, Any]) -> Callable[..., ModelDeploymentSpec]:
    """A parsed spec: what isn't named has the CRD's default."""

    def build(**fields: Any) -> ModelDeploymentSpec:
        given = {"model": {"uri": "http://models/1.onnx"}, **fields}
        return ModelDeploymentSpec.parse(with_defaults(spec_schema, given))

    return build


@pytest.fixture(scope="session")
def crd_status() -> dict[str, Any]:
    """The schema of a ModelDeployment's status."""
    crd = yaml.safe_load((CRDS / "modeldeployments.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port at which every connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
        yield held.getsockname()[1]
