"""A real server with a certificate and socket files: HTTPS, gRPC, and both over files; probes and metrics as always."""

import http.client
import socket
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.server.certificates import pair, trusting
from tests.server.conftest import Server, send_request, until
from tidegate_server.rpc import open_inference_pb2 as pb

FIRST, SECOND = pair("first"), pair("second")
BODY = {"inputs": [[0, 5, 1, 0]]}
READY = "/inference.GRPCInferenceService/ServerReady"
RELOADED = "TIDEGATE_TLS_CERT_FILE has changed"


class Files:
    """Where a server's certificate and sockets are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cert, self.key = FIRST.write(folder)
        self.http, self.grpc = folder / "http.sock", folder / "grpc.sock"
        self.settings = {
            "TIDEGATE_TLS_CERT_FILE": str(self.cert),
            "TIDEGATE_TLS_KEY_FILE": str(self.key),
            "TIDEGATE_UNIX_SOCKET": str(self.http),
            "TIDEGATE_GRPC_UNIX_SOCKET": str(self.grpc),
            "TIDEGATE_UNIX_SOCKET_MODE": "0600",
        }


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket's file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def server(files: Files, linear: Path, tmp_path: Path) -> Any:
    server = Server(linear, tmp_path / "log", **files.settings)
    try:
        until(lambda: "serving digits" in server.log or server.process.poll() is not None, 30, lambda: server.log)
        yield server
    finally:
        server.end()


def predicted(connection: http.client.HTTPConnection) -> Any:
    with closing(connection):
        return send_request(connection, "POST", "/predict", BODY).json["outputs"]["label"]


def https(server: Server, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)


def is_ready(channel: grpc.Channel) -> bool:
    with channel:
        ask: Any = channel.unary_unary(READY)
        answer = ask(pb.ServerReadyRequest().SerializeToString(), timeout=10, wait_for_ready=False)
    return pb.ServerReadyResponse.FromString(answer).ready


def grpcs(server: Server, cert: bytes) -> grpc.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(cert)
    return grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials, options=options)


def test_every_door_answers_and_shows_the_renewed_certificate(server: Server, files: Files) -> None:
    assert f"HTTPS at 127.0.0.1:{server.port}" in server.log
    assert predicted(https(server, trusting(FIRST))) == [1]
    assert is_ready(grpcs(server, FIRST.cert))
    assert predicted(SocketConnection(files.http)) == [1]
    assert is_ready(grpc.insecure_channel(f"unix:{files.grpc}"))
    assert [path.stat().st_mode & 0o777 for path in (files.http, files.grpc)] == [0o600, 0o600]
    assert server.ask_admin("GET", "/v2/health/ready").status == 200
    assert "tidegate_server_tls_certificate_end_timestamp_seconds{" in server.metrics()
    SECOND.write(files.folder)
    until(lambda: RELOADED in server.log, 10, lambda: server.log)
    assert predicted(https(server, trusting(SECOND))) == [1]
    assert is_ready(grpcs(server, SECOND.cert))
    server.terminate()
    assert server.exit_code() == 0
    assert not files.http.exists()
    assert not files.grpc.exists()
