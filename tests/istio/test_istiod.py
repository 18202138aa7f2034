"""What istiod makes of our VirtualServices, and how a plain Envoy that it configures then splits requests."""

import http.client
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import until
from tests.gateways.gateway import gateway, gateway_class
from tests.istio.conftest import CANDIDATE, HOST, SHOP, STABLE, Stage, pod
from tests.istio.istiod import proxy
from tidegate.kube.api import HTTP_ROUTES, VIRTUAL_SERVICES, Manifest
from tidegate.model.gateway import GatewayApi, ParentRef
from tidegate.model.istio import Istio
from tidegate.model.traffic import RouteSettings, RouteState, TrafficSplit
from tidegate.resources.http_route import read_route, route_manifest
from tidegate.resources.virtual_service import virtual_service_manifest
from tidegate.traffic_routing.gateway_answers import answered

pytestmark = pytest.mark.istio

OURS = RouteSettings("", timedelta(seconds=60), istio=Istio((HOST,), ("istio-ingress/public",)))
SOON = 60.0


def cluster(revision: str, port: int = 8080) -> str:
    return f"outbound|{port}||{revision}.{SHOP}.svc.cluster.local"


def write(
    stage: Stage, split: TrafficSplit, settings: RouteSettings = OURS, leaving: Sequence[str] = (), **http: Any
) -> None:
    """As the operator does, but for an owner that isn't there. `http` replaces fields of the route."""
    manifest = virtual_service_manifest(SHOP, "digits", "u-1", split, settings, leaving)
    del manifest["metadata"]["ownerReferences"]
    manifest["spec"]["http"] = [
        {name: value for name, value in {**each, **http}.items() if value is not None}
        for each in manifest["spec"]["http"]
    ]
    stage.api.apply(VIRTUAL_SERVICES, manifest, manager="tidegate")


def action(stage: Stage, name: str = "http") -> Manifest:
    """What the gateway's Envoy does with requests, by the name of our route; empty while it has none."""
    for config in stage.gateway.config("RouteConfiguration"):
        for host in config.get("virtual_hosts", ()):
            for route in host.get("routes", ()):
                if HOST in host["domains"] and route.get("name") == name:
                    return {**route["route"], "adds": route.get("request_headers_to_add", [])}
    return {}


def weights(stage: Stage, name: str = "http") -> Mapping[str, int]:
    """By cluster."""
    found = action(stage, name)
    if "weighted_clusters" in found:
        return {each["name"]: each["weight"] for each in found["weighted_clusters"]["clusters"]}
    return {found["cluster"]: 100} if found else {}


def asked(stage: Stage, requests: int) -> Counter[str]:
    """Who answered how often, on one connection after the other; a failure by its status."""
    answers: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
    for _ in range(requests):
        connection.request("GET", "/v2/models/digits", headers={"host": HOST})
        with connection.getresponse() as answer:
            body = answer.read().decode()
            answers[body if answer.status == 200 else str(answer.status)] += 1
    connection.close()
    return answers


@pytest.mark.parametrize(
    ("split", "leaving", "expected"),
    [
        pytest.param(TrafficSplit.only(STABLE), (), {cluster(STABLE): 100}, id="one revision"),
        pytest.param(TrafficSplit.between(STABLE, CANDIDATE, 0), (), {cluster(STABLE): 100}, id="one is listed at 0"),
        pytest.param(
            TrafficSplit.between(STABLE, CANDIDATE, 25),
            (),
            {cluster(STABLE): 75, cluster(CANDIDATE): 25},
            id="both",
        ),
        pytest.param(TrafficSplit.only(CANDIDATE), (STABLE,), {cluster(CANDIDATE): 100}, id="the old one leaves"),
    ],
)
def test_a_split_is_the_weights_of_clusters(
    stage: Stage, split: TrafficSplit, leaving: Sequence[str], expected: Mapping[str, int]
) -> None:
    write(stage, split, leaving=leaving)

    until(lambda: weights(stage) == expected, within=SOON)


def test_requests_go_by_the_weights_and_are_marked_as_live(stage: Stage) -> None:
    write(stage, TrafficSplit.between(STABLE, CANDIDATE, 25))
    until(lambda: weights(stage).get(cluster(CANDIDATE)) == 25, within=SOON)
    answers = asked(stage, 400)

    assert set(answers) == {f"{STABLE} live", f"{CANDIDATE} live"}
    assert 60 <= answers[f"{CANDIDATE} live"] <= 140


