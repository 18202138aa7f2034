"""The agent's side of Envoy's connection: one stream of incremental xDS over a Unix socket, as gRPC has it.

HTTP/2 itself is h2's; what is here are the socket and gRPC's frames. All of it happens in the thread that waits here
and that sends: a change goes out without waking up any other, which costs more than all else about it. Nothing is
decided here. An Envoy that connects again replaces the stream that it had.
"""

import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from google.protobuf.message import DecodeError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from tidegate.router import xds_pb2 as pb

logger = logging.getLogger(__name__)

METHOD = b"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
BACKLOG = 4
"""One Envoy has one connection; one that has just died may leave another for a moment."""
MOST_AT_ONCE = 65_536
"""Bytes that are read before what they say is heard."""
_FRAME = struct.Struct(">?I")
"""Whether a message is compressed, and its length."""
_ANSWER = ((":status", "200"), ("content-type", "application/grpc"))
OK, UNIMPLEMENTED = (("grpc-status", "0"),), (("grpc-status", "12"),)
BROKEN = (OSError, ProtocolError, DecodeError)


class Stream:
    """One stream of Envoy's. `send` returns at once."""

    def __init__(self, number: int, connection: "_Connection") -> None:
        self.number = number
        self.is_closed = False
        self.unsent = bytearray()
        self._connection = connection
        self._unread = bytearray()

    def send(self, response: pb.DeltaDiscoveryResponse) -> None:
        """Goes out after what was sent before, as soon as Envoy takes it."""
        if not self.is_closed:
            body = response.SerializeToString()
            self.unsent += _FRAME.pack(False, len(body))
            self.unsent += body
            self._connection.send(self)

    def close(self) -> None:
        """Ends the stream after what was sent before."""
        if not self.is_closed:
            self.is_closed = True
            self._connection.send(self)

    def received(self, data: bytes) -> Iterator[pb.DeltaDiscoveryRequest]:
        """The requests that are complete with this. Raises DecodeError."""
        self._unread += data
        while len(self._unread) >= _FRAME.size:
            is_compressed, length = _FRAME.unpack_from(self._unread)
            end = _FRAME.size + length
            if is_compressed:
                raise DecodeError("a compressed message, which nobody has offered to read")
            if len(self._unread) < end:
                return
            yield pb.DeltaDiscoveryRequest.FromString(bytes(self._unread[_FRAME.size : end]))
            del self._unread[:end]


Requests = Callable[[Stream, pb.DeltaDiscoveryRequest | None], None]
"""Is told each request of a stream in order, and None when it is over."""


