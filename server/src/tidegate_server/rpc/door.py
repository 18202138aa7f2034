"""The gRPC server: threads, limits of connections, and a stop that loses nobody.

A bounded pool of threads answers: measured with a tiny model, it takes 5,300 calls a second where the library's event
loop takes 3,100. Every call under way holds a thread, and so does an open stream; threads that wait cost little.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from types import MappingProxyType
from typing import Any

# The library would write a line for every malformed frame that a client sends; what matters is told by the calls.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from tidegate_server.errors import BadSetting
from tidegate_server.rpc.answering import Answering
from tidegate_server.rpc.bodies import Bodies
from tidegate_server.rpc.calls import Calls
from tidegate_server.rpc.gate import Gate
from tidegate_server.rpc.served import Guard, Served
from tidegate_server.rpc.streams import Streams
from tidegate_server.rpc.witness import CallWitness

READING_THREADS = 128
"""For calls that are being read or refused, and for health and metadata, while all others wait for the model."""
ROUND_TRIP_SECONDS = 0.05
"""Long enough for a call that is on its way to arrive, and for a word to leave."""
MINUTE_MS = 60_000


class GrpcDoor:
    """`threads`: inference requests that may wait for the model at once; a quarter as many streams may be open besides.

    `body_seconds`: how long a client may take to send a message. `properties` of the model go out with its metadata.
    """

    def __init__(
        self,
        inference: Served,
        guard: Guard,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        threads: int,
        body_seconds: float = 30.0,
        properties: Mapping[str, str] = MappingProxyType({}),
        witness: CallWitness | None = None,
    ) -> None:
        most_streams = max(1, threads // 4)
        most_calls = threads + most_streams + READING_THREADS
        self.port = port
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._bodies = Bodies()
        self._streams = Streams(most_streams, self._bodies)
        calls = Calls(inference, threads, properties)
        self._answering = Answering(calls, inference, self._bodies, self._streams, body_seconds, witness)
        self._pool = ThreadPoolExecutor(most_calls, thread_name_prefix="grpc")
        self._server = grpc.server(
            self._pool,
            handlers=self._answering.handlers(),
            interceptors=[Gate(guard, inference.metrics)],
            options=_options(max_message_bytes),
            maximum_concurrent_rpcs=most_calls,
        )

    def start(self) -> int:
        """Listens, and returns the port. Raises BadSetting when the address can't be had."""
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise BadSetting(
                f"TIDEGATE_GRPC_PORT: can't listen on {self._address}; is it free and an address of this machine?"
            ) from None
        self._bodies.start()
        self._server.start()
        self.port = port
        return port

    def begin_drain(self) -> None:
        """Health says NOT_SERVING from now on; everything is still answered."""
        self._answering.begin_drain()

    def stop(self, grace_seconds: float) -> None:
        """Tells clients to go elsewhere, takes no new calls, and waits for those that are under way.

        The library drops a call that arrives after this began, on a connection whose client doesn't know it yet. So
        answers are held back for a moment, and reach their clients after the word that the connection ends: a client
        that asks one thing after the other loses nothing.
        """
        self._answering.begin_drain()
        ended = self._stop_with_answers_held(grace_seconds) if grace_seconds else self._server.stop(None)
        self._streams.end()
        ended.wait()
        self._bodies.end()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _stop_with_answers_held(self, grace_seconds: float) -> Event:
        self._answering.hold_answers()
        sleep(ROUND_TRIP_SECONDS)
        ended = self._server.stop(grace_seconds)
        sleep(ROUND_TRIP_SECONDS)
        self._answering.let_answers_go()
        return ended


def _options(max_message_bytes: int) -> list[tuple[str, Any]]:
    return [
        # Of a message as it arrives and again once it is decompressed.
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.absolute_max_metadata_size", 32 * 1024),
        ("grpc.max_concurrent_streams", 128),
        ("grpc.max_allowed_incoming_connections", 1024),
        ("grpc.server_handshake_timeout_ms", 10_000),
        # Clients come back at once, and find pods that weren't there before.
        ("grpc.max_connection_age_ms", 5 * MINUTE_MS),
        ("grpc.max_connection_age_grace_ms", 5 * MINUTE_MS),
        ("grpc.max_connection_idle_ms", 10 * MINUTE_MS),
        # A client that vanished without a word is noticed within a minute and a half.
        ("grpc.keepalive_time_ms", MINUTE_MS),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Two servers on one port would share its connections at random.
        ("grpc.so_reuseport", 0),
    ]
