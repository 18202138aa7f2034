"""What the chart installs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import Helm, Manifest
from tidegate.model.notification import parse_receivers
from tidegate.resources.names import ADMIN_PORT_NAME, labels
from tidegate.router.agent import AgentSettings
from tidegate.router.envoy import EnvoySettings
from tidegate.settings import REFUSED_NETWORKS, QuerySettings, Settings

pytestmark = pytest.mark.helm
CRDS = Path(__file__).parents[2] / "crds"
Render = Callable[..., list[Manifest]]


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod's spec of each Deployment."""
    deployments = (each for each in manifests if each["kind"] == "Deployment")
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in deployments}


def environment_of(container: Manifest) -> dict[str, str]:
    """As the container sees it, in a pod of the namespace `tidegate-system`."""
    values = {each["name"]: each.get("value", "from the pod") for each in container["env"]}
    return {name: value.replace("$(TIDEGATE_NAMESPACE)", "tidegate-system") for name, value in values.items()}


def test_with_the_defaults_these_objects_are_installed(render: Render) -> None:
    assert sorted((each["kind"], each["metadata"]["name"]) for each in render()) == [
        ("ClusterRole", "tidegate-system-tidegate-edit"),
        ("ClusterRole", "tidegate-system-tidegate-operator"),
        ("ClusterRole", "tidegate-system-tidegate-router"),
        ("ClusterRole", "tidegate-system-tidegate-view"),
        ("ClusterRoleBinding", "tidegate-system-tidegate-operator"),
        ("ClusterRoleBinding", "tidegate-system-tidegate-router"),
        ("CustomResourceDefinition", "metrictemplates.tidegate.dev"),
        ("CustomResourceDefinition", "modeldeployments.tidegate.dev"),
        ("CustomResourceDefinition", "modelroutes.tidegate.dev"),
        ("Deployment", "tidegate-operator"),
        ("Deployment", "tidegate-router"),
        ("PodDisruptionBudget", "tidegate-router"),
        ("Role", "tidegate-heartbeat"),
        ("Role", "tidegate-leader"),
        ("Role", "tidegate-sampling-key"),
        ("RoleBinding", "tidegate-heartbeat"),
        ("RoleBinding", "tidegate-leader"),
        ("RoleBinding", "tidegate-sampling-key"),
        ("Service", "tidegate-router"),
        ("ServiceAccount", "tidegate-operator"),
        ("ServiceAccount", "tidegate-router"),
    ]


def test_two_routers_serve_and_at_most_one_is_taken_away(render: Render) -> None:
    manifests = render()
    router = one(manifests, "Deployment", "tidegate-router")
    budget = one(manifests, "PodDisruptionBudget", "tidegate-router")

    assert router["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == router["spec"]["selector"]


@pytest.mark.parametrize("pod", ["tidegate-operator", "tidegate-router"])
def test_no_container_may_more_than_it_must(pod: str, render: Render) -> None:
    spec = pods(render())[pod]
    hardened = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }

    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10002,
        "runAsGroup": 10002,
        "fsGroup": 10002,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert [container["securityContext"] for container in spec["containers"]] == [hardened] * len(spec["containers"])
    assert "hostNetwork" not in spec
    assert all("hostPath" not in volume for volume in spec["volumes"])


def test_replicas_are_left_out_for_whoever_else_scales(render: Render) -> None:
    manifests = render("--set", "operator.replicas=null", "--set", "router.replicas=null")
    deployments = [each for each in manifests if each["kind"] == "Deployment"]

    assert len(deployments) == 2
    assert not [each["metadata"]["name"] for each in deployments if "replicas" in each["spec"]]


def test_an_operator_may_have_no_pod_at_all(render: Render) -> None:
    manifests = render("--set", "operator.replicas=0")

    assert [each["spec"]["replicas"] for each in manifests if each["kind"] == "Deployment"] == [0, 2]


