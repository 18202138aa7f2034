"""Says what is going on: a moving line with its seconds on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

WORTH_TELLING = 2.0  # seconds

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announces a step that may take more than two seconds, and says afterwards how long it took."""
    began = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(what, total=None)
            yield
    else:
        console.print(f"{what} ...", markup=False)
        yield
    took = time.monotonic() - began
    if took >= WORTH_TELLING:
        console.print(f"{what}: {took:.0f} s", markup=False)


def say(sentence: str) -> None:
    """One plain line for the person at the terminal."""
    console.print(sentence, markup=False)
