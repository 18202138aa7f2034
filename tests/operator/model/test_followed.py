"""When what the name of a model means is believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tidegate.errors import InvalidSpec
from tidegate.model.followed import Answers, FollowedModel, caution, followed_model, parse_follow
from tidegate.model.reasons import Reason

URI = "models:/digits@champion"
NOW, BEFORE = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
KNOWN = FollowedModel(URI, "models:/digits/7", BEFORE)


def after(*versions: int | str) -> Answers:
    """What looks have come to; a text is a look that failed."""
    answers = Answers(URI)
    for each in versions:
        if isinstance(each, str):
            answers = answers.with_problem(each)
        else:
            answers = answers.with_answer(f"models:/digits/{each}")
    return answers


def meant(known: FollowedModel | None, answers: Answers | None) -> str | None:
    found = followed_model(URI, known, answers, NOW)
    return found.resolved if found else None


@pytest.mark.parametrize(
    ("known", "answers", "expected"),
    [
        pytest.param(None, None, None, id="nobody has been asked yet"),
        pytest.param(None, after("it can't be reached"), None, id="the first look fails"),
        pytest.param(None, after(7), "models:/digits/7", id="the first answer is followed at once"),
        pytest.param(KNOWN, None, "models:/digits/7", id="after a restart what is recorded stays"),
        pytest.param(KNOWN, after("it can't be reached"), "models:/digits/7", id="and while the registry is away"),
        pytest.param(KNOWN, after(8), "models:/digits/7", id="another answer isn't believed at once"),
        pytest.param(KNOWN, after(8, 8), "models:/digits/8", id="it is when the next look has it too"),
        pytest.param(KNOWN, after(7, 7, 8, 8), "models:/digits/8", id="a change after calm takes two looks"),
        pytest.param(KNOWN, after(8, "away", 8), "models:/digits/8", id="a look that fails is none"),
        pytest.param(KNOWN, after(8, 9, 8, 8, 8), "models:/digits/7", id="after two changes two looks don't suffice"),
        pytest.param(KNOWN, after(8, 9, 8, 8, 8, 8), "models:/digits/8", id="four do"),
        pytest.param(
            replace(KNOWN, uri="models:/digits@other"), after(8), "models:/digits/8", id="another name begins anew"
        ),
        pytest.param(
            KNOWN, replace(after(8, 8), uri="models:/digits@other"), "models:/digits/7", id="answers on another name"
        ),
    ],
)
def test_what_a_name_means(known: FollowedModel | None, answers: Answers | None, expected: str | None) -> None:
    assert meant(known, answers) == expected


def test_a_name_that_flips_at_each_look_is_never_followed() -> None:
    known, answers = KNOWN, Answers(URI)
    for look in range(1000):
        answers = answers.with_answer(f"models:/digits/{7 + look % 2}")
        found = followed_model(URI, known, answers, NOW)
        assert found == known


@pytest.mark.parametrize("period", [2, 3, 5, 7])
def test_a_name_that_flips_every_few_looks_starts_two_rollouts_at_most(period: int) -> None:
    known, answers, moved = KNOWN, Answers(URI), 0
    for look in range(1000):
        answers = answers.with_answer(f"models:/digits/{7 + look // period % 2}")
        found = followed_model(URI, known, answers, NOW)
        assert found is not None
        moved, known = moved + (found != known), found
    assert moved <= 2


@pytest.mark.parametrize("seed", range(50))
def test_a_name_that_flips_every_second_starts_two_rollouts_at_most_in_an_hour_and_is_told(seed: int) -> None:
    by_chance, answers, known, moved = Random(seed), after(*[7] * 10), KNOWN, 0
    end, now = NOW + timedelta(hours=1), NOW
    while now < end:
        now += answers.pause(timedelta(minutes=1))
        answers = answers.with_answer(f"models:/digits/{by_chance.choice((7, 8))}")
        found = followed_model(URI, known, answers, now)
        assert found is not None
        moved, known = moved + (found != known), found
    told = caution(known, answers)
    assert (moved <= 2, told and told.reason) == (True, Reason.REFERENCE_UNSETTLED)


def test_calm_is_earned_back() -> None:
    restless = after(*(7 + look % 2 for look in range(5)))
    assert (restless.changes, restless.needed, restless.is_settled) == (4, 16, False)
    calm = restless
    for _ in range(16):
        calm = calm.with_answer("models:/digits/7")
    assert (calm.changes, calm.needed, calm.is_settled) == (0, 2, True)


@pytest.mark.parametrize(
    ("answers", "pause"),
    [
        pytest.param(after(7, 7), timedelta(minutes=5), id="settled"),
        pytest.param(after(7, 7, 8), timedelta(seconds=15), id="not settled yet"),
    ],
)
def test_an_answer_that_isnt_believed_is_looked_at_again_soon(answers: Answers, pause: timedelta) -> None:
    assert answers.pause(timedelta(minutes=5)) == pause


@pytest.mark.parametrize(
    ("answers", "reason", "words"),
    [
        pytest.param(after(7, 7), None, "", id="all is well"),
        pytest.param(after(7, 8), None, "", id="a change is nothing to speak of"),
        pytest.param(
            after(7, "it can't be reached: Connection refused"),
            Reason.REFERENCE_UNKNOWN,
            "models:/digits@champion can't be looked up: it can't be reached: Connection refused; models:/digits/7 "
            "stays meant",
            id="the registry is away",
        ),
        pytest.param(
            after(7, 8, 7, 8),
            Reason.REFERENCE_UNSETTLED,
            "models:/digits@champion keeps changing, 3 times of late, and is models:/digits/8 now; it is followed when "
            "8 looks in a row have had one answer, and until then models:/digits/7 stays meant",
            id="it flips",
        ),
    ],
)
def test_what_people_are_told(answers: Answers, reason: str | None, words: str) -> None:
    said = caution(KNOWN, answers)
    assert (said and said.reason, said.message if said else "") == (reason, words)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param({"uri": "models:/digits/7"}, "may mean another model tomorrow", id="a version"),
        pytest.param({"uri": "oci://r/digits@sha256:0"}, "may mean another model tomorrow", id="a digest"),
        pytest.param({"uri": "https://example.com/7.onnx"}, "may mean another model tomorrow", id="a file"),
        pytest.param(
            {"uri": URI, "sha256": "0" * 64}, "spec.model.sha256 can't be set beside", id="a digest beside it"
        ),
        pytest.param({"uri": URI, "follow": {"every": "5s"}}, "between 10s and 24h", id="too often"),
        pytest.param({"uri": URI, "follow": {"every": "25h"}}, "between 10s and 24h", id="too seldom"),
    ],
)
def test_what_cant_be_followed_is_refused(model: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        parse_follow({"follow": {"every": "1m"}, **model})


def test_nothing_is_followed_unasked() -> None:
    assert parse_follow({"uri": URI}) is None
