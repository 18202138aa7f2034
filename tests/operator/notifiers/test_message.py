"""What receivers are sent, format by format."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tidegate.model.notification import Format, Happening, Notice
from tidegate.notifiers.message import LONGEST_TEXT, About, message

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ABOUT = About("shop", "digits", "u-1")
NOTICE = Notice("RolledBack", "ErrorRateWorse", "b was rolled back: 20% fail", AT, "digits-a", "digits-b", 1, 2, 0)
DATA = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "RolloutNotice",
    "happening": "RolledBack",
    "reason": "ErrorRateWorse",
    "message": "b was rolled back: 20% fail",
    "at": "2026-01-01T12:00:00Z",
    "modelDeployment": {"namespace": "shop", "name": "digits", "uid": "u-1"},
    "rollout": {"stable": "digits-a", "candidate": "digits-b", "step": 1, "steps": 2, "weight": 0},
}


def sent(form: Format, notice: Notice = NOTICE) -> tuple[str, Any]:
    found = message(form, ABOUT, notice, "id-1")
    return found.content_type, orjson.loads(found.body)


def test_cloud_events_are_as_their_specification_has_them() -> None:
    assert sent(Format.CLOUD_EVENTS) == (
        "application/cloudevents+json; charset=UTF-8",
        {
            "specversion": "1.0",
            "id": "id-1",
            "source": "/apis/tidegate.dev/v1alpha1/namespaces/shop/modeldeployments/digits",
            "type": "dev.tidegate.rollout.rolledback",
            "subject": "digits-b",
            "time": "2026-01-01T12:00:00Z",
            "datacontenttype": "application/json",
            "data": DATA,
        },
    )


def test_a_plain_webhook_gets_the_data() -> None:
    assert sent(Format.WEBHOOK) == ("application/json", {**DATA, "id": "id-1"})


def test_slack_gets_a_text_for_its_list_and_a_block_with_a_colour() -> None:
    kind, body = sent(Format.SLACK)
    title = "shop/digits: RolledBack (ErrorRateWorse)"

    assert kind == "application/json"
    assert body["text"] == f"{title}: b was rolled back: 20% fail"
    (attachment,) = body["attachments"]
    section, context = attachment["blocks"]
    assert attachment["color"] == "#e01e5a"
    assert section["text"] == {"type": "mrkdwn", "text": f"*{title}*\nb was rolled back: 20% fail"}
    assert context["elements"] == [{"type": "mrkdwn", "text": "stable digits-a · candidate digits-b · weight 0%"}]


def test_teams_gets_an_adaptive_card() -> None:
    _, body = sent(Format.TEAMS)
    (attachment,) = body["attachments"]
    card = attachment["content"]

    assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert [each["type"] for each in card["body"]] == ["TextBlock", "TextBlock", "FactSet"]
    assert card["body"][0]["color"] == "Attention"


def test_grafana_gets_an_annotation_at_its_time() -> None:
    assert sent(Format.GRAFANA) == (
        "application/json",
        {
            "time": 1_767_268_800_000,
            "tags": ["tidegate", "shop", "digits", "RolledBack"],
            "text": "shop/digits: RolledBack (ErrorRateWorse): b was rolled back: 20% fail",
        },
    )


@pytest.mark.parametrize("form", [Format.SLACK, Format.GRAFANA])
def test_nothing_in_a_sentence_becomes_a_mention_a_link_or_a_tag(form: Format) -> None:
    noisy = replace(NOTICE, message="<!channel> <https://x.example.com|y> <script>&")
    _, body = sent(form, noisy)

    assert "<" not in str(body)
    assert "&lt;!channel&gt;" in body["text"]


@pytest.mark.parametrize("form", [Format.SLACK, Format.TEAMS])
def test_a_long_sentence_is_cut_to_what_is_taken(form: Format) -> None:
    _, body = sent(form, replace(NOTICE, message="x" * 32_000))

    assert len(orjson.dumps(body)) < 3 * LONGEST_TEXT


@pytest.mark.parametrize("form", sorted(set(Format) - {Format.MODEL_VERSION_TAGS}))
@pytest.mark.parametrize("happening", Happening)
def test_everything_can_be_told_in_every_format(form: Format, happening: Happening) -> None:
    assert sent(form, Notice(happening.value, "Reason", "", AT))[1]
