"""What Envoy is told, as whole resources and as promises over generated worlds."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.matching import read_rules
from tidegate.model.route_policy import CircuitBreaker, OutlierDetection, RateLimit, RateUnit, Retries, RoutePolicy
from tidegate.model.traffic import Matched, Mirror
from tidegate.resources.model_route import Backend, Route
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_key import SUFFIXES, ClusterKey, cluster_keys, read_cluster_name
from tidegate.router.clusters import cluster_resources, endpoints_resource
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.route_entries import entries_by_host
from tidegate.router.routes import NO_MODEL, hosts, routes_resource, shape_of
from tidegate.router.routing_table import answerable
from tidegate.router.splits import splits_resource, weights_of
from tidegate.router.subscription import Resource

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
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path.name} is new: review it")
    assert text == path.read_text()


def decoded(resource: Resource, kind: type[Message]) -> dict[str, Any]:
    """A resource as Envoy reads it."""
    return {
        "version": resource.version,
        **MessageToDict(kind.FromString(resource.body), preserving_proto_field_name=True),
    }


def test_clusters_are_as_reviewed() -> None:
    keys = sorted(cluster_keys([SENTIMENT, DIGITS]))
    clusters = [decoded(each, pb.Cluster) for key in keys for each in cluster_resources(key)]
    golden("clusters.json", {"clusters": clusters})


def test_endpoints_are_as_reviewed() -> None:
    key = ClusterKey("shop", "sentiment", "sentiment-aaaaaaaa")
    golden("endpoints.json", decoded(endpoints_resource(key, ENDPOINTS[key.service]), pb.ClusterLoadAssignment))


def test_routes_are_as_reviewed() -> None:
    golden("routes.json", decoded(routes_resource(map(shape_of, [SENTIMENT, DIGITS])), pb.RouteConfiguration))


def test_what_a_model_that_is_called_by_grpc_has_is_as_reviewed() -> None:
    called = replace(SENTIMENT, grpc=True)
    pods = [Endpoint("10.0.0.1", 8080, 8081), Endpoint("10.0.0.2", 8080)]
    key = ClusterKey("shop", "sentiment", "sentiment-aaaaaaaa", grpc=True)
    golden(
        "grpc.json",
        {
            "clusters": [decoded(each, pb.Cluster) for each in cluster_resources(key)],
            "endpoints": decoded(endpoints_resource(key, pods), pb.ClusterLoadAssignment),
            "routes": decoded(routes_resource([shape_of(called)]), pb.RouteConfiguration),
            "weights": decoded(splits_resource("splits-07", weights_of(called)), pb.Runtime),
        },
    )


def test_what_a_guarded_model_has_is_as_reviewed() -> None:
    policy = RoutePolicy(
        timedelta(seconds=20),
        Retries(1, 20),
        RateLimit(100, RateUnit.MINUTE, 200),
        CircuitBreaker(10, 20, 30),
        OutlierDetection(),
    )
    key = ClusterKey("shop", "sentiment", "sentiment-aaaaaaaa")
    routes = decoded(routes_resource([shape_of(replace(SENTIMENT, policy=policy))]), pb.RouteConfiguration)
    golden(
        "guarded.json",
        {"clusters": [decoded(each, pb.Cluster) for each in cluster_resources(key, policy)], "routes": routes},
    )


def test_weights_are_as_reviewed() -> None:
    layer = splits_resource("splits-07", {**weights_of(SENTIMENT), **weights_of(DIGITS)})
    golden("splits.json", decoded(layer, pb.Runtime))


def configuration(known: list[Route]) -> dict[str, Any]:
    return decoded(routes_resource(map(shape_of, known)), pb.RouteConfiguration)


def virtual_hosts(known: list[Route]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = configuration(known)["virtual_hosts"]
    return listed


def entries(known: list[Route]) -> Iterator[dict[str, Any]]:
    for virtual_host in virtual_hosts(known):
        yield from virtual_host.get("routes", ())
        for prefix in by_prefix(virtual_host):
            yield from tried(virtual_host, prefix)


def by_prefix(virtual_host: dict[str, Any]) -> dict[str, Any]:
    tree = virtual_host.get("matcher", {}).get("matcher_tree", {})
    found: dict[str, Any] = tree.get("prefix_match_map", {}).get("map", {})
    return found


def tried(virtual_host: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The entries of which Envoy takes the first that matches: those of the longest prefix, where it goes by such."""
    if "matcher" not in virtual_host:
        listed: list[dict[str, Any]] = virtual_host["routes"]
        return listed
    found = by_prefix(virtual_host)
    longest = max((prefix for prefix in found if path.startswith(prefix)), key=len, default=None)
    chosen = virtual_host["matcher"]["on_no_match"] if longest is None else found[longest]
    routes: list[dict[str, Any]] = chosen["action"]["typed_config"]["value"]["routes"]
    return routes


