"""From a source to a file, all or nothing: the target appears by rename, complete and with the wanted digest."""

import errno
import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import TOO_LARGE, UNREACHABLE, WRONG_DIGEST
from tidegate_server.fetch.sources import Origin
from tidegate_server.fetch.sources.stream import Stream

PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Wanted:
    """`sha256`: 64 lower-case hex digits, or None when any content will do."""

    target: Path
    sha256: str | None
    max_bytes: int


@dataclass(frozen=True)
class Downloaded:
    """Not at its target yet: whoever finds nothing wrong with it calls `accept`."""

    part: Path
    sha256: str
    size: int


def download(origin: Origin, wanted: Wanted) -> Downloaded:
    """Raises FetchFailed, and leaves nothing behind then."""
    # One fixed name, so that what a killed attempt left behind is overwritten and doesn't pile up.
    part = wanted.target.with_name(f".{wanted.target.name}.part")
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        with origin.source(origin.uri) as stream, part.open("wb") as file:
            sha256, size = _copy(stream, file, wanted.max_bytes)
        _check_digest(sha256, wanted.sha256)
    except FetchFailed:
        discard(part)
        raise
    except OSError as error:
        discard(part)
        raise _disk_failure(error, wanted.target) from error
    return Downloaded(part, sha256, size)


def accept(downloaded: Downloaded, target: Path) -> None:
    """Puts the file in its place, for good: after a power cut it is there whole, or not at all. Raises FetchFailed."""
    try:
        downloaded.part.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        discard(downloaded.part)
        raise _disk_failure(error, target) from error


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)


def _copy(stream: Stream, file: BinaryIO, max_bytes: int) -> tuple[str, int]:
    if stream.size is not None and stream.size > max_bytes:
        raise FetchFailed(TOO_LARGE, f"the model has {stream.size} bytes, the limit is {max_bytes}")
    digest, size = hashlib.sha256(), 0
    while piece := _read(stream):
        size += len(piece)
        if size > max_bytes:
            raise FetchFailed(TOO_LARGE, f"the model has more than {max_bytes} bytes, which is the limit")
        digest.update(piece)
        file.write(piece)
    if stream.size is not None and size < stream.size:
        raise _cut_short(size, stream.size)
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest(), size


def _read(stream: Stream) -> bytes:
    try:
        return stream.read(PIECE_BYTES)
    except (OSError, HTTPException) as error:
        raise FetchFailed(UNREACHABLE, "the connection broke before the model was complete", transient=True) from error


def _cut_short(got: int, size: int) -> FetchFailed:
    return FetchFailed(UNREACHABLE, f"the model was cut short: {got} of {size} bytes came", transient=True)


def _check_digest(found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise FetchFailed(
            WRONG_DIGEST,
            f"the file's sha256 is {found}, not {wanted}; correct model.sha256 or the file behind model.uri",
        )


def _disk_failure(error: OSError, target: Path) -> FetchFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FetchFailed(TOO_LARGE, f"no space left for the model in {target.parent}")
    return FetchFailed(UNREACHABLE, f"can't write the model to {target}: {error.strerror}")
