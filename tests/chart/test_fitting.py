"""The chart fitted to a platform: OpenShift, autoscaling, drains, policies, people's roles, and `helm test`."""

from typing import Any

import pytest

from tests.chart.conftest import Helm, Manifest, documents
from tests.chart.test_chart import Render, environment_of, one, pods
from tests.chart.test_rbac import granted
from tidegate.resources.gate_job import GATE
from tidegate.resources.names import ADMIN_PORT, GRPC_PORT, SERVER_PORT, labels
from tidegate.settings import Settings

pytestmark = pytest.mark.helm
WITHOUT_CRDS = ("--set", "crds.install=false")
IDS = {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize(
    ("flags", "fixed"),
    [
        pytest.param((), True, id="elsewhere"),
        pytest.param(("--api-versions", "security.openshift.io/v1"), False, id="on OpenShift, as its API says"),
        pytest.param(("--set", "openshift.enabled=true"), False, id="where it is said"),
        pytest.param(
            ("--api-versions", "security.openshift.io/v1", "--set", "openshift.enabled=false"),
            True,
            id="where it is denied",
        ),
    ],
)
def test_pods_state_the_user_that_they_run_as(flags: tuple[str, ...], fixed: bool, render: Render) -> None:
    specs = pods(render(*WITHOUT_CRDS, "--set", "dashboard.enabled=true", *flags))
    settings = Settings.from_env(environment_of(specs["tidegate-operator"]["containers"][0]))

    assert {name: spec["securityContext"].keys() >= IDS for name, spec in specs.items()} == dict.fromkeys(specs, fixed)
    assert all(spec["securityContext"]["runAsNonRoot"] for spec in specs.values())
    assert settings.fixed_ids is fixed


def test_an_autoscaler_of_the_routers_takes_the_place_of_their_number(render: Render) -> None:
    flags = ("--set", "router.autoscaling.enabled=true,router.autoscaling.maxReplicas=30")
    manifests = render(*WITHOUT_CRDS, *flags)
    scaler, router = (
        one(manifests, kind, "tidegate-router")["spec"] for kind in ("HorizontalPodAutoscaler", "Deployment")
    )

    assert "replicas" not in router
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tidegate-router"}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 30)
    (metric,) = scaler["metrics"]
    assert metric["containerResource"] == {
        "name": "cpu",
        "container": "envoy",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }
    assert "cpu" in router["template"]["spec"]["containers"][0]["resources"]["requests"]


def test_an_autoscaler_has_room(helm: Helm) -> None:
    done = helm("--set", "router.autoscaling.enabled=true,router.autoscaling.maxReplicas=1")

    assert "router.autoscaling.maxReplicas is 1, fewer than minReplicas, 2" in done.stderr


@pytest.mark.parametrize(
    ("flags", "budgets"),
    [
        pytest.param((), {"tidegate-router": {"maxUnavailable": 1}}, id="routers have one"),
        pytest.param(
            ("--set-json", 'router.podDisruptionBudget={"minAvailable": "50%"}'),
            {"tidegate-router": {"minAvailable": "50%"}},
            id="the number that was asked for is the one that counts",
        ),
        pytest.param(
            ("--set", "operator.replicas=2"),
            {"tidegate-router": {"maxUnavailable": 1}, "tidegate-operator": {"maxUnavailable": 1}},
            id="and operators, where there are several",
        ),
    ],
)
def test_drains_take_one_at_a_time(flags: tuple[str, ...], budgets: dict[str, Any], render: Render) -> None:
    found = {
        each["metadata"]["name"]: {k: v for k, v in each["spec"].items() if k != "selector"}
        for each in render(*WITHOUT_CRDS, *flags)
        if each["kind"] == "PodDisruptionBudget"
    }

    assert found == {name: {**given, "unhealthyPodEvictionPolicy": "AlwaysAllow"} for name, given in budgets.items()}


def test_pods_go_where_and_are_called_what_the_values_say(render: Render) -> None:
    parts = ("operator", "router", "dashboard")
    placed = ",".join(f"{part}.priorityClassName=high,{part}.nodeSelector.pool=infra" for part in parts)
    flags = ("--set", f"dashboard.enabled=true,imagePullSecrets[0].name=registry,{placed}")
    labelled = ("--set", r"podLabels.team=ml,podLabels.app\.kubernetes\.io/component=mine")
    manifests = render(*WITHOUT_CRDS, *flags, *labelled)

    for name, spec in pods(manifests).items():
        deployment = one(manifests, "Deployment", name)["spec"]
        assert (spec["priorityClassName"], spec["nodeSelector"]) == ("high", {"pool": "infra"})
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
        assert deployment["template"]["metadata"]["labels"]["team"] == "ml"


def policies(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]
        for each in manifests
        if each["kind"] == "NetworkPolicy"
    }