@settings(deadline=None)
@given(routes)
def test_every_share_has_its_weight_in_the_runtime(known: list[Route]) -> None:
    weights = {name: weight for route in known for name, weight in weights_of(route).items()}
    fields = pb.Runtime.FromString(splits_resource("splits-00", weights).body).layer.fields
    found = {one["name"]: one for one in virtual_hosts(known)}
    for route in known:
        own = found[f"{route.namespace}/{route.name}"]
        split = own["routes"][-1]["route"]["weighted_clusters"]
        prefix = split["runtime_key_prefix"]
        assert {share["name"]: fields[f"{prefix}.{share['name']}"].number_value for share in split["clusters"]} == {
            f"{route.namespace}/{route.name}/{backend.revision}": backend.weight * 1_000_000
            for backend in route.backends
        }


@settings(deadline=None)
@given(routes)
def test_routes_are_the_same_whatever_the_weights(known: list[Route]) -> None:
    equal = [
        replace(route, backends=tuple(backend._replace(weight=7) for backend in reversed(route.backends)))
        for route in known
    ]
    assert routes_resource(map(shape_of, equal)) == routes_resource(map(shape_of, known))


@settings(deadline=None)
@given(routes)
def test_every_host_belongs_to_one_model(known: list[Route]) -> None:
    domains = [domain for one in virtual_hosts(known) for domain in one["domains"]]
    assert len(domains) == len(set(domains))
    names = {route.name for route in known}
    assert set(domains) == {"*", *names, *(host for route in known for host in hosts(route))}