def test_no_request_is_lost_while_weights_change(stage: Stage) -> None:
    answers: Counter[str] = Counter()
    for weight in (0, 5, 25, 50, 100, 0):
        write(stage, TrafficSplit.between(STABLE, CANDIDATE, weight))
        answers += asked(stage, 200)

    assert set(answers) <= {f"{STABLE} live", f"{CANDIDATE} live"}
    assert answers.total() == 1200


def test_a_route_has_our_timeout_and_retries_and_without_them_istios_own(stage: Stage) -> None:
    write(stage, TrafficSplit.only(STABLE))
    until(lambda: weights(stage) == {cluster(STABLE): 100}, within=SOON)
    ours = action(stage)
    write(stage, TrafficSplit.only(STABLE), retries=None, timeout=None)
    until(lambda: action(stage).get("timeout") == "0s", within=SOON)
    theirs = action(stage)

    assert (ours["timeout"], ours["retry_policy"]["num_retries"]) == ("60s", 2)
    assert ours["retry_policy"]["retry_on"] == "connect-failure,refused-stream"
    assert theirs["retry_policy"]["num_retries"] == 2
    assert theirs["retry_policy"]["retry_on"] == (
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    )


@pytest.fixture
def a_candidate_that_refuses(stage: Stage, apply: Callable[..., None]) -> Iterator[None]:
    """Nobody listens at its port."""
    held = stage.api.read("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/" + CANDIDATE)["ports"]
    apply(pod(CANDIDATE, 1))
    yield
    apply(pod(CANDIDATE, held[0]["port"]))


@pytest.mark.usefixtures("a_candidate_that_refuses")
def test_a_request_that_a_revision_refuses_is_never_answered_by_another(stage: Stage) -> None:
    write(stage, TrafficSplit.between(STABLE, CANDIDATE, 50))
    until(lambda: weights(stage).get(cluster(CANDIDATE)) == 50, within=SOON)
    until(lambda: asked(stage, 1)["503"], within=SOON)
    answers = asked(stage, 200)

    assert set(answers) == {f"{STABLE} live", "503"}
    assert 60 <= answers["503"] <= 140
    assert stage.gateway.stat(rf"cluster\.outbound.8080..{CANDIDATE}.*upstream_rq_retry") > 0


def test_calls_by_grpc_go_to_a_port_of_their_own_by_http2(stage: Stage) -> None:
    write(stage, TrafficSplit.between(STABLE, CANDIDATE, 25), replace(OURS, grpc=True))
    calls = {cluster(STABLE, 8081): 75, cluster(CANDIDATE, 8081): 25}
    until(lambda: weights(stage, "grpc") == calls, within=SOON)

    found = next(each for each in stage.gateway.config("Cluster") if each["name"] == cluster(STABLE, 8081))
    (options,) = found["typed_extension_protocol_options"].values()
    assert "http2_protocol_options" in options["explicit_http_config"]
    write(stage, TrafficSplit.only(STABLE))


def test_an_http_route_of_ours_is_accepted_at_its_generation_by_the_controller_that_we_know(
    stage: Stage, apply: Callable[..., None]
) -> None:
    apply(gateway_class("istio", "istio.io/gateway-controller"), {**gateway("istio", 80), **_in_edge()})
    parents = (ParentRef("istio-ingress", "istio"),)
    settings = RouteSettings("", timedelta(seconds=60), GatewayApi(parents, ("api.example.com",)))

    def seen() -> RouteState:
        found = stage.api.get(HTTP_ROUTES, SHOP, "digits")
        assert found
        return answered(RouteState(), read_route(found), parents)

    for split in (TrafficSplit.only(STABLE), TrafficSplit.between(STABLE, CANDIDATE, 25)):
        manifest = route_manifest(SHOP, "digits", "u-1", split, settings, ())
        del manifest["metadata"]["ownerReferences"]
        stage.api.apply(HTTP_ROUTES, manifest, manager="tidegate")
        until(lambda: seen().applied_by, within=SOON)
    assert (seen().problem, seen().uncounted) == (
        None,
        "Istio's own counters are read where spec.analysis.requestsFrom is Istio",
    )


def _in_edge() -> Mapping[str, Any]:
    return {"metadata": {"name": "istio", "namespace": "istio-ingress"}}


def test_a_gateway_knows_a_revisions_pods_and_a_sidecar_goes_wherever_its_client_had_called(stage: Stage) -> None:
    with proxy(stage.istiod, stage.folder, "sidecar", SHOP, {"app": "client"}) as sidecar:
        kinds = {
            where: {each["name"]: each.get("type") for each in of.config("Cluster")}.get(cluster(STABLE))
            for where, of in (("gateway", stage.gateway), ("sidecar", sidecar))
        }

    assert kinds == {"gateway": "EDS", "sidecar": "ORIGINAL_DST"}
