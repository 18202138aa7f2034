"""Keeps some of the newest live requests in memory, drawn by chance, until somebody takes them or the process ends."""

from collections.abc import Callable
from random import randrange
from threading import Lock
from typing import NamedTuple

MAX_BODY_BYTES = 2**16
"""Larger bodies aren't kept."""


class Sample(NamedTuple):
    """A request as another revision can be asked it: no header is in it but those that say what the body is."""

    target: str
    content_type: str
    json_bytes: str
    """Of the JSON before binary tensors; empty where all is JSON."""
    body: bytes


class RequestSamples:
    """Any thread may use it."""

    def __init__(self, keep: int, max_bytes: int, draw: Callable[[int], int] = randrange) -> None:
        """At most `keep` requests whose bodies have `max_bytes` together. `draw(n)` gives 0 to n - 1."""
        self._keep, self._max_bytes, self._draw = keep, max_bytes, draw
        self._samples: list[Sample] = []
        self._bytes = 0
        self._lock = Lock()

    def offer(self, sample: Sample) -> None:
        """Keeps it, unless it is too large. Never waits.

        It takes the place of one drawn by chance, so that a client's burst doesn't take all.
        """
        size = len(sample.body)
        if not 0 < size <= min(MAX_BODY_BYTES, self._max_bytes):
            return
        with self._lock:
            while len(self._samples) >= self._keep or self._bytes + size > self._max_bytes:
                self._drop_one()
            self._samples.append(sample)
            self._bytes += size

    def take(self, most: int) -> list[Sample]:
        """Up to `most` of them, the newest first; nobody gets these again."""
        with self._lock:
            taken = [self._samples.pop() for _ in range(min(most, len(self._samples)))]
            self._bytes -= sum(len(each.body) for each in taken)
        return taken

    def _drop_one(self) -> None:
        at = self._draw(len(self._samples))
        self._samples[at], self._samples[-1] = self._samples[-1], self._samples[at]
        self._bytes -= len(self._samples.pop().body)
