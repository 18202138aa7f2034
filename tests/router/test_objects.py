"""Kubernetes objects, parsed: what is taken, what is refused and why."""

from typing import Any

import pytest

from tidegate.errors import MalformedObject
from tidegate.resources.model_route import Backend, Route, read_route
from tidegate.router.objects import Answering, Endpoint, Service, Slice, answering, can_wait, read_slice

SHOP = Service("shop", "sentiment-aaaaaaaa")


def a_model_route(**spec: Any) -> dict[str, Any]:
    backends = [{"revision": "sentiment-aaaaaaaa", "weight": 75}, {"revision": "sentiment-bbbbbbbb", "weight": 25}]
    return {"metadata": {"namespace": "shop", "name": "sentiment"}, "spec": {"backends": backends, **spec}}


def an_endpoint_slice(*endpoints: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "x", "labels": {"kubernetes.io/service-name": SHOP.name}},
        "addressType": "IPv4",
        "ports": [{"name": "metrics", "port": 9}, {"name": "http", "port": 8080}],
        "endpoints": list(endpoints),
        **fields,
    }


def test_a_model_route_is_read_whole() -> None:
    assert read_route(a_model_route(previewHeader="x-try", timeoutSeconds=5)) == Route(
        "shop", "sentiment", "x-try", 5, (Backend("sentiment-aaaaaaaa", 75), Backend("sentiment-bbbbbbbb", 25))
    )


def test_defaults_are_those_of_the_schema() -> None:
    route = read_route(a_model_route())
    assert (route.preview_header, route.timeout_seconds) == ("x-tidegate-revision", 60)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({}, "metadata: is not an object", id="empty"),
        pytest.param(a_model_route(backends=[]), "spec.backends: needs 1 to 8 revisions", id="no revision"),
        pytest.param(a_model_route(backends="x"), "spec.backends: needs 1 to 8 revisions", id="no list"),
        pytest.param(a_model_route(backends=["x"]), "spec.backends[0]: is not an object", id="no object"),
        pytest.param(
            a_model_route(backends=[{"revision": "a", "weight": 99}]),
            "spec.backends: the weights add to 99, not 100",
            id="not 100 percent",
        ),
        pytest.param(
            a_model_route(backends=[{"revision": "a", "weight": 50}] * 2),
            "spec.backends: a revision is listed twice",
            id="twice",
        ),
        pytest.param(
            a_model_route(backends=[{"revision": "a", "weight": True}]),
            "spec.backends[0].weight: True is not a whole number from 0 to 100",
            id="weight is no number",
        ),
        pytest.param(
            a_model_route(timeoutSeconds=0),
            "spec.timeoutSeconds: 0 is not a whole number from 1 to 3600",
            id="timeout 0",
        ),
    ],
)
def test_a_malformed_route_is_refused_with_its_reason(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedObject) as caught:
        read_route(body)
    assert str(caught.value) == reason


@pytest.mark.parametrize("name", ["a.b", "a/b", "A", "", "a" * 64, "-a"])
def test_a_name_that_could_break_a_cluster_name_is_refused(name: str) -> None:
    body = a_model_route()
    body["metadata"]["name"] = name
    with pytest.raises(MalformedObject, match=r"metadata\.name"):
        read_route(body)


@pytest.mark.parametrize(
    ("conditions", "ready", "leaving"),
    [
        pytest.param({}, True, False, id="unset is ready"),
        pytest.param({"ready": True}, True, False, id="ready"),
        pytest.param({"ready": False}, False, False, id="not ready"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, False, True, id="ends and still serves"),
        pytest.param({"ready": False, "serving": False, "terminating": True}, False, False, id="ends, serves no more"),
    ],
)
def test_conditions_of_an_endpoint(conditions: dict[str, bool], ready: bool, leaving: bool) -> None:
    one = (Endpoint("10.0.0.1", 8080),)
    found = read_slice(an_endpoint_slice({"addresses": ["10.0.0.1"], "conditions": conditions}))
    assert found == Slice(SHOP, one if ready else (), one if leaving else ())


def test_a_slice_without_the_http_port_has_no_endpoints() -> None:
    assert read_slice(an_endpoint_slice({"addresses": ["10.0.0.1"]}, ports=[{"name": "x", "port": 1}])).ready == ()


def test_a_slice_without_its_service_is_refused() -> None:
    with pytest.raises(MalformedObject, match=r"kubernetes\.io/service-name"):
        read_slice({"metadata": {"namespace": "shop", "name": "x"}})


def test_several_slices_of_a_service_are_one() -> None:
    one, two = Endpoint("10.0.0.1", 8080), Endpoint("10.0.0.2", 8080)
    assert answering([Slice(SHOP, (two, one), ()), Slice(SHOP, (one,), ())]) == Answering((one, two))


def test_pods_that_end_are_used_only_where_no_ready_one_is_left() -> None:
    ready, leaving = Endpoint("10.0.0.1", 8080), Endpoint("10.0.0.2", 8080)
    assert answering([Slice(SHOP, (ready,), ()), Slice(SHOP, (), (leaving,))]) == Answering((ready,))
    assert answering([Slice(SHOP, (), (leaving,))]) == Answering((leaving,), leaving=True)
    assert answering([Slice(SHOP, (), ())]) == Answering()


def pods(*addresses: str, leaving: bool = False) -> Answering:
    return Answering(tuple(Endpoint(address, 8080) for address in addresses), leaving)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param(pods("10.0.0.1"), pods("10.0.0.1", "10.0.0.2"), id="one more"),
        pytest.param(pods("10.0.0.1", "10.0.0.2"), pods("10.0.0.2"), id="one less"),
        pytest.param(pods("10.0.0.1", "10.0.0.2"), pods("10.0.0.2", "10.0.0.3"), id="another"),
        pytest.param(pods("10.0.0.1", "10.0.0.2", leaving=True), pods("10.0.0.2", leaving=True), id="one ended"),
    ],
)
def test_pods_that_change_beside_others_can_wait(told: Answering, found: Answering) -> None:
    assert can_wait(told, found)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param(pods(), pods("10.0.0.1"), id="the first"),
        pytest.param(pods("10.0.0.1"), pods(), id="the last"),
        pytest.param(pods("10.0.0.1", "10.0.0.2"), pods("10.0.0.3"), id="all are others"),
        pytest.param(pods("10.0.0.1"), pods("10.0.0.1", leaving=True), id="the last begins to end"),
        pytest.param(pods("10.0.0.1", leaving=True), pods("10.0.0.1", "10.0.0.2"), id="one that doesn't end"),
    ],
)
def test_pods_without_others_beside_them_cannot_wait(told: Answering, found: Answering) -> None:
    assert not can_wait(told, found)