def test_envoy_has_no_token(render: Render) -> None:
    router = pods(render())["tidegate-router"]
    mounts = {each["name"]: {mount["name"] for mount in each["volumeMounts"]} for each in router["containers"]}

    assert router["automountServiceAccountToken"] is False
    assert mounts == {"envoy": {"xds", "tmp"}, "agent": {"xds", "token", "sampling-key", "tmp"}}


def test_a_secret_has_the_routers_serve_tls_and_may_be_missing(render: Render) -> None:
    manifests = render("--set", "router.tls.secretName=router-tls", "--set", "router.networkPolicy.enabled=true")
    spec = pods(manifests)["tidegate-router"]
    envoy, agent = spec["containers"]
    ports = one(manifests, "Service", "tidegate-router")["spec"]["ports"]

    assert [(each["name"], each["port"]) for each in ports] == [("http", 80), ("https", 443)]
    assert {"name": "https", "containerPort": 8443} in envoy["ports"]
    assert EnvoySettings.from_env(environment_of(envoy)).router.tls_port == 8443
    assert str(AgentSettings.from_env(environment_of(agent)).tls_folder) == "/var/run/tidegate/tls"
    assert [each["secret"] for each in spec["volumes"] if each["name"] == "tls"] == [
        {"secretName": "router-tls", "optional": True, "defaultMode": 0o440}
    ]
    assert "tls" not in {mount["name"] for mount in envoy["volumeMounts"]}
    policy = one(manifests, "NetworkPolicy", "tidegate-router")
    assert {"port": 8443, "protocol": "TCP"} in policy["spec"]["ingress"][0]["ports"]


