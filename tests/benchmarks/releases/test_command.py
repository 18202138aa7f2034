"""Options, exit codes, and what the chart is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.baseline import Baseline
from benchmarks.errors import BenchmarkError
from benchmarks.releases import __main__ as command
from benchmarks.releases.results import Measured
from benchmarks.releases.scenarios import busy, equal, failing, slow, unseen
from benchmarks.releases.suite import Plan
from benchmarks.report_page import ReportSection
from tests.benchmarks.releases.examples import GONE, of, of_failing


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would be measured; each failing release is gone after two seconds."""
    calls: list[Plan] = []

    def run(plan: Plan) -> tuple[Measured, ...]:
        calls.append(plan)
        return (of_failing(2.0),)

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "fetched", lambda commit: Baseline(commit[:7], Path("/cache/baselines")))
    return calls


def test_without_options_everything_is_measured(asked: list[Plan], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    (plan,) = asked
    assert plan.turns == [
        *((failing(30, 10),), (unseen(30, 10),), (busy(30, 5),), (slow(30, 10),)),
        *((failing(5, 10),), (failing(2, 10),), (equal(2, 20),)),
    ]
    assert not plan.keep_cluster
    assert "| failing, scraped every 2 s |" in capsys.readouterr().out


def test_options_choose(asked: list[Plan]) -> None:
    assert command.main(["--only", "failing", "--scrape", "3", "--releases", "2", "--keep-cluster"]) == 0
    (plan,) = asked
    assert (plan.turns, plan.keep_cluster) == ([(failing(3, 2),)], True)


def test_a_baseline_takes_turns_with_this_code(asked: list[Plan]) -> None:
    only = ["--only", "failing", "--scrape", "30", "--releases", "4", "--turn", "3", "--baseline", "abc1234"]
    assert command.main([*only, "--baseline-releases", "3"]) == 0
    before = replace(failing(30, 3), code="abc1234")
    assert asked[0].turns == [(failing(30, 3),), (before,), (failing(30, 1),)]


@pytest.mark.parametrize(
    "options", [["--only", "nonsense"], ["--releases", "0"], ["--scrape", "2,x"], ["--scrape", "900"]], ids=" ".join
)
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(options)


def test_a_missed_goal_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run", lambda plan: (of(failing(2, 2), GONE),))
    assert command.main([]) == 1


def test_without_a_cluster_it_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(plan: Plan) -> tuple[Measured, ...]:
        raise BenchmarkError("no cluster: the one-node cluster needs root")

    monkeypatch.setattr(command, "run", run)
    assert command.main([]) == 2
    assert capsys.readouterr().err == "no cluster: the one-node cluster needs root\n"


def test_json_has_scenarios_and_goals(asked: list[Plan], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--output", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scenarios"][0]["scenario"]["kind"] == "failing"
    assert said["scenarios"][0]["releases"][0]["first_to_last_bad"] == 2.0
    assert all(goal["met"] for goal in said["goals"])


def test_write_puts_the_report_into_the_page(
    asked: list[Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "page.md"
    section = ReportSection("releases", there)
    there.write_text("\n".join(section.marks))
    monkeypatch.setattr(command, "SECTION", section)
    assert command.main(["--write"]) == 0
    assert "median 2.0 s" in there.read_text()
