"""Where the tree is shown: a terminal, live or once, or a file."""

import os
import sys
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live

from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.status.tree import Symbols, tree_of
from tidegate.view.rollout_view import RolloutView

WIDE = 1000
"""Columns of what is no terminal: a sentence stays on one line there, for grep."""


def tree_text(view: RolloutView, now: datetime, out: TextIO, notes: list[str], *, colour: bool) -> str:
    """The tree as text for that output, without white space at the ends of its lines."""
    console = _console(out, colour=colour)
    with console.capture() as captured:
        console.print(tree_of(view, now, Symbols.of(out.encoding or "ascii"), notes))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _console(out: TextIO, *, colour: bool) -> Console:
    width = None if out.isatty() else int(os.environ.get("COLUMNS") or WIDE)
    return Console(
        file=out,
        width=width,
        color_system="auto" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        emoji=False,
        markup=False,
    )


def can_draw(out: TextIO) -> bool:
    """Whether what was written can be written over."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


class LiveTree:
    """Draws over itself. What is taller than the terminal is cut there, and whole at the end."""

    def __init__(self) -> None:
        self._console = _console(sys.stdout, colour=wants_colour(sys.stdout))
        self._symbols = Symbols.of(sys.stdout.encoding or "ascii")
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> "LiveTree":
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, view: RolloutView, now: datetime, notes: list[str]) -> None:
        """In the place of what was shown before."""
        self._live.update(tree_of(view, now, self._symbols, notes), refresh=True)


class PlainTree:
    """For what is no terminal: a line whenever the sentence, the phase or the step is another."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._before = out, ""

    def __enter__(self) -> "PlainTree":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, view: RolloutView, now: datetime, notes: list[str]) -> None:
        """Writes what is new."""
        said = " ".join(filter(None, (view.phase, view.progress, *notes, view.message)))
        if said != self._before:
            self._before = said
            write_line(self._out, f"{now:%H:%M:%S} {said}")
