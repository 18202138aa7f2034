"""Polls that are heard one by one give the verdict that they give together."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.operator.judge.test_verdict import arm
from tidegate.judge.docket import Docket
from tidegate.judge.verdict import Question, judge
from tidegate.model.evidence import Answer, Blindness, Dispersion, Poll, Sight
from tidegate.model.spec import ModelDeploymentSpec

CASE = ("shop", "digits")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def question(a_spec: Callable[..., ModelDeploymentSpec]) -> Question:
    return Question(a_spec().analysis, 0.05)


def poll(number: int, failed: int = 0, requests: int = 100, slow: int = 0) -> Poll:
    return Poll(START + timedelta(seconds=5 * number), arm(900, 2, slow=9), arm(requests, failed, slow=slow))


def seen(*polls: Poll, dispersion: float = 1.0) -> Sight:
    return Sight(polls, arm(1000).durations, dispersion=Dispersion(dispersion))


arms = st.tuples(st.integers(0, 20), st.integers(20, 200), st.integers(0, 20))


@given(arms=st.lists(arms, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=50, deadline=None)
def test_one_by_one_is_the_same_as_all_together(
    question: Question, arms: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    polls = [poll(number, *each) for number, each in enumerate(arms)]
    docket = Docket()
    for cut in sorted(cuts):
        docket.judge(CASE, seen(*polls[:cut]), question)
    assert docket.judge(CASE, seen(*polls), question) == judge(seen(*polls), question)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(seen(poll(0)), id="another beginning"),
        pytest.param(seen(poll(0, 20), poll(1, 20), dispersion=3.0), id="other terms"),
    ],
)
def test_another_rollout_is_another_trial(question: Question, other: Sight) -> None:
    docket = Docket()
    assert docket.judge(CASE, seen(poll(0, 20), poll(1, 20)), question).answer is Answer.WORSE
    assert docket.judge(CASE, other, question) == judge(other, question)


def test_an_edited_analysis_judges_all_polls_anew(question: Question) -> None:
    docket, polls = Docket(), [poll(0, 20), poll(1, 20)]
    docket.judge(CASE, seen(*polls), question)
    errors = replace(
        question.analysis.error_rate, tolerate=replace(question.analysis.error_rate.tolerate, absolute=0.5)
    )
    mild = replace(question, analysis=replace(question.analysis, error_rate=replace(errors, ceiling=1.0)))

    assert docket.judge(CASE, seen(*polls), mild) == judge(seen(*polls), mild)
    assert judge(seen(*polls), mild).answer is not Answer.WORSE


def test_what_cannot_be_seen_is_said_and_the_evidence_goes_on_where_it_stopped(question: Question) -> None:
    docket, polls = Docket(), [poll(number) for number in range(4)]
    docket.judge(CASE, seen(*polls[:2]), question)
    away = docket.judge(CASE, Blindness("MetricsUnavailable", "Prometheus is away"), question)

    assert away.answer is Answer.CANNOT_SEE
    assert docket.judge(CASE, seen(*polls), question) == judge(seen(*polls), question)


def test_what_is_forgotten_begins_anew(question: Question) -> None:
    docket = Docket()
    docket.judge(CASE, seen(poll(0, 20), poll(1, 20)), question)
    docket.forget(*CASE)
    assert docket.judge(CASE, seen(poll(0)), question) == judge(seen(poll(0)), question)
