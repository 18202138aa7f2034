"""How the router ends: the plan by itself, and a real Envoy under its supervisor."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.router.conftest import Router
from tidegate.router import objects
from tidegate.router.draining import DrainPlan, DrainStep
from tidegate.router.envoy import EnvoySettings, EnvoySupervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.router.conftest import Answer, Bench

REVISION = "sentiment-aaaaaaaa"
SUPERVISOR = [sys.executable, "-c", "import sys; from tidegate.router import envoy; sys.exit(envoy.main([]))"]


@pytest.mark.parametrize(
    ("elapsed", "active", "expected"),
    [
        pytest.param(0.0, 0, DrainStep.ACCEPT, id="others may still send here, so it accepts although it is idle"),
        pytest.param(10.0, 3, DrainStep.CLOSE, id="settled: requests under way may end"),
        pytest.param(10.0, 0, DrainStep.STOP, id="settled and idle: stop"),
        pytest.param(20.0, None, DrainStep.CLOSE, id="Envoy doesn't say: wait for the limit"),
        pytest.param(75.0, 3, DrainStep.STOP, id="the limit ends it"),
    ],
)
def test_drain_plan(elapsed: float, active: int | None, expected: DrainStep) -> None:
    assert DrainPlan(10.0, 75.0).step(elapsed, active) is expected


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        pytest.param(60.0, 75.0, id="nothing can be under way for longer than that"),
        pytest.param(600.0, 615.0, id="a model is given ten minutes to answer"),
        pytest.param(3600.0, 900.0, id="the limit bounds it"),
        pytest.param(0.0, 15.0, id="there are no models"),
    ],
)
def test_a_drain_lasts_as_long_as_requests_may_take(longest: float, expected: float) -> None:
    assert DrainPlan(10.0, 900.0).within(longest) == DrainPlan(10.0, expected)


@pytest.mark.router
def test_sigterm_loses_no_request_and_hands_connections_back(bench: Bench) -> None:
    slow = bench.server(REVISION, slow_seconds=2.0)
    router = bench.router()
    with subprocess.Popen(SUPERVISOR, env=bench.environment(router), stderr=subprocess.DEVNULL) as supervisor:
        router.put([bench.route((REVISION, 100))], bench.endpoints(slow))
        bench.until(router.admin.is_ready, "Envoy is ready")
        answers: list[Answer] = []
        early = threading.Thread(target=lambda: answers.append(router.get()))
        early.start()
        bench.until(lambda: slow.requests == 1, "a request is under way")
        supervisor.send_signal(signal.SIGTERM)
        bench.until(lambda: bench.ask(router.metrics_port, "GET", "/ready", {}).status == 503, "not ready", 1)
        late = router.get()
        early.join()
        assert supervisor.wait(10) == 0
    assert [answer.status for answer in (*answers, late)] == [200, 200]
    assert late.headers["connection"] == "close"


@pytest.mark.router
def test_an_envoy_that_dies_before_it_is_ready_takes_its_supervisor_along(bench: Bench) -> None:
    router = bench.router()
    router.agent.stop()
    with subprocess.Popen(SUPERVISOR, env=bench.environment(router), stderr=subprocess.DEVNULL) as supervisor:
        bench.until(lambda: bool(children(supervisor.pid)), "Envoy is there")
        kill(*children(supervisor.pid))
        assert supervisor.wait(10) != 0


@pytest.mark.router
def test_an_envoy_that_is_killed_again_and_again_is_followed_by_another_and_no_connection_is_refused(
    bench: Bench,
) -> None:
    """What waited meanwhile is passed on, and nothing of it is lost."""
    model = bench.server(REVISION)
    router = bench.router()
    with subprocess.Popen(SUPERVISOR, env=bench.environment(router), stderr=subprocess.PIPE) as supervisor:
        try:
            router.put([bench.route((REVISION, 100))], bench.endpoints(model))
            for _ in range(3):
                until_said(supervisor, "Envoy is ready")
                kill(*children(supervisor.pid))
                assert [router.get().status for _ in range(20)] == [200] * 20
        finally:
            supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(10) == 0


def until_said(process: subprocess.Popen[bytes], words: str) -> None:
    """Reads what a process writes, up to the line with these words."""
    assert process.stderr is not None
    assert any(words.encode() in line for line in process.stderr), words


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(pid: int) -> None:
    """Returns when all its threads have ended, and the last socket is closed."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [], 10)
    os.close(handle)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        pytest.param([(5, False)], [False], id="one that was never ready is left to the kubelet"),
        pytest.param([(5, True), (6, True)], [True, True], id="one that was ready isn't, however short it lived"),
        pytest.param([(at, True) for at in range(11)], [True] * 10 + [False], id="an eleventh in ten minutes is"),
        pytest.param([(at * 61, True) for at in range(12)], [True] * 12, id="what is long ago doesn't count"),
    ],
)
def test_another_envoy_is_started(ends: list[tuple[float, bool]], expected: list[bool]) -> None:
    supervisor = EnvoySupervisor(EnvoySettings.from_env({}), "envoy")
    assert [supervisor.may_start_another(ended, was_ready=was_ready) for ended, was_ready in ends] == expected


