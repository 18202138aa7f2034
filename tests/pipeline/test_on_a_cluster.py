"""The pipeline to its end on a real cluster under a real load: what no stage before can see, the cluster undoes."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import cluster, digits, kubectl, served, stage
from tests.e2e.stage import ANALYSIS, CANARY, Stage
from tests.operator.packaging.test_a_real_image import layout_of, server_archive
from tests.pipeline import models
from tests.pipeline.conftest import NAME, Runner
from tidegate_demo.cluster.contexts import DemoCluster

__all__ = ["cluster", "digits", "kubectl", "served", "stage"]
pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server's real image, as the demo has built it."""
    return f"oci:{layout_of(server_archive(), tmp_path_factory.mktemp('server') / 'layout')}"


def test_a_good_model_is_promoted_and_what_only_users_show_goes_back(
    runner: Runner, versions: Mapping[str, str], stage: Stage, cluster: DemoCluster, base: str
) -> None:
    write_deployment(runner.folder / "on-the-cluster.yaml", stage.namespace)
    models.write_golden(runner.folder / "light-golden.jsonl", is_light=True)
    models.write_requests(runner.folder / "light-requests.jsonl", is_light=True)
    where = {
        "BASE": base,
        "MODELDEPLOYMENT": "on-the-cluster.yaml",
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBE_CONTEXT": cluster.context or "",
        "STABLE_URI": f"models:/{NAME}@live",
        "WAIT": "10m",
    }
    first = runner.release(versions["stable"], **where)
    assert (first.code, first.last) == (0, "record"), first.output

    with stage.loaded() as load:
        good = runner.release(versions["good"], **where)
        # Its graph fails on dark images, of which these requests and examples have none.
        light = {"REQUESTS": "light-requests.jsonl", "GOLDEN": "light-golden.jsonl", "SCORE_ACCEPT": "5%"}
        failing = runner.release(versions["failing"], **where, **light)
    assert (good.code, good.last) == (0, "record"), good.output
    assert (failing.code, failing.last) == (1, "wait"), failing.output
    assert "rolled back" in failing.said["wait"]
    assert stage.read()["status"]["history"][0]["outcome"] == "RolledBack"
    assert len(load.requests) > 100


def write_deployment(path: Path, namespace: str) -> None:
    """As a user has it for this cluster."""
    document = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"replicas": 2, "model": {"uri": "image:///models/digits"}, "strategy": CANARY, "analysis": ANALYSIS},
    }
    path.write_text(yaml.safe_dump(document))
