"""The chart, rendered by Helm 3 and by Helm 4, and installed by both in a real API server."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import bare_api_server

CHART = Path(__file__).parents[2] / "charts" / "tidegate"
KUBERNETES = "1.37.2"
KINDS = (
    "deployments,services,serviceaccounts,configmaps,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers,"
    "roles,rolebindings,clusterroles,clusterrolebindings"
)
Manifest = dict[str, Any]
Completed = subprocess.CompletedProcess[str]
Helm = Callable[..., Completed]


def helm_at(place: Path, home: Path, kubeconfig: Path | None = None) -> Helm:
    """`helm(*arguments)` of the program at `place`, which sees nothing of this user's Helm."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)

    def run(*arguments: str) -> Completed:
        return subprocess.run([str(place), *arguments], env=environment, capture_output=True, text=True, check=False)

    return run


def documents(text: str) -> list[Manifest]:
    """What is in a stream of YAML."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@pytest.fixture(scope="session")
def helm(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """`helm template` of the chart as release `tidegate` in namespace `tidegate-system`."""
    run = helm_at(program("helm"), tmp_path_factory.mktemp("helm"))

    def template(*flags: str) -> Completed:
        fixed = ("--namespace", "tidegate-system", "--kube-version", KUBERNETES)
        return run("template", "tidegate", str(CHART), *fixed, *flags)

    return template


@pytest.fixture(scope="session")
def render(helm: Helm) -> Callable[..., list[Manifest]]:
    """The manifests that the chart gives with these flags, without those of `helm test`."""

    def rendered(*flags: str) -> list[Manifest]:
        done = helm("--no-hooks", *flags)
        assert done.returncode == 0, done.stderr
        return documents(done.stdout)

    return rendered


@dataclass(frozen=True)
class Server:
    """A real API server, seen by kubectl and by both Helms."""

    kubeconfig: Path
    kubectl: Callable[..., Completed]
    helms: dict[str, Helm]

    def get(self, *arguments: str) -> Any:
        done = self.kubectl("get", *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def of(self, release: str) -> dict[tuple[str, str, str], str]:
        """The uid of each object of a release: by kind, namespace and name."""
        selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/name=tidegate"
        items = self.get(KINDS, "-A", "-l", selector)["items"]
        return {
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each["metadata"]["uid"]
            for each in items
        }

    def forget_crds(self) -> None:
        """Deletes all. Kubernetes 1.37 may not be able to list the objects of one that is seconds old.

        It tries again after minutes, and at once when the CRD is written.
        """
        ends = time.monotonic() + 120
        while self.kubectl("delete", "crd", "--all", "--timeout=5s").returncode:
            assert time.monotonic() < ends, "the CRDs can't be deleted"
            self.kubectl("annotate", "crd", "--all", "--overwrite", f"tests/asked={time.monotonic()}")

    def scaled(self, namespace: str) -> int:
        return int(self.get("deployment", "tidegate-router", "-n", namespace)["spec"]["replicas"])

    def scale(self, namespace: str, replicas: int) -> None:
        """As an autoscaler does: by the subresource."""
        done = self.kubectl("scale", "deployment/tidegate-router", "-n", namespace, f"--replicas={replicas}")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def server(
    program: Callable[[str], Path], kubectl: Callable[..., Completed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Without our CRDs, and with RBAC; of the tests of the chart alone."""
    with bare_api_server(program, tmp_path_factory.mktemp("chart"), "RBAC") as kubeconfig:
        helms = {name: helm_at(program(name), tmp_path_factory.mktemp(name), kubeconfig) for name in ("helm", "helm4")}
        yield Server(kubeconfig, lambda *arguments, **how: kubectl(kubeconfig, *arguments, **how), helms)
