"""The key from the volume that Kubernetes keeps up to date, and for some minutes the one before it."""

import threading
from pathlib import Path
from time import monotonic

from tidegate.resources.sampling import LEAST_KEY_BYTES

OVERLAP_SECONDS = 600.0
"""How long a key is still taken once there is another: not everybody hears of that at the same time."""


class KeyFile:
    """Reads the file whenever somebody asks: it is 32 bytes in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._newest: bytes | None = None
        self._before: bytes | None = None
        self._changed_at = 0.0

    def keys(self) -> tuple[bytes, ...]:
        """The keys that are taken, the newest first; none where there is no file, or no key in it."""
        with self._lock:
            self._see(self._read())
            is_over = monotonic() - self._changed_at >= OVERLAP_SECONDS
            taken = (self._newest, None if is_over else self._before)
            return tuple(key for key in taken if key is not None)

    def _read(self) -> bytes | None:
        try:
            key = self._path.read_bytes()
        except OSError:
            return None
        return key if len(key) >= LEAST_KEY_BYTES else None

    def _see(self, key: bytes | None) -> None:
        if key != self._newest:
            self._before, self._newest, self._changed_at = self._newest or self._before, key, monotonic()
