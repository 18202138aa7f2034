"""The files that the command line names: each is looked at before a server is asked anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from tidegate.cli.common.errors import Unusable
from tidegate.errors import TidegateError
from tidegate.rehearsal.payloads import Payload, read_requests


def read(path: Path, option: str) -> bytes:
    """What is in the file. Raises Unusable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{option}: {path} can't be read: {error.strerror}") from error


@dataclass(frozen=True)
class RequestFile:
    """Recorded requests, read once: the file may be a pipe."""

    name: str
    text: str

    @classmethod
    def open(cls, path: Path, model: str) -> "RequestFile":
        """Raises Unusable where it can't be read, has no requests, or one that makes no sense."""
        try:
            found = cls(str(path), read(path, "--requests").decode())
            found.payloads(model)
        except UnicodeDecodeError as error:
            raise Unusable(f"--requests: {path} isn't UTF-8: {error.reason} at byte {error.start}") from error
        except Unusable:
            raise
        except TidegateError as error:
            raise Unusable(f"--requests: {error}") from error
        return found

    def payloads(self, model: str) -> Sequence[Payload]:
        """To the model of that name. Raises TidegateError."""
        return read_requests(StringIO(self.text), model, self.name)


def check_writable(path: Path, option: str) -> None:
    """Raises Unusable where no file can be written; leaves all as it was."""
    try:
        is_new = not (path.exists() or path.is_symlink())
        # A pipe isn't opened: its reader would take that for the end.
        if is_new or path.is_dir() or path.is_file():
            path.open("a").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise Unusable(f"{option}: {path} can't be written: {error.strerror}") from error
