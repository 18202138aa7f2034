"""Who waits for news of what: pages are woken when what they show has changed, however many they are."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic

from tidegate.kube.informer import Key

MOST_KEYS = 20_000
"""Objects of which it is known when they changed last; of others it is assumed that they did when one was forgotten."""


class Changes:
    """Counts changes. A page that lags skips what lies between: nothing is queued for anybody."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._count = 0
        self._last: OrderedDict[Key, int] = OrderedDict()
        self._forgotten = 0
        self.is_over = False
        """Whether there will be none any more."""

    def note(self, keys: Iterable[Key]) -> None:
        """These have changed; with none, something has that every page shows."""
        with self._news:
            self._count += 1
            named = list(keys)
            for key in named:
                self._last[key] = self._count
                self._last.move_to_end(key)
            while len(self._last) > MOST_KEYS:
                self._forgotten = self._last.popitem(last=False)[1]
            if not named:
                self._forgotten = self._count
                self._last.clear()
            self._news.notify_all()

    def end(self) -> None:
        """Nobody has to wait any longer."""
        with self._news:
            self.is_over = True
            self._news.notify_all()

    def count(self, key: Key | None = None) -> int:
        """The number of the latest change of an object, or of anything."""
        with self._news:
            return self._number(key)

    def wait(self, seen: int, key: Key | None, seconds: float) -> int:
        """The number of the latest change, once it is higher than `seen` or the time is over."""
        deadline = monotonic() + seconds
        with self._news:
            while not self.is_over and self._number(key) <= seen and (left := deadline - monotonic()) > 0:
                self._news.wait(left)
            return self._number(key)

    def _number(self, key: Key | None) -> int:
        return self._count if key is None else self._last.get(key, self._forgotten)
