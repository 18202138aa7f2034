"""Calls by gRPC through a Gateway: single ones, each client over one kept connection."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc

from tidegate_server.rpc import open_inference_pb2 as pb

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CLIENTS = 4
PAUSE_SECONDS = 0.04
"""Of each client between two calls: some 100 a second in all, as long as answers are quick."""
LONGEST_SECONDS = 10.0


def call(image: Sequence[float]) -> bytes:
    """One held-out image for the digits model."""
    pixels = pb.ModelInferRequest.InferInputTensor(
        name="pixels", datatype="FP32", shape=[1, len(image)], contents=pb.InferTensorContents(fp32_contents=image)
    )
    return bytes(pb.ModelInferRequest(model_name="digits", inputs=[pixels]).SerializeToString())


class Calls:
    """`answered` counts by revision, `failed` by the name of the status: INTERNAL is the model's own."""

    def __init__(self, port: int, authority: str, images: Sequence[Sequence[float]]) -> None:
        self._port, self._authority = port, authority
        self._bodies = [call(image) for image in images]
        self._over, self._lock = threading.Event(), threading.Lock()
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While inside."""
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._over.set()
            for client in clients:
                client.join()

    def answers(self, *, seconds: float = 30.0) -> None:
        """Waits until the Gateway hands calls on, and forgets the calls that asked whether it does."""
        deadline = time.monotonic() + seconds
        with self._channel() as channel:
            infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            while not self.answered:
                assert time.monotonic() < deadline, f"no call was answered: {self.failed}"
                self._count(infer, self._bodies[0])
                time.sleep(PAUSE_SECONDS)
        self.answered.clear()
        self.failed.clear()

    def _client(self, number: int) -> None:
        with self._channel() as channel:
            infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            while not self._over.wait(PAUSE_SECONDS):
                number += 1
                self._count(infer, self._bodies[number % len(self._bodies)])

    def _count(self, infer: grpc.UnaryUnaryMultiCallable[bytes, bytes], body: bytes) -> None:
        try:
            revision = pb.ModelInferResponse.FromString(infer(body, timeout=LONGEST_SECONDS)).model_version
        except grpc.RpcError as error:
            with self._lock:
                self.failed[error.code().name] += 1
        else:
            with self._lock:
                self.answered[revision] += 1

    def _channel(self) -> grpc.Channel:
        options = [("grpc.default_authority", self._authority), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(f"127.0.0.1:{self._port}", options=options)
