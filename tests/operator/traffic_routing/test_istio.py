"""Istio as the router: whole rollouts by VirtualServices, and what is told where they can't be as they should."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.operator.gateways import STEPS, another_model, canary, failed, live, promoted
from tests.operator.istio import ISTIO, IstioWorld
from tidegate.errors import InvalidSpec
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.traffic_routing import backend_of

BETA = [{"headers": [{"name": "x-beta", "exact": "1"}]}]


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> IstioWorld:
    return IstioWorld(spec_schema)


def test_a_canary_goes_by_a_virtual_service_step_by_step(world: IstioWorld) -> None:
    first, second = promoted(world)

    assert world.written == [f"{first}=100", *canary(first, second)]
    assert world.lost == 0
    assert world.told("Ready") == ("True", "StableServing", f"{second} serves with 1 pod")


def test_a_bad_candidate_is_rolled_back_by_what_the_proxies_count(world: IstioWorld) -> None:
    first, bad = failed(world)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.written[-3:] == [f"{first}=80 {bad}=20", f"{first}=100 {bad}=0", f"{first}=100"]


def test_a_virtual_service_has_the_hosts_the_gateways_a_timeout_and_retries_that_hide_nothing(
    world: IstioWorld,
) -> None:
    first = live(world)

    assert world.route["spec"] == {
        "hosts": ["digits.example.com"],
        "gateways": ["istio-ingress/public"],
        "http": [
            {
                "name": "http",
                "route": [{"destination": {"host": first, "port": {"number": 8080}}, "weight": 100}],
                "headers": {"request": {"set": {"x-tidegate-traffic": "live"}}},
                "timeout": "60s",
                "retries": {"attempts": 2, "retryOn": "connect-failure,refused-stream"},
            }
        ],
    }


def test_calls_by_grpc_are_told_by_their_content_type_and_split_alike(world: IstioWorld) -> None:
    world.traffic = {**world.traffic, "grpc": True}
    first = live(world)
    world.release("http://models/2")
    world.run(100)
    second = world.status["candidate"]["revision"]

    calls, http = world.route["spec"]["http"]
    assert calls["match"] == [{"headers": {"content-type": {"prefix": "application/grpc"}}}]
    assert calls["route"] == [
        {"destination": {"host": first, "port": {"number": 8081}}, "weight": 0},
        {"destination": {"host": second, "port": {"number": 8081}}, "weight": 100},
    ]
    assert [each["weight"] for each in http["route"]] == [0, 100]
    assert "match" not in http


def test_no_step_follows_while_the_proxies_go_by_an_older_virtual_service(world: IstioWorld) -> None:
    first = live(world)
    world.deaf = True
    world.release("http://models/2")
    world.run(400)
    second = world.status["candidate"]["revision"]

    assert world.listed == {first: 80, second: 20}
    world.deaf = False
    world.answer()
    world.run(900)
    assert world.status["stable"]["revision"] == second


def test_another_host_is_written_at_once_without_a_rollout(world: IstioWorld) -> None:
    first = live(world)
    istio = {**ISTIO, "hosts": ["numbers.example.com"], "gateways": ["public"]}
    world.kubectl_apply(model={"uri": "http://models/1"}, traffic={"router": "Istio", "istio": istio}, strategy=STEPS)
    world.run(20)

    assert (world.route["spec"]["hosts"], world.route["spec"]["gateways"]) == (["numbers.example.com"], ["shop/public"])
    assert world.written == [f"{first}=100"] * 2


def test_retries_that_somebody_adds_are_taken_out_again(world: IstioWorld) -> None:
    live(world)
    world.route["spec"]["http"][0]["retries"] = {"attempts": 5, "retryOn": "5xx"}
    world.run(20)

    assert world.route["spec"]["http"][0]["retries"] == {"attempts": 2, "retryOn": "connect-failure,refused-stream"}


def test_what_istios_analysis_has_against_it_holds_a_rollout_and_is_told(world: IstioWorld) -> None:
    first = live(world)
    message = {"level": "ERROR", "type": {"name": "ReferencedResourceNotFound", "code": "IST0101"}}
    world.route["status"] = {"validationMessages": [message]}
    world.release("http://models/2")
    world.run(120)

    assert world.told("Stalled") == (
        "True",
        "RouteRefused",
        "Istio's analysis has this against the VirtualService digits: ReferencedResourceNotFound (IST0101); its "
        "documentation says what to change for each code",
    )
    assert world.listed[first] == 100


def test_a_cluster_without_istio_is_told_and_the_model_waits(world: IstioWorld) -> None:
    world.absent = "the server could not find the requested resource"
    world.release("http://models/1")
    world.run(30)

    assert world.told("Stalled") == (
        "True",
        "InvalidSpec",
        "spec.traffic.router is Istio, and VirtualServices can't be followed here (the server could not find the "
        "requested resource): install Istio and set the chart's istio.enabled, or set spec.traffic.router to Builtin",
    )
    world.absent = ""
    world.run(60)
    assert world.told("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("created_at", "told"),
    [
        pytest.param(
            "2025-12-31T00:00:00Z",
            (
                "True",
                "HostnameTaken",
                "digits.example.com on Istio's Gateway istio-ingress/public is the ModelDeployment bank/scores's, "
                "which had it first and gets its requests; give each a host of its own",
            ),
            id="the later one is told",
        ),
        pytest.param("2026-01-02T00:00:00Z", ("False", "Idle", ""), id="the earlier one goes on"),
    ],
)
def test_of_two_models_with_one_host(world: IstioWorld, created_at: str, told: tuple[str, str, str]) -> None:
    live(world)
    another_model(world, created_at)
    world.reconcile()

    assert world.told("Stalled")[:2] == told[:2]
    assert not told[2] or world.told("Stalled")[2] == told[2]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        pytest.param({"strategy": {"canary": {"steps": [{"mirror": {"percent": 20}}]}}}, "a mirror", id="copies"),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"match": BETA}, {"weight": 50}]}}},
            "a match",
            id="groups",
        ),
        pytest.param({"traffic": {"sticky": {"header": "x-user"}}}, "sticky", id="users who stay"),
    ],
)
def test_what_a_virtual_service_can_not_show_by_revision_is_refused(
    asked: Mapping[str, Any], what: str, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    traffic = {"router": "Istio", "istio": ISTIO, **asked.get("traffic", {})}
    with pytest.raises(InvalidSpec, match=rf"has {what}, which the router Istio can't do; leave it out, or set"):
        backend_of(a_spec(**{**asked, "traffic": traffic}))
