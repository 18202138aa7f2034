"""What each verdict was made from is kept, as long as a rollout lasts and after it, and repeats what was said."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.scenarios.test_restarts import HELD, MODELS, checkpoints, releasing
from tests.operator.world import RECORD, World
from tidegate.errors import ClusterUnavailable, WriteRefused
from tidegate.kube.api import CONFIG_MAPS, Manifest, Resource
from tidegate.metrics import record as module
from tidegate.metrics.record import Looked, Record, Resumed, Traffic, decode
from tidegate.model.units import parse_instant
from tidegate.resources.names import RECORD_KEY
from tidegate.resources.ownership import Owner, controller_of, is_managed_by

QUICK = {"canary": {"steps": [{"weight": 50}]}}


class Refusing(Disturbed):
    """A cluster that takes no record of a rollout that has ended."""

    error: ClusterUnavailable | None = WriteRefused("PATCH: exceeded quota: object-counts", 403, None, "exceeded quota")

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        if RECORD in manifest["metadata"]["name"] and self.error:
            raise self.error
        super().repair(resource, manifest)


def records(world: World) -> list[str]:
    return [name for name in world.names(CONFIG_MAPS) if RECORD in name]


def stored(world: World, name: str) -> Manifest:
    found = world.stored(CONFIG_MAPS, "shop", name)
    assert found
    return found


def record_of(world: World, number: int = 0) -> Record:
    entry = world.status["history"][number]
    started = int(parse_instant(entry["startedAt"]).timestamp())
    return decode(stored(world, f"{entry['revision']}{RECORD}{started}")["data"][RECORD_KEY])


def last_said(record: Record) -> Looked:
    return [each for each in record.entries if isinstance(each, Looked) and each.said][-1]


@pytest.mark.parametrize(("number", "outcome", "answer"), [(2, "Promoted", "Acceptable"), (3, "RolledBack", "Worse")])
def test_a_rollout_that_has_ended_leaves_its_record(
    spec_schema: Mapping[str, Any], number: int, outcome: str, answer: str
) -> None:
    world = releasing(World(spec_schema, MODELS), number, QUICK)
    world.run(400)
    (entry, *_), record = world.status["history"], record_of(world)
    said = last_said(record).said

    assert said
    assert said.answer.value == answer
    assert record.header.ended
    assert record.header.ended[:3] == (outcome, entry["reason"], entry["message"])
    assert record.header.ended.at == parse_instant(entry["finishedAt"])
    assert [shift.weight for shift in record.header.shifts] == [shift["weight"] for shift in entry["shifts"]]
    assert checkpoints(world) == []


def test_a_verdict_of_worse_is_recorded_at_the_instant_at_which_traffic_went_back(
    spec_schema: Mapping[str, Any],
) -> None:
    world = releasing(World(spec_schema, MODELS), 3)
    world.run(60)

    assert last_said(record_of(world)).at == parse_instant(world.status["history"][0]["finishedAt"])


def test_while_a_rollout_is_under_way_its_record_is_beside_its_checkpoint(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(World(spec_schema, MODELS), 2)
    world.run(100)
    first = decode(stored(world, checkpoints(world)[0])["data"][RECORD_KEY])
    world.run(60)
    later = decode(stored(world, checkpoints(world)[0])["data"][RECORD_KEY])

    assert later.entries[: len(first.entries)] == first.entries
    assert len(later.entries) > len(first.entries) > 10
    assert later.header.ended is None
    assert records(world) == []


@pytest.mark.parametrize("seconds", [70, 100, 133])
def test_a_record_goes_on_after_a_restart_without_a_gap(spec_schema: Mapping[str, Any], seconds: int) -> None:
    steady, restarted = (releasing(World(spec_schema, MODELS), 2) for _ in range(2))
    steady.run(seconds + 100)
    restarted.run(seconds)
    restarted.restart()
    restarted.run(100)
    expected, found = (
        [
            each
            for each in decode(stored(world, checkpoints(world)[0])["data"][RECORD_KEY]).entries
            if isinstance(each, Traffic)
        ]
        for world in (steady, restarted)
    )

    assert found[: len(expected)] == expected[: len(found)]
    assert min(len(found), len(expected)) > 15


def test_a_record_is_owned_by_its_model_deployment_so_it_goes_with_it(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(World(spec_schema, MODELS), 3)
    world.run(60)
    (name,) = records(world)

    assert is_managed_by(controller_of(stored(world, name)), Owner("shop", "digits", "u-1"))


def test_of_the_rollouts_that_have_ended_the_last_three_are_kept(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(World(spec_schema, MODELS), 3)
    world.run(60)
    for number in (2, 3, 2, 3):
        world.kubectl_apply(model={"uri": f"http://models/{number}"}, strategy=QUICK, replicas=2)
        world.run(100)

    assert len(world.status["history"]) > 3
    assert len(records(world)) == 3
    for number in range(3):
        assert record_of(world, number).header.ended


def test_a_refused_record_stops_nothing_and_is_told(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(Refusing(spec_schema, MODELS), 3)
    world.run(120)
    told = [line for line in world.transcript if "RecordNotKept" in line]

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert (records(world), checkpoints(world)) == ([], [])
    assert len(told) == 1
    assert told[0].endswith(
        f"the API server refuses to keep the record of {world.status['history'][0]['revision']}, so replay has only "
        "what Prometheus holds of it: exceeded quota"
    )


def test_a_record_that_nobody_takes_for_a_while_is_written_later(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(Refusing(spec_schema, MODELS), 3)
    world.error = ClusterUnavailable("PATCH: no answer")  # type: ignore[attr-defined]
    world.run(60)
    assert records(world) == []
    world.error = None  # type: ignore[attr-defined]
    world.reconcile()

    assert record_of(world).header.ended
    assert checkpoints(world) == []


def test_of_an_operator_that_died_before_it_wrote_the_record_what_it_had_kept_stays(
    spec_schema: Mapping[str, Any],
) -> None:
    world = releasing(World(spec_schema, MODELS), 2)
    world.run(100)
    left = world._objects[CONFIG_MAPS, checkpoints(world)[0]]
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=HELD, replicas=2)
    world.run(60)
    (name,) = records(world)
    del world._objects[CONFIG_MAPS, name]
    world._objects[CONFIG_MAPS, left["metadata"]["name"]] = left
    world.restart()
    world.reconcile()

    assert stored(world, name)["data"][RECORD_KEY] == left["data"][RECORD_KEY]
    assert checkpoints(world) == []


def test_beyond_the_bound_the_oldest_goes_and_the_rest_begins_with_what_the_test_knew(
    spec_schema: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound, least in (("LARGEST", 15_000), ("PART", 500), ("MEMORY_LEVEL", 1)):
        monkeypatch.setattr(module, bound, least)
    world = releasing(World(spec_schema, MODELS), 2)
    world.run(600)
    text = stored(world, checkpoints(world)[0])["data"][RECORD_KEY]

    assert isinstance(decode(text).entries[0], Resumed)
    assert len(text) < 15_500
