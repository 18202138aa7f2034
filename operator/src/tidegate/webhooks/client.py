"""One call by HTTP, bounded in all that the other side could make long or large.

The name is resolved here and the connection made to an address that was looked at, so that no second look-up can lead
elsewhere. Redirects aren't followed, and neither proxies nor a .netrc are taken from the environment.
"""

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import certifi

from tidegate.errors import CallFailed
from tidegate.webhooks.addresses import AddressRules, Target

MOST_BYTES = 64 * 1024
"""Of an answer."""
LONGEST_RETRY_AFTER = 60.0
RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 of a call that may well be taken the next time."""
ALWAYS = {"User-Agent": "tidegate", "Accept-Encoding": "identity", "Connection": "close"}


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer with a status of 2xx."""

    status: int
    content_type: str
    body: bytes


class WebhookClient:
    """Safe to use from several threads. Everything that goes wrong is a CallFailed with one sentence."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, authority: str | None = None
    ) -> HttpResponse:
        """Sends a body and waits for the whole answer for at most `seconds`. `authority` is PEM."""
        target, deadline = Target.parse(url), monotonic() + seconds
        context = _context(authority) if target.scheme == "https" else None
        try:
            with self._connected(target, context, deadline) as connection:
                connection.request("POST", target.path, body, {**ALWAYS, "Host": target.authority, **headers})
                answer = _read(connection.getresponse())
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
        self, target: Target, context: ssl.SSLContext | None, deadline: float
    ) -> Iterator[http.client.HTTPConnection]:
        sock = self._connect(target, deadline)
        # A timeout of a socket's is that of one read; whoever sends a byte a second would be waited for without an end.
        same = sock.dup()  # TLS takes the socket away
        hang_up = threading.Timer(max(0.0, deadline - monotonic()), _shut_down, (same,))
        hang_up.daemon = True
        hang_up.start()
        try:
            with context.wrap_socket(sock, server_hostname=target.host) if context else sock as wrapped:
                connection = http.client.HTTPConnection(target.host, target.port)
                connection.sock = wrapped
                yield connection
        finally:
            hang_up.cancel()
            same.close()
            sock.close()

    def _connect(self, target: Target, deadline: float) -> socket.socket:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise CallFailed(f"the name {target.host} can't be resolved") from None
        allowed = [each for each in found if self._rules.allows(str(each[4][0]))]
        if not allowed:
            raise CallFailed(f"{target.host} leads to {found[0][4][0]}, which the operator doesn't call", final=True)
        failure: OSError = TimeoutError()
        for family, kind, protocol, _, address in allowed:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(0.1, deadline - monotonic()))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
                continue
            return sock
        raise failure


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


def _read(response: http.client.HTTPResponse) -> HttpResponse:
    body = response.read(MOST_BYTES + 1)
    if 300 <= response.status < 400:
        message = f"it redirects (HTTP {response.status}), and redirects aren't followed: give the address they lead to"
        raise CallFailed(message, final=True)
    if not 200 <= response.status < 300:
        final = response.status < 500 and response.status not in RETRIED
        raise CallFailed(f"it answers HTTP {response.status}", final=final, retry_after=_retry_after(response))
    if len(body) > MOST_BYTES:
        raise CallFailed(f"its answer is longer than {MOST_BYTES // 1024} KiB", final=True)
    return HttpResponse(response.status, response.headers.get_content_type(), body)


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
