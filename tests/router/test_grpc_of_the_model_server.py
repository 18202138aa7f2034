"""Calls by gRPC through a real Envoy to real model servers, while pods are replaced as Kubernetes does it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.router.conftest import LIVE_OLD, OLD
from tests.router.grpc_calls import SERVICE
from tests.server.conftest import Server, folder, linear
from tidegate.router.objects import Endpoint, Service
from tidegate_server.rpc import open_inference_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.conftest import Bench

__all__ = ["folder", "linear"]
pytestmark = pytest.mark.router


@pytest.fixture
def pods(linear: Path, tmp_path: Path) -> Iterator[list[Server]]:
    """Two pods of one revision, each the real server."""
    settings = {"TIDEGATE_MODEL_NAME": "sentiment", "TIDEGATE_REVISION": OLD, "TIDEGATE_DRAIN_SECONDS": "3"}
    servers = [Server(linear, tmp_path / f"server-{number}.log", **settings) for number in range(2)]
    try:
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.end()


def endpoint(server: Server) -> Endpoint:
    return Endpoint("127.0.0.1", server.port, server.grpc_port)


def a_call() -> bytes:
    pixels = pb.ModelInferRequest.InferInputTensor(
        name="pixels", datatype="FP32", shape=[1, 4], contents=pb.InferTensorContents(fp32_contents=[0, 5, 1, 0])
    )
    return pb.ModelInferRequest(model_name="sentiment", inputs=[pixels]).SerializeToString()


class Caller(threading.Thread):
    """Calls over one kept connection until `stop`, one call after the other, or by one stream after the other."""

    def __init__(self, port: int, outcomes: Counter[str], stop: threading.Event, *, by_streams: bool) -> None:
        super().__init__()
        options = [("grpc.default_authority", "sentiment.shop"), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._outcomes, self._stop_asking, self._by_streams = outcomes, stop, by_streams

    def run(self) -> None:
        ask = self._stream if self._by_streams else self._call
        while not self._stop_asking.is_set():
            try:
                self._outcomes[ask()] += 1
            except grpc.RpcError as error:
                self._outcomes[f"{error.code()}: {error.details()}"] += 1
            self._stop_asking.wait(0.005)
        self._channel.close()

    def _call(self) -> str:
        infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"/{SERVICE}/ModelInfer")
        return pb.ModelInferResponse.FromString(infer(a_call(), timeout=10)).model_version

    def _stream(self) -> str:
        infer: grpc.StreamStreamMultiCallable[bytes, bytes]
        infer = self._channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
        read = [pb.ModelStreamInferResponse.FromString(each) for each in infer(iter([a_call()] * 3), timeout=10)]
        assert [each.error_message for each in read] == [""] * 3
        return read[0].infer_response.model_version


def test_a_pod_that_ends_loses_no_call_and_no_stream(bench: Bench, pods: list[Server]) -> None:
    route, service = replace(bench.route((OLD, 100)), grpc=True), Service("shop", OLD)
    router = bench.router()
    router.start([route], {service: tuple(map(endpoint, pods))})
    outcomes, stop = Counter[str](), threading.Event()
    callers = [Caller(router.port, outcomes, stop, by_streams=number % 4 == 0) for number in range(8)]
    for caller in callers:
        caller.start()
    time.sleep(1)
    leaving, staying = pods
    leaving.terminate()
    time.sleep(0.3)  # until the agent has heard of it
    assert router.publish([route], {service: (endpoint(staying),)})
    assert leaving.exit_code(30) == 0
    time.sleep(0.5)
    stop.set()
    for caller in callers:
        caller.join()

    assert set(outcomes) == {OLD}
    assert outcomes[OLD] > 100
    assert router.count("envoy_cluster_grpc_0", f"{LIVE_OLD}/grpc") == outcomes[OLD]
