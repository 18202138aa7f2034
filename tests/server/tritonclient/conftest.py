"""A server process with a model of all datatypes, and the well-known clients in front of each of its transports."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import TensorProto, helper

from tests.server.conftest import REVISION, Server, Start, save, tensor

Array = np.ndarray[Any, Any]

KINDS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
VALUES: dict[str, Array] = {
    "BOOL": np.array([[True, False], [False, True]]),
    **{
        kind.upper(): np.array([[np.iinfo(kind).min, np.iinfo(kind).max], [0, 1]], kind)
        for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{
        name: np.array([[np.finfo(kind).min, np.finfo(kind).max], [0.1, np.finfo(kind).smallest_normal]], kind)
        for name, kind in (("FP16", np.float16), ("FP32", np.float32), ("FP64", np.float64))
    },
    "BYTES": np.array([["", "grüße 🌊"], ["a\x00b", "x" * 300]], np.object_),
}


@dataclass(frozen=True)
class Transport:
    """A client's module, the server's address for it, and how it sends and takes tensors."""

    module: ModuleType
    binary: dict[str, bool]
    """Arguments that only the HTTP client knows."""

    def url(self, server: Server) -> str:
        return f"127.0.0.1:{server.grpc_port if self.module is tritonclient.grpc else server.port}"

    def input(self, name: str, datatype: str, values: Array) -> Any:
        asked = self.module.InferInput(name, list(values.shape), datatype)
        asked.set_data_from_numpy(values, **self.binary)
        return asked

    def output(self, name: str, class_count: int = 0) -> Any:
        return self.module.InferRequestedOutput(name, class_count=class_count, **self.binary)


TRANSPORTS = {
    "gRPC": Transport(tritonclient.grpc, {}),
    "HTTP binary": Transport(tritonclient.http, {"binary_data": True}),
    "HTTP JSON": Transport(tritonclient.http, {"binary_data": False}),
}


class Asking:
    """One client before one transport of the server."""

    def __init__(self, transport: Transport, client: Any) -> None:
        self.transport, self.client = transport, client

    def infer(self, values: dict[str, Array], wanted: Sequence[str] = (), **options: Any) -> Any:
        """All inputs but those given are blank; without wanted outputs the answer has all of them."""
        outputs = [self.transport.output(name) for name in wanted] or None
        return self.client.infer("digits", self.inputs(values), outputs=outputs, **options)

    def inputs(self, values: dict[str, Array]) -> list[Any]:
        return [self.transport.input(f"in_{kind}", kind, values.get(kind, blank(kind))) for kind in KINDS]


def blank(datatype: str) -> Array:
    return np.full((1, 2), "", np.object_) if datatype == "BYTES" else np.zeros((1, 2), VALUES[datatype].dtype)


def same(found: Array, sent: Array) -> bool:
    """Text comes back as bytes from raw tensors and as strings from JSON."""
    if sent.dtype == np.object_:
        return found.shape == sent.shape and texts(found) == texts(sent)
    return found.dtype == sent.dtype and np.array_equal(found, sent)


def texts(array: Array) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else one for one in array.ravel()]


@pytest.fixture(scope="session")
def datatypes(folder: Path) -> Path:
    """in_X [N_X, 2] -> out_X, the same, for each datatype X."""
    return save(
        folder / "datatypes.onnx",
        [helper.make_node("Identity", [f"in_{kind}"], [f"out_{kind}"]) for kind in KINDS],
        [tensor(f"in_{kind}", number, [f"N_{kind}", 2]) for kind, number in KINDS.items()],
        [tensor(f"out_{kind}", number, [f"N_{kind}", 2]) for kind, number in KINDS.items()],
        {},
    )


@pytest.fixture(scope="session")
def served(shared_start: Start, datatypes: Path) -> Server:
    return shared_start(datatypes)


@pytest.fixture(scope="session")
def asked_slowly(shared_start: Start, slow: Path) -> Server:
    return shared_start(slow)


ConnectTo = Callable[[Server], Asking]


@pytest.fixture(params=list(TRANSPORTS))
def connect(request: pytest.FixtureRequest) -> Iterator[ConnectTo]:
    """Clients that end with the test, for a test of each transport."""
    transport = TRANSPORTS[request.param]
    opened = []

    def to(server: Server) -> Asking:
        client = transport.module.InferenceServerClient(transport.url(server))
        opened.append(client)
        return Asking(transport, client)

    yield to
    for client in opened:
        client.close()


@pytest.fixture
def asking(connect: ConnectTo, served: Server) -> Asking:
    return connect(served)


@pytest.fixture
def http(served: Server) -> Iterator[Asking]:
    transport = TRANSPORTS["HTTP binary"]
    with tritonclient.http.InferenceServerClient(transport.url(served)) as client:
        yield Asking(transport, client)


@pytest.fixture
def rpc(served: Server) -> Iterator[Asking]:
    transport = TRANSPORTS["gRPC"]
    with tritonclient.grpc.InferenceServerClient(transport.url(served)) as client:
        yield Asking(transport, client)


__all__ = ["REVISION", "Asking", "ConnectTo", "Transport"]
