"""The kustomize base is what the chart renders, and can be put into another namespace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chart.conftest import CHART, Completed, Helm, Manifest, documents

pytestmark = pytest.mark.helm
BASE = CHART.parents[1] / "kustomize"
HELMS_OWN = ("app.kubernetes.io/managed-by", "helm.sh/chart")
"""Labels that say that Helm looks after an object."""


class Plain(yaml.SafeDumper):
    """Without anchors: a value that occurs twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def without_helms_labels(manifest: Manifest) -> Manifest:
    for metadata in (manifest["metadata"], manifest.get("spec", {}).get("template", {}).get("metadata", {})):
        for label in HELMS_OWN:
            metadata.get("labels", {}).pop(label, None)
    return manifest


def by_name(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests}


@pytest.fixture
def built(kubectl: Callable[..., Completed], tmp_path: Path) -> Callable[[Path], list[Manifest]]:
    """What kubectl makes of a folder with a kustomization."""

    def build(folder: Path) -> list[Manifest]:
        done = kubectl(tmp_path / "no-cluster", "kustomize", str(folder))
        assert done.returncode == 0, done.stderr
        return documents(done.stdout)

    return build


def test_the_base_is_what_the_chart_renders(helm: Helm) -> None:
    done = helm("--no-hooks", "--namespace", "tidegate", "--set", "crds.install=false")
    rendered = [without_helms_labels(each) for each in documents(done.stdout)]
    if os.environ.get("TIDEGATE_WRITE_GOLDEN"):
        (BASE / "tidegate.yaml").write_text(yaml.dump_all(rendered, Dumper=Plain, sort_keys=False))

    assert documents((BASE / "tidegate.yaml").read_text()) == rendered


def test_kubectl_builds_the_base_as_it_is(built: Callable[[Path], list[Manifest]]) -> None:
    assert by_name(built(BASE)) == by_name(documents((BASE / "tidegate.yaml").read_text()))


def test_the_base_moves_to_another_namespace_and_takes_another_image(
    built: Callable[[Path], list[Manifest]], tmp_path: Path
) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    kustomization = {
        "namespace": "models",
        "resources": [os.path.relpath(BASE, overlay)],
        "images": [{"name": "tidegate/operator", "newName": "registry.example.com/tidegate", "newTag": "1.2.3"}],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    manifests = built(overlay)
    deployments = [each for each in manifests if each["kind"] == "Deployment"]

    assert {each["metadata"].get("namespace") for each in manifests} == {"models", None}
    assert {subject["namespace"] for each in manifests for subject in each.get("subjects", ())} == {"models"}
    assert "tidegate.svc" not in str(manifests)
    images = {
        container["image"] for each in deployments for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"registry.example.com/tidegate:1.2.3"}
