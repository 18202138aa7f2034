"""A replay of the operator's own record says what the operator said: the same verdicts to the last digit, and when."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.operator.cli.conftest import BLUE_GREEN, CANARY, SCRAPE_INTERVAL, Released
from tests.operator.cli.test_replay import ACCURACY, accuracy, shifted_at
from tests.operator.world import World
from tidegate.cli.common.errors import CannotReplay, Unusable
from tidegate.cli.replay.command import OTHER, SAME, Request, main, replay_report, write_report
from tidegate.cli.replay.kept import export_record, kept_record, read_record
from tidegate.cli.replay.recorded import recorded_in
from tidegate.cli.replay.report import ReplayReport
from tidegate.kube.api import CONFIG_MAPS
from tidegate.metrics import record as module
from tidegate.metrics.record import Looked, Record, Said, Traffic, decode, encode
from tidegate.model.evidence import Answer
from tidegate.model.status import Status
from tidegate.model.units import parse_instant

EXACTLY = "repeated, to the last digit of the evidence."


def text_of(world: World, number: int | None = None) -> str:
    recorded = recorded_in(Status.parse(world.status), number, world.now)
    return kept_record(recorded, lambda name: world.stored(CONFIG_MAPS, "shop", name))


def by_record(
    world: World,
    number: int | None = None,
    *,
    record: Record | None = None,
    asks: bool = True,
    changes: Sequence[str] = (),
) -> ReplayReport:
    request = Request("shop", "digits", number, SCRAPE_INTERVAL, tuple(changes))
    record = record or decode(text_of(world, number))
    manifest = world.model_deployment("shop", "digits")
    return replay_report(manifest, world if asks else None, request, world.now, record)


def written(report: ReplayReport, **how: Any) -> tuple[int, str]:
    out = io.StringIO()
    return write_report(report, out, **how), out.getvalue()


@pytest.mark.parametrize(
    ("name", "strategy", "outcome"),
    [
        ("2", CANARY, "Promoted"),
        ("failing", CANARY, "RolledBack"),
        ("slow", CANARY, "RolledBack"),
        ("2", BLUE_GREEN, "Promoted"),
        ("failing", BLUE_GREEN, "RolledBack"),
    ],
)
def test_every_verdict_of_a_rollout_is_repeated_exactly(
    released: Released, name: str, strategy: Any, outcome: str
) -> None:
    world = released(name, strategy=strategy)
    world.prometheus_up = False
    world._history.clear()
    report = by_record(world, asks=False)
    code, said = written(report)

    assert world.status["history"][0]["outcome"] == report.replay.outcome == outcome
    assert (code, report.record and report.record.differs) == (SAME, "")
    assert EXACTLY in said
    assert [finding.then for finding in report.replay.findings] == [f.at for f in report.replay.findings] or name == "2"


def test_a_promotion_is_replayed_step_by_step_at_the_operators_own_instants(released: Released) -> None:
    world = released("2")
    findings = by_record(world).replay.findings

    assert [finding.at.total_seconds() for finding in findings] == shifted_at(world)[1:]
    assert [finding.step for finding in findings] == [2, 3, 4]


def test_a_rollback_is_replayed_at_the_instant_at_which_it_was_decided(released: Released) -> None:
    world = released("failing")
    back = by_record(world).replay.rolled_back
    entry = world.status["history"][0]

    assert back
    assert entry["message"].endswith(back.message)
    began = parse_instant(entry["shifts"][0]["at"])
    assert began + back.at == parse_instant(entry["finishedAt"])


def test_a_rollout_under_way_is_replayed_as_far_as_its_record_goes(released: Released) -> None:
    world = released("2", seconds=60, strategy={"canary": {"steps": [{"weight": 10, "minDuration": "1h"}]}})
    report = by_record(world)

    assert report.recorded.outcome is None
    assert report.record
    assert report.record.said > 1
    assert written(report)[0] == SAME


def test_a_restart_in_the_middle_changes_no_digit(released: Released) -> None:
    world = released("2", seconds=35)
    world.restart()
    world.run(20)
    world.models = {**world.models, "http://models/2": world.models["http://models/failing"]}
    world.run(60)
    report = by_record(world)

    assert world.status["history"][0]["outcome"] == report.replay.outcome == "RolledBack"
    assert report.record
    assert report.record.differs == ""


def test_beyond_the_bound_the_verdict_is_repeated_from_where_the_record_begins(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound, least in (("LARGEST", 15_000), ("PART", 500), ("MEMORY_LEVEL", 1)):
        monkeypatch.setattr(module, bound, least)
    world = released("2", seconds=400, strategy={"canary": {"steps": [{"weight": 10, "minDuration": "1h"}]}})
    world.models = {**world.models, "http://models/2": world.models["http://models/failing"]}
    world.run(60)
    report = by_record(world)
    code, said = written(report)

    assert (report.replay.outcome, code) == ("RolledBack", SAME)
    assert "beware     the record begins at 2026-01-01T00:0" in said
    assert EXACTLY in said


def test_an_edit_of_the_analysis_is_replayed_as_it_came(released: Released) -> None:
    steps = {"canary": {"steps": [{"weight": 10, "minDuration": "2m"}, {"weight": 50}]}}
    world = released("2", seconds=30, strategy=steps)
    for edited in (
        {"confidence": {"falseRollback": "2%"}},
        {"confidence": {"falseRollback": "2%"}, "deadline": "2h"},
    ):
        world.kubectl_apply(model={"uri": "http://models/2"}, strategy=steps, analysis=edited)
        world.run(30)
    world.run(300)
    report = by_record(world)

    assert report.replay.outcome == world.status["history"][0]["outcome"] == "Promoted"
    assert (report.analysis.false_rollback, report.analysis.deadline) == (0.02, timedelta(hours=2))
    assert written(report)[0] == SAME


def test_what_own_queries_said_is_in_the_record(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    world = released("2", seconds=2, analysis={"queries": [ACCURACY]})
    monkeypatch.setattr(world, "series", accuracy(world, worse_from=78))
    world.run(60)
    report = by_record(world, asks=False)

    assert report.replay.rolled_back
    assert report.replay.rolled_back.reason == world.status["history"][0]["reason"] == "QueryBeyondLimit"


def altered(record: Record, change: Callable[[Said], Said]) -> Record:
    entries = [
        each._replace(said=change(each.said)) if isinstance(each, Looked) and each.said else each
        for each in record.entries
    ]
    return replace(record, entries=tuple(entries))


def test_evidence_that_differs_in_its_last_digit_is_told(released: Released) -> None:
    world = released("failing")
    record = decode(text_of(world))

    def nearly(said: Said) -> Said:
        assert said.evidence
        return said._replace(evidence=replace(said.evidence, worse=said.evidence.worse * (1 + 1e-12)))

    report = by_record(world, record=altered(record, nearly))
    code, said = written(report)

    assert code == OTHER
    assert "comes to Worse (rollback evidence " in said
    assert "another version of the judge wrote the record, or it was edited" in said
    assert "The same end was recorded, rolled back (ErrorRateWorse) at 6s, but not the same evidence." in said


def test_a_verdict_that_nobody_would_give_is_told(released: Released) -> None:
    world = released("failing")
    record = altered(decode(text_of(world)), lambda said: said._replace(answer=Answer.ACCEPTABLE))

    assert written(by_record(world, record=record))[0] == OTHER


def test_increments_that_were_edited_do_not_come_to_what_was_said(released: Released) -> None:
    world = released("2")
    record = decode(text_of(world))
    entries = [
        each._replace(increment=replace(each.increment, candidate=replace(each.increment.candidate, failed=1)))
        if isinstance(each, Traffic) and index % 5 == 0
        else each
        for index, each in enumerate(record.entries)
    ]

    assert written(by_record(world, record=replace(record, entries=tuple(entries))))[0] == OTHER


def test_the_record_of_another_rollout_is_refused(released: Released) -> None:
    world = released("failing", "2")
    other = decode(text_of(world, 2))

    with pytest.raises(
        CannotReplay, match="that is the record of another rollout: shop/digits, digits-928709ec since "
    ):
        by_record(world, 1, record=other)


def test_a_record_that_ends_before_its_rollout_says_so(released: Released) -> None:
    world = released("2")
    record = decode(text_of(world))
    cut = Record(replace(record.header, ended=None), record.entries[: len(record.entries) // 3])
    code, said = written(by_record(world, record=cut))

    assert code == SAME
    assert "as its operator ended before the rollout did" in said
    assert "where its record ends. The rollout ended later: promoted (EvidenceAcceptable)" in said


# --- what Prometheus has of it ----------------------------------------------------------------------------------------


def test_how_far_prometheus_agrees_is_a_sentence_in_numbers_and_per_cent(released: Released) -> None:
    world = released("failing")
    _, said = written(by_record(world))

    assert said.splitlines()[-1] == (
        "Prometheus counted over the same times of the candidate 50 (recorded 50, 100.0 %) requests and 10 (recorded "
        "10, 100.0 %) failed and of stable 450 (recorded 450, 100.0 %) requests and 0 (recorded 0) failed."
    )


def test_over_all_steps_prometheus_agrees_with_what_it_told_then(released: Released) -> None:
    counted = by_record(released("2")).record
    assert counted
    assert counted.counted
    assert counted.counted.candidate_seen == counted.counted.candidate
    assert counted.counted.stable_seen == counted.counted.stable


def test_a_prometheus_that_is_away_is_told_and_the_verdict_stands(released: Released) -> None:
    world = released("failing")
    world.prometheus_up = False
    code, said = written(by_record(world))

    assert code == SAME
    assert "Prometheus can't say how far it agrees: Prometheus at http://prometheus can't be reached." in said


def test_without_its_address_prometheus_is_not_asked(released: Released) -> None:
    _, said = written(by_record(released("failing"), asks=False))

    assert "Prometheus wasn't asked how far it agrees: --prometheus is missing." in said


# --- other settings, files, programs ----------------------------------------------------------------------------------


def test_other_settings_are_judged_by_the_recorded_increments(released: Released) -> None:
    world = released("failing")
    world._history.clear()
    forgiving = (
        "analysis.errorRate.tolerate.absolute=25%",
        "analysis.errorRate.accept.absolute=26%",
        "analysis.errorRate.ceiling=30%",
    )

    assert by_record(world, changes=forgiving).replay.outcome is None
    assert by_record(world, changes=["analysis.deadline=2h"]).replay.outcome == "RolledBack"


def test_without_a_record_prometheus_has_to_tell(released: Released) -> None:
    world = released("failing")
    request = Request("shop", "digits", None, SCRAPE_INTERVAL)

    with pytest.raises(Unusable, match="--prometheus is missing: of digits-928709ec the operator has no record"):
        replay_report(world.model_deployment("shop", "digits"), None, request, world.now)


def test_a_saved_record_is_replayed_without_a_cluster(
    released: Released, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = released("failing")
    export_record(text_of(world), tmp_path / "record.json")

    assert decode(read_record(tmp_path / "record.json")) == decode(text_of(world))
    assert main(["--record", str(tmp_path / "record.json")], environ={}) == SAME
    said = capsys.readouterr().out
    assert said.startswith("shop/digits, ended: digits-928709ec beside digits-3f66ca51\n")
    assert EXACTLY in said
    assert main(["--record", str(tmp_path / "record.json"), "--output", "json"], environ={}) == SAME
    document = json.loads(capsys.readouterr().out)
    assert (document["outcome"], document["same"]) == ("RolledBack", True)
    assert document["record"]["differs"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no record", "it isn't a record of a rollout's increments: "),
        ('{"version": 7}', "it is a record of version 7, and this tidegate reads version 1"),
        (encode(Record(module.Header("s", "n", "a", "b", parse_instant("2026-01-01T00:00:00Z"), ()), ())), "b"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "record.json").write_text(text)

    assert main(["--record", str(tmp_path / "record.json")], environ={}) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_there_is_nothing_to_export_where_nothing_was_recorded(tmp_path: Path) -> None:
    with pytest.raises(CannotReplay, match="there is no record to export"):
        export_record("", tmp_path / "record.json")


def test_the_json_document_tells_of_the_record(released: Released) -> None:
    document = json.loads(written(by_record(released("failing")), output="json")[1])

    assert document["record"] == {
        "sources": ["Prometheus"],
        "verdicts": document["record"]["verdicts"],
        "differs": None,
        "begins": None,
        "ends": document["record"]["ends"],
        "cut": False,
        "prometheus": {
            "sentence": document["record"]["prometheus"]["sentence"],
            "candidate": {
                "recorded": {"requests": 50, "failed": 10},
                "prometheus": {"requests": 50, "failed": 10},
            },
            "stable": {"recorded": {"requests": 450, "failed": 0}, "prometheus": {"requests": 450, "failed": 0}},
        },
    }
