"""What is written for Gateways, against a real API server with the Gateway API's own CRDs (standard channel)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from queue import Queue
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.kube.conftest import made_digits
from tests.operator.kube.test_cluster import Leader
from tests.operator.kube.upstream import Upstream, apply_upstream
from tidegate.controller.act import signed
from tidegate.controller.observe import WATCHED, FollowedFor
from tidegate.errors import ObjectChanged
from tidegate.kube.api import GRPC_ROUTES, HTTP_ROUTES, MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.informer import Kind
from tidegate.kube.routers import Routers
from tidegate.model.gateway import GatewayApi, ParentRef, RouteRef
from tidegate.model.traffic import RouteSettings, RouteState, TrafficSplit
from tidegate.resources.names import LENT, RETURNS_RULES
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing.backend import RouteWrite
from tidegate.traffic_routing.gateway_api import GRPC_ROUTE, HTTP_ROUTE, GatewayApiRouter

pytestmark = pytest.mark.apiserver

RELEASES = ("v1.5.1", "v1.6.1", "v1.7.0")
"""Ascending: an older one may not follow a newer one."""
MODULE, GROUP = "sigs.k8s.io/gateway-api", "gateway.networking.k8s.io"
ROUTES = ("httproutes", "grpcroutes")
STABLE, CANDIDATE = "digits-6f9c1d2e", "digits-81aa0b4c"
NO_SUCH_KIND = Kind(Resource("gateway.networking.k8s.io/v1", "NoSuchRoute", "nosuchroutes"), dict, optional=True)
PUBLIC = GatewayApi((ParentRef("edge", "public", "web", 80),), ("digits.example.com", "*.digits.example.com"))
OURS = RouteSettings("", timedelta(seconds=60), PUBLIC)
CALLS = RouteSettings(
    "", timedelta(seconds=60), replace(PUBLIC, grpc_hostnames=("calls.example.com", "*.calls.example.com")), grpc=True
)
LENT_RULE = RouteSettings("", timedelta(seconds=60), GatewayApi((), (), RouteRef("shop", "digits")))
ROUTER = GatewayApiRouter()


@pytest.fixture(scope="module", params=RELEASES)
def crds(
    request: pytest.FixtureRequest,
    api_server: Path,
    kubectl: Callable[..., CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The CRDs of HTTPRoutes and GRPCRoutes of a release; skips where its module can't be had."""
    files = [f"config/crd/standard/{GROUP}_{plural}.yaml" for plural in ROUTES]
    apply_upstream(kubectl, api_server, Upstream(MODULE, request.param, files), tmp_path_factory.mktemp("modules"))
    return str(request.param)


@pytest.fixture
def cluster(crds: str, connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[KubernetesCluster]:
    cluster = KubernetesCluster(
        connect(),
        (*WATCHED, HTTP_ROUTE, GRPC_ROUTE, NO_SUCH_KIND),
        lambda *key: Queue[tuple[str, str]]().put(key),
        (namespace,),
        "operator-1",
        Leader(),
        Routers(connect(), namespace, "r"),
    )
    cluster.start()
    until(cluster.complete, within=60.0)
    yield cluster
    for informer in cluster.informers():
        informer.stop()


@pytest.fixture
def owner(cluster: KubernetesCluster, api: KubernetesApi, namespace: str) -> Owner:
    """A ModelDeployment."""
    made = made_digits(api, cluster, namespace)
    return Owner(namespace, "digits", made["metadata"]["uid"])


def read(cluster: KubernetesCluster, owner: Owner, wanted: RouteSettings = OURS) -> RouteState:
    return ROUTER.read(owner, wanted, FollowedFor(cluster, owner), ())


def write(
    cluster: KubernetesCluster,
    owner: Owner,
    split: TrafficSplit,
    wanted: RouteSettings = OURS,
    seen: RouteState | None = None,
    leaving: frozenset[str] = frozenset(),
) -> None:
    seen = seen or read(cluster, owner, wanted)
    for each in ROUTER.writes(owner, split, wanted, seen, leaving, cluster.writer):
        if isinstance(each, RouteWrite):
            cluster.apply(each.resource, signed(each.manifest, cluster.writer), each.version)
        else:
            cluster.patch(*each)


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
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi
) -> None:
    for split, leaving in (
        (TrafficSplit.only(STABLE), frozenset[str]()),
        (TrafficSplit.between(STABLE, CANDIDATE, 0), frozenset[str]()),
        (TrafficSplit.between(STABLE, CANDIDATE, 25), frozenset[str]()),
        (TrafficSplit.only(STABLE), frozenset({CANDIDATE})),
    ):
        write(cluster, owner, split, leaving=leaving)
        state = read(cluster, owner)
        assert (state.split, state.settings, state.leaving) == (split, ROUTER.settings(owner, OURS), leaving)
        assert (state.writer, state.edited_by) == (cluster.writer, "")
    assert read(cluster, owner).awaited == {"Gateway edge/public, listener web, port 80"}

    said(api, owner.namespace, "digits")
    until(lambda: not read(cluster, owner).awaited)


