"""The operator's environment."""

from datetime import timedelta
from ipaddress import ip_network

import pytest

from tidegate.errors import InvalidSpec
from tidegate.settings import REFUSED_NETWORKS, QuerySettings, Settings

NEEDED = {"TIDEGATE_PROMETHEUS_URL": "http://prometheus:9090/", "TIDEGATE_SERVER_IMAGE": "server:1"}


def test_only_two_variables_are_needed() -> None:
    assert Settings.from_env(NEEDED) == Settings(
        prometheus_url="http://prometheus:9090",
        prometheus_secret="",
        prometheus_queries=QuerySettings(),
        scrape_interval=timedelta(seconds=15),
        server_image="server:1",
        operator_image="",
        router_service="tidegate-router.tidegate.svc.cluster.local",
        namespaces=(),
        identity="tidegate-operator",
        namespace="tidegate",
        lease="tidegate-operator",
        sampling_secret="",
        workers=8,
        metrics_port=9904,
        health_port=9905,
        image_pull_policy="IfNotPresent",
        fixed_ids=True,
        disruption_budgets=True,
        webhooks_proxy="",
        webhooks_no_proxy=("svc", "cluster.local"),
        notifications=(),
        refused_networks=tuple(map(ip_network, REFUSED_NETWORKS.split(","))),
        gateway_api=False,
        istio=False,
        config_secret="",
    )


def test_namespaces_are_separated_by_commas() -> None:
    assert Settings.from_env({**NEEDED, "TIDEGATE_NAMESPACES": "shop,bank,"}).namespaces == ("shop", "bank")


def test_what_is_added_to_each_query() -> None:
    environ = {
        "TIDEGATE_PROMETHEUS_MATCHERS": 'cluster="a", env!~"test|dev",',
        "TIDEGATE_PROMETHEUS_HEADERS": '{"X-Scope-OrgID": "shop"}',
        "TIDEGATE_PROMETHEUS_PARAMETERS": '{"nocache": "1"}',
    }
    queries = Settings.from_env({**NEEDED, **environ}).prometheus_queries

    assert queries == QuerySettings('cluster="a", env!~"test|dev"', {"X-Scope-OrgID": "shop"}, {"nocache": "1"})
    assert "shop" not in repr(queries)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"TIDEGATE_PROMETHEUS_URL": ""}, "TIDEGATE_PROMETHEUS_URL is missing", id="no Prometheus"),
        pytest.param({"TIDEGATE_SERVER_IMAGE": ""}, "TIDEGATE_SERVER_IMAGE is missing", id="no image"),
        pytest.param(
            {"TIDEGATE_WORKERS": "0"},
            "TIDEGATE_WORKERS is '0'; it must be a whole number from 1 on",
            id="no workers",
        ),
        pytest.param(
            {"TIDEGATE_SCRAPE_INTERVAL_SECONDS": "15s"},
            "TIDEGATE_SCRAPE_INTERVAL_SECONDS is '15s'; it must be a whole number from 1 on",
            id="a number with a unit",
        ),
        pytest.param(
            {"TIDEGATE_PROMETHEUS_MATCHERS": "cluster=a"},
            "the chart's prometheus.matchers, is 'cluster=a'; it must be label matchers as in PromQL, such as",
            id="a matcher without quotes",
        ),
        pytest.param({"TIDEGATE_PROMETHEUS_HEADERS": "X-Scope-OrgID: a"}, "must be a JSON object", id="no JSON"),
        pytest.param(
            {"TIDEGATE_PROMETHEUS_HEADERS": '{"X-Scope-OrgID": "a\\nb"}'},
            "must be a JSON object",
            id="a header of two lines",
        ),
        pytest.param(
            {"TIDEGATE_NOTIFICATIONS": '["https://hooks.example.com/sesame"]'},
            "TIDEGATE_NOTIFICATIONS must be a JSON list of objects$",
            id="receivers that are no objects",
        ),
        pytest.param(
            {"TIDEGATE_WEBHOOKS_REFUSED_NETWORKS": "10.0.0.0/8,all"},
            "TIDEGATE_WEBHOOKS_REFUSED_NETWORKS must be networks separated by commas: 'all' does not appear to be",
            id="a network in words",
        ),
        pytest.param({"TIDEGATE_METRICS_PORT": "-1"}, "TIDEGATE_METRICS_PORT is '-1'", id="a number below the least"),
    ],
)
def test_refused_is(change: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        Settings.from_env({**NEEDED, **change})
