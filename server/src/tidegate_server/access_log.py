"""One JSON line per inference request, or per failed one. Nothing of a request's headers, query or body is in it.

Whoever writes a line never waits: it goes to a bounded queue, and a thread writes it. What doesn't fit is counted.
"""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from time import time  # noqa: TID251 - the shell that gives the log its clock
from typing import BinaryIO, Literal

import orjson

Level = Literal["errors", "all", "off"]
LEVELS: tuple[Level, ...] = ("errors", "all", "off")

MAX_QUEUED_LINES = 10_000
ERRORS_PER_SECOND = 100
MAX_PATH_LENGTH = 256
FLUSH_INTERVAL_SECONDS = 0.05
CLOSE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One request. For gRPC the target is the call's name, and the status is HTTP's."""

    method: str
    target: str
    """As the client sent it; its query isn't written."""
    status: int
    seconds: float
    bytes_in: int = 0
    bytes_out: int = 0
    """Of the bodies, as they came and went."""
    rows: int = 0
    trace_id: str = ""
    caller: str = ""


class AccessLog:
    """Any thread may call `write`."""

    def __init__(
        self, level: Level, revision: str, out: BinaryIO | None = None, clock: Callable[[], float] = time
    ) -> None:
        """Lines go to standard output. `clock` gives seconds of the epoch."""
        self._from_status = {"off": 1000, "errors": 400, "all": 0}[level]
        self._max_errors_per_second = ERRORS_PER_SECOND if level == "errors" else sys.maxsize
        self._revision, self._out, self._clock = revision, out or sys.stdout.buffer, clock
        self._lines: deque[tuple[float, AccessLine, int]] = deque()
        self._second, self._in_second, self._suppressed = 0, 0, 0
        self._dropped = 0
        self._wake, self._ending = Event(), False
        self._thread: Thread | None = None
        if level != "off":
            self._thread = Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()

    def wants(self, status: int) -> bool:
        """False when a line for this status wouldn't be written; saves the making of its arguments."""
        return status >= self._from_status

    def write(self, line: AccessLine) -> None:
        """Never waits."""
        if not self.wants(line.status):
            return
        now = self._clock()
        if not self._admits(now):
            return
        suppressed, self._suppressed = self._suppressed, 0
        self._lines.append((now, line, suppressed))
        if not self._wake.is_set():
            self._wake.set()

    def dropped(self) -> int:
        """Lines that standard output didn't take in time, since the start."""
        return self._dropped

    def close(self) -> None:
        """Writes what is left, for two seconds at most."""
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_SECONDS)

    def _admits(self, now: float) -> bool:
        """Two threads may both take the last place; a line too many does no harm."""
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        if self._in_second > self._max_errors_per_second:
            self._suppressed += 1
            return False
        if len(self._lines) >= MAX_QUEUED_LINES:
            self._dropped += 1
            return False
        return True

    # --- in the log's thread

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait()
            if not self._ending:
                # A thread that woke for every line would take Python's lock from the requests each time.
                Event().wait(FLUSH_INTERVAL_SECONDS)
            self._wake.clear()
            self._write_queued()
        self._write_queued()

    def _write_queued(self) -> None:
        while self._lines:
            lines = [self._lines.popleft() for _ in range(min(len(self._lines), 200))]
            try:
                self._out.write(b"".join([self._text(*line) for line in lines]))
                self._out.flush()
            except (OSError, ValueError):  # nobody reads standard output any more
                self._dropped += len(lines)

    def _text(self, at: float, line: AccessLine, suppressed: int) -> bytes:
        path = line.target.partition("?")[0].partition("#")[0][:MAX_PATH_LENGTH]
        document = {
            "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            "method": _utf8(line.method),
            "path": _utf8(path),
            "status": line.status,
            "seconds": round(line.seconds, 6),
            "bytes_in": line.bytes_in,
            "bytes_out": line.bytes_out,
            "rows": line.rows,
            "trace_id": line.trace_id,
            "caller": _utf8(line.caller),
            "revision": self._revision,
        }
        if suppressed:
            document["suppressed_before"] = suppressed
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _utf8(text: str) -> str:
    """Half a surrogate pair can't be written."""
    return text.encode("utf-8", "replace").decode()
