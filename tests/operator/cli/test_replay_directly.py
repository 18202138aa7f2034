"""A rollout that was judged by its routers' own word is repeated from the record: Prometheus had other increments."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.cli.test_replay_records import EXACTLY, text_of, written
from tests.operator.directly import DirectWorld
from tests.operator.scenarios.test_read_directly import MODELS, release, settled, turns
from tidegate.cli.replay.command import SAME, Request, replay_report
from tidegate.cli.replay.report import ReplayReport
from tidegate.metrics.record import ROUTERS, decode
from tidegate.model.units import parse_instant


def by_record(world: DirectWorld) -> ReplayReport:
    scrape = world._reconciler.settings.scrape_interval
    manifest = world.model_deployment("shop", "digits")
    return replay_report(manifest, world, Request("shop", "digits", None, scrape), world.now, decode(text_of(world)))


@pytest.mark.parametrize("seconds", [None, 3, 20])
def test_a_rollback_by_the_routers_word_is_repeated_exactly(
    spec_schema: Mapping[str, Any], seconds: int | None
) -> None:
    world = settled(DirectWorld(spec_schema, MODELS))
    release(world, "http://models/2", lasting="10m")
    world.run(70)
    if seconds is not None:
        world.restart()
        world.run(seconds)
    turns(world, "http://models/failing")
    world.run(60)
    report = by_record(world)
    code, said = written(report)
    (entry, *_) = world.status["history"]

    assert report.record
    assert report.record.differs == ""
    assert (report.replay.outcome, code) == (entry["outcome"], SAME) == ("RolledBack", SAME)
    assert ROUTERS in report.record.sources
    assert EXACTLY in said
    assert report.replay.rolled_back
    assert parse_instant(entry["shifts"][0]["at"]) + report.replay.rolled_back.at == parse_instant(entry["finishedAt"])


def test_a_promotion_by_the_routers_word_is_repeated_and_prometheus_nearly_agrees(
    spec_schema: Mapping[str, Any],
) -> None:
    world = settled(DirectWorld(spec_schema, MODELS))
    # From the last shift to the end is more than a scrape: between two of them, counters are taken to grow evenly.
    release(world, "http://models/2", lasting="2m", bake="45s")
    world.run(400)
    report = by_record(world)
    assert report.record
    counted = report.record.counted

    assert report.record.differs == ""
    assert world.status["history"][0]["outcome"] == report.replay.outcome == "Promoted"
    assert counted
    # What is counted in the second after each of two shifts isn't judged, so it isn't in the record.
    assert counted.candidate_seen.requests == pytest.approx(counted.candidate.requests + 50 + 100, rel=0.01)
    assert counted.stable_seen.requests == pytest.approx(counted.stable.requests + 50, rel=0.01)
