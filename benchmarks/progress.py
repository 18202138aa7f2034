"""Tells whoever waits what is measured now and how far it is."""

import sys
from dataclasses import dataclass
from time import monotonic


@dataclass
class Progress:
    """On standard error, so that the result can be piped. `planned` steps may become fewer: not every server starts."""

    planned: int
    done: int = 0

    def __post_init__(self) -> None:
        self._began = monotonic()

    def step(self, what: str) -> None:
        """A measurement begins."""
        self.done += 1
        self.note(f"{self.done:3} of {self.planned}  {what}")

    def note(self, what: str) -> None:
        """Something that isn't a measurement."""
        sys.stderr.write(f"{monotonic() - self._began:5.0f} s  {what}\n")
        sys.stderr.flush()
