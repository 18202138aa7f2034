"""One rule of the user's route as the router: nothing else of it is touched, and it has what it had in the end."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from tests.operator.gateways import CONTOUR, ENVOY_GATEWAY, STEPS, GatewayWorld, canary, live, promoted
from tests.operator.lending import Lending, users
from tidegate.kube.api import HTTP_ROUTES, Manifest
from tidegate.resources.http_route import LIVE, read_route
from tidegate.resources.names import LENT, RETURNS_RULES

LEGACY = {"name": "legacy", "port": 80, "weight": 1, "filters": [{"type": "RequestHeaderModifier"}]}
OTHER = {"name": "web", "backendRefs": [{"name": "web", "port": 80}]}
FILTERS = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-shop", "value": "1"}]}}]


def users_route(**rule: Any) -> Manifest:
    """With a rule for the model and another one."""
    lent = {
        "name": "digits",
        "matches": [{"path": {"type": "PathPrefix", "value": "/digits"}}],
        "filters": FILTERS,
        "backendRefs": [LEGACY],
        **rule,
    }
    spec = {
        "parentRefs": [{"name": "public", "namespace": "edge"}],
        "hostnames": ["shop.example.com"],
        "rules": [OTHER, lent],
    }
    return users(HTTP_ROUTES, spec)


class LentWorld(Lending, GatewayWorld):
    """Its requests come by the second rule of the user's HTTPRoute."""

    lent_by: ClassVar = {"router": "GatewayAPI", "gatewayAPI": {"routeRef": {"name": "shop", "rule": "digits"}}}

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        """Model servers count apart what nobody has marked as live."""
        found = super().labels(revision, measure)
        is_servers = not found["__name__"].startswith("envoy_")
        return {**found, "traffic": "direct"} if is_servers and LIVE not in self.rule["filters"] else found


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> LentWorld:
    world = LentWorld(spec_schema)
    world.put(users_route())
    return world


def test_a_rule_is_taken_in_two_steps_and_nothing_else_of_the_route_changes(world: LentWorld) -> None:
    first = live(world)

    assert world.written == [
        f"legacy=1 {first}=0",
        f"{first}=100 legacy=0",
        f"{first}=100",
    ]
    assert world.told("Ready") == ("True", "StableServing", f"{first} serves with 1 pod")
    (expected,) = [users_route()["spec"]]
    expected["rules"][1]["backendRefs"] = [{"group": "", "kind": "Service", "name": first, "port": 8080, "weight": 100}]
    assert world.route["spec"] == expected
    assert world.finalizers == [RETURNS_RULES]


def test_a_whole_canary_goes_by_a_lent_rule(world: LentWorld) -> None:
    first, second = promoted(world)

    assert world.written[3:] == canary(first, second)


def test_a_rule_is_given_back_step_by_step_before_the_model_goes(world: LentWorld) -> None:
    first = live(world)
    world.kubectl_delete()
    world.run(10)

    assert world.written[3:] == [f"{first}=100 legacy=0", f"legacy=1 {first}=0", "legacy=1"]
    assert world.route["spec"] == users_route()["spec"]
    assert set(world.route["metadata"].get("annotations", {})) == set()
    assert world.finalizers == []


def test_a_rule_is_given_back_when_another_router_is_asked_for(world: LentWorld) -> None:
    live(world)
    gateway = {"parentRefs": [{"name": "public", "namespace": "edge"}]}
    other = {"router": "GatewayAPI", "gatewayAPI": {**gateway, "hostnames": ["digits.example.com"]}}
    world.kubectl_apply(model={"uri": "http://models/1"}, traffic=other, strategy=STEPS)
    monkey = copy.deepcopy(world.route)
    assert LENT in monkey["metadata"]["annotations"]
    for _ in range(6):
        world.run(3)

    assert world.refs == [LEGACY]
    assert world.finalizers == []


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        pytest.param(
            None, "there is no HTTPRoute shop/shop, which spec.traffic.gatewayAPI names", id="there is no such route"
        ),
        pytest.param(
            users_route(name="letters"),
            "the HTTPRoute shop/shop has 0 rules of the name digits, which spec.traffic.gatewayAPI.routeRef names; "
            "give that name to exactly one of them",
            id="it has no such rule",
        ),
    ],
)
def test_what_can_not_be_lent_is_told_and_nothing_is_written(
    route: Manifest | None, sentence: str, spec_schema: Mapping[str, Any]
) -> None:
    world = LentWorld(spec_schema)
    world.asked_for(route)

    assert world.told("Stalled") == ("True", "RouteRefused", sentence)
    assert world.written == []


def test_a_rule_that_is_lent_to_another_model_stays_with_it(world: LentWorld) -> None:
    route = users_route()
    route["metadata"]["annotations"] = {LENT: '{"digits": {"to": "letters", "backendRefs": []}}'}
    world.asked_for(route)

    assert world.told("Stalled")[2] == (
        "the rule digits of the HTTPRoute shop/shop is lent to the ModelDeployment letters; name another one in "
        "spec.traffic.gatewayAPI.routeRef"
    )
    assert world.refs == [LEGACY]


PART = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}, "percent": 10}}
WHERE = "the rule digits of the HTTPRoute shop"


