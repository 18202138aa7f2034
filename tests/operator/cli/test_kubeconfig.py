"""Which cluster and which namespace is meant, as kubectl has it."""

from pathlib import Path

import pytest
import yaml

from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.errors import ClusterUnavailable


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    contexts = {"one": {"namespace": "shop"}, "other": {"namespace": "letters"}, "bare": {}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [
            {"name": name, "context": {"cluster": "here", "user": "tester", **more}} for name, more in contexts.items()
        ],
        "current-context": "one",
    }
    place = tmp_path / "kubeconfig"
    place.write_text(yaml.safe_dump(document))
    return str(place)


@pytest.mark.parametrize(("context", "namespace"), [(None, "shop"), ("other", "letters"), ("bare", "default")])
def test_the_namespace_is_the_contexts(kubeconfig: str, context: str | None, namespace: str) -> None:
    assert default_namespace(kubeconfig, context) == namespace


def test_without_a_kubeconfig_it_is_default(tmp_path: Path) -> None:
    assert default_namespace(str(tmp_path / "nothing"), None) == "default"


@pytest.mark.parametrize(("file", "context"), [("nothing", None), ("kubeconfig", "nowhere")])
def test_a_cluster_that_nobody_knows_is_told(kubeconfig: str, file: str, context: str | None) -> None:
    with pytest.raises(ClusterUnavailable, match=r"no cluster: .*; name one with --kubeconfig or --context"):
        connect(str(Path(kubeconfig).with_name(file)), context)
