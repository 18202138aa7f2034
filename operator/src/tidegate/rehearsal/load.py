"""Users: requests at a steady rate, each at its time whether or not those before it are answered."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from tidegate.rehearsal.payloads import Payload, in_turns
from tidegate.rehearsal.processes import MOST_ANSWER_BYTES

CLIENTS = 32
"""Kept connections; as many requests can be under way at once."""
LATE_SECONDS = 1.0
"""A request that would be sent so late isn't: the machine can't keep the rate, and that is told."""
ANSWER_SECONDS = 30.0
NO_ANSWER = 0
"""In place of a status: the connection broke, or nothing came in time."""


@dataclass(frozen=True)
class Tally:
    """What users got."""

    requests: int
    failed: int
    """Answers of class 5, 429, and none."""
    refused: int
    """Answers of class 4: the requests don't fit the model."""
    unsent: int
    """Requests that this machine was too slow to send."""


@dataclass
class Users:
    """They ask inside `asking`, each on a connection of its own that `connect` makes."""

    connect: Callable[[], http.client.HTTPConnection]
    headers: Mapping[str, str]
    """Of every request, besides its content type."""
    payloads: Sequence[Payload]
    rate: float
    """Requests a second."""
    _statuses: Counter[int] = field(default_factory=Counter)
    _seconds: list[float] = field(default_factory=list)
    _unsent: int = 0
    _sent: int = 0
    _began: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Inside, they do; at the end each waits for the answer that it is owed."""
        self._began = monotonic()
        clients = [threading.Thread(target=self._ask_on, name=f"user-{n}", daemon=True) for n in range(CLIENTS)]
        for each in clients:
            each.start()
        try:
            yield
        finally:
            self._stopped.set()
            for each in clients:
                each.join(ANSWER_SECONDS)

    @property
    def tally(self) -> Tally:
        """By now."""
        with self._lock:
            statuses, unsent = dict(self._statuses), self._unsent
        failed = sum(n for status, n in statuses.items() if status in (NO_ANSWER, 429) or status >= 500)
        refused = sum(n for status, n in statuses.items() if 400 <= status < 500 and status != 429)
        return Tally(sum(statuses.values()), failed, refused, unsent)

    @property
    def latencies(self) -> list[float]:
        """Of the answers by now, in seconds, shortest first: from when each was due, so waiting for a turn counts."""
        with self._lock:
            return sorted(self._seconds)

    def _next(self) -> int | None:
        """The number of the next request, at its time; None where there is to be none."""
        with self._lock:
            number, self._sent = self._sent, self._sent + 1
        due = self._began + number / self.rate
        if self._stopped.wait(max(0.0, due - monotonic())):
            return None
        return number

    def _ask_on(self) -> None:
        connection = self.connect()
        while (number := self._next()) is not None:
            due = self._began + number / self.rate
            if monotonic() - due > LATE_SECONDS:
                with self._lock:
                    self._unsent += 1
                continue
            status = self._ask(connection, in_turns(self.payloads, number))
            with self._lock:
                self._statuses[status] += 1
                if status != NO_ANSWER:
                    self._seconds.append(monotonic() - due)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, payload: Payload) -> int:
        headers = {"Content-Type": "application/json", **self.headers}
        try:
            connection.request("POST", payload.path, payload.body, headers)
            response = connection.getresponse()
            response.read(MOST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            connection.close()
            return NO_ANSWER
        return response.status
