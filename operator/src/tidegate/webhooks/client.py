"""One call by HTTP, bounded in all that the other side could make long or large.

The name is resolved here and the connection made to an address that was looked at, so that no second look-up can lead
elsewhere; only a proxy, where there is one, looks up names outside of the cluster itself. Redirects aren't followed,
and neither a proxy nor a .netrc is taken from the environment.
"""

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import monotonic
from typing import Any

import certifi

from tidegate.errors import CallFailed
from tidegate.webhooks.addresses import AddressRules, Proxy, Target

MOST_BYTES = 64 * 1024
"""Of an answer."""
LONGEST_RETRY_AFTER = 60.0
RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 of a call that may well be taken the next time."""
SHORTEST = 0.1
"""Seconds that a socket waits in any case."""
Address = tuple[Any, ...]
"""As getaddrinfo has it."""
ALWAYS = {"User-Agent": "tidegate", "Accept-Encoding": "identity", "Connection": "close"}


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer with a status of 2xx."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    """By their names in lower case."""


class WebhookClient:
    """Safe to use from several threads. Everything that goes wrong is a CallFailed with one sentence."""

    def __init__(self, rules: AddressRules, proxy: Proxy | None = None) -> None:
        self._rules, self._proxy = rules, proxy

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, authority: str | None = None
    ) -> HttpResponse:
        """Sends a body and waits for the whole answer for at most `seconds`. `authority` is PEM."""
        return self._call("POST", url, body, headers, seconds, authority, MOST_BYTES)

    def get(self, url: str, headers: Mapping[str, str], *, seconds: float, most: int = MOST_BYTES) -> HttpResponse:
        """Asks for an answer of at most `most` bytes, and waits for all of it for at most `seconds`."""
        return self._call("GET", url, None, headers, seconds, None, most)

    def _call(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        authority: str | None,
        most: int,
    ) -> HttpResponse:
        target, deadline = Target.parse(url), monotonic() + seconds
        context = _context(authority) if target.scheme == "https" else None
        proxy = self._proxy if self._proxy and self._proxy.is_for(target.host) else None
        path = f"{target.origin}{target.path}" if proxy and context is None else target.path
        try:
            with self._connected(target, proxy, context, deadline) as connection:
                connection.request(method, path, body, {**ALWAYS, "Host": target.authority, **headers})
                answer = _read(connection.getresponse(), most)
                if monotonic() >= deadline:  # where an answer ends with its connection, hanging up makes it look whole
                    raise TimeoutError
                return answer
        except (OSError, http.client.HTTPException) as error:
            raise _failure(error, late=monotonic() >= deadline, seconds=seconds) from error
        except ValueError:
            # Its sentence would repeat what can't be sent, which may be a secret.
            raise CallFailed("its address or its headers hold characters that can't be sent", final=True) from None

    @contextmanager
    def _connected(
        self, target: Target, proxy: Proxy | None, context: ssl.SSLContext | None, deadline: float
    ) -> Iterator[http.client.HTTPConnection]:
        if proxy:
            self._check_literal(target.host)
            sock = _dial(_resolved(proxy.host, proxy.port, "the proxy "), deadline)
        else:
            sock = _dial(self._allowed(target), deadline)
        # A timeout of a socket's is that of one read; whoever sends a byte a second would be waited for without an end.
        same = sock.dup()  # TLS takes the socket away
        hang_up = threading.Timer(max(0.0, deadline - monotonic()), _shut_down, (same,))
        hang_up.daemon = True
        hang_up.start()
        try:
            if proxy and context:
                _tunnel(sock, target)
            with context.wrap_socket(sock, server_hostname=target.host) if context else sock as wrapped:
                connection = http.client.HTTPConnection(target.host, target.port)
                connection.sock = wrapped
                yield connection
        finally:
            hang_up.cancel()
            same.close()
            sock.close()

    def _allowed(self, target: Target) -> list[Address]:
        found = _resolved(target.host, target.port)
        allowed = [each for each in found if self._rules.allows(str(each[4][0]))]
        if not allowed:
            raise _not_called(target.host, str(found[0][4][0]))
        return allowed

    def _check_literal(self, host: str) -> None:
        """A proxy would call an address that is written out."""
        try:
            address = str(ip_address(host))
        except ValueError:
            return
        if not self._rules.allows(address):
            raise _not_called(host, address)


def _not_called(host: str, address: str) -> CallFailed:
    return CallFailed(f"{host} leads to {address}, which the operator doesn't call", final=True)


def _resolved(host: str, port: int, what: str = "the name ") -> list[Address]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CallFailed(f"{what}{host} can't be resolved") from None


def _dial(addresses: list[Address], deadline: float) -> socket.socket:
    """Connected to the first that takes it; each has its part of the time, as one of two networks may be a dead end."""
    failure: OSError = TimeoutError()
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(SHORTEST, (deadline - monotonic()) / left))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.settimeout(max(SHORTEST, deadline - monotonic()))
        return sock
    raise failure


def _tunnel(sock: socket.socket, target: Target) -> None:
    """Has the proxy lead the connection on to the target."""
    there = f"{target.authority}" if ":" in target.authority.rpartition("]")[2] else f"{target.authority}:{target.port}"
    sock.sendall(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
    with http.client.HTTPResponse(sock, method="CONNECT") as response:
        response.begin()
        if response.status != http.client.OK:
            raise CallFailed(f"the proxy answers HTTP {response.status}")


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_RDWR)


def _context(authority: str | None) -> ssl.SSLContext:
    if authority is None:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context
    try:
        return ssl.create_default_context(cadata=authority)
    except ssl.SSLError:
        raise CallFailed("the certificates that it is to be known by aren't PEM", final=True) from None


def _read(response: http.client.HTTPResponse, most: int) -> HttpResponse:
    body = response.read(most + 1)
    if 300 <= response.status < 400:
        message = f"it redirects (HTTP {response.status}), and redirects aren't followed: give the address they lead to"
        raise CallFailed(message, final=True)
    if not 200 <= response.status < 300:
        final = response.status < 500 and response.status not in RETRIED
        raise CallFailed(
            f"it answers HTTP {response.status}",
            final=final,
            retry_after=_retry_after(response),
            status=response.status,
            challenge=response.headers.get("WWW-Authenticate", ""),
        )
    if len(body) > most:
        raise CallFailed(f"its answer is longer than {most // 1024} KiB", final=True)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpResponse(response.status, response.headers.get_content_type(), body, headers)


def _retry_after(response: http.client.HTTPResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_RETRY_AFTER) if text.isdecimal() else None


def _failure(error: OSError | http.client.HTTPException, *, late: bool, seconds: float) -> CallFailed:
    """One sentence; the errors' own may hold addresses with secrets."""
    match error:
        case _ if late or isinstance(error, TimeoutError):
            return CallFailed(f"it gave no whole answer within {seconds:g} s")
        case ssl.SSLCertVerificationError():
            return CallFailed(f"its certificate isn't trusted: {error.verify_message}")
        case ssl.SSLError():
            return CallFailed(f"TLS fails: {(error.reason or 'unknown').replace('_', ' ').lower()}")
        case http.client.HTTPException():
            return CallFailed("what it answers isn't HTTP, or breaks off")
        case ConnectionResetError() | BrokenPipeError():
            return CallFailed("it hangs up before it has answered")
        case _:
            return CallFailed(f"it can't be reached: {os.strerror(error.errno) if error.errno else 'no connection'}")
