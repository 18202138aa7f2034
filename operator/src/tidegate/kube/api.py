"""Plain dictionaries to and from the Kubernetes API, for the few verbs that are used.

The generated client's typed models would be converted back at once; its transport and its log-in are what's wanted.
It takes a second to import, so a command that answers a person in less brings an `Access` of its own.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode

import orjson
import urllib3

from tidegate.errors import ClusterUnavailable, WriteRefused

CONNECT_SECONDS = 5
WHOLE = "application/json"
METADATA_LIST, METADATA = (
    f"application/json;as={kind};g=meta.k8s.io;v=v1" for kind in ("PartialObjectMetadataList", "PartialObjectMetadata")
)
"""What is taken where only names and versions of objects are wanted."""
READ_SECONDS = 20
CREDENTIALS_SECONDS = 10.0
"""How long credentials are sent before they are asked for anew: a kubelet replaces a token long before it ends."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that a server may ask for, at most."""
LONGEST_SENTENCE = 1024
"""Characters of what a server says."""
UNAUTHORIZED = 401
TRANSIENT = frozenset({UNAUTHORIZED, 404, 408, 409, 410, 429})
"""Statuses below 500 of a write that may well be taken the next time."""
WEBHOOK_FAILED = "failed calling webhook"
"""What the API server says, with status 500, of an admission webhook that doesn't answer and has to."""

Manifest = dict[str, Any]
Asked = Callable[[str, str, float], None]
"""Hears of each request: its method, the answer's status or NO_ANSWER, and after how many seconds its head came."""
NO_ANSWER = "<error>"
"""In the place of a status where there is none, as client-go has it."""


@dataclass(frozen=True)
class Resource:
    """One kind: where its objects are found."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of a collection, an object or its subresource."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [root + self.api_version]
        if namespace is not None:
            parts += ["namespaces", quote(namespace)]
        parts.append(self.plural)
        parts += [quote(part) for part in (name, subresource) if part is not None]
        return "/".join(parts)


MODEL_DEPLOYMENTS = Resource("tidegate.dev/v1alpha1", "ModelDeployment", "modeldeployments")
METRIC_TEMPLATES = Resource("tidegate.dev/v1alpha1", "MetricTemplate", "metrictemplates")
MODEL_ROUTES = Resource("tidegate.dev/v1alpha1", "ModelRoute", "modelroutes")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
CONTROLLER_REVISIONS = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
SERVICES = Resource("v1", "Service", "services")
SECRETS = Resource("v1", "Secret", "secrets")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
PODS = Resource("v1", "Pod", "pods")
POD_DISRUPTION_BUDGETS = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
JOBS = Resource("batch/v1", "Job", "jobs")
EVENTS = Resource("v1", "Event", "events")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
HTTP_ROUTES = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
GRPC_ROUTES = Resource("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes")
VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "VirtualService", "virtualservices")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
SUBJECT_REVIEWS = Resource("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews")


class Access(Protocol):
    """How the API server is reached, and who asks it."""

    def to_host(self) -> tuple[Any, str]:
        """Who sends requests, as urllib3 has it, and what comes before their paths. May change at any time."""

    def headers(self) -> "Mapping[str, str]":
        """Those by which the API server knows us. Raises whatever the log-in does."""

    def forget(self) -> None:
        """They weren't taken: the next call asks for others."""


def load_config() -> None:
    """The pod's own service account, or the kubeconfig where there is none."""
    import kubernetes

    try:
        kubernetes.config.load_incluster_config()  # type: ignore[no-untyped-call]
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()  # type: ignore[no-untyped-call]


