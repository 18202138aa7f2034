"""TLS between a socket and a connection: to either it looks like the other.

The event loop's own TLS knows no count of handshakes under way, and none of what it holds of an answer. Here a
handshake is a connection that counts and that has a time, and an answer is encrypted as its client takes it in.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol, cast

from tidegate_server.web.message import encode_head, error_response
from tidegate_server.web.request_parser import HttpLimits

RECORD_BYTES = 2**14
"""The most of a TLS record: what is encrypted or decrypted at a time."""
RECORDS_IN_A_ROW = 16
"""Decrypted before they are handed on together. A client may send records of one byte, which cost as much each."""
HIGH_WATER_BYTES = 2**16
TURN_BYTES = 2**22
"""Encrypted before others have their turn: some milliseconds, and as much as a socket's buffer takes in, so that what
is left then is left by the client."""
_HANDSHAKE = b"\x16"
_PLAIN_HTTP = error_response(400, "this port speaks TLS; ask it by https://")


class TlsContext(Protocol):
    """What is needed of the server."""

    limits: HttpLimits

    def next_turn(self, callback: Callable[[], None]) -> None:
        """Calls it when the loop has looked after everybody else."""

    def handshake_began(self, connection: "TlsConnection") -> None:
        """Counts it, or aborts it."""

    def handshake_over(self, connection: "TlsConnection") -> None:
        """It counts no longer: there is a connection, or none."""

    def handshake_failed(self, words: str) -> None:
        """`words` are OpenSSL's."""


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """Belongs to the loop's thread, as all its methods do."""

    def __init__(self, context: TlsContext, connection: asyncio.Protocol, tls: ssl.SSLContext) -> None:
        """`connection` gets what is decrypted, and begins once there is something to."""
        asyncio.Transport.__init__(self)
        self._context, self._connection = context, connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._since = perf_counter()
        self._is_shaking_hands = True
        self._is_reading, self._is_paused, self._has_turn, self._is_deaf = True, False, False, False
        self._has_had_eof = False
        self._unencrypted: deque[memoryview] = deque()
        self._unencrypted_bytes = 0
        self._is_full, self._has_writing_turn, self._is_stalled = False, False, False
        self._ends_output, self._is_closing = False, False

    # --- asyncio: the socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open, and nothing said yet."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, 0)
        self._since = perf_counter()
        self._context.handshake_began(self)

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: gone, whoever ended it."""
        self._is_deaf = True
        self._forget_output()
        if self._is_shaking_hands:
            self._context.handshake_over(self)
        else:
            self._connection.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """asyncio: decrypts, once hands are shaken."""
        if self._is_deaf:
            return
        if self._is_shaking_hands and not self._incoming.pending and self._says_no_hello(data):
            return
        self._incoming.write(data)
        if self._is_shaking_hands:
            self._shake_hands()
        if not (self._is_shaking_hands or self._has_turn):
            self._use_turn()

    def eof_received(self) -> bool:
        """asyncio: True keeps the other half open."""
        if self._is_shaking_hands or self._has_had_eof:
            return not self._is_shaking_hands and not self._is_closing
        self._has_had_eof = True
        return bool(self._connection.eof_received())

    def pause_writing(self) -> None:
        """asyncio: the client takes in less than is sent."""
        self._is_full = True

    def resume_writing(self) -> None:
        """asyncio: it has taken in what was encrypted."""
        self._is_full = False
        self._write_on()

    # --- the handshake

    def check_handshake(self, now: float) -> None:
        """Ends one that takes too long. `now` as perf_counter."""
        if self._is_shaking_hands and now - self._since > self._context.limits.head_seconds:
            self._transport.abort()

    def _says_no_hello(self, data: bytes) -> bool:
        """Who speaks HTTP where TLS is spoken is told so."""
        if data[:1] == _HANDSHAKE or not data[:1].isupper():
            return False
        self._is_deaf = True
        self._transport.write(encode_head(_PLAIN_HTTP, "close") + _PLAIN_HTTP.body)
        self._transport.close()
        return True

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return
        except ssl.SSLError as error:
            self._is_deaf = True
            self._context.handshake_failed(str(error.reason or error))
            self._send()  # the alert that says why
            self._transport.close()
            return
        self._send()
        self._is_shaking_hands = False
        self._context.handshake_over(self)
        self._connection.connection_made(self)

    # --- what comes in

    def _use_turn(self) -> None:
        self._has_turn = False
        if self._is_paused or self._is_deaf or self._transport.is_closing():
            return
        try:
            data, has_ended = self._decrypted()
        except ssl.SSLError:
            self._transport.abort()
            return
        self._send()  # where the client has asked for new keys; it may do so without end, and take in nothing
        self._tell_pressure()
        if data:
            self._connection.data_received(data)
        if has_ended:
            self._receive_goodbye()
        elif data:
            self._ask_for_turn()
        self._read_or_wait()

    def _ask_for_turn(self) -> None:
        if self._has_more() and not self._has_turn:
            self._has_turn = True
            self._context.next_turn(self._use_turn)

    def _decrypted(self) -> tuple[bytes, bool]:
        """The next records, and whether the client has said goodbye behind them. Raises SSLError."""
        records: list[bytes] = []
        for _ in range(RECORDS_IN_A_ROW):
            try:
                record = self._tls.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                record = b""
            if not record:
                return b"".join(records), True
            records.append(record)
            if not self._has_more():
                break
        return records[0] if len(records) == 1 else b"".join(records), False

    def _has_more(self) -> bool:
        return bool(self._incoming.pending or self._tls.pending())

    def _receive_goodbye(self) -> None:
        """As the end of its half of a plain connection."""
        if not self._has_had_eof:
            self._has_had_eof = True
            if not self._connection.eof_received():
                self.close()

    def _read_or_wait(self) -> None:
        wants_more = self._is_deaf or not (self._is_paused or self._has_turn)
        if wants_more is self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wants_more
        if wants_more:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # --- asyncio: the connection's side

    def pause_reading(self) -> None:
        """asyncio: nothing more is handed on."""
        self._is_paused = True
        self._read_or_wait()

    def resume_reading(self) -> None:
        """asyncio: what has come meanwhile is handed on first, but not from in here."""
        self._is_paused = False
        self._ask_for_turn()
        self._read_or_wait()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """asyncio: goes out encrypted."""
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """asyncio: as `write`, for several."""
        if self.is_closing():
            return
        for data in list_of_data:
            if len(data):  # OpenSSL has no record of nothing
                self._unencrypted.append(memoryview(data))
                self._unencrypted_bytes += len(data)
        self._write_on()

    def write_eof(self) -> None:
        """asyncio: says goodbye, and reads on."""
        self._ends_output = True
        self._end_output()

    def close(self) -> None:
        """asyncio: once what was written has been sent."""
        if not self._is_closing:
            self._is_closing = True
            self._end_output()

    def abort(self) -> None:
        """asyncio: at once, whatever is on its way."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """asyncio: nothing more can be written."""
        return self._is_closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """asyncio: bytes, some of them encrypted already."""
        return self._unencrypted_bytes + self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """asyncio: they are what they are."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """asyncio: the socket's."""
        return self._transport.get_extra_info(name, default)

    # --- what goes out

    def _write_on(self) -> None:
        """As far as the client takes it in, and in turn with others."""
        left = TURN_BYTES
        try:
            while self._unencrypted and not self._is_full and left > 0:
                left -= self._encrypt()
        except ssl.SSLError:
            self._transport.abort()
            return
        if self._unencrypted and not self._is_full and not self._has_writing_turn:
            self._has_writing_turn = True
            self._context.next_turn(self._use_writing_turn)
        if not self._unencrypted:
            self._end_output()
        self._tell_pressure()

    def _use_writing_turn(self) -> None:
        self._has_writing_turn = False
        self._write_on()

    def _encrypt(self) -> int:
        """How many bytes went out: up to what a socket's buffer is filled by."""
        done = 0
        while self._unencrypted and done < HIGH_WATER_BYTES:
            piece = self._unencrypted[0]
            written = self._tls.write(piece[:RECORD_BYTES])
            done += written
            if written < len(piece):
                self._unencrypted[0] = piece[written:]
            else:
                self._unencrypted.popleft()
        self._unencrypted_bytes -= done
        self._send()
        return done

    def _send(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def _tell_pressure(self) -> None:
        if not self._is_stalled and self.get_write_buffer_size() > HIGH_WATER_BYTES:
            self._is_stalled = True
            self._connection.pause_writing()
        elif self._is_stalled and not self._unencrypted and not self._is_full:
            self._is_stalled = False
            self._connection.resume_writing()

    def _end_output(self) -> None:
        if self._unencrypted or not (self._ends_output or self._is_closing) or self._transport.is_closing():
            return
        if not self._is_deaf:
            self._is_deaf = True
            with suppress(ssl.SSLError):  # it would wait for the other's goodbye, which nobody here does
                self._tls.unwrap()
            self._send()
            with suppress(OSError, RuntimeError):
                self._transport.write_eof()
        if self._is_closing:
            self._transport.close()
        self._read_or_wait()

    def _forget_output(self) -> None:
        self._unencrypted.clear()
        self._unencrypted_bytes = 0
