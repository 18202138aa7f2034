"""Large JSON documents, one at a time: as values they take many times their bytes."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_size import check_containers, most_value_bytes

SHARE_OF_MEMORY = 3
"""A third of the container's memory for the one that has its turn, and no more for all small ones together."""
BYTES_WITHOUT_LIMIT = 2**30
_MEBIBYTE = 2**20


class LargeJson:
    """Any thread but the event loop's may wait for its turn."""

    def __init__(self, memory_limit: int | None, threads: int) -> None:
        """`threads`: how many read JSON at once."""
        self._most = BYTES_WITHOUT_LIMIT if memory_limit is None else memory_limit // SHARE_OF_MEMORY
        self._small = self._most // threads
        self._lock = Lock()

    def needs_turn(self, document: bytes | memoryview) -> bool:
        """Raises InvalidRequest for one whose values the container has no memory for."""
        size = most_value_bytes(document)
        if size > self._most:
            raise InvalidRequest(
                f"reading this JSON can take {size // _MEBIBYTE} MiB of memory, and a request may take "
                f"{self._most // _MEBIBYTE} MiB in this container; send binary tensors, or fewer values at once",
                status=413,
            )
        check_containers(document)
        return size > self._small

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else reads or writes a large document meanwhile."""
        with self._lock:
            # Millions of new lists look like garbage that has to be looked through, again and again: four times the
            # time. There are no cycles among them.
            gc.disable()
            try:
                yield
            finally:
                gc.enable()
