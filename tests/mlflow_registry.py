"""A small model registry that answers as MLflow's does: the tests of `make registry` hold it against the real one."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.small_http import listening, say

NAME = "digits"
API = "/api/2.0/"
FOLDER = "0/models/m-{version}/artifacts"


@dataclass
class Version:
    """`files`: by their names in the version's folder. `place`: where the registry says that they are, if elsewhere."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    place: str = ""


@dataclass
class Registry:
    """One registered model, `digits`. `status`: what every request gets in the place of an answer."""

    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    login: str = ""
    status: int = 0
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, query: Mapping[str, str], body: Mapping[str, str]) -> tuple[int, Any]:
        """Status, and JSON or a file."""
        name = query.get("name") or body.get("name")
        if path == "mlflow-artifacts/artifacts":
            return 200, self._listed(query["path"])
        if path.startswith("mlflow-artifacts/artifacts/"):
            return self._file(unquote(path.removeprefix("mlflow-artifacts/artifacts/")))
        if name != NAME:
            return _missing(f"Registered Model with name={name} not found")
        if path == "mlflow/registered-models/alias":
            number = max(self.versions) if query["alias"] == "latest" else self.aliases.get(query["alias"])
            if number is None:
                return _wrong(f"Registered model alias {query['alias']} not found.")
            return 200, {"model_version": self._described(number)}
        number = query.get("version") or body["version"]
        if number not in self.versions:
            return _missing(f"Model Version (name={name}, version={number}) not found")
        if path == "mlflow/model-versions/get":
            return 200, {"model_version": self._described(number)}
        if path == "mlflow/model-versions/get-download-uri":
            place = self.versions[number].place or f"mlflow-artifacts:/{FOLDER.format(version=number)}"
            return 200, {"artifact_uri": place}
        if path == "mlflow/model-versions/set-tag":
            self.versions[number].tags[body["key"]] = body["value"]
            return 200, {}
        return 404, {}

    def _described(self, number: str) -> dict[str, Any]:
        tags = [{"key": key, "value": value} for key, value in self.versions[number].tags.items()]
        aliases = [alias for alias, version in self.aliases.items() if version == number]
        # It leaves empty lists out.
        return {
            "name": NAME,
            "version": number,
            "status": "READY",
            **({"tags": tags} if tags else {}),
            **({"aliases": aliases} if aliases else {}),
        }

    def _paths(self) -> dict[str, bytes]:
        return {
            f"{FOLDER.format(version=number)}/{name}": content
            for number, version in self.versions.items()
            for name, content in version.files.items()
        }

    def _listed(self, folder: str) -> dict[str, Any]:
        inside = {path.removeprefix(f"{folder}/"): content for path, content in self._paths().items()}
        inside = {path: content for path, content in inside.items() if not path.startswith("0/models")}
        files = [
            {"path": path, "is_dir": False, "file_size": len(content)}
            for path, content in inside.items()
            if "/" not in path
        ]
        folders = [{"path": each, "is_dir": True} for each in sorted({p.split("/")[0] for p in inside if "/" in p})]
        return {"files": [*files, *folders]} if files or folders else {}

    def _file(self, path: str) -> tuple[int, Any]:
        found = self._paths().get(path)
        return (200, found) if found is not None else _missing(f"No such artifact: '{path}'")


def _missing(message: str) -> tuple[int, Any]:
    return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}


def _wrong(message: str) -> tuple[int, Any]:
    return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message}


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """The registry behind a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond({})

        def do_POST(self) -> None:
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, body: Mapping[str, str]) -> None:
            registry.asked.append(self.path)
            status, found = self._found(body)
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            say(self, status, content, **{"Content-Type": "application/json"})

        def _found(self, body: Mapping[str, str]) -> tuple[int, Any]:
            parts = urlsplit(self.path)
            if registry.status:
                return registry.status, {}
            login = f"Basic {base64.b64encode(registry.login.encode()).decode()}"
            if registry.login and self.headers["Authorization"] != login:
                return 401, {}
            return registry.answer(parts.path.removeprefix(API), dict(parse_qsl(parts.query)), body)

    with listening(Handler) as registry.port:
        yield registry
