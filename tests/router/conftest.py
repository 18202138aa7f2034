"""A real Envoy on free ports of this machine, small model servers behind it, and clients that keep asking."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.programs import free_ports
from tidegate.resources.model_route import Backend, Route
from tidegate.resources.router_report import Applied
from tidegate.router.bootstrap import RouterSettings
from tidegate.router.control_plane import ControlPlane
from tidegate.router.draining import DrainPlan
from tidegate.router.envoy import EnvoySettings, envoy_command, find_envoy
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.routing_cache import Changes

STARTS_WITHIN_SECONDS = 10.0
OLD, NEW = "sentiment-aaaaaaaa", "sentiment-bbbbbbbb"
LIVE_OLD, LIVE_NEW = f"shop/sentiment/{OLD}", f"shop/sentiment/{NEW}"


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    text: str


class _QuietServer(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A router that has stopped waiting is part of the tests."""


class ModelServer:
    """Answers every request with its revision, the path and the Host it saw; behaves as `behaviour` says."""

    def __init__(
        self,
        revision: str,
        address: str,
        behaviour: str = "answer",
        slow_seconds: float = 0.0,
        fails_for: str = "",
    ) -> None:
        """`fails_for`: the tenant whose requests it fails, by the header x-tenant."""
        self.revision = revision
        self.requests = 0
        self.seen: list[tuple[str, str]] = []
        """Of each request the Host, and how it came."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer.requests += 1
                outer.seen.append((self.headers["Host"], self.headers.get("x-tidegate-traffic", "")))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if behaviour == "die":
                    self.close_connection = True
                    return
                time.sleep(slow_seconds)
                body = json.dumps([outer.revision, self.path, self.headers["Host"]]).encode()
                suffers = fails_for and self.headers.get("x-tenant") == fails_for
                self.send_response(500 if suffers else {"fail": 500, "turn away": 429}.get(behaviour, 200))
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Seen-Traffic", self.headers.get("x-tidegate-traffic", ""))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name is http.server's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
                """Quiet."""

        self._server = _QuietServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = Endpoint(address, self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accepts no more; from here on a connection is refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class Cluster:
    """What the agent follows, as a test wants it: `take` gives what changed since the last time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: list[Route] = []
        self.services: dict[Service, Answering] = {}
        self._changed: dict[Service, Answering] = {}
        self.version = 0
        self._taken = 0

    def put(self, routes: list[Route], endpoints: Mapping[Service, tuple[Endpoint, ...]]) -> int:
        """This is so now. Gives the version of it."""
        services = {service: Answering(found) for service, found in endpoints.items()}
        with self._lock:
            gone = {service: Answering() for service in self.services.keys() - services.keys()}
            self._changed |= gone | {
                each: found for each, found in services.items() if self.services.get(each) != found
            }
            self._routes, self.services = routes, services
            self.version += 1
            return self.version

    def take(self) -> Changes | None:
        """None before the first `put`."""
        with self._lock:
            if not self.version:
                return None
            changed, self._changed = self._changed, {}
            taken, self._taken = self._taken, self.version
            routes = {"": [(route, self.version) for route in self._routes]}
            return Changes(routes if taken < self.version else None, changed)

    def as_new(self) -> Cluster:
        """The same as an agent sees it that starts now."""
        fresh = Cluster()
        if self.version:
            fresh.put(self._routes, {service: found.endpoints for service, found in self.services.items()})
            fresh.version = self.version
        return fresh


