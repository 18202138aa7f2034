"""Keeps two runs from doing the same thing at once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate_demo.cluster.progress import step


@contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Holds a lock file; while another run has it, says that we wait for the one that is `doing` this."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"Waiting for another run that is {doing}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