def test_a_route_for_calls_by_grpc_is_taken_beside_the_other_and_both_are_read_as_one(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi
) -> None:
    for split, leaving in (
        (TrafficSplit.only(STABLE), frozenset[str]()),
        (TrafficSplit.between(STABLE, CANDIDATE, 25), frozenset[str]()),
        (TrafficSplit.only(STABLE), frozenset({CANDIDATE})),
    ):
        write(cluster, owner, split, CALLS, leaving=leaving)
        state = read(cluster, owner, CALLS)
        assert (state.split, state.settings, state.leaving) == (split, ROUTER.settings(owner, CALLS), leaving)
    said(api, owner.namespace, "digits")
    assert len(read(cluster, owner, CALLS).awaited) == 1
    said(api, owner.namespace, "digits.grpc", GRPC_ROUTES)
    until(lambda: not read(cluster, owner, CALLS).awaited)

    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 100}]
    api.patch(GRPC_ROUTES, owner.namespace, "digits.grpc", change, manager="kubectl-edit")
    until(lambda: read(cluster, owner, CALLS).edited_by == "kubectl-edit")
    assert read(cluster, owner, CALLS).settings is None


def test_a_route_that_was_written_since_is_looked_at_again(cluster: KubernetesCluster, owner: Owner) -> None:
    write(cluster, owner, TrafficSplit.only(STABLE))
    seen = read(cluster, owner)
    write(cluster, owner, TrafficSplit.between(STABLE, CANDIDATE, 0))

    with pytest.raises(ObjectChanged):
        write(cluster, owner, TrafficSplit.only(CANDIDATE), seen=seen)


def test_whoever_edits_a_route_of_ours_is_named(cluster: KubernetesCluster, owner: Owner, api: KubernetesApi) -> None:
    write(cluster, owner, TrafficSplit.between(STABLE, CANDIDATE, 25))
    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 75}]
    api.patch(HTTP_ROUTES, owner.namespace, "digits", change, manager="kubectl-edit")
    until(lambda: read(cluster, owner).split == TrafficSplit.between(STABLE, CANDIDATE, 50))

    assert read(cluster, owner).edited_by == "kubectl-edit"


@pytest.fixture
def users_route(owner: Owner, api: KubernetesApi) -> Manifest:
    made = api.create(
        HTTP_ROUTES,
        {
            "apiVersion": HTTP_ROUTES.api_version,
            "kind": HTTP_ROUTES.kind,
            "metadata": {"name": "shop", "namespace": owner.namespace},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "edge"}],
                "rules": [
                    {"name": "web", "backendRefs": [{"name": "web", "port": 80}]},
                    {
                        "name": "digits",
                        "matches": [{"path": {"type": "PathPrefix", "value": "/digits"}}],
                        "filters": [
                            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x-secret"]}}
                        ],
                        "backendRefs": [{"name": "legacy", "port": 80, "weight": 3}],
                    },
                ],
            },
        },
    )
    assert made is not None
    return made


def refs(api: KubernetesApi, namespace: str) -> Mapping[str, int]:
    """The lent rule's backends, by name."""
    route = api.get(HTTP_ROUTES, namespace, "shop")
    assert route
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][1]["backendRefs"]}


def test_a_lent_rule_is_taken_and_given_back_and_the_rest_is_as_it_was(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi, users_route: Manifest
) -> None:
    def taken(*_: Any) -> bool:
        said(api, owner.namespace, "shop")
        route = api.get(HTTP_ROUTES, owner.namespace, "shop")
        assert route
        cluster._read_anew(HTTP_ROUTES, owner.namespace, "shop")
        return True

    until(lambda: read(cluster, owner, LENT_RULE).split == TrafficSplit.only("legacy"))
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_RULE)
    assert refs(api, owner.namespace) == {"legacy": 3, STABLE: 0}
    assert taken()
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_RULE, leaving=frozenset({"legacy"}))
    assert refs(api, owner.namespace) == {STABLE: 100, "legacy": 0}
    assert read(cluster, owner, LENT_RULE).leaving == {"legacy"}
    assert taken()
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_RULE)
    assert refs(api, owner.namespace) == {STABLE: 100}

    seen = []
    for _ in range(3):
        assert taken()
        for patch in ROUTER.returns(owner, None, FollowedFor(cluster, owner)).patches:
            cluster.patch(*patch)
        seen.append(dict(refs(api, owner.namespace)))
    assert seen == [{STABLE: 100, "legacy": 0}, {"legacy": 3, STABLE: 0}, {"legacy": 3}]
    after = api.get(HTTP_ROUTES, owner.namespace, "shop")
    assert after
    assert after["spec"] == users_route["spec"]
    assert LENT not in after["metadata"].get("annotations", {})
    assert ROUTER.returns(owner, None, FollowedFor(cluster, owner)).lent == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"op": "replace", "path": "/spec/rules/1/name", "value": "letters"}, id="the rule's name"),
        pytest.param({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}, id="anything else of the route"),
    ],
)
def test_a_rule_whose_route_has_changed_is_not_written(
    change: Mapping[str, Any], cluster: KubernetesCluster, owner: Owner, api: KubernetesApi, users_route: Manifest
) -> None:
    until(lambda: read(cluster, owner, LENT_RULE).split)
    seen = read(cluster, owner, LENT_RULE)
    api.patch(HTTP_ROUTES, owner.namespace, "shop", [change], manager="kubectl-edit")

    with pytest.raises(ObjectChanged):
        write(cluster, owner, TrafficSplit.only(STABLE), LENT_RULE, seen=seen)
    assert refs(api, owner.namespace) == {"legacy": 3}


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
