"""One file from its source to the folder of parts: counted and hashed while it comes, and resumed where it broke."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.bounds import Allowance
from tidegate_server.fetch.parts import Note, Parts, disk_failures
from tidegate_server.fetch.report import TOO_LARGE, UNREACHABLE, WRONG_DIGEST
from tidegate_server.fetch.sources.stream import SourceFile, Stream

PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Arrived:
    """A whole file, still in the folder of parts or of what was unpacked there."""

    place: Path
    sha256: str
    size: int
    resumed: bool = False


def transfer(file: SourceFile, parts: Parts, allowance: Allowance, sha256: str | None = None) -> Arrived:
    """Brings a file, or what of it is missing. `sha256`: what it must have. Raises FetchFailed."""
    place, note = parts.place(file.name), parts.note(file.name)
    if (arrived := _is_complete(file, place, note)) is None:
        arrived = _receive(file, place, _resumable(file, note), parts, allowance)
    if arrived.size > allowance.left:
        raise _too_large(f"the model has {arrived.size} bytes", allowance)
    allowance.left -= arrived.size
    _check_digest(file, arrived, sha256 or file.sha256, parts)
    return arrived


def _is_complete(file: SourceFile, place: Path, note: Note | None) -> Arrived | None:
    if note is None or note.sha256 is None or file.version is None or note.version != file.version:
        return None
    return Arrived(place, note.sha256, place.stat().st_size)


def _resumable(file: SourceFile, note: Note | None) -> str | None:
    """The version of the bytes that are here, if a source can be asked for the rest of them."""
    if note is None or (file.version is not None and note.version != file.version):
        return None
    return note.version


def _receive(file: SourceFile, place: Path, version: str | None, parts: Parts, allowance: Allowance) -> Arrived:
    offset = place.stat().st_size if version is not None else 0
    with file.open(offset, version) as stream:
        if stream.size is not None and stream.size > allowance.left:
            raise _too_large(f"the model has {stream.size} bytes", allowance)
        if stream.start and stream.version != version:
            parts.forget(file.name)
            raise FetchFailed(UNREACHABLE, f"{file.name} changed at its source meanwhile", transient=True)
        with disk_failures(parts.folder), _opened(place, stream.start) as part:
            _write_note(file.name, stream, parts)
            arrived = _copy(stream, part, place, allowance)
    if stream.version is not None:
        parts.write_note(file.name, stream.version, arrived.sha256)
    return arrived


def _write_note(name: str, stream: Stream, parts: Parts) -> None:
    """Before the first byte. Without a version nobody could tell whether the rest belongs to the beginning."""
    if stream.version is not None:
        parts.write_note(name, stream.version)


@contextmanager
def _opened(place: Path, start: int) -> Iterator[BinaryIO]:
    """For reading what is there up to `start`, and for writing from there on."""
    if start == 0:
        place.with_suffix(".json").unlink(missing_ok=True)
    with place.open("r+b" if start else "w+b") as part:
        part.truncate(start)
        yield part


def _copy(stream: Stream, part: BinaryIO, place: Path, allowance: Allowance) -> Arrived:
    digest, size = hashlib.sha256(), 0
    while piece := part.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    while piece := _read(stream):
        size += len(piece)
        if size > allowance.left:
            raise _too_large("the model has more bytes", allowance)
        digest.update(piece)
        part.write(piece)
    if stream.size is not None and size < stream.size:
        cut = f"the model was cut short: {size} of {stream.size} bytes came"
        raise FetchFailed(UNREACHABLE, cut, transient=True)
    part.flush()
    os.fsync(part.fileno())
    return Arrived(place, digest.hexdigest(), size, resumed=stream.start > 0)


def _read(stream: Stream) -> bytes:
    try:
        return stream.read(PIECE_BYTES)
    except (OSError, HTTPException) as error:
        raise FetchFailed(UNREACHABLE, "the connection broke before the model was complete", transient=True) from error


def _too_large(found: str, allowance: Allowance) -> FetchFailed:
    used = allowance.most - allowance.left
    beside = f" beside the {used} of its other files" if used else ""
    return FetchFailed(TOO_LARGE, f"{found}{beside}, the limit is {allowance.most}; raise it or shrink the model")


def _check_digest(file: SourceFile, arrived: Arrived, wanted: str | None, parts: Parts) -> None:
    if wanted is None or arrived.sha256 == wanted:
        return
    parts.forget(file.name)
    if arrived.resumed:
        # Its beginning and its end may be of two versions. Only a whole download says that the digest is wrong.
        raise FetchFailed(UNREACHABLE, f"what was resumed isn't {file.name}; it starts over", transient=True)
    raise FetchFailed(
        WRONG_DIGEST,
        f"the sha256 of {file.name or 'the model'} is {arrived.sha256}, not {wanted}; "
        "correct model.sha256 or the file behind model.uri",
    )
