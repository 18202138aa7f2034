"""One operator, one size: everything goes live, then nothing happens, then fifty roll at once."""

import base64
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.baseline import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.processes import cpu_seconds, peak_bytes, resident_bytes
from benchmarks.programs import alongside, free_ports, running, wait_until
from benchmarks.scale.audit import Call, calls, counted
from benchmarks.scale.code import Code
from benchmarks.scale.control_plane import BENCHMARK, OPERATOR, ControlPlane
from benchmarks.scale.etcd import Etcd
from benchmarks.scale.figures import OperatorFigures, spread
from benchmarks.scale.kubelet import Follower, Kubelets
from benchmarks.scale.objects import (
    PODS,
    PODS_ROLLING,
    ROLLING,
    STEP,
    Name,
    model_deployment,
)
from benchmarks.scale.synthetic import router_address
from benchmarks.scale.traffic import ROUTERS
from tidegate.kube.api import LEASES, MODEL_DEPLOYMENTS, SECRETS, KubernetesApi, Resource
from tidegate.resources.router_report import EVERY_NAMESPACE, Applied, RouterIdentity, report_manifest
from tidegate.resources.sampling import KEY_ENTRY

NAMESPACES = Resource("v1", "Namespace", "namespaces")
SECRET = "tidegate-sampling-key"  # noqa: S105 - the Secret's name
KEY = b"0123456789abcdef0123456789abcdef"
CREATORS = 4
RENEW_SECONDS = 8.0
LONG_AGO_APPLIED = 10**15
"""The made-up routers have every route at once."""
LIVE_WITHIN = 420.0
ROLLING_WITHIN = 180.0


@dataclass(frozen=True)
class Lengths:
    """Seconds of each part."""

    settle: float = 8.0
    idle: float = 60.0
    rolling: float = 45.0


@dataclass
class ModelDeployments:
    """What their status says, as soon as it says so."""

    ready: dict[tuple[str, str], int] = field(default_factory=dict)
    """The generation of which a ModelDeployment is Ready."""
    weights: dict[tuple[str, str], int] = field(default_factory=dict)
    """The candidate's, in percent."""
    last_ready: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, manifest: Mapping[str, Any]) -> None:
        """One has changed."""
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        key = (metadata["namespace"], metadata["name"])
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
        with self.lock:
            self.weights[key] = int((status.get("traffic") or {}).get("candidate") or 0)
            if conditions.get("Ready") == "True":
                self.last_ready = time.monotonic() if key not in self.ready else self.last_ready
                self.ready[key] = int(status.get("observedGeneration", 0))

    def live(self) -> int:
        """How many have been Ready."""
        with self.lock:
            return len(self.ready)

    def current(self, generations: Mapping[tuple[str, str], int]) -> bool:
        """Whether each is Ready by the spec of that generation."""
        with self.lock:
            return all(self.ready.get(key, 0) >= generation for key, generation in generations.items())

    def at_step(self, names: Sequence[Name]) -> int:
        """How many of them have a candidate with its share."""
        with self.lock:
            return sum(self.weights.get((name.namespace, name.name)) == STEP for name in names)


