"""HTTP for all sources: proxies and certificates from the environment, and redirects that give nothing away.

A redirect may lead from http to https but never back, and to no other scheme; credentials stay with the host that they
are for. What is said about a failure holds neither the query nor a header, since either may be a secret.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
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
from tidegate_server.fetch.sources.listing import Stream

SILENCE_SECONDS = 10.0
"""To connect, and between any two pieces of the answer."""

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class GetRequest:
    """A GET. `private` headers go to the host of the address only, `headers` along with every redirect."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)


class BadStatus(FetchFailed):
    """An answer that isn't the file; a caller may know what to do about the status."""

    def __init__(self, status: int, headers: Message) -> None:
        """`headers`: of the response."""
        failure = _status_failure(status)
        super().__init__(failure.reason, str(failure), transient=failure.transient)
        self.status = status
        self.headers = headers


@contextmanager
def get(wanted: GetRequest) -> Iterator[HTTPResponse]:
    """The answer to a GET, to be read. Raises FetchFailed, and BadStatus where the server answered something else."""
    request = Request(wanted.address, headers={"User-Agent": "tidegate", **wanted.headers})  # noqa: S310 - http(s) only
    for name, value in wanted.private.items():
        # Unredirected: the host that a redirect leads to may be a stranger.
        request.add_unredirected_header(name, value)
    try:
        response: HTTPResponse = _opener().open(request, timeout=SILENCE_SECONDS)
    except HTTPError as error:
        with error:
            raise BadStatus(error.code, error.headers) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(error) from None
    with response:
        yield response


@contextmanager
def reading() -> Iterator[None]:
    """Around the reading of an answer. Raises FetchFailed where the connection breaks meanwhile."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise _unreachable(error) from None


@contextmanager
def open_at(request: GetRequest, offset: int, version: str | None, end: int | None = None) -> Iterator[Stream]:
    """A file from an offset on, or from its start where the server won't, or where it has another version by now."""
    headers = dict(request.headers)
    if offset or end is not None:
        headers["Range"] = f"bytes={offset}-" if end is None else f"bytes={offset}-{end - 1}"
        if version is not None:
            headers["If-Range"] = version
    try:
        with get(GetRequest(request.address, headers, request.private)) as response:
            yield _stream(response, offset)
    except BadStatus as error:
        if not offset or error.status != 416:
            raise
        # Nothing follows the offset: the file was here whole, unless it has another length by now.
        if error.headers.get("Content-Range") != f"bytes */{offset}":
            raise FetchFailed(UNREACHABLE, "the model changed on its server meanwhile", transient=True) from None
        yield Stream(lambda _: b"", offset, offset, version)


def _stream(response: HTTPResponse, offset: int) -> Stream:
    version = _version(response.headers)
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != offset:
            raise FetchFailed(UNREACHABLE, "the model's server sent another part of the file than it was asked for")
        return Stream(response.read, int(span[2]), offset, version, has_ranges=True)
    has_ranges = "bytes" in response.headers.get("Accept-Ranges", "").lower()
    length = response.headers.get("Content-Length", "")
    return Stream(response.read, int(length) if length.isdigit() else None, 0, version, has_ranges)


def _version(headers: Message) -> str | None:
    """What If-Range understands: a strong ETag, else the time of the last change."""
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    return headers.get("Last-Modified")


class _Redirects(HTTPRedirectHandler):
    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> HTTPResponse | None:
        target = urlsplit(urljoin(req.full_url, headers.get("Location", ""))).scheme
        if target not in ("http", "https"):
            raise FetchFailed(UNSUPPORTED_URI, "the model's server redirects to something that isn't http or https")
        if req.type == "https" and target == "http":
            raise FetchFailed(UNSUPPORTED_URI, "the model's server redirects from https to http, which is refused")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> OpenerDirector:
    """Only these: urllib's usual opener also follows redirects to ftp."""
    opener = OpenerDirector()
    handlers = (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, _Redirects, HTTPErrorProcessor)
    for handler in (*handlers, UnknownHandler):
        opener.add_handler(handler())
    return opener


def _status_failure(status: int) -> FetchFailed:
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
