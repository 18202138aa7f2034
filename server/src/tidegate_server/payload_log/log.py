"""Takes bodies from requests that never wait for it, and sends them from a thread of its own.

What the queue has no room for, and what the sink doesn't take, is dropped, counted, and told once a minute.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic, time  # noqa: TID251 - the shell that gives the events their clock
from uuid import uuid4

from tidegate_server.payload_log.events import JSON, OCTETS, Event, Origin, messages, readable
from tidegate_server.payload_log.settings import SINK, LogSettings
from tidegate_server.payload_log.sink import Sink, SinkFailed

log = logging.getLogger(__name__)

MAX_EVENTS = 1000
MAX_BATCH_EVENTS, MAX_BATCH_BYTES = 100, 2**20
MAX_PAUSE_SECONDS = 30.0
SECONDS_BETWEEN_LINES = 60.0
CLOSE_TIMEOUT_SECONDS = 2.0
NOT_LET_IN = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Payload:
    """A body as it came or went, and what its headers say of it."""

    body: bytes
    content_type: str | None = None
    encoding: str | None = None
    json_bytes: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. No header is in it but those that say what the bodies are."""

    seconds: float
    """From one to the other."""
    status: int
    request: Payload
    response: Payload
    id: str | None = None
    """The client's own, as in Ce-Id."""
    traceparent: str = ""
    trace_id: str = ""


class PayloadLog:
    """Any thread may call `wants` and `write`."""

    def __init__(
        self,
        settings: LogSettings,
        origin: Origin,
        max_bytes: int,
        sink: Sink | None = None,
        draw: Callable[[], float] = random,
        clock: Callable[[], float] = time,
    ) -> None:
        """`max_bytes` of bodies wait at most. `draw` gives 0 to 1, `clock` seconds of the epoch."""
        self._settings, self._origin, self._max_bytes = settings, origin, max_bytes
        self._sink, self._draw, self._clock = sink or Sink(settings.sink), draw, clock
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._lock, self._wake, self._ending = Lock(), Flag(), Flag()
        self.sent, self.dropped = 0, 0
        """Events, since the start."""
        self._told, self._tell_at = 0, float("-inf")
        self._why = ""
        self._thread = Thread(target=self._run, name="payload-log", daemon=True)
        self._thread.start()

    def wants(self, status: int) -> bool:
        """Whether this exchange is drawn. What was sent by those who aren't let in never is."""
        return self._draw() < self._settings.ratio and status not in NOT_LET_IN

    def write(self, exchange: Exchange) -> None:
        """Never waits."""
        events = self._events_of(exchange)
        size = sum([len(event.body) for event in events if event.body])
        with self._lock:
            if len(self._events) + len(events) > MAX_EVENTS or self._bytes + size > self._max_bytes:
                self.dropped += len(events)
                return
            self._events.extend(events)
            self._bytes += size
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Sends what is left, for two seconds at most."""
        self._ending.set()
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT_SECONDS)

    def _events_of(self, exchange: Exchange) -> list[Event]:
        mode, now = self._settings.mode, self._clock()
        name = readable(exchange.id) or str(uuid4())
        events = []
        if mode != "response" and exchange.request.body:  # empty where it couldn't be received
            events.append(self._event("request", name, now - exchange.seconds, exchange.request, exchange))
        if mode != "request" and exchange.status == 200:
            events.append(self._event("response", name, now, exchange.response, exchange))
        return events

    def _event(self, kind: str, name: str, at: float, payload: Payload, exchange: Exchange) -> Event:
        size = len(payload.body)
        return Event(
            kind="request" if kind == "request" else "response",
            id=name,
            at=at,
            content_type=readable(payload.content_type) or (JSON if payload.body.startswith((b"{", b"[")) else OCTETS),
            body=payload.body if size <= self._settings.max_body_bytes else None,
            size=size,
            encoding=readable(payload.encoding),
            json_bytes=readable(payload.json_bytes),
            traceparent=exchange.traceparent,
            trace_id=exchange.trace_id,
        )

    # --- in the log's thread

    def _run(self) -> None:
        failures = 0
        while not (self._ending.is_set() and not self._events):
            self._wake.wait()
            self._wake.clear()
            while self._events:
                failures = 0 if self._has_sent() else failures + 1
                self._tell()
                if failures and self._ending.wait(min(MAX_PAUSE_SECONDS, 2.0 ** (failures - 1))):
                    return
        self._sink.close()

    def _has_sent(self) -> bool:
        try:
            return self._send()
        except Exception:
            # The thread goes on: the next events may be others.
            log.exception("bodies couldn't be logged")
            return False

    def _send(self) -> bool:
        """False when the sink took nothing of what was sent."""
        events = self._taken()
        taken = 0
        for message in messages(events, self._origin, self._settings.format):
            try:
                self._sink.post(message)
            except SinkFailed as error:
                self._why = f"{SINK}: {error}"
                break
            taken += len(events) if self._settings.format == "batch" else 1
        with self._lock:
            self.sent += taken
            self.dropped += len(events) - taken
        return taken > 0

    def _taken(self) -> list[Event]:
        """One event, or as many as make a batch."""
        events: list[Event] = []
        size = 0
        most = MAX_BATCH_EVENTS if self._settings.format == "batch" else 1
        with self._lock:
            while self._events and len(events) < most and (not events or size < MAX_BATCH_BYTES):
                event = self._events.popleft()
                events.append(event)
                size += len(event.body or b"")
            self._bytes -= size
        return events

    def _tell(self) -> None:
        now, dropped = monotonic(), self.dropped
        if dropped == self._told or now < self._tell_at:
            return
        why, self._why = self._why or "they came faster than the sink takes them", ""
        log.warning("%d bodies of requests and answers weren't logged; %s", dropped - self._told, why)
        self._told, self._tell_at = dropped, now + SECONDS_BETWEEN_LINES
