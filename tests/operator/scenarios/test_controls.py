"""What people ask for by annotations, from the annotation to what users and the cluster see of it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.world import Behaviour, Crash, World
from tidegate.kube.api import DEPLOYMENTS
from tidegate.model.control import Control, Intent
from tidegate.model.reasons import Phase
from tidegate.model.traffic import TrafficSplit

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/slow-to-start": Behaviour(starts_after=30.0),
    "http://models/never-ready": Behaviour(starts_after=None),
    "http://models/failing": Behaviour(error_rate=0.3),
}
CANARY: Any = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}
ASKED: Any = {"canary": {"steps": [{"weight": 20, "approval": "Required"}, {"weight": 50}]}}
BLUE_GREEN: Any = {"blueGreen": {"verifyFor": "30s", "keepOld": "5m"}}
AT_ONCE = 1.0
"""Seconds of simulated time: one pass, and a further one for what it brought about."""


def a_world(
    schema: Mapping[str, Any], strategy: Any = CANARY, uri: str = "http://models/2", **spec: Any
) -> tuple[World, str, str]:
    """A model that is live and a second one that was just asked for; with the names of both revisions."""
    world = World(schema, MODELS)
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=2, **spec)
    world.run(20)
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(model={"uri": uri}, strategy=strategy, replicas=2, **spec)
    world.run(1)
    return world, stable, world.status["rollout"]["candidate"]


def until(world: World, told: str, seconds: int = 300) -> None:
    """Runs until the status' message has these words."""
    end = world.now + timedelta(seconds=seconds)
    while told not in world.status.get("message", "") and world.now < end:
        world.run(1)
    assert told in world.status["message"]


def ask(world: World, control: Control, revision: str, step: int | None = None, why: str = "a reason") -> None:
    world.kubectl_annotate(Intent(control, revision, step, "alice", why))
    world.run(AT_ONCE)


def events(world: World, reason: str) -> list[str]:
    marker = f"event {reason}: "
    return [line.split(marker)[1] for line in world.transcript if marker in line]


@pytest.mark.parametrize("blind", [False, True], ids=["with Prometheus", "with Prometheus away"])
@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_an_abort_takes_all_traffic_back_in_one_pass(
    spec_schema: Mapping[str, Any], strategy: Any, blind: bool
) -> None:
    world, stable, candidate = a_world(spec_schema, strategy)
    until(world, "gets ")
    world.prometheus_up = not blind
    asked_before = world.prometheus_asked

    world.kubectl_annotate(Intent(Control.ABORT, candidate, None, "alice", "it lies"))
    world.reconcile()

    assert world.split == TrafficSplit.only(stable)
    assert world.prometheus_asked == asked_before
    assert world.annotations == {}
    assert (world.status["phase"], world.status["message"]) == (
        Phase.ROLLED_BACK,
        f"{candidate} was aborted by alice: it lies",
    )
    assert events(world, "Aborted") == [f"{candidate} was aborted by alice: it lies"]
    world.prometheus_up = True
    world.run(60)
    assert world.names(DEPLOYMENTS) == [stable]
    assert world.status["history"][0]["outcome"] == "Aborted"
    assert world.status["history"][0]["secondsToZeroTraffic"]
    assert world.lost == 0


def test_an_abort_waits_for_no_pods(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, uri="http://models/never-ready")

    ask(world, Control.ABORT, candidate)

    assert world.split == TrafficSplit.only(stable)
    assert world.condition("Stalled") == ("True", "Aborted")


@pytest.mark.parametrize("restarted", [False, True], ids=["same operator", "restarted operator"])
@pytest.mark.parametrize("broken", [{"analysis": {"deadline": "soon"}}, {"model": "gone"}])
def test_an_abort_waits_for_no_spec_that_can_be_read(
    spec_schema: Mapping[str, Any], broken: Mapping[str, Any], restarted: bool
) -> None:
    world, stable, candidate = a_world(spec_schema)
    until(world, "gets 20%")
    world.edit_spec(**broken)
    if restarted:
        world.restart()
    world.run(5)
    assert world.status["phase"] == Phase.INVALID
    assert world.split == TrafficSplit.between(stable, candidate, 20)

    ask(world, Control.ABORT, candidate)

    assert world.split == TrafficSplit.only(stable)
    assert world.annotations == {}


