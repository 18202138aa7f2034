"""What is written for Gateways, against a real API server with the Gateway API's own CRDs (standard channel)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.kube.conftest import made
from tests.operator.kube.following import following
from tests.operator.kube.routing import CANDIDATE, NOBODY, STABLE, Routing, Weights
from tests.operator.kube.upstream import Upstream
from tidegate.errors import ObjectChanged
from tidegate.kube.api import GRPC_ROUTES, HTTP_ROUTES, MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.informer import Kind
from tidegate.model.gateway import GatewayApi, ParentRef, RouteRef
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.names import LENT, RETURNS_RULES
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing.gateway_api import GRPC_ROUTE, HTTP_ROUTE, GatewayApiRouter

pytestmark = pytest.mark.apiserver

RELEASES = ("v1.5.1", "v1.6.1", "v1.7.0")
"""Ascending: an older one may not follow a newer one."""
MODULE, GROUP = "sigs.k8s.io/gateway-api", "gateway.networking.k8s.io"
ROUTES = ("httproutes", "grpcroutes")
NO_SUCH_KIND = Kind(Resource("gateway.networking.k8s.io/v1", "NoSuchRoute", "nosuchroutes"), dict, optional=True)
PUBLIC = GatewayApi((ParentRef("edge", "public", "web", 80),), ("digits.example.com", "*.digits.example.com"))
OURS = RouteSettings("", timedelta(seconds=60), PUBLIC)
CALLS = RouteSettings(
    "", timedelta(seconds=60), replace(PUBLIC, grpc_hostnames=("calls.example.com", "*.calls.example.com")), grpc=True
)
LENT_RULE = RouteSettings("", timedelta(seconds=60), GatewayApi((), (), RouteRef("shop", "digits")))


@pytest.fixture(scope="module", params=RELEASES)
def crds(request: pytest.FixtureRequest, serve_crds: Callable[..., None]) -> None:
    """The CRDs of HTTPRoutes and GRPCRoutes of a release; skips where its module can't be had."""
    files = [f"config/crd/standard/{GROUP}_{plural}.yaml" for plural in ROUTES]
    serve_crds(Upstream(MODULE, request.param, files))


@pytest.fixture
def cluster(crds: None, connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[KubernetesCluster]:
    with following(connect, namespace, HTTP_ROUTE, GRPC_ROUTE, NO_SUCH_KIND, within=60.0) as cluster:
        yield cluster


@pytest.fixture
def routing(cluster: KubernetesCluster, owner: Owner) -> Routing:
    return Routing(GatewayApiRouter(), cluster, owner, OURS)


def said(api: KubernetesApi, namespace: str, name: str, kind: Resource = HTTP_ROUTES) -> None:
    """A Gateway takes the route as it is."""
    route = api.get(kind, namespace, name)
    assert route
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "example.com/c", "conditions": conditions}
    api.replace(kind, {**route, "status": {"parents": [parent]}}, status=True)


def test_a_route_of_ours_is_taken_by_the_api_and_read_back(
    routing: Routing, api: KubernetesApi, namespace: str
) -> None:
    written, read = routing.released()
    assert read == written
    assert routing.read().awaited == {"Gateway edge/public, listener web, port 80"}

    said(api, namespace, "digits")
    until(lambda: not routing.read().awaited)


def test_a_route_for_calls_by_grpc_is_taken_beside_the_other_and_both_are_read_as_one(
    routing: Routing, api: KubernetesApi, namespace: str
) -> None:
    written, read = routing.released(CALLS)
    assert read == written
    said(api, namespace, "digits")
    assert len(routing.read(CALLS).awaited) == 1
    said(api, namespace, "digits.grpc", GRPC_ROUTES)
    until(lambda: not routing.read(CALLS).awaited)

    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 100}]
    api.patch(GRPC_ROUTES, namespace, "digits.grpc", change, manager="kubectl-edit")
    until(lambda: routing.read(CALLS).edited_by == "kubectl-edit")
    assert routing.read(CALLS).settings is None


def test_a_route_that_was_written_since_is_looked_at_again(routing: Routing) -> None:
    routing.write(TrafficSplit.only(STABLE))
    seen = routing.read()
    routing.write(TrafficSplit.between(STABLE, CANDIDATE, 0))

    with pytest.raises(ObjectChanged):
        routing.write(TrafficSplit.only(CANDIDATE), seen=seen)


