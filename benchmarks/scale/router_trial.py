"""One router, one size: pods change and splits shift, and a request through Envoy says when it has taken effect."""

import http
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.baseline import ROOT
from benchmarks.processes import children, cpu_seconds, resident_bytes
from benchmarks.programs import free_ports, running, wait_until
from benchmarks.scale.code import Code
from benchmarks.scale.control_plane import ROUTER, ControlPlane
from benchmarks.scale.etcd import Etcd
from benchmarks.scale.figures import RouterFigures, Spread, spread
from benchmarks.scale.http import Connection, ask
from benchmarks.scale.objects import (
    PODS,
    ROLLING,
    Name,
    address,
    endpoint_slice,
    revision_of,
    route,
)
from benchmarks.scale.steady import Steady, steady_load
from benchmarks.scale.upstream import ASKED_AT
from tidegate.kube.api import MODEL_ROUTES, KubernetesApi

WRITERS = 8
LOOKERS = 32
CHANGES_A_SECOND = 20
SHIFTS_A_SECOND = 1
SHIFT_BESIDE = 5
"""After which change of a second its shift is: none that is looked for, too."""
SAMPLED_EVERY = 10
"""One change in so many is looked for in Envoy: looking costs, too."""
SAMPLED_PODS = PODS - 1
"""Of a model's pods, others after such a change: soon seen, and not so many that it can't wait for other changes."""
SEEN_WITHIN = 10.0
LOOKS_APART = 0.004
LATER = 0.3
"""Seconds after which it is looked for less often."""
LOOKS_APART_LATER = 0.02
STARTS_WITHIN = 120.0
SHIFTED = 20
"""ModelDeployments whose split is shifted in turn; no pod of theirs changes."""


@dataclass(frozen=True)
class Lengths:
    """Seconds of each part. `cost` is that of one of the turns in which the router is compared with no router."""

    idle: float = 10.0
    changing: float = 60.0
    cost: float = 4.0
    turns: int = 2


@dataclass
class Pods:
    """The addresses of each model's pods; a change gives some of them an address that nobody has had."""

    used: int = 0
    by_model: dict[int, list[str]] = field(default_factory=dict)

    def first(self, name: Name) -> list[str]:
        """Those that it begins with."""
        self.by_model[name.number] = [self._next() for _ in range(PODS)]
        return self.by_model[name.number]

    def change(self, name: Name, pods: int) -> list[str]:
        """So many of its pods are others now."""
        left = self.by_model[name.number][pods:]
        self.by_model[name.number] = [*left, *(self._next() for _ in range(pods))]
        return self.by_model[name.number]

    def _next(self) -> str:
        self.used += 1
        return address(self.used)


