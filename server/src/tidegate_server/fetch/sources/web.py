"""http:// and https:// — a file, an archive, or, where the URI ends with `/`, a folder of files with known names."""

import base64
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.http_client import GetRequest, open_at
from tidegate_server.fetch.sources.listing import Listing, SourceFile, single


def find(uri: str, _environ: Mapping[str, str]) -> Listing:
    """The file, or the folder whose files can only be guessed. Raises FetchFailed."""
    request = _request(uri)
    path = urlsplit(uri).path
    if not path.endswith("/"):
        return single(SourceFile(unquote(path.rpartition("/")[2]), partial(open_at, request)))
    return Listing((), find=lambda name: SourceFile(name, partial(open_at, _inside(request, name))))


def _request(uri: str) -> GetRequest:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        host = None
    if not host:
        raise FetchFailed(UNSUPPORTED_URI, "the model's URI names no host")
    credentials, _, host = parts.netloc.rpartition("@")
    address = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not credentials:
        return GetRequest(address)
    token = base64.b64encode(unquote(credentials).encode()).decode()
    return GetRequest(address, private={"Authorization": f"Basic {token}"})


def _inside(folder: GetRequest, name: str) -> GetRequest:
    parts = urlsplit(folder.address)
    address = urlunsplit((parts.scheme, parts.netloc, parts.path + quote(name), parts.query, ""))
    return GetRequest(address, folder.headers, folder.private)