def test_whoever_edits_a_route_of_ours_is_named(routing: Routing, api: KubernetesApi, namespace: str) -> None:
    routing.write(TrafficSplit.between(STABLE, CANDIDATE, 25))
    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 75}]
    api.patch(HTTP_ROUTES, namespace, "digits", change, manager="kubectl-edit")
    until(lambda: routing.read().split == TrafficSplit.between(STABLE, CANDIDATE, 50))

    assert routing.read().edited_by == "kubectl-edit"


@pytest.fixture
def users_route(api: KubernetesApi, namespace: str) -> Manifest:
    lent = {
        "name": "digits",
        "matches": [{"path": {"type": "PathPrefix", "value": "/digits"}}],
        "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x-secret"]}}],
        "backendRefs": [{"name": "legacy", "port": 80, "weight": 3}],
    }
    spec = {
        "parentRefs": [{"name": "public", "namespace": "edge"}],
        "rules": [{"name": "web", "backendRefs": [{"name": "web", "port": 80}]}, lent],
    }
    return made(api, HTTP_ROUTES, namespace, "shop", spec)


def refs(api: KubernetesApi, namespace: str) -> Weights:
    """The lent rule's backends, by name."""
    route = api.get(HTTP_ROUTES, namespace, "shop")
    assert route
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][1]["backendRefs"]}


def test_a_lent_rule_is_taken_and_given_back_and_the_rest_is_as_it_was(
    routing: Routing, api: KubernetesApi, namespace: str, users_route: Manifest
) -> None:
    def listed() -> Weights:
        return refs(api, namespace)

    def settle() -> None:
        said(api, namespace, "shop")
        routing.cluster._read_anew(HTTP_ROUTES, namespace, "shop")

    until(lambda: routing.read(LENT_RULE).split == TrafficSplit.only("legacy"))
    assert routing.taken(LENT_RULE, listed, settle) == [
        ({"legacy": 3, STABLE: 0}, NOBODY),
        ({STABLE: 100, "legacy": 0}, {"legacy"}),
        ({STABLE: 100}, NOBODY),
    ]
    assert routing.given_back(listed, settle) == [
        {STABLE: 100, "legacy": 0},
        {"legacy": 3, STABLE: 0},
        {"legacy": 3},
    ]
    after = api.get(HTTP_ROUTES, namespace, "shop")
    assert after
    assert after["spec"] == users_route["spec"]
    assert LENT not in after["metadata"].get("annotations", {})
    assert routing.returns.lent == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"op": "replace", "path": "/spec/rules/1/name", "value": "letters"}, id="the rule's name"),
        pytest.param({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}, id="anything else of the route"),
    ],
)
def test_a_rule_whose_route_has_changed_is_not_written(
    change: Mapping[str, Any], routing: Routing, api: KubernetesApi, namespace: str, users_route: Manifest
) -> None:
    until(lambda: routing.read(LENT_RULE).split)
    seen = routing.read(LENT_RULE)
    api.patch(HTTP_ROUTES, namespace, "shop", [change], manager="kubectl-edit")

    with pytest.raises(ObjectChanged):
        routing.write(TrafficSplit.only(STABLE), LENT_RULE, seen=seen)
    assert refs(api, namespace) == {"legacy": 3}


def test_a_model_waits_for_its_rule_to_be_given_back(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi
) -> None:
    with pytest.raises(ObjectChanged):
        cluster.hold(owner.namespace, "digits", RETURNS_RULES)
    cluster.hold(owner.namespace, "digits", RETURNS_RULES)
    api.delete(MODEL_DEPLOYMENTS, owner.namespace, "digits")
    deleting = api.get(MODEL_DEPLOYMENTS, owner.namespace, "digits")
    assert deleting
    cluster.seen(deleting, deleted=False)
    cluster.let_go(owner.namespace, "digits", RETURNS_RULES)

    assert api.get(MODEL_DEPLOYMENTS, owner.namespace, "digits") is None


def test_a_kind_that_the_api_server_does_not_have_is_told_and_waited_for_by_nobody(
    cluster: KubernetesCluster, namespace: str
) -> None:
    assert cluster.complete()
    assert cluster.unfollowed(NO_SUCH_KIND, namespace)
    assert cluster.unfollowed(HTTP_ROUTE, namespace) is None