@settings(deadline=None)
@given(routes)
def test_every_request_is_marked_by_how_it_came(known: list[Route]) -> None:
    """An entry's own mark comes after that of all, and overwrites it."""
    found = configuration(known)
    assert found["most_specific_header_mutations_wins"] is True
    for entry in entries(known):
        if "route" not in entry:
            continue
        (mark,) = entry.get("request_headers_to_add", found["request_headers_to_add"])
        came = "preview" if "cluster" in entry["route"] else "live"
        assert mark["header"] == {"key": "x-tidegate-traffic", "value": came}
        assert mark["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_without_a_preview_header_nobody_reaches_a_revision_by_its_name() -> None:
    found = list(entries([replace(SENTIMENT, preview_header="")]))

    assert all("weighted_clusters" in entry["route"] for entry in found if "route" in entry)
    assert all("headers" not in entry["match"] for entry in found)


@settings(deadline=None)
@given(routes)
def test_every_cluster_that_a_route_names_exists(known: list[Route]) -> None:
    existing = {cluster.name for key in cluster_keys(known) for cluster in cluster_resources(key)}
    for entry in entries(known):
        action = entry.get("route", {})
        named = {share["name"] for share in action.get("weighted_clusters", {}).get("clusters", [])}
        assert named | ({action["cluster"]} if "cluster" in action else set()) <= existing


def decide(virtual_host: dict[str, Any], path: str, named: str | None) -> dict[str, Any]:
    """The entry that Envoy takes: the first whose path and headers match."""
    for entry in tried(virtual_host, path):
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


@settings(deadline=None)
@given(routes, labels)
def test_a_named_revision_is_reached_or_nobody(known: list[Route], named: str) -> None:
    found = {one["name"]: one for one in virtual_hosts(known)}
    for route in known:
        own = f"{route.namespace}/{route.name}"
        for virtual_host, path in ((found[own], "/v2"), (found["paths"], f"/{own}/v2")):
            entry = decide(virtual_host, path, named)
            if named in {backend.revision for backend in route.backends}:
                assert entry["route"]["cluster"] == f"{own}/{named}/preview"
            else:
                assert entry["direct_response"]["status"] == 404


@settings(deadline=None)
@given(routes, labels, labels)
def test_a_path_reaches_the_model_that_it_names_or_nobody(known: list[Route], namespace: str, name: str) -> None:
    paths = next(one for one in virtual_hosts(known) if one["name"] == "paths")
    models = {f"{route.namespace}/{route.name}" for route in known}
    for model, end in product({*models, f"{namespace}/{name}"}, ("", "/v2")):
        entry = decide(paths, f"/{model}{end}", None)
        if model in models:
            shares = entry["route"]["weighted_clusters"]["clusters"]
            assert {share["name"].rpartition("/")[0] for share in shares} == {model}
        else:
            assert entry["direct_response"]["body"] == {"inline_string": NO_MODEL}


def test_the_name_of_one_model_may_begin_with_that_of_another() -> None:
    longer = replace(SENTIMENT, name="sentiment-large")
    paths = next(one for one in virtual_hosts([SENTIMENT, longer]) if one["name"] == "paths")
    found = {name: decide(paths, f"/shop/{name}/v2", None) for name in ("sentiment", "sentiment-large", "sentiment-x")}
    assert found["sentiment"]["route"] != found["sentiment-large"]["route"]
    assert found["sentiment-x"]["direct_response"]["body"] == {"inline_string": NO_MODEL}


@settings(deadline=None)
@given(routes, st.randoms())
def test_order_of_arrival_changes_no_byte(known: list[Route], chance: random.Random) -> None:
    shuffled = chance.sample(known, len(known))
    assert routes_resource(map(shape_of, shuffled)) == routes_resource(map(shape_of, known))


@settings(deadline=None)
@given(st.builds(ClusterKey, labels, labels, labels, st.booleans(), st.just("")))
def test_a_live_cluster_is_told_by_its_name(key: ClusterKey) -> None:
    assert (read_cluster_name(key.live), read_cluster_name(key.preview)) == (key, key)


@pytest.mark.parametrize(
    "name", ["tidegate-agent", "shop/sentiment", "shop/sentiment/a/else", "shop/sentiment/a/b/mirror"]
)
def test_a_cluster_that_is_nobodys_is_told_from_all_others(name: str) -> None:
    assert read_cluster_name(name) is None


def test_calls_by_grpc_are_neither_copied_nor_chosen() -> None:
    called, candidate = replace(SENTIMENT, grpc=True), "sentiment-bbbbbbbb"
    rules = read_rules([{"headers": [{"name": "x-team", "exact": "beta"}]}], "match")
    tried = replace(called, mirror=Mirror(candidate, 20), matched=Matched(candidate, rules))

    def calls(route: Route) -> list[pb.Route]:
        return [each for each in entries_by_host(route) if each.match.HasField("grpc")]

    assert calls(tried) == calls(called)
    assert {key.suffix for key in cluster_keys([tried]) if key.grpc} == {""}


@settings(deadline=None)
@given(st.builds(ClusterKey, labels, labels, labels, st.just(False), st.sampled_from(SUFFIXES[1:])))
def test_a_cluster_of_copies_or_of_a_group_is_told_by_its_name(key: ClusterKey) -> None:
    assert [read_cluster_name(name) for name in key.clusters] == [key]


def test_one_message_tells_live_and_preview_of_a_pod() -> None:
    key = ClusterKey("shop", "sentiment", "sentiment-aaaaaaaa")
    names = {pb.Cluster.FromString(each.body).eds_cluster_config.service_name for each in cluster_resources(key)}
    assert names == {endpoints_resource(key, ()).name}


def test_a_change_of_pods_is_a_few_hundred_bytes() -> None:
    pods = [Endpoint(f"10.244.10.{number}", 8080) for number in range(20)]
    key = ClusterKey("recommendations", "product-ranking-large", "product-ranking-large-6f9c1d2e")
    assert len(endpoints_resource(key, pods).body) < 1000


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
    known = {Service("shop", revision): Answering((Endpoint("10.0.0.1", 8080),)) for revision in endpoints}

    route = answerable(SENTIMENT, known)

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
    known = {
        Service("shop", backend.revision): Answering((Endpoint("10.0.0.1", 8080),), backend.revision in leaving)
        for backend in SENTIMENT.backends
    }

    route = answerable(SENTIMENT, known)

    assert tuple(backend.weight for backend in route.backends) == expected
