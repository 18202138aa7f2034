"""The agent's view of the cluster: complete or nothing, and never poorer because the API server is away."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import ENDPOINT_SLICES, MODEL_ROUTES, Resource
from tidegate.kube.api import Manifest as Body
from tidegate.router.objects import Endpoint, Service
from tidegate.router.route_status import RouteStatusWriter, report
from tidegate.router.store import Kind, Store
from tidegate.router.watching import DecisionListener, Source

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVERYWHERE = frozenset((kind, "") for kind in Kind)
REVISION = "sentiment-aaaaaaaa"


def a_route(name: str = "sentiment", weight: int = 100, version: str = "1", namespace: str = "shop") -> Body:
    metadata = {"namespace": namespace, "name": name, "generation": int(version), "resourceVersion": version}
    return {"metadata": metadata, "spec": {"backends": [{"revision": REVISION, "weight": weight}]}}


def a_slice(address: str) -> Body:
    return {
        "metadata": {"namespace": "shop", "name": "x", "labels": {"kubernetes.io/service-name": REVISION}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address]}],
    }


@dataclass
class FakeKube:
    """Plays lists and watches in order; what is an error is raised."""

    lists: list[Body | ClusterUnavailable] = field(default_factory=list)
    watches: list[list[Body | ClusterUnavailable]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    applied: list[Body] = field(default_factory=list)
    refuse: ClusterUnavailable | None = None

    def list(self, resource: Resource, namespace: str | None, selector: str | None) -> Body:
        self.asked.append("list")
        found = self.lists.pop(0)
        if isinstance(found, ClusterUnavailable):
            raise found
        return found

    def watch(
        self, resource: Resource, namespace: str | None, selector: str | None, version: str, *, seconds: int
    ) -> Iterator[Body]:
        self.asked.append(f"watch from {version}")
        for event in self.watches.pop(0):
            if isinstance(event, ClusterUnavailable):
                raise event
            yield event

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, manager: str, status: bool = False) -> Body:
        assert (resource, status) == (MODEL_ROUTES, True)
        if self.refuse is not None:
            raise self.refuse
        self.applied.append(dict(manifest))
        return dict(manifest)


def listed(version: str, *items: Body) -> Body:
    return {"metadata": {"resourceVersion": version}, "items": list(items)}


def event(kind: str, body: Body) -> Body:
    return {"type": kind, "object": body}


def a_watcher(kube: FakeKube, store: Store) -> DecisionListener:
    return DecisionListener(Source(Kind.ROUTES, ""), kube, store, threading.Event(), lambda: 0.0)


def a_store() -> Store:
    """The endpoints are listed; the routes aren't yet."""
    store = Store(EVERYWHERE)
    store.replace(Kind.SLICES, "", [a_slice("10.0.0.1")])
    return store


def names(store: Store) -> list[str]:
    world = store.world()
    assert world is not None
    return [route.name for route in world.routes]


def test_half_a_world_is_no_world() -> None:
    store = a_store()
    assert store.world() is None
    store.replace(Kind.ROUTES, "", [a_route()])
    world = store.world()
    assert world is not None
    assert world.endpoints == {Service("shop", REVISION): (Endpoint("10.0.0.1", 8080),)}
    assert world.generations == {("shop", "sentiment"): 1}


def test_a_bad_route_is_skipped_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    store = a_store()
    store.replace(Kind.ROUTES, "", [a_route("bad", weight=7), a_route("good")])
    assert names(store) == ["good"]
    assert caplog.messages == ["ModelRoute shop/bad is skipped: spec.backends: the weights add to 7, not 100"]


def test_a_route_that_turns_bad_stays_as_it_was() -> None:
    store = a_store()
    store.replace(Kind.ROUTES, "", [a_route()])
    before = store.world()
    store.put(Kind.ROUTES, a_route(weight=7, version="2"))
    assert store.world() == before


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    store = Store(frozenset({(Kind.ROUTES, "lab"), (Kind.ROUTES, "shop")}))
    store.replace(Kind.ROUTES, "lab", [a_route("digits", namespace="lab")])
    store.replace(Kind.ROUTES, "shop", [a_route()])
    store.replace(Kind.ROUTES, "shop", [])
    assert names(store) == ["digits"]


def test_a_change_that_changes_nothing_wakes_nobody() -> None:
    store = a_store()
    store.replace(Kind.ROUTES, "", [a_route()])
    seen = store.wait(-1, 0)
    store.put(Kind.ROUTES, {**a_route(), "status": {"routers": []}})
    assert store.wait(seen, 0) == seen


