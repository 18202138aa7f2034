"""`tidegate router-agent`: follows ModelRoutes and EndpointSlices, and keeps Envoy's files up to date.

It is Envoy's only source of change, and Envoy doesn't need it to go on: an agent that is away leaves the last files.
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

from tidegate.kube.api import KubernetesApi, load_config
from tidegate.resources.model_route import LONGEST_TIMEOUT_SECONDS
from tidegate.resources.router_report import RouterIdentity
from tidegate.router.bootstrap import RouterSettings
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.files import XdsDirectory
from tidegate.router.heartbeat import Heartbeat
from tidegate.router.publisher import Published, Publisher
from tidegate.router.routing_cache import RoutingCache
from tidegate.router.sampling_server import serve

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.005
"""Changes that come together are written together."""
DISK_RETRY_SECONDS = 1.0
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
    watched_limit: int
    key_folder: Path
    """Where the key is mounted that is asked of whoever reads the counters."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "AgentSettings":
        """Raises ValueError when a number isn't one."""
        listed = environ.get("TIDEGATE_NAMESPACES", "")
        port = int(environ.get("TIDEGATE_AGENT_HEALTH_PORT", "9903"))
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
            watched_limit=int(environ.get("TIDEGATE_WATCHED_REVISIONS", "36")),
            key_folder=Path(environ.get("TIDEGATE_SAMPLING_KEY_DIR", "/var/run/tidegate/sampling")),
        )


def _address(ip: str, port: int) -> str:
    """Where the operator asks for counters; empty where nobody has said which address the pod has."""
    return ip and (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")


class Agent:
    """Wires the parts together; `run` returns after SIGTERM, when Envoy is gone."""

    def __init__(self, settings: AgentSettings, kube: KubernetesApi) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._cache = RoutingCache(kube, settings.namespaces, self._changed.set)
        self._admin = EnvoyAdmin(settings.admin_port)
        self._heartbeat = Heartbeat(kube, settings.router, self._stop, _utc_now)
        self._publisher = Publisher(
            XdsDirectory(settings.xds_directory),
            self._admin,
            clock=time.monotonic,
            sleep=time.sleep,
            watched_limit=settings.watched_limit,
        )

    def run(self) -> None:
        """Publishes until stopped."""
        self._cache.start()
        reporting = threading.Thread(target=self._heartbeat.run, daemon=True)
        reporting.start()
        router, settings = self._settings.router, self._settings
        pod = f"{router.namespace}/{router.pod}"
        server = serve(settings.health_port, self._cache, pod, settings.key_folder, settings.admin_port)
        try:
            self._publish_until_stopped()
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
        self._changed.set()

    def stop_after_envoy(self) -> None:
        """An Envoy that drains still needs to know which pods leave: the agent goes last."""
        deadline = time.monotonic() + FAREWELL_SECONDS
        while time.monotonic() < deadline and self._admin.state() is not None:
            time.sleep(0.25)
        self.stop()

    def _publish_until_stopped(self) -> None:
        again_at: float | None = None
        while not self._stop.is_set():
            left = None if again_at is None else max(0.0, again_at - time.monotonic())
            if self._changed.wait(left):
                time.sleep(GATHER_SECONDS)
                self._changed.clear()
            again_at = self._publish_once()

    def _publish_once(self) -> float | None:
        snapshot = self._cache.snapshot()
        if snapshot is None:
            return None
        try:
            published: Published = self._publisher.publish(snapshot)
        except OSError as error:
            logger.error("cannot write Envoy's files: %s", error)
            return time.monotonic() + DISK_RETRY_SECONDS
        if published.confirmed:
            self._heartbeat.applied(snapshot.versions)
        return published.again_at


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