class Agent:
    """The agent's own loop in a thread, and what it said that Envoy works with."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.applied = Applied()
        self._news = threading.Condition()
        self.control_plane = ControlPlane(directory, cluster.take, self._hear)
        self._thread = threading.Thread(target=self.control_plane.run, daemon=True)
        self._thread.start()

    def _hear(self, applied: Applied) -> None:
        with self._news:
            self.applied = applied
            self._news.notify_all()

    def has(self, version: int, seconds: float = 5.0) -> bool:
        """Waits until Envoy works with all routes up to this version."""
        with self._news:
            return self._news.wait_for(lambda: self.applied.versions.get("", -1) >= version, seconds)

    def stop(self) -> None:
        """Ends as on SIGKILL: nothing is said to Envoy."""
        self.control_plane.stop()
        self._thread.join(10)


class Well:
    """An agent that is healthy."""

    def report(self) -> str:
        return "all is followed"

    def is_healthy(self) -> bool:
        return True


class Router:
    """An Envoy, and the agent that serves it."""

    def __init__(self, directory: Path) -> None:
        self.port, self.admin_port, self.metrics_port = free_ports(3)
        self.directory = directory
        self.settings = EnvoySettings(
            router=RouterSettings(str(directory), "127.0.0.1", self.port, self.admin_port, self.metrics_port),
            concurrency=2,
            drain=DrainPlan(1.0, 10.0),
            log_level="critical",
        )
        self.admin = EnvoyAdmin(self.admin_port)
        self.cluster = Cluster()
        self.agent = Agent(directory, self.cluster)
        self.output: int | None = None
        """Where Envoy's goes that is started next, as subprocess has it."""
        self._process: subprocess.Popen[bytes] | None = None

    def listen_by_tls(self, port: int) -> None:
        """Before it starts."""
        self.settings = replace(self.settings, router=replace(self.settings.router, tls_port=port))

    def start(self, routes: list[Route], endpoints: Mapping[Service, tuple[Endpoint, ...]]) -> None:
        """Starts Envoy with these routes; returns when it is ready."""
        self.put(routes, endpoints)
        self.start_envoy()
        until(self.admin.is_ready, "Envoy is ready")

    def restart(self) -> None:
        """Another Envoy in the place of the one that ran."""
        self.stop_envoy()
        self.start_envoy()
        until(self.admin.is_ready, "Envoy is ready again")

    def start_envoy(self) -> None:
        """Starts Envoy, and waits for nothing. What it doesn't know of the API, it refuses."""
        command = [*envoy_command(self.settings, find_envoy()), "--reject-unknown-dynamic-fields"]
        self._process = subprocess.Popen(command, stdout=self.output)

    def restart_agent(self, *, knows_cluster: bool = True) -> None:
        """Kills the agent and starts another, which sees the cluster, or for now only its disk."""
        self.agent.stop()
        self.cluster = self.cluster.as_new() if knows_cluster else Cluster()
        self.agent = Agent(self.directory, self.cluster)

    def put(self, routes: list[Route], endpoints: Mapping[Service, tuple[Endpoint, ...]]) -> int:
        """Tells the agent of these routes and endpoints, and waits for nothing. Gives their version."""
        version = self.cluster.put(routes, endpoints)
        self.agent.control_plane.wake()
        return version

    def publish(self, routes: list[Route], endpoints: Mapping[Service, tuple[Endpoint, ...]]) -> bool:
        """Brings Envoy to these routes and endpoints; whether it has taken them."""
        return self.agent.has(self.put(routes, endpoints))

    @property
    def pid(self) -> int:
        """Envoy's process."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Ends Envoy and the agent at once."""
        self.stop_envoy()
        self.agent.stop()

    def output_of_its_end(self) -> bytes:
        """Ends Envoy, and gives all that it wrote, where `output` is a pipe."""
        assert self._process is not None
        self._process.terminate()
        return self._process.communicate(timeout=10)[0]

    def stop_envoy(self) -> None:
        """Ends Envoy at once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def get(self, path: str = "/", host: str = "sentiment.shop", **headers: str) -> Answer:
        """One request on a connection of its own. Underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, "GET", path, {"Host": host, **named})

    def count(self, series: str, cluster: str, **labels: str) -> float | None:
        """One sample of the metrics listener; None when the series isn't there."""
        text = ask(self.metrics_port, "GET", "/stats/prometheus", {}).text
        wanted = {f'envoy_cluster_name="{cluster}"', *(f'{name}="{value}"' for name, value in labels.items())}
        for line in text.splitlines():
            name, _, rest = line.partition("{")
            listed, _, value = rest.partition("} ")
            if name == series and set(listed.split(",")) == wanted:
                return float(value)
        return None


@dataclass
class Load:
    """Clients that ask one model over kept connections until `stop`; what each got is in `outcomes`."""

    port: int
    outcomes: Counter[str] = field(default_factory=Counter)

    def start(self, clients: int, pause_seconds: float) -> None:
        """About clients / pause_seconds requests a second."""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(pause_seconds,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counter[str]:
        """Ends the clients after their last answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes

    def _ask(self, pause_seconds: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/", headers={"Host": "sentiment.shop"})
                response = connection.getresponse()
                response.read()
                self.outcomes[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
                connection.close()
            self._stop.wait(pause_seconds)
        connection.close()


def ask(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    address: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        text = response.read().decode()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


def until(true: Callable[[], bool], what: str, seconds: float = STARTS_WITHIN_SECONDS) -> None:
    """Waits until something holds; fails with its name."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.005)
    pytest.fail(f"after {seconds:.0f} s not yet: {what}")


def a_route(*shares: tuple[str, int], name: str = "sentiment", namespace: str = "shop", timeout: int = 60) -> Route:
    """A route of revisions and weights."""
    return Route(namespace, name, "x-tidegate-revision", timeout, tuple(Backend(*share) for share in shares))


def endpoints_of(*servers: ModelServer) -> dict[Service, tuple[Endpoint, ...]]:
    """What the EndpointSlices would say of these servers."""
    found: dict[Service, tuple[Endpoint, ...]] = {}
    for server in servers:
        service = Service("shop", server.revision)
        found[service] = (*found.get(service, ()), server.endpoint)
    return found


@dataclass(frozen=True)
class Bench:
    """Makes what a test needs, and takes it away afterwards."""

    router: Callable[..., Router]
    server: Callable[..., ModelServer]
    route: Callable[..., Route]
    endpoints: Callable[..., dict[Service, tuple[Endpoint, ...]]]
    load: Callable[[int], Load]
    ask: Callable[..., Answer]
    until: Callable[..., None]
    environment: Callable[[Router], dict[str, str]]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.ExitStack() as cleanup:

        def router() -> Router:
            made = Router(tmp_path / "xds")
            cleanup.callback(made.stop)
            return made

        def server(revision: str, address: str = "127.0.0.2", **how: object) -> ModelServer:
            made = ModelServer(revision, address, **how)  # type: ignore[arg-type] # passed through
            cleanup.callback(made.close)
            return made

        yield Bench(router, server, a_route, endpoints_of, Load, ask, until, environment)


@pytest.fixture
def served(bench: Bench) -> Router:
    """All requests go to the old revision; the new one has weight 0."""
    old, new = bench.server(OLD, "127.0.0.2"), bench.server(NEW, "127.0.0.3")
    router = bench.router()
    router.start([bench.route((OLD, 100), (NEW, 0))], bench.endpoints(old, new))
    return router


def environment(router: Router) -> dict[str, str]:
    """The environment in which `tidegate router-envoy` runs on this router's ports."""
    return {
        **os.environ,
        "TIDEGATE_XDS_DIR": str(router.directory),
        "TIDEGATE_LISTEN_ADDRESS": "127.0.0.1",
        "TIDEGATE_ROUTER_PORT": str(router.port),
        "TIDEGATE_ADMIN_PORT": str(router.admin_port),
        "TIDEGATE_ROUTER_METRICS_PORT": str(router.metrics_port),
        "TIDEGATE_DRAIN_SECONDS": "1",
    }
