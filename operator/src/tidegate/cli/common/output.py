"""What a command writes, and whether in colours."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tidegate.errors import TidegateError


def wants_colour(out: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Only a terminal, and not where the user has asked for none (https://no-color.org)."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def write_line(out: TextIO, text: str) -> None:
    """Writes the text and a line end. A reader that has seen enough, such as `head`, is no error."""
    try:
        out.write(text + "\n")
        out.flush()
    except BrokenPipeError:
        # What is still buffered would be written once more, at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def write_file(path: Path, text: str) -> None:
    """Raises TidegateError where it can't be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TidegateError(f"{path} can't be written: {error.strerror}") from error
