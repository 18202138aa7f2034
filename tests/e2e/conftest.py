"""The cluster, Prometheus and the chart, brought up once; a namespace and a load of its own for each test."""

import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.e2e.stage import Stage
from tidegate_demo import files, models, place
from tidegate_demo.cluster import node
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, choose, ensure_prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.models import Models


@pytest.fixture(scope="session")
def cluster() -> Iterator[DemoCluster]:
    """The cluster that was named, else the one-node cluster; it goes when the tests end, unless it was there before."""
    chosen = choose()
    was_up = not isinstance(chosen, OneNode) or node.is_up(chosen.layout)
    try:
        chosen.up()
        build = place.build_of(chosen.load_images())
        place.install_chart(chosen, ensure_prometheus(chosen, place.SCRAPE_SECONDS), build)
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no cluster: {error}")
    yield chosen
    if not was_up and not os.environ.get("TIDEGATE_KEEP_CLUSTER"):
        chosen.down()


@pytest.fixture(scope="session")
def kubectl(cluster: DemoCluster) -> Kubectl:
    return Kubectl(cluster.kubeconfig, cluster.context)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The demo's six models."""
    return models.prepare(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def served(cluster: DemoCluster, digits: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`address:port` at which pods fetch the models, and some files that can't be released."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "digits-nonsense.onnx").write_text("this is not a model")
    onnx.save(_other_inputs(), folder / "digits-other.onnx")
    _with_a_wrong_selftest(digits.versions["v2"].path, folder / "digits-forgetful.tar")
    offered = {model.path.name: model.path for model in digits.versions.values()}
    offered |= {path.name: path for path in folder.iterdir()}
    with files.serving(offered, place.host_address(cluster)) as address:
        yield address


def _other_inputs() -> onnx.ModelProto:
    """A legal model with the right names, whose images are half as large."""
    rows = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 32])
    labels = helper.make_tensor_value_info("label", TensorProto.INT64, ["N"])
    largest = helper.make_node("ArgMax", ["pixels"], ["label"], axis=1, keepdims=0)
    graph = helper.make_graph([largest], "other", [rows], [labels])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, cluster: DemoCluster, kubectl: Kubectl, digits: Models, served: str, tmp_path: Path
) -> Iterator[Stage]:
    """A namespace named after the test, gone after it."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:50].strip("-")
    namespace = f"e2e-{name}"
    with kubectl.namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"}):
        router = cluster.reach(place.RELEASE_NAMESPACE, place.ROUTER_SERVICE, place.ROUTER_PORT)
        yield Stage(kubectl, namespace, digits, served, router, tmp_path)


def _with_a_wrong_selftest(model: Path, archive: Path) -> None:
    """A good model beside a question that it answers otherwise."""
    case = {"inputs": {"pixels": [[0.0] * 64]}, "outputs": {"label": [10]}}
    with tarfile.open(archive, "w") as tar, tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "selftest.json").write_text(json.dumps({"cases": [case]}))
        tar.add(model, "model.onnx")
        tar.add(Path(scratch, "selftest.json"), "selftest.json")
