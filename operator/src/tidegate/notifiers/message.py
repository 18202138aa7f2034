"""What receivers are sent, format by format. Pure.

CloudEvents 1.0 in the structured mode of HTTP, messages for Slack's incoming webhooks, Adaptive Cards for a Workflow of
Teams', Grafana's annotations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tidegate.model.notification import Format, Happening, Notice
from tidegate.model.units import format_instant

JSON = "application/json"
LONGEST_TEXT = 2500
"""Characters of a sentence; Slack takes 3000 in one block."""
GOOD, BAD, NEUTRAL = "#2eb67d", "#e01e5a", "#808080"
COLOURS: Mapping[str, str] = {Happening.PROMOTED: GOOD, Happening.ROLLED_BACK: BAD, Happening.HELD: "#ecb22e"}
CARD_COLOURS: Mapping[str, str] = {
    Happening.PROMOTED: "Good",
    Happening.ROLLED_BACK: "Attention",
    Happening.HELD: "Warning",
}


@dataclass(frozen=True)
class About:
    """The ModelDeployment."""

    namespace: str
    name: str
    uid: str

    @property
    def source(self) -> str:
        """Its path at the API server."""
        return f"/apis/tidegate.dev/v1alpha1/namespaces/{self.namespace}/modeldeployments/{self.name}"


class Message(NamedTuple):
    """What goes over the wire."""

    content_type: str
    body: bytes


def message(form: Format, about: About, notice: Notice, call_id: str) -> Message:
    """One notice for one receiver. `call_id` is the same however often it is sent."""
    return _FORMATS[form](about, notice, call_id)


def data(about: About, notice: Notice) -> Mapping[str, Any]:
    """What there is to know, for machines."""
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "RolloutNotice",
        "happening": notice.happening,
        "reason": notice.reason,
        "message": notice.message,
        "at": format_instant(notice.at),
        "modelDeployment": {"namespace": about.namespace, "name": about.name, "uid": about.uid},
        "rollout": {
            "stable": notice.stable,
            "candidate": notice.candidate,
            "step": notice.step,
            "steps": notice.steps,
            "weight": notice.weight,
        },
    }


def _cloud_event(about: About, notice: Notice, call_id: str) -> Message:
    event = {
        "specversion": "1.0",
        "id": call_id,
        "source": about.source,
        "type": f"dev.tidegate.rollout.{notice.happening.lower()}",
        **({"subject": notice.candidate} if notice.candidate else {}),
        "time": format_instant(notice.at),
        "datacontenttype": JSON,
        "data": data(about, notice),
    }
    return Message("application/cloudevents+json; charset=UTF-8", orjson.dumps(event))


def _webhook(about: About, notice: Notice, call_id: str) -> Message:
    return Message(JSON, orjson.dumps({**data(about, notice), "id": call_id}))


def _slack(about: About, notice: Notice, _: str) -> Message:
    title, sentence = (_escaped(text) for text in (_title(about, notice), _short(notice.message)))
    facts = " · ".join(f"{name} {_escaped(value)}" for name, value in _facts(notice))
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*\n{sentence}"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": facts}]},
    ]
    colour = COLOURS.get(notice.happening, NEUTRAL)
    return Message(
        JSON,
        orjson.dumps({"text": f"{title}: {sentence}", "attachments": [{"color": colour, "blocks": blocks}]}),
    )


def _teams(about: About, notice: Notice, _: str) -> Message:
    colour = CARD_COLOURS.get(notice.happening, "Default")
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _title(about, notice), "weight": "Bolder", "color": colour, "wrap": True},
            {"type": "TextBlock", "text": _short(notice.message), "wrap": True},
            {"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in _facts(notice)]},
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return Message(JSON, orjson.dumps({"type": "message", "attachments": [attachment]}))


def _grafana(about: About, notice: Notice, _: str) -> Message:
    tags = ["tidegate", about.namespace, about.name, notice.happening]
    text = f"{_title(about, notice)}: {_short(notice.message)}"
    milliseconds = int(notice.at.timestamp() * 1000)
    return Message(JSON, orjson.dumps({"time": milliseconds, "tags": tags, "text": _escaped(text)}))


_FORMATS: Mapping[Format, Callable[[About, Notice, str], Message]] = {
    Format.CLOUD_EVENTS: _cloud_event,
    Format.SLACK: _slack,
    Format.TEAMS: _teams,
    Format.GRAFANA: _grafana,
    Format.WEBHOOK: _webhook,
}


def _title(about: About, notice: Notice) -> str:
    return f"{about.namespace}/{about.name}: {notice.happening} ({notice.reason})"


def _facts(notice: Notice) -> list[tuple[str, str]]:
    facts = [("stable", notice.stable), ("candidate", notice.candidate), ("weight", f"{notice.weight}%")]
    return [(name, value) for name, value in facts if value]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _escaped(text: str) -> str:
    """So that nothing in a sentence, which may be a server's own, becomes a link, a mention or a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
