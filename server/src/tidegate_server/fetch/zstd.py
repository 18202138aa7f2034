"""Reads what is packed with zstd: with Python's own module from 3.14 on, before that with the same one from PyPI."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, cast

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI

_MODULES = ("compression.zstd", "backports.zstd")
_MOST_WINDOW_LOG = 27
"""128 MiB: what zstd itself unpacks unless it's told otherwise. The memory that is needed is as large as the window."""


@contextmanager
def unpacked(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """What is in `file`. Raises FetchFailed where no module can read it, and ValueError for what is damaged."""
    zstd = _module()
    options = {zstd.DecompressionParameter.window_log_max: _MOST_WINDOW_LOG}
    try:
        with zstd.ZstdFile(file, options=options) as plain:
            yield cast(IO[bytes], plain)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error


def _module() -> Any:
    for name in _MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    sentence = "the model is packed with zstd, which needs the Python package backports-zstd; "
    raise FetchFailed(UNSUPPORTED_URI, f"{sentence}install tidegate-server[sources]")
