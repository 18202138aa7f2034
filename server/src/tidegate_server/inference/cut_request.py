"""A request of many rows, cut into parts that wait and run as requests of their own do, and joined again. Pure.

A run's memory grows with its rows, and the runtime keeps it; and whoever comes meanwhile has a turn between two parts.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tidegate_server.inference.caller import Cancel
from tidegate_server.protocol.tensors import Array, Outputs

PartDone = Callable[[Any, float, float], None]
"""Takes outputs or an error, and the seconds in the queue and in the run."""
SubmitPart = Callable[[dict[str, Array], int, PartDone], Cancel]
"""Takes inputs and their rows."""
PARTS_AT_ONCE_PER_RUN = 2
"""While one part runs another waits, so no thread is idle."""


class CutRequest:
    """Belongs to the event loop's thread."""

    def __init__(
        self, arrays: Mapping[str, Array], rows: int, part_rows: int, submit: SubmitPart, done: PartDone
    ) -> None:
        """`done` is called once: with the outputs of all rows, an error, or None for outputs that can't be joined."""
        self._arrays, self._submit, self._done = arrays, submit, done
        self._bounds = [(begin, min(begin + part_rows, rows)) for begin in range(0, rows, part_rows)]
        self._results: list[Outputs] = [{} for _ in self._bounds]
        self._cancels: dict[int, Cancel] = {}
        self._begun = 0
        self._unfinished = len(self._bounds)
        self._has_ended = False
        self._queue_seconds, self._run_seconds = 0.0, 0.0

    def begin(self, at_once: int) -> None:
        """So many parts wait or run from now on, until the last ones."""
        for _ in range(min(at_once, len(self._bounds))):
            self._begin_next()

    def abandon(self) -> None:
        """No part of it runs any more, and `done` isn't called."""
        self._has_ended = True
        cancels, self._cancels = self._cancels, {}
        for cancel in cancels.values():
            cancel()

    def _begin_next(self) -> None:
        number = self._begun
        if number == len(self._bounds) or self._has_ended:
            return
        self._begun += 1
        begin, end = self._bounds[number]
        arrays = {name: array[begin:end] for name, array in self._arrays.items()}
        self._cancels[number] = self._submit(arrays, end - begin, partial(self._part_done, number))

    def _part_done(self, number: int, result: Any, queue_seconds: float, run_seconds: float) -> None:
        if self._has_ended:
            return
        del self._cancels[number]
        self._queue_seconds = max(self._queue_seconds, queue_seconds)
        self._run_seconds += run_seconds
        if isinstance(result, Exception):
            self._end(result)
            return
        self._results[number] = result
        self._unfinished -= 1
        if not self._unfinished:
            self._end(joined(self._results, [end - begin for begin, end in self._bounds]))
        self._begin_next()

    def _end(self, result: Any) -> None:
        self.abandon()
        self._done(result, self._queue_seconds, self._run_seconds)


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