def test_an_aborted_revision_stays_away_until_somebody_wants_another_try(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = a_world(spec_schema)
    ask(world, Control.ABORT, candidate)
    world.run(300)
    assert "rollout" not in world.status

    ask(world, Control.RETRY, candidate, why="fixed the cache")

    assert world.status["rollout"]["candidate"] == candidate
    assert events(world, "Retried") == [f"{candidate} gets another try, as asked by alice: fixed the cache"]
    world.run(400)
    assert world.status["stable"]["revision"] == candidate


def test_an_abort_goes_nowhere_while_stable_has_no_pod_and_is_made_up_for(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema)
    until(world, "gets 20%")
    world.models = {**MODELS, "http://models/1": Behaviour(starts_after=None)}

    ask(world, Control.ABORT, candidate)

    assert world.split == TrafficSplit.between(stable, candidate, 20)
    assert world.annotations != {}
    assert world.condition("Stalled") == ("True", "NoReadyPod")
    assert "was aborted by alice" in world.status["message"]
    world.models = MODELS
    world.run(6)
    assert world.split == TrafficSplit.only(stable)
    assert world.annotations == {}


def test_a_step_that_wants_approval_shows_the_line_that_gives_it(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, ASKED)

    until(world, "waits for approval")

    assert world.status["phase"] == Phase.WAITING_FOR_APPROVAL
    assert world.status["message"] == (
        f"step 1 of 2 (20%) waits for approval: kubectl -n shop annotate mdep/digits tidegate.dev/approve={candidate}/1"
    )
    assert events(world, "WaitingForApproval") == [world.status["message"]]
    world.run(600)
    assert world.split == TrafficSplit.between(stable, candidate, 20)

    world.kubectl_annotate(Intent(Control.APPROVE, candidate, 1, "alice", "looks fine"))
    world.reconcile()

    assert world.split == TrafficSplit.between(stable, candidate, 50)
    assert world.annotations == {}
    assert events(world, "Approved") == [f"step 1 of {candidate} is approved by alice: looks fine"]
    world.run(300)
    assert world.status["stable"]["revision"] == candidate
    assert world.lost == 0


def test_time_in_which_people_are_waited_for_is_counted_by_no_deadline(spec_schema: Mapping[str, Any]) -> None:
    analysis = {"deadline": "2m", "onInconclusive": "Rollback"}
    world, stable, candidate = a_world(spec_schema, ASKED, analysis=analysis)
    until(world, "waits for approval")
    world.run(600)
    world.models = {**MODELS, "http://models/2": Behaviour(error_rate=0.004)}
    world.run(60)

    assert world.split == TrafficSplit.between(stable, candidate, 20)


def test_a_switch_waits_for_approval(spec_schema: Mapping[str, Any]) -> None:
    strategy = {"blueGreen": {"verifyFor": "10s", "keepOld": "5m", "approval": "Required"}}
    world, stable, candidate = a_world(spec_schema, strategy)
    until(world, f"the switch to {candidate} waits for approval: kubectl")
    world.run(300)
    assert world.split == TrafficSplit.between(stable, candidate, 0)

    ask(world, Control.APPROVE, candidate, 1)

    assert world.split == TrafficSplit.between(stable, candidate, 100)


@pytest.mark.parametrize("ended_by", [Control.APPROVE, Control.SKIP])
def test_a_pause_without_end_lasts_until_somebody_says_so(spec_schema: Mapping[str, Any], ended_by: Control) -> None:
    strategy = {"canary": {"steps": [{"weight": 20, "pause": {}}, {"weight": 50}]}}
    world, stable, candidate = a_world(spec_schema, strategy, analysis={"deadline": "2m"})
    until(world, "step 1 of 2 (20%) pauses until it is approved or skipped: kubectl")
    world.run(400)
    assert world.split == TrafficSplit.between(stable, candidate, 20)
    assert (world.status["phase"], world.condition("Stalled")[0]) == (Phase.PAUSED, "False")

    ask(world, ended_by, candidate, 1)

    assert world.split == TrafficSplit.between(stable, candidate, 50)


def test_a_pause_with_an_end_passes_by_itself_or_is_skipped(spec_schema: Mapping[str, Any]) -> None:
    strategy = {"canary": {"steps": [{"weight": 20, "pause": {"duration": "5m"}}, {"weight": 50}]}}
    world, stable, candidate = a_world(spec_schema, strategy)
    until(world, "step 1 of 2 (20%) pauses for 5m")
    world.run(280)
    assert world.split == TrafficSplit.between(stable, candidate, 20)
    world.run(30)
    assert world.split == TrafficSplit.between(stable, candidate, 50)

    world, stable, candidate = a_world(spec_schema, strategy)
    until(world, "pauses for 5m")
    world.run(60)
    ask(world, Control.SKIP, candidate, 1)
    world.run(10)
    assert world.split == TrafficSplit.between(stable, candidate, 50)


def test_promote_takes_one_step_without_a_verdict_when_its_pods_are_ready(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, paused=True)
    world.run(20)
    assert world.split == TrafficSplit.between(stable, candidate, 0)

    for step, weight in ((0, 20), (1, 50), (2, 100)):
        ask(world, Control.PROMOTE, candidate, step)
        world.run(6)
        assert world.split == TrafficSplit.between(stable, candidate, weight)
        world.run(100)
        assert world.split == TrafficSplit.between(stable, candidate, weight)

    assert world.lost == 0


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_promote_full_waits_for_pods_and_for_nothing_else(spec_schema: Mapping[str, Any], strategy: Any) -> None:
    world, stable, candidate = a_world(spec_schema, strategy, uri="http://models/slow-to-start", paused=True)

    ask(world, Control.PROMOTE_FULL, candidate, why="hotfix")

    assert world.split == TrafficSplit.between(stable, candidate, 0)
    world.run(60)
    assert world.status["stable"]["revision"] == candidate
    newest = world.status["history"][0]
    assert (newest["outcome"], newest["reason"]) == ("Promoted", "PromotedByHand")
    assert newest["message"] == f"{candidate} is stable: promoted in full by alice: hotfix"
    assert [shift["weight"] for shift in newest["shifts"]] == [100]
    assert world.lost == 0


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_what_is_promoted_in_full_goes_back_where_the_evidence_condemns_it(
    spec_schema: Mapping[str, Any], strategy: Any
) -> None:
    world, stable, candidate = a_world(spec_schema, strategy, uri="http://models/failing")
    world.applied["router"] = 0  # a router that lags keeps the old revision, and with it a way back
    ask(world, Control.PROMOTE_FULL, candidate)
    world.run(60)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.split == TrafficSplit.only(stable)


@pytest.mark.parametrize("during_rollout", [False, True], ids=["live", "during a rollout"])
def test_a_restart_replaces_stables_pods_once(spec_schema: Mapping[str, Any], during_rollout: bool) -> None:
    world, stable, _ = a_world(spec_schema)
    if not during_rollout:
        world.run(300)
        stable = world.status["stable"]["revision"]

    ask(world, Control.RESTART, stable, why="it leaks")
    world.run(20)

    assert [line for line in world.transcript if f"restart {stable}" in line][1:] == []
    assert events(world, "Restarting") == [
        f"the pods of {stable} are replaced, a few at a time, as asked by alice: it leaks"
    ]
    assert events(world, "Restarted") == [f"all 2 pods of {stable} were replaced, as asked by alice: it leaks"]
    assert "restart" not in world.status
    assert world.lost == 0


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("yes please", "tidegate.dev/approve is 'yes please', which names no revision: write 'REVISION/STEP"),
        ("digits-0000aaaa/1", "approve of digits-0000aaaa/1 by somebody is refused: the rollout that is under way is"),
    ],
)
def test_what_makes_no_sense_is_told_and_taken_away_and_stops_nothing(
    spec_schema: Mapping[str, Any], value: str, why: str
) -> None:
    world, _, candidate = a_world(spec_schema)

    world.kubectl_annotate_with("tidegate.dev/approve", value)
    world.run(AT_ONCE)

    assert world.annotations == {}
    (told,) = events(world, "ControlRefused")
    assert told.startswith(why)
    world.run(300)
    assert world.status["stable"]["revision"] == candidate


