"""The HTTP client of the sink: one connection that is kept, and words for what goes wrong on it."""

import ssl
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from tidegate_server.errors import ServerError
from tidegate_server.payload_log.events import HttpMessage

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 2**16


class SinkFailed(ServerError):
    """The sink didn't take an event. The words hold nothing of its address."""


class Sink:
    """One thread may use it."""

    def __init__(self, address: str) -> None:
        """`address` as in the settings. Nothing is connected yet. Redirects are refusals."""
        parts = urlsplit(address)
        self._is_secure, self._host, self._port = parts.scheme == "https", parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: HTTPConnection | None = None

    def post(self, message: HttpMessage) -> None:
        """Raises SinkFailed."""
        try:
            if self._connection is not None:
                with suppress(ConnectionError, HTTPException):  # it may have been closed since the last event
                    self._exchange(self._connection, message)
                    return
                self.close()
            connection = self._connection = self._connected()
            self._exchange(connection, message)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise SinkFailed(f"it can't be reached ({type(error).__name__})") from None

    def close(self) -> None:
        """Until the next event."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> HTTPConnection:
        if self._is_secure:
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=TIMEOUT_SECONDS, context=context)
        return HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)

    def _exchange(self, connection: HTTPConnection, message: HttpMessage) -> None:
        connection.request("POST", self._target, message.body, message.headers)
        response = connection.getresponse()
        rest = response.read(MAX_ANSWER_BYTES + 1)
        if len(rest) > MAX_ANSWER_BYTES or response.will_close:
            self.close()
        if not 200 <= response.status < 300:
            raise SinkFailed(f"it answered {response.status}")
