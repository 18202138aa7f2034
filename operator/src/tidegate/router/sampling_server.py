"""The agent's HTTP port: its health, and Envoy's counters for whoever has the key. See `resources.sampling`."""

import logging
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic
from typing import Protocol, cast

from tidegate.errors import MalformedObject
from tidegate.resources.sampling import (
    KEY_ENTRY,
    MOST_REQUEST_BYTES,
    PATH,
    SIGNATURE,
    SamplesAnswer,
    SamplesRequest,
    answer_body,
    key_of_request,
    read_request,
    sign_answer,
)
from tidegate.router.bounded_server import BoundedServer
from tidegate.router.envoy_counters import EnvoyCounters, EnvoyUnavailable, Reading
from tidegate.router.key_file import KeyFile

REMIND_SECONDS = 60.0
"""From one line about requests that were refused to the next."""
NOT_SIGNED = "the request isn't signed with the key of this installation, for this router"
NO_KEY = "this router has no key yet: the Secret with it is not mounted, or is too short"

log = logging.getLogger(__name__)


class Health(Protocol):
    """What the agent says of itself."""

    def report(self) -> str: ...
    def is_healthy(self) -> bool: ...


class Counters(Protocol):
    """Envoy, as far as its counters go. Raises EnvoyUnavailable."""

    def read(self, clusters: Sequence[str]) -> Reading: ...
    def close(self) -> None: ...


class Refusals:
    """Counts requests that weren't signed, and says so now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._said_at: float | None = None

    def add(self, address: str) -> None:
        """One more, from there."""
        with self._lock:
            self._number += 1
            if self._said_at is not None and monotonic() - self._said_at < REMIND_SECONDS:
                return
            self._said_at = monotonic()
            log.warning("requests for counters without a valid signature: %d, the last from %s", self._number, address)


class SamplingServer(BoundedServer):
    """Answers until `shutdown`. `router` is this pod: namespace/name."""

    def __init__(self, port: int, health: Health, router: str, keys: KeyFile, counters: Counters) -> None:
        self.health, self.router, self.keys, self.counters = health, router, keys, counters
        self.refusals = Refusals()
        super().__init__(port, Handler)

    def server_close(self) -> None:
        """Ends everything."""
        super().server_close()
        self.counters.close()


def serve(port: int, health: Health, router: str, key_folder: Path, admin_port: int) -> SamplingServer:
    """Starts the agent's server."""
    server = SamplingServer(port, health, router, KeyFile(key_folder / KEY_ENTRY), EnvoyCounters(admin_port))
    server.start()
    return server


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for head and body

    @property
    def _agent(self) -> SamplingServer:
        return cast(SamplingServer, self.server)

    def do_GET(self) -> None:
        """The probe's question."""
        if self.path != "/healthz":
            return self._say(HTTPStatus.NOT_FOUND, "there is nothing at this path", close=True)
        status = HTTPStatus.OK if self._agent.health.is_healthy() else HTTPStatus.SERVICE_UNAVAILABLE
        return self._say(status, self._agent.health.report())

    def do_POST(self) -> None:
        """The operator's question."""
        if self.path != PATH:
            return self._say(HTTPStatus.NOT_FOUND, "there is nothing at this path", close=True)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            return self._say(HTTPStatus.LENGTH_REQUIRED, "the request must say how long its body is", close=True)
        if len(length) > len(str(MOST_REQUEST_BYTES)) or int(length) > MOST_REQUEST_BYTES:
            sentence = f"the body is longer than {MOST_REQUEST_BYTES} bytes"
            return self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence, close=True)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return self._answer(body)

    def _answer(self, body: bytes) -> None:
        keys = self._agent.keys.keys()
        if not keys:
            return self._say(HTTPStatus.SERVICE_UNAVAILABLE, NO_KEY, close=True)
        key = key_of_request(keys, self._agent.router, body, self.headers.get(SIGNATURE, ""))
        if key is None:
            self._agent.refusals.add(self.client_address[0])
            return self._say(HTTPStatus.UNAUTHORIZED, NOT_SIGNED, close=True)
        self._agent.know(self.connection)
        try:
            request = read_request(body)
            reading = self._agent.counters.read(request.clusters)
        except MalformedObject as error:
            return self._say(HTTPStatus.BAD_REQUEST, str(error))
        except EnvoyUnavailable as error:
            return self._say(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return self._send_reading(key, request, reading)

    def _send_reading(self, key: bytes, request: SamplesRequest, reading: Reading) -> None:
        answer = SamplesAnswer(request.nonce, self._agent.router, reading.started, reading.time, reading.metrics)
        body = answer_body(answer)
        self._send(HTTPStatus.OK, "application/json", body, {SIGNATURE: sign_answer(key, body)})
        self._agent.know(self.connection)

    def _say(self, status: HTTPStatus, sentence: str, *, close: bool = False) -> None:
        """`close` where what comes next over the connection may be the rest of what was refused."""
        more = {"Connection": "close"} if close else {}
        self._send(status, "text/plain; charset=utf-8", sentence.encode(), more)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        """Nobody needs to know what this is written in."""
        return "tidegate"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Probes and questions each second are not worth a line."""
