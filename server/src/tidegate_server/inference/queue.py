"""Requests that wait for a run, and which of them run together. Pure: no clock, no threads.

Requests with one batch key fit into one run: all their inputs agree in every dimension but the first, the rows. The
oldest request always leads the next batch, so nobody waits for ever behind a more popular shape.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate_server.protocol.padding import ANY_PADDING
from tidegate_server.protocol.request import InferRequest

BatchKey = Hashable
"""Equal for requests that can share a run."""
DoneCallback = Callable[[Any, float, float], None]
"""Takes the outputs by name, or an error of errors.py; and the seconds in the queue and in the run."""


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """One request. `arrived` and `deadline` in seconds of a monotonic clock."""

    request: InferRequest
    names: tuple[str, ...]
    """Of the requested outputs, in the requested order."""
    rows: int
    batch_key: BatchKey | None
    """None: runs alone."""
    bytes: int
    arrived: float
    deadline: float
    done: DoneCallback
    traffic: str = ""
    """How it came, as the metrics call it."""
    completed: bool = False
    timer: Any = None
    """Ends the wait at the deadline; None for those that never wait for long."""
    run: Any = None
    """The run that it is part of, in another thread."""
    cut: Any = None
    """The parts that it waits as."""
    is_part: bool = False
    """Of another, which has a place and its bytes reserved."""
    width: int = 0
    """Tokens of each row, where longer texts may share its run; 0 for all others."""


@dataclass(frozen=True)
class QueueLimits:
    """What may wait at once; the next request is rejected."""

    requests: int
    bytes: int


@dataclass(slots=True)
class QueuedBytes:
    """What all queues together hold."""

    count: int = 0


@dataclass
class InferenceQueue:
    """First in, first out, but for requests that fit into an earlier batch."""

    limits: QueueLimits
    held: QueuedBytes = field(default_factory=QueuedBytes)
    """Queues that share it share the bound on bytes."""
    rows: int = 0
    """Of all that wait."""
    _waiting: deque[QueuedRequest] = field(default_factory=deque)
    _reserved: int = 0
    _parts: int = 0
    """Of those that wait, which take no place."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def oldest(self) -> QueuedRequest:
        """Raises IndexError when the queue is empty."""
        return self._waiting[0]

    def has_room(self, size: int) -> bool:
        """For another request of so many bytes: more than one must not wait over either limit."""
        if len(self._waiting) - self._parts + self._reserved >= self.limits.requests:
            return False
        held = self.held.count
        return not held or held + size <= self.limits.bytes

    def offer(self, item: QueuedRequest) -> bool:
        """False when the queue is full."""
        if not self.has_room(item.bytes):
            return False
        self.put(item)
        return True

    def put(self, item: QueuedRequest) -> None:
        """For one that there is room for."""
        self._waiting.append(item)
        self.held.count += item.bytes
        self.rows += item.rows
        self._parts += item.is_part

    def reserve(self, size: int) -> None:
        """A place for one that waits in parts, which have no bytes of their own, until `release`."""
        self._reserved += 1
        self.held.count += size

    def release(self, size: int) -> None:
        """Of what was reserved."""
        self._reserved -= 1
        self.held.count -= size

    def take(self, max_rows: int, most_padding: int = ANY_PADDING) -> list[QueuedRequest]:
        """The oldest request and those that fit into its run. One with more rows than `max_rows` runs alone.

        Of texts whose lengths may differ those come first that are about as long as the oldest, and none for which more
        than `most_padding` tokens would be added: a run of its own costs less.
        """
        first = self._waiting.popleft()
        batch = self._about_as_long(first, max_rows, most_padding) if first.width else self._in_turn(first, max_rows)
        self.held.count -= sum([item.bytes for item in batch])
        self.rows -= total_rows(batch)
        if self._parts:
            self._parts -= sum([item.is_part for item in batch])
        return batch

    def _in_turn(self, first: QueuedRequest, max_rows: int) -> list[QueuedRequest]:
        batch, rows, passed_over = [first], first.rows, []
        while self._waiting and first.batch_key is not None and rows < max_rows > 1:
            item = self._waiting.popleft()
            if item.batch_key == first.batch_key and rows + item.rows <= max_rows:
                batch.append(item)
                rows += item.rows
            else:
                passed_over.append(item)
        self._waiting.extendleft(reversed(passed_over))
        return batch

    def _about_as_long(self, first: QueuedRequest, max_rows: int, most_padding: int) -> list[QueuedRequest]:
        fitting = [item for item in self._waiting if item.batch_key == first.batch_key]
        fitting.sort(key=lambda item: abs(item.width - first.width))
        batch, rows, width = [first], first.rows, first.width
        for item in fitting:
            longest = max(width, item.width)
            padding = rows * (longest - width) + item.rows * (longest - item.width)
            if rows + item.rows <= max_rows and padding <= most_padding:
                batch.append(item)
                rows, width = rows + item.rows, longest
        if len(batch) > 1:
            taken = set(map(id, batch))
            self._waiting = deque([item for item in self._waiting if id(item) not in taken])
        return batch

    def has_full_batch(self, max_rows: int) -> bool:
        """Whether waiting longer can't make the next batch any better."""
        first = self._waiting[0]
        if first.batch_key is None:
            return True
        rows = 0
        for item in self._waiting:
            if item.batch_key == first.batch_key:
                rows += item.rows
            if rows >= max_rows:
                return True
        return False

    def remove(self, item: QueuedRequest) -> None:
        """For one that is no longer waited for. No failure when it has been taken meanwhile."""
        try:
            self._waiting.remove(item)
        except ValueError:
            return
        self.held.count -= item.bytes
        self.rows -= item.rows
        self._parts -= item.is_part


def total_rows(batch: Sequence[QueuedRequest]) -> int:
    """Of all requests together."""
    return sum(item.rows for item in batch)
