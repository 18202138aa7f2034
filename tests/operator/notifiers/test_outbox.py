"""Everybody who asked for it is told, by real HTTP, and nothing waits for that."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from time import sleep
from typing import Any

import orjson
import pytest

from tests.operator.decide.builder import a_spec
from tests.operator.webhooks.loopback import once, receiver, says
from tests.operator.webhooks.test_secrets import Objects, encoded
from tidegate.kube.api import SECRETS
from tidegate.model.notification import Notice, parse_receivers
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.notifiers.outbox import Outbox
from tidegate.webhooks import caller as calling
from tidegate.webhooks.addresses import AddressRules
from tidegate.webhooks.caller import Caller
from tidegate.webhooks.client import WebhookClient
from tidegate.webhooks.dispatcher import Dispatcher

KEY, UID = ("shop", "digits"), "u-1"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROMOTED = Notice("Promoted", "EvidenceAcceptable", "b is stable", AT, "a", "b", 3, 2, 100)
STARTED = Notice("Started", "RolloutStarted", "b comes up", AT, "a", "b")
SIGNED_BY = b"correct horse battery staple"
HTML = "it answers with a page of HTML: is that the right address, and does it ask for a login?"
REDIRECTS = "it redirects (HTTP 302), and redirects aren't followed: give the address they lead to"
OK = says("ok", kind="text/plain")


class Telling:
    """An Outbox of its own, and what it counted."""

    def __init__(self, *for_all: dict[str, Any], most: int = 100) -> None:
        self.dispatcher = Dispatcher(most=most)
        self.counted: list[str] = []
        self._told = threading.Event()
        objects = Objects(
            {(SECRETS, "tidegate-webhooks"): {"key": encoded(SIGNED_BY), "token": encoded(b"glsa_sesame\n")}}
        )
        caller = Caller(WebhookClient(AddressRules(())), objects, lambda: 1_700_000_000.0)
        self.outbox = Outbox(
            self.dispatcher,
            caller,
            lambda *_: self._told.set(),
            for_all=parse_receivers(for_all),
            namespace="shop",
            count=self.counted.append,
        )

    def follow(self, spec: ModelDeploymentSpec, *notices: Notice) -> None:
        self.outbox.follow(KEY, UID, spec, notices)

    def delivered(self) -> frozenset[str]:
        """Those there are, after the next one has been."""
        assert self._told.wait(10)
        self._told.clear()
        return self.outbox.delivered(KEY)


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telling]:
    monkeypatch.setattr(calling, "FIRST_PAUSE", 0.01)
    made = Telling()
    yield made
    made.dispatcher.stop()


def spec_with(*receivers: dict[str, Any], **fields: Any) -> ModelDeploymentSpec:
    named = [{"name": f"r{number}", **each} for number, each in enumerate(receivers)]
    return a_spec(notifications=named, **fields)


def test_everybody_is_told_and_then_it_is_done(telling: Telling) -> None:
    asked = threading.Event()
    with receiver(once(asked, OK)) as one, receiver(once(asked, OK)) as other:
        spec = spec_with({"url": one.url}, {"url": other.url, "format": "Slack"})
        telling.follow(spec, PROMOTED)
        asked.set()

        assert telling.delivered() == {PROMOTED.id}
    assert orjson.loads(one.calls[0].body)["type"] == "dev.tidegate.rollout.promoted"
    assert orjson.loads(other.calls[0].body)["text"].startswith("shop/digits: Promoted")
    assert telling.counted == ["sent", "sent"]


def test_only_who_asked_for_it_is_told(telling: Telling) -> None:
    with receiver(OK) as one:
        spec = spec_with({"url": one.url})
        telling.follow(spec, STARTED)

        assert telling.outbox.delivered(KEY) == {STARTED.id}
        assert telling.outbox.wanted(spec) == {"Held", "Promoted", "RolledBack", "Aborted"}
    assert one.calls == []


def test_a_gate_at_the_end_is_told_how_it_ended(telling: Telling) -> None:
    with receiver(OK) as one:
        gate = {"name": "ci", "at": "End", "url": one.url, "signingSecret": {"name": "tidegate-webhooks"}}
        telling.follow(a_spec(gates=[gate]), PROMOTED)
        telling.delivered()
    (call,) = one.calls
    signed = f"{call.headers['webhook-id']}.1700000000.".encode() + call.body
    digest = base64.b64encode(hmac.new(SIGNED_BY, signed, hashlib.sha256).digest()).decode()

    assert orjson.loads(call.body)["happening"] == "Promoted"
    assert call.headers["webhook-signature"] == f"v1,{digest}"


def test_the_operators_own_receivers_are_told_of_every_model() -> None:
    with receiver(OK) as one:
        telling = Telling({"name": "all", "url": one.url, "when": ["Started"]})
        assert telling.outbox.wanted(a_spec()) == {"Started"}
        telling.follow(a_spec(), STARTED)
        telling.delivered()
        telling.dispatcher.stop()

    assert len(one.calls) == 1


def test_grafana_is_shown_the_token(telling: Telling) -> None:
    with receiver(says('{"id": 1}')) as one:
        token = {"name": "tidegate-webhooks"}
        telling.follow(spec_with({"url": one.url, "format": "Grafana", "tokenSecret": token}), PROMOTED)
        telling.delivered()

    assert one.calls[0].headers["authorization"] == "Bearer glsa_sesame"


def test_a_receiver_that_fails_is_tried_again_under_the_same_id(telling: Telling) -> None:
    with receiver(says("", 500), says("", 429), OK) as one:
        telling.follow(spec_with({"url": one.url}), PROMOTED)
        telling.delivered()
    ids = {orjson.loads(call.body)["id"] for call in one.calls}

    assert len(one.calls) == 3
    assert ids == {call.headers["webhook-id"] for call in one.calls}
    assert len(ids) == 1
    assert telling.counted == ["sent"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says("no_service", 404, kind="text/plain"), "it answers HTTP 404"),
        (says("invalid_token", 403, kind="text/plain"), "it answers HTTP 403"),
        (says("<html>sign in</html>", kind="text/html"), HTML),
        (says("", 302, Location="https://slack.com/sesame"), REDIRECTS),
    ],
)
def test_a_wrong_slack_url_is_told_without_showing_it_and_given_up(telling: Telling, answer: Any, message: str) -> None:
    with receiver(answer) as one:
        telling.follow(spec_with({"url": one.url, "format": "Slack", "retries": 1}), PROMOTED)
        assert telling.delivered() == {PROMOTED.id}
    (event,) = telling.outbox.troubles(KEY)

    assert (event.reason, event.warning) == ("NotificationFailed", True)
    assert event.message == f"r0 can't be told of Promoted (b): {message}"
    assert telling.counted == ["failed"]
    assert telling.outbox.troubles(KEY) == []


def test_one_who_cannot_be_told_keeps_no_other_from_it(telling: Telling) -> None:
    with receiver(OK) as one:
        spec = spec_with({"url": "http://127.0.0.1:9/sesame", "retries": 0}, {"url": one.url})
        telling.follow(spec, PROMOTED)
        telling.delivered()

    assert sorted(telling.counted) == ["failed", "sent"]


def test_of_too_many_the_rest_are_dropped_counted_and_told() -> None:
    telling = Telling(most=0)
    telling.follow(spec_with({"url": "https://hooks.example.com/sesame"}), PROMOTED)

    assert telling.counted == ["dropped"]
    assert telling.outbox.delivered(KEY) == {PROMOTED.id}
    assert [event.message for event in telling.outbox.troubles(KEY)] == [
        "r0 can't be told of Promoted (b): too many notifications wait"
    ]


def test_what_is_being_told_or_was_is_not_told_again_and_a_restart_tells_under_the_same_id(telling: Telling) -> None:
    with receiver(OK) as one:
        spec = spec_with({"url": one.url})
        for each in (telling, Telling()):
            each.follow(spec, PROMOTED)
            each.follow(spec, PROMOTED)
            each.delivered()
            each.follow(spec, PROMOTED)
            sleep(0.05)

    assert len(one.calls) == 2
    assert len({call.headers["webhook-id"] for call in one.calls}) == 1


def test_what_is_recorded_as_told_is_forgotten(telling: Telling) -> None:
    with receiver(OK) as one:
        spec = spec_with({"url": one.url})
        telling.follow(spec, PROMOTED)
        telling.delivered()
        telling.follow(spec)

    assert telling.outbox.delivered(KEY) == frozenset()


def test_a_notice_of_a_newer_operator_is_let_go(telling: Telling) -> None:
    strange = Notice("Sang", "Reason", "la la", AT)
    telling.follow(spec_with({"url": "https://hooks.example.com/"}), strange)

    assert telling.outbox.delivered(KEY) == {strange.id}
