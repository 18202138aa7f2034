"""Requests that match a rule reach one revision, whatever its weight; all others go by the split."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_NEW, LIVE_OLD, NEW, OLD
from tidegate.model.matching import read_rules
from tidegate.model.traffic import Matched

if TYPE_CHECKING:
    from tests.router.conftest import Bench, Router
    from tidegate.resources.model_route import Route

pytestmark = pytest.mark.router
GROUP = f"{LIVE_NEW}/match"
RULES = [
    {"headers": [{"name": "x-team", "exact": "beta"}, {"name": "x-level", "regex": "[1-3]"}]},
    {"cookies": [{"name": "plan", "prefix": "gold"}]},
    {"query": [{"name": "try", "exact": "new"}]},
]


def chosen(bench: Bench) -> Route:
    return replace(bench.route((OLD, 100), (NEW, 0)), matched=Matched(NEW, read_rules(RULES, "match")))


@pytest.fixture
def router(bench: Bench) -> Router:
    router = bench.router()
    router.start([chosen(bench)], bench.endpoints(bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")))
    return router


@pytest.mark.parametrize(
    ("path", "headers", "revision"),
    [
        pytest.param("/", {}, OLD, id="nothing"),
        pytest.param("/", {"x_team": "beta", "x_level": "2"}, NEW, id="both headers"),
        pytest.param("/", {"x_team": "beta"}, OLD, id="one header of two"),
        pytest.param("/", {"x_team": "beta", "x_level": "12"}, OLD, id="a part of a value, where all has to match"),
        pytest.param("/", {"cookie": "a=b; plan=golden; c=d"}, NEW, id="a cookie among others"),
        pytest.param("/", {"cookie": "myplan=gold"}, OLD, id="a cookie whose name only ends like that"),
        pytest.param("/v2/models?try=new&x=1", {}, NEW, id="a parameter of the query"),
        pytest.param("/v2/models?retry=new", {}, OLD, id="another parameter"),
        pytest.param("/?try=new", {"x_tidegate_revision": OLD}, OLD, id="a rule, and another revision by its name"),
    ],
)
def test_a_request_reaches_its_revision_with(path: str, headers: dict[str, str], revision: str, router: Router) -> None:
    answer = router.get(path, **headers)
    assert (answer.status, answer.headers["x-tidegate-served-by"]) == (200, revision)
    by_path = router.get(f"/shop/sentiment{path}", "10.1.2.3", **headers)
    assert (by_path.status, by_path.headers["x-tidegate-served-by"]) == (200, revision)


def test_a_group_is_counted_apart_from_what_is_drawn(router: Router) -> None:
    for _ in range(5):
        router.get("/?try=new")
        router.get("/")
    counted = [router.count("envoy_cluster_upstream_rq_completed", each) for each in (LIVE_OLD, LIVE_NEW, GROUP)]
    assert counted == [5, 0, 5]
    assert router.get("/?try=new").headers["seen-traffic"] == "live"


def test_a_group_whose_revision_has_no_pod_is_as_all_others(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([chosen(bench)], bench.endpoints(old, new))
    assert router.get("/?try=new").headers["x-tidegate-served-by"] == NEW
    router.publish([chosen(bench)], bench.endpoints(old))
    answers = [router.get("/?try=new") for _ in range(10)]
    assert {(each.status, each.headers["x-tidegate-served-by"]) for each in answers} == {(200, OLD)}


def test_an_expression_that_envoy_will_not_have_changes_nothing_and_is_told(bench: Bench) -> None:
    router = bench.router()
    endpoints = bench.endpoints(bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3"))
    router.start([chosen(bench)], endpoints)
    rules = read_rules([{"query": [{"name": "try", "regex": "a{1001}"}]}], "match")
    router.put([replace(chosen(bench), matched=Matched(NEW, rules))], endpoints)
    bench.until(lambda: bool(router.agent.applied.refused), "the refusal is told")
    assert router.get("/?try=new").headers["x-tidegate-served-by"] == NEW
