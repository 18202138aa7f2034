"""Clients that go away, against a real server: nothing is computed for them."""

import gzip
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

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


@pytest.mark.parametrize("compress", [pytest.param(bytes, id="small"), pytest.param(gzip.compress, id="in a thread")])
def test_a_client_that_closes_its_connection_frees_its_run(
    start: Start, slow: Path, compress: Callable[[bytes], bytes]
) -> None:
    server = start(slow, TIDEGATE_CPUS="1")
    tensor = {"name": "times", "shape": [], "datatype": "INT64", "data": [LONG]}
    body = compress(json.dumps({"inputs": [tensor]}).encode())
    encoding = "" if compress is bytes else "Content-Encoding: gzip\r\n"
    head = f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: a\r\n{encoding}Content-Length: {len(body)}\r\n\r\n"
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for client in clients:
        client.sendall(head.encode() + body)
    until(lambda: number(server, "tidegate_server_requests_in_flight") == 5, 5, server.metrics)
    for client in clients:
        client.close()
    until(lambda: number(server, 'tidegate_server_failures_total reason="cancelled"') == 5, 5, server.metrics)
    assert number(server, 'tidegate_server_requests_total code="499"') == 5
    answer = server.ask("POST", "/v2/models/digits/infer", {"inputs": [{**tensor, "data": [1]}]})
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [1.0])
