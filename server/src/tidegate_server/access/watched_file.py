"""A mounted file that may change while the server runs: Kubernetes replaces a Secret's files when it is rotated."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from tidegate_server.errors import BadSetting

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
MAX_FILE_BYTES = 2**20

Parsed = TypeVar("Parsed")
_Stamp = tuple[int, int, int] | None


class WatchedFile(Generic[Parsed]):
    """The parsed content of the file as it is now.

    A file that is broken or away while the server runs changes nothing: the last good content stays, and one line in
    the log says why. `parse` raises BadSetting, whose words must not hold anything of the content.
    """

    def __init__(self, path: Path, variable: str, parse: Callable[[bytes], Parsed], clock: Callable[[], float]) -> None:
        """Raises BadSetting when the file can't be used now. `clock` gives seconds and never goes back."""
        self._path, self._variable, self._parse, self._clock = path, variable, parse, clock
        self.version = 0
        self._stamp = self._stat()
        self._content = self._read()
        self._next_poll = clock() + POLL_SECONDS

    def content(self) -> Parsed:
        """Looks at the file's time every two seconds at most; `version` counts the changes."""
        now = self._clock()
        if now >= self._next_poll:
            self._next_poll = now + POLL_SECONDS
            self._reread()
        return self._content

    def _reread(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            content = self._read()
        except BadSetting as error:
            log.error("%s; what it held before stays in force", error)
            return
        self._content = content
        self.version += 1
        log.info("%s has changed: %s was read again", self._variable, self._path)

    def _stat(self) -> _Stamp:
        try:
            seen = os.stat(self._path)
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size, seen.st_ino

    def _read(self) -> Parsed:
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            missing = f"{self._variable}: {self._path} can't be read ({error.strerror})"
            raise BadSetting(missing, permanent=False) from None
        if len(raw) > MAX_FILE_BYTES:
            raise BadSetting(f"{self._variable}: {self._path} is larger than 1 MiB; that's no file of keys")
        try:
            return self._parse(raw)
        except BadSetting as error:
            raise BadSetting(f"{self._variable}: {self._path}{error}", permanent=False) from None
