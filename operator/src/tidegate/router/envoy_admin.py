"""What Envoy says of itself, through its admin port on this pod's loopback."""

import http.client

ACTIVE_REQUESTS = "http.router.downstream_rq_active"


class EnvoyAdmin:
    """The admin port. Every call is bounded by `timeout_seconds`; an Envoy that doesn't answer is None or False."""

    def __init__(self, port: int, timeout_seconds: float = 1.0) -> None:
        self._port = port
        self._timeout = timeout_seconds

    def active_requests(self) -> int | None:
        """Requests under way, or None when Envoy isn't there."""
        pattern = ACTIVE_REQUESTS.replace(".", "[.]")
        status, text = self._call("GET", f"/stats?filter=%5E{pattern}$")
        if status != 200:
            return None
        value = text.rpartition(b":")[2].strip()
        return int(value) if value.isdigit() else 0

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
