"""A router as it is run, an upstream that answers at once, and whoever reads the router's counters meanwhile."""

import http.client
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.envoy import PlainEnvoy
from benchmarks.errors import BenchmarkError
from benchmarks.programs import alongside, free_ports, running, wait_until
from benchmarks.router.bare import bare_envoy
from benchmarks.router.open_loop import Outcome, Plan
from benchmarks.scale.upstream import upstream
from tidegate.resources.model_route import Backend, Route
from tidegate.resources.sampling import (
    KEY_BYTES,
    KEY_ENTRY,
    NONCE_BYTES,
    PATH,
    SIGNATURE,
    SamplesRequest,
    read_answer,
    request_body,
    sign_request,
)
from tidegate.router.bootstrap import RouterSettings
from tidegate.router.control_plane import ControlPlane
from tidegate.router.draining import DrainPlan
from tidegate.router.envoy import EnvoySettings, envoy_command, find_envoy
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.routing_cache import Changes
from tidegate.router.sampling_server import serve

STARTS_WITHIN_SECONDS = 60.0
WORKERS = 2
ROUTER = "tidegate/router"


@dataclass(frozen=True)
class Testbed:
    """What is measured: ports that answer alike, and the process behind each but the first."""

    upstream_port: int
    router_port: int
    admin_port: int
    router_pid: int
    rollouts: int
    bare: PlainEnvoy


@contextmanager
def testbed_running(models: int, rollouts: int) -> Iterator[Testbed]:
    """A router with so many models, of which the first `rollouts` have two revisions. Raises BenchmarkError."""
    port, admin, metrics = free_ports(3)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        answering = stack.enter_context(upstream(directory))
        stack.enter_context(_served(directory, _changes(models, rollouts, Endpoint("127.0.0.1", answering))))
        settings = EnvoySettings(
            RouterSettings(str(directory), "127.0.0.1", port, admin, metrics),
            concurrency=WORKERS,
            drain=DrainPlan(1, 10),
            log_level="error",
        )
        router = stack.enter_context(running(envoy_command(settings, find_envoy()), directory, "router"))
        is_ready, log = EnvoyAdmin(admin).is_ready, directory / "router.log"
        wait_until(is_ready, "the router is ready", STARTS_WITHIN_SECONDS, router, log)
        bare = stack.enter_context(bare_envoy(directory, answering, WORKERS))
        yield Testbed(answering, port, admin, router.pid, rollouts, bare)


def ask(plan: Plan) -> Outcome:
    """Lets the client run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.router.open_loop", json.dumps(asdict(plan))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the client failed: {done.stderr.strip().splitlines()[-1]}")
    return Outcome(**json.loads(done.stdout))


@dataclass
class Readings:
    """How long each took, in milliseconds, and how many bytes the last had."""

    took_ms: list[float] = field(default_factory=list)
    bytes: int = 0


@contextmanager
def being_read(testbed: Testbed, readings: Readings) -> Iterator[None]:
    """Inside, an agent is asked once a second for the counters of all rollouts, as the operator does."""
    key = secrets.token_bytes(KEY_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / KEY_ENTRY).write_bytes(key)
        server = serve(0, _Healthy(), ROUTER, Path(folder), testbed.admin_port)
        try:
            with alongside(lambda stopped: _read_until(stopped, server.server_port, key, testbed.rollouts, readings)):
                yield
        finally:
            server.shutdown()
            server.server_close()


class _Healthy:
    def report(self) -> str:
        return ""

    def is_healthy(self) -> bool:
        return True


def _read_until(stopped: threading.Event, port: int, key: bytes, rollouts: int, readings: Readings) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    clusters = tuple(
        f"shop/{name}/{revision}{kind}"
        for name in _names(rollouts)
        for revision in _revisions(name, is_rolling=True)
        for kind in ("", "/preview")
    )
    while not stopped.wait(1.0):
        began = time.perf_counter()
        readings.bytes = _read(connection, key, clusters)
        readings.took_ms.append((time.perf_counter() - began) * 1e3)
    connection.close()


def _read(connection: http.client.HTTPConnection, key: bytes, clusters: tuple[str, ...]) -> int:
    nonce = secrets.token_hex(NONCE_BYTES)
    body = request_body(SamplesRequest(clusters, nonce))
    connection.request("POST", PATH, body, {SIGNATURE: sign_request(key, ROUTER, body)})
    response = connection.getresponse()
    answer = response.read()
    read_answer(key, answer, response.headers.get(SIGNATURE, ""), router=ROUTER, nonce=nonce)
    return len(answer)


def _names(models: int) -> list[str]:
    return [f"model-{number:04d}" for number in range(models)]


def _revisions(name: str, *, is_rolling: bool) -> list[str]:
    return [f"{name}-6f9c1d2e", *([f"{name}-81aa0b3c"] if is_rolling else [])]


def _changes(models: int, rollouts: int, endpoint: Endpoint) -> Changes:
    routes = [
        Route(
            "shop", name, "x-tidegate-revision", 60, tuple(Backend(revision, 100 // len(listed)) for revision in listed)
        )
        for number, name in enumerate(_names(models))
        for listed in [_revisions(name, is_rolling=number < rollouts)]
    ]
    pods = Answering((endpoint,))
    services = {Service("shop", backend.revision): pods for route in routes for backend in route.backends}
    return Changes({"": [(route, 1) for route in routes]}, services)


@contextmanager
def _served(directory: Path, changes: Changes) -> Iterator[None]:
    """Inside, an agent's loop serves these, and nothing changes any more."""
    once = iter([changes])
    agent = ControlPlane(directory, lambda: next(once, None), lambda _: None)
    thread = threading.Thread(target=agent.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        agent.stop()
        thread.join()
