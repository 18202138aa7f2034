"""file:// — a model on a volume that the pod mounts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNSUPPORTED_URI
from tidegate_server.fetch.sources.stream import Stream


@contextmanager
def open_local(uri: str) -> Iterator[Stream]:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise FetchFailed(UNSUPPORTED_URI, f"{uri} names the host {parts.netloc!r}; write file:///path")
    path = Path(unquote(parts.path))
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FetchFailed(NOT_FOUND, f"can't open {path}: {reason}") from error
    with file:
        yield Stream(file.read, path.stat().st_size)
