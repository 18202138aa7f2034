"""Requests that wait for a run, and which of them run together. Pure: no clock, no threads.

Requests of one group fit into one run: all their inputs agree in every dimension but the first, which counts rows.
The oldest request always leads the next batch, so nobody waits for ever behind a more popular shape.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate_server.protocol.request import InferRequest

Group = Hashable
Done = Callable[[Any, float, float], None]
"""Takes the outputs by name, or an error of errors.py; and the seconds in the queue and in the run."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request. `arrived` and `deadline` in seconds of a monotonic clock."""

    request: InferRequest
    names: tuple[str, ...]
    """Of the wanted outputs, in the wanted order."""
    rows: int
    group: Group | None
    """None: runs alone."""
    bytes: int
    arrived: float
    deadline: float
    done: Done
    answered: bool = False
    timer: Any = None
    """Ends the wait at the deadline; None for those that never wait for long."""
    run: Any = None
    """The run that it is part of, in another thread."""


@dataclass(frozen=True)
class QueueLimits:
    """What may wait at once; the next request is turned away."""

    requests: int
    bytes: int


@dataclass
class InferenceQueue:
    """First in, first out, but for those who catch a lift."""

    limits: QueueLimits
    _waiting: deque[Waiting] = field(default_factory=deque)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> Waiting:
        return self._waiting[0]

    def offer(self, item: Waiting) -> bool:
        """False when there's no room: more than one request must not wait over either limit."""
        if len(self._waiting) >= self.limits.requests:
            return False
        if self._waiting and self.bytes + item.bytes > self.limits.bytes:
            return False
        self._waiting.append(item)
        self.bytes += item.bytes
        return True

    def take(self, most_rows: int) -> list[Waiting]:
        """The oldest request and those that fit into its run. One with more rows than `most_rows` runs alone."""
        first = self._waiting.popleft()
        batch, rows, passed_over = [first], first.rows, []
        while self._waiting and first.group is not None and rows < most_rows:
            item = self._waiting.popleft()
            if item.group == first.group and rows + item.rows <= most_rows:
                batch.append(item)
                rows += item.rows
            else:
                passed_over.append(item)
        self._waiting.extendleft(reversed(passed_over))
        self.bytes -= sum(item.bytes for item in batch)
        return batch

    def has_full_batch(self, most_rows: int) -> bool:
        """Whether waiting longer can't make the next batch any better."""
        first = self._waiting[0]
        if first.group is None:
            return True
        rows = 0
        for item in self._waiting:
            if item.group == first.group:
                rows += item.rows
            if rows >= most_rows:
                return True
        return False

    def remove(self, item: Waiting) -> None:
        """Somebody gave up waiting. No failure when it has been taken meanwhile."""
        try:
            self._waiting.remove(item)
        except ValueError:
            return
        self.bytes -= item.bytes


def rows_of(batch: Sequence[Waiting]) -> int:
    return sum(item.rows for item in batch)
