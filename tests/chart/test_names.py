"""Names that Kubernetes and YAML make something of: numbers and booleans, dots, and the longest that there are."""

import re
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, KUBERNETES, Completed, Helm, Manifest, documents, helm_at

pytestmark = pytest.mark.helm
ALL = (
    "router.autoscaling.enabled=true,router.networkPolicy.enabled=true,router.tls.secretName=1e3,"
    "operator.networkPolicy.enabled=true,operator.replicas=2,server.networkPolicy.enabled=true,"
    "dashboard.enabled=true,dashboard.networkPolicy.enabled=true,grafana.dashboards.enabled=true,"
    "prometheusRule.enabled=true,podMonitor.enabled=true,config.followSecrets=true,crds.install=false"
)
"""Everything that the chart can make, but ServiceMonitors and the CRDs."""
ODD_NAMESPACES = '["12345", "on", "1e3", "y", "null"]'
LONGEST = "a" * 53
"""Of a release's name, as Helm has it."""
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""Services' names, as Kubernetes has had them for longest."""


@pytest.fixture(scope="module", params=["helm", "helm4"])
def template(request: pytest.FixtureRequest, program: Any, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """`helm template RELEASE … FLAGS`, of both Helms."""
    run = helm_at(program(request.param), tmp_path_factory.mktemp(request.param))

    def rendered(release: str, namespace: str, *flags: str) -> Completed:
        return run("template", release, str(CHART), "-n", namespace, "--kube-version", KUBERNETES, *flags)

    return rendered


def texts(value: Any) -> list[Any]:
    """Everything in a manifest that isn't text where Kubernetes wants nothing else."""
    if isinstance(value, list):
        return [found for each in value for found in texts(each)]
    if not isinstance(value, dict):
        return []
    wanted = ("name", "namespace", "labels", "annotations", "matchLabels", "matchNames", "resourceNames", "secretName")
    found = []
    for key, inner in value.items():
        leaves = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else [inner]
        if key in wanted:
            found += [leaf for leaf in leaves if not isinstance(leaf, str | dict)]
        found += texts(inner)
    return found


@pytest.mark.parametrize("namespace", ["12345", "on", "1e3"])
def test_a_release_called_by_a_number_in_a_namespace_called_so_has_names_of_text(
    namespace: str, template: Helm
) -> None:
    done = template("123", namespace, "--set", ALL, "--set-json", f"namespaces={ODD_NAMESPACES}")
    manifests = documents(done.stdout)

    assert done.returncode == 0, done.stderr
    assert texts(manifests) == []
    assert {each["metadata"]["namespace"] for each in manifests} == {namespace, *yaml.safe_load(ODD_NAMESPACES)}
    assert services(manifests) == {"tidegate-123-router", "tidegate-123-dashboard"}


def services(manifests: list[Manifest]) -> set[str]:
    return {each["metadata"]["name"] for each in manifests if each["kind"] == "Service"}


@pytest.mark.parametrize(
    ("release", "flags", "name"),
    [
        pytest.param("tidegate", (), "tidegate", id="the release's"),
        pytest.param("7", (), "tidegate-7", id="the release's, behind a letter"),
        pytest.param("models.v2", (), "models-v2", id="the release's, without dots"),
        pytest.param(LONGEST, (), LONGEST, id="the longest release's"),
        pytest.param("4" * 53, (), "tidegate-" + "4" * 44, id="a long one, cut off"),
        pytest.param("ml", ("--set", "nameOverride=gate"), "ml-gate", id="with something behind it"),
        pytest.param(LONGEST, ("--set", "nameOverride=gate"), LONGEST, id="with as much as there is room for"),
        pytest.param("ml", ("--set", "fullnameOverride=tide,nameOverride=gate"), "tide", id="another one"),
    ],
)
def test_all_names_begin_with(release: str, flags: tuple[str, ...], name: str, template: Helm) -> None:
    manifests = documents(template(release, "apps", "--set", ALL, "--set", "namespaces={shop}", *flags).stdout)

    assert manifests
    assert not [each["metadata"]["name"] for each in manifests if not each["metadata"]["name"].startswith(name)]
    assert all(LABEL.fullmatch(service) for service in services(manifests))
    assert all(len(value) <= 63 for each in manifests for value in each["metadata"]["labels"].values())


def test_services_of_metrics_say_what_to_do_where_they_have_no_room_for_their_names(template: Helm) -> None:
    flags = ("--set", "serviceMonitor.enabled=true,crds.install=false")
    refused = template(LONGEST, "apps", *flags)
    taken = template(LONGEST, "apps", *flags, "--set", "fullnameOverride=" + "b" * 46)

    assert "set fullnameOverride to 46 characters or fewer" in refused.stderr
    assert all(LABEL.fullmatch(service) for service in services(documents(taken.stdout)))


def test_both_helms_give_the_same(program: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    given = [
        documents(
            helm_at(program(name), tmp_path_factory.mktemp(name))(
                "template", "tidegate", str(CHART), "-n", "apps", "--kube-version", KUBERNETES, "--set", ALL,
                "--set", "namespaces={shop}",
            ).stdout
        )
        for name in ("helm", "helm4")
    ]  # fmt: skip

    assert given[0]
    assert given[0] == given[1]