@dataclass(frozen=True)
class OperatorTrial:
    """The operator under test and all that stands around it."""

    code: Code
    plane: ControlPlane
    api: KubernetesApi
    models: int
    lengths: Lengths
    say: Callable[[str], None]

    def run(self) -> OperatorFigures:
        """Raises BenchmarkError where it doesn't come that far."""
        seen, kubelets = ModelDeployments(), Kubelets(self.api, Etcd(self.plane.etcd))
        with ExitStack() as stack:
            prometheus_port = self._surroundings(stack, seen, kubelets)
            pid = self._operator(stack, prometheus_port)
            return self._measured(pid, seen, kubelets)

    def _surroundings(self, stack: ExitStack, seen: ModelDeployments, kubelets: Kubelets) -> int:
        prometheus_port, router_port = free_ports(2)
        self.api.apply(SECRETS, _secret(), manager=BENCHMARK)
        kubeconfig = str(self.plane.kubeconfig(BENCHMARK))
        stack.enter_context(Follower(self.api, MODEL_DEPLOYMENTS, seen.take).running())
        stack.enter_context(kubelets.running())
        stack.enter_context(_routers_alive(self.api, router_port))
        stack.enter_context(
            running(
                [
                    *(sys.executable, "-m", "benchmarks.scale.synthetic", kubeconfig),
                    *(str(prometheus_port), str(router_port), KEY.hex()),
                ],
                self.plane.folder,
                "synthetic",
                {"PYTHONPATH": str(ROOT)},
            )
        )
        return prometheus_port

    def _operator(self, stack: ExitStack, prometheus_port: int) -> int:
        """Starts it, and waits until it leads. Returns its process id."""
        metrics, health = free_ports(2)
        environment = {
            **self.code.environment(ROOT),
            "KUBECONFIG": str(self.plane.kubeconfig(OPERATOR)),
            "TIDEGATE_PROMETHEUS_URL": f"http://127.0.0.1:{prometheus_port}",
            "TIDEGATE_SERVER_IMAGE": "ghcr.io/tidegate/server:0.1.0",
            "TIDEGATE_NAMESPACE": "tidegate",
            "TIDEGATE_SAMPLING_SECRET": SECRET,
            "TIDEGATE_METRICS_PORT": str(metrics),
            "TIDEGATE_HEALTH_PORT": str(health),
            "TIDEGATE_SCRAPE_INTERVAL_SECONDS": "15",
        }
        command = [self.code.python, "-m", "benchmarks.scale.operator_probe", str(self._looks)]
        self._looks.unlink(missing_ok=True)
        process = stack.enter_context(running(command, self.plane.folder, "operator", environment))
        wait_until(self._leads, "the operator leads", 60, process, self.plane.folder / "operator.log")
        time.sleep(2.0)
        return process.pid

    @property
    def _looks(self) -> Path:
        return self.plane.folder / "looks.txt"

    def _leads(self) -> bool:
        lease = self.api.get(LEASES, "tidegate", "tidegate-operator")
        return bool(lease and lease["spec"].get("holderIdentity"))

    def _measured(self, pid: int, seen: ModelDeployments, kubelets: Kubelets) -> OperatorFigures:
        names = [Name(number) for number in range(self.models)]
        created, live, live_cpu = self._go_live(pid, seen, names)
        time.sleep(self.lengths.settle)
        idle = self._span(pid, self.lengths.idle)
        resident, peak = resident_bytes(pid), peak_bytes(pid)
        rolling = names[:ROLLING]
        self._begin_rollouts(seen, kubelets, rolling)
        busy = self._span(pid, self.lengths.rolling)
        if (left := seen.at_step(rolling)) < len(rolling):
            raise BenchmarkError(f"{len(rolling) - left} of {len(rolling)} rollouts ended before they were measured")
        looks = self._looks_within(busy, rolling)
        return OperatorFigures(
            created=created,
            live=live,
            live_cpu=live_cpu,
            resident=resident,
            peak=peak,
            idle_millicores=1000 * idle.cpu / idle.seconds,
            idle_calls=counted(idle.calls),
            idle_watches=sum(call.is_watch for call in idle.calls),
            rolling=len(rolling),
            rolling_looks=len(looks) / busy.seconds,
            rolling_late=spread([late for late, _ in looks]),
            rolling_took=spread([took for _, took in looks]),
            rolling_cores=busy.cpu / busy.seconds,
            rolling_writes=sum(call.is_write for call in busy.calls) / busy.seconds,
            rolling_calls=counted(busy.calls),
            rolling_resident=resident_bytes(pid),
        )

    def _go_live(self, pid: int, seen: ModelDeployments, names: Sequence[Name]) -> tuple[float, float, float]:
        """Seconds until all were created, until all were Ready, and of a core until then."""
        cpu, began = cpu_seconds(pid), time.monotonic()
        with ThreadPoolExecutor(CREATORS) as creators:
            list(creators.map(lambda name: self.api.create(MODEL_DEPLOYMENTS, model_deployment(name, 1, PODS)), names))
        created = time.monotonic() - began
        noted = began
        while seen.live() < len(names):
            now = time.monotonic()
            if now - began > LIVE_WITHIN:
                raise BenchmarkError(f"{seen.live()} of {len(names)} are live after {LIVE_WITHIN:.0f} s")
            if now - noted > 10:
                noted = now
                self.say(f"      {seen.live()} of {len(names)} are live")
            time.sleep(0.1)
        return created, seen.last_ready - began, cpu_seconds(pid) - cpu

    def _begin_rollouts(self, seen: ModelDeployments, kubelets: Kubelets, names: Sequence[Name]) -> None:
        """Twenty pods each, and then another model, of which all pods are there and half the requests."""
        self.say(f"      {len(names)} ModelDeployments roll")
        scaled = self._write(names, 1)
        wait_until(lambda: seen.current(scaled), "the stable revisions have their pods", ROLLING_WITHIN)
        self._write(names, 2)
        wanted = (self.models - len(names)) * PODS + 2 * len(names) * PODS_ROLLING
        wait_until(lambda: seen.at_step(names) == len(names), "all rollouts are at their step", ROLLING_WITHIN)
        wait_until(lambda: kubelets.pods >= wanted, "the candidates have their pods", ROLLING_WITHIN)
        time.sleep(self.lengths.settle)

    def _write(self, names: Sequence[Name], release: int) -> dict[tuple[str, str], int]:
        """The generations that they have now."""

        def write(name: Name) -> int:
            manifest = model_deployment(name, release, PODS_ROLLING)
            patch = {"spec": manifest["spec"]}
            return int(self.api.merge(MODEL_DEPLOYMENTS, name.namespace, name.name, patch)["metadata"]["generation"])

        with ThreadPoolExecutor(CREATORS) as writers:
            return {
                (name.namespace, name.name): generation
                for name, generation in zip(names, writers.map(write, names), strict=True)
            }

    def _span(self, pid: int, seconds: float) -> "Span":
        since, cpu = time.time(), cpu_seconds(pid)  # noqa: TID251 - the clock of the audit log
        time.sleep(seconds)
        until, used = time.time(), cpu_seconds(pid) - cpu  # noqa: TID251
        time.sleep(1.0)  # the audit log is a little behind
        with self.plane.audit.open() as log:
            return Span(since, until, used, calls(log, OPERATOR, since, until))

    def _looks_within(self, span: "Span", names: Sequence[Name]) -> list[tuple[float, float]]:
        """How late each look at a rollout was, and how long it took."""
        wanted = {f"{name.namespace}/{name.name}" for name in names}
        lines = (line.split() for line in self._looks.read_text().splitlines())
        return [
            (float(late), float(took))
            for at, name, late, took in lines
            if name in wanted and span.since <= float(at) < span.until
        ]


@dataclass(frozen=True)
class Span:
    """What an operator used and asked for within some time."""

    since: float
    until: float
    cpu: float
    calls: Sequence[Call]

    @property
    def seconds(self) -> float:
        return self.until - self.since


def _routers_alive(api: KubernetesApi, port: int) -> AbstractContextManager[None]:
    """Renews the Leases of the made-up routers."""

    def renew(stopped: threading.Event) -> None:
        while True:
            for number, router in enumerate(ROUTERS):
                api.apply(LEASES, _lease(router, f"{router_address(number)}:{port}"), manager=router)
            if stopped.wait(RENEW_SECONDS):
                return

    return alongside(renew)


def _lease(router: str, address: str) -> dict[str, Any]:
    identity = RouterIdentity("tidegate", router, "", "tidegate-router", address)
    now = datetime.now(UTC)  # noqa: TID251 - the router's clock
    return report_manifest(identity, Applied({EVERY_NAMESPACE: LONG_AGO_APPLIED}), now)


def _secret() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "tidegate"},
        "data": {KEY_ENTRY: base64.b64encode(KEY).decode()},
    }