class KubernetesApi:
    """One connection pool to the API server. Every method raises ClusterUnavailable on failure."""

    def __init__(
        self,
        *,
        connections: int = 32,
        access: Access | None = None,
        asked: Asked = lambda method, status, seconds: None,
    ) -> None:
        self._client: Any = None if access else _generated_client(connections)
        self._access: Access = access or _GeneratedClientsAccess(self._client)
        self._asked = asked

    @property
    def host(self) -> str:
        """The API server's host and port."""
        pool, prefix = self._access.to_host()
        behind_proxy = urllib3.util.parse_url(prefix).netloc
        return behind_proxy or f"{pool.host}:{pool.port}"

    def with_token(self, token: str) -> "KubernetesApi":
        """The same server over the same connections, asked in the name of whoever has that bearer token.

        Where our own connections show a client certificate, the API server goes by that: KubeContext.has_token_alone.
        """
        return KubernetesApi(access=_BearersAccess(self._access, token))

    def ask(self, resource: Resource, spec: Mapping[str, Any]) -> Manifest:
        """The status of a review, by which the API server says who we are or what we may. It keeps nothing of it."""
        review = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return cast(Manifest, self._json("POST", resource.path(), review).get("status") or {})

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """An object, or None if there is none of that name."""
        try:
            return self._json("GET", resource.path(namespace, name))
        except ClusterUnavailable as error:
            if error.status == 404:
                return None
            raise

    def read(self, path: str) -> Manifest:
        """What the API server answers at a path of no object, such as /version."""
        return self._json("GET", path)

    def text_lines(self, path: str, *, seconds: int) -> Iterator[str]:
        """Lines of what is no JSON, such as a pod's log, as they come; silence for `seconds` ends it."""
        response = self._request("GET", path, read_seconds=seconds)
        rest = b""
        try:
            for chunk in response.stream(4096, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"GET {path.partition('?')[0]} broke: {error}") from error
        finally:
            response.close()
            response.release_conn()

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest | None:
        """Creates an object; None if it exists already."""
        metadata = manifest["metadata"]
        try:
            return self._json("POST", resource.path(metadata["namespace"]), manifest)
        except ClusterUnavailable as error:
            if error.status == 409:
                return None
            raise

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, manager: str, force: bool = True) -> Manifest:
        """Server-side apply: the object has these fields, and `manager` owns them. What another owns it takes over, or
        fails with status 409 where it isn't to."""
        metadata = manifest["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"])
        query = urlencode({"fieldManager": manager, "force": str(force).lower()})
        return self._json("PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml")

    def merge(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any], *, manager: str | None = None
    ) -> Manifest:
        """JSON merge patch, in the name of `manager`. One that has metadata.resourceVersion fails with status 409 where
        the object has changed since."""
        path = resource.path(namespace, name) + (f"?{urlencode({'fieldManager': manager})}" if manager else "")
        return self._json("PATCH", path, patch, "application/merge-patch+json")

    def patch(
        self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]], *, manager: str
    ) -> Manifest:
        """JSON patch, in the name of `manager`. It fails with status 422 where one of its tests does, and with 409
        where it replaces a resourceVersion that isn't the object's any more."""
        path = f"{resource.path(namespace, name)}?{urlencode({'fieldManager': manager})}"
        return self._json("PATCH", path, operations, "application/json-patch+json")

    def replace(self, resource: Resource, manifest: Mapping[str, Any], *, status: bool = False) -> Manifest:
        """Writes a whole object, or all of its status and nothing else; fails with status 409 if it has changed since
        the version that it says."""
        metadata = manifest["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"], "status" if status else None)
        return self._json("PUT", path, manifest)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Deletes an object in the background; fine if there is none, or only another than `uid`."""
        options: Manifest = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._json("DELETE", resource.path(namespace, name), options)
        except ClusterUnavailable as error:
            if error.status != 404 and not (uid is not None and error.status == 409):
                raise

    def list(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        *,
        fields: str | None = None,
        limit: int | None = None,
        continue_token: str = "",
        metadata_only: bool = False,
    ) -> Manifest:
        """A whole list, or one page of it with a token for the next in `metadata.continue`.

        Its items carry apiVersion and kind only as far as the server says them; with `metadata_only` no more than
        metadata.
        """
        asked = {"labelSelector": selector, "fieldSelector": fields, "limit": limit, "continue": continue_token}
        query = {name: value for name, value in asked.items() if value}
        path = f"{resource.path(namespace)}?{urlencode(query)}"
        return self._json("GET", path, accept=METADATA_LIST if metadata_only else WHOLE)

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        version: str,
        *,
        seconds: int,
        fields: str | None = None,
        metadata_only: bool = False,
    ) -> Iterator[Manifest]:
        """Changes since a resource version, for at most `seconds`; a silent connection is given up a little later."""
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        if selector:
            query["labelSelector"] = selector
        if fields:
            query["fieldSelector"] = fields
        path = f"{resource.path(namespace)}?{urlencode(query)}"
        accept = METADATA if metadata_only else WHOLE
        response = self._request("GET", path, read_seconds=seconds + 10, accept=accept)
        try:
            yield from _lines(response)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"the watch of {resource.plural} broke: {error}") from error
        finally:
            response.close()  # what may be left of a watch that broke must not answer the connection's next request
            response.release_conn()

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str = "application/json",
        accept: str = WHOLE,
    ) -> Manifest:
        response = self._request(method, path, body, content_type, accept=accept)
        try:
            return cast(Manifest, orjson.loads(response.read()))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"{method} {path} gave an unreadable answer: {error}") from error
        finally:
            response.release_conn()

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str = "application/json",
        read_seconds: int = READ_SECONDS,
        accept: str = WHOLE,
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "tidegate"}
        try:
            headers |= self._access.headers()
        except Exception as error:  # a token file that is away, a plugin that fails: the client names no type
            raise ClusterUnavailable(f"{method} {path} wasn't asked, for want of credentials: {error}") from error
        pool, prefix = self._access.to_host()
        began = monotonic()
        try:
            response = pool.urlopen(
                method,
                prefix + path,
                body=orjson.dumps(body) if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                preload_content=False,
                retries=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._asked(method, NO_ANSWER, monotonic() - began)
            raise ClusterUnavailable(f"{method} {path} had no answer: {error}") from error
        self._asked(method, str(response.status), monotonic() - began)
        if response.status == UNAUTHORIZED:
            self._access.forget()
        if response.status >= 400:
            raise _failure(method, path.partition("?")[0], response)
        return cast(urllib3.HTTPResponse, response)


def _generated_client(connections: int) -> Any:
    import kubernetes

    configuration = kubernetes.client.Configuration.get_default_copy()
    configuration.connection_pool_maxsize = connections
    configuration.retries = False
    return kubernetes.client.ApiClient(configuration)


class _GeneratedClientsAccess:
    """As the generated client's configuration says it."""

    def __init__(self, client: Any) -> None:
        self._credentials = _Credentials(client)
        self.to_host = _Connections(client).to_host
        self.headers, self.forget = self._credentials.headers, self._credentials.forget


