"""One file from its source to the folder of partial downloads: counted, hashed and resumed where it broke."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.limits import ByteBudget
from tidegate_server.fetch.partial_downloads import PartialDownloads, PartRecord, disk_failures
from tidegate_server.fetch.parts import PIECE_BYTES, NoRanges, Parts, bring, is_worth_parts
from tidegate_server.fetch.report import TOO_LARGE, UNREACHABLE, WRONG_DIGEST
from tidegate_server.fetch.sources.listing import SourceFile, Stream


@dataclass(frozen=True)
class LocalFile:
    """A whole file, still in the folder of partial downloads. `size`: in bytes."""

    path: Path
    sha256: str
    size: int
    resumed: bool = False


def download(
    file: SourceFile,
    downloads: PartialDownloads,
    budget: ByteBudget,
    sha256: str | None = None,
    connections: int = 1,
) -> LocalFile:
    """Downloads a file, or the rest of it, within the budget. `sha256`: what it must have. Raises FetchFailed.

    `connections`: how many a large file may come over at once, where its source gives parts of it.
    """
    path, record = downloads.path(file.name), downloads.record(file.name)
    if (local_file := _completed(file, path, record)) is None:
        try:
            local_file = _receive(file, path, _resumable(file, record), downloads, budget, connections)
        except NoRanges:
            downloads.forget(file.name)
            local_file = _receive(file, path, None, downloads, budget, 1)
    if local_file.size > budget.remaining:
        raise _too_large(f"the model has {local_file.size} bytes", budget)
    budget.remaining -= local_file.size
    _check_digest(file, local_file, sha256 or file.sha256, downloads)
    return local_file


def _completed(file: SourceFile, path: Path, record: PartRecord | None) -> LocalFile | None:
    if record is None or record.sha256 is None or file.version is None or record.version != file.version:
        return None
    return LocalFile(path, record.sha256, path.stat().st_size)


def _resumable(file: SourceFile, record: PartRecord | None) -> PartRecord | None:
    """What is known of the bytes that are here, if a source can be asked for the rest of them."""
    if record is None or record.version is None or (file.version is not None and record.version != file.version):
        return None
    return record


def _receive(
    file: SourceFile,
    path: Path,
    before: PartRecord | None,
    downloads: PartialDownloads,
    budget: ByteBudget,
    connections: int,
) -> LocalFile:
    """Raises NoRanges, over several connections, where the source gives whole files only."""
    version = before.version if before is not None else None
    offset = path.stat().st_size if before is not None and before.reached is None else 0
    # Where parts are to be expected, one byte says the size and the version; of a whole file much would come in vain.
    is_probe = not offset and connections > 1 and _comes_in_parts(file, before)
    with file.open(offset, version if offset else None, 1 if is_probe else None) as stream:
        if stream.size is not None and stream.size > budget.remaining:
            raise _too_large(f"the model has {stream.size} bytes", budget)
        if stream.start and stream.version != version:
            downloads.forget(file.name)
            raise FetchFailed(UNREACHABLE, f"{file.name} changed at its source meanwhile", transient=True)
        parts = _parts(stream, before, connections)
        if parts is None:
            if is_probe:
                raise NoRanges
            with disk_failures(downloads.folder), _open_part(path, stream.start) as part:
                _write_record(file.name, stream, downloads)
                local_file = _copy(stream, part, path, budget)
    if parts is not None:
        local_file = _receive_parts(file, path, parts, stream.version or "", downloads, connections)
    if stream.version is not None:
        downloads.write_record(file.name, stream.version, local_file.sha256)
    return local_file


def _comes_in_parts(file: SourceFile, before: PartRecord | None) -> bool:
    if before is not None and before.reached is not None:
        return True
    return file.version is not None and is_worth_parts(file.size or 0)


def _parts(stream: Stream, before: PartRecord | None, connections: int) -> Parts | None:
    """Those that a file comes in, where it's large and its source gives them; None for one stream."""
    if stream.start or stream.size is None or stream.version is None or not stream.has_ranges or connections == 1:
        return None
    is_same = before is not None and before.version == stream.version
    if is_same and (recorded := Parts.recorded(before, stream.size)) is not None:
        return recorded
    return Parts.of(stream.size, connections) if is_worth_parts(stream.size) else None


def _receive_parts(
    file: SourceFile, path: Path, parts: Parts, version: str, downloads: PartialDownloads, connections: int
) -> LocalFile:
    resumed = any(begin < reached for begin, reached in parts.spans)

    def note(now: Parts) -> None:
        downloads.write_parts(file.name, version, now.part_bytes, now.reached)

    if not resumed:
        downloads.forget(file.name)
    sha256 = bring(file, path, parts, version, connections, note)
    return LocalFile(path, sha256, parts.size, resumed)


def _write_record(name: str, stream: Stream, downloads: PartialDownloads) -> None:
    """Before the first byte. Without a version nobody could tell whether the rest belongs to the beginning."""
    if stream.version is not None:
        downloads.write_record(name, stream.version)


@contextmanager
def _open_part(path: Path, start: int) -> Iterator[BinaryIO]:
    """For reading what is there up to `start`, and for writing from there on."""
    if start == 0:
        path.with_suffix(".json").unlink(missing_ok=True)
    with path.open("r+b" if start else "w+b") as part:
        part.truncate(start)
        yield part


def _copy(stream: Stream, part: BinaryIO, path: Path, budget: ByteBudget) -> LocalFile:
    digest, size = hashlib.sha256(), 0
    while piece := part.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    while piece := _read(stream):
        size += len(piece)
        if size > budget.remaining:
            raise _too_large("the model has more bytes", budget)
        digest.update(piece)
        part.write(piece)
    if stream.size is not None and size < stream.size:
        sentence = f"the model was cut short: {size} of {stream.size} bytes came"
        raise FetchFailed(UNREACHABLE, sentence, transient=True)
    part.flush()
    os.fsync(part.fileno())
    return LocalFile(path, digest.hexdigest(), size, resumed=stream.start > 0)


def _read(stream: Stream) -> bytes:
    try:
        return stream.read(PIECE_BYTES)
    except (OSError, HTTPException) as error:
        raise FetchFailed(UNREACHABLE, "the connection broke before the model was complete", transient=True) from error


def _too_large(found: str, budget: ByteBudget) -> FetchFailed:
    used = budget.limit - budget.remaining
    beside = f" beside the {used} of its other files" if used else ""
    return FetchFailed(TOO_LARGE, f"{found}{beside}, the limit is {budget.limit}; raise it or shrink the model")


def _check_digest(file: SourceFile, local_file: LocalFile, wanted: str | None, downloads: PartialDownloads) -> None:
    if wanted is None or local_file.sha256 == wanted:
        return
    downloads.forget(file.name)
    if local_file.resumed:
        # Its beginning and its end may be of two versions. Only a whole download says that the digest is wrong.
        raise FetchFailed(UNREACHABLE, f"what was resumed isn't {file.name}; it starts over", transient=True)
    raise FetchFailed(
        WRONG_DIGEST,
        f"the sha256 of {file.name or 'the model'} is {local_file.sha256}, not {wanted}; "
        "correct model.sha256 or the file behind model.uri",
    )
