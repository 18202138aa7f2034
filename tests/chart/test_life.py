"""The chart on a real API server, by Helm 3 and Helm 4: installed, upgraded, rolled back, taken away, back again.

Nothing runs pods there, so nothing waits for any. The version before is the chart of an earlier commit.
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.crds import until_established
from tests.chart.conftest import CHART, Manifest, Server, documents
from tests.chart.test_names import ALL, ODD_NAMESPACES

pytestmark = [pytest.mark.helm, pytest.mark.apiserver]
ROOT = CHART.parents[1]
BEFORE = "450685da"
"""The first commit that has the chart: what changed since then all comes at once."""
MODEL = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "digits", "namespace": "default"},
    "spec": {"model": {"uri": "http://models/1"}},
}
OWNERSHIP = "invalid ownership metadata"
TAKE_OWNERSHIP = "--take-ownership"
WITHOUT_CRDS = "--set=crds.install=false"


@pytest.fixture(params=["helm", "helm4"])
def helm(request: pytest.FixtureRequest, server: Server) -> Iterator[Callable[..., str]]:
    """One of the Helms, whose commands have to succeed; what is installed goes with the test."""
    used: list[tuple[str, str]] = []

    def run(command: str, release: str, *arguments: str) -> str:
        if command == "install":
            used.append((release, arguments[arguments.index("-n") + 1]))
        done = server.helms[request.param](command, release, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    for release, namespace in used:
        server.helms[request.param]("uninstall", release, "-n", namespace)
    server.kubectl("delete", "modeldeployments", "--all", "-A")  # a CRD with objects takes its time to go
    server.forget_crds()


@pytest.fixture
def refused(request: pytest.FixtureRequest, server: Server, helm: Callable[..., str]) -> Callable[..., str]:
    """What the same Helm says, where it must not succeed."""
    run = server.helms[request.node.callspec.params["helm"]]

    def told(*arguments: str) -> str:
        done = run(*arguments)
        assert done.returncode != 0
        return done.stderr

    return told


@pytest.fixture(scope="module")
def chart_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as it was."""
    command = ["git", "archive", BEFORE, "charts/tidegate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this clone has no commit {BEFORE}: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "charts" / "tidegate"


def test_an_upgrade_a_rollback_and_an_uninstall_leave_the_models_and_a_reinstall_finds_them(
    helm: Callable[..., str], refused: Callable[..., str], server: Server, chart_before: Path
) -> None:
    here = ("-n", "apps")
    helm("install", "tidegate", str(chart_before), *here, "--create-namespace")
    until_established(server.kubectl)
    assert server.kubectl("apply", "-f", "-", given=json.dumps(MODEL)).returncode == 0
    model = server.get("modeldeployment", "digits")["metadata"]["uid"]
    before = server.of("tidegate")

    assert "use --reset-then-reuse-values" in refused("upgrade", "tidegate", str(CHART), *here, "--reuse-values")
    helm("upgrade", "tidegate", str(CHART), *here, "--reset-then-reuse-values")
    upgraded = server.of("tidegate")
    assert before.items() <= upgraded.items()
    assert "status" in newest_schema(server)["properties"]

    helm("rollback", "tidegate", "1", *here)
    assert server.of("tidegate") == before
    helm("upgrade", "tidegate", str(CHART), *here)
    helm("uninstall", "tidegate", *here)
    assert server.of("tidegate") == {}
    assert server.get("modeldeployment", "digits")["metadata"]["uid"] == model

    helm("install", "tidegate", str(CHART), *here)
    assert server.of("tidegate").keys() == upgraded.keys()
    helm("uninstall", "tidegate", *here)

    elsewhere = ("gate", str(CHART), "-n", "other", "--create-namespace")
    assert OWNERSHIP in refused("install", *elsewhere)
    helm("install", *elsewhere, TAKE_OWNERSHIP)
    helm("uninstall", "gate", "-n", "other")
    helm("install", "tide", str(CHART), *here, WITHOUT_CRDS)
    assert server.get("modeldeployment", "digits")["metadata"]["uid"] == model


def newest_schema(server: Server) -> Manifest:
    (version,) = server.get("crd", "modeldeployments.tidegate.dev")["spec"]["versions"]
    schema: Manifest = version["schema"]["openAPIV3Schema"]
    return schema


@pytest.mark.parametrize(("first", "then"), [("helm", "helm4"), ("helm4", "helm")])
def test_what_one_helm_has_installed_the_other_upgrades(first: str, then: str, server: Server) -> None:
    flags = ("tidegate", str(CHART), "-n", "both", WITHOUT_CRDS)
    done = server.helms[first]("install", *flags, "--create-namespace")
    assert done.returncode == 0, done.stderr
    before = server.of("tidegate")
    upgraded = server.helms[then]("upgrade", *flags, "--set=router.concurrency=4")
    after = server.of("tidegate")
    gone = server.helms[then]("uninstall", "tidegate", "-n", "both")

    assert (upgraded.returncode, gone.returncode) == (0, 0), upgraded.stderr + gone.stderr
    assert before == after
    assert server.of("tidegate") == {}


@pytest.mark.parametrize("flag", ["--set=router.replicas=null", "--set=router.autoscaling.enabled=true"])
def test_an_upgrade_leaves_the_number_of_routers_to_whoever_else_scales_them(
    flag: str, helm: Callable[..., str], server: Server
) -> None:
    base = ("tidegate", str(CHART), "-n", "scaled", WITHOUT_CRDS)
    helm("install", *base, "--create-namespace", "--set=router.replicas=4")
    helm("upgrade", *base, flag)
    when_it_was_left_out = server.scaled("scaled")
    server.scale("scaled", 6)
    helm("upgrade", *base, flag)
    helm("upgrade", *base, flag, "--set=router.concurrency=4")

    assert (when_it_was_left_out, server.scaled("scaled")) == (4, 6)


def test_a_number_of_routers_that_is_stated_is_set_back_or_conflicts(
    helm: Callable[..., str], server: Server, request: pytest.FixtureRequest
) -> None:
    base = ("tidegate", str(CHART), "-n", "stated", WITHOUT_CRDS)
    helm("install", *base, "--create-namespace")
    server.scale("stated", 6)
    name = request.node.callspec.params["helm"]
    done = server.helms[name]("upgrade", *base)

    if name == "helm":
        assert (done.returncode, server.scaled("stated")) == (0, 2)
    else:
        assert (done.returncode, server.scaled("stated")) == (1, 6)
        assert ".spec.replicas" in done.stderr


@pytest.mark.parametrize("namespace", ["1e3", "on"])
def test_a_namespace_may_be_called(namespace: str, helm: Callable[..., str], server: Server) -> None:
    flags = ("--set=crds.install=false", "--set-json", f"namespaces={ODD_NAMESPACES}")
    for each in json.loads(ODD_NAMESPACES):
        server.kubectl("create", "namespace", each)
    helm("install", "123", str(CHART), "-n", namespace, *flags)

    assert ("Service", namespace, "tidegate-123-router") in server.of("123")


def test_everything_that_the_chart_can_make_is_taken(helm: Callable[..., str], server: Server) -> None:
    flags = f"{ALL},podMonitor.enabled=false,prometheusRule.enabled=false,namespaces={{shop}}"
    for namespace in ("all", "shop"):
        server.kubectl("create", "namespace", namespace)
    helm("install", "tidegate", str(CHART), "-n", "all", "--set", flags)
    made = {kind for kind, _, _ in server.of("tidegate")}

    assert made >= {"HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "ConfigMap", "Deployment"}


def test_what_is_applied_by_the_server_again_is_as_it_was(server: Server) -> None:
    """As Argo CD does, or `helm template | kubectl apply --server-side`; and Helm takes it over."""
    server.kubectl("create", "namespace", "applied")
    base = ("tidegate", str(CHART), "-n", "applied")
    text = server.helms["helm"]("template", *base, "--no-hooks", "--validate").stdout
    apply = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")

    def versions() -> dict[str, str]:
        done = server.kubectl(*apply, "-o", "json", given=text)
        assert done.returncode == 0, done.stderr
        items = json.loads(done.stdout)["items"]
        return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in items}

    first, names = versions(), {(each["kind"], each["metadata"]["name"]) for each in documents(text)}
    assert len(first) == len(names)
    until_established(server.kubectl)
    second = versions()
    assert versions() == second
    assert second.keys() == first.keys()
    taken = server.helms["helm4"]("install", *base, TAKE_OWNERSHIP, "--force-conflicts")
    assert taken.returncode == 0, taken.stderr
    gone = server.helms["helm4"]("uninstall", "tidegate", "-n", "applied")
    assert gone.returncode == 0, gone.stderr
    server.forget_crds()
