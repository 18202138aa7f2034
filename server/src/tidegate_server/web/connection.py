"""One connection: its requests one at a time and in their order, and an end that cuts no response short.

Whatever a client sends ahead, takes in slowly or leaves half sent, it costs a bounded part of the loop's time and of
the server's memory.
"""

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Protocol, cast

from tidegate_server.web.message import Request, Respond, Response, encode_body, encode_head, error_response
from tidegate_server.web.request_parser import (
    BODY,
    HEAD,
    IDLE,
    TOO_MANY_BYTES,
    ParserContext,
    Rejected,
    RequestParser,
)

MAX_PIPELINED = 16
"""Requests parsed ahead of their responses; what comes after them stays bytes, and nothing more is read."""
SLICE_BYTES = 2048
"""Parsed at a time. The shortest requests are so short that this holds some hundred of them."""
TURN_SECONDS = 0.001
"""How long a connection keeps the loop with what it has sent ahead; then others have their turn."""
HIGH_WATER_BYTES = 2**16
"""What a client may leave untaken without being counted or waited for."""
PACE_SECONDS = 1.0
"""From then on a body that arrives or a response that leaves has a pace, and the slowest may have to make room."""
HALF_OPEN_SECONDS = 1.0
"""A client that has closed its half, and gets no response for so long, has gone: its work is given up."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ConnectionContext(ParserContext, Protocol):
    """What a connection needs of the server that it belongs to."""

    is_draining: bool
    date: bytes
    """The Date header, whole."""

    def next_turn(self, callback: Callable[[], None]) -> None:
        """Calls it when the loop has looked after everybody else."""

    def handle(self, request: Request, respond: Respond) -> None:
        """Calls `respond` once, now or later, in the loop's thread."""

    def receive_failed(self, target: bytes, headers: dict[bytes, bytes], response: Response) -> Response:
        """A request couldn't be read to its end: the response that goes out for it."""

    def opened(self, connection: "Connection") -> bool:
        """False when there are too many."""

    def closed(self, connection: "Connection") -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """Belongs to the loop's thread, as all its methods do."""

    def __init__(self, context: ConnectionContext) -> None:
        """Not open yet."""
        self._context, self._limits = context, context.limits
        self._parser = RequestParser(context, self._take, self._ask_for_body)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._unparsed, self._parsed_to = b"", 0
        self._pipelined: deque[Request] = deque()
        self._rejection: Response | None = None
        """Goes out behind the responses that are owed before it."""
        self._current: Request | None = None
        """Is being answered."""
        self._has_turn = False
        self._is_open = False
        self._is_lingering = False
        self._eof_at: float | None = None
        self._is_reading = True
        self._since = perf_counter()
        """When the last response was taken in whole, or went out."""
        self._stalled_since: float | None = None
        self._untaken = 0
        """Bytes of a response that the client didn't take in at once."""

    @property
    def is_busy(self) -> bool:
        """A request is being read or handled, or a response isn't taken in yet."""
        return self._owes or self._parser.phase is not IDLE or (self._is_open and self._unsent_bytes() > 0)

    @property
    def _owes(self) -> bool:
        """Responses to what was read."""
        return bool(self._current or self._pipelined or self._unparsed or self._rejection)

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, 0)
        self._is_open = True
        self._since = self._parser.since = perf_counter()
        if not self._context.opened(self):
            self._reject(error_response(503, "the server has as many connections as it takes", (("retry-after", "1"),)))

    def connection_lost(self, _error: Exception | None) -> None:
        """asyncio: gone, whoever ended it."""
        self._is_open = False
        if self._current is not None:
            self._current.caller.leave()
        self._forget_input()
        self._forget_untaken()
        self._context.closed(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: feeds the parser."""
        if self._is_lingering or self._parser.has_ended or self._rejection is not None:
            return
        if self._unparsed or len(data) > SLICE_BYTES:
            self._unparsed += data
            self._proceed()
            return
        self._feed(data)
        if self._pipelined:
            self._proceed()

    def eof_received(self) -> bool:
        """True keeps the other half open for a moment: most that say this have gone, but some still read."""
        self._eof_at = perf_counter()
        return self._owes

    def pause_writing(self) -> None:
        """asyncio: the client takes in less than is sent."""
        self._stalled_since = perf_counter()
        self._untaken = self._transport.get_write_buffer_size()
        self._context.held.add(self._untaken)
        self._read_on_or_wait()

    def resume_writing(self) -> None:
        """asyncio: it has taken in everything."""
        self._stalled_since = None
        self._since = perf_counter()
        self._forget_untaken()
        self._proceed()

    # --- requests

    def _proceed(self) -> None:
        """Goes on with what was read: in a loop, since most responses come at once, and in turn with the others."""
        if not self._has_turn:
            self._has_turn = True
            self._use_turn()

    def _use_turn(self) -> None:
        until = perf_counter() + TURN_SECONDS
        while self._take_step():
            if perf_counter() > until:
                self._context.next_turn(self._use_turn)
                break
        else:
            self._has_turn = False
        self._read_on_or_wait()

    def _take_step(self) -> bool:
        """False when there is nothing to do before something else happens."""
        if not self._is_open or self._is_lingering or self._stalled_since is not None:
            return False
        if self._pipelined and self._current is None:
            self._handle(self._pipelined.popleft())
            return True
        if self._unparsed and len(self._pipelined) < MAX_PIPELINED:
            self._parse_slice()
            return True
        if self._eof_at is not None and not self._owes:
            self._transport.close()
        return self._send_rejection()

    def _parse_slice(self) -> None:
        begin = self._parsed_to
        end = self._parsed_to = begin + max(SLICE_BYTES, self._parser.body_left)
        data = self._unparsed[begin:end]
        if end >= len(self._unparsed):
            self._unparsed, self._parsed_to = b"", 0
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except Rejected as rejected:
            self._reject(rejected.response)
        if self._parser.has_ended:
            self._unparsed, self._parsed_to = b"", 0

    def _take(self, request: Request) -> None:
        # Where the connection ends or its client takes nothing, it waits until it is known what comes behind it.
        if self._current or self._pipelined or self._stalled_since is not None or self._is_ending:
            self._pipelined.append(request)
        else:
            self._handle(request)

    @property
    def _is_ending(self) -> bool:
        """Once what was read is answered."""
        return self._context.is_draining or self._eof_at is not None

    def _ask_for_body(self) -> None:
        if self._current is None:
            self._transport.write(CONTINUE)

    def _handle(self, request: Request) -> None:
        self._current = request
        self._context.handle(request, partial(self._respond, request))

    # --- responses

    def _respond(self, request: Request, response: Response) -> None:
        if self._current is not request:  # whoever handles it failed after it had responded
            return
        self._current = None
        request.caller.answered()  # else each would hold the other, and the body, until garbage is looked for
        self._context.held.give_back(len(request.body))
        if not self._is_open or self._transport.is_closing():
            return
        # Decided once, right before the head goes out: a connection that was promised to stay open must not be
        # closed under the client's next request. What has been read is answered before.
        is_last = not request.keep_alive or (self._is_ending and not self._owes)
        connection = "close" if is_last else "keep-alive" if request.is_old else ""
        self._write(response, request.method, connection)
        if is_last:
            self._linger()
        elif self._owes:
            self._proceed()

    def _write(self, response: Response, method: bytes, connection: str) -> None:
        if len(response.body) > HIGH_WATER_BYTES:
            response = self._if_it_fits(response)
        head = encode_head(response, connection, self._context.date)
        body = encode_body(response, method)
        self._since = perf_counter()
        if len(body) > HIGH_WATER_BYTES:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)

    def _if_it_fits(self, response: Response) -> Response:
        size, held = len(response.body), self._context.held
        if size > held.limit:
            sentence = f"the answer has {size} bytes, and this server holds {held.limit}; ask for less at once"
            return error_response(413, sentence)
        return response if held.has_room(size) or self._context.make_room(size) else TOO_MANY_BYTES

    def _reject(self, response: Response) -> None:
        """For what can't be read any further: the client gets a response, and the connection ends."""
        self._parser.drop_body()
        self._parser.phase = IDLE
        self._unparsed, self._parsed_to = b"", 0
        self._rejection = response
        self._send_rejection()

    def _send_rejection(self) -> bool:
        """False, as nothing comes after it."""
        response = self._rejection
        if response is None or self._current or self._pipelined:
            return False
        self._rejection = None
        if self._is_open and not self._transport.is_closing():
            response = self._context.receive_failed(self._parser.target, self._parser.headers, response)
            self._write(response, self._parser.method, "close")
            self._linger()
        return False

    def _linger(self) -> None:
        """Closed with unread bytes, the kernel would send a reset, and the client might never see its response."""
        self._forget_input()
        self._is_lingering = True
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._read_on_or_wait()

    def close(self) -> None:
        """Once what was written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """At once, whatever is on its way."""
        self._transport.abort()

    # --- time

    def check_timeouts(self, now: float) -> None:
        """Ends what has taken too long. `now` as perf_counter."""
        if self._stalled_since is not None:
            if now - self._stalled_since > self._limits.body_seconds:
                self._transport.abort()
        elif self._is_lingering:
            self._check_lingering(now - self._since)
        elif self._eof_at is not None:
            if now - max(self._eof_at, self._since) > HALF_OPEN_SECONDS:
                self._transport.abort()
        elif self._current is None and not self._has_turn:
            self._check_input(now)

    def _check_lingering(self, waited: float) -> None:
        """The time to read a response begins when all of it has left this machine."""
        limits = self._limits
        if waited > limits.body_seconds or (waited > limits.linger_seconds and not self._unsent_bytes()):
            self._transport.abort()

    def _check_input(self, now: float) -> None:
        phase, waited = self._parser.phase, now - self._parser.since
        if phase is IDLE and min(waited, now - self._since) > self._limits.idle_seconds:
            self._transport.close()
        elif phase is HEAD and waited > self._limits.head_seconds:
            self._reject(error_response(408, "the head took too long to arrive"))
        elif phase is BODY and waited > self._limits.body_seconds:
            self._reject(error_response(408, "the body took too long to arrive"))

    def pace(self, now: float) -> float | None:
        """Bytes a second of the body or the response that is on its way; None for what has just begun, and for none."""
        if self._untaken and self._stalled_since is not None:
            seconds, done = now - self._stalled_since, self._untaken - self._transport.get_write_buffer_size()
        elif self._parser.size:
            seconds, done = now - self._parser.since, self._parser.size
        else:
            return None
        return done / seconds if seconds > PACE_SECONDS else None

    def give_way(self) -> None:
        """It was slow, and others need the bytes that it holds."""
        if self._stalled_since is None:
            self._reject(TOO_MANY_BYTES)
            return
        self._forget_input()
        self._forget_untaken()
        self._transport.abort()

    # --- details

    def _read_on_or_wait(self) -> None:
        wants_more = self._is_lingering or not (
            self._unparsed
            or self._stalled_since is not None
            or len(self._pipelined) >= MAX_PIPELINED
            or (self._context.is_draining and self._owes)
        )
        if wants_more is self._is_reading or not self._is_open or self._transport.is_closing():
            return
        self._is_reading = wants_more
        if wants_more:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _forget_input(self) -> None:
        self._rejection = None
        self._parser.drop_body()
        self._parser.phase = IDLE
        self._unparsed, self._parsed_to = b"", 0
        self._context.held.give_back(sum([len(request.body) for request in self._pipelined]))
        self._pipelined.clear()

    def _forget_untaken(self) -> None:
        self._context.held.give_back(self._untaken)
        self._untaken = 0

    def _unsent_bytes(self) -> int:
        """Here, and for a connection that ends also in the kernel, which may lose them together with the pod."""
        unsent = self._transport.get_write_buffer_size()
        return unsent or (_unsent_in_kernel(self._transport) if self._is_lingering else 0)


def _unsent_in_kernel(transport: asyncio.Transport) -> int:
    """0 where the system can't tell."""
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        (unsent,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
    except (OSError, AttributeError, ValueError):
        return 0
    return int(unsent)
