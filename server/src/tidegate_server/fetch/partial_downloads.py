"""The folder of unfinished downloads, beside the target, so that a rename is all that is left to do.

Each file has a record beside its bytes: where they are from, and of which version. A process that starts anew goes on
where the last one stopped, and takes nothing that belongs to another URI or to another version of the file.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import TOO_LARGE, UNREACHABLE


@dataclass(frozen=True)
class PartRecord:
    """Of a partial file. `source`: the URI without what may be secret. `sha256`: of the file, once it is complete.

    `part_bytes`, `reached`: of a file that comes in parts, their size and how far each has come.
    """

    source: str
    version: str | None
    sha256: str | None = None
    part_bytes: int | None = None
    reached: Sequence[int] | None = None


class PartialDownloads:
    """The partial files of a model. `source`: the URI without what may be secret."""

    def __init__(self, target: Path, source: str) -> None:
        """Makes the folder and deletes what is of another source. Raises FetchFailed."""
        self.folder = target.parent / f".{target.name}.fetch"
        self.source = source
        with disk_failures(target):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._drop_other_sources(source)

    def path(self, name: str) -> Path:
        """Where the bytes of a file go."""
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.part"

    def record(self, name: str) -> PartRecord | None:
        """What is known of a file's bytes; None where there are none, or none of this URI."""
        record = _read_record(self._record_path(name))
        return record if record is not None and record.source == self.source and self.path(name).is_file() else None

    def write_record(self, name: str, version: str | None, sha256: str | None = None) -> None:
        """`version`: of the bytes that are here; `sha256`: once they are all of the file."""
        self._write(name, PartRecord(self.source, version, sha256))

    def write_parts(self, name: str, version: str, part_bytes: int, reached: Sequence[int]) -> None:
        """How far each part of a file of that version has come."""
        self._write(name, PartRecord(self.source, version, None, part_bytes, list(reached)))

    def _write(self, name: str, record: PartRecord) -> None:
        """All of it or, where the process is killed meanwhile, nothing."""
        path = self._record_path(name)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(record)))
        new.replace(path)

    def forget(self, name: str) -> None:
        """Deletes a file's bytes and its record."""
        self._record_path(name).unlink(missing_ok=True)
        self.path(name).unlink(missing_ok=True)

    def new_folder(self, name: str) -> Path:
        """A new empty folder of that name in here."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def received_bytes(self) -> int:
        """Bytes of all files so far."""
        return sum(map(_bytes_here, self.folder.glob("*.part")))

    def discard(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def discard_unless_resumable(self) -> None:
        """Keeps what a later process can go on with: the bytes whose version is known."""
        for path in self.folder.glob("*.part"):
            if not path.with_suffix(".json").is_file():
                path.unlink(missing_ok=True)
        if not any(self.folder.glob("*.part")):
            self.discard()

    def _drop_other_sources(self, source: str) -> None:
        """They would take the space that the new model needs."""
        for path in self.folder.glob("*.part"):
            if (record := _read_record(path.with_suffix(".json"))) is None or record.source != source:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)

    def _record_path(self, name: str) -> Path:
        return self.path(name).with_suffix(".json")


def _bytes_here(path: Path) -> int:
    """A file that comes in parts has holes."""
    status = path.stat()
    return min(status.st_size, status.st_blocks * 512)


def _read_record(path: Path) -> PartRecord | None:
    try:
        return PartRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def disk_failures(target: Path) -> Iterator[None]:
    """Turns OSError into FetchFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise FetchFailed(TOO_LARGE, f"no space left for the model in {target.parent}") from error
        raise FetchFailed(UNREACHABLE, f"can't write the model to {target}: {error.strerror}") from error
