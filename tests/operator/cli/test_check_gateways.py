"""`tidegate check` looks at a model's Gateways: is there one, whose is it, and would it take the route?"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.fake_api import FakeApi
from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import Operator
from tidegate.cli.check.in_gateways import GATEWAYS, gateways, route_of
from tidegate.cli.common.cluster import Cluster
from tidegate.kube.api import HTTP_ROUTES, Manifest
from tidegate.model.traffic import NO_ROUTE
from tidegate.resources.http_route import LIVE
from tidegate.traffic_routing import BACKENDS

ABOUT = "shop/digits"
FOLLOWING = [Operator("tidegate", "tidegate-operator", {"TIDEGATE_GATEWAY_API": "true"})]
CONTOUR = "projectcontour.io/gateway-controller"
LISTENER = {"name": "web", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
PUBLIC = {
    "metadata": {"namespace": "edge", "name": "public"},
    "spec": {"gatewayClassName": "any", "listeners": [LISTENER]},
}


def model(**gateway: Any) -> Manifest:
    given = gateway or {"parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["digits.example.com"]}
    traffic = {"router": "GatewayAPI", "gatewayAPI": given}
    return {
        "metadata": {"namespace": "shop", "name": "digits"},
        "spec": {"model": {"uri": "http://models/1"}, "traffic": traffic},
    }


@pytest.fixture
def fake(fake: FakeApi) -> FakeApi:
    fake.put(GATEWAYS, PUBLIC)
    fake.answers["/apis/gateway.networking.k8s.io/v1/gatewayclasses/any"] = {"spec": {"controllerName": CONTOUR}}
    return fake


def found(cluster: Cluster, manifest: Mapping[str, Any], operators: list[Operator] = FOLLOWING) -> list[Finding]:
    return list(gateways(cluster, operators, manifest))


def test_a_gateway_of_a_known_implementation_is_fine(cluster: Cluster) -> None:
    what = "Gateway edge/public is Contour's and takes the route; its Envoys count requests"
    assert found(cluster, model()) == [Finding(ABOUT, State.OK, what)]


def test_an_unknown_implementation_is_told(cluster: Cluster, fake: FakeApi) -> None:
    fake.answers["/apis/gateway.networking.k8s.io/v1/gatewayclasses/any"] = {"spec": {"controllerName": "a.b/c"}}
    (finding,) = found(cluster, model())

    assert (finding.state, "was never tried with Tidegate" in finding.what) == (State.WARNING, True)


def test_a_gateway_that_is_not_there_is_told(cluster: Cluster) -> None:
    what = "there is no Gateway shop/private: create it, or name another one in parentRefs"
    assert found(cluster, model(parentRefs=[{"name": "private"}])) == [Finding(ABOUT, State.WRONG, what)]


def test_a_listener_that_takes_other_hosts_is_told(cluster: Cluster, fake: FakeApi) -> None:
    listeners = [{**LISTENER, "hostname": "*.bank.example"}]
    fake.put(GATEWAYS, {**PUBLIC, "spec": {"gatewayClassName": "any", "listeners": listeners}})
    what = "Gateway edge/public: no listener takes digits.example.com; they take *.bank.example"
    assert found(cluster, model()) == [Finding(ABOUT, State.WRONG, what)]


def test_a_listener_that_takes_no_host_of_calls_is_told(cluster: Cluster, fake: FakeApi) -> None:
    listeners = [{**LISTENER, "hostname": "digits.example.com"}]
    fake.put(GATEWAYS, {**PUBLIC, "spec": {"gatewayClassName": "any", "listeners": listeners}})
    parent = {"name": "public", "namespace": "edge"}
    called = model(parentRefs=[parent], hostnames=["digits.example.com"], grpcHostnames=["calls.example.com"])
    called["spec"]["traffic"]["grpc"] = True
    what = "Gateway edge/public: no listener takes calls.example.com; they take digits.example.com"

    assert [each.state for each in found(cluster, called)] == [State.OK, State.WRONG]
    assert found(cluster, called)[1] == Finding(ABOUT, State.WRONG, what)


def test_an_operator_that_follows_no_routes_is_told(cluster: Cluster) -> None:
    first, *_ = found(cluster, model(), [Operator("tidegate", "tidegate-operator", {})])

    assert (first.state, "set the chart's gatewayAPI.enabled" in first.what) == (State.WRONG, True)


def test_a_rule_is_looked_for(cluster: Cluster, fake: FakeApi) -> None:
    lent = model(routeRef={"name": "all", "rule": "digits"})
    missing = "there is no HTTPRoute shop/all, which routeRef names"
    assert found(cluster, lent) == [Finding(ABOUT, State.WRONG, missing)]

    metadata = {"namespace": "shop", "name": "all"}
    fake.put(HTTP_ROUTES, {"metadata": metadata, "spec": {"rules": [{"name": "digits"}]}})
    assert found(cluster, lent) == [Finding(ABOUT, State.OK, "the rule digits of the HTTPRoute all is there")]


def test_another_router_has_no_gateways(cluster: Cluster) -> None:
    builtin = {**model(), "spec": {"model": {"uri": "http://models/1"}}}
    assert found(cluster, builtin) == []
    assert route_of(cluster, builtin) == NO_ROUTE


@pytest.mark.parametrize(
    ("controller", "filters", "counted_by", "unmarked"),
    [
        pytest.param(CONTOUR, [LIVE], "GatewayAPI", "", id="Contour"),
        pytest.param("gateway.envoyproxy.io/gatewayclass-controller", [LIVE], "Servers", "", id="Envoy Gateway"),
        pytest.param("a.b/c", [], "Servers", "the HTTPRoute digits", id="a rule that marks nothing"),
    ],
)
def test_prometheus_is_asked_for_whoever_counts(
    controller: str, filters: list[Manifest], counted_by: str, unmarked: str, cluster: Cluster, fake: FakeApi
) -> None:
    parent = {"namespace": "edge", "name": "public"}
    status = {"parents": [{"parentRef": parent, "controllerName": controller}]}
    spec = {"parentRefs": [parent], "rules": [{"filters": filters}]}
    fake.put(HTTP_ROUTES, {"metadata": {"namespace": "shop", "name": "digits"}, "spec": spec, "status": status})
    route = route_of(cluster, model())

    assert (BACKENDS["GatewayAPI"].counted_by(route), route.unmarked) == (counted_by, unmarked)
