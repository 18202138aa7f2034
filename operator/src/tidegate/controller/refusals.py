"""Writes that the API server refused: told after the second refusal, and tried again ever more seldom.

Kept in memory only: after a restart a write is refused again, and is known again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.errors import ClusterUnavailable, NameTaken, PredecessorRemains, WriteRefused
from tidegate.kube.informer import Key
from tidegate.model.back_off import doubled
from tidegate.model.reasons import Reason, StatusMessage

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=1)
MINOR_PAUSE = timedelta(minutes=5)
"""After a write that nothing rests on: a webhook that hangs may cost twenty seconds each time."""
TOLD_AFTER = 2
"""Refusals of one write: the first may be an accident, such as a webhook that restarts."""

log = logging.getLogger(__name__)

Write = tuple[str, str]
"""What is written: the kind of the action, and what it is about."""


@dataclass
class _Refused:
    message: StatusMessage
    times: int
    at: datetime
    again_at: datetime
    minor: bool = False
    """Nothing rests on it: it fails nothing, and is told at once by an Event only."""


@dataclass
class _Writes:
    """Of one ModelDeployment in one generation: what its user changes is tried at once."""

    generation: int
    refused: dict[Write, _Refused] = field(default_factory=dict)


class Refusals:
    """Of every ModelDeployment. Each is used by one thread at a time. `noted` hears the reason of each refusal."""

    def __init__(self, noted: Callable[[Reason], None] = lambda reason: None) -> None:
        self._noted = noted
        self._of: dict[Key, _Writes] = {}

    def begin(self, key: Key, generation: int) -> None:
        """A pass begins; of another generation than the last, everything is worth a try."""
        if key in self._of and self._of[key].generation != generation:
            del self._of[key]

    def rests(self, key: Key, write: Write, now: datetime) -> bool:
        """Whether a write isn't to be tried yet."""
        refused = self._refused(key).get(write)
        # By a clock that was set back since, nothing is waited for.
        return refused is not None and refused.at <= now < refused.again_at

    def note(
        self, key: Key, generation: int, write: Write, error: ClusterUnavailable, now: datetime, *, minor: bool = False
    ) -> None:
        """A write was refused."""
        writes = self._of.setdefault(key, _Writes(generation))
        times = writes.refused[write].times + 1 if write in writes.refused else 1
        # A name may become free at any moment, and its deletion is an event that brings about a pass.
        pause = timedelta() if isinstance(error, NameTaken | PredecessorRemains) else _pause(times, error.retry_after)
        if minor:
            pause = MINOR_PAUSE
        reason = _reason(error)
        self._noted(reason)
        message = StatusMessage(reason, _sentence(write, error))
        writes.refused[write] = _Refused(message, times, now, now + pause, minor)

    def keep_only(self, key: Key, writes: set[Write]) -> None:
        """Forgets all but these: what was taken, or isn't wanted any more."""
        for write in self._refused(key).keys() - writes:
            del self._of[key].refused[write]
        if not self._refused(key):
            self._of.pop(key, None)

    def told(self, key: Key) -> StatusMessage | None:
        """What people are to hear: the write that has been refused longest."""
        refusals = (refused for refused in self._refused(key).values() if not refused.minor)
        told = [refused for refused in refusals if refused.times >= TOLD_AFTER]
        return max(told, key=lambda refused: refused.times).message if told else None

    def minor(self, key: Key) -> list[StatusMessage]:
        """The refused writes that nothing rests on."""
        return [refused.message for refused in self._refused(key).values() if refused.minor]

    def next_try(self, key: Key) -> datetime | None:
        """When the next write is to be tried again; None where none was refused."""
        return min((refused.again_at for refused in self._refused(key).values()), default=None)

    def forget(self, key: Key) -> None:
        """Drops what is kept of a ModelDeployment that is gone."""
        self._of.pop(key, None)

    def _refused(self, key: Key) -> dict[Write, _Refused]:
        writes = self._of.get(key)
        return writes.refused if writes else {}


class Attempts:
    """The writes of one pass, some of which may be refused."""

    def __init__(self, refusals: Refusals, namespace: str, name: str, generation: int, now: datetime) -> None:
        self._refusals, self._key, self._now = refusals, (namespace, name), now
        self._generation = generation
        self._refused: set[Write] = set()
        refusals.begin(self._key, generation)

    def attempt(self, write: Write, do: Callable[[], None], *, essential: bool = False, minor: bool = False) -> None:
        """Writes, unless that was refused a short while ago; what is essential is always tried.

        Raises ClusterUnavailable where nobody answers, or what was refused is essential; never for what is minor.
        """
        if not essential and self._refusals.rests(self._key, write, self._now):
            self._refused.add(write)
            return
        try:
            do()
        except ClusterUnavailable as error:
            if error.status is None and not minor:
                raise
            log.warning("%s/%s: %s", *self._key, error)
            self._refused.add(write)
            self._refusals.note(self._key, self._generation, write, error, self._now, minor=minor)
            if essential:
                raise

    def finish(self) -> None:
        """All writes were tried: those that weren't refused are fine."""
        self._refusals.keep_only(self._key, self._refused)


def _pause(times: int, asked: float | None) -> timedelta:
    return max(doubled(FIRST_PAUSE, times - 1, LONGEST_PAUSE), timedelta(seconds=asked or 0.0))


def _reason(error: ClusterUnavailable) -> Reason:
    match error:
        case NameTaken():
            return Reason.NAME_TAKEN
        case PredecessorRemains():
            return Reason.PREDECESSOR_REMAINS
        case WriteRefused():
            return Reason.WRITE_REFUSED
        case _:
            return Reason.WRITE_FAILED


def _sentence(write: Write, error: ClusterUnavailable) -> str:
    if isinstance(error, NameTaken | PredecessorRemains):
        return error.said
    return f"the API server refuses a write for {write[1]}, which is tried again: {error.said}"
