"""What is written for Istio, against a real API server with Istio's own CRDs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import until
from tests.operator.kube.conftest import made
from tests.operator.kube.following import following
from tests.operator.kube.routing import CANDIDATE, NOBODY, STABLE, Routing, Weights
from tests.operator.kube.upstream import Upstream
from tidegate.errors import ObjectChanged
from tidegate.kube.api import VIRTUAL_SERVICES, KubernetesApi, Manifest
from tidegate.kube.cluster import KubernetesCluster
from tidegate.model.istio import Istio, VirtualServiceRef
from tidegate.model.traffic import RouteSettings, RouteState, TrafficSplit
from tidegate.resources.names import LENT
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing.backend import RouteWrite
from tidegate.traffic_routing.istio import VIRTUAL_SERVICE, IstioRouter

pytestmark = pytest.mark.apiserver

RELEASES = ("v1.30.8", "v1.31.4", "v1.32.0")
"""Ascending: an older one may not follow a newer one."""
CRDS = "kubernetes/customresourcedefinitions.gen.yaml"
OURS = RouteSettings("", timedelta(seconds=60), istio=Istio(("digits.example.com",), ("edge/public",)))
CALLS = replace(OURS, grpc=True)
LENT_ROUTE = replace(OURS, istio=Istio(virtual_service=VirtualServiceRef("shop", "digits")))
LEGACY: Manifest = {"destination": {"host": "legacy", "port": {"number": 80}}}


@pytest.fixture(scope="module", params=RELEASES)
def crds(request: pytest.FixtureRequest, serve_crds: Callable[..., None]) -> None:
    """The CRD of VirtualServices of a release; skips where its module can't be had."""
    serve_crds(Upstream("istio.io/api", request.param, [CRDS]), only=["virtualservices.networking.istio.io"])


@pytest.fixture
def cluster(crds: None, connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[KubernetesCluster]:
    with following(connect, namespace, VIRTUAL_SERVICE, within=60.0) as cluster:
        yield cluster


@pytest.fixture
def routing(cluster: KubernetesCluster, owner: Owner) -> Routing:
    return Routing(IstioRouter(), cluster, owner, OURS)


@pytest.mark.parametrize("settings", [pytest.param(OURS, id="HTTP"), pytest.param(CALLS, id="HTTP and gRPC")])
def test_a_virtual_service_of_ours_is_taken_by_the_api_and_read_back(settings: RouteSettings, routing: Routing) -> None:
    written, read = routing.released(settings)
    assert read == written


def test_nothing_that_is_written_is_unknown_to_istios_own_schema(routing: Routing, api: KubernetesApi) -> None:
    """The API server drops what a schema doesn't have: all of it is there."""
    split, owner = TrafficSplit.between(STABLE, CANDIDATE, 25), routing.owner
    routing.write(split, CALLS)
    (wanted,) = routing.router.writes(owner, split, CALLS, RouteState(), (), routing.cluster.writer)
    assert isinstance(wanted, RouteWrite)
    stored = api.get(VIRTUAL_SERVICES, owner.namespace, "digits")

    assert stored
    assert stored["spec"] == wanted.manifest["spec"]


def test_a_virtual_service_that_was_written_since_is_looked_at_again(routing: Routing) -> None:
    routing.write(TrafficSplit.only(STABLE))
    seen = routing.read()
    routing.write(TrafficSplit.between(STABLE, CANDIDATE, 0))

    with pytest.raises(ObjectChanged):
        routing.write(TrafficSplit.only(CANDIDATE), seen=seen)


def test_whoever_edits_a_virtual_service_of_ours_is_named(routing: Routing, api: KubernetesApi, namespace: str) -> None:
    routing.write(TrafficSplit.between(STABLE, CANDIDATE, 25))
    change = [
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 50},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 50},
    ]
    api.patch(VIRTUAL_SERVICES, namespace, "digits", change, manager="kubectl-edit")
    until(lambda: routing.read().split == TrafficSplit.between(STABLE, CANDIDATE, 50))

    assert routing.read().edited_by == "kubectl-edit"


@pytest.fixture
def theirs(api: KubernetesApi, namespace: str) -> Manifest:
    """A VirtualService of the user's."""
    lent = {
        "name": "digits",
        "match": [{"uri": {"prefix": "/digits"}}],
        "route": [LEGACY],
        "corsPolicy": {"allowOrigins": [{"exact": "https://example.com"}]},
    }
    spec = {
        "hosts": ["shop.example.com"],
        "gateways": ["edge/public"],
        "http": [lent, {"route": [{"destination": {"host": "web"}}]}],
    }
    return made(api, VIRTUAL_SERVICES, namespace, "shop", spec)


def destinations(api: KubernetesApi, namespace: str) -> Weights:
    """Those of the lent route, by name."""
    found = api.get(VIRTUAL_SERVICES, namespace, "shop")
    assert found
    return {each["destination"]["host"]: each.get("weight") for each in found["spec"]["http"][0]["route"]}


def test_a_lent_route_is_taken_and_given_back_and_the_rest_is_as_it_was(
    routing: Routing, api: KubernetesApi, namespace: str, theirs: Manifest
) -> None:
    def listed() -> Weights:
        return destinations(api, namespace)

    def settle() -> None:
        routing.cluster._read_anew(VIRTUAL_SERVICES, namespace, "shop")

    until(lambda: routing.read(LENT_ROUTE).split == TrafficSplit.only("legacy"))
    assert routing.taken(LENT_ROUTE, listed, settle) == [
        ({"legacy": 100, STABLE: 0}, NOBODY),
        ({STABLE: 100, "legacy": 0}, {"legacy"}),
        ({STABLE: 100}, NOBODY),
    ]
    assert routing.given_back(listed, settle) == [
        {STABLE: 100, "legacy": 0},
        {"legacy": 100, STABLE: 0},
        {"legacy": None},
    ]
    after = api.get(VIRTUAL_SERVICES, namespace, "shop")
    assert after
    assert after["spec"] == theirs["spec"]
    assert LENT not in after["metadata"].get("annotations", {})
    assert routing.returns.lent == 0


def test_a_route_whose_virtual_service_has_changed_is_not_written(
    routing: Routing, api: KubernetesApi, namespace: str, theirs: Manifest
) -> None:
    until(lambda: routing.read(LENT_ROUTE).split)
    seen = routing.read(LENT_ROUTE)
    change = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    api.patch(VIRTUAL_SERVICES, namespace, "shop", change, manager="kubectl-edit")

    with pytest.raises(ObjectChanged):
        routing.write(TrafficSplit.only(STABLE), LENT_ROUTE, seen=seen)
    assert destinations(api, namespace) == {"legacy": None}