@dataclass
class Service:
    """Which router new connections go to, as those that were ready a moment ago."""

    port: int

    def ask(self, outcomes: Counter[str], stop: threading.Event, *, kept: bool) -> None:
        """A client that asks until `stop`; it leaves its connection where it is told to."""
        connection: http.client.HTTPConnection | None = None
        while not stop.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("GET", "/", headers={"Host": "sentiment.shop"})
                response = connection.getresponse()
                response.read()
                outcomes[str(response.status)] += 1
                leaves = response.will_close or not kept
            except (OSError, http.client.HTTPException) as error:
                outcomes[type(error).__name__] += 1
                leaves = True
            if leaves:
                connection.close()
                connection = None
            stop.wait(0.01)
        if connection is not None:
            connection.close()


@pytest.mark.router
def test_a_rolling_update_of_the_routers_loses_no_request(bench: Bench, tmp_path: Path) -> None:
    endpoints = bench.endpoints(bench.server(REVISION, slow_seconds=0.02))
    outcomes, stop = Counter[str](), threading.Event()
    with contextlib.ExitStack() as cleanup:
        routers = [Router(tmp_path / name) for name in ("first", "second", "third")]
        supervisors = [cleanup.enter_context(supervised(bench, routers[0], endpoints))]
        service = Service(routers[0].port)
        clients = [
            threading.Thread(target=service.ask, args=(outcomes, stop), kwargs={"kept": number % 2 == 0})
            for number in range(8)
        ]
        cleanup.callback(stop.set)
        for client in clients:
            client.start()
        for router in routers[1:]:
            supervisors.append(cleanup.enter_context(supervised(bench, router, endpoints)))
            supervisors[-2].send_signal(signal.SIGTERM)
            time.sleep(0.5)  # until every node has heard of it
            service.port = router.port
            assert supervisors[-2].wait(60) == 0
        stop.set()
        for client in clients:
            client.join()

    assert set(outcomes) == {"200"}
    assert outcomes["200"] > 300


@contextlib.contextmanager
def supervised(
    bench: Bench, router: Router, endpoints: Mapping[objects.Service, tuple[objects.Endpoint, ...]]
) -> Iterator[subprocess.Popen[bytes]]:
    """A router whose Envoy has its supervisor, as in a pod."""
    router.put([bench.route((REVISION, 100))], endpoints)
    environment = {**bench.environment(router), "TIDEGATE_DRAIN_SECONDS": "1.5"}
    supervisor = subprocess.Popen(SUPERVISOR, env=environment)
    try:
        bench.until(router.admin.is_ready, "Envoy is ready", 30)
        yield supervisor
    finally:
        supervisor.terminate()
        supervisor.wait(60)
        router.agent.stop()