class _Connection:
    """One of Envoy's connections. `wait_for` is told what of its socket is waited for."""

    def __init__(self, peer: socket.socket, heard: Requests, wait_for: Callable[[int], object]) -> None:
        self._socket, self._heard, self._wait_for = peer, heard, wait_for
        self._http = H2Connection(H2Configuration(client_side=False))
        self._streams: dict[int, Stream] = {}
        self._unsent = b""
        self._http.initiate_connection()
        self._write()

    def ready(self, events: int) -> None:
        """Goes on with what the socket is ready for. Raises any of BROKEN where that was its end."""
        if events & EVENT_WRITE:
            self._write()
        if events & EVENT_READ:
            self._read()

    def _read(self) -> None:
        data = self._socket.recv(MOST_AT_ONCE)
        if not data:
            raise ConnectionResetError
        for event in self._http.receive_data(data):
            self._take(event)
        self._write()

    def _take(self, event: Event) -> None:
        match event:
            case DataReceived():
                self._take_data(event)
            case RequestReceived(stream_id=int(number)):
                self._begin(number, dict(event.headers or ()).get(b":path"))
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in list(self._streams.values()):
                    self._frame(stream)
            case StreamEnded(stream_id=int(number)) if number in self._streams:
                self._heard(self._streams[number], None)
                self._streams[number].close()
            case StreamReset(stream_id=int(number)) if number in self._streams:
                self._break(self._streams.pop(number))
            case ConnectionTerminated():
                raise ConnectionResetError
            case _:
                pass

    def _take_data(self, event: DataReceived) -> None:
        number = event.stream_id or 0
        self._http.acknowledge_received_data(event.flow_controlled_length or 0, number)
        if stream := self._streams.get(number):
            for request in stream.received(event.data or b""):
                self._heard(stream, request)

    def _begin(self, number: int, path: bytes | None) -> None:
        if path != METHOD:
            self._http.send_headers(number, [*_ANSWER, *UNIMPLEMENTED], end_stream=True)
            return
        self._streams[number] = Stream(number, self)
        self._http.send_headers(number, _ANSWER)

    def send(self, stream: Stream) -> None:
        """Sends what the stream has, as far as Envoy takes it now."""
        self._frame(stream)
        self._write()

    def _frame(self, stream: Stream) -> None:
        while stream.unsent:
            window = self._http.local_flow_control_window(stream.number)
            size = min(len(stream.unsent), window, self._http.max_outbound_frame_size)
            if size <= 0:
                return
            self._http.send_data(stream.number, bytes(stream.unsent[:size]))
            del stream.unsent[:size]
        if stream.is_closed and stream.number in self._streams:
            del self._streams[stream.number]
            self._http.send_headers(stream.number, OK, end_stream=True)

    def _write(self) -> None:
        had = bool(self._unsent)
        unsent = self._unsent + self._http.data_to_send()
        try:
            self._unsent = unsent[self._socket.send(unsent) :] if unsent else b""
        except BlockingIOError:
            self._unsent = unsent
        except OSError:
            self._unsent = b""  # it is gone, as its next reading says
        if had != bool(self._unsent):
            self._wait_for(EVENT_READ | EVENT_WRITE if self._unsent else EVENT_READ)

    def _break(self, stream: Stream) -> None:
        stream.unsent.clear()
        stream.is_closed = True
        self._heard(stream, None)

    def close(self) -> None:
        """Ends all of it at once."""
        while self._streams:
            self._break(self._streams.popitem()[1])
        self._socket.close()


class AdsServer:
    """Listens until stopped. A socket that an agent left behind is replaced. For one thread, but for `wake`."""

    def __init__(self, path: Path, heard: Requests) -> None:
        self._path, self._heard = path, heard
        self._selector = DefaultSelector()
        self._connections: dict[socket.socket, _Connection] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._wakes, self._waker = socket.socketpair()
        self._is_woken = False

    def start(self) -> None:
        """Raises OSError when it can't listen there."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._listener.bind(str(self._path))
        self._listener.listen(BACKLOG)
        for each, ready in ((self._listener, self._accept), (self._wakes, self._hear_waker)):
            each.setblocking(False)
            self._selector.register(each, EVENT_READ, ready)

    def stop(self) -> None:
        """Ends all streams."""
        for peer in list(self._connections):
            self._drop(peer)
        self._selector.close()
        for each in (self._listener, self._wakes, self._waker):
            each.close()

    def wake(self) -> None:
        """Lets `wait` return. From any thread."""
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(OSError):  # it has been stopped
                self._waker.send(b"!")

    def wait(self, seconds: float) -> None:
        """Until something comes, or for so long. Hears what comes."""
        for key, events in self._selector.select(seconds):
            key.data(events)

    def _hear_waker(self, _: int) -> None:
        self._wakes.recv(MOST_AT_ONCE)
        self._is_woken = False

    def _accept(self, _: int) -> None:
        with contextlib.suppress(OSError):  # who has given up meanwhile
            peer, _address = self._listener.accept()
            peer.setblocking(False)
            ready = partial(self._ready, peer)
            self._selector.register(peer, EVENT_READ, ready)
            wait_for = partial(self._selector.modify, peer, data=ready)
            self._connections[peer] = _Connection(peer, self._heard, wait_for)

    def _ready(self, peer: socket.socket, events: int) -> None:
        try:
            self._connections[peer].ready(events)
        except BROKEN as error:
            if not isinstance(error, OSError):
                logger.warning("Envoy's connection is ended: %s", error)
            self._drop(peer)

    def _drop(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        self._connections.pop(peer).close()
