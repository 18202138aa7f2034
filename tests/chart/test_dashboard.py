"""The dashboard in the chart: off unless asked for, and then with rights to read alone."""

import pytest

from tests.chart.test_chart import Render, one, pods
from tests.chart.test_rbac import granted
from tidegate.dashboard.command import _parser

pytestmark = pytest.mark.helm
ENABLED = ("--set", "dashboard.enabled=true")
READS = {
    ("tidegate.dev", "modeldeployments", "list"),
    ("tidegate.dev", "modeldeployments", "watch"),
    ("", "pods", "list"),
    ("", "pods", "watch"),
}
"""Feed: one watch of each."""


def test_it_is_off_unless_asked_for(render: Render) -> None:
    assert [each["metadata"]["name"] for each in render() if "dashboard" in each["metadata"]["name"]] == []


def test_its_account_may_read_models_and_pods_and_nothing_else(render: Render) -> None:
    manifests = render(*ENABLED, "--set", "dashboard.controls=true")
    bound = [
        each["roleRef"]["name"]
        for each in manifests
        if any(subject["name"] == "tidegate-dashboard" for subject in each.get("subjects", ()))
    ]

    assert bound == ["tidegate-system-tidegate-dashboard"]
    assert set(granted(one(manifests, "ClusterRole", "tidegate-system-tidegate-dashboard"))) == READS


def test_where_only_some_namespaces_are_looked_after_it_may_read_those(render: Render) -> None:
    manifests = render(*ENABLED, "--set", "namespaces={shop,bank}")
    roles = [each for each in manifests if each["metadata"]["name"].endswith("-dashboard") and each["kind"] == "Role"]

    assert [each["metadata"]["namespace"] for each in roles] == ["shop", "bank"]
    assert [set(granted(each)) for each in roles] == [READS, READS]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param((), {"controls": False, "prefix": "", "namespace": []}, id="by default"),
        pytest.param(
            ("--set", "dashboard.controls=true,dashboard.prefix=/tidegate,namespaces={shop,bank}"),
            {"controls": True, "prefix": "/tidegate", "namespace": ["shop", "bank"]},
            id="as given",
        ),
    ],
)
def test_the_command_can_read_its_arguments(
    flags: tuple[str, ...], expected: dict[str, object], render: Render
) -> None:
    (container,) = pods(render(*ENABLED, *flags))["tidegate-dashboard"]["containers"]
    command, *arguments = container["args"]
    parsed = vars(_parser().parse_args(arguments))

    assert command == "dashboard"
    assert {name: parsed[name] for name in expected} == expected
    assert (parsed["in_cluster"], parsed["port"], parsed["max_pages"]) == (True, 8181, 100)
    assert container["ports"] == [{"name": "http", "containerPort": 8181}]


def test_it_reads_prometheus_as_the_operator_does(render: Render) -> None:
    given = (
        "--set",
        "prometheus.url=https://prometheus,prometheus.secret=key",
        "--set-json",
        'prometheus.headers={"A":"b"}',
    )
    manifests = pods(render(*ENABLED, *given))
    dashboard, operator = (manifests[name] for name in ("tidegate-dashboard", "tidegate-operator"))
    arguments = vars(_parser().parse_args(dashboard["containers"][0]["args"][1:]))
    variables = {each["name"]: each.get("value") for each in dashboard["containers"][0]["env"]}

    assert (arguments["prometheus"], arguments["prometheus_secret"]) == (
        "https://prometheus",
        "/etc/tidegate/prometheus",
    )
    assert variables["TIDEGATE_PROMETHEUS_HEADERS"] == '{"A":"b"}'
    assert [each for each in dashboard["volumes"] if each["name"] == "prometheus"] == [
        each for each in operator["volumes"] if each["name"] == "prometheus"
    ]


def test_its_container_may_no_more_than_it_must(render: Render) -> None:
    spec = pods(render(*ENABLED))["tidegate-dashboard"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]  # noqa: S108


def test_its_service_leads_to_its_pods(render: Render) -> None:
    manifests = render(*ENABLED)
    service, deployment = (one(manifests, kind, "tidegate-dashboard") for kind in ("Service", "Deployment"))

    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
