"""Where models come from. One module a source, one line a scheme."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.local import open_local
from tidegate_server.fetch.sources.stream import Stream
from tidegate_server.fetch.sources.web import open_web


class Source(Protocol):
    """Opens the bytes behind a URI. Raises FetchFailed, `transient` where trying again soon may help."""

    def __call__(self, uri: str) -> AbstractContextManager[Stream]: ...


@dataclass(frozen=True)
class Origin:
    """A URI that one of the sources understands."""

    uri: str
    source: Source

    @property
    def printable(self) -> str:
        return printable(self.uri)


SOURCES: Mapping[str, Source] = {"file": open_local, "http": open_web, "https": open_web}


def find_source(uri: str) -> Origin:
    """Raises FetchFailed when no source knows the scheme."""
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    source = SOURCES.get(scheme)
    if source is None:
        known = ", ".join(f"{name}://" for name in sorted(SOURCES))
        raise FetchFailed(UNSUPPORTED_URI, f"{printable(uri)} is not supported; use one of {known}")
    return Origin(uri, source)


def printable(uri: str) -> str:
    """Without user, password, query and fragment: any of them may be a credential."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the model's URI"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
