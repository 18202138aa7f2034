"""One model server as a process of this machine: what a pod is in a cluster."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tidegate.errors import TidegateError
from tidegate.model.reasons import Reason
from tidegate.model.revision import Labels, ModelFacts, PodFailure, Tensor
from tidegate.model.spec import Server
from tidegate.rehearsal.processes import LOOPBACK, free_ports, get, wait_or_kill
from tidegate.resources.pod import server_variables
from tidegate.router.objects import Endpoint

LAST_LINES = 5
"""Of a log that are told where a server ends without a word."""


@dataclass(frozen=True)
class ServedModel:
    """What a server is started with."""

    namespace: str
    name: str
    revision: str
    path: Path
    """The ONNX file, or a folder with one."""
    server: Server


def require_server() -> None:
    """Raises TidegateError where the model server isn't installed."""
    if find_spec("tidegate_server") is None:
        raise TidegateError("the model server isn't installed here; install it with: pip install 'tidegate[rehearse]'")


class ModelServer:
    """Started at once; `stop` ends it. `number` tells the servers of a revision apart."""

    def __init__(self, model: ServedModel, number: int, folder: Path) -> None:
        self.model, self.pod = model, f"{model.revision}-{number}"
        self._http, self._grpc, self._admin = free_ports(3)
        self._ended = folder / f"{self.pod}.ended"
        self._log = folder / f"{self.pod}.log"
        self._was_ready = False
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tidegate_server", "serve"],
                env=self._environment(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the rehearsal's to handle: servers end when nobody asks any more
            )

    def _environment(self) -> dict[str, str]:
        model = self.model
        ours = {
            "TIDEGATE_THREADS_PER_RUN": "1",  # stable, candidate and users share this machine
            **server_variables(model.namespace, model.name, model.revision, model.server),
            "TIDEGATE_MODEL_PATH": str(model.path),
            "TIDEGATE_HOST": LOOPBACK,
            "TIDEGATE_PORT": str(self._http),
            "TIDEGATE_GRPC_PORT": str(self._grpc),
            "TIDEGATE_ADMIN_PORT": str(self._admin),
            "TIDEGATE_PROCESSES": "1",
            "TIDEGATE_TERMINATION_LOG": str(self._ended),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        return {**kept, **dict(model.server.env), **ours}

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers requests."""
        return Endpoint(LOOPBACK, self._http)

    @property
    def url(self) -> str:
        """The same as an address."""
        return f"http://{LOOPBACK}:{self._http}"

    def is_ready(self) -> bool:
        """Whether it takes requests now."""
        ready = self._process.poll() is None and get(self._http, "/v2/health/ready") is not None
        self._was_ready |= ready
        return ready

    def failure(self) -> PodFailure | None:
        """Why it has ended, or None while it runs. One that ends before it was ready would do so again."""
        if self._process.poll() is None:
            return None
        told = self._told()
        return PodFailure(
            str(told.get("reason") or Reason.CANDIDATE_CRASHED),
            str(told.get("message") or f"the model server ended with code {self._process.returncode}: {self._last()}"),
            permanent=not self._was_ready,
            crashed=self._was_ready,
        )

    def facts(self, sha256: str) -> ModelFacts | None:
        """The model's signature as the server tells it; None where it doesn't answer."""
        answer = get(self._http, f"/v2/models/{self.model.name}")
        if answer is None:
            return None
        told = json.loads(answer)
        labels = Labels.of(_labels(told.get("properties", {})))
        return ModelFacts(sha256, tuple(_tensors(told["inputs"])), tuple(_tensors(told["outputs"])), labels=labels)

    def metrics(self) -> str | None:
        """Its exposition text; None where it doesn't answer."""
        return get(self._admin, "/metrics")

    def stop(self) -> None:
        """Asks it to end. `wait` sees to it that it does."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Until it has ended, which `stop` has asked for."""
        wait_or_kill(self._process)

    def _told(self) -> Mapping[str, Any]:
        try:
            told = json.loads(self._ended.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, Mapping) else {}

    def _last(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-LAST_LINES:]) or "its log is empty"


def _tensors(listed: Sequence[Mapping[str, Any]]) -> Iterator[Tensor]:
    for each in listed:
        yield Tensor(each["name"], each["datatype"], tuple(int(size) for size in each["shape"]))


def _labels(properties: Mapping[str, str]) -> Sequence[str]:
    """Those of the model's files, else the graph's own names of its outputs' columns."""
    if "labels" in properties:
        return [str(name) for name in json.loads(properties["labels"])]
    own = sorted(each for each in properties if each.startswith("classes."))
    return [str(name) for each in own for name in json.loads(properties[each])]


@contextmanager
def stopped_at_the_end(servers: list[ModelServer]) -> Iterator[None]:
    """Ends all of them, those too that come into the list meanwhile."""
    try:
        yield
    finally:
        for each in servers:
            each.stop()
        for each in servers:
            each.wait()
