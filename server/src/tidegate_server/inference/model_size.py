"""How large a model is on disk, with the weights that it keeps in other files, and whether there is room for it."""

from collections.abc import Iterable
from math import ceil
from pathlib import Path

from tidegate_server.errors import ModelRefused
from tidegate_server.onnx_file import external_locations

GIBIBYTE, MEBIBYTE = 2**30, 2**20
ROOM_BESIDE = 256 * MEBIBYTE
"""For the server itself and for requests."""


def model_bytes(path: Path) -> int:
    """Of the file and of those that it keeps weights in. Raises ModelRefused for a file of another kind."""
    return bytes_with(path, external_locations(path))


def bytes_with(path: Path, weights: Iterable[str]) -> int:
    """The same, where it is known already which files those are."""
    beside = (path.parent / name for name in weights)
    return path.stat().st_size + sum(file.stat().st_size for file in beside if file.is_file())


def require_room(path: Path, own_bytes: int, limit_bytes: int | None) -> None:
    """Raises ModelRefused where the kernel would kill the process on opening the model: it says nothing to anybody.

    `own_bytes`: what the process takes without a model. A model takes at least its size in memory, and while it is
    opened up to twice that.
    """
    if limit_bytes is None or not path.is_file():
        return
    size = model_bytes(path)
    if own_bytes + size <= limit_bytes:
        return
    needed = ceil((2 * size + ROOM_BESIDE) / GIBIBYTE)
    raise ModelRefused(
        "TooLarge",
        f"the model has {_words(size)} with its weights, and the container may take {_words(limit_bytes)} of memory, "
        f"of which the server needs {_words(own_bytes)}; set resources.limits.memory to {needed}Gi or so",
    )


def _words(size: int) -> str:
    return f"{size / GIBIBYTE:.1f} GiB" if size >= GIBIBYTE else f"{size / MEBIBYTE:.0f} MiB"
