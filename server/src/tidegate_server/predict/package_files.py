"""Reads the small files beside a model. Whatever is wrong with one becomes a ModelRefused that names it."""

from pathlib import Path
from typing import Any

import orjson

from tidegate_server.errors import ModelRefused


def unusable(file: str, sentence: str) -> ModelRefused:
    """`sentence` says what is wrong and what to do."""
    return ModelRefused("UnsupportedModel", f"{file}: {sentence}")


def read_file(path: Path, max_bytes: int) -> bytes | None:
    """None when there is no such file. Raises ModelRefused when it is larger than `max_bytes` or can't be read."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
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
