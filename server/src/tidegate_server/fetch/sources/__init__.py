"""Where models come from. One module a source, one line a scheme.

A module is imported when a URI asks for it, so a library that isn't installed is missed by nobody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.listing import Listing


class Source(Protocol):
    """Says what a URI names. Raises FetchFailed, `transient` where trying again soon may help."""

    def __call__(self, uri: str, environ: Mapping[str, str]) -> Listing:
        """`environ`: credentials and endpoints."""
        ...


@dataclass(frozen=True)
class ResolvedUri:
    """A URI and the source that understands it."""

    text: str
    source: Source

    @property
    def printable(self) -> str:
        """Without what may be secret."""
        return printable(self.text)


SOURCES: Mapping[str, str] = {
    "file": "local",
    "pvc": "pvc",
    "image": "image",
    "http": "web",
    "https": "web",
    "s3": "s3",
    "gs": "gs",
    "az": "az",
    "hf": "hf",
    "oci": "oci",
    "models": "mlflow",
}
"""Each scheme's module, whose function `find` is the Source."""


def find_source(uri: str) -> ResolvedUri:
    """Raises FetchFailed when no source knows the scheme, or when its library isn't installed."""
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    # MLflow's own form, which names no host.
    scheme = "models" if uri.startswith("models:/") else scheme
    module = SOURCES.get(scheme)
    if module is None:
        known = ", ".join("models:/" if name == "models" else f"{name}://" for name in sorted(SOURCES))
        raise FetchFailed(UNSUPPORTED_URI, f"{printable(uri)} is not supported; use one of {known}")
    try:
        source: Source = import_module(f"{__name__}.{module}").find
    except ModuleNotFoundError as error:
        missing = f"{scheme}:// needs the Python package {error.name}; install tidegate-server[sources]"
        raise FetchFailed(UNSUPPORTED_URI, missing) from error
    return ResolvedUri(uri, source)


def printable(uri: str) -> str:
    """Without user, password, query and fragment: any of them may be a credential."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the model's URI"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
