"""What a gate is sent, and how its answer is read."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from tests.operator.decide.builder import CANDIDATE, STABLE, a_canary
from tidegate.decide.rollout import decide
from tidegate.errors import CallFailed
from tidegate.gates.review import questions, read_answer, without_login
from tidegate.model.gate import GateAnswer, parse_gates

GATE = {"name": "ci", "at": "Promotion", "url": "https://ci.example.com/ok?token=sesame", "metadata": {"team": "ml"}}


def test_a_question_has_what_the_users_pod_template_says_of_the_candidate() -> None:
    seen, template = a_canary(2), {"serviceAccountName": "models"}
    state = seen.state(CANDIDATE)
    assert state.snapshot is not None
    snapshot = replace(state.snapshot, server=replace(state.snapshot.server, pod_template=template))
    revisions = {**seen.revisions, CANDIDATE: replace(state, snapshot=snapshot)}
    seen = replace(seen, revisions=revisions, spec=replace(seen.spec, gates=parse_gates([GATE])))

    assert [each.pod_template for each in questions(seen, decide(seen).status, "u-1")] == [template]


def test_a_gate_is_sent_what_it_may_decide_by() -> None:
    seen = a_canary(2)
    seen = replace(seen, spec=replace(seen.spec, gates=parse_gates([GATE])))
    (question,) = questions(seen, decide(seen).status, "u-1")

    assert question.id == "ci/3/1"
    assert orjson.loads(question.body) == {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "GateReview",
        "gate": "ci",
        "at": "Promotion",
        "modelDeployment": {"namespace": "shop", "name": "digits", "uid": "u-1"},
        "rollout": {
            "stable": STABLE,
            "candidate": CANDIDATE,
            "startedAt": "2026-01-01T11:55:00Z",
            "step": 3,
            "steps": 2,
            "weight": 100,
        },
        "model": {"uri": "http://models/1", "sha256": "ab"},
        "verdict": {"answer": "Acceptable", "reason": "NoWorse", "message": "as good as stable"},
        "metadata": {"team": "ml"},
    }


def test_a_models_login_is_not_sent() -> None:
    uri = "https://alice:sesame@models.example.com/7.onnx?X-Amz-Signature=sesame"

    assert without_login(uri) == "https://models.example.com/7.onnx"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ('{"allowed": true}', GateAnswer(True, "it says yes")),
        ('{"allowed": false}', GateAnswer(False, "it doesn't say why")),
        ('{"allowed": true, "message": "all clear"}', GateAnswer(True, "all clear")),
        (
            '{"allowed": false, "message": "a\\nfreeze\\u0000 is on", "retryAfter": 90, "abort": false}',
            GateAnswer(False, "a freeze is on", timedelta(seconds=90)),
        ),
        ('{"allowed": false, "abort": true, "message": "no"}', GateAnswer(False, "no", abort=True)),
        (
            '{"allowed": false, "abort": "yes", "retryAfter": "soon", "message": 7}',
            GateAnswer(False, "it doesn't say why"),
        ),
        ('{"allowed": false, "retryAfter": 1e30}', GateAnswer(False, "it doesn't say why", timedelta(days=1))),
        (f'{{"allowed": false, "message": "{"x" * 5000}"}}', GateAnswer(False, "x" * 500)),
    ],
)
def test_an_answer_is_read(body: str, answer: GateAnswer) -> None:
    assert read_answer("application/json", body.encode()) == answer


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (
            "text/html",
            "<p>sesame",
            "it answers with a page of HTML: is that the right address, and does it ask for a login?",
        ),
        ("text/plain", "sesame", "its answer isn't JSON"),
        ("application/json", "", "its answer isn't JSON"),
        ("application/json", "[true]", 'its answer has no "allowed" that is true or false'),
        ("application/json", '{"allowed": "sesame"}', 'its answer has no "allowed" that is true or false'),
        ("application/json", '{"allowed": 1}', 'its answer has no "allowed" that is true or false'),
        ("application/json", "null", 'its answer has no "allowed" that is true or false'),
    ],
)
def test_what_is_no_answer_is_said_without_repeating_it(kind: str, body: str, message: str) -> None:
    with pytest.raises(CallFailed) as failed:
        read_answer(kind, body.encode())

    assert str(failed.value) == message