class RouterWorld:
    """What the router routes: as many models, of which some have two revisions."""

    def __init__(self, api: KubernetesApi, etcd: Etcd, models: int, port: int) -> None:
        self._api, self._etcd, self._port = api, etcd, port
        self.names = [Name(number) for number in range(models)]
        self.shifted = self.names[: min(SHIFTED, models // 2)]
        self.changed = self.names[len(self.shifted) :]
        self._pods, self._candidates = Pods(), Pods(used=8_000_000)
        self._weights: dict[int, int] = {}

    def make(self) -> None:
        """All routes and all endpoints."""
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(self._make, self.names))

    def _make(self, name: Name) -> None:
        self._write_slice(name, revision_of(name, 1), self._pods.first(name))
        if name.number < ROLLING:
            self._write_slice(name, revision_of(name, 2), self._candidates.first(name))
        self._write_route(name, 0 if name.number < len(self.shifted) else 10)

    def change(self, name: Name, pods: int) -> list[str]:
        """Another address for so many of a model's pods; these."""
        addresses = self._pods.change(name, pods)
        self._write_slice(name, revision_of(name, 1), addresses)
        return addresses[-pods:]

    def shift(self, name: Name) -> list[str]:
        """All requests to the other revision; the addresses of its pods."""
        self._weights[name.number] = 100 - self._weights.get(name.number, 0)
        to_candidate = self._weights[name.number] == 100
        self._write_route(name, self._weights[name.number])
        return (self._candidates if to_candidate else self._pods).by_model[name.number]

    def _write_slice(self, name: Name, revision: str, addresses: list[str]) -> None:
        """Past the API server, which takes no loopback address from anybody."""
        self._etcd.put("endpointslices", endpoint_slice(name, revision, addresses, self._port))

    def _write_route(self, name: Name, candidate: int) -> None:
        stable = {revision_of(name, 1): 100 - candidate}
        weights = {**stable, revision_of(name, 2): candidate} if name.number < ROLLING else {revision_of(name, 1): 100}
        self._api.apply(MODEL_ROUTES, route(name, weights), manager="benchmark")


@dataclass(frozen=True)
class RouterTrial:
    """The router under test. `world` is there already, and stays."""

    code: Code
    plane: ControlPlane
    world: RouterWorld
    upstream_port: int
    lengths: Lengths
    say: Callable[[str], None]

    def run(self) -> RouterFigures:
        """Raises BenchmarkError where it doesn't come that far."""
        with self._router() as router:
            return self._measured(router)

    @contextmanager
    def _router(self) -> Iterator["Router"]:
        port, admin, metrics, health = free_ports(4)
        folder = self.plane.folder / f"router-{self.code.name or 'this'}"
        folder.mkdir(exist_ok=True)
        environment = {
            **self.code.environment(ROOT),
            "KUBECONFIG": str(self.plane.kubeconfig(ROUTER)),
            "TIDEGATE_XDS_DIR": str(folder / "xds"),
            "TIDEGATE_LISTEN_ADDRESS": "127.0.0.1",
            "TIDEGATE_ROUTER_PORT": str(port),
            "TIDEGATE_ADMIN_PORT": str(admin),
            "TIDEGATE_ROUTER_METRICS_PORT": str(metrics),
            "TIDEGATE_AGENT_HEALTH_PORT": str(health),
            "TIDEGATE_POD_NAME": f"router-{self.code.name or 'this'}",
            "TIDEGATE_NAMESPACE": "tidegate",
            "TIDEGATE_DRAIN_SECONDS": "0",
            "TIDEGATE_DRAIN_LIMIT_SECONDS": "1",
        }
        began = time.monotonic()
        envoy = running(self.code.tidegate("router-envoy"), folder, "envoy", environment)
        agent = running(self.code.tidegate("router-agent"), folder, "agent", environment)
        with agent as agent_process, envoy as envoy_process:
            found = Router(port, admin, agent_process.pid, envoy_process.pid)
            last, log = self.world.names[-1], folder / "agent.log"
            wait_until(lambda: found.routes(last), "the last model is routed", STARTS_WITHIN, agent_process, log)
            self.say(f"      all is routed after {time.monotonic() - began:.1f} s")
            yield found.begun(time.monotonic() - began)

    def _measured(self, router: "Router") -> RouterFigures:
        time.sleep(3.0)
        cpu = cpu_seconds(router.agent)
        time.sleep(self.lengths.idle)
        idle = (cpu_seconds(router.agent) - cpu) / self.lengths.idle
        direct, routed = self._cost(router)
        self.say(f"      {CHANGES_A_SECOND} pod changes a second, for {self.lengths.changing:.0f} s")
        before = router.used()
        load = Changes(self.world, router.port)
        took = load.run(self.lengths.changing)
        time.sleep(2.0)  # what is still under way costs, too
        after = router.used()
        changes = load.made
        return RouterFigures(
            started=router.started,
            changes=changes,
            rate=changes / took,
            agent_cpu=max(0.0, after.agent - before.agent - idle * (took + 2.0)) / changes,
            envoy_cpu=(after.envoy - before.envoy) / changes,
            idle_millicores=1000 * idle,
            change=spread(load.changes),
            shift=spread(load.shifts),
            unseen=load.unseen,
            written=(after.written - before.written) / changes,
            sent=None if after.sent is None or before.sent is None else (after.sent - before.sent) / changes,
            agent_resident=resident_bytes(router.agent),
            envoy_resident=router.envoy_resident(),
            direct=direct,
            routed=routed,
        )

    def _cost(self, router: "Router") -> tuple[Spread | None, Spread | None]:
        """A steady load past the router and through it, in turns."""
        name = self.world.names[-1]
        found: dict[str, list[float]] = {"direct": [], "routed": []}
        places = {"direct": ("127.0.0.2", self.upstream_port), "routed": ("127.0.0.1", router.port)}
        for _ in range(self.lengths.turns):
            for how, (place, port) in places.items():
                found[how] += steady_load(Steady(place, port, name.host, self.lengths.cost), self.plane.folder)
        return spread(found["direct"]), spread(found["routed"])


@dataclass(frozen=True)
class Used:
    """What has been used so far: seconds of a core, and bytes. `sent` is None where the agent doesn't count it."""

    agent: float
    envoy: float
    written: int
    sent: int | None


@dataclass(frozen=True)
class Router:
    """A router that runs: its ports and process ids."""

    port: int
    admin: int
    agent: int
    supervisor: int
    started: float = 0.0

    def begun(self, started: float) -> "Router":
        """With the seconds that it took to route everything."""
        return replace(self, started=started)

    def routes(self, name: Name) -> bool:
        """Whether it routes a model."""
        answer = ask("127.0.0.1", self.port, {"Host": name.host})
        return answer is not None and answer[0] == http.HTTPStatus.OK

    def used(self) -> Used:
        """So far."""
        written, sent = bytes_written(self.agent), bytes_received(self.admin)
        return Used(cpu_seconds(self.agent), cpu_seconds(self.supervisor), written, sent)

    def envoy_resident(self) -> int:
        """Envoy's memory, without that of the Python that watches over it."""
        return max((resident_bytes(child) for child in children(self.supervisor)), default=0)


class Changes:
    """Writes at an even pace, whatever becomes of the writes before; and looks for the effect of some."""

    def __init__(self, world: RouterWorld, port: int) -> None:
        self._world, self._port = world, port
        self._lock = threading.Lock()
        self.made = 0
        self.unseen = 0
        self.changes: list[float] = []
        self.shifts: list[float] = []

    def run(self, seconds: float) -> float:
        """Returns the seconds that the writes took: more, where the API server didn't keep up."""
        with ThreadPoolExecutor(LOOKERS) as lookers:
            return self._write(seconds, lookers)

    def _write(self, seconds: float, lookers: ThreadPoolExecutor) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(WRITERS) as writers:
            for number in range(round(seconds * CHANGES_A_SECOND)):
                _sleep_until(began + number / CHANGES_A_SECOND)
                # Neighbours in time are different models, so that no write waits for another of the same object.
                name = self._world.changed[(number * 7) % len(self._world.changed)]
                is_sampled = number % SAMPLED_EVERY == 0
                writers.submit(self._change, name, SAMPLED_PODS if is_sampled else 1, lookers if is_sampled else None)
                second, place = divmod(number, CHANGES_A_SECOND // SHIFTS_A_SECOND)
                if place == SHIFT_BESIDE:
                    lookers.submit(self._shift, self._world.shifted[second % len(self._world.shifted)])
        return time.monotonic() - began

    def _change(self, name: Name, pods: int, lookers: ThreadPoolExecutor | None) -> None:
        addresses = self._world.change(name, pods)
        written = time.monotonic()
        with self._lock:
            self.made += 1
        if lookers is not None:
            lookers.submit(self._look, name, addresses, written, self.changes)

    def _shift(self, name: Name) -> None:
        addresses = self._world.shift(name)
        self._look(name, addresses, time.monotonic(), self.shifts)
        with self._lock:
            self.made += 1

    def _look(self, name: Name, addresses: list[str], written: float, found: list[float]) -> None:
        """Asks until an answer comes from one of these addresses, all of which are new to this model's requests."""
        connection = Connection("127.0.0.1", self._port, name.host)
        wanted = frozenset(addresses)
        while (waited := time.monotonic() - written) < SEEN_WITHIN:
            answer = connection.ask()
            if answer is not None and answer.get(ASKED_AT) in wanted:
                with self._lock:
                    found.append(time.monotonic() - written)
                break
            time.sleep(LOOKS_APART if waited < LATER else LOOKS_APART_LATER)
        else:
            with self._lock:
                self.unseen += 1
        connection.close()


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


def bytes_written(pid: int) -> int:
    """What a process has written into files so far; what it sends over sockets isn't in it."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def bytes_received(admin: int) -> int | None:
    """What Envoy has received from its agent's socket so far, as it counts itself; None where there is no such socket.

    Clusters of models have a slash in their names, the agent's has none.
    """
    path = "/stats?format=json&filter=%5Ecluster%5C.%5B%5E/%5D*%5C.upstream_cx_rx_bytes_total%24"
    answer = ask("127.0.0.1", admin, {}, path)
    if answer is None:
        return None
    values = [each["value"] for each in json.loads(answer[1])["stats"] if "value" in each]
    return int(sum(values)) if values else None
