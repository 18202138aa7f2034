"""The folder of unfinished downloads, beside the model's place, so that a rename is all that is left to do.

Each file has a note beside its bytes: where they are from, and of which version. A process that starts anew goes on
where the last one stopped, and takes nothing that belongs to another URI or to another version of the file.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import TOO_LARGE, UNREACHABLE


@dataclass(frozen=True)
class Note:
    """`source`: the URI without what may be secret. `sha256`: of the whole file, once it is complete."""

    source: str
    version: str | None
    sha256: str | None = None


class Parts:
    """What has come of a model so far. `source`: the URI without what may be secret."""

    def __init__(self, target: Path, source: str) -> None:
        self.folder = target.parent / f".{target.name}.fetch"
        self.source = source
        with disk_failures(target):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._drop_what_is_not_of(source)

    def place(self, name: str) -> Path:
        """Where the bytes of a file go."""
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.part"

    def note(self, name: str) -> Note | None:
        """What is known of a file's bytes; None where there are none, or none of this URI."""
        note = _read_note(self._note(name))
        return note if note is not None and note.source == self.source and self.place(name).is_file() else None

    def write_note(self, name: str, version: str | None, sha256: str | None = None) -> None:
        self._note(name).write_text(json.dumps(asdict(Note(self.source, version, sha256))))

    def forget(self, name: str) -> None:
        self._note(name).unlink(missing_ok=True)
        self.place(name).unlink(missing_ok=True)

    def room(self, name: str) -> Path:
        """A new empty folder of that name in here."""
        room = self.folder / name
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        return room

    def received(self) -> int:
        """Bytes of all files so far."""
        return sum(path.stat().st_size for path in self.folder.glob("*.part"))

    def discard(self) -> None:
        """Everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def discard_unless_resumable(self) -> None:
        """Keeps what a later process can go on with: the bytes whose version is known."""
        for path in self.folder.glob("*.part"):
            if not path.with_suffix(".json").is_file():
                path.unlink(missing_ok=True)
        if not any(self.folder.glob("*.part")):
            self.discard()

    def _drop_what_is_not_of(self, source: str) -> None:
        """It would take the room that the new model needs."""
        for path in self.folder.glob("*.part"):
            if (note := _read_note(path.with_suffix(".json"))) is None or note.source != source:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)

    def _note(self, name: str) -> Path:
        return self.place(name).with_suffix(".json")


def _read_note(place: Path) -> Note | None:
    try:
        return Note(**json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def disk_failures(target: Path) -> Iterator[None]:
    """Says in one sentence what the disk refused."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise FetchFailed(TOO_LARGE, f"no space left for the model in {target.parent}") from error
        raise FetchFailed(UNREACHABLE, f"can't write the model to {target}: {error.strerror}") from error
