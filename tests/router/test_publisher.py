"""The order in which Envoy is told, with one that takes, refuses, dies and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.router.conftest import LIVE_NEW, LIVE_OLD, NEW, OLD
from tests.router.envoy_double import EnvoyDouble, Refuse
from tidegate.resources.model_route import Backend, Route
from tidegate.resources.router_report import Applied
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_lifecycle import COUNTS_SECONDS, UNKNOWN_SECONDS
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.publisher import FIRST_ROUTES_SECONDS, LAST_POD_SECONDS, MAX_REFUSED, Publisher
from tidegate.router.resource_names import layer_of
from tidegate.router.xds import CLUSTERS, ENDPOINTS, ROUTES

PODS_OF_OLD, PODS_OF_NEW = f"shop/{OLD}", f"shop/{NEW}"
WEIGHTS = f"weights {layer_of('shop', 'sentiment')}"
MODEL = "shop/sentiment"


def a_route(*shares: tuple[str, int], name: str = "sentiment", header: str = "x-tidegate-revision") -> Route:
    return Route("shop", name, header, 60, tuple(Backend(*share) for share in shares))


def pods(*addresses: str, leaving: bool = False) -> Answering:
    return Answering(tuple(Endpoint(address, 8080) for address in addresses), leaving)


@dataclass
class Router:
    """A publisher and its Envoy, on a clock of their own."""

    envoy: EnvoyDouble = field(default_factory=EnvoyDouble)
    publisher: Publisher = field(default_factory=Publisher)
    now: float = 100.0
    version: int = 0
    kept: dict[tuple[str, str], Route] = field(default_factory=dict)
    answering: dict[Service, Answering] = field(default_factory=dict)
    held: list[pb.DeltaDiscoveryRequest] | None = None

    def put(self, *routes: Route, **services: Answering) -> None:
        """All routes, and who answers for these Services in 'shop' from now on (`_` stands for a hyphen)."""
        self.answer(**services)
        self.version += 1
        self.publisher.set_routes({"": [(route, self.version) for route in routes]}, self.now)
        self.publisher.settle(self.now)
        self.pump()

    def answer(self, **services: Answering) -> None:
        """Who answers for these Services from now on."""
        found = {Service("shop", name.replace("_", "-")): each for name, each in services.items()}
        self.answering |= found
        if found:
            self.publisher.set_answering(found, self.now)
            self.pump()

    def connect(self) -> None:
        """A stream begins."""
        self._exchange(self.envoy.connect())

    def reconnect(self) -> None:
        """The stream broke, and Envoy is back with what it has."""
        self.publisher.close()
        self.connect()

    def restart_envoy(self) -> None:
        """Another Envoy, which has nothing."""
        self.publisher.close()
        self.envoy = EnvoyDouble(self.envoy.refuse)
        self.connect()

    def keep(self) -> None:
        """As the copy on the disk is kept."""
        for name, route in self.publisher.take_taken().items():
            self.kept.pop(name, None)
            if route:
                self.kept[name] = route

    def restart_agent(self) -> None:
        """Another agent, which recalls what this one had on its disk."""
        self.keep()
        self.publisher = Publisher()
        self.publisher.recall(self.kept.values(), self.answering, self.now)

    def pump(self) -> None:
        """Until both are silent."""
        self._exchange([])

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.pump()

    def hold_answers_on_routes(self) -> None:
        """Envoy takes routes, and its answer doesn't come before `release_answers` or a new stream."""
        self.held = []

    def release_answers(self) -> None:
        """What was held comes now."""
        held, self.held = self.held or [], None
        self._exchange(held)

    def _heard(self, request: pb.DeltaDiscoveryRequest) -> bool:
        is_held = self.held is not None and request.type_url == ROUTES
        if self.held is not None and is_held:
            self.held.append(request)
        return not is_held

    def _exchange(self, requests: list[pb.DeltaDiscoveryRequest]) -> None:
        waiting = list(requests)
        for _ in range(1000):
            for request in waiting:
                self.publisher.hear(request, self.now)
            responses = self.publisher.respond(self.now)
            answers = [request for response in responses for request in self.envoy.take(response)]
            waiting = [answer for answer in answers if self._heard(answer)]
            if not waiting:
                return
        pytest.fail("they never fall silent")


