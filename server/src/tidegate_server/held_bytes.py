"""How many bytes of requests and answers a process holds, over all its doors, and the most that there may be.

A request's body counts from its first byte until there is an answer, an answer from then until its client has taken it.
"""

from threading import Condition, Lock
from time import monotonic

SHARE_OF_MEMORY = 4
"""A quarter of the container's memory: a request lives as bytes, as values and as arrays at once."""
BYTES_WITHOUT_LIMIT = 2**30
SMALL_BYTES = 2**16
"""The first so many bytes of a request have a reserve of their own, an eighth of the limit: they aren't refused because
others send or take in large ones slowly."""


def most_held_bytes(memory_limit: int | None, processes: int, body_bytes: int) -> int:
    """For each of the processes that share the container's memory; two bodies of the allowed size always fit."""
    share = BYTES_WITHOUT_LIMIT if memory_limit is None else memory_limit // SHARE_OF_MEMORY
    return max(share // processes, 2 * body_bytes)


class HeldBytes:
    """Any thread may call."""

    def __init__(self, limit: int) -> None:
        """Nothing is held yet."""
        self.limit = limit
        self._held = 0
        self._wanted = 0
        self._lock = Lock()  # taken for every request, and by itself it costs a fraction of what the condition does
        self._changed = Condition(self._lock)

    @property
    def held(self) -> int:
        """Now."""
        return self._held

    @property
    def wanted(self) -> int:
        """What threads wait for; who can free bytes should."""
        return self._wanted

    def has_room(self, size: int) -> bool:
        """Whether `take` would succeed."""
        return self._held + size <= self.limit

    def take(self, size: int, before: int = 0) -> bool:
        """False, and nothing is taken, where there is no room. `before`: what was taken for the same request."""
        with self._lock:
            if self._held + size <= self.limit:  # by far the most, and no reserve is needed
                self._held += size
                return True
            return self._take(size, before + size)

    def _take(self, size: int, whole: int) -> bool:
        reserve = self.limit // 8 if whole <= SMALL_BYTES else 0
        if self._held + size > self.limit + reserve:
            return False
        self._held += size
        return True

    def add(self, size: int) -> None:
        """For bytes that are there already."""
        with self._lock:
            self._held += size

    def give_back(self, size: int) -> None:
        """What was taken or added."""
        if not size:
            return
        with self._lock:
            self._held -= size
            if self._wanted:
                self._changed.notify_all()

    def take_soon(self, size: int, seconds: float) -> bool:
        """As `take`, but waits for room. Not for the event loop's thread."""
        deadline = monotonic() + seconds
        with self._changed:
            self._wanted += size
            try:
                while not self._take(size, size):
                    if not self._changed.wait(max(0.0, deadline - monotonic())) and monotonic() >= deadline:
                        return False
                return True
            finally:
                self._wanted -= size
