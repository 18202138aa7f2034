"""What Envoy says of itself, through its admin port on this pod's loopback."""

import http.client
import json
from dataclasses import dataclass

CLUSTERS_VERSION = "cluster_manager.cds.version_text"
ROUTES_VERSION = "http.router.rds.tidegate.version_text"
WARMING = "cluster_manager.warming_clusters"
ACTIVE_REQUESTS = "http.router.downstream_rq_active"
_REFUSED = (
    "cluster_manager.cds.update_rejected",
    "cluster_manager.cds.update_failure",
    "http.router.rds.tidegate.update_rejected",
    "http.router.rds.tidegate.update_failure",
)
_NAMES = (CLUSTERS_VERSION, ROUTES_VERSION, WARMING, ACTIVE_REQUESTS, *_REFUSED)
_FILTER = "^(" + "|".join(name.replace(".", "[.]") for name in _NAMES) + ")$"


@dataclass(frozen=True)
class EnvoyState:
    """What Envoy works with now. Versions are those of the files; empty before the first."""

    clusters_version: str = ""
    routes_version: str = ""
    warming_clusters: int = 0
    refused_updates: int = 0
    active_requests: int = 0


class EnvoyAdmin:
    """The admin port. Every call is bounded by `timeout_seconds`; an Envoy that doesn't answer is None or False."""

    def __init__(self, port: int, timeout_seconds: float = 1.0) -> None:
        self._port = port
        self._timeout = timeout_seconds

    def state(self) -> EnvoyState | None:
        """Envoy's state, or None when it isn't there."""
        status, text = self._call("GET", f"/stats?format=json&filter={_FILTER.replace('|', '%7C').replace('^', '%5E')}")
        if status != 200:
            return None
        stats = {one["name"]: one["value"] for one in json.loads(text)["stats"] if "name" in one}
        return EnvoyState(
            clusters_version=str(stats.get(CLUSTERS_VERSION, "")),
            routes_version=str(stats.get(ROUTES_VERSION, "")),
            warming_clusters=int(stats.get(WARMING, 0)),
            refused_updates=sum(int(stats.get(name, 0)) for name in _REFUSED),
            active_requests=int(stats.get(ACTIVE_REQUESTS, 0)),
        )

    def is_ready(self) -> bool:
        """True when Envoy takes requests and is not draining."""
        return self._call("GET", "/ready")[0] == 200

    def fail_health(self) -> bool:
        """From here on /ready is 503 and every answer asks its client to connect again, elsewhere."""
        return self._call("POST", "/healthcheck/fail")[0] == 200

    def close_listeners(self) -> bool:
        """No new connections; what is under way goes on."""
        return self._call("POST", "/drain_listeners")[0] == 200

    def _call(self, method: str, path: str) -> tuple[int | None, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()
