"""One large file over several connections at once, each of which brings a part of it; resumed to the byte.

A connection that breaks gives its part back, and the others go on: what a server refuses to so many at once comes over
fewer. The digest follows behind what is here from the start on, so nothing waits for it at the end.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Condition, Thread

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.partial_downloads import PartRecord, disk_failures
from tidegate_server.fetch.report import UNREACHABLE
from tidegate_server.fetch.sources.listing import SourceFile

PIECE_BYTES = 2**20
"""Read at once, from a connection that has so much."""
LEAST_PART_BYTES = 16 * 2**20
PARTS_PER_CONNECTION = 8
"""So that none waits long for the slowest at the end."""
RECORD_SECONDS = 1.0


class NoRanges(Exception):
    """The source was asked for parts of the file, and gives all of it."""


def is_worth_parts(size: int) -> bool:
    """Whether a file of so many bytes comes in several."""
    return size >= 2 * LEAST_PART_BYTES


@dataclass
class Parts:
    """How far each part of a file has come. `reached`: the position behind its last byte that is here."""

    size: int
    part_bytes: int
    reached: list[int]

    @classmethod
    def of(cls, size: int, connections: int) -> "Parts":
        """Nothing is here yet."""
        part = max(LEAST_PART_BYTES, -(-size // (connections * PARTS_PER_CONNECTION)))
        return cls(size, part, list(range(0, size, part)))

    @classmethod
    def recorded(cls, record: PartRecord | None, size: int) -> "Parts | None":
        """What an earlier attempt has brought of a file of that size."""
        if record is None or record.reached is None or record.part_bytes is None:
            return None
        parts = cls(size, record.part_bytes, list(record.reached))
        fits = len(parts.reached) == len(range(0, size, max(1, parts.part_bytes)))
        return parts if fits and all(begin <= at <= parts.end(n) for n, (begin, at) in enumerate(parts.spans)) else None

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where each begins, and how far it has come."""
        return [(number * self.part_bytes, at) for number, at in enumerate(self.reached)]

    def end(self, number: int) -> int:
        """Behind the last byte of a part."""
        return min(self.size, (number + 1) * self.part_bytes)

    def is_here(self, number: int) -> bool:
        """Whether all of a part is."""
        return self.reached[number] == self.end(number)


def bring(
    file: SourceFile, path: Path, parts: Parts, version: str, connections: int, note: Callable[[Parts], None]
) -> str:
    """The file's sha256, once all of it is at `path`. `note` is told now and then how far it has come.

    Raises FetchFailed, and NoRanges.
    """
    with disk_failures(path), path.open("r+b" if path.exists() else "w+b") as local:
        local.truncate(parts.size)
        transfer = _Transfer(file, local.fileno(), parts, version)
        threads = [Thread(target=transfer.work, name=f"part-{n}", daemon=True) for n in range(connections)]
        for thread in threads:
            thread.start()
        try:
            sha256 = transfer.follow(note)
            os.fsync(local.fileno())
        finally:
            transfer.stop()
            for thread in threads:
                thread.join()
            note(parts)
        return sha256


class _Transfer:
    """What its threads share."""

    def __init__(self, file: SourceFile, descriptor: int, parts: Parts, version: str) -> None:
        self._file, self._descriptor, self._parts, self._version = file, descriptor, parts, version
        self._changed = Condition()
        self._waiting = [number for number in range(len(parts.reached)) if not parts.is_here(number)][::-1]
        self._under_way = 0
        self._failure: Exception | None = None
        self._stopped = False

    def work(self) -> None:
        """Brings one part after the other, until there is none, or until this connection fails."""
        while (number := self._take()) is not None:
            failure: Exception | None = None
            try:
                self._bring(number)
            except Exception as error:  # noqa: BLE001 - told to the thread that waits for it
                failure = error
            self._leave(number, failure)
            if failure is not None:
                return

    def follow(self, note: Callable[[Parts], None]) -> str:
        """Hashes each part when it's here. Raises what ended the transfer."""
        digest = hashlib.sha256()
        for number, (begin, _) in enumerate(self._parts.spans):
            self._wait(number, note)
            for position in range(begin, self._parts.end(number), PIECE_BYTES):
                wanted = min(PIECE_BYTES, self._parts.end(number) - position)
                digest.update(os.pread(self._descriptor, wanted, position))
        return digest.hexdigest()

    def stop(self) -> None:
        """Each thread ends after the piece that it's reading."""
        with self._changed:
            self._stopped = True

    def _take(self) -> int | None:
        with self._changed:
            if self._stopped or not self._waiting:
                return None
            self._under_way += 1
            return self._waiting.pop()

    def _leave(self, number: int, failure: Exception | None) -> None:
        with self._changed:
            self._under_way -= 1
            if failure is not None:
                self._waiting.append(number)
                self._failure = failure
                # Of what doesn't pass the others would learn too, one by one.
                self._stopped |= not (isinstance(failure, FetchFailed) and failure.transient)
            self._changed.notify_all()

    def _wait(self, number: int, note: Callable[[Parts], None]) -> None:
        with self._changed:
            while not self._parts.is_here(number):
                if self._failure is not None and (self._stopped or not self._under_way):
                    raise self._failure
                self._changed.wait(RECORD_SECONDS)
                note(self._parts)

    def _bring(self, number: int) -> None:
        parts, begin, end = self._parts, self._parts.reached[number], self._parts.end(number)
        with self._file.open(begin, self._version, end) as stream:
            if stream.version != self._version:
                raise FetchFailed(UNREACHABLE, f"{self._file.name} changed at its source meanwhile", transient=True)
            if stream.start != begin:
                raise NoRanges
            while parts.reached[number] < end and not self._stopped:
                piece = _read(stream.read, min(PIECE_BYTES, end - parts.reached[number]))
                if not piece:
                    came = f"{parts.reached[number] - begin} of {end - begin}"
                    raise FetchFailed(
                        UNREACHABLE, f"a part of the model was cut short: {came} bytes came", transient=True
                    )
                _write(self._descriptor, piece, parts.reached[number])
                parts.reached[number] += len(piece)


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    try:
        return read(size)
    except (OSError, HTTPException) as error:
        raise FetchFailed(UNREACHABLE, "the connection broke before the model was complete", transient=True) from error


def _write(descriptor: int, piece: bytes, position: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
