"""`tidegate router-agent`: follows ModelRoutes and EndpointSlices, and serves them to the Envoy beside it.

It is Envoy's only source of change, and Envoy doesn't need it to go on: while it is away, all stays as it is.
"""

import argparse
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import KubernetesApi, load_config
from tidegate.kube.event_recorder import EventRecorder
from tidegate.model.decision import Event
from tidegate.resources.model_route import LONGEST_TIMEOUT_SECONDS
from tidegate.resources.router_report import RouterIdentity
from tidegate.resources.sampling import PORT
from tidegate.router.bootstrap import RouterSettings
from tidegate.router.certificate import Certificate, CertificateWatch
from tidegate.router.control_plane import ControlPlane
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.heartbeat import Heartbeat
from tidegate.router.routes import CLUSTER_DOMAIN
from tidegate.router.routing_cache import RoutingCache
from tidegate.router.sampling_server import serve
from tidegate.router.secrets import certificate_resource

logger = logging.getLogger(__name__)

LAST_REPORT_SECONDS = 5.0
FAREWELL_SECONDS = LONGEST_TIMEOUT_SECONDS + 120.0
"""How long the agent outlives SIGTERM at most, for an Envoy that still drains."""


@dataclass(frozen=True)
class AgentSettings:
    """The agent's environment, read once."""

    xds_directory: Path
    namespaces: tuple[str | None, ...]
    """None for all."""
    router: RouterIdentity
    admin_port: int
    health_port: int
    key_folder: Path
    """Where the key is mounted that is asked of whoever reads the counters."""
    cluster_domain: str
    tls_folder: Path | None
    """Where the Secret is mounted whose certificate the router serves; None where it serves none."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "AgentSettings":
        """Raises ValueError when a number isn't one."""
        listed = environ.get("TIDEGATE_NAMESPACES", "")
        port = int(environ.get("TIDEGATE_AGENT_HEALTH_PORT", PORT))
        return cls(
            xds_directory=Path(environ.get("TIDEGATE_XDS_DIR", RouterSettings.xds_directory)),
            namespaces=tuple(sorted({name.strip() for name in listed.split(",")} - {""})) or (None,),
            router=RouterIdentity(
                namespace=environ.get("TIDEGATE_NAMESPACE", "tidegate"),
                pod=environ.get("TIDEGATE_POD_NAME") or socket.gethostname(),
                uid=environ.get("TIDEGATE_POD_UID", ""),
                service=environ.get("TIDEGATE_ROUTER_NAME", "tidegate-router"),
                address=_address(environ.get("TIDEGATE_POD_IP", ""), port),
            ),
            admin_port=int(environ.get("TIDEGATE_ADMIN_PORT", RouterSettings.admin_port)),
            health_port=port,
            key_folder=Path(environ.get("TIDEGATE_SAMPLING_KEY_DIR", "/var/run/tidegate/sampling")),
            cluster_domain=environ.get("TIDEGATE_CLUSTER_DOMAIN", CLUSTER_DOMAIN),
            tls_folder=Path(tls) if (tls := environ.get("TIDEGATE_TLS_DIR")) else None,
        )


def _address(ip: str, port: int) -> str:
    """Where the operator asks for counters; empty where nobody has said which address the pod has."""
    return ip and (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")


def certificate_event(problem: str) -> Event:
    """What is told of the pod when its certificate can't be served, or can again."""
    if problem:
        return Event("CertificateUnusable", f"the router's TLS Secret: {problem}", warning=True)
    return Event("CertificateServed", "the router's TLS Secret can be served again, and is")


class Agent:
    """Wires the parts together; `run` returns after SIGTERM, when Envoy is gone."""

    def __init__(self, settings: AgentSettings, kube: KubernetesApi) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._cache = RoutingCache(kube, settings.namespaces, self._wake)
        self._events = EventRecorder(kube, settings.router.pod)
        self._heartbeat = Heartbeat(kube, settings.router, self._stop, _utc_now)
        self._control_plane = ControlPlane(
            settings.xds_directory, self._cache.take, self._heartbeat.applied, settings.cluster_domain
        )

    def _wake(self, *, at_once: bool) -> None:
        self._control_plane.wake(at_once=at_once)

    def _serve(self, found: Certificate) -> None:
        self._control_plane.serve_certificate(certificate_resource(*found))

    def _tell(self, problem: str) -> None:
        """Of the certificate: at once in the Lease, and as an Event of the pod, for which nobody waits."""
        self._heartbeat.certificate(problem)
        threading.Thread(target=self._post, args=(certificate_event(problem),), daemon=True).start()

    def _post(self, event: Event) -> None:
        try:
            self._events.emit(self._settings.router.about_pod, event, _utc_now())
        except ClusterUnavailable as error:
            logger.warning("cannot post the Event %s: %s", event.reason, error)

    def run(self) -> None:
        """Serves Envoy until stopped."""
        self._cache.start()
        if self._settings.tls_folder:
            CertificateWatch(self._settings.tls_folder, self._serve, self._tell).start()
        reporting = threading.Thread(target=self._heartbeat.run, daemon=True)
        reporting.start()
        router, settings = self._settings.router, self._settings
        pod = f"{router.namespace}/{router.pod}"
        server = serve(settings.health_port, self._cache, pod, settings.key_folder, settings.admin_port)
        try:
            self._control_plane.run()
        finally:
            server.shutdown()
            server.server_close()
        reporting.join(LAST_REPORT_SECONDS)  # a report that is under way would make anew what is taken back
        self._heartbeat.withdraw()

    def stop(self) -> None:
        """Ends `run`. From a signal handler, call it in a thread."""
        self._stop.set()
        self._cache.stop()
        self._heartbeat.wake()
        self._control_plane.stop()

    def stop_after_envoy(self) -> None:
        """An Envoy that drains still needs to know which pods leave: the agent goes last."""
        deadline, admin = time.monotonic() + FAREWELL_SECONDS, EnvoyAdmin(self._settings.admin_port)
        while time.monotonic() < deadline and admin.active_requests() is not None:
            time.sleep(0.25)
        self.stop()


def _utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the agent's one clock read, for people


def main(argv: Sequence[str]) -> int:
    """Runs the agent until SIGTERM. Returns the exit code."""
    argparse.ArgumentParser(prog="tidegate router-agent", description=__doc__.splitlines()[0]).parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    load_config()
    agent = Agent(AgentSettings.from_env(os.environ), KubernetesApi())
    farewell = threading.Event()

    def leave() -> None:
        farewell.wait()
        agent.stop_after_envoy()

    threading.Thread(target=leave, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: farewell.set())
    agent.run()
    return 0
