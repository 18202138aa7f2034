"""A model of a registry's that the wanted key hasn't signed is stopped before any request."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.e2e.stage import Stage
from tests.server.fetch.conftest import store_program
from tests.server.fetch.cosign_signatures import PrivateKey, a_bundle, attach_bundles, public
from tests.server.fetch.oci_registry import Registry, a_registry
from tidegate_demo import place
from tidegate_demo.cluster.contexts import DemoCluster

__all__ = ["store_program"]
pytestmark = pytest.mark.e2e


@pytest.fixture
def registry(store_program: Callable[[str], Path], cluster: DemoCluster, tmp_path: Path) -> Iterator[Registry]:
    """Where pods reach it."""
    (tmp_path / "registry").mkdir()
    with a_registry(store_program("registry"), tmp_path / "registry", address=place.host_address(cluster)) as found:
        yield found


def signed_model(stage: Stage, registry: Registry, version: str, tag: str, *signers: PrivateKey) -> dict[str, Any]:
    """`spec.model` of a version that is in the registry under a tag."""
    files = {"model.onnx": stage.models.versions[version].path.read_bytes()}
    digest = registry.push_files("shop/digits", tag, files)
    if signers:
        attach_bundles(registry, digest, *(a_bundle(signer, digest) for signer in signers))
    return {
        "uri": registry.uri(f"shop/digits:{tag}"),
        "signedBy": {"configMap": "signers"},
        "fetchEnv": [{"name": "TIDEGATE_REGISTRY_INSECURE", "value": registry.host}],
    }


def test_unsigned_model_never_gets_traffic(stage: Stage, registry: Registry) -> None:
    ours, theirs = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    metadata = {"name": "signers", "namespace": stage.namespace}
    signers = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"cosign.pub": public(ours)}}
    stage.kubectl.apply(json.dumps(signers))
    stage.go_live("v1", replicas=1)
    stable = stage.read()["status"]["stable"]["revision"]
    with stage.loaded(rate=50) as load:
        stage.apply_model(signed_model(stage, registry, "v2", "unsigned"), replicas=1)
        unsigned = stage.until_ended("RolledBack")["history"][0]
        stage.apply_model(signed_model(stage, registry, "v3", "theirs", theirs), replicas=1)
        by_others = stage.until_ended("RolledBack", rollouts=2)["history"][0]
        stage.settled()

    stage.nothing_lost(load)
    assert {request.revision for request in load.requests} == {stable}
    assert (unsigned["reason"], by_others["reason"]) == ("Unverified", "Unverified")
    assert "isn't signed, its registry has no signature by cosign" in unsigned["message"]
    assert "is signed by somebody else" in by_others["message"]

    with stage.loaded(rate=50) as load:
        stage.apply_model(signed_model(stage, registry, "v2", "ours", theirs, ours), replicas=1)
        signed = stage.until_ended("Promoted", rollouts=3, seconds=300)["history"][0]
    stage.versions[signed["revision"]] = "v2"
    stage.nothing_lost(load)
