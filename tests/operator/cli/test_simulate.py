"""Simulated rollouts end as the judge promises, and the same seed gives the same ones."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.cli.common.arguments import CANNOT, USAGE
from tidegate.cli.simulate.command import DONE, main, simulate_all
from tidegate.cli.simulate.summary import summaries_of
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.units import parse_duration
from tidegate.resources.crd_schema import with_defaults
from tidegate.simulation.engine import SimulatedRollout, simulate_rollout
from tidegate.simulation.synthetic_metrics import Scenario
from tidegate.simulation.synthetic_traffic import Behaviour

STABLE = Behaviour(0.005, 0.03)
SpecBuilder = Callable[..., ModelDeploymentSpec]


def scenario(candidate: Behaviour = STABLE, *, rate: float = 100.0, limit: str | None = None) -> Scenario:
    return Scenario(rate, STABLE, candidate, parse_duration("5s"), parse_duration(limit) if limit else None)


def simulated(spec: ModelDeploymentSpec, of: Scenario, runs: int) -> list[SimulatedRollout]:
    return [simulate_rollout(spec, of, f"1/{number}") for number in range(runs)]


def outcomes(rollouts: list[SimulatedRollout]) -> set[tuple[str, str]]:
    return {(each.outcome, each.reason) for each in rollouts}


def test_twenty_times_the_errors_are_always_rolled_back(a_spec: SpecBuilder) -> None:
    rollouts = simulated(a_spec(), scenario(STABLE.times(errors=20)), 20)

    assert {outcome for outcome, _ in outcomes(rollouts)} == {"RolledBack"}
    assert all(each.failed > 0 for each in rollouts)


def test_twice_the_latency_is_always_rolled_back(a_spec: SpecBuilder) -> None:
    assert outcomes(simulated(a_spec(), scenario(STABLE.times(latency=2)), 5)) == {("RolledBack", "LatencyWorse")}


def test_a_candidate_like_stable_is_promoted(a_spec: SpecBuilder) -> None:
    assert outcomes(simulated(a_spec(), scenario(), 5)) == {("Promoted", "EvidenceAcceptable")}


def test_without_traffic_there_is_no_verdict(a_spec: SpecBuilder) -> None:
    (rollout,) = simulated(a_spec(analysis={"deadline": "5m"}), scenario(rate=0.0), 1)

    assert (rollout.outcome, rollout.reason, rollout.requests) == ("Inconclusive", "NoRequests", 0)
    assert rollout.lasted >= parse_duration("5m")


@pytest.mark.parametrize(
    ("policy", "ended"),
    [("Promote", ("Promoted", "DeadlineExceeded")), ("Rollback", ("RolledBack", "DeadlineExceeded"))],
)
def test_the_users_deadline_decides_where_the_judge_cannot(
    a_spec: SpecBuilder, policy: str, ended: tuple[str, str]
) -> None:
    spec = a_spec(analysis={"deadline": "1m", "onInconclusive": policy})

    assert outcomes(simulated(spec, scenario(rate=1.0), 1)) == {ended}


def test_a_limit_ends_what_is_not_decided(a_spec: SpecBuilder) -> None:
    (rollout,) = simulated(a_spec(), scenario(rate=1.0, limit="1m"), 1)

    assert (rollout.outcome, rollout.reason) == ("Inconclusive", "MoreRequestsNeeded")


def test_no_step_is_shorter_than_its_least(a_spec: SpecBuilder) -> None:
    steps = [{"weight": 25, "minDuration": "3m"}, {"weight": 50, "minDuration": "2m"}]
    (rollout,) = simulated(a_spec(strategy={"canary": {"steps": steps}}), scenario(), 1)

    assert rollout.outcome == "Promoted"
    assert parse_duration("5m") <= rollout.lasted < parse_duration("6m")


def test_a_blue_green_switch_keeps_the_old_one_as_long_as_it_says(a_spec: SpecBuilder) -> None:
    spec = a_spec(strategy={"blueGreen": {"keepOld": "2m"}})
    (rollout,) = simulated(spec, scenario(), 1)

    assert rollout.outcome == "Promoted"
    assert rollout.lasted >= parse_duration("2m")
    assert outcomes(simulated(spec, scenario(Behaviour(0.5, 0.03)), 1)) == {("RolledBack", "ErrorRateWorse")}


def test_clusters_of_failures_are_learned_from_stable(a_spec: SpecBuilder) -> None:
    """Failures in clusters of twenty are often taken for a regression where each counts as one of its own."""
    stable = Behaviour(0.02, 0.03, cluster=20)
    of = Scenario(100.0, stable, stable, parse_duration("5s"))
    half = {"canary": {"steps": [{"weight": 50}]}}
    learned = simulated(a_spec(strategy=half, analysis={"deadline": "3m"}), of, 10)
    unaware = simulated(a_spec(strategy=half, analysis={"deadline": "3m", "dispersion": "1"}), of, 10)

    assert summaries_of(learned)[0].count == 0
    assert summaries_of(unaware)[0].count > 1


def test_the_same_seed_gives_the_same_rollouts_however_many_processes_there_are(a_spec: SpecBuilder) -> None:
    of = scenario(STABLE.times(errors=10))
    alone = list(simulate_all(a_spec(), of, 7, seed=3, processes=1))

    assert [len(part) for part in alone] == [5, 2]
    assert list(simulate_all(a_spec(), of, 7, seed=3, processes=2)) == alone
    assert list(simulate_all(a_spec(), of, 7, seed=4, processes=1)) != alone


def test_outcomes_are_summed_up_by_their_median_and_their_ninetieth_percentile() -> None:
    def rolled_back(seconds: int) -> SimulatedRollout:
        return SimulatedRollout("RolledBack", "LatencyWorse", parse_duration(f"{seconds}s"), 10 * seconds, seconds)

    back, promoted, _ = summaries_of([rolled_back(seconds) for seconds in range(1, 11)])

    assert (back.count, back.share, back.reason) == (10, 1.0, "LatencyWorse")
    assert (back.seconds, back.requests, back.failed) == ((5.0, 9.0), (50, 90), (5, 9))
    assert (promoted.count, promoted.seconds, promoted.reason) == (0, None, None)


# --- the command ------------------------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--runs", "3", *arguments]) == DONE
    return capsys.readouterr().out


def test_it_prints_a_row_for_each_outcome_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--errors", "x20").splitlines()

    assert lines[0].startswith("a canary through 5%, 25%, 50% at 100 requests a second, judged every 5s by")
    assert lines[1] == "stable fails on 0.5%, median 30 ms; the candidate fails on 10%, median 30 ms"
    assert [line.split("  ")[0] for line in lines[-5:-2]] == ["rolled back", "promoted", "inconclusive"]
    assert lines[-1].startswith("Expect a rollback: 3 of 3 rollouts were rolled back, half of them by ")


def test_the_same_command_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--seed", "7") == printed(capsys, "--seed", "7")


def test_hardly_any_traffic_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Expect no verdict: 3 of 3 rollouts" in printed(capsys, "--rate", "0.001", "--minutes", "2")


def test_what_may_go_either_way_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = printed(capsys, "--runs", "8", "--errors", "x3", "--minutes", "5").splitlines()[-1]

    assert re.fullmatch(
        r"It may go either way: of 8 rollouts \d were rolled back, .*; \d were undecided when .*", sentence
    )


def test_the_json_document_has_all_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, "--output", "json", "--latency", "+100%", "--base-errors", "0%"))

    assert document["scenario"]["candidate"] == {"errorRate": 0.0, "median": 0.06, "clump": 1.0}
    assert set(document["outcomes"]) == {"RolledBack", "Promoted", "Inconclusive"}
    assert document["outcomes"]["RolledBack"]["count"] == 3
    assert set(document["outcomes"]["RolledBack"]["seconds"]) == {"median", "p90"}
    assert document["outcomes"]["Promoted"]["seconds"] is None


def a_file(tmp_path: Path, spec: dict[str, Any]) -> str:
    file = tmp_path / "digits.yaml"
    other = {"kind": "Service", "spec": {}}
    file.write_text(
        "---\n".join(json.dumps(each) + "\n" for each in (other, {"kind": "ModelDeployment", "spec": spec}))
    )
    return str(file)


def test_a_file_may_leave_out_what_has_a_default(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = a_file(tmp_path, {"strategy": {"canary": {"steps": [{"weight": 40}]}}})

    assert printed(capsys, "-f", file).startswith("a canary through 40% at 100 requests a second")


def test_a_file_that_has_been_through_the_api_server_is_taken_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spec_schema: dict[str, Any]
) -> None:
    spec = with_defaults(spec_schema, {"model": {"uri": "http://models/1.onnx"}})

    assert printed(capsys, "-f", a_file(tmp_path, spec)) == printed(capsys)


def test_a_strategy_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    steps = "strategy.canary.steps=[{weight: 10}, {weight: 30}]"

    assert printed(capsys, "--set", steps).startswith("a canary through 10%, 30% at")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--errors", "many"], USAGE, "'many' is no multiple"),
        (["--set", "analysis.intervall=1s"], USAGE, "the nearest is analysis.interval"),
        (["-f", "/nowhere.yaml"], USAGE, "/nowhere.yaml can't be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_without_traffic_there_is_nothing_to_simulate(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rate", rate])

    assert ended.value.code == USAGE
    assert f"argument --rate: {rate} is not a number above 0" in capsys.readouterr().err


def test_a_field_that_there_is_not_is_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = a_file(tmp_path, {"analysis": {"errorRte": {"ceiling": "1%"}}})

    assert main(["-f", file]) == CANNOT
    assert "spec.analysis.errorRte isn't a field; the nearest is errorRate" in capsys.readouterr().err


def test_a_file_that_the_api_server_would_refuse_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = a_file(tmp_path, {"analysis": {"confidence": {"falseRollback": "0%"}}})

    assert main(["-f", file]) == CANNOT
    assert "falseRollback must be a percentage from 0.001% to 50%" in capsys.readouterr().err
