"""Copies of requests: a revision answers them for nobody, is counted by them apart, and costs no user anything."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_NEW, LIVE_OLD, NEW, OLD
from tidegate.model.traffic import Mirror
from tidegate.router.clusters import COPIES_AT_ONCE
from tidegate.router.objects import Endpoint, Service
from tidegate.router.route_entries import LARGEST_COPIED

if TYPE_CHECKING:
    from tests.router.conftest import Bench, Router
    from tidegate.resources.model_route import Route

pytestmark = pytest.mark.router
COPIES = f"{LIVE_NEW}/mirror"
SMALL_ENOUGH, TOO_LARGE = b"x" * LARGEST_COPIED, b"x" * (LARGEST_COPIED + 1)
VERY_LARGE = b"x" * 8 * 1024 * 1024


def mirrored(bench: Bench, percent: int) -> Route:
    return replace(bench.route((OLD, 100), (NEW, 0)), mirror=Mirror(NEW, percent))


@contextlib.contextmanager
def deaf() -> Iterator[Endpoint]:
    """A pod that takes connections, and reads nothing."""
    with socket.create_server(("127.0.0.9", 0), backlog=512) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield Endpoint(*listening.getsockname())


def completed(router: Router, cluster: str) -> float:
    return router.count("envoy_cluster_upstream_rq_completed", cluster) or 0


def test_users_are_answered_by_stable_and_copies_are_counted_apart(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3", behaviour="fail")
    router = bench.router()
    router.start([mirrored(bench, 100)], bench.endpoints(old, new))
    answers = [router.get() for _ in range(20)]
    bench.until(lambda: completed(router, COPIES) == 20, "all copies are answered")
    assert {(each.status, each.headers["x-tidegate-served-by"]) for each in answers} == {(200, OLD)}
    assert (completed(router, LIVE_OLD), completed(router, LIVE_NEW)) == (20, 0)
    assert router.count("envoy_cluster_upstream_rq_xx", COPIES, envoy_response_code_class="5") == 20
    assert set(new.seen) == {("sentiment.shop", "shadow")}
    assert set(old.seen) == {("sentiment.shop", "live")}


def test_as_many_are_copied_as_asked_for_within_chance(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([mirrored(bench, 20)], bench.endpoints(old, new))
    load = bench.load(router.port)
    load.start(clients=4, pause_seconds=0)
    bench.until(lambda: old.requests >= 2000, "2000 requests", 30)
    outcomes = load.stop()
    total = sum(outcomes.values())
    assert outcomes == Counter({"200": total})
    # Five standard deviations of a binomial draw: about one false alarm in two million runs.
    assert abs(new.requests - 0.2 * total) < 5 * (total * 0.2 * 0.8) ** 0.5


def test_a_preview_is_not_copied(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([mirrored(bench, 100)], bench.endpoints(old, new))
    assert router.get(x_tidegate_revision=OLD).status == 200
    assert router.get("/shop/sentiment/v2", "10.1.2.3").status == 200
    bench.until(lambda: new.requests == 1, "the live request is copied")
    assert new.seen == [("10.1.2.3", "shadow")]


@pytest.mark.parametrize(
    ("body", "copies"),
    [
        pytest.param(b"", 1, id="no body"),
        pytest.param(SMALL_ENOUGH, 1, id="the largest body that is copied"),
        pytest.param(TOO_LARGE, 0, id="a larger one"),
    ],
)
def test_what_is_copied_of(body: bytes, copies: int, bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([mirrored(bench, 100)], bench.endpoints(old, new))
    assert bench.ask(router.port, "POST", "/", {"Host": "sentiment.shop"}, body).status == 200
    assert router.get().status == 200
    bench.until(lambda: completed(router, COPIES) == copies + 1, "the copies are answered")
    assert new.requests == copies + 1


@pytest.mark.parametrize(
    "body", [b"x" * 100, SMALL_ENOUGH, VERY_LARGE], ids=["a small body", "the largest one copied", "a body of 8 MiB"]
)
def test_a_candidate_that_hangs_slows_no_user_with(body: bytes, bench: Bench) -> None:
    old = bench.server(OLD, "127.0.0.2")
    router = bench.router()
    with deaf() as endpoint:
        endpoints = {**bench.endpoints(old), Service("shop", NEW): (endpoint,)}
        router.start([mirrored(bench, 100)], endpoints)
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert bench.ask(router.port, "POST", "/", {"Host": "sentiment.shop"}, body).status == 200
            took.append(time.monotonic() - began)
    assert max(took) < 1.0


def test_more_copies_than_a_candidate_can_answer_are_turned_away_and_no_user_waits(bench: Bench) -> None:
    old = bench.server(OLD, "127.0.0.2")
    router = bench.router()
    with deaf() as endpoint:
        endpoints = {**bench.endpoints(old), Service("shop", NEW): (endpoint,)}
        router.start([mirrored(bench, 100)], endpoints)
        load = bench.load(router.port)
        load.start(clients=4, pause_seconds=0)
        bench.until(lambda: old.requests >= 600, "600 requests", 30)
        outcomes = load.stop()
        total = sum(outcomes.values())
        assert outcomes == Counter({"200": total})
        overflow = router.count("envoy_cluster_upstream_rq_pending_overflow", COPIES)
    assert overflow == total - 2 * COPIES_AT_ONCE


def test_nothing_is_copied_any_more_when_the_route_says_so(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([mirrored(bench, 100)], bench.endpoints(old, new))
    assert router.get().status == 200
    bench.until(lambda: completed(router, COPIES) == 1, "a copy is answered")
    load = bench.load(router.port)
    load.start(clients=2, pause_seconds=0.002)
    assert router.publish([bench.route((OLD, 100))], bench.endpoints(old, new))
    time.sleep(0.2)
    before = new.requests
    bench.until(lambda: old.requests > before + 100, "more requests")
    assert set(load.stop()) == {"200"}
    assert new.requests == before
    assert completed(router, COPIES) == before


def test_an_envoy_that_starts_without_the_api_server_copies_as_before(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([mirrored(bench, 100)], bench.endpoints(old, new))
    router.stop_envoy()
    router.restart_agent(knows_cluster=False)
    router.start_envoy()
    bench.until(router.admin.is_ready, "Envoy is ready again")
    assert router.get().status == 200
    bench.until(lambda: new.requests == 1, "its request is copied")
