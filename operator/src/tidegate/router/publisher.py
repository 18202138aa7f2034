"""Brings Envoy from what it does to what it should do, in an order that loses no request.

    endpoints of new clusters → clusters, old and new → taken? → routes → taken? → 30 s → old clusters go

Nothing is written that is already there. Nothing here reads Kubernetes.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.router.cluster_lifecycle import (
    RoutingSnapshot,
    choose_eds_clusters,
    confirmed,
    draining_clusters,
    next_end,
    timeouts_of,
)
from tidegate.router.envoy_admin import EnvoyState
from tidegate.router.xds import (
    CLUSTERS_FILE,
    ENDPOINTS_PREFIX,
    ROUTES_FILE,
    ClusterKey,
    KnownClusters,
    answerable,
    cluster_keys,
    clusters_response,
    endpoints_file,
    endpoints_response,
    read_clusters,
    routes_response,
    version_of,
)

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""How long Envoy is given to take a file before the next one is written all the same."""
POLL_SECONDS = 0.004
UNCONFIRMED_SECONDS = 0.5
"""When to ask again whether Envoy has taken the routes."""


class Files(Protocol):
    """The directory that Envoy watches."""

    @property
    def path(self) -> str: ...
    def names(self) -> list[str]: ...
    def read(self, name: str) -> dict[str, Any] | None: ...
    def write(self, name: str, content: Mapping[str, Any]) -> None: ...
    def remove(self, name: str) -> None: ...


class Admin(Protocol):
    """The Envoy beside us."""

    def state(self) -> EnvoyState | None: ...


@dataclass(frozen=True)
class Published:
    """`confirmed`: Envoy routes by exactly this world. `again_at`: when to publish again even if nothing changes."""

    confirmed: bool
    again_at: float | None


class Publisher:
    """Writes one world after another. One thread only."""

    def __init__(
        self,
        files: Files,
        admin: Admin,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        watched_limit: int,
    ) -> None:
        self._files, self._admin, self._clock, self._sleep = files, admin, clock, sleep
        self._limit = watched_limit
        found = {name: files.read(name) for name in files.names()}
        self._written = {name: version_of(content) for name, content in found.items() if content is not None}
        before = found.get(CLUSTERS_FILE)
        # Clusters of an agent that ran here before may still have requests: they leave in order too.
        self._known = read_clusters(before) if before else KnownClusters()
        self._leaving = draining_clusters(self._known.keys, (), (), clock())
        self._timeouts: dict[ClusterKey, float] = {}

    def publish(self, world: RoutingSnapshot) -> Published:
        """Writes what differs and waits, within bounds, until Envoy has it. Raises OSError when the disk refuses."""
        now = self._clock()
        routed = cluster_keys(world.routes)
        self._leaving = draining_clusters(self._known.keys, self._leaving, routed, now, self._timeouts)
        self._timeouts = timeouts_of(world.routes)
        keys = routed | {draining.key for draining in self._leaving}
        watched = choose_eds_clusters(self._known.watched, keys, world.routes, self._limit)
        for key in sorted(watched):
            self._write(
                endpoints_file(key.service), endpoints_response(key.service, world.endpoints.get(key.service, ()))
            )
        clusters = clusters_response(keys, watched, world.endpoints, self._files.path)
        routes = routes_response(answerable(world.routes, world.endpoints, world.leaving))
        clusters_taken = self._put(
            CLUSTERS_FILE, clusters, lambda state: state.clusters_version == version_of(clusters)
        )
        self._known = KnownClusters(keys, watched)
        routes_taken = self._put(ROUTES_FILE, routes, lambda state: state.routes_version == version_of(routes))
        return self._conclude(clusters_taken, routes_taken)

    def _conclude(self, clusters_taken: bool, routes_taken: bool) -> Published:
        now = self._clock()
        if clusters_taken:
            self._remove_stale_files()
        if not (clusters_taken and routes_taken):
            return Published(False, now + UNCONFIRMED_SECONDS)
        self._leaving = confirmed(self._leaving, now)
        return Published(True, next_end(self._leaving))

    def _put(self, name: str, content: Mapping[str, Any], has_it: Callable[[EnvoyState], bool]) -> bool:
        """True when Envoy works with `content`; False when it refused it, or didn't say in time."""
        before = self._admin.state()
        if not self._write(name, content):
            # Written earlier: ask once, don't wait again.
            return before is not None and has_it(before)
        if before is None:
            # No Envoy yet: it will read all files when it starts, so their order doesn't matter.
            return False
        return self._settle(name, before, has_it)

    def _settle(self, name: str, before: EnvoyState, has_it: Callable[[EnvoyState], bool]) -> bool:
        deadline = self._clock() + SETTLE_SECONDS
        while self._clock() < deadline:
            state = self._admin.state()
            if state is None:
                return False
            if has_it(state) and state.warming_clusters == 0:
                return True
            if state.refused_updates > before.refused_updates:
                logger.error("Envoy refused %s and goes on with what it has", name)
                return False
            self._sleep(POLL_SECONDS)
        logger.warning("Envoy has not taken %s within %.0f s", name, SETTLE_SECONDS)
        return False

    def _write(self, name: str, content: Mapping[str, Any]) -> bool:
        if self._written.get(name) == version_of(content):
            return False
        self._files.write(name, content)
        self._written[name] = version_of(content)
        return True

    def _remove_stale_files(self) -> None:
        wanted = {endpoints_file(key.service) for key in self._known.watched}
        for name in sorted(self._written.keys() - wanted):
            if name.startswith(ENDPOINTS_PREFIX):
                self._files.remove(name)
                del self._written[name]
