"""A Gateway as the router: whole rollouts by HTTPRoutes, and what is told where no Gateway takes them."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.gateways import (
    CONTOUR,
    ENVOY_GATEWAY,
    ISTIO,
    STEPS,
    GatewayWorld,
    another_model,
    canary,
    failed,
    live,
    promoted,
)
from tidegate.kube.api import SERVICES
from tidegate.model.traffic import TrafficSplit


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> GatewayWorld:
    return GatewayWorld(spec_schema)


def test_a_canary_is_listed_at_0_first_and_the_old_revision_leaves_the_list_last(world: GatewayWorld) -> None:
    first, second = promoted(world)

    assert world.written == [f"{first}=100", *canary(first, second)]
    assert world.lost == 0
    assert world.told("Ready") == ("True", "StableServing", f"{second} serves with 1 pod")
    assert world.names(SERVICES) == [second]


def test_a_rollback_keeps_the_candidate_listed_at_0_until_no_gateway_can_send_it_anything(world: GatewayWorld) -> None:
    first, bad = failed(world)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.written[-3:] == [f"{first}=80 {bad}=20", f"{first}=100 {bad}=0", f"{first}=100"]
    assert world.lost == 0


def test_the_route_hangs_on_the_gateways_that_are_named_and_states_a_timeout(world: GatewayWorld) -> None:
    first = live(world)

    assert world.route["spec"] == {
        "parentRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "public"}
        ],
        "hostnames": ["digits.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": "x-tidegate-traffic", "value": "live"}]},
                    }
                ],
                "backendRefs": [{"group": "", "kind": "Service", "name": first, "port": 8080, "weight": 100}],
                "timeouts": {"request": "60s"},
            }
        ],
    }


def test_a_gateway_in_the_same_namespace_needs_no_namespace(world: GatewayWorld) -> None:
    traffic = {"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public", "sectionName": "web"}]}}
    world.kubectl_apply(model={"uri": "http://models/1"}, traffic=traffic)
    world.run(60)

    assert world.told("Ready")[0] == "True"
    assert world.route["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": "shop",
            "name": "public",
            "sectionName": "web",
        }
    ]


def test_another_hostname_is_written_at_once_without_a_rollout(world: GatewayWorld) -> None:
    first = live(world)
    gateway = {"parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["numbers.example.com"]}
    world.kubectl_apply(
        model={"uri": "http://models/1"}, traffic={"router": "GatewayAPI", "gatewayAPI": gateway}, strategy=STEPS
    )
    world.run(20)

    assert world.route["spec"]["hostnames"] == ["numbers.example.com"]
    assert world.written == [f"{first}=100"] * 2


def test_a_status_of_an_older_generation_lets_no_step_go_on(world: GatewayWorld) -> None:
    first = live(world)
    world.says = None
    world.release("http://models/2")
    world.run(120)

    assert world.listed[first] == 100
    second = world.status["candidate"]["revision"]
    assert world.told("Reconciling") == (
        "True",
        "RouteNotApplied",
        f"{second} gets no more yet: Gateway edge/public hasn't looked at the HTTPRoute digits since it was written; "
        "does its controller run?",
    )
    world.run(1200)
    assert world.told("Stalled")[:2] == ("True", "RouteNotApplied")

    world.says = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    world.answer()
    world.run(900)
    assert world.status["stable"]["revision"] == second
    assert world.lost == 0


NO_ANSWER = (
    "Gateway edge/public has said nothing of the HTTPRoute digits; is there such a Gateway, and does its controller "
    "run?"
)


def test_a_gateway_that_is_not_there_is_told(world: GatewayWorld) -> None:
    world.says = None
    live(world)

    assert world.told("Ready") == ("False", "RouteNotApplied", NO_ANSWER)


@pytest.mark.parametrize(
    ("condition", "said", "told"),
    [
        pytest.param(
            "Accepted",
            ("False", "NoMatchingListenerHostname"),
            "Gateway edge/public refuses the route (Accepted: NoMatchingListenerHostname): no listener of it takes the "
            "hostname; name one of its hostnames in spec.traffic.gatewayAPI.hostnames",
            id="a listener refuses the hostname",
        ),
        pytest.param(
            "Accepted",
            ("False", "NotAllowedByListeners"),
            "Gateway edge/public refuses the route (Accepted: NotAllowedByListeners): its listeners take no routes "
            "from this namespace; allow it in their allowedRoutes.namespaces",
            id="the namespace isn't allowed",
        ),
        pytest.param(
            "ResolvedRefs",
            ("False", "BackendNotFound"),
            "Gateway edge/public refuses the route (ResolvedRefs: BackendNotFound): a backend of the route isn't "
            "there; create that Service, or take it out of the route",
            id="a backend isn't found",
        ),
        pytest.param(
            "ResolvedRefs",
            ("False", "RefNotPermitted"),
            "Gateway edge/public refuses the route (ResolvedRefs: RefNotPermitted): a backend of the route is in "
            "another namespace, which grants it to nobody here; create a ReferenceGrant there, or take that backend "
            "out of the route",
            id="a backend of another namespace without a ReferenceGrant",
        ),
    ],
)
def test_a_route_that_is_refused_is_told_and_the_rollout_holds(
    world: GatewayWorld, condition: str, said: tuple[str, str], told: str
) -> None:
    first = live(world)
    assert world.says
    world.says[condition] = said
    world.release("http://models/2")
    world.run(120)

    assert world.told("Stalled") == ("True", "RouteRefused", told)
    assert world.listed[first] == 100
    assert world.told("Ready")[0] == "True"


def test_a_cluster_without_the_gateway_api_is_told_and_the_model_waits(world: GatewayWorld) -> None:
    world.absent = "the server could not find the requested resource"
    world.release("http://models/1")
    world.run(30)

    assert world.told("Stalled") == (
        "True",
        "InvalidSpec",
        "spec.traffic.router is GatewayAPI, and HTTPRoutes can't be followed here (the server could not find the "
        "requested resource): install the Gateway API's CRDs and set the chart's gatewayAPI.enabled, or set "
        "spec.traffic.router to Builtin",
    )
    world.absent = ""
    world.run(60)
    assert world.told("Ready")[0] == "True"


def test_a_model_that_is_live_stays_so_while_the_gateway_api_is_gone(world: GatewayWorld) -> None:
    first = live(world)
    world.absent = "the server could not find the requested resource"
    world.release("http://models/2")
    world.run(60)

    assert world.listed == {first: 100}
    assert world.told("Stalled")[:2] == ("True", "InvalidSpec")


def test_of_two_models_with_one_hostname_the_later_one_is_told(world: GatewayWorld) -> None:
    live(world)
    another_model(world, "2025-12-31T00:00:00Z")
    world.reconcile()

    assert world.told("Stalled") == (
        "True",
        "HostnameTaken",
        "digits.example.com on Gateway edge/public is the ModelDeployment bank/scores's, which had it first and gets "
        "its requests; give each a hostname of its own",
    )


def test_of_two_models_with_one_hostname_the_earlier_one_goes_on(world: GatewayWorld) -> None:
    live(world)
    another_model(world, "2026-01-02T00:00:00Z")
    world.reconcile()

    assert world.told("Stalled")[0] == "False"


@pytest.mark.parametrize(
    "controller",
    [ENVOY_GATEWAY, ISTIO, "example.com/controller"],
    ids=["Envoy Gateway", "Istio, as long as nobody asks for its counters", "an unknown one"],
)
def test_where_the_gateway_does_not_count_by_revision_the_servers_do(
    spec_schema: Mapping[str, Any], controller: str
) -> None:
    world = GatewayWorld(spec_schema, controller)
    first, _ = failed(world)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.listed == {first: 100}
    assert any("CountedByServers" in line for line in world.transcript)


def test_contour_counts_by_revision_so_nothing_is_told_of_it(world: GatewayWorld) -> None:
    assert world.controller == CONTOUR
    live(world)
    world.release("http://models/2")
    world.run(300)

    assert not any("CountedByServers" in line for line in world.transcript)


class WithoutWeights(GatewayWorld):
    """Its Gateway gives each backend that is listed as much as any other; with `but_at_0`, those that have a weight."""

    but_at_0 = False

    @property
    def split(self) -> TrafficSplit | None:
        carried = self.carried
        if carried is None:
            return None
        names = [name for name, weight in carried if weight or not self.but_at_0]
        each, more = divmod(100, len(names))
        weights = {name: each + (number < more) for number, name in enumerate(names)}
        return TrafficSplit(tuple((name, weights.get(name, 0)) for name, _ in carried))


def test_a_gateway_that_passes_weights_over_is_told_before_a_candidate_gets_a_share(
    spec_schema: Mapping[str, Any],
) -> None:
    world = WithoutWeights(spec_schema)
    first = live(world)
    world.release("http://models/2")
    world.run(120)
    second = world.status["candidate"]["revision"]

    assert world.listed == {first: 100, second: 0}
    assert world.told("Reconciling") == (
        "True",
        "WeightsIgnored",
        f"the routers send 50% of the requests to {second}, which has a weight of 0: they pass weights over, and "
        "nothing can be released by them; set spec.traffic.router to Builtin, or name another Gateway",
    )


def test_a_gateway_that_splits_otherwise_than_by_the_weights_is_told_and_no_step_follows(
    spec_schema: Mapping[str, Any],
) -> None:
    world = WithoutWeights(spec_schema)
    world.but_at_0 = True
    first = live(world)
    world.release("http://models/2")
    world.run(200)
    second = world.status["candidate"]["revision"]

    assert world.listed == {first: 80, second: 20}
    assert world.told("Reconciling")[1:] == (
        "ShareUnlikeWeight",
        f"the routers send 50% of the requests to {second}, 20% is wanted; all routers have taken the route",
    )


class IstioWorld(GatewayWorld):
    """Its Gateway's proxies count as Istio's do, and the model servers don't."""

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        found = super().labels(revision, measure)
        if measure.startswith("answered"):
            code = measure.removeprefix("answered ")
            service = {"destination_service_namespace": "shop", "destination_service_name": revision}
            return {
                "__name__": "istio_requests_total",
                "reporter": "source",
                "response_code": code,
                "instance": "router",
                **service,
            }
        return found


@pytest.mark.parametrize(("model", "outcome"), [("http://models/2", "Promoted"), ("http://models/bad", "RolledBack")])
def test_istios_own_counters_are_judged_where_the_spec_names_them(
    model: str, outcome: str, spec_schema: Mapping[str, Any]
) -> None:
    world = IstioWorld(spec_schema, ISTIO)
    world.release("http://models/1", analysis={"requestsFrom": "Istio"})
    world.run(60)
    world.release(model, analysis={"requestsFrom": "Istio"})
    world.run(900)

    assert world.status["history"][0]["outcome"] == outcome
    assert not any("CountedByServers" in line for line in world.transcript)