def test_a_cluster_may_have_another_domain_and_both_families_of_addresses(render: Render) -> None:
    manifests = render(
        *("--set", "clusterDomain=corp.internal"),
        *("--set", "router.service.ipFamilyPolicy=PreferDualStack", "--set", "router.service.ipFamilies={IPv6,IPv4}"),
    )
    envoy, agent = pods(manifests)["tidegate-router"]["containers"]
    (operator,) = pods(manifests)["tidegate-operator"]["containers"]
    service = one(manifests, "Service", "tidegate-router")["spec"]

    assert (service["ipFamilyPolicy"], service["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
    assert AgentSettings.from_env(environment_of(agent)).cluster_domain == "corp.internal"
    assert Settings.from_env(environment_of(operator)).router_service.endswith(".svc.corp.internal")
    pod_ips = {**environment_of(envoy), "TIDEGATE_POD_IPS": "10.0.0.7,fd00::7"}
    assert EnvoySettings.from_env(pod_ips).router.address == "::"
    assert EnvoySettings.from_env({**pod_ips, "TIDEGATE_POD_IPS": "10.0.0.7"}).router.address == "0.0.0.0"


def test_one_late_answer_takes_no_router_out_of_the_service(render: Render) -> None:
    """A busy node is late with both at once, and a Service without a ready pod refuses everybody."""
    containers = one(render(), "Deployment", "tidegate-router")["spec"]["template"]["spec"]["containers"]
    (probe,) = [each["readinessProbe"] for each in containers if each["name"] == "envoy"]
    assert (probe["periodSeconds"], probe["timeoutSeconds"], probe["failureThreshold"]) == (2, 2, 3)


def test_the_key_of_the_routers_is_mounted_into_their_agents_alone_and_may_be_missing(render: Render) -> None:
    manifests = render()
    (volume,) = [
        (pod, each["secret"]) for pod, spec in pods(manifests).items() for each in spec["volumes"] if "secret" in each
    ]
    (operator,) = pods(manifests)["tidegate-operator"]["containers"]
    environment = {each["name"]: each.get("value") for each in operator["env"]}

    assert volume == (
        "tidegate-router",
        {"secretName": "tidegate-sampling-key", "optional": True, "defaultMode": 0o440},
    )
    assert environment["TIDEGATE_SAMPLING_SECRET"] == volume[1]["secretName"]


def test_with_the_network_policy_only_the_operator_reaches_the_agents_port(render: Render) -> None:
    policy = one(
        render(
            "--set", "router.networkPolicy.enabled=true", "--set", "router.networkPolicy.ingress[0].ports[0].port=15008"
        ),
        "NetworkPolicy",
        "tidegate-router",
    )
    of_the_release = {"app.kubernetes.io/instance": "tidegate"}

    assert policy["spec"] == {
        "podSelector": {"matchLabels": {**of_the_release, "app.kubernetes.io/component": "router"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [{"port": 8080, "protocol": "TCP"}, {"port": 9902, "protocol": "TCP"}]},
            {
                "ports": [{"port": 9903, "protocol": "TCP"}],
                "from": [
                    {
                        "podSelector": {
                            "matchLabels": {**of_the_release, "app.kubernetes.io/component": "operator"},
                        }
                    }
                ],
            },
            {"ports": [{"port": 15008}]},
        ],
    }


def test_the_agents_port_is_one_everywhere(render: Render) -> None:
    manifests = render("--set", "router.agent.port=9999,router.networkPolicy.enabled=true")
    (agent,) = [each for each in pods(manifests)["tidegate-router"]["containers"] if each["name"] == "agent"]
    environment = {each["name"]: each.get("value", "") for each in agent["env"]}
    policy = one(manifests, "NetworkPolicy", "tidegate-router")

    assert AgentSettings.from_env(environment).health_port == 9999
    assert agent["ports"] == [{"name": "health", "containerPort": 9999}]
    assert [rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]] == [8080, 9999]


def test_every_container_says_what_it_needs(render: Render) -> None:
    for spec in pods(render()).values():
        for container in spec["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_the_operator_can_read_its_environment(render: Render) -> None:
    (container,) = pods(render("--set", "namespaces={shop,bank}"))["tidegate-operator"]["containers"]
    settings = Settings.from_env(environment_of(container))

    assert settings.namespaces == ("shop", "bank")
    assert settings.router_service == "tidegate-router.tidegate-system.svc.cluster.local"
    assert {port["containerPort"] for port in container["ports"]} == {settings.metrics_port, settings.health_port}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param((), (3630.0, None, 3645), id="by default"),
        pytest.param(
            (
                "--set=router.drainLimitSeconds=100",
                "--set=router.envoy.maxHeapBytes=400000000",
            ),
            (100.0, 400_000_000, 115),
            id="as given",
        ),
    ],
)
def test_the_router_can_read_its_environment(
    flags: tuple[str, ...], expected: tuple[float, int | None, int], render: Render
) -> None:
    spec = pods(render(*flags))["tidegate-router"]
    environment = {
        container["name"]: {each["name"]: each.get("value", "from the pod") for each in container["env"]}
        for container in spec["containers"]
    }
    envoy, agent = EnvoySettings.from_env(environment["envoy"]), AgentSettings.from_env(environment["agent"])

    assert str(agent.xds_directory) == envoy.router.xds_directory
    assert (
        envoy.drain.limit_seconds,
        envoy.router.max_heap_bytes,
        spec["terminationGracePeriodSeconds"],
    ) == expected