def test_a_watch_goes_on_from_where_it_was() -> None:
    store, kube = a_store(), FakeKube([listed("5", a_route("a"))])
    kube.watches = [[event("ADDED", a_route("b", version="6")), event("BOOKMARK", a_route(version="9"))], []]
    watcher = a_watcher(kube, store)
    watcher.follow_once()
    watcher.follow_once()
    assert kube.asked == ["list", "watch from 5", "watch from 9"]
    assert names(store) == ["a", "b"]


def test_a_deleted_route_is_gone() -> None:
    store, kube = a_store(), FakeKube([listed("5", a_route("a"))], [[event("DELETED", a_route("a", version="6"))]])
    a_watcher(kube, store).follow_once()
    assert names(store) == []


@pytest.mark.parametrize(
    "forgotten",
    [
        pytest.param(ClusterUnavailable("gone", 410), id="when the watch is opened"),
        pytest.param(event("ERROR", {"code": 410, "message": "too old"}), id="in the middle of a watch"),
    ],
)
def test_a_server_that_has_forgotten_is_asked_for_all(forgotten: Any) -> None:
    store = a_store()
    kube = FakeKube([listed("5", a_route("a")), listed("8", a_route("b"))], [[forgotten], []])
    watcher = run_to_its_end(kube, store)
    assert kube.asked[:4] == ["list", "watch from 5", "list", "watch from 8"]
    assert names(store) == ["b"]
    assert watcher.last_heard == 0.0


def run_to_its_end(kube: FakeKube, store: Store) -> DecisionListener:
    """Runs a watcher until the script is played; then it is told to stop."""
    stop = threading.Event()

    @dataclass
    class Script(FakeKube):
        def watch(
            self, resource: Resource, namespace: str | None, selector: str | None, version: str, *, seconds: int
        ) -> Iterator[Body]:
            if len(kube.watches) == 1:
                stop.set()
            return kube.watch(resource, namespace, selector, version, seconds=seconds)

        def list(self, resource: Resource, namespace: str | None, selector: str | None) -> Body:
            return kube.list(resource, namespace, selector)

    watcher = DecisionListener(Source(Kind.ROUTES, ""), Script(), store, stop, lambda: 0.0)
    watcher.run()
    return watcher


def test_an_api_server_that_is_away_takes_nothing_away() -> None:
    store, kube = a_store(), FakeKube([listed("5", a_route("a"))], [[ClusterUnavailable("refused")]])
    watcher = a_watcher(kube, store)
    with pytest.raises(ClusterUnavailable):
        watcher.follow_once()
    assert names(store) == ["a"]


def test_only_the_endpoints_of_our_own_services_are_followed() -> None:
    routes, slices = Source(Kind.ROUTES, ""), Source(Kind.SLICES, "shop")

    assert (routes.resource, routes.selector) == (MODEL_ROUTES, None)
    assert (slices.resource, slices.selector) == (ENDPOINT_SLICES, "app.kubernetes.io/managed-by=tidegate")


def a_reporter(kube: FakeKube) -> tuple[RouteStatusWriter, threading.Thread, threading.Event]:
    stop = threading.Event()
    reporter = RouteStatusWriter(kube, "router-1", stop, lambda: AT)
    thread = threading.Thread(target=reporter.run, daemon=True)
    thread.start()
    return reporter, thread, stop


def wait_for(kube: FakeKube, number: int) -> None:
    deadline = threading.Event()
    for _ in range(500):
        if len(kube.applied) >= number:
            return
        deadline.wait(0.01)
    pytest.fail(f"only {len(kube.applied)} reports")


def test_each_generation_is_reported_once() -> None:
    kube = FakeKube()
    reporter, thread, stop = a_reporter(kube)
    name = ("shop", "sentiment")
    for generation in (1, 1, 2, 2):
        reporter.applied({name: generation})
        wait_for(kube, generation)
    stop.set()
    thread.join(5)
    assert kube.applied == [report(name, "router-1", 1, AT), report(name, "router-1", 2, AT)]


def test_a_router_that_ends_takes_its_entries_back() -> None:
    kube = FakeKube()
    reporter, thread, stop = a_reporter(kube)
    reporter.applied({("shop", "sentiment"): 1})
    wait_for(kube, 1)
    stop.set()
    thread.join(5)
    reporter.withdraw(lambda: 0.0)
    assert kube.applied[-1]["status"] == {"routers": []}
