"""Timeouts, retries, limits and ejections of a model, in a real Envoy: what they do, and what the judge sees of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_OLD, OLD
from tests.router.grpc_calls import CallClient, CallServer
from tidegate.model.route_policy import CircuitBreaker, OutlierDetection, RateLimit, RateUnit, Retries, RoutePolicy
from tidegate.router.bootstrap import TOO_MANY
from tidegate.router.objects import Service

if TYPE_CHECKING:
    from tests.router.conftest import Answer, Bench, ModelServer, Router
    from tidegate.resources.model_route import Route

pytestmark = pytest.mark.router


def guarded(bench: Bench, policy: RoutePolicy, timeout: int = 60) -> Route:
    """All requests to one revision, under a policy."""
    return replace(bench.route((OLD, 100), timeout=timeout), policy=policy)


def started(bench: Bench, policy: RoutePolicy, *servers: ModelServer, timeout: int = 60) -> Router:
    router = bench.router()
    router.start([guarded(bench, policy, timeout)], bench.endpoints(*servers))
    return router


def at_once(router: Router, number: int) -> Counter[int]:
    """The statuses of so many requests side by side."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(router.get())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(answer.status for answer in answers)


MINUTELY = RoutePolicy(rate_limit=RateLimit(5, RateUnit.MINUTE, 5))


@pytest.mark.parametrize(
    ("path", "host"),
    [
        pytest.param("/", "sentiment.shop", id="by host"),
        pytest.param("/shop/sentiment/v2", "10.1.2.3", id="by path"),
    ],
)
def test_what_is_beyond_the_rate_is_turned_away_and_no_failure_of_the_revision(
    bench: Bench, path: str, host: str
) -> None:
    server = bench.server(OLD)
    router = started(bench, MINUTELY, server)
    answers = [router.get(path, host) for _ in range(8)]

    assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
    assert (answers[-1].text.strip(), answers[-1].headers["retry-after"]) == (f'{{"error":"{TOO_MANY}"}}', "1")
    assert server.requests == 5
    assert router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) == 5
    assert router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="4") is None
    limited = 'envoy_http_local_rate_limit_rate_limited{envoy_local_http_ratelimit_prefix="shop/sentiment"} 3'
    assert limited in bench.ask(router.metrics_port, "GET", "/stats/prometheus", {}).text.splitlines()


def test_a_rate_is_one_models_own(bench: Bench) -> None:
    router = bench.router()
    server = bench.server(OLD)
    other = bench.route((OLD, 100), name="digits")
    router.start([guarded(bench, MINUTELY), other], bench.endpoints(server))
    statuses = {
        host: Counter(router.get(host=f"{host}.shop").status for _ in range(8)) for host in ("sentiment", "digits")
    }

    assert statuses == {"sentiment": Counter({200: 5, 429: 3}), "digits": Counter({200: 8})}


def test_a_call_beyond_the_rate_is_unavailable_and_no_failure_of_the_revision(bench: Bench) -> None:
    server = CallServer(OLD, "127.0.0.2")
    router = bench.router()
    router.start([replace(guarded(bench, MINUTELY), grpc=True)], {Service("shop", OLD): (server.endpoint,)})
    client = CallClient(router.port)
    answers = [client.ask() for _ in range(8)]
    client.close()
    server.close()

    assert answers == [OLD] * 5 + ["UNAVAILABLE"] * 3
    assert router.count("envoy_cluster_upstream_rq_completed", f"{LIVE_OLD}/grpc") == 5
    assert router.count("envoy_cluster_grpc_14", f"{LIVE_OLD}/grpc") is None


@pytest.mark.parametrize(
    ("attempts", "failed"),
    [
        pytest.param(2, 0, id="two attempts: a pod that refuses costs nothing"),
        pytest.param(0, 20, id="none: about half of the requests fail"),
    ],
)
def test_requests_that_reached_no_model_are_tried_again_as_often_as_is_said(
    bench: Bench, attempts: int, failed: int
) -> None:
    alive, refusing = bench.server(OLD), bench.server(OLD, "127.0.0.3")
    router = started(bench, RoutePolicy(retries=Retries(attempts)), alive, refusing)
    refusing.close()
    statuses = Counter(router.get().status for _ in range(40))

    assert abs(statuses[503] - failed) <= (18 if failed else 0)