def test_of_two_people_at_once_the_one_who_aborts_is_heard_first(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, ASKED)
    until(world, "waits for approval")

    world.kubectl_annotate(Intent(Control.APPROVE, candidate, 1, "alice"))
    world.kubectl_annotate(Intent(Control.ABORT, candidate, None, "bob"))
    world.run(2)

    assert world.split == TrafficSplit.only(stable)
    assert world.annotations == {}
    assert events(world, "ControlRefused") == [
        f"approve of {candidate}/1 by alice is refused: no rollout is under way, {candidate} was aborted by bob"
    ]


def test_a_condemned_candidate_goes_back_whoever_approves_it(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, ASKED, uri="http://models/failing")
    until(world, "gets 20%")
    end = world.now + timedelta(seconds=120)
    while world.split != TrafficSplit.only(stable) and world.now < end:
        world.kubectl_annotate(Intent(Control.PROMOTE, candidate, 2, "alice"))
        world.run(1)

    assert world.status["history"][0]["outcome"] == "RolledBack"


CONTROLS = [
    pytest.param(Control.ABORT, CANARY, id="abort"),
    pytest.param(Control.APPROVE, ASKED, id="approve"),
    pytest.param(Control.PROMOTE, CANARY, id="promote"),
    pytest.param(Control.PROMOTE_FULL, CANARY, id="promote-full"),
    pytest.param(Control.RETRY, CANARY, id="retry"),
    pytest.param(Control.RESTART, CANARY, id="restart"),
]


