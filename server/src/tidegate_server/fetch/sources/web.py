"""http:// and https:// — with the proxies and the certificates that the environment names."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNREACHABLE, UNSUPPORTED_URI
from tidegate_server.fetch.sources.stream import Stream

SILENCE_SECONDS = 10.0
"""To connect, and between any two pieces of the answer."""

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@contextmanager
def open_web(uri: str) -> Iterator[Stream]:
    try:
        response: HTTPResponse = _opener().open(_request(uri), timeout=SILENCE_SECONDS)
    except HTTPError as error:
        with error:
            raise _refused(error.code) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(error) from error
    with response:
        length = response.headers.get("Content-Length", "")
        yield Stream(response.read, int(length) if length.isdigit() else None)


def _request(uri: str) -> Request:
    parts = urlsplit(uri)
    if not parts.hostname:
        raise FetchFailed(UNSUPPORTED_URI, "the model's URI names no host")
    credentials, _, host = parts.netloc.rpartition("@")
    address = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = Request(address, headers={"User-Agent": "tidegate"})  # noqa: S310 - only http and https come here
    if credentials:
        token = base64.b64encode(unquote(credentials).encode()).decode()
        # Unredirected: the host that a redirect leads to may be a stranger.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _opener() -> OpenerDirector:
    """Only these: urllib's usual opener also follows redirects to ftp."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _refused(status: int) -> FetchFailed:
    if status in (404, 410):
        return FetchFailed(NOT_FOUND, f"the model's server has no such file ({status}); check model.uri")
    if status in (401, 403, 407):
        return FetchFailed(UNREACHABLE, f"the model's server refused access ({status}); check the credentials")
    transient = status in TRANSIENT_STATUS
    return FetchFailed(UNREACHABLE, f"the model's server answered {status}", transient=transient)


def _unreachable(error: Exception) -> FetchFailed:
    """The cause only: urllib's own words may hold the whole URI."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return FetchFailed(UNREACHABLE, "the model's server did not answer in time", transient=True)
    if isinstance(cause, OSError):
        return FetchFailed(UNREACHABLE, f"can't reach the model's server: {cause.strerror or cause}", transient=True)
    if isinstance(cause, HTTPException):
        return FetchFailed(UNREACHABLE, "the model's server gave no proper HTTP answer", transient=True)
    return FetchFailed(UNREACHABLE, "can't reach the model's server: its URI leads nowhere")
