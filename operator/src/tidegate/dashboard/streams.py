"""Server-sent events: a page is told which of its parts are other than what it has.

A stream keeps a digest of each part that it sent. When something changes it makes the parts anew and sends those that
differ, at most a few times a second: a page that lags is given the newest, and nothing is queued for it.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

import orjson

from tidegate.dashboard.changes import Changes
from tidegate.kube.informer import Key

HEARTBEAT_SECONDS = 5.0
"""How soon it is seen that the other side is gone: at the second heartbeat that it doesn't take."""
PACE_SECONDS = 0.5
"""The least time from one event to the next."""
LIFE_SECONDS = 300.0
"""A stream ends after that and the page asks for another, so that rights that were taken away end too."""
RETRY_MILLISECONDS = 2000


@dataclass(frozen=True)
class Parts:
    """A page's parts that may change, as HTML by the id of the element, and the order of what a list holds."""

    html: Mapping[str, str]
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of the elements inside of one, by its id."""


def digest(html: str) -> str:
    """What tells one text from another, short."""
    return hashlib.blake2b(html.encode(), digest_size=9).hexdigest()


class Places:
    """So many streams at once, and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = threading.BoundedSemaphore(most)

    def take(self) -> bool:
        """Whether there was one. Each that was taken is given back once."""
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        """After the stream."""
        self._free.release()


class Stream:
    """The events for one page. Closing it gives its place back, whether or not it was ever read."""

    def __init__(self, changes: Changes, key: Key | None, parts: Callable[[], Parts | None], places: Places) -> None:
        """Of one object's page, or of the list; `parts` gives None where there is nothing to show any more."""
        self._places = places
        self._is_open = True
        self._events = events(changes, key, parts)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        """Called by the HTTP server at the end, whatever the end was."""
        if self._is_open:
            self._is_open = False
            self._places.give_back()


def events(changes: Changes, key: Key | None, parts: Callable[[], Parts | None]) -> Iterator[bytes]:
    """The text of a stream, event by event."""
    end = monotonic() + LIFE_SECONDS
    sent: dict[str, str] = {}
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    seen = -1
    while (left := end - monotonic()) > 0:
        before, seen = seen, changes.wait(seen, key, min(HEARTBEAT_SECONDS, left))
        if changes.is_over:
            return
        if seen == before:
            yield b": still here\n\n"
            continue
        now = parts()
        if now is None:
            yield b"event: gone\ndata: {}\n\n"
            return
        if event := _difference(now, sent):
            yield event
        sleep(PACE_SECONDS)


def _difference(now: Parts, sent: dict[str, str]) -> bytes:
    """One event with what differs from `sent`, which is brought up to date; empty where nothing does."""
    marks = {part: digest(html) for part, html in now.html.items()}
    fresh = {part: [mark, now.html[part]] for part, mark in marks.items() if sent.get(part) != mark}
    order = {part: list(ids) for part, ids in now.order.items()}
    orders = {f"order of {part}": digest(" ".join(ids)) for part, ids in order.items()}
    moved = {part: order[part] for part in order if sent.get(f"order of {part}") != orders[f"order of {part}"]}
    sent.clear()
    sent.update(marks | orders)
    if not fresh and not moved:
        return b""
    return b"event: parts\ndata: " + orjson.dumps({"html": fresh, "order": moved}) + b"\n\n"