def asked(schema: Mapping[str, Any], control: Control, strategy: Any) -> World:
    """A world in which that control was just asked for, and makes sense."""
    world, stable, candidate = a_world(schema, strategy)
    until(world, "waits for approval" if control is Control.APPROVE else "gets 20%")
    if control is Control.RETRY:
        world.kubectl_annotate(Intent(Control.ABORT, candidate))
        world.run(30)
    revision = stable if control is Control.RESTART else candidate
    world.kubectl_annotate(Intent(control, revision, 1 if control.concerns_a_step else None, "alice"))
    return world


def outcome(world: World) -> tuple[Any, ...]:
    """What it comes to in the end."""
    history = [(entry["outcome"], entry["reason"]) for entry in world.status["history"]]
    restarts = sum("  restart " in line for line in world.transcript)
    weights = [shift["weight"] for shift in world.status["history"][0]["shifts"]]
    return world.split, history, weights, world.names(DEPLOYMENTS), world.annotations, min(restarts, 1), world.lost


@pytest.mark.parametrize("after", [pytest.param(False, id="before it took effect"), pytest.param(True, id="after it")])
@pytest.mark.parametrize(("control", "strategy"), CONTROLS)
def test_a_crash_at_any_write_makes_a_control_act_neither_twice_nor_never(
    spec_schema: Mapping[str, Any], control: Control, strategy: Any, after: bool
) -> None:
    undisturbed = asked(spec_schema, control, strategy)
    run_to_rest(undisturbed)
    expected, write = outcome(undisturbed), 1

    while crashes_at(world := asked(spec_schema, control, strategy), write, after=after):
        run_to_rest(world)
        assert outcome(world) == expected, f"at write {write}"
        write += 1

    assert write > 2


def crashes_at(world: World, write: int, *, after: bool) -> bool:
    """Runs for a moment with a crash at that write, and restarts; False if there was no such write."""
    with world.crashing_at(write, after=after):
        try:
            world.run(2)
        except Crash:
            world.restart()
            return True
    return False


def run_to_rest(world: World) -> None:
    """Until nothing is under way, and what is left over is gone."""
    end = world.now + timedelta(seconds=500)
    world.run(15)
    while world.now < end and ("rollout" in world.status or len(world.names(DEPLOYMENTS)) > 1):
        world.run(5)
    world.run(5)


def test_going_back_during_a_rollout_is_the_spec_of_before(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema)
    until(world, "gets 20%")

    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY, replicas=2)
    world.run(AT_ONCE)

    assert world.split == TrafficSplit.only(stable)
    assert world.status["history"][0]["outcome"] == "Aborted"
    assert world.annotations == {}
    world.run(60)
    assert world.names(DEPLOYMENTS) == [stable]
    assert candidate not in world.names(DEPLOYMENTS)


def test_going_back_after_the_old_pods_are_gone_is_one_shift_and_asks_nobody(spec_schema: Mapping[str, Any]) -> None:
    world, old, candidate = a_world(spec_schema, ASKED)
    until(world, "waits for approval")
    ask(world, Control.PROMOTE_FULL, candidate)
    world.run(200)
    assert world.names(DEPLOYMENTS) == [candidate]

    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=ASKED, replicas=2)
    world.run(60)

    assert world.status["stable"]["revision"] == old
    newest = world.status["history"][0]
    assert (newest["outcome"], newest["reason"]) == ("Promoted", "Returned")
    assert [shift["weight"] for shift in newest["shifts"]] == [100]
    assert world.names(DEPLOYMENTS) == [old]
    assert world.lost == 0
