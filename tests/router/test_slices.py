"""Requests counted apart by headers, in a real Envoy: each in one cell, and never as a client says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_NEW, LIVE_OLD, NEW, OLD
from tidegate.model.slices import OTHER, Slice, Slices, cells_of
from tidegate.router.slices import COUNTED_AS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.router.conftest import Bench, Router

pytestmark = pytest.mark.router

TENANTS = (Slice("tenant", "x-tenant", ("acme", "umbrella")),)
BOTH = (*TENANTS, Slice("country", "x-country", ("de",)))


def counted(bench: Bench, router: Router, cluster: str) -> dict[str, float]:
    """What the metrics listener tells of a cluster's cells: `cell completed` or `cell 5` → how many."""
    text = bench.ask(router.metrics_port, "GET", "/stats/prometheus", {}).text
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        labels, _, value = rest.partition("} ")
        if matched := re.fullmatch(r"envoy_cluster_(slice_\w+?)_upstream_rq(_completed|_xx|)", name):
            told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if told["envoy_cluster_name"] == cluster:
                what = told.get("envoy_response_code_class") or told.get("envoy_response_code") or "completed"
                found[f"{matched[1]} {what}"] = float(value)
    return found


def in_groups(slices: Slices, of: Mapping[str, float], what: str = "completed") -> dict[tuple[str, str], float]:
    cells = cells_of(slices).items()
    return {group: sum(of.get(f"{cell} {what}", 0) for cell in named) for group, named in cells}


def started(bench: Bench, slices: Slices, behaviour: str = "answer") -> Router:
    old = bench.server(OLD, behaviour=behaviour)
    router = bench.router()
    router.start([replace(bench.route((OLD, 100)), slices=slices)], bench.endpoints(old))
    return router


@pytest.mark.parametrize(
    ("path", "host"),
    [
        pytest.param("/", "sentiment.shop", id="by host"),
        pytest.param("/shop/sentiment/v2", "10.1.2.3", id="by path"),
    ],
)
def test_each_request_is_in_one_group_of_each_slice(bench: Bench, path: str, host: str) -> None:
    router = started(bench, BOTH)
    for headers in (
        {"X_Tenant": "acme", "X_Country": "de"},
        {"X_Tenant": "acme"},
        {"X_Tenant": "umbrella", "X_Country": "fr"},
        {"X_Tenant": "Acme"},
        {},
    ):
        assert router.get(path, host, **headers).status == 200

    assert in_groups(BOTH, counted(bench, router, LIVE_OLD)) == {
        ("tenant", "acme"): 2,
        ("tenant", "umbrella"): 1,
        ("tenant", OTHER): 2,
        ("country", "de"): 1,
        ("country", OTHER): 4,
    }
    assert router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) == 5


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [
        pytest.param("fail", "5", id="answers of the class 5"),
        pytest.param("turn away", "429", id="answers of a model that can't keep up"),
        pytest.param("die", "5", id="a pod that goes away without an answer"),
    ],
)
def test_a_groups_failures_are_counted(bench: Bench, behaviour: str, what: str) -> None:
    router = started(bench, TENANTS, behaviour)
    for _ in range(3):
        router.get(X_Tenant="acme")
    found = counted(bench, router, LIVE_OLD)

    assert in_groups(TENANTS, found)["tenant", "acme"] == 3
    assert in_groups(TENANTS, found, what)["tenant", "acme"] == 3


def test_without_any_pod_the_failures_are_counted_too(bench: Bench) -> None:
    router = bench.router()
    router.start([replace(bench.route((OLD, 100)), slices=TENANTS)], {})

    assert router.get(X_Tenant="umbrella").status == 503
    assert in_groups(TENANTS, counted(bench, router, LIVE_OLD), "5")["tenant", "umbrella"] == 1


def test_both_revisions_are_counted_apart_in_the_same_cells(bench: Bench) -> None:
    old, new = bench.server(OLD), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    route = replace(bench.route((OLD, 50), (NEW, 50)), slices=TENANTS)
    router.start([route], bench.endpoints(old, new))
    for _ in range(60):
        router.get(X_Tenant="acme")
    of_acme = [
        in_groups(TENANTS, counted(bench, router, cluster))["tenant", "acme"] for cluster in (LIVE_OLD, LIVE_NEW)
    ]

    assert of_acme == [old.requests, new.requests]
    assert sum(of_acme) == 60


def test_nobody_says_where_he_is_counted(bench: Bench) -> None:
    router = started(bench, TENANTS)
    (cell,) = cells_of(TENANTS)["tenant", "acme"]
    router.get(**{COUNTED_AS: cell})

    assert in_groups(TENANTS, counted(bench, router, LIVE_OLD)) == {
        ("tenant", "acme"): 0,
        ("tenant", "umbrella"): 0,
        ("tenant", OTHER): 1,
    }


def test_a_model_without_slices_has_no_such_counters_whatever_clients_send(bench: Bench) -> None:
    router = started(bench, ())
    (cell,) = cells_of(TENANTS)["tenant", "acme"]

    assert router.get(**{COUNTED_AS: cell}).status == 200
    assert counted(bench, router, LIVE_OLD) == {}
    assert router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) == 1


def test_slices_that_change_are_counted_from_nothing(bench: Bench) -> None:
    old = bench.server(OLD)
    router = bench.router()
    router.start([replace(bench.route((OLD, 100)), slices=TENANTS)], bench.endpoints(old))
    router.get(X_Tenant="acme")
    others = (replace(TENANTS[0], values=("umbrella", "acme")),)
    assert router.publish([replace(bench.route((OLD, 100)), slices=others)], bench.endpoints(old))
    router.get(X_Tenant="acme")

    assert in_groups(others, counted(bench, router, LIVE_OLD)) == {
        ("tenant", "umbrella"): 0,
        ("tenant", "acme"): 1,
        ("tenant", OTHER): 0,
    }
