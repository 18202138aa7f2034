"""Whoever waits is told what for, and not before two seconds have passed."""

import io

import pytest

from tests.conftest import until
from tidegate.cli.common import progress as progress_module
from tidegate.cli.common.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", 0.0)
    out = io.StringIO()
    with progress_module.progress_message("reading", out):
        until(out.getvalue)

    assert out.getvalue() == "reading\n"


def test_what_is_soon_done_is_not() -> None:
    out = io.StringIO()
    with progress_module.progress_message("reading", out):
        pass
    progress = Progress(10, "done", out)
    progress.update(3)
    progress.end()

    assert out.getvalue() == ""


def test_progress_is_one_line_on_a_terminal_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", 0.0)
    out = Terminal()
    progress = Progress(10, "done", out)
    progress.update(3)
    progress.end()

    assert out.getvalue() == "\r3 of 10 done\r\033[K"


def test_progress_is_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", 0.0)
    out = io.StringIO()
    progress = Progress(10, "done", out)
    progress.update(3)
    progress.update(4)
    progress.end()

    assert out.getvalue() == "3 of 10 done\n"
