"""The directory that Envoy watches. A file appears there whole or not at all."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class XdsDirectory:
    """Writes by temporary file, fsync and rename: Envoy reacts to renames only, and never sees half a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> str:
        """Where Envoy finds the files."""
        return str(self._path)

    def names(self) -> list[str]:
        """The files that are there, without unfinished ones."""
        return sorted(entry.name for entry in self._path.glob("*.json"))

    def read(self, name: str) -> dict[str, Any] | None:
        """A file's content; None when there is none, or none that makes sense."""
        try:
            content = json.loads((self._path / name).read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and "version_info" in content else None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replaces a file at once. Raises OSError when the disk refuses."""
        unfinished = self._path / f"{name}.unfinished"
        with unfinished.open("wb") as file:
            file.write(json.dumps(content, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path / name)

    def remove(self, name: str) -> None:
        """Removes a file; that it isn't there is fine."""
        with contextlib.suppress(FileNotFoundError):
            (self._path / name).unlink()
