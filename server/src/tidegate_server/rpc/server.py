"""The gRPC server: threads, limits of connections, and a stop that loses no call.

A bounded pool of threads answers: measured with a tiny model, it takes 5,300 calls a second where the library's event
loop takes 3,100. Every call under way holds a thread, and so does an open stream; threads that wait cost little.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from types import MappingProxyType
from typing import Any, cast

# The library would write a line for every malformed frame that a client sends; what matters, the calls record.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.certificates import Certificate, Certificates
from tidegate_server.errors import BadSetting
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.inference.service import Inference
from tidegate_server.rpc.auth_interceptor import AuthInterceptor
from tidegate_server.rpc.call_log import RpcTelemetry
from tidegate_server.rpc.handlers import RpcHandlers
from tidegate_server.rpc.receive_timeouts import ReceiveTimeouts
from tidegate_server.rpc.servicer import Servicer
from tidegate_server.rpc.stream_limiter import StreamLimiter
from tidegate_server.unix_socket import UnixSocket

EXTRA_THREADS = 128
"""For calls that are being read or refused, and for health and metadata, while all others wait for the model."""
ROUND_TRIP_SECONDS = 0.05
"""Long enough for a call that is on its way to arrive, and for a GOAWAY to leave."""
MINUTE_MS = 60_000


class GrpcServer:
    """Serves one model."""

    def __init__(
        self,
        inference: Inference,
        authenticator: Authenticator,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        held: HeldBytes,
        threads: int,
        connections: int = 1024,
        body_seconds: float = 30.0,
        properties: Mapping[str, str] = MappingProxyType({}),
        telemetry: RpcTelemetry | None = None,
        certificates: Certificates | None = None,
        unix_socket: UnixSocket | None = None,
    ) -> None:
        """`threads`: how many inference requests may wait; a quarter as many streams may be open besides.

        But no more messages and streams than fit into what `held` allows, were each message as large as it may be.
        `body_seconds`: how long a client may take to send a message. `properties` go out with the model's metadata.
        With `certificates` the port speaks TLS; the `unix_socket`, which is there besides, doesn't.
        """
        most_messages = max(2, held.limit // max_message_bytes)
        max_streams = max(1, min(threads // 4, most_messages))
        max_calls = threads + max_streams + EXTRA_THREADS
        self.port = port
        self._certificates, self._unix_socket = certificates, unix_socket
        self._file: tuple[int, int] | None = None
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._timeouts = ReceiveTimeouts(most_messages)
        self._stream_limiter = StreamLimiter(max_streams, self._timeouts)
        servicer = Servicer(inference, threads, properties)
        self._handlers = RpcHandlers(
            servicer, inference, authenticator, self._timeouts, self._stream_limiter, held, body_seconds, telemetry
        )
        self._pool = ThreadPoolExecutor(max_calls, thread_name_prefix="grpc")
        self._server = grpc.server(
            self._pool,
            handlers=self._handlers.handlers(),
            interceptors=[AuthInterceptor(authenticator, inference.metrics, inference.unmarked)],
            options=_options(max_message_bytes, connections),
            maximum_concurrent_rpcs=max_calls,
        )

    def start(self) -> int:
        """Listens, and returns the port. Raises BadSetting when the address can't be had."""
        try:
            port = self._add_port()
        except RuntimeError:
            raise BadSetting(
                f"TIDEGATE_GRPC_PORT: can't listen on {self._address}; is it free and an address of this machine?"
            ) from None
        self._add_unix_socket()
        self._timeouts.start()
        self._server.start()
        self.port = port
        return port

    def _add_port(self) -> int:
        certificates = self._certificates
        if certificates is None:
            return int(self._server.add_insecure_port(self._address))
        return int(self._server.add_secure_port(self._address, _credentials(certificates)))

    def _add_unix_socket(self) -> None:
        unix_socket = self._unix_socket
        if unix_socket is None:
            return
        unix_socket.make_room()
        try:
            self._server.add_insecure_port(f"unix:{unix_socket.path}")
            unix_socket.path.chmod(unix_socket.mode)
        except (RuntimeError, OSError):
            where = f"{unix_socket.variable}: {unix_socket.path}"
            raise BadSetting(f"{where} can't be made; is its folder one that the server may write to?") from None
        self._file = unix_socket.identity()

    def begin_drain(self) -> None:
        """Health says NOT_SERVING from now on; every call is still served."""
        self._handlers.begin_drain()

    def stop(self, grace_seconds: float) -> None:
        """Sends GOAWAY, takes no new calls, and waits up to `grace_seconds` for those that are under way.

        The library drops a call that arrives after this began, on a connection whose client doesn't know it yet. So
        responses are held back for a moment, and reach their clients after GOAWAY: a client that sends one request
        after the other loses nothing.
        """
        self._handlers.begin_drain()
        if self._unix_socket is not None:
            self._unix_socket.remove(self._file)
        ended = self._stop_with_responses_held(grace_seconds) if grace_seconds else self._server.stop(None)
        self._stream_limiter.stop()
        ended.wait()
        self._timeouts.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _stop_with_responses_held(self, grace_seconds: float) -> Event:
        self._handlers.hold_responses()
        sleep(ROUND_TRIP_SECONDS)
        ended = self._server.stop(grace_seconds)
        sleep(ROUND_TRIP_SECONDS)
        self._handlers.release_responses()
        return ended


def _credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Each handshake asks for the certificate of its time."""
    first = shown = certificates.current

    def newest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = certificates.current
        if current is shown:
            return None
        shown = current
        return _configuration(current)

    # None leaves the one before in use, which the types don't say.
    return grpc.dynamic_ssl_server_credentials(_configuration(first), cast(Any, newest))


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.chain)])


def _options(max_message_bytes: int, connections: int) -> list[tuple[str, Any]]:
    return [
        # Of a message as it arrives and again once it is decompressed.
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.absolute_max_metadata_size", 32 * 1024),
        ("grpc.max_concurrent_streams", 128),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", 10_000),
        # Clients come back at once, and find pods that weren't there before.
        ("grpc.max_connection_age_ms", 5 * MINUTE_MS),
        ("grpc.max_connection_age_grace_ms", 5 * MINUTE_MS),
        ("grpc.max_connection_idle_ms", 10 * MINUTE_MS),
        # A client that vanished without closing its connection is noticed within a minute and a half.
        ("grpc.keepalive_time_ms", MINUTE_MS),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Two servers on one port would share its connections at random.
        ("grpc.so_reuseport", 0),
    ]
