"""Keeps the questions to gates going that are recorded as asked, and their answers until they are recorded too.

In memory only: what is recorded as asked and isn't known here, as after a restart, is asked again, under the same id.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.gates.review import Question
from tidegate.kube.informer import Key
from tidegate.model.gate import GateAnswer
from tidegate.model.status import Rollout
from tidegate.model.units import format_instant
from tidegate.webhooks.dispatcher import Dispatcher

NAMESPACE = uuid.UUID("7c6f0a7e-5f0b-4f1c-9d3a-1f6f1c1b9a52")

log = logging.getLogger(__name__)


class Gates(Protocol):
    """One kind of gate."""

    def known_by(self, namespace: str, question: Question) -> str:
        """Whom a question goes to."""

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer, or after how many seconds to try for the next time."""

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """Nobody wants the answer any more."""


@dataclass(frozen=True)
class AllGates:
    """Asks each gate in its own way."""

    webhooks: Gates
    jobs: Gates
    registries: Gates

    def known_by(self, namespace: str, question: Question) -> str:
        """Whom a question goes to."""
        return self._of(question).known_by(namespace, question)

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer, or after how many seconds to try for the next time."""
        return self._of(question).ask(namespace, call_id, question, tries)

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """Nobody wants the answer any more."""
        self._of(question).withdraw(namespace, call_id, question)

    def _of(self, question: Question) -> Gates:
        if question.gate.registry:
            return self.registries
        return self.jobs if question.gate.job else self.webhooks


@dataclass
class _Asked:
    """Of one rollout."""

    rollout: str
    under_way: set[str] = field(default_factory=set)
    answers: dict[str, GateAnswer] = field(default_factory=dict)


class Gatekeeper:
    """Safe to use from several threads. `answered` is called with the key of a ModelDeployment that has an answer."""

    def __init__(self, dispatcher: Dispatcher, gates: Gates, answered: Callable[[str, str], None]) -> None:
        self._dispatcher, self._gates, self._answered = dispatcher, gates, answered
        self._asked: dict[Key, _Asked] = {}
        self._lock = threading.Lock()

    def answers(self, key: Key, uid: str, rollout: Rollout | None) -> Mapping[str, GateAnswer]:
        """What has come back of this rollout, by question."""
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or rollout is None or asked.rollout != _rollout_id(uid, rollout):
                return {}
            return dict(asked.answers)

    def follow(self, key: Key, uid: str, rollout: Rollout | None, questions: Sequence[Question]) -> None:
        """These are to be asked, and no others. Never blocks."""
        if rollout is None or not questions:
            self.forget(key)
            return
        identity, wanted = _rollout_id(uid, rollout), {question.id for question in questions}
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or asked.rollout != identity:
                asked = self._asked[key] = _Asked(identity)
            asked.under_way &= wanted
            asked.answers = {each: answer for each, answer in asked.answers.items() if each in wanted}
            new = [each for each in questions if each.id not in asked.under_way and each.id not in asked.answers]
            asked.under_way |= {each.id for each in new}
        for question in new:
            self._ask(key, asked, question)

    def forget(self, key: Key) -> None:
        """Drops what is kept of a ModelDeployment that asks nobody any more."""
        with self._lock:
            self._asked.pop(key, None)

    def _ask(self, key: Key, asked: _Asked, question: Question) -> None:
        namespace, name = key
        call_id, tries = str(uuid.uuid5(NAMESPACE, f"{asked.rollout}/{question.id}")), 0

        def attempt() -> float | None:
            nonlocal tries
            if not self._is_wanted(key, asked, question):
                self._withdraw(namespace, call_id, question)
                return None
            tries += 1
            found = self._answer(namespace, call_id, question, tries)
            if not isinstance(found, GateAnswer):
                return found
            self._take(key, asked, question, found)
            return None

        if not self._dispatcher.submit(self._gates.known_by(namespace, question), attempt):
            log.warning("%s/%s: the gate %s isn't asked yet, too many calls wait", namespace, name, question.gate.name)
            with self._lock:
                asked.under_way.discard(question.id)

    def _answer(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        try:
            return self._gates.ask(namespace, call_id, question, tries)
        except Exception:
            log.exception("the gate %s in %s can't be asked", question.gate.name, namespace)
            return GateAnswer(None, "asking it failed in a way that nobody foresaw; the operator's log says more")

    def _withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        try:
            self._gates.withdraw(namespace, call_id, question)
        except ClusterUnavailable as error:
            log.warning("what the gate %s in %s began isn't cleaned up: %s", question.gate.name, namespace, error)

    def _is_wanted(self, key: Key, asked: _Asked, question: Question) -> bool:
        with self._lock:
            return self._asked.get(key) is asked and question.id in asked.under_way

    def _take(self, key: Key, asked: _Asked, question: Question, answer: GateAnswer) -> None:
        with self._lock:
            if self._asked.get(key) is not asked or question.id not in asked.under_way:
                return
            asked.under_way.discard(question.id)
            asked.answers[question.id] = answer
        log.info("%s/%s: the gate %s: %s", *key, question.gate.name, answer.message)
        self._answered(*key)


def _rollout_id(uid: str, rollout: Rollout) -> str:
    return f"{uid}/{rollout.candidate}/{format_instant(rollout.started_at)}"