def refusing(kind: str, names: Mapping[str, str]) -> Refuse:
    """Refuses resources of one kind whose content has one of these texts in it."""

    def refuse(resource: pb.Resource) -> str:
        if resource.resource.type_url != kind:
            return ""
        found = (said for text, said in names.items() if text.encode() in resource.resource.value)
        return next(found, "")

    return refuse


@pytest.fixture
def router() -> Router:
    """One revision serves; Envoy has all of it."""
    made = Router()
    made.put(a_route((OLD, 100)), sentiment_aaaaaaaa=pods("10.0.0.1"))
    made.connect()
    made.envoy.since()
    return made


def test_a_new_envoy_gets_clusters_before_routes_and_weights_before_both() -> None:
    router = Router()
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_aaaaaaaa=pods("10.0.0.1"), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.connect()

    assert [line.split(" ")[0] for line in router.envoy.journal] == ["clusters", "weights", "endpoints", "routes"]
    assert router.envoy.shares(MODEL) == {OLD: 90, NEW: 10}
    assert router.publisher.applied == Applied({"": 1})


def test_an_envoy_without_models_begins_too() -> None:
    router = Router()
    router.put()
    router.connect()

    assert router.envoy.journal[-1] == "routes tidegate"
    assert router.publisher.applied == Applied({"": 0})


def test_an_agent_that_knows_nothing_yet_says_nothing() -> None:
    router = Router()
    router.connect()

    assert router.envoy.journal == []
    assert router.publisher.applied is None


def test_a_new_revision_gets_its_cluster_endpoints_and_weight_before_the_routes_name_it(router: Router) -> None:
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))

    assert router.envoy.since() == [
        f"clusters {LIVE_NEW} {LIVE_NEW}/preview",
        f"endpoints {PODS_OF_NEW}",
        WEIGHTS,
        "routes tidegate",
    ]
    assert router.envoy.shares(MODEL) == {OLD: 90, NEW: 10}


