"""`helm test` on a real API server with RBAC: what its pod would see with its own token, and what is left of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.chart.conftest import CHART, Server
from tests.conftest import until
from tidegate.__main__ import main

pytestmark = [pytest.mark.helm, pytest.mark.apiserver]
HERE = ("-n", "tested")
SUCCEEDED = '{"status": {"phase": "Succeeded"}}'


@pytest.fixture
def as_the_pod(server: Server, tmp_path: Path) -> Callable[[], Path]:
    """A kubeconfig with the token of the pod's ServiceAccount."""

    def made() -> Path:
        token = server.kubectl("create", "token", "tidegate-test", *HERE)
        assert token.returncode == 0, token.stderr
        document = yaml.safe_load(server.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token.stdout.strip()}
        place = tmp_path / "kubeconfig"
        place.write_text(yaml.safe_dump(document))
        return place

    return made


@pytest.mark.parametrize("name", ["helm", "helm4"])
def test_the_pod_of_helm_test_sees_what_it_looks_at_and_goes_with_its_rights(
    name: str, server: Server, as_the_pod: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    helm = server.helms[name]
    installed = helm("install", "tidegate", str(CHART), *HERE, "--create-namespace")
    assert installed.returncode == 0, installed.stderr
    with ThreadPoolExecutor() as pool:
        tested = pool.submit(helm, "test", "tidegate", *HERE, "--timeout=120s")
        until(lambda: server.kubectl("get", "pod", "tidegate-test", *HERE).returncode == 0, within=60)
        code = main(["check", *HERE, "--kubeconfig", str(as_the_pod())])
        server.kubectl("patch", "pod", "tidegate-test", *HERE, "--subresource=status", "--type=merge", "-p", SUCCEEDED)
        done = tested.result()
    seen = capsys.readouterr().out
    left = server.kubectl("get", "pods,serviceaccounts,roles,rolebindings", *HERE, "-o", "name").stdout
    helm("uninstall", "tidegate", *HERE)
    server.forget_crds()

    assert (code, done.returncode) == (1, 0), seen + done.stderr
    assert "wrong     operator: tested/tidegate-operator has no pod ready" in seen
    assert "wrong     leader: nobody holds the Lease tested/tidegate-operator" in seen
    assert "wrong     router: no router of tested renews its Lease" in seen
    assert "ok        models: 0 ModelDeployments, none of them stalled" in seen
    assert [line.split(":")[0].split()[-1] for line in seen.splitlines() if "no right" in line] == ["CRD"]
    assert "tidegate-test" not in left
