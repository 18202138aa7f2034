"""The gRPC server on a free loopback port, in front of a model of a test's own making."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from threading import Event
from typing import Any, cast

import grpc
import pytest

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.principal import ANONYMOUS, Principal
from tidegate_server.errors import NotAllowed
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.inference.caller import Caller
from tidegate_server.inference.failure_log import FailureLog
from tidegate_server.inference.service import Inference
from tidegate_server.metrics import ServerMetrics
from tidegate_server.predict.predictor import PlainPredictor
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.server import GrpcServer

SERVICE = "/inference.GRPCInferenceService/"
MAX_MESSAGE_BYTES = 2**16
PROPERTIES = {"sha256": "c0ffee"}
SIGNATURE = Signature((TensorSpec("x", "FP32", ("N",)),), (TensorSpec("y", "FP32", ("N",)),))
LIMITS = Limits()


class CountingMetrics:
    """What ServerMetrics is asked to count, kept as it was said."""

    def __init__(self) -> None:
        self.arrived = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.traffic: Counter[str] = Counter()
        self.ran: Counter[str | None] = Counter()

    def request_started(self) -> None:
        self.arrived += 1

    def request_finished(
        self, protocol: str, code: int, seconds: float, encode_seconds: float = 0.0, traffic: str = ""
    ) -> None:
        assert seconds >= encode_seconds >= 0
        assert bool(encode_seconds) == (code in (200, 499))
        self.answers[protocol, code] += 1
        self.traffic[traffic] += 1

    def request_failed(self, reason: str) -> None:
        self.reasons[reason] += 1

    def statistics(self) -> dict[str, Any]:
        return {"model_stats": [{"name": "doubler", "version": "r1", "inference_count": self.arrived}]}


def doubled(request: InferRequest) -> Outputs:
    return {"y": request.arrays["x"] * 2}


class Doubler(Inference):
    """x FP32 [N] -> y FP32 [N], which is twice x, unless a test says what else happens."""

    metrics: CountingMetrics  # type: ignore[assignment]
    outputs: Callable[[InferRequest], Outputs]
    up: Event

    def __init__(self, outputs: Callable[[InferRequest], Outputs] = doubled) -> None:
        up = Event()
        up.set()
        nothing: Any = None
        super().__init__(
            signature=SIGNATURE,
            name="doubler",
            revision="r1",
            metrics=cast(ServerMetrics, CountingMetrics()),
            limits=LIMITS,
            predictor=PlainPredictor(),
            labels=(),
            ready=up.is_set,
            engine=nothing,
            loop=nothing,
            failures=FailureLog(),
        )
        vars(self).update(outputs=outputs, up=up)

    def run(self, request: InferRequest, caller: Caller | None = None, traffic: str | None = None) -> Outputs:
        self.metrics.ran[traffic] += 1
        return self.outputs(request)

    def drain(self) -> None:
        self.up.clear()


class OneKey(Authenticator):
    """Lets in whoever has the key, if there is one."""

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self.key, self.is_open = key, key is None

    def check(self, headers: Mapping[str, str]) -> Principal:
        if self.key is not None and "x-api-key" not in headers:
            raise NotAllowed("send a key")
        if self.key is not None and headers["x-api-key"] != self.key:
            raise NotAllowed("the key isn't good for this model", status=403)
        return ANONYMOUS


class Client:
    """Calls by bytes and by message; a reply of another status is a grpc.RpcError."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel: Any = channel

    def infer(self, *values: float, timeout: float | None = 10, **metadata: str) -> list[float]:
        answer = self.call("ModelInfer", infer_request(*values), pb.ModelInferResponse, timeout, **metadata)
        return list(answer.outputs[0].contents.fp32_contents)

    def call(self, method: str, message: Any, kind: Any, timeout: float | None = 10, **metadata: str) -> Any:
        path = method if method.startswith("/") else SERVICE + method
        body = message if isinstance(message, bytes) else message.SerializeToString()
        with_dashes = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return kind.FromString(self.channel.unary_unary(path)(body, timeout=timeout, metadata=with_dashes))

    def refusal(self, *values: float, **metadata: str) -> tuple[grpc.StatusCode, str]:
        return self.refusal_of("ModelInfer", infer_request(*values), **metadata)

    def refusal_of(self, method: str, message: Any, **metadata: str) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as refused:
            self.call(method, message, pb.ModelInferResponse, 10, **metadata)
        return refused.value.code(), refused.value.details() or ""


def infer_request(*values: float, **changes: Any) -> pb.ModelInferRequest:
    given = pb.ModelInferRequest.InferInputTensor(
        name="x", datatype="FP32", shape=[len(values)], contents=pb.InferTensorContents(fp32_contents=values)
    )
    return pb.ModelInferRequest(**{"model_name": "doubler", "inputs": [given], **changes})


Open = Callable[..., tuple[Client, GrpcServer]]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens servers that stop with the test."""
    with ExitStack() as stack:

        def begin(
            model: Doubler,
            key: str | OneKey | None = None,
            threads: int = 4,
            body_seconds: float = 10,
            held: HeldBytes | None = None,
        ) -> tuple[Client, GrpcServer]:
            server = GrpcServer(
                model,
                key if isinstance(key, OneKey) else OneKey(key),
                "127.0.0.1",
                0,
                max_message_bytes=MAX_MESSAGE_BYTES,
                held=held or HeldBytes(2**30),
                threads=threads,
                body_seconds=body_seconds,
                properties=PROPERTIES,
            )
            port = server.start()
            stack.callback(server.stop, 0)
            return Client(stack.enter_context(connected(port))), server

        yield begin


def connected(port: int) -> grpc.Channel:
    # With connections of its own: channels to one address share them otherwise.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