def test_a_budget_leaves_three_retries_and_no_thundering_herd(bench: Bench) -> None:
    refusing = bench.server(OLD)
    router = started(bench, RoutePolicy(retries=Retries(5, budget_percent=1)), refusing)
    refusing.close()

    assert at_once(router, 20) == Counter({503: 20})


def test_more_than_the_circuit_breaker_lets_through_is_the_revisions_failure(bench: Bench) -> None:
    breaker = CircuitBreaker(max_connections=1, max_pending_requests=1)
    router = started(bench, RoutePolicy(circuit_breaker=breaker), bench.server(OLD, slow_seconds=0.5))
    statuses = at_once(router, 8)

    assert statuses[503] >= 4  # each of Envoy's two workers counts, and one may look before the other has told
    assert router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") == statuses[503]


def test_a_policy_changes_while_requests_come_and_counts_go_on(bench: Bench) -> None:
    server = bench.server(OLD)
    router = started(bench, RoutePolicy(), server)
    load = bench.load(router.port)
    load.start(4, 0.005)
    time.sleep(0.3)
    counts = [router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) or 0]
    for most in (1000, 2000, 3000):
        policy = RoutePolicy(
            timedelta(seconds=30),
            Retries(1, 20),
            circuit_breaker=CircuitBreaker(most),
            outlier_detection=OutlierDetection(),
        )
        assert router.publish([guarded(bench, policy)], bench.endpoints(server))
        time.sleep(0.3)
        counts.append(router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) or 0)
    outcomes = load.stop()

    assert set(outcomes) == {"200"}
    assert counts == sorted(counts)
    assert router.count("envoy_cluster_upstream_rq_completed", LIVE_OLD) == outcomes["200"]


def test_a_pod_that_cannot_be_reached_is_left_out(bench: Bench) -> None:
    alive, refusing = bench.server(OLD), bench.server(OLD, "127.0.0.3")
    outliers = OutlierDetection(2, timedelta(seconds=1), timedelta(seconds=60))
    router = started(bench, RoutePolicy(retries=Retries(2), outlier_detection=outliers), alive, refusing)
    refusing.close()
    for _ in range(60):
        assert router.get().status == 200
    failed = router.count("envoy_cluster_upstream_cx_connect_fail", LIVE_OLD)

    assert failed == 2  # the ejection is told to the other worker at once, too


def test_a_pod_whose_answers_are_errors_is_never_left_out(bench: Bench) -> None:
    failing, well = bench.server(OLD, behaviour="fail"), bench.server(OLD, "127.0.0.3")
    outliers = OutlierDetection(1, timedelta(seconds=1), timedelta(seconds=60))
    router = started(bench, RoutePolicy(outlier_detection=outliers), failing, well)
    statuses = Counter(router.get().status for _ in range(60))

    assert min(statuses[200], statuses[500]) > 10


def test_the_only_pod_is_never_left_out(bench: Bench) -> None:
    refusing = bench.server(OLD)
    outliers = OutlierDetection(1, timedelta(seconds=1), timedelta(seconds=60))
    router = started(bench, RoutePolicy(outlier_detection=outliers), refusing)
    endpoint = refusing.endpoint
    refusing.close()
    for _ in range(5):
        assert router.get().status == 503
    back = bench.server(OLD)
    assert router.publish([guarded(bench, RoutePolicy(outlier_detection=outliers))], bench.endpoints(back))

    assert endpoint != back.endpoint
    assert router.get().status == 200


def test_a_silent_stream_ends_after_its_idle_timeout(bench: Bench) -> None:
    router = started(bench, RoutePolicy(timedelta(seconds=1)), bench.server(OLD, slow_seconds=5))
    begun = time.monotonic()
    answer = router.get()

    assert answer.status in (408, 504)
    assert time.monotonic() - begun < 3