class _Connections:
    """Those to the API server. The client looks them up anew for each request, which costs as much as sending it."""

    def __init__(self, client: Any) -> None:
        self._manager, self._configuration = client.rest_client.pool_manager, client.configuration
        self._found: tuple[str, Any, str] = ("", None, "")

    def to_host(self) -> tuple[Any, str]:
        """Who sends requests, and what comes before their paths. A log-in may give another address at any time."""
        host, pool, prefix = self._found
        if host != self._configuration.host:
            host = self._configuration.host
            if self._manager.proxy is None:
                pool, prefix = self._manager.connection_from_url(host), urllib3.util.parse_url(host).path or ""
            else:
                pool, prefix = self._manager, host  # it knows what its proxy is to be asked for
            self._found = (host, pool, prefix)
        return pool, prefix


class _Credentials:
    """The headers by which the API server knows us. The client works them out anew for each call, at its own cost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._headers: dict[str, str] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def headers(self) -> Mapping[str, str]:
        """Raises whatever the log-in does: a token file that is away, a plugin that fails."""
        with self._lock:
            if monotonic() >= self._until:
                headers: dict[str, str] = {}
                self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
                self._headers, self._until = headers, monotonic() + CREDENTIALS_SECONDS
            return self._headers

    def forget(self) -> None:
        """They weren't taken: the next call asks for others."""
        with self._lock:
            self._until = 0.0


class _BearersAccess:
    """Another's connections, and one bearer token for as long as it lasts: there is no log-in that gives another."""

    def __init__(self, connections: Access, token: str) -> None:
        self.to_host = connections.to_host
        self._token = token

    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """There is nothing else to show."""


def _failure(method: str, path: str, response: urllib3.BaseHTTPResponse) -> ClusterUnavailable:
    said = _sentence(response)
    final = (400 <= response.status < 500 and response.status not in TRANSIENT) or WEBHOOK_FAILED in said
    kind = WriteRefused if final and method != "GET" else ClusterUnavailable
    return kind(f"{method} {path}: {said}", response.status, _retry_after(response), said)


def _sentence(response: urllib3.BaseHTTPResponse) -> str:
    text = response.read().decode(errors="replace")
    response.release_conn()
    try:
        said = str(orjson.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        said = f"status {response.status}: {text[:200]}"
    return said if len(said) <= LONGEST_SENTENCE else said[:LONGEST_SENTENCE] + "…"


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_RETRY_AFTER) if text.isdecimal() else None


def _lines(response: urllib3.HTTPResponse) -> Iterator[Manifest]:
    rest = b""
    for chunk in response.stream(None, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (orjson.loads(line) for line in lines if line.strip())
