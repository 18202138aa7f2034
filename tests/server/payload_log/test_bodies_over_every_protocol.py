"""A real server with a sink: bodies of every protocol arrive there, and nobody's key does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest

from tests.server.conftest import Server, until
from tidegate_server.access.api_keys import new_key
from tidegate_server.rpc import open_inference_pb2 as pb

KEY = new_key("shop")
INFER = "/v2/models/digits/infer"
BODY = {"inputs": [{"name": "pixels", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 0, 0]}]}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it gets."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.taken.append((headers, self.rfile.read(int(headers["content-length"]))))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads, server.taken = True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def infer_over_grpc(server: Server, *metadata: tuple[str, str]) -> bytes:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="pixels", datatype="FP32", shape=[1, 4], contents=pb.InferTensorContents(fp32_contents=[0, 1, 0, 0])
    )
    request = pb.ModelInferRequest(model_name="digits", inputs=[tensor]).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        ask: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        ask(request, timeout=10, metadata=metadata)
    return bytes(request)


def test_bodies_arrive_in_pairs_and_no_key_does(start: Any, linear: Path, receiver: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY.line)
    sink = f"http://127.0.0.1:{receiver.server_port}/"
    server: Server = start(linear, TIDEGATE_LOG_SINK=sink, TIDEGATE_API_KEYS_FILE=str(keys))
    headers = {"X_API_Key": KEY.key, "traceparent": TRACE, "ce_id": "mine", "content_type": "application/json"}
    answer = server.ask("POST", INFER, BODY, **headers)
    assert server.ask("POST", INFER, BODY).status == 401
    message = infer_over_grpc(server, ("x-api-key", KEY.key), ("ce-id", "other"))
    until(lambda: len(receiver.taken) == 4, 10, lambda: server.log)
    told = [
        (each["ce-type"].rpartition(".")[2], each["ce-id"], each.get("ce-traceid"), each["content-type"])
        for each, _ in receiver.taken
    ]
    trace_id = TRACE.split("-")[1]
    assert told == [
        ("request", "mine", trace_id, "application/json"),
        ("response", "mine", trace_id, "application/json"),
        ("request", "other", None, "application/protobuf; messageType=inference.ModelInferRequest"),
        ("response", "other", None, "application/protobuf; messageType=inference.ModelInferResponse"),
    ]
    bodies = [body for _, body in receiver.taken]
    assert (bodies[1], bodies[2]) == (answer.body, message)
    assert pb.ModelInferResponse.FromString(bodies[3]).model_name == "digits"
    assert KEY.key not in str(receiver.taken)
    assert 'tidegate_server_bodies_logged_total{model_deployment="shop/digits",revision=' in server.metrics()


def test_a_sink_that_never_answers_changes_no_answer(start: Any, linear: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=8)) as silent:
        sink = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        server: Server = start(linear, TIDEGATE_LOG_SINK=sink)
        with closing(server.connect()) as connection:
            began = monotonic()
            for _ in range(600):
                connection.request("POST", "/predict", b'{"inputs": [[0, 5, 1, 0]]}')
                assert connection.getresponse().read().startswith(b'{"model":"digits"')
            assert monotonic() - began < 20
        assert "tidegate_server_bodies_not_logged_total{" in server.metrics()
        server.terminate()
        assert server.exit_code() == 0
