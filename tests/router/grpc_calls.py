"""Model servers that speak gRPC, and clients that call them over kept connections."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.router.conftest import Load
from tidegate.router.objects import Endpoint

SERVICE = "inference.GRPCInferenceService"
FAIL, DEADLINE, WRONG = b"fail", b"deadline", b"wrong"
_STATUS = {
    FAIL: grpc.StatusCode.INTERNAL,
    DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    WRONG: grpc.StatusCode.INVALID_ARGUMENT,
}


class CallServer:
    """Answers every call with its revision, or with the status that the request asks for."""

    def __init__(self, revision: str, address: str, slow_seconds: float = 0.0) -> None:
        self.revision = revision
        self._slow_seconds = slow_seconds
        self._server = grpc.server(ThreadPoolExecutor(32))
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        port = self._server.add_insecure_port(f"{address}:0")
        self._server.start()
        self.endpoint = Endpoint(address, 1, port)

    def _infer(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        threading.Event().wait(self._slow_seconds)
        if body in _STATUS:
            context.abort(_STATUS[body], "as it was asked for")
        return self.revision.encode()

    def _stream(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for body in bodies:
            if body in _STATUS:
                context.abort(_STATUS[body], "as it was asked for")
            yield self.revision.encode()

    def close(self, grace_seconds: float | None = None) -> None:
        """Sends GOAWAY, and ends when all calls have, or after the grace."""
        self._server.stop(grace_seconds).wait()


class CallClient:
    """One channel, which is one connection."""

    def __init__(self, port: int, authority: str = "sentiment.shop") -> None:
        options = [("grpc.default_authority", authority), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(f"/{SERVICE}/ModelInfer")
        self._stream: grpc.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer"
        )

    def ask(self, body: bytes = b"", **metadata: str) -> str:
        """The revision that answered, or the name of the status. Underscores in keys stand for hyphens."""
        named = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        try:
            return bytes(self._infer(body, timeout=10, metadata=named)).decode()
        except grpc.RpcError as error:
            return str(error.code().name)

    def stream(self, bodies: Iterable[bytes]) -> list[str]:
        """The revision of each answer, and the name of the status where it isn't OK."""
        answers: list[str] = []
        try:
            answers.extend(bytes(answer).decode() for answer in self._stream(iter(bodies), timeout=20))
        except grpc.RpcError as error:
            answers.append(error.code().name)
        return answers

    def close(self) -> None:
        """Ends the connection."""
        self.channel.close()


class Calls(Load):
    """Clients that call one model over kept connections until `stop`; what each got is in `outcomes`."""

    def _ask(self, pause_seconds: float) -> None:
        client = CallClient(self.port)
        while not self._stop.is_set():
            self.outcomes[client.ask()] += 1
            self._stop.wait(pause_seconds)
        client.close()
