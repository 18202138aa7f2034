"""Clients that go away, against a real server: nothing is computed for them."""

import re
from pathlib import Path
from typing import Any

import grpc

from tests.server.conftest import Server, Start, until
from tidegate_server.rpc import open_inference_pb2 as pb

LONG = 2**40
"""Turns of the loop in the graph: hours."""


def number(server: Server, series: str) -> float:
    """Of the one series with this name and label."""
    name, _, label = series.partition(" ")
    found = re.search(rf"^{name}{{[^}}]*{label}[^}}]*}} (\S+)$", server.metrics(), re.MULTILINE)
    assert found
    return float(found[1])


def grpc_request(times: int) -> pb.ModelInferRequest:
    given = pb.ModelInferRequest.InferInputTensor(
        name="times", datatype="INT64", shape=[], contents=pb.InferTensorContents(int64_contents=[times])
    )
    return pb.ModelInferRequest(model_name="digits", inputs=[given])


def test_a_call_that_is_cancelled_frees_its_run(start: Start, slow: Path) -> None:
    server = start(slow, TIDEGATE_CPUS="1")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer: Any = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        calls = [infer.future(grpc_request(LONG)) for _ in range(3)]
        until(lambda: number(server, "tidegate_server_requests_in_flight") == 3, 5, server.metrics)
        for call in calls:
            call.cancel()
        until(lambda: number(server, 'tidegate_server_failures_total reason="cancelled"') == 3, 5, server.metrics)
        assert list(infer(grpc_request(1), timeout=5).outputs[0].contents.fp32_contents) == [1.0]
