"""The gRPC side of the agent: one stream of incremental xDS over a Unix socket, turned into calls and a queue.

Nothing is decided here. An Envoy that connects again replaces the stream that it had.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import grpc

from tidegate.router import xds_pb2 as pb

METHOD = "DeltaAggregatedResources"
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
MAX_STREAMS = 4
"""One Envoy has one; one that has just died may leave another for a moment."""
OPTIONS = (
    # Envoy asks every 30 s whether the agent lives. By default the third of these in a row that no response came
    # between is taken for an attack, and ends the connection: every two minutes, where nothing changes.
    ("grpc.http2.max_ping_strikes", 0),
    # Envoy names all that it has when it connects, which takes more than the default 4 MiB with many thousand models.
    ("grpc.max_receive_message_length", -1),
)


class Stream:
    """One connection of Envoy's. `send` returns at once."""

    def __init__(self) -> None:
        self._responses: SimpleQueue[pb.DeltaDiscoveryResponse | None] = SimpleQueue()
        self.is_closed = False

    def send(self, response: pb.DeltaDiscoveryResponse) -> None:
        """Goes out after what was sent before."""
        self._responses.put(response)

    def close(self) -> None:
        """Ends the stream after what was sent before."""
        self.is_closed = True
        self._responses.put(None)

    def responses(self) -> Iterator[pb.DeltaDiscoveryResponse]:
        """What was sent, until it is closed."""
        return iter(self._responses.get, None)


Requests = Callable[[Stream, pb.DeltaDiscoveryRequest | None], None]
"""Is told each request of a stream in order, and None when it is over. From a thread of the stream's own."""


class AdsServer:
    """Listens until stopped. A socket that an agent left behind is replaced."""

    def __init__(self, socket: Path, heard: Requests) -> None:
        self._socket, self._heard = socket, heard
        self._server = grpc.server(ThreadPoolExecutor(MAX_STREAMS, thread_name_prefix="ads"), options=OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=pb.DeltaDiscoveryRequest.FromString,
            response_serializer=pb.DeltaDiscoveryResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))

    def start(self) -> None:
        """Raises OSError or RuntimeError when it can't listen there."""
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        self._server.add_insecure_port(f"unix:{self._socket}")
        self._server.start()

    def stop(self) -> None:
        """Ends all streams."""
        self._server.stop(None)

    def _serve(
        self, requests: Iterator[pb.DeltaDiscoveryRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.DeltaDiscoveryResponse]:
        stream = Stream()
        Thread(target=self._listen, args=(stream, requests), name="ads-requests", daemon=True).start()
        return stream.responses()

    def _listen(self, stream: Stream, requests: Iterator[pb.DeltaDiscoveryRequest]) -> None:
        # A stream that breaks is one that is over: Envoy connects again.
        with contextlib.suppress(grpc.RpcError):
            for request in requests:
                self._heard(stream, request)
        self._heard(stream, None)
        stream.close()
