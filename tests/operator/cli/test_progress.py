"""Whoever waits is told what for, and not before two seconds have passed."""

import io
import os
from pathlib import Path

import pytest

from tests.conftest import until
from tidegate.cli.common import progress as progress_module
from tidegate.cli.common.output import emit, wants_colour, write_file
from tidegate.cli.common.progress import Progress
from tidegate.errors import TidegateError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PATIENCE_SECONDS", 0.0)
    out = io.StringIO()
    with progress_module.progress_message("reading", out):
        until(out.getvalue)

    assert out.getvalue() == "reading\n"


def test_what_is_soon_done_is_not() -> None:
    out = io.StringIO()
    with progress_module.progress_message("reading", out):
        pass
    progress = Progress(10, "played", out)
    progress.tell(3)
    progress.end()

    assert out.getvalue() == ""


def test_progress_is_one_line_on_a_terminal_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PATIENCE_SECONDS", 0.0)
    out = Terminal()
    progress = Progress(10, "played", out)
    progress.tell(3)
    progress.end()

    assert out.getvalue() == "\r3 of 10 played\r\033[K"


def test_progress_is_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PATIENCE_SECONDS", 0.0)
    out = io.StringIO()
    progress = Progress(10, "played", out)
    progress.tell(3)
    progress.tell(4)
    progress.end()

    assert out.getvalue() == "3 of 10 played\n"


def test_only_a_terminal_that_wants_colours_gets_them() -> None:
    assert wants_colour(Terminal(), {})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out:
        emit(out, "a report")


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="can't be written: No such file"):
        write_file(tmp_path / "nowhere" / "evidence.svg", "")
