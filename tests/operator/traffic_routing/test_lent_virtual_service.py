"""One HTTP route of the user's VirtualService as the router: taken, written and given back."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from tests.operator.gateways import canary, live, promoted
from tests.operator.istio import IstioWorld
from tests.operator.lending import Lending, users
from tidegate.kube.api import VIRTUAL_SERVICES, Manifest

LEGACY = {"destination": {"host": "legacy", "subset": "v1"}, "headers": {"response": {"set": {"x-old": "1"}}}}
SAFE = {"attempts": 1, "retryOn": "connect-failure,refused-stream"}
LIVE = {"request": {"set": {"x-tidegate-traffic": "live"}}}


def users_virtual_service(gateways: list[str] | None = None, **route: Any) -> Manifest:
    """With a route for the model and another one."""
    spec = {
        "hosts": ["shop.example.com"],
        "gateways": ["istio-ingress/public"] if gateways is None else gateways,
        "http": [
            {"name": "web", "match": [{"uri": {"prefix": "/web"}}], "route": [{"destination": {"host": "web"}}]},
            {"name": "digits", "corsPolicy": {"allowOrigins": []}, "route": [LEGACY], "headers": LIVE, **route},
        ],
    }
    return users(VIRTUAL_SERVICES, spec)


class LentIstioWorld(Lending, IstioWorld):
    """Its requests come by the second route of the user's VirtualService."""

    rules = "http"
    refs_of_rule = "route"
    lent_by: ClassVar = {"router": "Istio", "istio": {"virtualService": {"name": "shop", "route": "digits"}}}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> LentIstioWorld:
    world = LentIstioWorld(spec_schema)
    world.put(users_virtual_service(retries=SAFE))
    return world


def test_a_route_is_taken_with_weights_that_the_users_destination_had_not_and_given_back_as_it_was(
    world: LentIstioWorld,
) -> None:
    first = live(world)
    assert world.written == [f"legacy=100 {first}=0", f"{first}=100 legacy=0", f"{first}=100"]
    expected = users_virtual_service(retries=SAFE)["spec"]
    expected["http"][1]["route"] = [{"destination": {"host": first, "port": {"number": 8080}}, "weight": 100}]
    assert world.route["spec"] == expected

    world.kubectl_delete()
    world.run(10)
    assert world.written[3:] == [f"{first}=100 legacy=0", f"legacy=100 {first}=0", "legacy=100"]
    assert world.route["spec"] == users_virtual_service(retries=SAFE)["spec"]
    assert world.finalizers == []


def test_a_whole_canary_goes_by_a_lent_route(world: LentIstioWorld) -> None:
    first, second = promoted(world)

    assert world.written[3:] == canary(first, second)


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        pytest.param(
            None, "there is no VirtualService shop/shop, which spec.traffic.istio names", id="there is no such one"
        ),
        pytest.param(
            users_virtual_service(name="letters"),
            "the VirtualService shop/shop has 0 HTTP routes of the name digits, which "
            "spec.traffic.istio.virtualService names; give that name to exactly one of them",
            id="it has no such route",
        ),
        pytest.param(
            users_virtual_service(gateways=[]),
            "the VirtualService shop/shop is for sidecars too (the gateway mesh, which is meant where none is named), "
            "and these can't tell revisions apart, whose Services have no address of their own; name Istio's Gateways "
            "alone in its gateways",
            id="it is for sidecars",
        ),
        pytest.param(
            users_virtual_service(route=[], redirect={"uri": "/new"}),
            "the HTTP route digits of the VirtualService shop has no destinations: it redirects, delegates or answers "
            "by itself; name another one in spec.traffic.istio.virtualService",
            id="it goes elsewhere",
        ),
    ],
)
def test_what_can_not_be_lent_is_told_and_nothing_is_written(
    theirs: Manifest | None, sentence: str, spec_schema: Mapping[str, Any]
) -> None:
    world = LentIstioWorld(spec_schema)
    world.asked_for(theirs)

    assert world.told("Stalled") == ("True", "RouteRefused", sentence)
    assert world.written == []


WHERE = "the HTTP route digits of the VirtualService shop"
ADVICE = (
    "again what a revision has answered with a failure, which hides a part of a candidate's failures; set its retries "
    "to attempts: 0, or retryOn to connect-failure,refused-stream"
)


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        pytest.param({}, f"{WHERE} says nothing of retries, so Istio tries {ADVICE}", id="Istio's own retries"),
        pytest.param({"retries": {"attempts": 3, "retryOn": "5xx"}}, f"{WHERE} tries {ADVICE}", id="of answers"),
        pytest.param({"retries": {"attempts": 0}}, None, id="no retries"),
    ],
)
def test_retries_that_hide_failures_are_told_and_left_alone(
    route: Mapping[str, Any], sentence: str | None, spec_schema: Mapping[str, Any]
) -> None:
    world = LentIstioWorld(spec_schema)
    world.put(users_virtual_service(**route))
    live(world)

    told = [each["message"] for each in world.status["conditions"] if each["type"] == "RouteCaution"]
    assert told == ([sentence] if sentence else [])
    assert world.rule.get("retries") == route.get("retries")


def test_whoever_edits_a_lent_route_in_a_rollout_is_told_and_not_fought(world: LentIstioWorld) -> None:
    live(world)

    assert world.edited_by_another(seconds=60) <= 15
    assert any("argocd-controller edits the route of digits" in line for line in world.transcript)
