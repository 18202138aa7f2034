"""What the operator's tests share: a spec with the CRD's own defaults, releases, and an API server on loopback."""

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.fake_api import FakeApi, serving
from tests.operator.view_examples import Released
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


@pytest.fixture(scope="module")
def under_way(spec_schema: Mapping[str, Any]) -> Released:
    """At step 2 of a canary."""
    return Released(spec_schema).release("2", 20)


@pytest.fixture(scope="module")
def live(spec_schema: Mapping[str, Any]) -> Released:
    """After a promotion."""
    return Released(spec_schema).release("2", 400)


@pytest.fixture(scope="module")
def rolled_back(spec_schema: Mapping[str, Any]) -> Released:
    """After a candidate that failed."""
    return Released(spec_schema).release("failing", 200)


@pytest.fixture
def fake() -> FakeApi:
    """An API server's objects; none yet."""
    return FakeApi()


@pytest.fixture
def place(fake: FakeApi, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a server that answers with them."""
    with serving(fake, tmp_path) as kubeconfig:
        yield kubeconfig
