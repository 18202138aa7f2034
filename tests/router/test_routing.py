"""Requests through a real Envoy: where they go, what comes back, and what is counted."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_OLD, NEW, OLD
from tidegate.resources.model_route import Route
from tidegate.router.objects import Endpoint, Service
from tidegate.router.routes import AMBIGUOUS

if TYPE_CHECKING:
    from tests.router.conftest import Answer, Bench, ModelServer, Router

pytestmark = pytest.mark.router


@pytest.mark.parametrize(
    ("host", "path", "seen"),
    [
        pytest.param("sentiment.shop", "/v2?a=1", "/v2?a=1", id="by short host"),
        pytest.param("sentiment.shop:8080", "/v2", "/v2", id="by host with a port"),
        pytest.param("sentiment.shop.svc", "/v2", "/v2", id="by host ending in svc"),
        pytest.param("Sentiment.Shop.svc.cluster.local:80", "/v2", "/v2", id="by full host in any case"),
        pytest.param("sentiment.shop.svc.cluster.local.", "/v2", "/v2", id="by full host with its last dot"),
        pytest.param("sentiment", "/v2", "/v2", id="by its name, as in its own namespace"),
        pytest.param("10.1.2.3", "/shop/sentiment", "/", id="by path without its last slash"),
        pytest.param("10.1.2.3", "/shop/sentiment/", "/", id="by path with its last slash"),
        pytest.param("10.1.2.3", "/shop/sentiment?a=1", "/?a=1", id="by path without its last slash, with a query"),
        pytest.param("10.1.2.3:30080", "/shop/sentiment/v2?a=1", "/v2?a=1", id="by path on any other host"),
        pytest.param("sentiment.shop", "/shop/sentiment/v2", "/shop/sentiment/v2", id="host wins over path"),
    ],
)
def test_a_model_is_reached(served: Router, host: str, path: str, seen: str) -> None:
    answer = served.get(path, host)
    assert (answer.status, answer.text.split('"')[1:4:2]) == (200, [OLD, seen])
    assert answer.headers["x-tidegate-served-by"] == OLD


@pytest.mark.parametrize(
    ("host", "path", "error"),
    [
        pytest.param("nobody.shop", "/v2", "no model at this host or path", id="unknown host"),
        pytest.param("10.1.2.3", "/shop/sentimental/", "no model at this host or path", id="unknown path"),
    ],
)
def test_an_unknown_model_is_a_404_in_json(served: Router, host: str, path: str, error: str) -> None:
    answer = served.get(path, host)
    assert (answer.status, answer.text.strip()) == (404, f'{{"error":"{error}"}}')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("host", ["sentiment.shop", "10.1.2.3"])
def test_the_header_reaches_a_revision_without_weight(served: Router, host: str) -> None:
    path = "/shop/sentiment/v2" if host == "10.1.2.3" else "/v2"
    answer = served.get(path, host, x_tidegate_revision=NEW)
    assert (answer.status, answer.text.split('"')[1:4:2]) == (200, [NEW, "/v2"])
    assert served.count("envoy_cluster_upstream_rq_completed", f"shop/sentiment/{NEW}/preview") == 1
    assert served.count("envoy_cluster_upstream_rq_completed", f"shop/sentiment/{NEW}") == 0


@pytest.mark.parametrize("named", ["sentiment-cccccccc", "", f"{NEW},{OLD}", NEW.upper()])
def test_a_header_that_names_no_revision_reaches_nobody(served: Router, named: str) -> None:
    answer = served.get(x_tidegate_revision=named)
    assert (answer.status, answer.text.strip()) == (404, '{"error":"no such revision of this model"}')


def test_a_name_that_two_namespaces_have_is_answered_with_what_to_ask_for(bench: Bench) -> None:
    router = bench.router()
    both = [bench.route((OLD, 100)), replace(bench.route((OLD, 100)), namespace="bank")]
    router.start(both, bench.endpoints(bench.server(OLD)))
    answer = router.get("/v2", "sentiment")
    assert (answer.status, answer.text.strip()) == (404, json.dumps({"error": AMBIGUOUS}, separators=(",", ":")))
    assert router.get("/v2", "sentiment.shop").status == 200


@pytest.mark.parametrize("forged", [None, "live", "preview"])
def test_how_a_request_came_is_told_to_the_model_server_whatever_the_client_says(
    served: Router, forged: str | None
) -> None:
    said = {} if forged is None else {"x_tidegate_traffic": forged}
    assert served.get(**said).headers["seen-traffic"] == "live"
    assert served.get(**said, x_tidegate_revision=NEW).headers["seen-traffic"] == "preview"
    assert served.get("/shop/sentiment", "10.1.2.3", **said).headers["seen-traffic"] == "live"


def test_previews_can_be_turned_off(bench: Bench) -> None:
    router = bench.router()
    route = replace(bench.route((OLD, 100), (NEW, 0)), preview_header="")
    router.start([route], bench.endpoints(bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")))
    answer = router.get(x_tidegate_revision=NEW)
    assert (answer.status, answer.headers["x-tidegate-served-by"]) == (200, OLD)


@pytest.mark.parametrize("change", ["a pod leaves", "the revision leaves"])
def test_a_long_request_is_not_cut_when(change: str, bench: Bench) -> None:
    slow, other = bench.server(OLD, "127.0.0.2", slow_seconds=4), bench.server(NEW, "127.0.0.3")
    another = bench.server(OLD, "127.0.0.4")
    router = bench.router()
    router.start([bench.route((OLD, 100), (NEW, 0), timeout=20)], bench.endpoints(slow, other))
    answers: list[Answer] = []
    early = threading.Thread(target=lambda: answers.append(router.get()))
    early.start()
    bench.until(lambda: slow.requests == 1, "a request is under way")
    if change == "a pod leaves":
        router.publish([bench.route((OLD, 100), (NEW, 0), timeout=20)], bench.endpoints(another, other))
    else:
        router.publish([bench.route((NEW, 100), timeout=20)], bench.endpoints(other))
    assert router.get().status == 200
    early.join()
    assert [answer.status for answer in answers] == [200]


def test_a_split_is_kept_within_chance(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([bench.route((OLD, 75), (NEW, 25))], bench.endpoints(old, new))
    load = bench.load(router.port)
    load.start(clients=4, pause_seconds=0)
    bench.until(lambda: old.requests + new.requests >= 2000, "2000 requests", 30)
    outcomes = load.stop()
    total = sum(outcomes.values())
    assert outcomes == Counter({"200": total})
    # Five standard deviations of a binomial draw: about one false alarm in two million runs.
    assert abs(new.requests - 0.25 * total) < 5 * (total * 0.25 * 0.75) ** 0.5


def test_200_changes_of_the_split_lose_no_request(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    endpoints = bench.endpoints(old, new)
    router = bench.router()
    router.start([bench.route((OLD, 100), (NEW, 0))], endpoints)
    load = bench.load(router.port)
    load.start(clients=8, pause_seconds=0.015)
    for turn in range(200):
        share = turn * 37 % 101
        assert router.publish([bench.route((OLD, 100 - share), (NEW, share))], endpoints)
        time.sleep(0.01)  # each is met by some requests: a change takes less than that
    outcomes = load.stop()
    assert set(outcomes) == {"200"}
    assert outcomes["200"] > 200


def test_a_new_split_takes_effect_at_once(bench: Bench) -> None:
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    routes = {
        server: [bench.route((OLD, 100 * (server is old)), (NEW, 100 * (server is new)))] for server in (old, new)
    }
    endpoints = bench.endpoints(old, new)
    router.start(routes[old], endpoints)
    took = [_time_to_effect(router, routes[server], endpoints, server) for _ in range(15) for server in (new, old)]
    print(f"from change to effect: median {statistics.median(took) * 1000:.1f} ms")  # noqa: T201 - shown by pytest -s
    assert statistics.median(took) < 0.5  # some milliseconds, and more where the machine has other work


def _time_to_effect(
    router: Router, routes: list[Route], endpoints: Mapping[Service, tuple[Endpoint, ...]], expected: ModelServer
) -> float:
    started = time.monotonic()
    router.put(routes, endpoints)
    while expected.revision not in router.get().text:
        assert time.monotonic() - started < 5
    return time.monotonic() - started


def test_endpoints_that_leave_and_come_lose_no_request(bench: Bench) -> None:
    stays, leaves = bench.server(OLD, "127.0.0.2"), bench.server(OLD, "127.0.0.3", slow_seconds=0.03)
    router = bench.router()
    routes = [bench.route((OLD, 100))]
    router.start(routes, bench.endpoints(stays, leaves))
    load = bench.load(router.port)
    load.start(clients=8, pause_seconds=0.01)
    bench.until(lambda: leaves.requests > 20, "both serve")
    for _ in range(10):
        router.publish(routes, bench.endpoints(stays))
        router.publish(routes, bench.endpoints(stays, leaves))
    router.publish(routes, bench.endpoints(stays))
    before = stays.requests
    bench.until(lambda: stays.requests > before + 50, "the other goes on")
    # Requests that were under way have ended long since: now the pod goes.
    leaves.close()
    before = stays.requests
    bench.until(lambda: stays.requests > before + 50, "the other goes on alone")
    assert set(load.stop()) == {"200"}


def test_a_refusing_pod_costs_no_request_while_another_pod_of_the_revision_lives(bench: Bench) -> None:
    gone, lives = bench.server(OLD, "127.0.0.2"), bench.server(OLD, "127.0.0.3")
    router = bench.router()
    router.start([bench.route((OLD, 100))], bench.endpoints(gone, lives))
    gone.close()
    assert Counter(router.get().status for _ in range(50)) == Counter({200: 50})
    large = bench.ask(router.port, "POST", "/v2", {"Host": "sentiment.shop"}, bytes(600_000))
    assert large.status == 200
    assert (router.count("envoy_cluster_upstream_rq_retry_success", LIVE_OLD) or 0) > 0


def test_a_request_that_kills_a_pod_is_not_given_to_the_next(bench: Bench) -> None:
    first, second = (bench.server(OLD, address, behaviour="die") for address in ("127.0.0.2", "127.0.0.3"))
    router = bench.router()
    router.start([bench.route((OLD, 100))], bench.endpoints(first, second))
    assert router.get().status == 503
    assert first.requests + second.requests == 1


@pytest.mark.parametrize("behaviour", ["fail", "refuse", "nobody"])
def test_errors_of_a_revision_are_counted_as_its_own(bench: Bench, behaviour: str) -> None:
    server = bench.server(OLD, behaviour="fail")
    endpoints = bench.endpoints(server) if behaviour != "nobody" else {}
    if behaviour == "refuse":
        server.close()
    router = bench.router()
    router.start([bench.route((OLD, 100))], endpoints)
    assert {router.get().status for _ in range(5)} == {500 if behaviour == "fail" else 503}
    assert router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) == 5
    assert router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") == 5


def test_a_model_that_cannot_keep_up_is_heard_and_counted(bench: Bench) -> None:
    router = bench.router()
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD, behaviour="turn away")))
    assert {router.get().status for _ in range(5)} == {429}
    assert router.count("envoy_cluster_upstream_rq", LIVE_OLD, envoy_response_code="429") == 5
    assert router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") is None


def test_a_model_that_is_too_slow_is_a_504_and_counted(bench: Bench) -> None:
    router = bench.router()
    router.start([bench.route((OLD, 100), timeout=1)], bench.endpoints(bench.server(OLD, slow_seconds=1.5)))
    assert router.get().status == 504
    assert router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") == 1
    assert router.count("envoy_cluster_upstream_rq_timeout", LIVE_OLD) == 1


def test_counts_of_a_judged_revision_outlive_a_change_of_its_pods(bench: Bench) -> None:
    failing, other = bench.server(OLD, "127.0.0.2", behaviour="fail"), bench.server(OLD, "127.0.0.3")
    router = bench.router()
    routes = [bench.route((OLD, 100))]
    router.start(routes, bench.endpoints(failing))
    assert router.get().status == 500
    router.publish(routes, bench.endpoints(other))
    bench.until(lambda: router.get().status == 200, "the new pod answers")
    assert (router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") or 0) >= 1


def test_a_client_cannot_change_the_timeout(bench: Bench) -> None:
    router = bench.router()
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD, slow_seconds=0.1)))
    assert router.get(x_envoy_upstream_rq_timeout_ms="10").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ready", 200),
        ("GET", "/stats/prometheus", 200),
        ("GET", "/stats/prometheus?usedonly", 404),
        ("POST", "/stats/prometheus", 404),
        ("GET", "/stats", 404),
        ("GET", "/config_dump", 404),
        ("POST", "/quitquitquit", 404),
        ("POST", "/healthcheck/fail", 404),
        ("GET", "/ready/../quitquitquit", 404),
        ("GET", "//quitquitquit", 404),
    ],
)
def test_the_metrics_port_shows_two_pages_and_no_more(
    served: Router, bench: Bench, method: str, path: str, status: int
) -> None:
    assert bench.ask(served.metrics_port, method, path, {}).status == status
    assert served.admin.is_ready()


def test_a_new_route_is_reachable_when_publish_returns(served: Router, bench: Bench) -> None:
    other = bench.server("digits-00000001", "127.0.0.4")
    endpoints: dict[Service, tuple[Endpoint, ...]] = bench.endpoints(other)
    assert served.publish([bench.route(("digits-00000001", 100), name="digits")], endpoints)
    assert served.get(host="digits.shop").status == 200
    assert served.get(host="sentiment.shop").status == 404
