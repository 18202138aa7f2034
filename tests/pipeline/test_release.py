"""The pipeline of examples/pipeline, stage by stage: good models come to the end, each bad one to its own stage."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import until
from tests.operator.view_examples import Released
from tests.pipeline.conftest import NAME, Runner
from tests.server.fetch.oci_registry import Registry
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.kubeconfig import KubeconfigAccess, find_context

pytestmark = pytest.mark.pipeline
NAMESPACE = "shop"
NAMESPACES = Resource("v1", "Namespace", "namespaces")
BEFORE_PUBLISHING = ["fetch", "signature", "package", "lint", "verify", "score", "rehearse"]
ALL = [*BEFORE_PUBLISHING, "publish", "sign", "apply", "wait", "record"]
Play = Callable[[Released], None]


@pytest.fixture(scope="module")
def api(api_server: Path) -> KubernetesApi:
    found = KubernetesApi(access=KubeconfigAccess(find_context(str(api_server), None)))
    metadata = {"name": NAMESPACE, "namespace": None}
    found.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return found


@pytest.fixture
def play(api: KubernetesApi) -> Iterator[Play]:
    """The operator's part, which no pods run for here: the outcome of the next spec is what this world's was."""
    threads: list[threading.Thread] = []

    def start(released: Released) -> None:
        before = _generation(api.get(MODEL_DEPLOYMENTS, NAMESPACE, NAME))

        def act() -> None:
            def applied() -> Manifest | None:
                found = api.get(MODEL_DEPLOYMENTS, NAMESPACE, NAME)
                return found if _generation(found) > before else None

            found = until(applied, within=900)
            assert found is not None
            status = {**released.world.status, "observedGeneration": _generation(found)}
            api.replace(MODEL_DEPLOYMENTS, {**found, "status": status}, status=True)

        threads.append(threading.Thread(target=act))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def _generation(found: Manifest | None) -> int:
    return int(found["metadata"]["generation"]) if found else 0


@pytest.mark.apiserver
@pytest.mark.sources
def test_a_good_model_goes_from_the_registry_to_the_cluster(
    runner: Runner,
    versions: Mapping[str, str],
    registry: Registry,
    api: KubernetesApi,
    api_server: Path,
    play: Play,
    spec_schema: Mapping[str, Any],
) -> None:
    play(Released(spec_schema).release("2", 400))
    ended = runner.release(versions["good"], KUBECONFIG=str(api_server), WAIT="10m")

    assert (ended.code, list(ended.said)) == (0, ALL), ended.output
    assert ended.said["record"] == f"models:/{NAME}@champion is version {versions['good']} now"
    spec = (api.get(MODEL_DEPLOYMENTS, NAMESPACE, NAME) or {})["spec"]
    image = spec["server"]["image"]
    assert image.startswith(f"{registry.host}/shop/digits@sha256:")
    address = f"http://{registry.host}/v2/shop/digits/manifests/{image.partition('@')[2]}"
    manifest = requests.get(address, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}, timeout=10)
    assert manifest.status_code == 200
    assert spec["model"]["uri"] == "image:///models/digits"
    assert "✅ **wait**" in ended.summary


@pytest.mark.parametrize(
    ("what", "stage", "said", "more"),
    [
        ("labels in another order", "signature", "its labels are in another order", {}),
        ("another signature", "signature", "it takes the inputs image", {}),
        ("failing", "verify", "", {}),
        ("classes in another order", "score", "it is less accurate", {}),
        ("less accurate", "score", "it is less accurate", {}),
        ("slow", "rehearse", "candidate was rolled back: p", {}),
        ("drifting", "rehearse", "", {"REQUESTS": "faint.jsonl"}),
    ],
)
def test_a_bad_model_is_stopped_before_anything_is_published(
    runner: Runner,
    versions: Mapping[str, str],
    registry: Registry,
    what: str,
    stage: str,
    said: str,
    more: Mapping[str, str],
) -> None:
    ended = runner.release(versions[what], "--until", "publish", STABLE_URI=f"models:/{NAME}/1", **more)

    assert (ended.code, ended.last) == (1, stage), ended.output
    assert said in ended.said[stage].lower()
    assert f"❌ **{stage}**" in ended.summary
    tags = requests.get(f"http://{registry.host}/v2/shop/digits/tags/list", timeout=10).json().get("tags") or []
    assert versions[what] not in tags
