"""What is written for Istio, against a real API server with Istio's own CRDs."""

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
from tidegate.kube.api import VIRTUAL_SERVICES, KubernetesApi, Manifest
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.routers import Routers
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
STABLE, CANDIDATE = "digits-6f9c1d2e", "digits-81aa0b4c"
OURS = RouteSettings("", timedelta(seconds=60), istio=Istio(("digits.example.com",), ("edge/public",)))
CALLS = replace(OURS, grpc=True)
LENT_ROUTE = replace(OURS, istio=Istio(virtual_service=VirtualServiceRef("shop", "digits")))
LEGACY: Manifest = {"destination": {"host": "legacy", "port": {"number": 80}}}
ROUTER = IstioRouter()


@pytest.fixture(scope="module", params=RELEASES)
def crds(
    request: pytest.FixtureRequest,
    api_server: Path,
    kubectl: Callable[..., CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The CRD of VirtualServices of a release; skips where its module can't be had."""
    upstream, folder = Upstream("istio.io/api", request.param, [CRDS]), tmp_path_factory.mktemp("modules")
    apply_upstream(kubectl, api_server, upstream, folder, only=["virtualservices.networking.istio.io"])
    return str(request.param)


@pytest.fixture
def cluster(crds: str, connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[KubernetesCluster]:
    cluster = KubernetesCluster(
        connect(),
        (*WATCHED, VIRTUAL_SERVICE),
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


@pytest.mark.parametrize("settings", [pytest.param(OURS, id="HTTP"), pytest.param(CALLS, id="HTTP and gRPC")])
def test_a_virtual_service_of_ours_is_taken_by_the_api_and_read_back(
    settings: RouteSettings, cluster: KubernetesCluster, owner: Owner
) -> None:
    for split, leaving in (
        (TrafficSplit.only(STABLE), frozenset[str]()),
        (TrafficSplit.between(STABLE, CANDIDATE, 0), frozenset[str]()),
        (TrafficSplit.between(STABLE, CANDIDATE, 25), frozenset[str]()),
        (TrafficSplit.only(STABLE), frozenset({CANDIDATE})),
    ):
        write(cluster, owner, split, settings, leaving=leaving)
        state = read(cluster, owner, settings)
        assert (state.split, state.settings, state.leaving) == (split, ROUTER.settings(owner, settings), leaving)
        assert (state.writer, state.edited_by) == (cluster.writer, "")


def test_nothing_that_is_written_is_unknown_to_istios_own_schema(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi
) -> None:
    """The API server drops what a schema doesn't have: all of it is there."""
    write(cluster, owner, TrafficSplit.between(STABLE, CANDIDATE, 25), CALLS)
    (wanted,) = ROUTER.writes(
        owner, TrafficSplit.between(STABLE, CANDIDATE, 25), CALLS, RouteState(), (), cluster.writer
    )
    assert isinstance(wanted, RouteWrite)
    stored = api.get(VIRTUAL_SERVICES, owner.namespace, "digits")

    assert stored
    assert stored["spec"] == wanted.manifest["spec"]


def test_a_virtual_service_that_was_written_since_is_looked_at_again(cluster: KubernetesCluster, owner: Owner) -> None:
    write(cluster, owner, TrafficSplit.only(STABLE))
    seen = read(cluster, owner)
    write(cluster, owner, TrafficSplit.between(STABLE, CANDIDATE, 0))

    with pytest.raises(ObjectChanged):
        write(cluster, owner, TrafficSplit.only(CANDIDATE), seen=seen)


def test_whoever_edits_a_virtual_service_of_ours_is_named(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi
) -> None:
    write(cluster, owner, TrafficSplit.between(STABLE, CANDIDATE, 25))
    change = [
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 50},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 50},
    ]
    api.patch(VIRTUAL_SERVICES, owner.namespace, "digits", change, manager="kubectl-edit")
    until(lambda: read(cluster, owner).split == TrafficSplit.between(STABLE, CANDIDATE, 50))

    assert read(cluster, owner).edited_by == "kubectl-edit"


@pytest.fixture
def theirs(owner: Owner, api: KubernetesApi) -> Manifest:
    """A VirtualService of the user's."""
    made = api.create(
        VIRTUAL_SERVICES,
        {
            "apiVersion": VIRTUAL_SERVICES.api_version,
            "kind": VIRTUAL_SERVICES.kind,
            "metadata": {"name": "shop", "namespace": owner.namespace},
            "spec": {
                "hosts": ["shop.example.com"],
                "gateways": ["edge/public"],
                "http": [
                    {
                        "name": "digits",
                        "match": [{"uri": {"prefix": "/digits"}}],
                        "route": [LEGACY],
                        "corsPolicy": {"allowOrigins": [{"exact": "https://example.com"}]},
                    },
                    {"route": [{"destination": {"host": "web"}}]},
                ],
            },
        },
    )
    assert made is not None
    return made


def destinations(api: KubernetesApi, namespace: str) -> Mapping[str, int | None]:
    """Those of the lent route, by name."""
    found = api.get(VIRTUAL_SERVICES, namespace, "shop")
    assert found
    return {each["destination"]["host"]: each.get("weight") for each in found["spec"]["http"][0]["route"]}


def test_a_lent_route_is_taken_and_given_back_and_the_rest_is_as_it_was(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi, theirs: Manifest
) -> None:
    def seen() -> Mapping[str, Any]:
        cluster._read_anew(VIRTUAL_SERVICES, owner.namespace, "shop")
        return dict(destinations(api, owner.namespace))

    until(lambda: read(cluster, owner, LENT_ROUTE).split == TrafficSplit.only("legacy"))
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_ROUTE)
    assert seen() == {"legacy": 100, STABLE: 0}
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_ROUTE, leaving=frozenset({"legacy"}))
    assert seen() == {STABLE: 100, "legacy": 0}
    write(cluster, owner, TrafficSplit.only(STABLE), LENT_ROUTE)
    assert seen() == {STABLE: 100}

    back = []
    for _ in range(3):
        for patch in ROUTER.returns(owner, None, FollowedFor(cluster, owner)).patches:
            cluster.patch(*patch)
        back.append(seen())
    assert back == [{STABLE: 100, "legacy": 0}, {"legacy": 100, STABLE: 0}, {"legacy": None}]
    after = api.get(VIRTUAL_SERVICES, owner.namespace, "shop")
    assert after
    assert after["spec"] == theirs["spec"]
    assert LENT not in after["metadata"].get("annotations", {})
    assert ROUTER.returns(owner, None, FollowedFor(cluster, owner)).lent == 0


def test_a_route_whose_virtual_service_has_changed_is_not_written(
    cluster: KubernetesCluster, owner: Owner, api: KubernetesApi, theirs: Manifest
) -> None:
    until(lambda: read(cluster, owner, LENT_ROUTE).split)
    seen = read(cluster, owner, LENT_ROUTE)
    change = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    api.patch(VIRTUAL_SERVICES, owner.namespace, "shop", change, manager="kubectl-edit")

    with pytest.raises(ObjectChanged):
        write(cluster, owner, TrafficSplit.only(STABLE), LENT_ROUTE, seen=seen)
    assert destinations(api, owner.namespace) == {"legacy": None}
