"""Reads the small files beside a model. Whatever is wrong with one becomes a ModelRefused that names it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tidegate_server.errors import ModelRefused

GRAPHS_FOLDER = "onnx"
"""Where transformers.js, sentence-transformers and optimum keep graphs; what belongs to them lies one level up."""
MAX_JSON_BYTES = 16 * 2**20


@dataclass(frozen=True)
class PackageFolder:
    """The folder that a graph is in, and the one above it where exporters put what belongs to the graph there."""

    path: Path

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.path, self.path.parent) if self.path.name == GRAPHS_FOLDER else (self.path,)

    def has(self, name: str) -> bool:
        """Whether there is anything of that name."""
        return any((folder / name).exists() for folder in self._folders)

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Of the first file of that name; None when there is none. Raises ModelRefused as `read_file` does."""
        contents = (read_file(folder / name, max_bytes) for folder in self._folders)
        return next((content for content in contents if content is not None), None)

    def json(self, name: str) -> Any:
        """The document in a file; None when there is none. Raises ModelRefused."""
        content = self.read(name, MAX_JSON_BYTES)
        return None if content is None else parse_json(name, content)


def unusable(file: str, sentence: str) -> ModelRefused:
    """`sentence` says what is wrong and what to do."""
    return ModelRefused("UnsupportedModel", f"{file}: {sentence}")


def read_file(path: Path, max_bytes: int) -> bytes | None:
    """None when there is no such file. Raises ModelRefused when it is larger than `max_bytes` or can't be read."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(path.name, f"it can't be read ({error.strerror}); check the file's rights") from None
    if len(content) > max_bytes:
        raise unusable(path.name, f"it is larger than {max_bytes} bytes; make it smaller or remove it")
    return content


def parse_json(name: str, content: bytes) -> Any:
    """Raises ModelRefused with the place of the mistake."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise unusable(name, f"it isn't valid JSON ({error}); correct it or remove the file") from None