@pytest.mark.parametrize(
    ("controller", "rule", "reason", "sentence"),
    [
        pytest.param(
            ENVOY_GATEWAY,
            {"retry": {"attempts": 2, "codes": [500]}},
            "RouteCrossesRevisions",
            f"{WHERE} has retry: a request of one revision may be answered by another, which hides a candidate's "
            "failures; take it out of the rule",
            id="a retry goes to another revision",
        ),
        pytest.param(
            CONTOUR,
            {"sessionPersistence": {"sessionName": "user"}},
            "FilterIgnored",
            f"Contour ignores the sessionPersistence in {WHERE}, without a word; take it out of the rule",
            id="sticky sessions that aren't",
        ),
        pytest.param(
            CONTOUR,
            {"filters": [PART]},
            "FilterIgnored",
            f"Contour ignores the percent or fraction of the RequestMirror in {WHERE}, without a word; take it out of "
            "the rule",
            id="a mirror of a part that is one of all",
        ),
    ],
)
def test_what_a_rule_says_and_is_not_so_is_a_condition_and_stops_nothing(
    controller: str, rule: Mapping[str, Any], reason: str, sentence: str, spec_schema: Mapping[str, Any]
) -> None:
    world = LentWorld(spec_schema, controller)
    world.put(users_route(**rule))
    live(world)

    assert world.told("RouteCaution") == ("True", reason, sentence)
    assert world.told("Ready")[0] == "True"
    assert any(f"event {reason}: {sentence}" in line for line in world.transcript)

    mended = copy.deepcopy(world.route)
    mended["spec"]["rules"][1] = {**users_route()["spec"]["rules"][1], "backendRefs": world.refs}
    mended["metadata"]["generation"] += 1
    world.put(mended)
    world.run(700)
    assert "RouteCaution" not in {each["type"] for each in world.status["conditions"]}


@pytest.mark.parametrize("mirror", [{}, {"percent": 100}], ids=["no percent", "100 percent"])
def test_a_mirror_of_all_requests_is_what_it_says(mirror: Mapping[str, Any], spec_schema: Mapping[str, Any]) -> None:
    world = LentWorld(spec_schema, CONTOUR)
    whole = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}, **mirror}}
    world.put(users_route(filters=[whole]))
    live(world)

    assert "RouteCaution" not in {each["type"] for each in world.status["conditions"]}


def test_whoever_edits_a_lent_rule_in_a_rollout_is_told_and_not_fought(world: LentWorld) -> None:
    live(world)

    assert world.edited_by_another(seconds=120) <= 30
    assert any("argocd-controller edits the route of digits" in line for line in world.transcript)


def test_an_annotation_of_no_sense_is_no_loan(world: LentWorld) -> None:
    route = users_route()
    route["metadata"]["annotations"] = {LENT: "nonsense"}

    assert read_route(route).loans == {}


@pytest.mark.parametrize("controller", [CONTOUR, ENVOY_GATEWAY], ids=["the Gateway counts", "the servers count"])
@pytest.mark.parametrize("marks", [[], [LIVE]], ids=["unmarked", "marked"])
@pytest.mark.parametrize(("model", "outcome"), [("http://models/2", "Promoted"), ("http://models/bad", "RolledBack")])
def test_releases_are_judged_whether_or_not_the_rule_marks_requests_as_live(
    model: str, outcome: str, marks: list[Manifest], controller: str, spec_schema: Mapping[str, Any]
) -> None:
    world = LentWorld(spec_schema, controller)
    world.put(users_route(filters=[*FILTERS, *marks]))
    live(world)
    world.release(model)
    world.run(900)

    assert world.status["history"][0]["outcome"] == outcome
    assert world.rule["filters"] == [*FILTERS, *marks]
    assert any("event RequestsUnmarked: the rule digits of" in line for line in world.transcript) == (not marks)


def test_a_rule_that_begins_to_mark_requests_in_a_rollout_is_judged_by_those(spec_schema: Mapping[str, Any]) -> None:
    world = LentWorld(spec_schema, ENVOY_GATEWAY)
    world.put(users_route())
    live(world)
    world.release("http://models/2")
    world.run(100)
    assert "history" not in world.status
    marking = copy.deepcopy(world.route)
    marking["spec"]["rules"][1]["filters"] = [*FILTERS, LIVE]
    marking["metadata"]["generation"] += 1
    world.put(marking)
    world.run(900)

    assert world.status["history"][0]["outcome"] == "Promoted"


@pytest.mark.parametrize(
    ("raw", "marks"),
    [
        pytest.param(LIVE, True, id="set"),
        pytest.param(
            {"requestHeaderModifier": {"add": [{"name": "X-Tidegate-Traffic", "value": "live"}]}}, True, id="added"
        ),
        pytest.param(
            {"requestHeaderModifier": {"set": [{"name": "x-tidegate-traffic", "value": "preview"}]}},
            False,
            id="a preview",
        ),
        pytest.param(FILTERS[0], False, id="of answers"),
    ],
)
def test_a_filter_marks_requests_where_it_sets_the_mark(raw: Manifest, marks: bool) -> None:
    assert read_route(users_route(filters=[raw])).rules[1].marks is marks
