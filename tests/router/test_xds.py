"""What Envoy is told, as whole files and as promises over generated worlds."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.resources.model_route import Backend, Route
from tidegate.router.objects import Endpoint, Service
from tidegate.router.xds import (
    ClusterKey,
    KnownClusters,
    answerable,
    cluster_keys,
    clusters_response,
    endpoints_response,
    hosts,
    longest_timeout,
    read_clusters,
    routes_response,
)

GOLDEN = Path(__file__).parent / "golden"
SENTIMENT = Route(
    "shop",
    "sentiment",
    "x-tidegate-revision",
    60,
    (Backend("sentiment-aaaaaaaa", 75), Backend("sentiment-bbbbbbbb", 25)),
)
DIGITS = Route(
    "lab", "digits", "x-tidegate-revision", 5, (Backend("digits-00000001", 100), Backend("digits-00000002", 0))
)
ENDPOINTS = {
    Service("shop", "sentiment-aaaaaaaa"): (Endpoint("10.0.0.1", 8080), Endpoint("10.0.0.2", 8080)),
    Service("lab", "digits-00000001"): (Endpoint("fd00::1", 8080),),
}

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)


@st.composite
def backends(draw: st.DrawFn) -> tuple[Backend, ...]:
    names = draw(st.lists(labels, min_size=1, max_size=8, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    return tuple(Backend(name, weight) for name, weight in zip(names, weights, strict=True))


routes = st.lists(
    st.builds(Route, labels, labels, st.just("x-tidegate-revision"), st.integers(1, 3600), backends()),
    max_size=6,
    unique_by=lambda route: (route.namespace, route.name),
)


def golden(name: str, content: dict[str, Any]) -> None:
    """Compares with a reviewed file. To renew it, delete it and run the test."""
    path = GOLDEN / name
    text = json.dumps(content, indent=1) + "\n"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path.name} is new: review it")
    assert text == path.read_text()


def test_clusters_are_as_reviewed() -> None:
    keys = cluster_keys([SENTIMENT, DIGITS])
    watched = cluster_keys([SENTIMENT])
    golden("clusters.json", clusters_response(keys, watched, ENDPOINTS, "/var/run/tidegate/xds"))


def test_endpoints_are_as_reviewed() -> None:
    service = Service("shop", "sentiment-aaaaaaaa")
    golden("endpoints.json", endpoints_response(service, ENDPOINTS[service]))


def test_routes_are_as_reviewed() -> None:
    golden("routes.json", routes_response([SENTIMENT, DIGITS]))


def virtual_hosts(response: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = response["resources"][0]["virtual_hosts"]
    return listed


def entries(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for virtual_host in virtual_hosts(response):
        yield from virtual_host["routes"]


@given(routes)
def test_weights_are_kept(known: list[Route]) -> None:
    found = virtual_hosts(routes_response(known))
    for route in known:
        [own] = [one for one in found if one["name"] == f"{route.namespace}/{route.name}"]
        shares = own["routes"][-1]["route"]["weighted_clusters"]["clusters"]
        assert {share["name"]: share["weight"] for share in shares} == {
            f"{route.namespace}/{route.name}/{backend.revision}": backend.weight
            for backend in route.backends
            if backend.weight
        }


@given(routes)
def test_every_host_belongs_to_one_model(known: list[Route]) -> None:
    domains = [domain for one in virtual_hosts(routes_response(known)) for domain in one["domains"]]
    assert len(domains) == len(set(domains))
    names = {route.name for route in known}
    assert set(domains) == {"*", *names, *(host for route in known for host in hosts(route))}


@given(routes)
def test_every_request_is_marked_by_how_it_came(known: list[Route]) -> None:
    for entry in entries(routes_response(known)):
        if "route" not in entry:
            continue
        (mark,) = entry["request_headers_to_add"]
        came = "preview" if "cluster" in entry["route"] else "live"
        assert mark["header"] == {"key": "x-tidegate-traffic", "value": came}
        assert mark["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_without_a_preview_header_nobody_reaches_a_revision_by_its_name() -> None:
    found = entries(routes_response([replace(SENTIMENT, preview_header="")]))

    assert all("weighted_clusters" in entry["route"] for entry in found if "route" in entry)
    assert all("headers" not in entry["match"] for entry in found)


def test_the_longest_timeout_is_read_back() -> None:
    written = routes_response([replace(SENTIMENT, timeout_seconds=5), replace(DIGITS, timeout_seconds=600)])

    assert (longest_timeout(written), longest_timeout(routes_response([])), longest_timeout({})) == (600.0, 0.0, 0.0)


@given(routes)
def test_every_cluster_that_a_route_names_exists(known: list[Route]) -> None:
    written = clusters_response(cluster_keys(known), (), {}, "/xds")
    existing = {cluster["name"] for cluster in written["resources"]}
    for entry in entries(routes_response(known)):
        action = entry.get("route", {})
        named = {share["name"] for share in action.get("weighted_clusters", {}).get("clusters", [])}
        assert named | ({action["cluster"]} if "cluster" in action else set()) <= existing


def decide(virtual_host: dict[str, Any], path: str, named: str | None) -> dict[str, Any]:
    """The entry that Envoy takes: the first whose path and headers match."""
    for entry in virtual_host["routes"]:
        match = entry["match"]
        conditions = match.get("headers", [])
        fits = path == match["path"] if "path" in match else path.startswith(match["prefix"])
        if fits and all(_holds(condition, named) for condition in conditions):
            chosen: dict[str, Any] = entry
            return chosen
    raise AssertionError("no entry matches")


def _holds(condition: dict[str, Any], named: str | None) -> bool:
    holds = named is not None and named == condition.get("string_match", {}).get("exact", named)
    return holds is not condition.get("invert_match", False)


@given(routes, labels)
def test_a_named_revision_is_reached_or_nobody(known: list[Route], named: str) -> None:
    found = {one["name"]: one for one in virtual_hosts(routes_response(known))}
    for route in known:
        own = f"{route.namespace}/{route.name}"
        for virtual_host, path in ((found[own], "/v2"), (found["paths"], f"/{own}/v2")):
            entry = decide(virtual_host, path, named)
            if named in {backend.revision for backend in route.backends}:
                assert entry["route"]["cluster"] == f"{own}/{named}/preview"
            else:
                assert entry["direct_response"]["status"] == 404


@given(routes, st.randoms())
def test_order_of_arrival_changes_no_byte(known: list[Route], chance: random.Random) -> None:
    shuffled = chance.sample(known, len(known))
    assert routes_response(shuffled) == routes_response(known)
    keys = cluster_keys(known)
    assert clusters_response(chance.sample(sorted(keys), len(keys)), keys, {}, "/x") == clusters_response(
        keys, keys, {}, "/x"
    )


@given(st.frozensets(st.builds(ClusterKey, labels, labels, labels)), st.data())
def test_clusters_can_be_read_back(keys: frozenset[ClusterKey], data: st.DataObject) -> None:
    watched = data.draw(st.frozensets(st.sampled_from(sorted(keys)))) if keys else frozenset()
    assert read_clusters(clusters_response(keys, watched, {}, "/x")) == KnownClusters(keys, watched)


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        pytest.param(
            {"sentiment-aaaaaaaa", "sentiment-bbbbbbbb"},
            (75, 25),
            id="both have pods: the split is as asked for",
        ),
        pytest.param({"sentiment-aaaaaaaa"}, (75, 0), id="the candidate has lost its pods: stable takes its share"),
        pytest.param({"sentiment-bbbbbbbb"}, (0, 25), id="stable has lost its pods: the candidate takes its share"),
        pytest.param(set(), (75, 25), id="nobody has pods: nothing is gained by another split"),
    ],
)
def test_a_revision_without_pods_gives_its_share_away(endpoints: set[str], expected: tuple[int, int]) -> None:
    known = {Service("shop", revision): (Endpoint("10.0.0.1", 8080),) for revision in endpoints}

    [route] = answerable([SENTIMENT], known)

    assert tuple(backend.weight for backend in route.backends) == expected


@pytest.mark.parametrize(
    ("leaving", "expected"),
    [
        pytest.param({"sentiment-aaaaaaaa"}, (0, 25), id="its pods are ending: the others have ready ones"),
        pytest.param({"sentiment-aaaaaaaa", "sentiment-bbbbbbbb"}, (75, 25), id="all are ending, and go on"),
    ],
)
def test_a_revision_whose_pods_are_all_ending_gives_its_share_away(
    leaving: set[str], expected: tuple[int, int]
) -> None:
    known = {Service("shop", backend.revision): (Endpoint("10.0.0.1", 8080),) for backend in SENTIMENT.backends}

    [route] = answerable([SENTIMENT], known, {Service("shop", revision) for revision in leaving})

    assert tuple(backend.weight for backend in route.backends) == expected
