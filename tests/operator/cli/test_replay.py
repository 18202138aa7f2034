"""A replay says what the operator recorded, as soon as the operator knew it, or what other settings would have said."""

import io
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.operator.cli.conftest import BLUE_GREEN, Released, Replayed
from tests.operator.world import START, World
from tidegate.cli.common.arguments import CANNOT, USAGE
from tidegate.cli.common.errors import CannotReplay, Unusable
from tidegate.cli.replay.command import OTHER, SAME, Request, main, replay_report, write_report
from tidegate.errors import MetricsUnavailable
from tidegate.model.units import parse_instant

FORGIVING = (
    "analysis.errorRate.tolerate.absolute=25%",
    "analysis.errorRate.accept.absolute=26%",
    "analysis.errorRate.ceiling=30%",
)


ACCURACY = {"name": "accuracy", "query": "right({{candidate}})", "min": "0.9", "onFailure": "Rollback"}
Series = Callable[[str, datetime, timedelta, int], list[list[float | None]]]


def accuracy(world: World, *, worse_from: int) -> Series:
    """What a query gives whose value for the candidate falls at a second of the world's clock."""
    usual, candidate = world.series, world.status["candidate"]["revision"]

    def series(promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        if not promql.startswith("right("):
            return usual(promql, start, step, points)
        instants = [start + index * step for index in range(points)]
        worse = [candidate in promql and at > START + timedelta(seconds=worse_from) for at in instants]
        return [[0.5 if each else 0.95 for each in worse]]

    return series


def shifted_at(world: World, number: int = 0) -> list[float]:
    """Seconds from the candidate's first request to each shift of a recorded rollout."""
    instants = [parse_instant(shift["at"]) for shift in world.status["history"][number]["shifts"]]
    return [(at - instants[0]).total_seconds() for at in instants]


def event_at(world: World, reason: str) -> float:
    """Seconds from the candidate's first request to an Event, by the transcript."""
    began = parse_instant(world.status["history"][0]["shifts"][0]["at"]) - START
    (line,) = [line for line in world.transcript if f"event {reason}: " in line]
    return int(line.split()[0]) - began.total_seconds()


def test_a_promoted_rollout_is_replayed_to_the_second(released: Released, replayed: Replayed) -> None:
    world = released("2")
    report = replayed(world)

    assert world.status["history"][0]["outcome"] == report.replay.outcome == "Promoted"
    assert [finding.at.total_seconds() for finding in report.replay.findings] == shifted_at(world)[1:]
    assert [finding.then for finding in report.replay.findings] == [f.at for f in report.replay.findings]
    assert report.same


@pytest.mark.parametrize(("name", "reason"), [("failing", "ErrorRateWorse"), ("slow", "LatencyWorse")])
def test_a_rollback_is_replayed_to_the_second(released: Released, replayed: Replayed, name: str, reason: str) -> None:
    world = released(name)
    back = replayed(world).replay.rolled_back

    assert back is not None
    assert (back.reason, back.at.total_seconds()) == (reason, event_at(world, "RolledBack"))
    assert back.then == back.at
    assert world.status["history"][0]["message"].endswith(back.message)


def test_a_rollback_after_the_first_step_is_replayed_to_the_second(released: Released, replayed: Replayed) -> None:
    world = released("2", seconds=35)
    world.models = {**world.models, "http://models/2": world.models["http://models/failing"]}
    world.run(60)
    report = replayed(world)

    assert report.replay.outcome == world.status["history"][0]["outcome"] == "RolledBack"
    assert [finding.step for finding in report.replay.findings] == [2, 0]
    assert [finding.then for finding in report.replay.findings] == [f.at for f in report.replay.findings]


@pytest.mark.parametrize(("name", "outcome"), [("2", "Promoted"), ("failing", "RolledBack")])
def test_a_blue_green_switch_is_replayed(released: Released, replayed: Replayed, name: str, outcome: str) -> None:
    world = released(name, strategy=BLUE_GREEN)
    report = replayed(world)

    assert world.status["history"][0]["outcome"] == report.replay.outcome == outcome
    assert report.same


def test_a_rollout_under_way_is_replayed_up_to_now(released: Released, replayed: Replayed) -> None:
    world = released("2", seconds=35)
    report = replayed(world)

    assert report.recorded.number is None
    assert [finding.step for finding in report.replay.findings] == [2]
    assert report.replay.rows[-1].verdict.answer.value == world.status["analysis"]["verdict"]
    assert report.same


def test_a_rollout_that_has_just_begun_has_nothing_to_replay_yet(released: Released, replayed: Replayed) -> None:
    with pytest.raises(CannotReplay, match=r"the judge's first increment of digits-\w+ is still to come"):
        replayed(released("2", seconds=8))


def test_history_is_counted_from_the_newest(released: Released, replayed: Replayed) -> None:
    world = released("2", "failing")

    assert replayed(world).replay.outcome == "RolledBack"
    assert replayed(world, 2).replay.outcome == "Promoted"
    with pytest.raises(CannotReplay, match="its history has 2 of them, so there is no number 3"):
        replayed(world, 3)


def test_every_increment_has_a_row_with_its_own_counts(released: Released, replayed: Replayed) -> None:
    (row,) = replayed(released("failing")).replay.rows

    assert (row.at, row.weight) == (timedelta(seconds=6), 10)
    assert (row.candidate.requests, row.candidate.failed, row.stable.requests, row.stable.failed) == (50, 10, 450, 0)
    assert (row.heaviest, row.low) == ("errors", 8.0)
    assert row.worse > 1000


def test_settings_that_forgive_would_not_have_rolled_back(released: Released, replayed: Replayed) -> None:
    report = replayed(released("failing"), changes=FORGIVING)

    assert report.replay.outcome is None
    assert not report.same


def test_stricter_settings_would_have_taken_longer(released: Released, replayed: Replayed) -> None:
    world = released("2")
    usual, strict = replayed(world), replayed(world, changes=["analysis.errorRate.accept.absolute=0.3%"])

    assert strict.replay.findings[0].at > usual.replay.findings[0].at
    assert strict.replay.findings[0].then == usual.replay.findings[0].then


def test_another_interval_is_another_grid_of_increments(released: Released, replayed: Replayed) -> None:
    world = released("2")
    rows = replayed(world, changes=["analysis.interval=10s"]).replay.rows

    assert [row.at.total_seconds() for row in rows[:2]] == [11, 21]


def test_an_unknown_setting_is_refused_with_the_nearest_one(released: Released, replayed: Replayed) -> None:
    with pytest.raises(Unusable, match=r"no setting analysis\.errorrate\.tolerate\.ratio .*errorRate\.tolerate"):
        replayed(released("2"), changes=["analysis.errorrate.tolerate.ratio=1.5"])


def test_settings_that_have_no_part_in_the_verdict_are_refused(released: Released, replayed: Replayed) -> None:
    with pytest.raises(Unusable, match=r"only what is below spec\.analysis"):
        replayed(released("2"), changes=["replicas=3"])


def test_what_the_users_own_query_said_is_asked_point_by_point(
    released: Released, replayed: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = released("2", seconds=2, analysis={"queries": [ACCURACY]})
    monkeypatch.setattr(world, "series", accuracy(world, worse_from=78))
    world.run(60)
    back = replayed(world).replay.rolled_back

    assert world.status["history"][0]["reason"] == "QueryBeyondLimit"
    assert back is not None
    assert (back.reason, back.at) == ("QueryBeyondLimit", timedelta(seconds=21))
    assert back.then == back.at


def test_a_query_is_asked_while_a_split_settles_too(
    released: Released, replayed: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = released("2", seconds=2, analysis={"queries": [ACCURACY]})
    monkeypatch.setattr(world, "series", accuracy(world, worse_from=88))
    world.run(60)
    back = replayed(world).replay.rolled_back

    assert shifted_at(world) == [0, 26]
    assert back is not None
    assert (back.reason, back.at) == ("QueryBeyondLimit", timedelta(seconds=32))
    assert back.then == back.at


def test_an_edited_strategy_does_not_change_what_is_replayed(released: Released, replayed: Replayed) -> None:
    world = released("2")
    world.kubectl_apply(model={"uri": "http://models/2"}, strategy={"canary": {"steps": [{"weight": 40}]}})
    report = replayed(world)

    assert report.strategy_changed
    assert [finding.then for finding in report.replay.findings] == [f.at for f in report.replay.findings]


# --- what can't be replayed -------------------------------------------------------------------------------------------


def test_there_is_no_such_object(released: Released) -> None:
    world = released("2")
    request = Request("shop", "letters", None, timedelta(seconds=5))

    with pytest.raises(CannotReplay, match="there is no ModelDeployment shop/letters"):
        replay_report(None, world, request, world.now)


def test_nothing_was_released_yet(released: Released, replayed: Replayed) -> None:
    with pytest.raises(CannotReplay, match="shop/digits can't be replayed: it has no rollout"):
        replayed(released())


def test_an_older_operator_recorded_too_little(released: Released, replayed: Replayed) -> None:
    world = released("2")
    for name in ("shifts", "stable"):
        del world.status["history"][0][name]

    with pytest.raises(CannotReplay, match="was written by an older operator"):
        replayed(world)


def test_a_candidate_that_had_no_traffic_was_not_judged(released: Released, replayed: Replayed) -> None:
    with pytest.raises(CannotReplay, match=r"ended before it had any traffic.*ready"):
        replayed(released("crashing", progressDeadline="60s"))


def test_a_rollout_that_ended_before_the_first_increment_was_not_judged(released: Released, replayed: Replayed) -> None:
    world = released("2", "1", seconds=6)

    with pytest.raises(CannotReplay, match=r"ended before the judge's first increment: the spec asks for"):
        replayed(world)


def test_prometheus_does_not_have_it_any_more(released: Released, replayed: Replayed) -> None:
    world = released("2")
    world._history.clear()

    with pytest.raises(CannotReplay, match="Prometheus has no counters of shop/digits from 2026-01-01T00:01:04Z to"):
        replayed(world)


def test_prometheus_is_away(released: Released, replayed: Replayed) -> None:
    world = released("2")
    world.prometheus_up = False

    with pytest.raises(MetricsUnavailable, match="can't be reached"):
        replayed(world)


def test_increments_that_prometheus_has_lost_are_told(released: Released, replayed: Replayed) -> None:
    world = released("2")
    for second in range(64, 80):
        world._history.pop(START + timedelta(seconds=second))
    report = replayed(world)

    assert report.missing > 0
    assert re.search(r"beware +Prometheus has only \d+ of \d+ increments", written(report))


# --- the command ------------------------------------------------------------------------------------------------------


def written(report: Any, **how: Any) -> str:
    out = io.StringIO()
    write_report(report, out, **how)
    return out.getvalue()


def test_the_exit_code_says_whether_it_is_what_was_recorded(released: Released, replayed: Replayed) -> None:
    world = released("failing")

    assert write_report(replayed(world), io.StringIO()) == SAME
    assert write_report(replayed(world, changes=FORGIVING), io.StringIO()) == OTHER


def test_the_report_says_what_is_replayed_and_what_follows(released: Released, replayed: Replayed) -> None:
    report = written(replayed(released("failing")))

    assert report.splitlines()[0] == ("shop/digits, number 1 of its history: digits-928709ec beside digits-3f66ca51")
    assert "spec.analysis as it is now; the settings of that time aren't stored" in report
    assert "rolled back at 6s (recorded: 6s): ErrorRateWorse: error rate 20% (10 of 50 requests)" in report
    assert "\033" not in report


def test_the_json_document_has_everything(released: Released, replayed: Replayed) -> None:
    document = json.loads(written(replayed(released("2"), changes=["analysis.deadline=2h"]), output="json"))

    assert set(document) == {
        "namespace", "name", "stable", "candidate", "recorded", "settings", "record", "warnings", "polls", "findings",
        "outcome", "same", "conclusion",
    }  # fmt: skip
    assert document["settings"]["set"] == ["analysis.deadline=2h"]
    assert (document["outcome"], document["recorded"]["outcome"], document["same"]) == ("Promoted", "Promoted", True)
    assert document["polls"][1] == {
        "at": 11.0,
        "weight": 10,
        "candidate": {"requests": 50, "failed": 0, "p99": pytest.approx(0.0085, abs=0.001)},
        "stable": {"requests": 450, "failed": 0, "p99": pytest.approx(0.0089, abs=0.001)},
        "worse": {"evidence": pytest.approx(0.6, abs=0.2), "needed": 100.0, "metric": "errors"},
        "acceptable": {"evidence": pytest.approx(1.2, abs=0.2), "needed": 2.0, "metric": "errors"},
        "metrics": document["polls"][1]["metrics"],
        "ratio": {"low": 0.0, "high": None},
        "verdict": "NotEnoughEvidence",
        "reason": "MoreRequestsNeeded",
        "message": document["polls"][1]["message"],
    }
    assert {"errors", "latency", "ceiling"} <= set(document["polls"][0]["metrics"])
    assert [finding["step"] for finding in document["findings"]] == [2, 3, 4]
    assert [finding["at"] for finding in document["findings"]] == [f["recordedAt"] for f in document["findings"]]


def test_the_picture_is_written_where_it_is_wanted(released: Released, replayed: Replayed, tmp_path: Path) -> None:
    written(replayed(released("2")), picture=tmp_path / "evidence.svg")

    assert (tmp_path / "evidence.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--record", "/nowhere"], USAGE, "/nowhere can't be read: ", id="no record"),
        pytest.param(
            ["digits", "--prometheus", "http://p", "--scrape-interval", "soon"],
            USAGE,
            "'soon' is not a duration",
            id="an interval that is none",
        ),
        pytest.param(
            ["digits", "--prometheus", "http://p", "--kubeconfig", "/nowhere"], CANNOT, "no cluster: ", id="no cluster"
        ),
    ],
)
def test_a_command_line_that_leads_nowhere_says_why(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, environ={}) == code
    assert capsys.readouterr().err.startswith(f"tidegate replay: {said}")
