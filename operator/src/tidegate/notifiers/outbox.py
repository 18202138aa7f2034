"""Tells what is recorded as to be told, to everybody who asked for it, and says when that is done.

At least once: what was told and not yet recorded so before a restart is told again, under the same id.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.errors import CallFailed
from tidegate.kube.informer import Key
from tidegate.model.decision import Event
from tidegate.model.notification import Format, Notice, Receiver, told_at_the_end
from tidegate.model.reasons import Reason
from tidegate.model.spec import Model, ModelDeploymentSpec
from tidegate.notifiers.message import About, Message, message
from tidegate.notifiers.version_tags import tag_version
from tidegate.registries.resolver import Registries
from tidegate.webhooks.caller import Caller, known_by, next_try
from tidegate.webhooks.dispatcher import Dispatcher
from tidegate.webhooks.secrets import read_key

NAMESPACE = uuid.UUID("0b7f3f0a-6f5e-4f7e-8f0e-3f8b7f1f5a11")
MOST_TROUBLES = 10

log = logging.getLogger(__name__)

Count = Callable[[str], None]
"""Called with `sent`, `failed` or `dropped`."""
ModelOf = Callable[[str], Model | None]
"""The model of a revision; None where nobody knows it any more."""


@dataclass(frozen=True)
class _Telling:
    """Somebody to tell. `namespace` is where the Secrets are."""

    namespace: str
    receiver: Receiver


@dataclass
class _Told:
    """Of one ModelDeployment."""

    left: dict[str, set[str]] = field(default_factory=dict)
    """Of each notice that is being told, who hasn't been yet."""
    done: set[str] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)


class Outbox:
    """Safe to use from several threads. `told` is called with the key of whose notice everybody has been told."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        caller: Caller,
        told: Callable[[str, str], None],
        *,
        for_all: Sequence[Receiver] = (),
        namespace: str = "",
        count: Count = lambda result: None,
        registries: Registries | None = None,
    ) -> None:
        self._dispatcher, self._caller, self._told, self._count = dispatcher, caller, told, count
        self._registries = registries
        named = (replace(receiver, name=f"{receiver.name} (for all models)") for receiver in for_all)
        self._for_all = tuple(_Telling(namespace, receiver) for receiver in named)
        self._of: dict[Key, _Told] = {}
        self._lock = threading.Lock()

    def wanted(self, spec: ModelDeploymentSpec) -> frozenset[str]:
        """What anybody is to hear of a ModelDeployment."""
        tellings = self._tellings("", spec)
        return frozenset(happening.value for telling in tellings for happening in telling.receiver.when)

    def delivered(self, key: Key) -> frozenset[str]:
        """Ids of the notices that needn't be kept any more."""
        with self._lock:
            told = self._of.get(key)
            return frozenset(told.done) if told else frozenset()

    def follow(
        self,
        key: Key,
        uid: str,
        spec: ModelDeploymentSpec,
        notices: Sequence[Notice],
        model_of: ModelOf = lambda revision: None,
    ) -> None:
        """These are to be told, and no others. Never blocks."""
        with self._lock:
            told = self._of.setdefault(key, _Told()) if notices else self._of.get(key)
            if told is None:
                return
            told.done &= {notice.id for notice in notices}
            new = [each for each in notices if each.id not in told.done and each.id not in told.left]
            tellings = {notice.id: self._of_notice(key[0], spec, notice) for notice in new}
            told.left |= {
                each: {telling.receiver.name for telling in those} for each, those in tellings.items() if those
            }
            told.done |= {each for each, those in tellings.items() if not those}
            if not (told.left or told.done or told.troubles):
                del self._of[key]
        about = About(*key, uid)
        for notice in new:
            for telling in tellings[notice.id]:
                self._send(key, about, notice, telling, model_of(notice.candidate))

    def troubles(self, key: Key) -> list[Event]:
        """What couldn't be told, for people."""
        with self._lock:
            told = self._of.get(key)
            found = list(told.troubles) if told else []
            if told:
                told.troubles.clear()
        return [Event(Reason.NOTIFICATION_FAILED, trouble, warning=True) for trouble in dict.fromkeys(found)]

    def forget(self, key: Key) -> None:
        """Drops what is kept of a ModelDeployment that there is no more."""
        with self._lock:
            self._of.pop(key, None)

    def _tellings(self, namespace: str, spec: ModelDeploymentSpec) -> tuple[_Telling, ...]:
        own = (*spec.notifications, *told_at_the_end(spec.gates))
        return (*(_Telling(namespace, receiver) for receiver in own), *self._for_all)

    def _of_notice(self, namespace: str, spec: ModelDeploymentSpec, notice: Notice) -> list[_Telling]:
        return [each for each in self._tellings(namespace, spec) if notice.happening in each.receiver.when]

    def _send(self, key: Key, about: About, notice: Notice, telling: _Telling, model: Model | None) -> None:
        receiver, tries = telling.receiver, 0
        call_id = str(uuid.uuid5(NAMESPACE, f"{about.uid}/{notice.id}/{telling.namespace}/{receiver.name}"))

        def attempt() -> float | None:
            nonlocal tries
            tries += 1
            try:
                if receiver.format is Format.MODEL_VERSION_TAGS and self._registries:
                    tag_version(self._registries, about, notice, model)
                else:
                    self._call(telling, message(receiver.format, about, notice, call_id), call_id)
            except CallFailed as error:
                pause = next_try(error, tries, receiver.endpoint)
                if pause is None:
                    self._done(key, notice, receiver, str(error))
                return pause
            except Exception:
                log.exception("%s/%s: %s can't be told", *key, receiver.name)
                self._done(key, notice, receiver, "telling it failed in a way that nobody foresaw")
                return None
            self._done(key, notice, receiver)
            return None

        if not self._dispatcher.submit(known_by(telling.namespace, receiver.endpoint), attempt):
            self._done(key, notice, receiver, "too many notifications wait", result="dropped")

    def _call(self, telling: _Telling, sent: Message, call_id: str) -> None:
        content_type, body = sent
        headers: Mapping[str, str] = {"Content-Type": content_type}
        if telling.receiver.token:
            token = read_key(self._caller.objects, telling.namespace, telling.receiver.token).strip()
            if not (token.isascii() and token.isprintable()):
                raise CallFailed("its token holds characters that no token has", final=True)
            headers = {**headers, "Authorization": f"Bearer {token}"}
        answer = self._caller.call(telling.namespace, telling.receiver.endpoint, call_id, body, headers)
        if "html" in answer.content_type:
            raise CallFailed("it answers with a page of HTML: is that the right address, and does it ask for a login?")

    def _done(self, key: Key, notice: Notice, receiver: Receiver, trouble: str = "", *, result: str = "failed") -> None:
        self._count(result if trouble else "sent")
        with self._lock:
            told = self._of.get(key)
            if told is None:
                return
            if trouble:
                about = notice.candidate or notice.reason
                sentence = f"{receiver.name} can't be told of {notice.happening} ({about}): {trouble}"
                told.troubles = [*told.troubles, sentence][-MOST_TROUBLES:]
                log.warning("%s/%s: %s", *key, sentence)
            left = told.left.get(notice.id, set())
            left.discard(receiver.name)
            if left:
                return
            told.left.pop(notice.id, None)
            told.done.add(notice.id)
        self._told(*key)
