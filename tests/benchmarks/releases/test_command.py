"""Options, exit codes, and what the chart is told."""

import json
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.releases import __main__ as command
from benchmarks.releases.results import Measured
from benchmarks.releases.scenarios import Scenario, equal, failing, slow
from benchmarks.report_page import ReportSection
from tests.benchmarks.releases.examples import GONE, of, of_failing


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would be measured; each failing release is gone after seven seconds."""
    calls: list[object] = []

    def run(scenarios: tuple[Scenario, ...], *, keep_cluster: bool) -> tuple[Measured, ...]:
        calls.extend((scenarios, keep_cluster))
        return (of_failing(7.0),)

    monkeypatch.setattr(command, "run", run)
    return calls


def test_without_options_everything_is_measured(asked: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert asked == [(failing(5, 10), failing(2, 10), slow(2, 5), equal(2, 10)), False]
    assert "| failing, scraped every 2 s |" in capsys.readouterr().out


def test_options_choose(asked: list[object]) -> None:
    assert command.main(["--only", "failing", "--scrape", "3", "--releases", "2", "--keep-cluster"]) == 0
    assert asked == [(failing(3, 2),), True]


@pytest.mark.parametrize(
    "options", [["--only", "nonsense"], ["--releases", "0"], ["--scrape", "2,x"], ["--scrape", "900"]], ids=" ".join
)
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(options)


def test_a_missed_goal_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run", lambda scenarios, keep_cluster: (of(failing(2, 2), GONE),))
    assert command.main([]) == 1


def test_without_a_cluster_it_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(scenarios: tuple[Scenario, ...], *, keep_cluster: bool) -> tuple[Measured, ...]:
        raise BenchmarkError("no cluster: the one-node cluster needs root")

    monkeypatch.setattr(command, "run", run)
    assert command.main([]) == 2
    assert capsys.readouterr().err == "no cluster: the one-node cluster needs root\n"


def test_json_has_scenarios_and_goals(asked: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--output", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scenarios"][0]["scenario"]["kind"] == "failing"
    assert said["scenarios"][0]["releases"][0]["first_to_last_bad"] == 7.0
    assert all(goal["met"] for goal in said["goals"])


def test_write_puts_the_report_into_the_page(
    asked: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "page.md"
    section = ReportSection("releases", there)
    there.write_text("\n".join(section.marks))
    monkeypatch.setattr(command, "SECTION", section)
    assert command.main(["--write"]) == 0
    assert "median 7.0 s" in there.read_text()
