"""Large JSON documents, one at a time: as values they take many times their bytes."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_size import check_containers, most_value_bytes

_MEBIBYTE = 2**20


class LargeJson:
    """Any thread but the event loop's may wait for its turn."""

    def __init__(self, most_bytes: int, threads: int) -> None:
        """`most_bytes`: of the values of the one that has its turn, and of all small ones together.

        `threads`: how many read JSON at once.
        """
        self._most = most_bytes
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
