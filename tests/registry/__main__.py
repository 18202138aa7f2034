"""Holds MLflow's newest registry against the one that the tests play, and has this project work with it.

Not part of the test suite: it installs what a package registry has today, and takes minutes the first time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.clients.__main__ import install
from tests.conftest import answers, free_port, running
from tests.mlflow_registry import NAME, Registry, Version, serving
from tests.operator.webhooks.test_secrets import Objects
from tidegate.errors import CallFailed
from tidegate.gates.registry import RegistryGates
from tidegate.gates.review import Question
from tidegate.model.gate import GateSpec
from tidegate.model.spec import Model
from tidegate.registries.reference import Access, RegisteredModel
from tidegate.registries.resolver import Registries
from tidegate.webhooks.addresses import AddressRules
from tidegate.webhooks.client import WebhookClient

PACKAGES = ("mlflow", "onnx", "onnxruntime")
PROGRAM = Path(__file__).with_name("log_models.py")
LONGEST_SECONDS = 900
COMPARED = ("name", "version", "status", "tags", "aliases")
"""Of a version; the rest of its description isn't read by anybody here."""
M = "mlflow/model-versions"
QUESTIONS: Mapping[str, tuple[str, Mapping[str, str] | None]] = {
    "an alias": (f"mlflow/registered-models/alias?name={NAME}&alias=champion", None),
    "an alias that isn't there": (f"mlflow/registered-models/alias?name={NAME}&alias=none", None),
    "the newest": (f"mlflow/registered-models/alias?name={NAME}&alias=latest", None),
    "a model that isn't there": ("mlflow/registered-models/alias?name=none&alias=champion", None),
    "a version": (f"{M}/get?name={NAME}&version=2", None),
    "a version that isn't there": (f"{M}/get?name={NAME}&version=9", None),
    "where a version that isn't there is": (f"{M}/get-download-uri?name={NAME}&version=9", None),
    "a folder that isn't there": ("mlflow-artifacts/artifacts?path=0/none", None),
    "a file that isn't there": ("mlflow-artifacts/artifacts/0/none", None),
    "a tag": (f"{M}/set-tag", {"name": NAME, "version": "2", "key": "k", "value": "v"}),
    "a tag of a version that isn't there": (f"{M}/set-tag", {"name": NAME, "version": "9", "key": "k", "value": "v"}),
    "the version with its tag": (f"{M}/get?name={NAME}&version=2", None),
}


def main() -> int:
    """The exit code: 1 where something isn't as expected. Prints a table."""
    python = install("registry", PACKAGES)
    with TemporaryDirectory() as folder, _mlflow(python, Path(folder)) as address:
        log = [str(python), str(PROGRAM), address, NAME]
        subprocess.run(log, check=True, capture_output=True, timeout=LONGEST_SECONDS)
        rows = [*_compared(address), *_used(address, Path(folder))]
    print("| what | result |\n|---|---|")  # noqa: T201 - a table for people
    for what, result in rows:
        print(f"| {what} | {result} |")  # noqa: T201
    return 0 if all(result == "as expected" for _, result in rows) else 1


@contextmanager
def _mlflow(python: Path, folder: Path) -> Iterator[str]:
    port = free_port()
    store, place = f"sqlite:///{folder}/registry.db", str(folder / "artifacts")
    command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", place]
    with running(folder, command) as process:
        address = f"http://127.0.0.1:{port}"
        answers(f"{address}/health", process)
        yield address


def _compared(address: str) -> Iterator[tuple[str, str]]:
    """The same questions to both."""
    played = Registry({"1": Version(tags={"approved": "true"}), "2": Version()}, {"champion": "1"})
    with serving(played):
        for what, (path, body) in QUESTIONS.items():
            real, ours = _asked(address, path, body), _asked(played.address, path, body)
            yield f"asked for {what}", "as expected" if real == ours else f"{real}, and the tests' is {ours}"


def _asked(address: str, path: str, body: Mapping[str, str] | None) -> tuple[int, Any]:
    """Status, and what of the answer is read."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{address}/api/2.0/{path}", data, {"Content-Type": "application/json"})  # noqa: S310 - http
    try:
        with urlopen(request, timeout=60) as response:  # noqa: S310 - http
            status, found = response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error).get("error_code")
    version = found.get("model_version")
    return status, {key: version[key] for key in COMPARED if key in version} if version else found


def _used(address: str, folder: Path) -> Iterator[tuple[str, str]]:
    """What this project does with a registry."""
    env = (("MLFLOW_TRACKING_URI", address),)
    registries = Registries(WebhookClient(AddressRules(())), Objects())
    resolved = registries.resolve("shop", f"models:/{NAME}@champion", Access(env=env))
    yield "an alias followed", _expected(resolved, f"models:/{NAME}/1")
    for uri in (f"models:/{NAME}@champion", f"models:/{NAME}/2"):
        yield f"{uri} fetched", _fetched(uri, address, folder / uri.replace("/", "-"))
    gate = GateSpec.parse({"name": "approved", "at": "Start", "registry": {}})
    for version, expected in (("1", True), ("2", False)):
        question = Question("q", gate, b"{}", model=Model(f"models:/{NAME}/{version}", None, None, env))
        answer = RegistryGates(registries).ask("shop", "id", question, 9)
        allowed = None if isinstance(answer, float) else answer.allowed
        yield f"a gate asks about version {version}", _expected(allowed, expected)
    registry, model = registries.mlflow("shop", Access(env=env)), RegisteredModel(NAME, version="1")
    registry.set_tag(model, "tidegate.outcome", "Promoted")
    tags = {"approved": "true", "tidegate.outcome": "Promoted"}
    yield "an outcome told", _expected(registry.tags(model), ("1", tags))
    try:
        registry.set_tag(RegisteredModel(NAME, version="9"), "tidegate.outcome", "Promoted")
    except CallFailed as error:
        said = str(error)
        yield "one of no version", _expected(said, f"the registry has no version 9 of a model {NAME}")


def _fetched(uri: str, address: str, folder: Path) -> str:
    folder.mkdir()
    command = [sys.executable, "-m", "tidegate_server", "fetch", "--uri", uri, "--model", str(folder / "model.onnx")]
    environ = {**os.environ, "MLFLOW_TRACKING_URI": address}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    suffixes = sorted(path.suffix for path in folder.iterdir() if not path.name.startswith("."))
    return _expected((done.returncode, suffixes), (0, [".data", ".onnx"]))


def _expected(found: object, expected: object) -> str:
    return "as expected" if found == expected else f"{found}, not {expected}"


if __name__ == "__main__":
    sys.exit(main())
