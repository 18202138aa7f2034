"""The agent's view of the cluster: complete or nothing, and never poorer because the API server is away."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks.programs import free_ports
from tests.conftest import until
from tests.router.conftest import ask
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import ENDPOINT_SLICES, LEASES, MODEL_ROUTES, KubernetesApi, Resource
from tidegate.kube.api import Manifest as Body
from tidegate.kube.event_recorder import EventRecorder
from tidegate.kube.informer import Informer
from tidegate.resources.model_route import read_route
from tidegate.resources.router_report import Applied, RouterIdentity, read_report, report_manifest
from tidegate.router.agent import certificate_event
from tidegate.router.heartbeat import Heartbeat
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.routing_cache import Changes, RoutingCache
from tidegate.router.sampling_server import serve

AT = datetime(2026, 1, 1, tzinfo=UTC)
REVISION = "sentiment-aaaaaaaa"
SERVICE = Service("shop", REVISION)
SERVED = {SERVICE: Answering((Endpoint("10.0.0.1", 8080),))}
ROUTER = RouterIdentity("tidegate", "router-1", "uid-1", "tidegate-router")


def a_route(name: str = "sentiment", weight: int = 100, version: str = "1", namespace: str = "shop") -> Body:
    metadata = {"namespace": namespace, "name": name, "generation": int(version), "resourceVersion": version}
    return {"metadata": metadata, "spec": {"backends": [{"revision": REVISION, "weight": weight}]}}


def a_slice(address: str, name: str = "x") -> Body:
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": REVISION}},
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
    deleted: list[tuple[str, str]] = field(default_factory=list)
    refuse: Exception | None = None
    refused: int = 0

    def list(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        *,
        limit: int | None = None,
        continue_token: str = "",
        metadata_only: bool = False,
    ) -> Body:
        self.asked.append("list")
        found = self.lists.pop(0)
        if isinstance(found, ClusterUnavailable):
            raise found
        return found

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        version: str,
        *,
        seconds: int,
        metadata_only: bool = False,
    ) -> Iterator[Body]:
        self.asked.append(f"watch from {version}")
        for event in self.watches.pop(0):
            if isinstance(event, ClusterUnavailable):
                raise event
            yield event

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        assert resource == LEASES
        self.deleted.append((namespace, name))

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, manager: str) -> Body:
        assert (resource, manager) == (LEASES, "router-1")
        if self.refuse is not None:
            self.refused += 1
            raise self.refuse
        self.applied.append(dict(manifest))
        return dict(manifest)


def listed(version: str, *items: Body) -> Body:
    return {"metadata": {"resourceVersion": version}, "items": list(items)}


def versioned(body: Body, version: str) -> Body:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}}


def event(kind: str, body: Body) -> Body:
    return {"type": kind, "object": body}


GONE = event("ERROR", {"code": 410, "message": "too old"})


@dataclass
class Followed:
    """The agent's cache of one or more namespaces on a fake API; of each change that it told, whether it can't wait."""

    kube: FakeKube
    namespaces: Sequence[str | None] = (None,)
    told: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache = RoutingCache(self.kube, self.namespaces, self._tell)  # type: ignore[arg-type]
        self._routes, self.slices = self.cache.informers[0], self.cache.informers[-1]

    def _tell(self, *, at_once: bool) -> None:
        self.told.append(at_once)

    def follow_routes(self) -> None:
        """One list if it is due, and one watch."""
        self._routes.follow_once()

    def list_slices(self) -> None:
        """The endpoints are there, and nothing is said of them any more."""
        lists, watches = self.kube.lists, self.kube.watches
        self.kube.lists, self.kube.watches = [listed("1", a_slice("10.0.0.1"))], [[]]
        self.slices.follow_once()
        self.kube.lists, self.kube.watches = lists, watches
        self.kube.asked.clear()

    @property
    def names(self) -> list[str]:
        changes = self.cache.take()
        assert changes is not None
        assert changes.routes is not None
        return sorted(route.name for listed in changes.routes.values() for route, _ in listed)


def following(lists: Sequence[Body], *watches: Sequence[Body | ClusterUnavailable]) -> Followed:
    """The endpoints are listed; the routes aren't yet."""
    followed = Followed(FakeKube(list(lists), [list(watch) for watch in watches]))
    followed.list_slices()
    return followed


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists follow each other without a pause."""
    monkeypatch.setattr("tidegate.kube.informer.ROUND_SECONDS", 0.0)


def test_half_a_world_is_no_world() -> None:
    followed = following([listed("5", a_route())], [])
    assert followed.cache.take() is None
    followed.follow_routes()
    assert followed.cache.take() == Changes({"": [(read_route(a_route()), 1)]}, SERVED)


def test_a_list_that_is_there_and_not_entered_yet_is_half_a_world_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Changes | None] = []
    kube = FakeKube([listed("5", a_route())], [[]])
    followed = Followed(kube)
    followed.follow_routes()
    kube.lists, kube.watches = [listed("1", a_slice("10.0.0.1"))], [[]]
    slices, complete = followed.slices, followed.slices._complete

    def complete_and_take() -> None:
        complete.set()
        seen.append(followed.cache.take())

    monkeypatch.setattr(slices, "_complete", Mock(wraps=complete, set=complete_and_take))
    slices.follow_once()

    assert seen == [None]
    assert followed.cache.take() == Changes({"": [(read_route(a_route()), 1)]}, SERVED)


def test_a_world_without_a_route_is_told_too() -> None:
    followed = following([listed("5")], [])
    followed.told.clear()
    followed.follow_routes()
    assert (followed.names, followed.told) == ([], [True])


def test_a_bad_route_is_skipped_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    followed = following([listed("5", a_route("bad", weight=7), a_route("good"))], [])
    followed.follow_routes()
    assert followed.names == ["good"]
    assert caplog.messages == ["ModelRoute shop/bad is skipped: spec.backends: the weights add to 7, not 100"]


def test_a_bad_slice_is_skipped_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    bad = a_slice("10.0.0.2", name="bad") | {"endpoints": ["not an endpoint"]}
    followed = Followed(FakeKube([listed("5", bad, a_slice("10.0.0.1"))], [[]]))
    followed.cache.informers[-1].follow_once()
    followed.kube.lists, followed.kube.watches = [listed("5", a_route())], [[]]
    followed.follow_routes()
    changes = followed.cache.take()
    assert changes is not None
    assert changes.services == SERVED
    assert [message.split(":")[0] for message in caplog.messages] == ["EndpointSlice shop/bad is skipped"]


def test_a_route_that_turns_bad_stays_as_it_was() -> None:
    followed = following([listed("5", a_route())], [], [event("MODIFIED", a_route(weight=7, version="6"))])
    followed.follow_routes()
    assert followed.names == ["sentiment"]
    followed.follow_routes()
    assert followed.kube.asked == ["list", "watch from 5", "watch from 5"]
    assert followed.cache.take() == Changes(None, {})


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    followed = Followed(FakeKube(), ("lab", "shop"))
    lab, shop, *slices = followed.cache.informers
    for informer, first in (
        (lab, [a_route("digits", namespace="lab")]),
        (shop, [a_route()]),
        *((s, []) for s in slices),
    ):
        followed.kube.lists, followed.kube.watches = [listed("5", *first)], [[]]
        informer.follow_once()
    assert followed.names == ["digits", "sentiment"]
    followed.kube.lists, followed.kube.watches = [listed("9")], [[GONE], []]
    with pytest.raises(ClusterUnavailable):
        shop.follow_once()
    shop._version = None
    shop.follow_once()
    assert followed.names == ["digits"]


def test_a_write_that_changes_nothing_is_applied_too() -> None:
    followed = following([listed("5", a_route())], [])
    followed.follow_routes()
    followed.told.clear()
    rewritten = a_route()
    rewritten["metadata"] = {**rewritten["metadata"], "resourceVersion": "7"}
    followed.kube.watches = [[event("MODIFIED", rewritten)]]
    followed.follow_routes()

    assert followed.told == [True]
    assert followed.cache.take() == Changes({"": [(read_route(a_route()), 7)]}, SERVED)


def test_only_what_changed_is_taken_in_anew() -> None:
    followed = following([listed("5", a_route())], [])
    followed.follow_routes()
    followed.cache.take()
    other = a_slice("10.0.0.2", name="y")
    followed.kube.watches = [
        [event("ADDED", versioned(other, "6")), event("DELETED", versioned(a_slice("10.0.0.1"), "7"))]
    ]
    followed.slices.follow_once()

    assert followed.cache.take() == Changes(None, {SERVICE: Answering((Endpoint("10.0.0.2", 8080),))})
    assert followed.cache.take() == Changes(None, {})

    followed.kube.watches = [[event("DELETED", versioned(other, "8"))]]
    followed.slices.follow_once()
    assert followed.cache.take() == Changes(None, {SERVICE: Answering()})


def test_what_is_told_can_wait_as_long_as_a_pod_still_answers_that_was_taken() -> None:
    followed = following([listed("5", a_route())], [])
    followed.follow_routes()
    followed.cache.take()
    followed.told.clear()
    addresses = [["10.0.0.1", "10.0.0.2"], ["10.0.0.1"], ["10.0.0.3"], ["10.0.0.1", "10.0.0.3"], []]
    slices = [{**a_slice(""), "endpoints": [{"addresses": each}]} for each in addresses]
    followed.kube.watches = [[event("MODIFIED", versioned(each, str(6 + n))) for n, each in enumerate(slices)]]
    followed.slices.follow_once()

    assert followed.told == [False, False, True, False, True]
    assert followed.cache.take() == Changes(None, {SERVICE: Answering()})


def test_pods_of_another_slice_of_the_same_service_answer_as_well() -> None:
    followed = following([listed("5", a_route())], [])
    followed.follow_routes()
    other = event("ADDED", versioned(a_slice("10.0.0.2", name="y"), "6"))
    followed.kube.watches = [[other]]
    followed.slices.follow_once()
    followed.cache.take()
    followed.told.clear()
    followed.kube.watches = [[event("DELETED", versioned(a_slice("10.0.0.1"), "7")), {**other, "type": "DELETED"}]]
    followed.slices.follow_once()

    assert followed.told == [False, True]


def test_a_slice_that_moves_to_another_service_leaves_its_own() -> None:
    followed = following([listed("5", a_route())], [])
    followed.follow_routes()
    followed.cache.take()
    moved = versioned(a_slice("10.0.0.1"), "6")
    moved["metadata"]["labels"] = {"kubernetes.io/service-name": "sentiment-bbbbbbbb"}
    followed.kube.watches = [[event("MODIFIED", moved)]]
    followed.slices.follow_once()

    there = Service("shop", "sentiment-bbbbbbbb")
    assert followed.cache.take() == Changes(None, {SERVICE: Answering(), there: SERVED[SERVICE]})


def test_a_watch_goes_on_from_where_it_was() -> None:
    news = [event("ADDED", a_route("b", version="6")), event("BOOKMARK", a_route(version="9"))]
    followed = following([listed("5", a_route("a"))], news, [])
    followed.follow_routes()
    followed.follow_routes()
    assert followed.kube.asked == ["list", "watch from 5", "watch from 9"]
    assert followed.names == ["a", "b"]


def test_a_deleted_route_is_gone() -> None:
    followed = following([listed("5", a_route("a"))], [event("DELETED", a_route("a", version="6"))])
    followed.follow_routes()
    assert followed.names == []


@pytest.mark.parametrize(
    "forgotten",
    [
        pytest.param(ClusterUnavailable("gone", 410), id="when the watch is opened"),
        pytest.param(GONE, id="in the middle of a watch"),
    ],
)
def test_a_server_that_has_forgotten_is_asked_for_all(forgotten: Any) -> None:
    followed = following([listed("5", a_route("a")), listed("8", a_route("b"))], [forgotten], [])
    followed.cache.informers[0].start()
    until(lambda: len(followed.kube.asked) >= 4)
    assert followed.kube.asked[:4] == ["list", "watch from 5", "list", "watch from 8"]
    assert followed.names == ["b"]
    assert followed.cache.informers[0].silent_seconds() < 5
    followed.cache.stop()


def test_an_api_server_that_is_away_takes_nothing_away() -> None:
    followed = following([listed("5", a_route("a"))], [ClusterUnavailable("refused")])
    with pytest.raises(ClusterUnavailable):
        followed.follow_routes()
    assert followed.names == ["a"]


def test_only_the_endpoints_of_our_own_services_are_followed() -> None:
    routes, slices = (informer.kind for informer in Followed(FakeKube()).cache.informers)

    assert (routes.resource, routes.selector) == (MODEL_ROUTES, None)
    assert (slices.resource, slices.selector) == (ENDPOINT_SLICES, "app.kubernetes.io/managed-by=tidegate")


def test_an_agent_whose_thread_died_or_hears_nothing_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    cache = Followed(FakeKube()).cache
    assert cache.is_healthy()
    monkeypatch.setattr(Informer, "silent_seconds", lambda _: 61.4)
    assert cache.report().splitlines() == [
        "ModelRoute in all namespaces: last event 61 s ago",
        "EndpointSlice in all namespaces: last event 61 s ago",
    ]
    monkeypatch.setattr("tidegate.router.routing_cache.SILENCE_SECONDS", 0.0)
    assert not cache.is_healthy()
    monkeypatch.undo()

    with monkeypatch.context() as dying:
        dying.setattr(threading, "excepthook", lambda _: None)
        dying.setattr(cache.informers[0], "follow_once", Mock(side_effect=SystemExit))
        cache.informers[0].start()
        until(lambda: not cache.is_healthy())
    assert cache.report().splitlines()[0].endswith(", not followed any more")


def test_the_agents_health_is_asked_for_over_http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port, admin_port = free_ports(2)
    cache = Followed(FakeKube()).cache
    server = serve(port, cache, "tidegate/router-1", tmp_path, admin_port)
    try:
        healthy, unknown = ask(port, "GET", "/healthz", {}), ask(port, "GET", "/", {})
        monkeypatch.setattr("tidegate.router.routing_cache.SILENCE_SECONDS", 0.0)
        silent = ask(port, "GET", "/healthz", {})
    finally:
        server.shutdown()
        server.server_close()

    assert [answer.status for answer in (healthy, unknown, silent)] == [200, 404, 503]
    assert [line.split(":")[0] for line in healthy.text.splitlines()] == [
        "ModelRoute in all namespaces",
        "EndpointSlice in all namespaces",
    ]


def a_heartbeat(kube: FakeKube) -> tuple[Heartbeat, threading.Thread, threading.Event]:
    stop = threading.Event()
    heartbeat = Heartbeat(kube, ROUTER, stop, lambda: AT)
    thread = threading.Thread(target=heartbeat.run, daemon=True)
    thread.start()
    return heartbeat, thread, stop


def ended(heartbeat: Heartbeat, thread: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    heartbeat.wake()
    thread.join(5)
    assert not thread.is_alive()


def reported(*applied: Mapping[str, int]) -> list[Body]:
    return [report_manifest(ROUTER, Applied(each), AT) for each in applied]


def test_a_certificate_that_can_not_be_served_is_in_the_lease_until_it_can() -> None:
    kube = FakeKube()
    heartbeat, thread, stop = a_heartbeat(kube)
    until(lambda: kube.applied == reported({}))
    heartbeat.certificate("there is no tls.crt")
    until(lambda: len(kube.applied) == 2)
    heartbeat.certificate("")
    until(lambda: len(kube.applied) == 3)
    ended(heartbeat, thread, stop)
    assert [read_report(each).certificate for each in kube.applied] == ["", "there is no tls.crt", ""]


def test_a_certificate_is_an_event_of_the_pod() -> None:
    api = Mock(spec=KubernetesApi)
    api.create.return_value = {"metadata": {"name": "router-1-x"}}
    recorder = EventRecorder(api, ROUTER.pod)
    for problem in ("there is no tls.crt", ""):
        recorder.emit(ROUTER.about_pod, certificate_event(problem), AT)
    posted = [call.args[1] for call in api.create.call_args_list]
    assert [(each["type"], each["reason"], each["message"]) for each in posted] == [
        ("Warning", "CertificateUnusable", "the router's TLS Secret: there is no tls.crt"),
        ("Normal", "CertificateServed", "the router's TLS Secret can be served again, and is"),
    ]
    assert {(each["involvedObject"]["kind"], each["involvedObject"]["name"]) for each in posted} == {
        ("Pod", "router-1")
    }


def test_what_is_applied_is_reported_once_and_at_once() -> None:
    kube = FakeKube()
    heartbeat, thread, stop = a_heartbeat(kube)
    until(lambda: kube.applied == reported({}))
    heartbeat.applied(Applied({"": 1}))
    until(lambda: kube.applied == reported({}, {"": 1}))
    heartbeat.applied(Applied({"": 1}))
    heartbeat.applied(Applied({"": 2}))
    until(lambda: len(kube.applied) == 3)
    ended(heartbeat, thread, stop)

    assert kube.applied == reported({}, {"": 1}, {"": 2})


def test_a_thousand_routes_are_one_report() -> None:
    kube = FakeKube()
    heartbeat, thread, stop = a_heartbeat(kube)
    until(lambda: len(kube.applied) == 1)
    for version in range(1000):
        heartbeat.applied(Applied({"": version}))
    until(lambda: kube.applied[-1:] == reported({"": 999}))
    ended(heartbeat, thread, stop)

    assert len(kube.applied) <= 4


def test_a_router_that_lives_says_so_though_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.heartbeat.RENEW_SECONDS", 0.01)
    kube = FakeKube()
    heartbeat, thread, stop = a_heartbeat(kube)
    until(lambda: len(kube.applied) >= 3)
    ended(heartbeat, thread, stop)

    assert kube.applied[0] == kube.applied[-1]


@pytest.mark.parametrize(
    "refusal",
    [ClusterUnavailable("it doesn't answer"), OSError("no such file: token")],
    ids=["no answer", "a log-in that fails"],
)
def test_a_report_that_fails_is_tried_again(refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.heartbeat.RETRY_SECONDS", 0.01)
    kube = FakeKube(refuse=refusal)
    heartbeat, thread, stop = a_heartbeat(kube)
    heartbeat.applied(Applied({"": 1}))
    until(lambda: kube.refused >= 2)
    kube.refuse = None
    until(lambda: kube.applied == reported({"": 1}))
    ended(heartbeat, thread, stop)


def test_a_router_that_ends_takes_its_lease_back() -> None:
    kube = FakeKube()
    heartbeat, thread, stop = a_heartbeat(kube)
    ended(heartbeat, thread, stop)
    heartbeat.withdraw()

    assert kube.deleted == [("tidegate", "router-1")]
