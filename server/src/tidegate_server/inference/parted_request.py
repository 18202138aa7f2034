"""A request that runs in parts: many rows that are cut, or a body of many texts. Pure.

A run's memory grows with its rows, and the runtime keeps it; and whoever comes meanwhile has a turn between two parts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tidegate_server.inference.caller import Cancel
from tidegate_server.protocol.tensors import Array, Outputs

PartDone = Callable[[Any, float, float], None]
"""Takes outputs or an error, and the seconds in the queue and in the run."""
SubmitPart = Callable[[int, PartDone], Cancel]
"""Takes the part's number. `PartDone` isn't called before it has returned."""
PARTS_AT_ONCE_PER_RUN = 2
"""While one part runs another waits, so no thread is idle."""


class PartedRequest:
    """Belongs to the event loop's thread."""

    def __init__(self, count: int, submit: SubmitPart, done: Callable[[list[Any], float, float], None]) -> None:
        """`done` is called once, with the outputs of all parts in their order; or with an error among them, and None.

        Its seconds are those of the part that waited longest, and of all runs together.
        """
        self._submit, self._done = submit, done
        self._results: list[Any] = [None] * count
        self._cancels: dict[int, Cancel] = {}
        self._begun = 0
        self._unfinished = count
        self._has_ended = False
        self._queue_seconds, self._run_seconds = 0.0, 0.0

    def begin(self, at_once: int) -> None:
        """So many parts wait or run from now on, until the last ones."""
        for _ in range(min(at_once, len(self._results))):
            self._begin_next()

    def abandon(self) -> None:
        """No part of it runs any more, and `done` isn't called."""
        self._has_ended = True
        cancels, self._cancels = self._cancels, {}
        for cancel in cancels.values():
            cancel()

    def _begin_next(self) -> None:
        number = self._begun
        if number == len(self._results) or self._has_ended:
            return
        self._begun += 1
        self._cancels[number] = self._submit(number, partial(self._part_done, number))

    def _part_done(self, number: int, result: Any, queue_seconds: float, run_seconds: float) -> None:
        if self._has_ended:
            return
        del self._cancels[number]
        self._queue_seconds = max(self._queue_seconds, queue_seconds)
        self._run_seconds += run_seconds
        self._results[number] = result
        self._unfinished -= 1
        if isinstance(result, Exception) or not self._unfinished:
            self.abandon()
            self._done(self._results, self._queue_seconds, self._run_seconds)
        self._begin_next()


def first_error(results: Sequence[Any]) -> Exception | None:
    """Of the parts of one request."""
    return next((result for result in results if isinstance(result, Exception)), None)


def joined(parts: Sequence[Outputs], rows: Sequence[int]) -> Outputs | None:
    """The outputs of all parts, one below the other; None where an output isn't one of so many rows."""
    outputs: dict[str, Array] = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if any(array.shape[:1] != (count,) for array, count in zip(arrays, rows, strict=True)):
            return None
        if len({array.shape[1:] for array in arrays}) != 1:
            return None
        outputs[name] = np.concatenate(arrays)
    return outputs
