"""models:/NAME/VERSION and models:/NAME@ALIAS — a version of a registered model, asked for at MLflow's own REST API.

An alias is resolved to its version once. Where the version's files are the registry says: they come through the
tracking server, or from the bucket that it names.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.limits import MAX_FILES
from tidegate_server.fetch.report import NOT_FOUND, UNREACHABLE, UNSAFE_CONTENT, UNSUPPORTED_URI
from tidegate_server.fetch.sources import find_source
from tidegate_server.fetch.sources.http_client import BadStatus, GetRequest, get, open_at, reading
from tidegate_server.fetch.sources.listing import Listing, SourceFile

SCHEME = "models:/"
_FORM = "write models:/NAME/VERSION or models:/NAME@ALIAS"
_BUCKETS = ("s3", "gs", "az", "http", "https")
"""Where a registry may say that the files are. Not its own machine's files, which mean something else in a pod."""
_MAX_ANSWER = 4 * 2**20
_MAX_DEPTH = 16


@dataclass(frozen=True)
class RegisteredModel:
    """Either `version` or `alias`."""

    name: str
    version: str = ""
    alias: str = ""


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The files of one version. Raises FetchFailed."""
    model, server = parse(uri), _Server.of(environ)
    version = model.version or server.version(model)
    resolved = f"{SCHEME}{quote(model.name, safe='@')}/{version}"
    place = server.place(model.name, version)
    parts = urlsplit(place)
    if parts.scheme in _BUCKETS:
        return replace(_other_source(place, environ), resolved=resolved)
    if parts.scheme != "mlflow-artifacts" or parts.netloc not in ("", urlsplit(server.address).netloc):
        words = f"its files are at {parts.scheme or 'a path'}, which nobody else can read"
        raise FetchFailed(UNSUPPORTED_URI, f"version {version} of {model.name}: {words}; have the registry serve them")
    files = tuple(server.files(parts.path.strip("/")))
    if not files:
        raise FetchFailed(NOT_FOUND, f"version {version} of {model.name} has no files; check model.uri")
    return Listing(files, resolved=resolved)


def parse(uri: str) -> RegisteredModel:
    """Raises FetchFailed for a URI that names no version and no alias."""
    path = uri.partition(":")[2].strip("/")
    name, slash, version = path.partition("/")
    if slash and re.fullmatch("[0-9]+", version) and name:
        return RegisteredModel(unquote(name), version=version)
    name, _, alias = path.rpartition("@")
    if slash or not name or not re.fullmatch(r"[\w-]+", alias):
        raise FetchFailed(UNSUPPORTED_URI, f"the model's URI names no version of a registered model; {_FORM}")
    return RegisteredModel(unquote(name), alias=alias)


@dataclass(frozen=True)
class _Server:
    """A tracking server. `private`: headers with what it knows us by."""

    address: str
    private: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "_Server":
        """By the variables that MLflow's own client reads. Raises FetchFailed."""
        address = (environ.get("MLFLOW_REGISTRY_URI") or environ.get("MLFLOW_TRACKING_URI") or "").rstrip("/")
        if urlsplit(address).scheme not in ("http", "https"):
            sentence = "MLFLOW_TRACKING_URI must be the http:// or https:// address of the registry of models:/"
            raise FetchFailed(UNSUPPORTED_URI, sentence)
        user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD", "")
        token = environ.get("MLFLOW_TRACKING_TOKEN")
        if user:
            return cls(address, {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"})
        return cls(address, {"Authorization": f"Bearer {token}"} if token else {})

    def version(self, model: RegisteredModel) -> str:
        """The version that an alias means now. Raises FetchFailed."""
        found = self._ask("mlflow/registered-models/alias", name=model.name, alias=model.alias).get("model_version")
        version = str(found.get("version", "")) if isinstance(found, dict) else ""
        if not re.fullmatch("[0-9]+", version):
            raise FetchFailed(UNREACHABLE, f"the registry names no version for {model.name}@{model.alias}")
        return version

    def place(self, name: str, version: str) -> str:
        """The URI of a version's files. Raises FetchFailed."""
        found = self._ask("mlflow/model-versions/get-download-uri", name=name, version=version).get("artifact_uri")
        if not isinstance(found, str) or not found:
            raise FetchFailed(UNREACHABLE, f"the registry doesn't say where version {version} of {name} is")
        return found

    def files(self, path: str, below: str = "", depth: int = 0) -> Iterator[SourceFile]:
        """Everything in a folder, with names relative to it. Raises FetchFailed."""
        if depth > _MAX_DEPTH:
            raise FetchFailed(UNSAFE_CONTENT, f"the model's folder has more than {_MAX_DEPTH} folders in one another")
        listed = self._ask("mlflow-artifacts/artifacts", path=path).get("files", [])
        if not isinstance(listed, list) or len(listed) > MAX_FILES:
            raise FetchFailed(UNSAFE_CONTENT, "the registry's list of files isn't one, or is too long")
        for each in listed:
            name = str(each.get("path", "")).rpartition("/")[2] if isinstance(each, dict) else ""
            if not name:
                raise FetchFailed(UNSAFE_CONTENT, "the registry's list of files has one without a name")
            if each.get("is_dir"):
                yield from self.files(f"{path}/{name}", f"{below}{name}/", depth + 1)
            else:
                address = f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{path}/{name}')}"
                opened = partial(open_at, GetRequest(address, private=self.private))
                yield SourceFile(f"{below}{name}", opened, each.get("file_size"))

    def _ask(self, path: str, /, **query: str) -> dict[str, Any]:
        request = GetRequest(f"{self.address}/api/2.0/{path}?{urlencode(query)}", private=self.private)
        try:
            with get(request) as response, reading():
                found = json.loads(response.read(_MAX_ANSWER))
        except BadStatus as error:
            raise _refused(error, query) from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise FetchFailed(UNREACHABLE, "what MLFLOW_TRACKING_URI leads to doesn't answer as MLflow's registry does")
        return found


def _refused(error: BadStatus, query: Mapping[str, str]) -> FetchFailed:
    """A missing alias is a 400, a missing model or version a 404."""
    if error.status in (401, 403):
        sentence = f"the registry refused access ({error.status}); check MLFLOW_TRACKING_USERNAME or …_TOKEN"
        return FetchFailed(UNREACHABLE, sentence)
    if error.status not in (400, 404):
        return FetchFailed(UNREACHABLE, f"the registry answered {error.status}", transient=error.transient)
    wanted = f"version {query['version']}" if "version" in query else f"alias {query.get('alias', '')}"
    sentence = f"the registry has no {wanted} of a model {query.get('name', '')}; check model.uri"
    return FetchFailed(NOT_FOUND, sentence)


def _other_source(place: str, environ: Mapping[str, str]) -> Listing:
    folder = place if place.endswith("/") else f"{place}/"
    return find_source(folder).source(folder, environ)
