"""Looks at the names of models that are followed, at intervals, on threads of its own: nothing ever waits for it.

In memory only: what a name means is recorded in the status, so after a restart that goes on to be meant.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from tidegate.errors import CallFailed
from tidegate.kube.informer import Key
from tidegate.model.back_off import doubled
from tidegate.model.followed import SHORTEST, Answers
from tidegate.registries.reference import Access, Reference
from tidegate.webhooks.dispatcher import Dispatcher

NOT_LEADING = timedelta(seconds=30)
"""Until an operator that doesn't lead sees whether it does."""

log = logging.getLogger(__name__)


class Resolver(Protocol):
    """Whoever asks registries."""

    def resolve(self, namespace: str, uri: str, access: Access) -> str:
        """The URI that always leads to what this one leads to now. Raises CallFailed."""


@dataclass
class _Followed:
    """Of one ModelDeployment."""

    reference: Reference
    answers: Answers
    failures: int = 0


class Follower:
    """Safe to use from several threads. `changed` is called with the key of whose name has something new to tell."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        resolver: Resolver,
        changed: Callable[[str, str], None],
        may_ask: Callable[[], bool] = lambda: True,
    ) -> None:
        self._dispatcher, self._resolver, self._changed, self._may_ask = dispatcher, resolver, changed, may_ask
        self._followed: dict[Key, _Followed] = {}
        self._lock = threading.Lock()

    def answers(self, key: Key, reference: Reference | None) -> Answers | None:
        """What is known of the name that is to be followed from now on. Never blocks."""
        with self._lock:
            followed = self._followed.get(key)
            if reference is None:
                self._followed.pop(key, None)
                return None
            if followed and followed.reference == reference:
                return followed.answers
            # Credentials or an interval that change forget nothing of what has been answered.
            same = followed and followed.reference.uri == reference.uri
            kept = followed.answers if followed and same else Answers(reference.uri)
            new = self._followed[key] = _Followed(reference, kept)
        if not self._dispatcher.submit(f"{key[0]}/{reference.uri}", lambda: self._look(key, new)):
            log.warning("%s/%s: %s isn't looked at, too many calls wait", *key, reference.uri)
            self.forget(key)
        return kept

    def forget(self, key: Key) -> None:
        """Follows nothing of a ModelDeployment any more."""
        with self._lock:
            self._followed.pop(key, None)

    def _look(self, key: Key, followed: _Followed) -> float | None:
        """One look; gives back after how many seconds to look again, or None when nobody wants it any more."""
        if not self._is_wanted(key, followed):
            return None
        if not self._may_ask():
            return NOT_LEADING.total_seconds()
        before, reference = followed.answers, followed.reference
        try:
            after = before.with_answer(self._resolver.resolve(key[0], reference.uri, reference.access))
            followed.failures, pause = 0, after.pause(reference.every)
        except CallFailed as error:
            after, pause = before.with_problem(str(error)), self._pause_after_failure(followed)
        except Exception:
            log.exception("%s/%s: %s can't be looked up", *key, reference.uri)
            problem = "asking failed in a way that nobody foresaw; the operator's log says more"
            after, pause = before.with_problem(problem), self._pause_after_failure(followed)
        followed.answers = after
        if _news(before) != _news(after) and self._is_wanted(key, followed):
            self._changed(*key)
        return pause.total_seconds()

    def _pause_after_failure(self, followed: _Followed) -> timedelta:
        followed.failures += 1
        return doubled(SHORTEST, followed.failures - 1, max(followed.reference.every, SHORTEST))

    def _is_wanted(self, key: Key, followed: _Followed) -> bool:
        with self._lock:
            return self._followed.get(key) is followed


def _news(answers: Answers) -> tuple[str, bool, int, str]:
    """What a look at the ModelDeployment is worth."""
    return answers.answer, answers.is_settled, answers.changes, answers.problem
