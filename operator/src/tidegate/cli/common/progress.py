"""Lines on stderr for whoever waits: none in the first seconds, then what takes so long."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

QUIET_SECONDS = 2.0
SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_message(what: str, out: TextIO = sys.stderr) -> Iterator[None]:
    """Says `what` if the block takes more than two seconds."""
    timer = threading.Timer(QUIET_SECONDS, lambda: print(what, file=out, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Progress:
    """How many of so many are done: one line that is written over on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, total: int, what: str, out: TextIO = sys.stderr) -> None:
        self._total, self._what, self._out = total, what, out
        self._next = time.monotonic() + QUIET_SECONDS
        self._written = False

    def update(self, done: int) -> None:
        """Writes, if it is time to."""
        if time.monotonic() < self._next:
            return
        if self._out.isatty():
            self._next = time.monotonic() + 0.2
            self._out.write(f"\r{done} of {self._total} {self._what}")
            self._written = True
        else:
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES
            self._out.write(f"{done} of {self._total} {self._what}\n")
        self._out.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self._written:
            self._out.write("\r\033[K")
            self._out.flush()
