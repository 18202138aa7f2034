"""A socket that is a file, for callers on the same machine or in the same pod."""

import logging
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import BadSetting

log = logging.getLogger(__name__)

MAX_PATH_BYTES = 107
"""Of the kernel's sun_path, without its end."""


@dataclass(frozen=True)
class UnixSocket:
    """Where it is and who may connect. `variable` is named in what goes wrong."""

    path: Path
    variable: str
    mode: int = 0o660

    def make_room(self) -> None:
        """Removes a socket that nobody listens to any more. Raises BadSetting where there can't be one."""
        if len(os.fsencode(self.path)) > MAX_PATH_BYTES:
            raise self._bad(f"is longer than the {MAX_PATH_BYTES} bytes that a socket's path may have")
        if not self.path.parent.is_dir():
            raise self._bad("is in a folder that isn't there; make it, or mount it")
        try:
            found = self.path.lstat()
        except OSError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise self._bad("is there and is no socket; remove it, or name another path")
        if self._is_listened_to():
            raise self._bad("is another server's that listens; end it, or name another path")
        with suppress(FileNotFoundError):
            self.path.unlink()
        log.info("%s: removed %s, which a server that is gone has left", self.variable, self.path)

    def bound(self) -> socket.socket:
        """Not listening yet, so nobody can connect before its mode is set. Raises BadSetting."""
        self.make_room()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(self.mode)
        except OSError as error:
            listener.close()
            raise self._bad(f"can't be made ({error.strerror})") from None
        return listener

    def identity(self) -> tuple[int, int] | None:
        """Of the file that is there now; None where there is none."""
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def remove(self, identity: tuple[int, int] | None) -> None:
        """Unless another server has put its own there."""
        if identity is not None and identity == self.identity():
            with suppress(OSError):
                self.path.unlink()

    def _is_listened_to(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except BlockingIOError:
                return True  # so many wait that it takes no more now
            except ConnectionRefusedError:
                return False
            except OSError as error:
                raise self._bad(f"is a socket that can't be tried ({error.strerror}); remove it") from None
        return True

    def _bad(self, what: str) -> BadSetting:
        return BadSetting(f"{self.variable}: {self.path} {what}")
