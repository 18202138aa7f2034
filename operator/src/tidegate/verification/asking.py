"""One question to an HTTP server, on a connection of its own, and whatever comes back."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

from tidegate.errors import TidegateError
from tidegate.rehearsal.processes import MOST_ANSWER_BYTES

NO_ANSWER = 0
"""In place of a status."""
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Of a server; `prefix` is what stands before the protocol's paths, without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Raises TidegateError for what is no http:// or https:// URL."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError as error:
            raise TidegateError(f"{url}: {error}") from error
        if parts.scheme not in PORTS or not parts.hostname or parts.username:
            raise TidegateError(f"{url} is no address such as http://127.0.0.1:8080")
        return cls(parts.scheme, parts.hostname, port or PORTS[parts.scheme], parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.prefix}"


@dataclass(frozen=True)
class Answer:
    """`status` is NO_ANSWER where there was none, and `trouble` then says why."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    seconds: float = 0.0
    trouble: str = ""

    @property
    def said(self) -> str:
        """In a few words: the status and the beginning of the body, or why there is none."""
        if self.status == NO_ANSWER:
            return f"no answer: {self.trouble}"
        text = " ".join(self.body.decode(errors="replace").split())
        return f"{self.status}: {text[:120]}{'…' if len(text) > 120 else ''}" if text else f"{self.status}"


@dataclass(frozen=True)
class Endpoint:
    """A server as one caller sees it."""

    address: Address
    headers: Mapping[str, str]
    """Of every request, such as Host or Authorization."""
    timeout: float
    """Seconds that an answer may take."""
    tls: ssl.SSLContext | None = None

    def connect(self) -> http.client.HTTPConnection:
        """A new connection, opened by its first request."""
        where = self.address.host, self.address.port
        if self.address.scheme == "https":
            return http.client.HTTPSConnection(*where, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(*where, timeout=self.timeout)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Never raises: what goes wrong is the answer."""
        began, connection = monotonic(), self.connect()
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, self.address.prefix + path, body, {**kind, **self.headers, **(headers or {})})
            response = connection.getresponse()
            content = response.read(MOST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            return Answer(NO_ANSWER, seconds=monotonic() - began, trouble=_reason(error))
        finally:
            connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, content, names, monotonic() - began)

    def reach(self) -> Answer:
        """Whether anybody listens: status 200 and no body, or NO_ANSWER."""
        began = monotonic()
        try:
            with socket.create_connection((self.address.host, self.address.port), self.timeout):
                return Answer(http.client.OK, seconds=monotonic() - began)
        except OSError as error:
            return Answer(NO_ANSWER, seconds=monotonic() - began, trouble=_reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS handshake failed: {error}"
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        # It may be the bytes of TLS or of HTTP/2, which no report can hold as they are.
        return f"{str(error).strip()[:80]!a} is no HTTP/1.1"
    return str(error) or type(error).__name__