@pytest.mark.parametrize("plural", ["modeldeployments", "metrictemplates", "modelroutes"])
def test_the_crds_are_installed_as_they_are_and_stay(plural: str, render: Render) -> None:
    source = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    installed = one(render(), "CustomResourceDefinition", f"{plural}.tidegate.dev")

    assert installed["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert installed == source


def test_the_crds_can_be_left_out(render: Render) -> None:
    kinds = {each["kind"] for each in render("--set", "crds.install=false")}

    assert "CustomResourceDefinition" not in kinds


def test_named_namespaces_give_roles_there_and_nothing_cluster_wide(render: Render) -> None:
    manifests = render("--set", "namespaces={shop,bank}")
    roles = sorted(
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in manifests if each["kind"] == "Role"
    )

    assert roles == [
        ("bank", "tidegate-operator"),
        ("bank", "tidegate-router"),
        ("shop", "tidegate-operator"),
        ("shop", "tidegate-router"),
        ("tidegate-system", "tidegate-heartbeat"),
        ("tidegate-system", "tidegate-leader"),
        ("tidegate-system", "tidegate-sampling-key"),
    ]
    assert not [each for each in manifests if each["kind"].startswith("ClusterRole")]


@pytest.mark.parametrize("kind", ["ClusterRoleBinding", "RoleBinding"])
def test_every_binding_names_a_role_and_an_account_that_are_there(kind: str, render: Render) -> None:
    manifests = render() + render("--set", "namespaces={shop}")
    known = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    bindings = [each for each in manifests if each["kind"] == kind]

    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in known
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["name"]) in known
            assert subject["namespace"] == "tidegate-system"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param("promtheus.url=http://a", "promtheus", id="an unknown key"),
        pytest.param("router.replica=2", "replica", id="an unknown key further in"),
        pytest.param("prometheus.matchers=cluster=a", "'cluster=a' does not match", id="a matcher without quotes"),
        pytest.param("prometheus.url=prometheus:9090", "/prometheus/url", id="a URL without a scheme"),
        pytest.param("router.replicas=0", "/router/replicas", id="no router"),
        pytest.param("router.accessLog=some", "/router/accessLog", id="an unknown access log"),
        pytest.param("router.agent.port=80", "/router/agent/port", id="a port that only root may have"),
        pytest.param("router.networkPolicy.ingress=all", "/router/networkPolicy/ingress", id="a rule in words"),
        pytest.param("router.drainLimitSeconds=30", "/router/drainLimitSeconds", id="a drain that is cut short"),
        pytest.param("router.envoy.maxHeapBytes=1000", "/router/envoy/maxHeapBytes", id="a heap that holds nothing"),
        pytest.param("notifications[0].nmae=ops", "/notifications/0", id="a receiver without a name"),
        pytest.param("namespaces={Shop}", "/namespaces/0", id="a namespace in capitals"),
        pytest.param(
            "prometheus.scrapeIntervalSeconds=15s", "/prometheus/scrapeIntervalSeconds", id="a number in words"
        ),
    ],
)
def test_refused_is(value: str, path: str, helm: Helm) -> None:
    done = helm("--set", value)

    assert done.returncode != 0
    assert path in done.stderr.replace(".", "/") or path in done.stderr


def test_the_values_file_is_what_the_schema_describes() -> None:
    chart = CRDS.parent / "charts" / "tidegate"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = yaml.safe_load((chart / "values.schema.json").read_text())

    assert keys_beyond(values, schema, schema) == []


