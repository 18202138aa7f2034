"""Objects in buckets, through fsspec: what s3://, gs:// and az:// have in common.

The library is asked for one object or for all below a prefix, and reads in blocks, each a request of its own: so a file
can be begun anywhere, and a broken connection costs no more than a block. What a library says about a failure is shown
without anything that came from a secret variable.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.limits import MAX_FILES
from tidegate_server.fetch.report import NOT_FOUND, UNREACHABLE, UNSAFE_CONTENT, UNSUPPORTED_URI
from tidegate_server.fetch.sources.listing import Listing, SourceFile, Stream, single
from tidegate_server.onnx_file import MAX_FOLDERS

BLOCK_BYTES = 16 * 2**20
PART_BLOCK_BYTES = 4 * 2**20
"""Of a part that comes beside others: together they lose no more than one block when all connections break."""
CONNECT_SECONDS, SILENCE_SECONDS = 10, 20

_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION_STRING", re.IGNORECASE)
_PERMANENT_WORDS = ("credential", "permission", "denied", "forbidden", "unauthorized", "signature", "access key", "403")


class Bucket(Protocol):
    """What is used of an fsspec file system."""

    def info(self, path: str) -> dict[str, Any]:
        """Of an object or a folder."""
        ...

    def find(self, path: str, **options: Any) -> dict[str, dict[str, Any]]:
        """All objects below a path, by path."""
        ...

    def open(self, path: str, mode: str, **options: Any) -> Any:
        """A file object."""


Version = Callable[[Mapping[str, Any]], str | None]
"""What, of an object's description, changes when its content does."""


def version_from(*fields: str) -> Version:
    """The first of these fields that the description has."""

    def version(found: Mapping[str, Any]) -> str | None:
        return next((str(found[field]) for field in fields if found.get(field)), None)

    return version


def list_objects(uri: str, connect: Callable[[], Bucket], version: Version) -> Listing:
    """The object of that name, or the objects below it. Raises FetchFailed."""
    parts = urlsplit(uri)
    scheme, path = parts.scheme, unquote(parts.path).strip("/")
    if not parts.hostname or not path:
        raise FetchFailed(UNSUPPORTED_URI, f"{scheme}:// needs a bucket and a path; write {scheme}://BUCKET/path")
    if parts.username or parts.password:
        raise FetchFailed(UNSUPPORTED_URI, f"{scheme}:// takes no credentials; give them in environment variables")
    full_path = f"{parts.netloc}/{path}"
    with failures(scheme):
        bucket = connect()
        found = bucket.info(full_path)
        if found["type"] != "directory":
            return single(_file(bucket, scheme, full_path, path.rpartition("/")[2], found, version))
        objects = bucket.find(full_path, detail=True, maxdepth=MAX_FOLDERS + 1)
    return Listing(tuple(_files(bucket, scheme, full_path, objects, version)))


def _files(
    bucket: Bucket, scheme: str, folder: str, objects: Mapping[str, Mapping[str, Any]], version: Version
) -> Iterator[SourceFile]:
    plain = {path: found for path, found in objects.items() if found["type"] == "file" and not path.endswith("/")}
    if not plain:
        raise FetchFailed(NOT_FOUND, f"there is nothing below {scheme}://{folder}; check model.uri")
    if len(plain) > MAX_FILES:
        sentence = f"there are more than {MAX_FILES} files below model.uri; name the model's own"
        raise FetchFailed(UNSAFE_CONTENT, sentence)
    for path, found in sorted(plain.items()):
        yield _file(bucket, scheme, path, path.removeprefix(f"{folder}/"), found, version)


def _file(bucket: Bucket, scheme: str, path: str, name: str, found: Mapping[str, Any], version: Version) -> SourceFile:
    opened = _Object(bucket, scheme, path, version(found), version)
    return SourceFile(name, opened.open, found["size"], opened.known)


@dataclass(frozen=True)
class _Object:
    """`known`: its version when it was listed."""

    bucket: Bucket
    scheme: str
    path: str
    known: str | None
    version: Version

    @contextmanager
    def open(self, offset: int, _before: str | None, end: int | None = None) -> Iterator[Stream]:
        """In blocks, or only the part that is wanted."""
        with failures(self.scheme):
            kept = "readahead" if end is None else "none"
            file = self.bucket.open(self.path, "rb", block_size=BLOCK_BYTES, cache_type=kept)
            file.seek(offset)
        self._check(file)
        read = file.read if end is None else _Blocks(file.read, end - offset).read

        def read_safely(size: int) -> bytes:
            with failures(self.scheme):
                return bytes(read(size))

        with file:
            yield Stream(read_safely, file.size, offset, self.known, has_ranges=self.known is not None)

    def _check(self, file: Any) -> None:
        """Raises FetchFailed for another object than the one that was listed."""
        now = self.version(getattr(file, "details", None) or {})
        if None not in (now, self.known) and str(now).strip('"') != str(self.known).strip('"'):
            raise FetchFailed(UNREACHABLE, f"the object at {self.scheme}:// changed meanwhile", transient=True)


class _Blocks:
    """Reads so many bytes in as few requests as there are blocks, whatever is asked of it."""

    def __init__(self, read: Callable[[int], bytes], size: int) -> None:
        self._read, self._left, self._block = read, size, memoryview(b"")

    def read(self, size: int) -> memoryview:
        """Up to so many bytes, and none at the end."""
        if not self._block and self._left:
            self._block = memoryview(self._read(min(PART_BLOCK_BYTES, self._left)))
            self._left -= len(self._block)
        piece, self._block = self._block[:size], self._block[size:]
        return piece


@contextmanager
def failures(scheme: str) -> Iterator[None]:
    """The libraries' errors in our words. Theirs have no common base, and come in dozens of classes."""
    try:
        yield
    except FetchFailed:
        raise
    except FileNotFoundError:
        raise FetchFailed(NOT_FOUND, f"{scheme}:// has no such object; check model.uri") from None
    except Exception as error:  # noqa: BLE001 - raised again, in our words
        words = without_secrets(" ".join(str(error).split()), os.environ)[:200]
        cause = f"{type(error).__name__}: {words}" if words else type(error).__name__
        if _is_refusal(error, words):
            raise FetchFailed(UNREACHABLE, f"{scheme}:// refused access ({cause}); check the credentials") from None
        raise FetchFailed(UNREACHABLE, f"{scheme}:// can't be read ({cause})", transient=True) from None


def _is_refusal(error: Exception, words: str) -> bool:
    if isinstance(error, PermissionError) or getattr(error, "status_code", None) in (401, 403):
        return True
    lower = f"{type(error).__name__} {words}".lower()
    return any(word in lower for word in _PERMANENT_WORDS)


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """The text without the values of variables that are named like secrets, and without the queries of URLs."""
    for name, value in environ.items():
        if _SECRET.search(name) and len(value) >= 4:
            text = text.replace(value, "***")
    return re.sub(r"(?<=://)[^\s/@]*@", "", re.sub(r"\?[^\s\"')]*", "", text))
