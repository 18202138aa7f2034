"""How a rollout went: what is kept of it, and how it is drawn."""

from datetime import timedelta

import pytest

from tests.operator.dashboard.examples import NOW, canary, live
from tidegate.dashboard.charts import evidence_chart, weight_chart
from tidegate.dashboard.facts import evidence_share, facts_of, without_password
from tidegate.dashboard.trends import MOST_POINTS, MOST_ROLLOUTS, Trends
from tidegate.view.rollout_view import EvidenceView

KEY = ("shop", "sentiment")


def test_a_point_is_kept_of_each_change_and_of_nothing_else() -> None:
    trends = Trends()
    for second, weight in enumerate((5, 5, 25, 25, 50)):
        trends.note(KEY, facts_of(canary(weight=weight)), NOW + timedelta(seconds=second))

    assert [(point.wanted, point.observed) for point in trends.of(KEY)] == [(5, 4.8), (25, 24.8), (50, 49.8)]


def test_points_of_an_earlier_rollout_go_when_another_begins_and_stay_after_the_last() -> None:
    trends, another = Trends(), canary(weight=5)
    another["status"]["rollout"]["startedAt"] = "2026-11-30T02:41:00Z"
    trends.note(KEY, facts_of(canary()), NOW)
    trends.note(KEY, facts_of(another), NOW)
    trends.note(KEY, facts_of(live("shop", "sentiment")), NOW)

    assert [point.wanted for point in trends.of(KEY)] == [5]


def test_a_long_rollout_is_kept_whole_by_fewer_points() -> None:
    trends = Trends()
    for minute in range(5 * MOST_POINTS):
        facts = facts_of(canary(worse=f"{2 + minute} (threshold 100000)"))
        trends.note(KEY, facts, NOW + timedelta(minutes=minute))
    points = trends.of(KEY)

    assert len(points) <= MOST_POINTS
    assert points[0].at == NOW


def test_of_many_rollouts_the_latest_are_kept() -> None:
    trends = Trends()
    for number in range(MOST_ROLLOUTS + 1):
        trends.note(("shop", f"m{number}"), facts_of(canary()), NOW)

    assert [len(trends.of(("shop", f"m{number}"))) for number in (0, 1)] == [0, 1]


def test_a_chart_says_in_words_and_rows_what_it_draws() -> None:
    trends = Trends()
    for second, weight in enumerate((5, 25, 50)):
        trends.note(KEY, facts_of(canary(weight=weight)), NOW + timedelta(seconds=second))
    chart = weight_chart(trends.of(KEY))

    assert chart is not None
    assert chart.in_words == (
        "Candidate's share of the requests: now wanted 50%, applied by the routers 50%, observed 49.8%"
    )
    assert chart.lines[0].pieces == ("0.0,95.0 300.0,95.0 300.0,75.0 600.0,75.0 600.0,50.0",)
    assert [at for at, _ in chart.rows] == ["2026-11-30T02:41:07Z", "2026-11-30T02:41:08Z", "2026-11-30T02:41:09Z"]


def test_there_is_no_chart_before_there_are_two_points() -> None:
    trends = Trends()
    trends.note(KEY, facts_of(canary()), NOW)

    assert (weight_chart(trends.of(KEY)), evidence_chart(trends.of(KEY))) == (None, None)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0.4 (threshold 100)", 0.0),
        ("10 (threshold 100)", 0.5),
        ("100 (threshold 100)", 1.0),
        ("1e7 (threshold 100)", 1.0),
    ],
)
def test_a_bar_of_evidence_is_logarithmic(text: str, share: float) -> None:
    assert evidence_share(EvidenceView.of(text)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://reader:hunter2@models.example.com/a/7.onnx", "https://models.example.com/a/7.onnx"),
        ("https://models.example.com/a.onnx?X-Amz-Signature=1234", "https://models.example.com/a.onnx?…"),
        ("hf://owner/name@main/model.onnx", "hf://owner/name@main/model.onnx"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("http://[broken", "an address that can't be read"),
    ],
)
def test_a_models_address_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert without_password(uri) == shown