def keys_beyond(value: Any, schema: Any, root: Any) -> list[str]:
    """Keys of `value` that the schema doesn't name."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    found = [key for key in value if key not in schema["properties"]]
    for key in value.keys() & schema["properties"].keys():
        found += keys_beyond(value[key], schema["properties"][key], root)
    return found


def test_what_prometheus_asks_for_is_mounted_into_the_operator_alone(render: Render) -> None:
    manifests = render("--set", "prometheus.secret=prometheus-login")
    (operator,) = pods(manifests)["tidegate-operator"]["containers"]

    assert {"name": "TIDEGATE_PROMETHEUS_SECRET", "value": "/etc/tidegate/prometheus"} in operator["env"]
    assert {"name": "prometheus", "mountPath": "/etc/tidegate/prometheus", "readOnly": True} in operator["volumeMounts"]
    assert [volume["secret"] for volume in pods(manifests)["tidegate-operator"]["volumes"] if "secret" in volume] == [
        {"secretName": "prometheus-login", "defaultMode": 0o440}
    ]
    assert "prometheus-login" not in str(pods(manifests)["tidegate-router"])
    assert all("secret" not in volume for volume in pods(render())["tidegate-operator"]["volumes"])


def test_what_is_added_to_each_query_reaches_the_operator(render: Render) -> None:
    manifests = render(
        "--set-string",
        r'prometheus.matchers=cluster="a"\,env=~"prod|stage"',
        "--set-json",
        'prometheus={"headers": {"X-Scope-OrgID": "team-a"}, "queryParameters": {"nocache": "1"}}',
    )
    (container,) = pods(manifests)["tidegate-operator"]["containers"]
    environ = {each["name"]: each.get("value", "") for each in container["env"]}

    assert QuerySettings.from_env(environ) == QuerySettings(
        'cluster="a",env=~"prod|stage"', {"X-Scope-OrgID": "team-a"}, {"nocache": "1"}
    )


def monitored(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == "PodMonitor"}


@pytest.mark.parametrize(
    ("name", "path"), [("tidegate-router", "/stats/prometheus"), ("tidegate-operator", "/metrics")]
)
def test_a_pod_monitor_selects_the_pods_and_their_port(name: str, path: str, render: Render) -> None:
    manifests = render(
        "--set", "podMonitor.enabled=true,podMonitor.labels.release=prom,prometheus.scrapeIntervalSeconds=20"
    )
    monitor = monitored(manifests)[name]
    template = one(manifests, "Deployment", name)["spec"]["template"]
    ports = {port["name"]: port["containerPort"] for each in template["spec"]["containers"] for port in each["ports"]}

    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "metrics", "path": path, "interval": "20s"}]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert str(ports["metrics"]) == template["metadata"]["annotations"]["prometheus.io/port"]


@pytest.mark.parametrize(
    ("flags", "selected"),
    [
        pytest.param((), {"any": True}, id="everywhere"),
        pytest.param(("--set", "namespaces={shop,bank}"), {"matchNames": ["shop", "bank"]}, id="where models are"),
    ],
)
def test_model_servers_are_monitored_where_models_live(
    flags: tuple[str, ...], selected: Manifest, render: Render
) -> None:
    monitor = monitored(render("--set", "podMonitor.enabled=true", *flags))["tidegate-model-servers"]

    assert monitor["spec"]["namespaceSelector"] == selected
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels("digits", "digits-1").items()
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": ADMIN_PORT_NAME, "path": "/metrics", "interval": "15s"}]


@pytest.mark.parametrize(
    ("name", "path"), [("tidegate-router", "/stats/prometheus"), ("tidegate-operator", "/metrics")]
)
def test_a_service_monitor_finds_the_pods_through_a_service_of_their_metrics(
    name: str, path: str, render: Render
) -> None:
    manifests = render("--set", "serviceMonitor.enabled=true,serviceMonitor.labels.release=prom")
    monitor, service = one(manifests, "ServiceMonitor", name), one(manifests, "Service", f"{name}-metrics")
    template = one(manifests, "Deployment", name)["spec"]["template"]
    ports = {port["name"]: port["containerPort"] for each in template["spec"]["containers"] for port in each["ports"]}

    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "path": path, "interval": "15s"}]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert service["spec"]["clusterIP"] == "None"
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(ports["metrics"], "metrics")]


def test_a_service_monitor_finds_model_servers_through_the_services_of_their_revisions(render: Render) -> None:
    manifests = render("--set", "serviceMonitor.enabled=true,namespaces={shop}")
    monitor = one(manifests, "ServiceMonitor", "tidegate-model-servers")

    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["shop"]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels("digits", "digits-1").items()
    assert monitor["spec"]["endpoints"] == [{"targetPort": ADMIN_PORT_NAME, "path": "/metrics", "interval": "15s"}]


def test_no_service_of_the_routers_metrics_is_taken_for_the_routers_own(render: Render) -> None:
    manifests = render("--set", "serviceMonitor.enabled=true")
    selector = one(manifests, "ServiceMonitor", "tidegate-router")["spec"]["selector"]["matchLabels"]
    services = [each for each in manifests if each["kind"] == "Service"]
    found = [each["metadata"]["name"] for each in services if selector.items() <= each["metadata"]["labels"].items()]

    assert found == ["tidegate-router-metrics"]


def test_pods_are_not_scraped_by_both_kinds_of_monitor(helm: Helm) -> None:
    done = helm("--set", "serviceMonitor.enabled=true,podMonitor.enabled=true")

    assert done.returncode != 0
    assert "would have each pod scraped twice" in done.stderr


def test_the_operator_reads_only_the_secrets_that_are_named(render: Render) -> None:
    def readable(*flags: str) -> list[Any]:
        (role,) = (
            each
            for each in render(*flags)
            if each["metadata"]["name"] == "tidegate-system-tidegate-operator" and each["kind"] == "ClusterRole"
        )
        return [rule["resourceNames"] for rule in role["rules"] if rule["resources"] == ["secrets"]]

    assert readable() == [["tidegate-webhooks"]]
    assert readable("--set", "webhooks.secrets={ci,slack}") == [["ci", "slack"]]
    assert readable("--set-json", "webhooks.secrets=[]") == []


@pytest.mark.parametrize(
    ("value", "networks"),
    [("[]", ()), ('["10.0.0.0/8", "fe80::/10"]', ("10.0.0.0/8", "fe80::/10")), ("null", REFUSED_NETWORKS.split(","))],
)
def test_the_networks_that_are_never_called_reach_the_operator(
    value: str, networks: Sequence[str], render: Render
) -> None:
    (container,) = pods(render("--set-json", f"webhooks.refusedNetworks={value}"))["tidegate-operator"]["containers"]
    settings = Settings.from_env({each["name"]: each.get("value", "from the pod") for each in container["env"]})

    assert list(map(str, settings.refused_networks)) == list(networks)


def test_who_is_told_of_all_models_reaches_the_operator_with_the_right_to_read_their_secrets(render: Render) -> None:
    receivers = [{"name": "ops", "urlSecret": {"name": "tidegate-webhooks", "key": "slack"}, "format": "Slack"}]
    manifests = render("--set-json", f"notifications={json.dumps(receivers)}", "--set", "namespaces={shop}")
    (container,) = pods(manifests)["tidegate-operator"]["containers"]
    settings = Settings.from_env({each["name"]: each.get("value", "from the pod") for each in container["env"]})
    (role,) = (each for each in manifests if each["metadata"]["name"] == "tidegate-notifications" and "rules" in each)

    assert parse_receivers(settings.notifications) == parse_receivers(receivers)
    assert role["metadata"]["namespace"] == "tidegate-system"
    assert role["rules"][0]["resourceNames"] == ["tidegate-webhooks"]
    assert not [each for each in render() if each["metadata"]["name"] == "tidegate-notifications"]


@pytest.mark.parametrize(("enabled", "verbs"), [("true", [["get", "create", "delete"]]), ("false", [])])
def test_the_operator_makes_jobs_only_where_that_is_wanted(
    enabled: str, verbs: list[list[str]], render: Render
) -> None:
    (role,) = (
        each
        for each in render("--set", f"jobGates.enabled={enabled}")
        if each["metadata"]["name"] == "tidegate-system-tidegate-operator" and each["kind"] == "ClusterRole"
    )

    assert [rule["verbs"] for rule in role["rules"] if rule["resources"] == ["jobs"]] == verbs


def test_a_proxy_for_calls_reaches_the_operator(render: Render) -> None:
    manifests = render("--set", "webhooks.proxy=http://proxy.corp:3128", "--set", "webhooks.noProxy={svc,corp}")
    (container,) = pods(manifests)["tidegate-operator"]["containers"]
    settings = Settings.from_env({each["name"]: each.get("value", "from the pod") for each in container["env"]})

    assert (settings.webhooks_proxy, settings.webhooks_no_proxy) == ("http://proxy.corp:3128", ("svc", "corp"))
