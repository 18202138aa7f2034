"""A model in an image that the node mounts: released where the node can do that, and without any traffic elsewhere."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.server.fetch.conftest import store_program
from tests.server.fetch.oci_registry import Registry, a_registry, tar_layer
from tidegate_demo.cluster.contexts import DemoCluster, OneNode

__all__ = ["store_program"]
pytestmark = pytest.mark.e2e
MOUNTS_FROM = (2, 1)
"""The first release of containerd that has image volumes."""


@pytest.fixture
def registry(cluster: DemoCluster, store_program: Callable[[str], Path], tmp_path: Path) -> Iterator[Registry]:
    """On loopback, where the node's containerd pulls without TLS."""
    if not isinstance(cluster, OneNode):
        pytest.skip("the nodes of another cluster don't reach this machine's loopback")
    with a_registry(store_program("registry"), tmp_path) as found:
        yield found


def mounts_images(stage: Stage) -> bool:
    """Whether the node's containerd is new enough."""
    version = stage.run("get", "nodes", "--output", "jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}")
    found = re.match(r"containerd://v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= MOUNTS_FROM


def test_an_image_volume_meets_users_only_where_it_is_mounted(stage: Stage, registry: Registry) -> None:
    stage.go_live("v1")
    inside = "models/digits-v5.onnx"
    layer = tar_layer({inside: stage.models.versions["v5"].path.read_bytes()})
    uri = f"{registry.uri('models/digits')}@{registry.push_image('models/digits', '5', layer)}/{inside}"
    can = mounts_images(stage)
    with stage.loaded() as load:
        stage.apply_model({"uri": uri, "delivery": "ImageVolume"}, progressDeadline="60s")
        status = stage.until_ended("Promoted" if can else "RolledBack")
        stage.settled()

    stage.nothing_lost(load)
    assert stage.versions[status["stable"]["revision"]] == ("v5" if can else "v1")
    (ended,) = status["history"]
    assert ("shifts" in ended) == can, json.dumps(ended)
