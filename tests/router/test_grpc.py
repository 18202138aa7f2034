"""Calls by gRPC through a real Envoy: where they go, what is counted of them, and that none is lost."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import LIVE_NEW, NEW, OLD
from tests.router.grpc_calls import DEADLINE, FAIL, WRONG, CallClient, Calls, CallServer
from tests.router.test_clients_that_give_up import REVISION, Scraper
from tests.router.test_read_by_the_operator import Operator, pod
from tidegate.model.evidence import Counts
from tidegate.router.objects import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.router.conftest import Bench, Router
    from tidegate.metrics.providers.router_samples import RouterPod
    from tidegate.resources.model_route import Route

__all__ = ["pod"]
pytestmark = pytest.mark.router


@pytest.fixture
def server() -> Iterator[Callable[..., CallServer]]:
    with contextlib.ExitStack() as cleanup:

        def made(revision: str, address: str = "127.0.0.2", slow_seconds: float = 0.0) -> CallServer:
            one = CallServer(revision, address, slow_seconds)
            cleanup.callback(one.close)
            return one

        yield made


def called(bench: Bench, *shares: tuple[str, int]) -> Route:
    """A route that splits calls too."""
    return replace(bench.route(*shares), grpc=True)


def started(bench: Bench, route: Route, *servers: CallServer) -> Router:
    router = bench.router()
    router.start([route], bench.endpoints(*servers))
    return router


@pytest.fixture
def router(bench: Bench, server: Callable[..., CallServer]) -> Router:
    """Half of the calls go to each revision."""
    return started(bench, called(bench, (OLD, 50), (NEW, 50)), server(OLD), server(NEW, "127.0.0.3"))


def test_each_call_of_a_kept_connection_is_drawn_by_itself(router: Router) -> None:
    client = CallClient(router.port)
    answers = Counter(client.ask() for _ in range(400))
    client.close()

    assert set(answers) == {OLD, NEW}
    assert 140 < answers[OLD] < 260  # six standard deviations


def test_a_stream_stays_with_the_revision_that_it_was_drawn_for(router: Router) -> None:
    client = CallClient(router.port)
    streams = [client.stream([b"a", b"b", b"c"]) for _ in range(40)]
    client.close()

    assert all(len(answers) == 3 and len(set(answers)) == 1 for answers in streams)
    assert {answers[0] for answers in streams} == {OLD, NEW}


def test_a_revision_is_called_by_its_name(bench: Bench, server: Callable[..., CallServer]) -> None:
    router = started(bench, called(bench, (OLD, 100), (NEW, 0)), server(OLD), server(NEW, "127.0.0.3"))
    client = CallClient(router.port)

    assert client.ask(x_tidegate_revision=NEW) == NEW
    assert client.ask(x_tidegate_revision="sentiment-cccccccc") == "UNIMPLEMENTED"
    assert router.count("envoy_cluster_upstream_rq_completed", f"{LIVE_NEW}/grpc") == 0
    assert router.count("envoy_cluster_upstream_rq_completed", f"{LIVE_NEW}/grpc/preview") == 1


def test_a_model_may_be_asked_by_http_and_called_by_grpc(bench: Bench, server: Callable[..., CallServer]) -> None:
    calls, requests = server(OLD), bench.server(OLD)
    endpoint = requests.endpoint._replace(grpc_port=calls.endpoint.grpc_port)
    router = bench.router()
    router.start([called(bench, (OLD, 100))], {Service("shop", OLD): (endpoint,)})

    assert CallClient(router.port).ask() == OLD
    assert router.get("/v2").status == 200


def test_calls_can_be_turned_on_and_off_while_requests_come(bench: Bench, server: Callable[..., CallServer]) -> None:
    calls, requests = server(OLD), bench.server(OLD)
    endpoints = {Service("shop", OLD): (requests.endpoint._replace(grpc_port=calls.endpoint.grpc_port),)}
    router = bench.router()
    router.start([bench.route((OLD, 100))], endpoints)
    load, client = bench.load(router.port), CallClient(router.port)
    load.start(4, 0.005)
    answers = []
    for route in (called(bench, (OLD, 100)), bench.route((OLD, 100)), called(bench, (OLD, 100))):
        assert router.publish([route], endpoints)
        answers.append(client.ask())

    assert answers[::2] == [OLD, OLD]
    assert answers[1] != OLD
    assert set(load.stop()) == {"200"}


def test_what_failed_is_told_by_its_status_to_an_operator_that_asks(
    bench: Bench, server: Callable[..., CallServer], router: Router, pod: RouterPod
) -> None:
    operator, client = Operator(pod, grpc=True), CallClient(router.port)
    client.ask()
    before = operator.read()
    for body in (FAIL, FAIL, DEADLINE, WRONG, b""):
        client.ask(body)
    counts = [operator.gained(before, revision) for revision in (OLD, NEW)]

    assert (sum(each.requests for each in counts), sum(each.failed for each in counts)) == (5, 3)


def test_what_failed_is_told_by_its_status_to_prometheus(bench: Bench, server: Callable[..., CallServer]) -> None:
    router = started(bench, called(bench, (REVISION, 100)), server(REVISION))
    prometheus, client = Scraper(router), CallClient(router.port)
    client.ask()
    prometheus.scrape(2)
    for body in (FAIL, FAIL, DEADLINE, WRONG, b""):
        client.ask(body)
    prometheus.scrape(3)

    assert prometheus.counted() == Counts(5, 3)


def test_a_call_that_reaches_no_pod_is_a_failure_once(bench: Bench, server: Callable[..., CallServer]) -> None:
    gone = server(REVISION)
    router = started(bench, called(bench, (REVISION, 100)), gone)
    prometheus, client = Scraper(router), CallClient(router.port)
    client.ask()
    gone.close()
    prometheus.scrape(2)
    assert [client.ask() for _ in range(3)] == ["UNAVAILABLE"] * 3
    prometheus.scrape(3)

    assert prometheus.counted() == Counts(3, 3)


def test_100_changes_of_the_split_lose_no_call(bench: Bench, server: Callable[..., CallServer], router: Router) -> None:
    load = Calls(router.port)
    load.start(8, 0.004)
    endpoints = {service: found.endpoints for service, found in router.cluster.services.items()}
    for number in range(100):
        assert router.publish([called(bench, (OLD, 100 - number), (NEW, number))], endpoints)
    outcomes = load.stop()

    assert set(outcomes) == {OLD, NEW}
    assert sum(outcomes.values()) > 200


def test_pods_that_leave_and_come_lose_no_call(bench: Bench, server: Callable[..., CallServer]) -> None:
    kept, leaving = server(OLD), server(OLD, "127.0.0.3")
    router = started(bench, called(bench, (OLD, 100)), kept, leaving)
    load = Calls(router.port)
    load.start(8, 0.002)
    for number in range(4, 8):
        time.sleep(0.3)
        assert router.publish([called(bench, (OLD, 100))], bench.endpoints(kept))
        threading.Event().wait(0.2)
        leaving.close(grace_seconds=5)
        leaving = server(OLD, f"127.0.0.{number}")
        assert router.publish([called(bench, (OLD, 100))], bench.endpoints(kept, leaving))
    outcomes = load.stop()

    assert set(outcomes) == {OLD}
    assert outcomes[OLD] > 200


def test_a_stream_outlives_a_change_of_the_split(bench: Bench, router: Router) -> None:
    go_on = threading.Event()

    def bodies() -> Iterator[bytes]:
        yield b"a"
        go_on.wait(10)
        yield b"b"

    answers: list[str] = []
    client = CallClient(router.port)
    stream = threading.Thread(target=lambda: answers.extend(client.stream(bodies())))
    stream.start()
    time.sleep(0.3)
    endpoints = {service: found.endpoints for service, found in router.cluster.services.items()}
    for share in (0, 100):
        assert router.publish([called(bench, (OLD, share), (NEW, 100 - share))], endpoints)
    go_on.set()
    stream.join()

    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_a_router_that_ends_loses_no_call(bench: Bench, server: Callable[..., CallServer]) -> None:
    router = bench.router()
    router.put([called(bench, (OLD, 100))], bench.endpoints(server(OLD, slow_seconds=0.02)))
    command = [sys.executable, "-m", "tidegate", "router-envoy"]
    supervisor = subprocess.Popen(command, env={**bench.environment(router), "TIDEGATE_DRAIN_SECONDS": "1"})
    try:
        bench.until(router.admin.is_ready, "Envoy is ready", 30)
        load = Calls(router.port)
        load.start(8, 0.002)
        time.sleep(0.5)
        supervisor.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        outcomes = load.stop()
        assert supervisor.wait(20) == 0
    finally:
        supervisor.terminate()
        supervisor.wait(60)

    assert set(outcomes) == {OLD}
    assert outcomes[OLD] > 100