def test_model_servers_are_reached_by_routers_and_gates_alone_where_that_is_wanted(render: Render) -> None:
    flags = ("--set", "server.networkPolicy.enabled=true,namespaces={shop,bank}")
    found = policies(render(*WITHOUT_CRDS, *flags))
    policy = found["shop", "tidegate-model-servers"]
    requests, scrapes = policy["ingress"]

    assert found.keys() == {("shop", "tidegate-model-servers"), ("bank", "tidegate-model-servers")}
    assert policy["podSelector"]["matchLabels"].items() <= labels("digits", "digits-1").items()
    assert [port["port"] for port in requests["ports"]] == [SERVER_PORT, GRPC_PORT]
    assert requests["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tidegate-system"}},
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/instance": "tidegate",
                    "app.kubernetes.io/component": "router",
                }
            },
        },
        {"podSelector": {"matchExpressions": [{"key": GATE, "operator": "Exists"}]}},
    ]
    assert scrapes == {"ports": [{"port": ADMIN_PORT, "protocol": "TCP"}]}


def test_policies_of_model_servers_need_to_know_where_those_are(helm: Helm) -> None:
    assert "so `namespaces` has to name them" in helm("--set", "server.networkPolicy.enabled=true").stderr


def test_operator_and_dashboard_are_reached_by_who_is_meant_to(render: Render) -> None:
    flags = (
        *("--set", "operator.networkPolicy.enabled=true,dashboard.enabled=true,dashboard.networkPolicy.enabled=true"),
        *("--set-json", 'dashboard.networkPolicy.from=[{"podSelector": {"matchLabels": {"app": "ingress"}}}]'),
    )
    manifests = render(*WITHOUT_CRDS, *flags)
    found = policies(manifests)

    assert {name: spec["ingress"] for (_, name), spec in found.items()} == {
        "tidegate-operator": [{"ports": [{"port": 9904, "protocol": "TCP"}]}],
        "tidegate-dashboard": [
            {
                "ports": [{"port": 8181, "protocol": "TCP"}],
                "from": [{"podSelector": {"matchLabels": {"app": "ingress"}}}],
            }
        ],
    }
    for (_, name), spec in found.items():
        assert (
            spec["podSelector"]["matchLabels"] == one(manifests, "Deployment", name)["spec"]["selector"]["matchLabels"]
        )


def test_people_have_rights_over_models_by_kubernetes_own_roles(render: Render) -> None:
    manifests = render(*WITHOUT_CRDS)
    view, edit = (one(manifests, "ClusterRole", f"tidegate-system-tidegate-{name}") for name in ("view", "edit"))

    def of(role: Manifest) -> set[str]:
        return {name.rpartition("-")[2] for name in role["metadata"]["labels"] if "aggregate-to" in name}

    assert (of(view), of(edit)) == ({"view", "edit", "admin"}, {"edit", "admin"})
    assert {verb for _, _, verb in granted(view)} == {"get", "list", "watch"}
    assert "modelroutes" not in {resource for _, resource, _ in granted(edit)}
    assert "modeldeployments/status" not in {resource for _, resource, _ in granted(edit)}
    for without in ("rbac.aggregateToDefaultRoles=false", "namespaces={shop}"):
        roles = [each for each in render(*WITHOUT_CRDS, "--set", without) if each["kind"] == "ClusterRole"]
        assert not [each for each in roles if "aggregate" in str(each["metadata"]["labels"])]


@pytest.fixture(scope="module")
def hooks(helm: Helm) -> list[Manifest]:
    """What `helm test` makes."""
    done = helm(
        "--show-only", "templates/tests/check.yaml", "--set", "prometheus.secret=login,clusterDomain=corp.internal"
    )
    return documents(done.stdout)


def test_helm_test_is_a_check_from_within_that_leaves_nothing(hooks: list[Manifest]) -> None:
    pod = one(hooks, "Pod", "tidegate-test")
    (container,) = pod["spec"]["containers"]

    assert [each["kind"] for each in hooks] == ["ServiceAccount", "Role", "RoleBinding", "Pod"]
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in hooks} == {"test"}
    assert container["args"] == [
        "check",
        "--namespace=tidegate-system",
        "--router=http://tidegate-router.tidegate-system.svc.corp.internal:80",
    ]
    assert environment_of(container)["TIDEGATE_PROMETHEUS_SECRET"] == "/etc/tidegate/prometheus"  # noqa: S105 - a folder
    assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["spec"]["volumes"]}


def test_the_check_may_read_what_it_looks_at_and_nothing_else(hooks: list[Manifest]) -> None:
    assert set(granted(one(hooks, "Role", "tidegate-test"))) == {
        ("apps", "deployments", "list"),
        ("coordination.k8s.io", "leases", "get"),
        ("coordination.k8s.io", "leases", "list"),
        ("tidegate.dev", "modeldeployments", "list"),
    }