def test_a_new_split_is_its_weights_and_nothing_else(router: Router) -> None:
    router.put(a_route((OLD, 100), (NEW, 0)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.since()
    router.put(a_route((OLD, 50), (NEW, 50)))

    assert router.envoy.since() == [WEIGHTS]
    assert router.envoy.shares(MODEL) == {OLD: 50, NEW: 50}
    assert router.publisher.applied == Applied({"": 3})


def test_a_change_of_pods_is_their_endpoints_and_nothing_else(router: Router) -> None:
    router.answer(sentiment_aaaaaaaa=pods("10.0.0.1", "10.0.0.2"))

    assert router.envoy.since() == [f"endpoints {PODS_OF_OLD}"]
    assert router.envoy.hosts(PODS_OF_OLD) == ["10.0.0.1", "10.0.0.2"]


def test_a_new_cluster_with_endpoints_that_envoy_has_gets_them_once_more(router: Router) -> None:
    router.put(a_route((OLD, 100)), a_route((OLD, 100), name="copy"))

    assert router.envoy.since().count(f"endpoints {PODS_OF_OLD}") == 1
    assert router.publisher.applied == Applied({"": 2})


def test_nothing_is_sent_twice(router: Router) -> None:
    router.put(a_route((OLD, 100)), sentiment_aaaaaaaa=pods("10.0.0.1"))
    router.wait(3600)

    assert router.envoy.since() == []


def test_a_write_of_a_route_that_changes_nothing_is_applied_too(router: Router) -> None:
    router.put(a_route((OLD, 100)))

    assert router.envoy.since() == []
    assert router.publisher.applied == Applied({"": 2})


def test_a_rollback_waits_for_no_cluster_of_a_revision_that_gets_nothing(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.refuse = refusing(CLUSTERS, {"sentiment-cccccccc": "not now"})
    router.put(a_route((OLD, 100), (NEW, 0), ("sentiment-cccccccc", 0)))

    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}


def test_a_revision_gets_no_weight_before_envoy_has_one_of_its_pods(router: Router) -> None:
    router.put(a_route((OLD, 100), (NEW, 0)))
    router.envoy.refuse = refusing(ENDPOINTS, {"10.0.0.2": "not now"})
    router.put(a_route((OLD, 0), (NEW, 100)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}

    router.answer(sentiment_bbbbbbbb=pods("10.0.0.3"))
    assert router.envoy.shares(MODEL) == {OLD: 0, NEW: 100}


def test_a_revision_without_pods_gives_its_weight_away_before_its_last_endpoint_goes(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.since()
    router.answer(sentiment_bbbbbbbb=Answering())

    assert router.envoy.since() == [WEIGHTS, f"endpoints {PODS_OF_NEW}"]
    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}

    router.answer(sentiment_bbbbbbbb=pods("10.0.0.4"))
    assert router.envoy.since() == [f"endpoints {PODS_OF_NEW}", WEIGHTS]
    assert router.envoy.shares(MODEL) == {OLD: 50, NEW: 50}


def test_a_last_endpoint_goes_after_a_while_though_the_weights_are_stuck(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.refuse = lambda resource: "no" if resource.name.startswith("splits") else ""
    router.answer(sentiment_bbbbbbbb=Answering())
    assert router.envoy.hosts(PODS_OF_NEW) == ["10.0.0.2"]

    router.wait(LAST_POD_SECONDS)
    assert router.envoy.hosts(PODS_OF_NEW) == []


def test_pods_that_are_ending_serve_on_where_nobody_else_is(router: Router) -> None:
    router.answer(sentiment_aaaaaaaa=pods("10.0.0.1", leaving=True))
    assert router.envoy.shares(MODEL) == {OLD: 100}

    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    assert router.envoy.shares(MODEL) == {OLD: 0, NEW: 100}


def test_a_revision_that_replaces_all_others_is_drawn_only_when_the_routes_name_it(router: Router) -> None:
    router.envoy.refuse = lambda resource: "not now" if resource.name == "tidegate" else ""
    router.put(a_route((NEW, 100)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    assert router.envoy.shares(MODEL) == {OLD: 100}

    router.envoy.refuse = lambda _: ""
    router.reconnect()
    assert router.envoy.shares(MODEL) == {NEW: 100}


@pytest.mark.parametrize("stream_breaks", [False, True])
def test_a_rollback_while_routes_without_its_revision_are_under_way_leaves_nobody_without_an_answer(
    router: Router, stream_breaks: bool
) -> None:
    router.put(a_route((OLD, 0), (NEW, 100)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.hold_answers_on_routes()
    router.put(a_route((NEW, 100)))
    router.put(a_route((OLD, 100), (NEW, 0)))
    assert router.envoy.shares(MODEL) == {NEW: 100}
    assert router.publisher.applied == Applied({"": 3})

    if stream_breaks:
        router.publisher.close()
        router.held = None
        for request in router.envoy.connect():
            router.publisher.hear(request, router.now)
            router.pump()
            assert sum(router.envoy.shares(MODEL).values()) == 100
    else:
        router.release_answers()
    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}
    assert router.publisher.applied == Applied({"": 4})


def test_a_revision_that_is_no_longer_routed_keeps_its_cluster_while_its_counts_may_be_read(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.put(a_route((NEW, 100)))
    assert router.envoy.shares(MODEL) == {NEW: 100}
    assert router.publisher.again_at() == router.now + COUNTS_SECONDS

    router.wait(COUNTS_SECONDS - 1)
    assert router.envoy.live_clusters == [LIVE_OLD, LIVE_NEW]
    router.envoy.since()
    router.wait(1)
    assert router.envoy.since() == [f"clusters -{LIVE_OLD} -{LIVE_OLD}/preview"]
    assert router.publisher.again_at() is None


def test_a_model_that_is_deleted_and_made_anew_goes_on_with_its_clusters(router: Router) -> None:
    router.envoy.since()
    router.put()
    router.wait(COUNTS_SECONDS - 1)
    router.put(a_route((OLD, 100)), sentiment_aaaaaaaa=pods("10.0.0.7"))
    router.wait(2 * COUNTS_SECONDS)

    assert router.envoy.shares(MODEL) == {OLD: 100}
    assert router.envoy.live_clusters == [LIVE_OLD]
    assert not [line for line in router.envoy.since() if line.startswith("clusters")]


def test_while_envoy_refuses_the_routes_no_cluster_leaves(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.refuse = lambda resource: "no" if resource.name == "tidegate" else ""
    router.put(a_route((NEW, 100)))
    router.wait(10 * COUNTS_SECONDS)

    assert router.envoy.live_clusters == [LIVE_OLD, LIVE_NEW]
    assert router.publisher.applied == Applied({"": 3}, {("shop", "sentiment"): "no"})


def test_a_model_whose_routes_envoy_refuses_stays_as_it_was_and_the_others_go_on() -> None:
    names = [f"model-{number}" for number in range(9)]
    before = [a_route((f"{name}-a", 100), name=name) for name in names]
    router = Router()
    router.put(*before, **{f"{name}-a": pods("10.0.0.1") for name in names})
    router.connect()
    router.envoy.refuse = refusing(ROUTES, {"x-bad": "no such header"})
    after = [
        a_route((f"{name}-a", 60), (f"{name}-b", 40), name=name, header="x-bad" if name == "model-4" else "x-good")
        for name in names
    ]
    router.put(*after, **{f"{name}-b": pods("10.0.0.2") for name in names})

    shares = {name: router.envoy.shares(f"shop/{name}") for name in names}
    assert shares.pop("model-4") == {"model-4-a": 100}
    assert shares == {name: {f"{name}-a": 60, f"{name}-b": 40} for name in names if name != "model-4"}
    assert router.publisher.applied == Applied({"": 2}, {("shop", "model-4"): "no such header"})


def test_a_refused_route_is_tried_again_when_it_changes_and_no_sooner(router: Router) -> None:
    router.envoy.refuse = refusing(ROUTES, {"x-bad": "no such header"})
    router.put(a_route((OLD, 100), header="x-bad"))
    router.envoy.since()
    router.wait(3600)
    router.answer(sentiment_aaaaaaaa=pods("10.0.0.5"))
    assert router.envoy.since() == [f"endpoints {PODS_OF_OLD}"]

    router.put(a_route((OLD, 100), header="x-good"))
    assert router.envoy.since() == ["routes tidegate"]
    assert router.publisher.applied == Applied({"": 3})


def test_a_rollback_to_what_envoy_has_is_applied_without_its_routes(router: Router) -> None:
    router.envoy.refuse = refusing(ROUTES, {NEW: "no such revision"})
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    assert router.publisher.applied == Applied({"": 2}, {("shop", "sentiment"): "no such revision"})

    router.put(a_route((OLD, 100)))
    assert router.publisher.applied == Applied({"": 3})
    assert router.envoy.shares(MODEL) == {OLD: 100}


@pytest.mark.parametrize("kind", [CLUSTERS, ENDPOINTS])
def test_one_bad_resource_among_many_is_left_alone(kind: str) -> None:
    names = [f"model-{number}" for number in range(9)]
    router = Router(EnvoyDouble(refusing(kind, {"model-4-a": "malformed"})))
    router.put(
        *(a_route((f"{name}-a", 100), name=name) for name in names), **{f"{name}-a": pods("10.0.0.1") for name in names}
    )
    router.connect()
    router.wait(FIRST_ROUTES_SECONDS)

    served = {name for name in names if router.envoy.shares(f"shop/{name}")}
    assert served == set(names) - {"model-4"}
    assert router.publisher.applied == Applied({"": 1}, {("shop", "model-4"): "malformed"})


def test_endpoints_that_envoy_refuses_leave_those_that_it_has(router: Router) -> None:
    router.envoy.refuse = refusing(ENDPOINTS, {"nonsense": "malformed IP address: nonsense"})
    router.answer(sentiment_aaaaaaaa=pods("nonsense"))

    assert router.envoy.hosts(PODS_OF_OLD) == ["10.0.0.1"]
    assert router.publisher.applied == Applied({"": 1}, {("shop", "sentiment"): "malformed IP address: nonsense"})

    router.answer(sentiment_aaaaaaaa=pods("10.0.0.2"))
    assert router.envoy.hosts(PODS_OF_OLD) == ["10.0.0.2"]
    assert router.publisher.applied == Applied({"": 1})


def test_endpoints_that_are_back_to_what_envoy_has_are_refused_no_more(router: Router) -> None:
    router.envoy.refuse = refusing(ENDPOINTS, {"nonsense": "malformed IP address: nonsense"})
    router.answer(sentiment_aaaaaaaa=pods("nonsense"))
    router.answer(sentiment_aaaaaaaa=pods("10.0.0.1"))

    assert router.publisher.applied == Applied({"": 1})


def test_what_is_told_of_refusals_is_bounded_and_the_versions_stay_behind_the_rest(router: Router) -> None:
    router.envoy.refuse = refusing(ROUTES, {"x-bad": "no"})
    bad = [
        (a_route((OLD, 100), name=f"model-{number:02}", header="x-bad"), 10 + number)
        for number in range(MAX_REFUSED + 3)
    ]
    router.publisher.set_routes({"": [(a_route((OLD, 100)), 1), *bad]}, router.now)
    router.pump()

    assert router.publisher.applied is not None
    assert len(router.publisher.applied.refused) == MAX_REFUSED
    assert router.publisher.applied.versions == {"": 10 + MAX_REFUSED - 1}


def test_a_stream_that_breaks_costs_nothing(router: Router) -> None:
    router.reconnect()

    assert router.envoy.since() == []
    assert router.publisher.applied == Applied({"": 1})


def test_what_changed_while_the_stream_was_broken_is_all_that_is_sent_then(router: Router) -> None:
    router.publisher.close()
    router.put(a_route((OLD, 100)), sentiment_aaaaaaaa=pods("10.0.0.9"))
    router.envoy.since()
    router.connect()

    assert router.envoy.since() == [f"endpoints {PODS_OF_OLD}"]


def test_a_new_envoy_is_told_everything(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.put(a_route((NEW, 100)))
    router.restart_envoy()

    assert router.envoy.shares(MODEL) == {NEW: 100}
    assert router.envoy.live_clusters == [LIVE_NEW]
    assert router.publisher.applied == Applied({"": 3})


def test_an_agent_that_starts_again_sends_nothing_when_nothing_changed(router: Router) -> None:
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.envoy.since()
    router.restart_agent()
    router.connect()
    assert router.publisher.applied is None

    router.put(a_route((OLD, 90), (NEW, 10)))
    assert router.envoy.since() == []
    assert router.publisher.applied == Applied({"": 3})


def test_an_agent_that_knows_only_its_disk_changes_nothing_that_envoy_has(router: Router) -> None:
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.keep()
    router.put(a_route((OLD, 100), (NEW, 0)))
    router.envoy.since()
    router.publisher = Publisher()
    router.publisher.recall(router.kept.values(), {Service("shop", OLD): pods("10.0.0.77")}, router.now)
    router.connect()
    router.wait(3600)

    assert router.envoy.since() == []
    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}


def test_an_agent_whose_copy_is_outdated_takes_back_no_rollback(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.keep()
    rolled_back = a_route((OLD, 100), (NEW, 0))
    router.put(rolled_back)
    router.publisher = Publisher()
    router.publisher.recall(router.kept.values(), router.answering, router.now)
    router.publisher.set_routes({"": [(rolled_back, 4)]}, router.now)
    router.publisher.settle(router.now)

    seen = [router.envoy.shares(MODEL)]
    for request in router.envoy.connect():
        router.publisher.hear(request, router.now)
        router.pump()
        seen.append(router.envoy.shares(MODEL))
    assert seen == [{OLD: 100, NEW: 0}] * 5
    assert router.publisher.applied == Applied({"": 4})


def test_an_agent_whose_copy_is_of_other_routes_leaves_nobody_without_an_answer(router: Router) -> None:
    router.put(a_route((OLD, 100), (NEW, 0)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.keep()
    router.put(a_route((NEW, 100)))
    wanted = a_route((OLD, 100), (NEW, 0))
    router.publisher = Publisher()
    router.publisher.recall(router.kept.values(), router.answering, router.now)
    router.publisher.set_routes({"": [(wanted, 4)]}, router.now)
    router.publisher.settle(router.now)

    router.hold_answers_on_routes()
    refuse, router.envoy.refuse = router.envoy.refuse, refusing(ROUTES, {"": "not yet"})
    for request in router.envoy.connect():
        router.publisher.hear(request, router.now)
        router.pump()
        assert router.envoy.shares(MODEL) == {NEW: 100}
        assert router.publisher.applied is None
    router.envoy.refuse = refuse
    router.held = None
    router.reconnect()
    assert router.envoy.shares(MODEL) == {OLD: 100, NEW: 0}
    assert router.envoy.since()[-2:] == ["routes tidegate", WEIGHTS]
    assert router.publisher.applied == Applied({"": 4})


def test_a_new_envoy_starts_from_the_disk(router: Router) -> None:
    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.restart_agent()
    router.restart_envoy()

    assert router.envoy.shares(MODEL) == {OLD: 90, NEW: 10}
    assert router.envoy.hosts(PODS_OF_NEW) == ["10.0.0.2"]


def test_an_agent_that_starts_again_lets_old_clusters_leave_in_order(router: Router) -> None:
    router.put(a_route((OLD, 50), (NEW, 50)), sentiment_bbbbbbbb=pods("10.0.0.2"))
    router.put(a_route((NEW, 100)))
    router.restart_agent()
    router.connect()
    router.put(a_route((NEW, 100)))
    assert router.envoy.live_clusters == [LIVE_OLD, LIVE_NEW]

    router.wait(UNKNOWN_SECONDS)
    assert router.envoy.live_clusters == [LIVE_NEW]


def test_an_agent_without_a_copy_takes_nothing_from_an_envoy_that_serves(router: Router) -> None:
    router.publisher = Publisher()
    router.connect()
    assert router.envoy.since() == []

    router.put(a_route((OLD, 90), (NEW, 10)), sentiment_aaaaaaaa=pods("10.0.0.1"), sentiment_bbbbbbbb=pods("10.0.0.2"))
    assert router.envoy.shares(MODEL) == {OLD: 90, NEW: 10}
    assert not [line for line in router.envoy.since() if line.startswith("clusters -")]


def test_a_model_that_is_deleted_is_routed_no_more(router: Router) -> None:
    router.put()

    assert router.envoy.shares(MODEL) == {}
    assert router.publisher.applied == Applied({"": 0})
    router.wait(COUNTS_SECONDS)
    assert router.envoy.live_clusters == []


def test_two_models_of_one_name_are_no_trouble_whatever_the_order(router: Router) -> None:
    other = Route("bank", "sentiment", "x-tidegate-revision", 60, (Backend("sentiment-cccccccc", 100),))
    router.put(a_route((OLD, 100)), other)

    assert router.envoy.shares("bank/sentiment") == {"sentiment-cccccccc": 100}
    assert router.publisher.applied == Applied({"": 2})
