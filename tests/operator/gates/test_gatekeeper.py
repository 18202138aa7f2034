"""Questions to gates are kept going beside everything else, by real HTTP."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from time import sleep
from typing import Any

import pytest

from tests.operator.decide.builder import NOW, a_canary, rollout_of
from tests.operator.webhooks.loopback import Receiver, once, receiver, says
from tests.operator.webhooks.test_secrets import Objects, encoded
from tidegate.gates.gatekeeper import Gatekeeper
from tidegate.gates.review import Question
from tidegate.gates.webhook import WebhookGates
from tidegate.kube.api import SECRETS
from tidegate.model.gate import GateAnswer, GateSpec
from tidegate.model.status import Rollout
from tidegate.webhooks import caller as calling
from tidegate.webhooks.addresses import AddressRules
from tidegate.webhooks.caller import Caller
from tidegate.webhooks.client import WebhookClient
from tidegate.webhooks.dispatcher import Dispatcher

KEY, UID = ("shop", "digits"), "u-1"
ROLLOUT = rollout_of(a_canary(1))
SIGNED_BY = b"correct horse battery staple"
OBJECTS = Objects({(SECRETS, "tidegate-webhooks"): {"key": encoded(SIGNED_BY), "url": encoded(b"ftp://sesame")}})
HTML = "it answers with a page of HTML: is that the right address, and does it ask for a login?"
REDIRECTS = "it redirects (HTTP 302), and redirects aren't followed: give the address they lead to"
YES = says('{"allowed": true, "message": "all clear"}')


class Asking:
    """A Gatekeeper of its own, whose answers can be waited for."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self._answered = threading.Event()
        caller = Caller(WebhookClient(AddressRules(())), OBJECTS, lambda: 1_700_000_000.5)
        self.keeper = Gatekeeper(self.dispatcher, WebhookGates(caller), lambda *_: self._answered.set())

    def follow(self, *questions: Question, rollout: Rollout = ROLLOUT) -> None:
        self.keeper.follow(KEY, UID, rollout, questions)

    def answers(self) -> dict[str, GateAnswer]:
        """Those there are, after the next one has come."""
        assert self._answered.wait(10)
        self._answered.clear()
        return dict(self.keeper.answers(KEY, UID, ROLLOUT))


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.setattr(calling, "FIRST_PAUSE", 0.01)
    made = Asking()
    yield made
    made.dispatcher.stop()


def question(url: str = "", number: int = 1, **fields: Any) -> Question:
    gate = GateSpec.parse({"name": "ci", "at": "Step", **({"url": url} if url else {}), **fields})
    return Question(f"ci/2/{number}", gate, b'{"gate": "ci"}')


def ids(server: Receiver) -> list[str]:
    return [call.headers["webhook-id"] for call in server.calls]


def test_an_answer_comes_while_nobody_waits_for_it(asking: Asking) -> None:
    asked = threading.Event()
    with receiver(once(asked, YES)) as server:
        asking.follow(question(server.url))
        asked.set()

        assert asking.answers() == {"ci/2/1": GateAnswer(True, "all clear")}


def test_a_call_is_signed_so_that_the_receiver_knows_who_calls_and_when(asking: Asking) -> None:
    with receiver(YES) as server:
        asking.follow(question(server.url, signingSecret={"name": "tidegate-webhooks"}))
        asking.answers()
    (call,) = server.calls
    signed = f"{call.headers['webhook-id']}.1700000000.".encode() + call.body
    digest = base64.b64encode(hmac.new(SIGNED_BY, signed, hashlib.sha256).digest()).decode()

    assert call.headers["webhook-timestamp"] == "1700000000"
    assert call.headers["webhook-signature"] == f"v1,{digest}"
    assert call.body == b'{"gate": "ci"}'


def test_a_try_that_fails_is_repeated_under_the_same_id(asking: Asking) -> None:
    with receiver(says("", 503), says("<html>", kind="text/html"), YES) as server:
        asking.follow(question(server.url))

        assert asking.answers() == {"ci/2/1": GateAnswer(True, "all clear")}
    assert len(ids(server)) == 3
    assert len(set(ids(server))) == 1


@pytest.mark.parametrize(
    ("answer", "message", "tries"),
    [
        (says("", 503), "it answers HTTP 503", 3),
        (says("<html>sesame", kind="text/html"), HTML, 3),
        (says("", 302, Location="http://169.254.169.254/"), REDIRECTS, 1),
        (says("", 404), "it answers HTTP 404", 1),
    ],
)
def test_after_the_last_try_the_answer_is_why_there_is_none(
    asking: Asking, answer: Any, message: str, tries: int
) -> None:
    with receiver(answer) as server:
        asking.follow(question(server.url, retries=2))

        assert asking.answers() == {"ci/2/1": GateAnswer(None, message)}
    assert len(server.calls) == tries


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "http://127.0.0.1:9/", "signingSecret": {"name": "other"}}, "the Secret other isn't there"),
        ({"urlSecret": {"name": "tidegate-webhooks"}}, "its address doesn't begin with https:// or http:// and a host"),
    ],
)
def test_what_a_secret_lacks_is_the_answer(asking: Asking, fields: dict[str, Any], message: str) -> None:
    asking.follow(question(**fields))

    assert asking.answers() == {"ci/2/1": GateAnswer(None, message)}


def test_after_a_restart_the_same_question_has_the_same_id(asking: Asking) -> None:
    with receiver(YES) as server:
        for each in (asking, Asking()):
            each.follow(question(server.url))
            each.answers()
        asking.follow(question(server.url, number=2))
        asking.answers()

    first, again, another = ids(server)
    assert first == again != another


def test_what_is_under_way_or_answered_is_not_asked_twice(asking: Asking) -> None:
    with receiver(YES) as server:
        for _ in range(3):
            asking.follow(question(server.url))
        asking.answers()
        asking.follow(question(server.url))
        sleep(0.1)

        assert len(server.calls) == 1


def test_an_answer_to_another_rollout_is_none(asking: Asking) -> None:
    with receiver(YES) as server:
        asking.follow(question(server.url))
        asking.answers()

        assert asking.keeper.answers(KEY, UID, replace(ROLLOUT, started_at=NOW)) == {}
        assert asking.keeper.answers(KEY, "u-2", ROLLOUT) == {}


def test_an_answer_is_kept_until_it_is_recorded(asking: Asking) -> None:
    with receiver(YES) as server:
        asking.follow(question(server.url))
        asking.answers()
        assert asking.keeper.answers(KEY, UID, ROLLOUT)
        asking.follow()

        assert asking.keeper.answers(KEY, UID, ROLLOUT) == {}


def test_a_rollout_that_has_ended_is_not_asked_for_any_more(asking: Asking) -> None:
    let_go = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(5)
        says("", 503)(handler)

    with receiver(hang, YES) as server:
        asking.follow(question(server.url))
        asking.keeper.forget(KEY)
        let_go.set()
        sleep(0.2)

        assert len(server.calls) <= 1
        assert asking.keeper.answers(KEY, UID, ROLLOUT) == {}
