"""What a gate is sent, and how its answer is read. Pure."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from tidegate.errors import CallFailed
from tidegate.model.gate import GateAnswer, GateRecord, GateSpec
from tidegate.model.observation import Observation
from tidegate.model.spec import Model
from tidegate.model.status import Status
from tidegate.model.units import format_instant

LONGEST_MESSAGE = 500
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Question(NamedTuple):
    """One gate to ask, and by what the question is known in its rollout."""

    id: str
    gate: GateSpec
    body: bytes
    deployment: str = ""
    uid: str = ""
    candidate: str = ""
    started: str = ""
    """When the rollout began."""
    stable: str = ""
    model: Model | None = None
    """The candidate's; None where its snapshot is gone."""
    pod_template: Mapping[str, Any] = {}
    """What the user's podTemplate adds to the candidate's pods."""


def questions(seen: Observation, status: Status, uid: str) -> tuple[Question, ...]:
    """Whoever is to be asked now, by what is recorded."""
    rollout = status.rollout
    if rollout is None:
        return ()
    gates, started = {gate.name: gate for gate in seen.gates}, format_instant(rollout.started_at)
    asked = [(record, gates[record.name]) for record in rollout.gates if record.is_being_asked and record.name in gates]
    return tuple(
        Question(
            record.question,
            gate,
            _body(seen, status, record, gate, uid),
            seen.name,
            uid,
            rollout.candidate,
            started,
            status.stable or "",
            seen.model_of(rollout.candidate),
            seen.pod_template_of(rollout.candidate),
        )
        for record, gate in asked
    )


def _body(seen: Observation, status: Status, record: GateRecord, gate: GateSpec, uid: str) -> bytes:
    rollout = status.rollout
    assert rollout is not None  # noqa: S101 - only a rollout has records
    strategy = seen.spec.strategy
    return orjson.dumps(
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "GateReview",
            "gate": record.name,
            "at": record.at,
            "modelDeployment": {"namespace": seen.namespace, "name": seen.name, "uid": uid},
            "rollout": {
                "stable": status.stable,
                "candidate": rollout.candidate,
                "startedAt": format_instant(rollout.started_at),
                "step": record.step,
                "steps": strategy.steps_with_traffic,
                "weight": strategy.weight_at(record.step),
            },
            "model": _model(seen, rollout.candidate),
            "verdict": {
                "answer": seen.verdict.answer.value,
                "reason": seen.verdict.reason,
                "message": seen.verdict.message,
            },
            "metadata": dict(gate.metadata),
        }
    )


def _model(seen: Observation, revision: str) -> dict[str, Any]:
    state = seen.state(revision)
    if state.snapshot is None:
        return {}
    digest = state.snapshot.model.sha256 or state.pinned or (state.facts.sha256 if state.facts else None)
    return {"uri": without_login(state.snapshot.model.uri), "sha256": digest}


def without_login(uri: str) -> str:
    """A model's URI without a user's name and password, and without its query."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def read_answer(content_type: str, body: bytes) -> GateAnswer:
    """Raises CallFailed with a sentence on what isn't an answer; what came instead isn't repeated."""
    if "html" in content_type:
        raise CallFailed("it answers with a page of HTML: is that the right address, and does it ask for a login?")
    try:
        found = orjson.loads(body)
    except ValueError:
        raise CallFailed("its answer isn't JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("allowed"), bool):
        raise CallFailed('its answer has no "allowed" that is true or false')
    return GateAnswer(found["allowed"], _message(found), _retry_after(found), found.get("abort") is True)


def one_sentence(text: object) -> str:
    """What somebody else has written, on one line of bounded length; '' where it is no text."""
    return " ".join(CONTROLS.sub(" ", text).split())[:LONGEST_MESSAGE] if isinstance(text, str) else ""


def _message(found: dict[str, Any]) -> str:
    return one_sentence(found.get("message")) or ("it says yes" if found["allowed"] else "it doesn't say why")


def _retry_after(found: dict[str, Any]) -> timedelta | None:
    seconds = found.get("retryAfter")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return timedelta(seconds=min(max(float(seconds), 0.0), 86_400.0))
