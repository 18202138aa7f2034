"""Runs of a model before it is ready, within bounds of time and memory."""

import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from time import perf_counter
from typing import TYPE_CHECKING

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.model import CancelToken, Model
from tidegate_server.memory import resident_bytes
from tidegate_server.protocol.tensors import Array

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TRIAL_SECONDS = 4.0
"""Of one run that is only tried."""
SLOW_RUN_SECONDS = 0.2
NOISE_BYTES = 8 * 2**20
"""A process grows by so much for other reasons than a run."""
TRIAL_SHARE, SERVING_SHARE = 0.5, 0.75
"""Of the memory limit."""
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class TrialBounds:
    """What all trials together may take."""

    seconds: float
    memory_limit: int | None
    """Bytes that the container may take; None for no bound."""


class TrialRuns:
    """Runs a model, counts the time from the first run on, and knows what a row takes."""

    def __init__(self, model: Model, bounds: TrialBounds) -> None:
        """The clock starts now."""
        self.model = model
        self._names = [spec.name for spec in model.signature.outputs]
        self._memory_limit = bounds.memory_limit
        self._deadline = perf_counter() + bounds.seconds
        self._bytes_before = resident_bytes()
        self._bytes_per_row = 0.0
        self._least_seconds = float("inf")

    @property
    def seconds_left(self) -> float:
        """Zero or less when no more should be tried."""
        return self._deadline - perf_counter()

    @property
    def is_slow(self) -> bool:
        """A run takes so long that only the fewest are tried."""
        return SLOW_RUN_SECONDS < self._least_seconds < float("inf")

    @property
    def bytes_per_row(self) -> int:
        """By which a run of one row has made the process grow."""
        return int(self._bytes_per_row)

    def using(self, model: Model) -> "TrialRuns":
        """The same bounds for the model opened in another way."""
        other = object.__new__(TrialRuns)
        other.__dict__.update(self.__dict__, model=model)
        return other

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs. Raises ModelFailed, also for a run that takes too long."""
        token = CancelToken()
        timer = Timer(max(0.1, min(MAX_TRIAL_SECONDS, self.seconds_left)), token.cancel)
        timer.daemon = True
        timer.start()
        began = perf_counter()
        try:
            answer = dict(zip(self._names, self.model.run(dict(arrays), self._names, token), strict=True))
        finally:
            timer.cancel()
        self._least_seconds = min(self._least_seconds, perf_counter() - began)
        return answer

    def run_untimed(self, arrays: dict[str, Array]) -> None:
        """As a request does it, with nothing around it. Raises ModelFailed."""
        self.model.run(arrays, self._names)

    @contextmanager
    def counting_bytes(self, rows: int) -> "Iterator[None]":
        """Learns from what runs inside, of so many rows each, what a row takes."""
        before = resident_bytes()
        yield
        grown = resident_bytes() - before
        if grown > NOISE_BYTES:
            self._bytes_per_row = max(self._bytes_per_row, grown / rows)

    def fits(self, rows: int) -> bool:
        """Whether so many rows may be tried at once: the process stays within half of the container's memory."""
        return self._is_within(TRIAL_SHARE, rows)

    def can_serve(self, rows: int) -> bool:
        """Whether so many rows may run at once in all later runs; some memory is left to requests."""
        return self._is_within(SERVING_SHARE, rows)

    def _is_within(self, share: float, rows: int) -> bool:
        if self._memory_limit is None or rows == 1:
            return True
        return self._bytes_before + rows * self._bytes_per_row <= share * self._memory_limit


def numbers_in(error: ModelFailed) -> list[int]:
    """Those that the runtime names: sizes that it wanted, most of the time."""
    return [int(number) for number in _NUMBER.findall(str(error))]
