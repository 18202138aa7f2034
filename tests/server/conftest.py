"""A real server process on a free loopback port, and small ONNX models to put into it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.programs import free_ports

REVISION = "digits-6f9c1d2e"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One serving process."""

    def __init__(self, model: Path, log: Path, wrapper: Sequence[str] = (), **environment: str) -> None:
        self.port, self.grpc_port, self.admin_port = free_ports(3)
        self._log = log
        settings = {
            "TIDEGATE_MODEL_NAME": "digits",
            "TIDEGATE_MODEL_DEPLOYMENT": "shop/digits",
            "TIDEGATE_REVISION": REVISION,
            "TIDEGATE_DRAIN_SECONDS": "0",
            "TIDEGATE_PROCESSES": "1",
            "TIDEGATE_GRPC_PORT": str(self.grpc_port),
            "TIDEGATE_ADMIN_PORT": str(self.admin_port),
            **environment,
        }
        command = [sys.executable, "-m", "tidegate_server", "serve", "--model", str(model), "--host", "127.0.0.1"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*wrapper, *command, "--port", str(self.port)], env={**os.environ, **settings}, stderr=file
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """One request on a connection of its own; anything but bytes is sent as JSON."""
        with closing(self.connect()) as connection:
            return send_request(connection, method, path, body, **headers)

    def ask_admin(self, method: str, path: str) -> Response:
        """At the port for metrics and health."""
        with closing(HTTPConnection("127.0.0.1", self.admin_port, timeout=20)) as connection:
            return send_request(connection, method, path)

    def metrics(self) -> str:
        return self.ask_admin("GET", "/metrics").body.decode()

    def wait_until_ready(self) -> None:
        until(self._is_ready, START_SECONDS, lambda: f"the server isn't ready: {self.log}")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return self.ask("GET", "/v2/health/ready").status == 200
        except OSError:
            return False

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, seconds: float = 20) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def send_request(connection: HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Response:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, names, response.read())


def until(true: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline, otherwise()
        sleep(0.02)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    graph = helper.make_graph(
        nodes, path.stem, inputs, outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def tensor(name: str, kind: int, shape: Sequence[int | str | None] | None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def linear(folder: Path) -> Path:
    """pixels FP32 [N, 4] -> label INT64 [N], scores FP32 [N, 3]; the label is the position of the largest pixel."""
    return save(
        folder / "linear.onnx",
        [
            helper.make_node("MatMul", ["pixels", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("pixels", TensorProto.FLOAT, ["N", 4])],
        [tensor("label", TensorProto.INT64, ["N"]), tensor("scores", TensorProto.FLOAT, ["N", 3])],
        {"weights": np.eye(4, 3, dtype=np.float32)},
    )


@pytest.fixture(scope="session")
def lookup(folder: Path) -> Path:
    """index INT64 [N] -> value FP32 [N], from a table of three; any other index fails in the graph."""
    return save(
        folder / "lookup.onnx",
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        [tensor("index", TensorProto.INT64, ["N"])],
        [tensor("value", TensorProto.FLOAT, ["N"])],
        {"table": np.array([10, 20, 30], np.float32)},
    )


@pytest.fixture(scope="session")
def pair(folder: Path) -> Path:
    """left and right FP32 [N] -> ratio FP32 [N]; words BYTES [M] -> same BYTES [M]."""
    return save(
        folder / "pair.onnx",
        [
            helper.make_node("Div", ["left", "right"], ["ratio"]),
            helper.make_node("Identity", ["words"], ["same"]),
        ],
        [
            tensor("left", TensorProto.FLOAT, ["N"]),
            tensor("right", TensorProto.FLOAT, ["N"]),
            tensor("words", TensorProto.STRING, ["M"]),
        ],
        [tensor("ratio", TensorProto.FLOAT, ["N"]), tensor("same", TensorProto.STRING, ["M"])],
        {},
    )


@pytest.fixture(scope="session")
def slow(folder: Path) -> Path:
    """times INT64 [] -> total FP32 [1]; a loop in the graph, about a tenth of a second per 100 000 times."""
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["before", "one"], ["after"])],
        "step",
        [
            tensor("turn", TensorProto.INT64, []),
            tensor("go", TensorProto.BOOL, []),
            tensor("before", TensorProto.FLOAT, [1]),
        ],
        [tensor("on", TensorProto.BOOL, []), tensor("after", TensorProto.FLOAT, [1])],
    )
    return save(
        folder / "slow.onnx",
        [helper.make_node("Loop", ["times", "", "zero"], ["total"], body=step)],
        [tensor("times", TensorProto.INT64, [])],
        [tensor("total", TensorProto.FLOAT, [1])],
        {"one": np.ones(1, np.float32), "zero": np.zeros(1, np.float32)},
    )


@pytest.fixture(scope="session")
def external(folder: Path) -> Path:
    """A graph that keeps its weights in a file beside it."""
    inside = save(
        folder / "inside.onnx",
        [helper.make_node("Add", ["pixels", "weights"], ["sum"])],
        [tensor("pixels", TensorProto.FLOAT, [400])],
        [tensor("sum", TensorProto.FLOAT, [400])],
        {"weights": np.ones(400, np.float32)},
    )
    path = folder / "external.onnx"
    onnx.save(onnx.load(inside), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


Start = Callable[..., Server]


@pytest.fixture(scope="session")
def shared_start(folder: Path) -> Iterator[Start]:
    """Starts servers that live as long as the session."""
    yield from _starter(folder)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers that end with the test."""
    yield from _starter(tmp_path)


def _starter(logs: Path) -> Iterator[Start]:
    started: list[Server] = []

    def begin(model: Path, **environment: str) -> Server:
        server = Server(model, logs / f"server-{len(started)}.log", **environment)
        started.append(server)
        server.wait_until_ready()
        return server

    yield begin
    for server in started:
        server.end()


@pytest.fixture(scope="session")
def server(shared_start: Start, linear: Path) -> Server:
    """One server with the linear model, for tests that leave nothing behind in it but counts."""
    return shared_start(linear, TIDEGATE_MAX_BODY_BYTES="65536", TIDEGATE_BODY_TIMEOUT_SECONDS="1")
