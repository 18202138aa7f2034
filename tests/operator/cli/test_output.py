"""Colours only for a terminal that wants them; whatever can't be written is one sentence, or none at all."""

import io
import os
from pathlib import Path

import pytest

from tests.operator.cli.test_progress import Terminal
from tidegate.cli.common.output import wants_colour, write_file, write_line
from tidegate.errors import TidegateError


def test_only_a_terminal_that_wants_colours_gets_them() -> None:
    assert wants_colour(Terminal(), {})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out:
        write_line(out, "a report")


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="can't be written: No such file"):
        write_file(tmp_path / "nowhere" / "evidence.svg", "")
