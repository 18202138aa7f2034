"""The agent's three calls to the Kubernetes API: list, watch, and apply a status. They raise KubeError only."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

REQUEST_SECONDS = (3.0, 30.0)
"""Connect and read timeouts of a request that is answered at once."""
Body = dict[str, Any]


class KubeError(Exception):
    """A call failed. `status` is the HTTP status, or None when there was no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Kube(Protocol):
    """The API server, as far as the agent needs it."""

    def list(self, path: str, query: Mapping[str, str]) -> Body: ...
    def watch(self, path: str, query: Mapping[str, str], seconds: int) -> Iterator[Body]: ...
    def apply_status(self, path: str, body: Body, field_manager: str) -> None: ...


class KubeApi:
    """The real one, from inside a pod or through KUBECONFIG. Threads may share it."""

    def __init__(self, configuration: client.Configuration | None = None) -> None:
        self._api = client.ApiClient(configuration or _configuration())

    def list(self, path: str, query: Mapping[str, str]) -> Body:
        """One list, whole."""
        response = self._call("GET", path, query, None, REQUEST_SECONDS)
        try:
            body: Body = json.loads(response.data)
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise KubeError(f"GET {path}: {error}") from error
        return body

    def watch(self, path: str, query: Mapping[str, str], seconds: int) -> Iterator[Body]:
        """Events until the server ends the watch after `seconds`; one that died silently ends a little later."""
        asked = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        response = self._call("GET", path, asked, None, (REQUEST_SECONDS[0], seconds + 10.0))
        try:
            yield from (json.loads(line) for line in _lines(response))
        except (ValueError, OSError, urllib3.exceptions.HTTPError) as error:
            raise KubeError(f"watch {path}: {error}") from error
        finally:
            response.close()

    def apply_status(self, path: str, body: Body, field_manager: str) -> None:
        """Server-side apply to the status of the object at `path`."""
        query = {"fieldManager": field_manager, "force": "true"}
        self._call("PATCH", f"{path}/status", query, body, REQUEST_SECONDS).read()

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Body | None, seconds: tuple[float, float]
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "tidegate-router"}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self._api.configuration.host}{path}?{urlencode(query)}"
        try:
            response: urllib3.BaseHTTPResponse = self._api.rest_client.pool_manager.request(
                method,
                url,
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=seconds[0], read=seconds[1]),
                retries=False,
                preload_content=False,
            )
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise KubeError(f"{method} {path}: {error}") from error
        if response.status >= 300:
            raise KubeError(f"{method} {path}: {response.status} {_reason(response)}", response.status)
        return response


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)


def _reason(response: urllib3.BaseHTTPResponse) -> str:
    try:
        return response.data.decode(errors="replace")[:300]
    except (OSError, urllib3.exceptions.HTTPError):
        return response.reason or ""


def _configuration() -> client.Configuration:
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # not typed yet
    except config.ConfigException:
        config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # not typed yet
    configuration.connection_pool_maxsize = 16
    return configuration
