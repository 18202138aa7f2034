"""The promises, held against whatever may be observed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.decide.rollout import decide
from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.model.actions import (
    Action,
    DeleteBudget,
    DeleteSnapshot,
    DeleteWorkload,
    EnsureBudget,
    EnsureClientServices,
    EnsureRevision,
    PinModel,
    RecordStatus,
    RestartRevision,
    ScaleRevision,
    ShiftTraffic,
)
from tidegate.model.decision import Decision
from tidegate.model.evidence import Answer, Counts, Evidence, Verdict
from tidegate.model.observation import Observation
from tidegate.model.revision import ModelFacts, PodFailure, RevisionState, Snapshot, Tensor
from tidegate.model.spec import Canary, Model, ModelDeploymentSpec, Server
from tidegate.model.status import Rejected, Rollout, Shift, Since, Status
from tidegate.model.traffic import RouteState, Share, TrafficSplit
from tidegate.resources.crd_schema import with_defaults

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STABLE, CANDIDATE, THIRD = "digits-aaaaaaaa", "digits-bbbbbbbb", "digits-cccccccc"
CRD = yaml.safe_load((Path(__file__).parents[2] / "crds" / "modeldeployments.yaml").read_text())
SCHEMA: Mapping[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
STRATEGIES = (
    {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}},
    {"canary": {"steps": [{"weight": 25, "minDuration": "1m"}]}},
    {"blueGreen": {"verifyFor": "10s", "keepOld": "30s"}},
    {"blueGreen": {"verifyFor": "0s", "keepOld": "0s"}},
)


def specs() -> st.SearchStrategy[ModelDeploymentSpec]:
    def parsed(strategy: Any, replicas: int, paused: bool, inconclusive: str, blind: str) -> ModelDeploymentSpec:
        analysis = {"onInconclusive": inconclusive, "onMetricsUnavailable": blind, "deadline": "10m"}
        given = {"model": {"uri": "http://models/1"}, "strategy": strategy, "analysis": analysis}
        given |= {"replicas": replicas, "paused": paused}
        return ModelDeploymentSpec.parse(with_defaults(SCHEMA, given))

    return st.builds(
        parsed,
        st.sampled_from(STRATEGIES),
        st.integers(1, 3),
        st.booleans(),
        st.sampled_from(["Hold", "Promote", "Rollback"]),
        st.sampled_from(["Hold", "Rollback"]),
    )


def ago() -> st.SearchStrategy[datetime]:
    """Just now, within the deadline, or beyond it."""
    return st.sampled_from([0, 3, 20, 200, 2000]).map(lambda seconds: NOW - timedelta(seconds=seconds))


@st.composite
def rollouts(draw: st.DrawFn, spec: ModelDeploymentSpec) -> Rollout:
    """A rollout as this spec may have brought it about."""
    last = spec.strategy.steps_with_traffic + 1
    step = draw(st.integers(0, last))
    started, stepped = sorted([draw(ago()), draw(ago())])
    weights = [weight_of(spec, number) for number in range(1, step + 1)]
    shifts = tuple(Shift(stepped, weight) for weight in weights if weight)
    moments = st.one_of(st.none(), ago())
    since = Since(draw(moments), draw(moments), draw(moments), draw(moments), draw(moments))
    suspended = draw(st.sampled_from([0, 0, 300]))
    candidate = draw(st.sampled_from([CANDIDATE, THIRD]))
    return Rollout(candidate, started, step, stepped, shifts, suspended_seconds=suspended, since=since)


def weight_of(spec: ModelDeploymentSpec, step: int) -> int:
    """Percent that the candidate may have at a step."""
    if isinstance(spec.strategy, Canary):
        return spec.strategy.weight_at(step)
    return 100 if step == 2 else 0


FACTS = st.sampled_from(
    [
        None,
        ModelFacts("ab" * 32, (Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1,)),)),
        ModelFacts("cd" * 32, (Tensor("z", "FP32", (-1, 4)),), (), "ef" * 32),
    ]
)
TROUBLES = st.sampled_from(
    [
        None,
        None,
        PodFailure("ContainerFailed", "it ended", crashed=True),
        PodFailure("WrongDigest", "wrong", permanent=True),
        PodFailure("SelftestFailed", "wrong", permanent=True, crashed=True),
    ]
)
SNAPSHOTS = st.sampled_from([None, Snapshot(Model("http://models/1", None), Server(None, {}, ()), "server:1", 8082)])


@st.composite
def states(draw: st.DrawFn, name: str) -> RevisionState:
    replicas = draw(st.sampled_from([None, 1, 2, 3]))
    ready = draw(st.integers(0, replicas)) if replicas else 0
    return RevisionState(
        name,
        draw(st.integers(1, 9)),
        draw(SNAPSHOTS),
        replicas,
        ready,
        draw(FACTS),
        draw(st.sampled_from([None, "ab" * 32])),
        draw(TROUBLES),
    )


def splits(rollout: Rollout | None) -> st.SearchStrategy[TrafficSplit | None]:
    candidate = rollout.candidate if rollout else CANDIDATE
    weights = st.sampled_from([0, 10, 25, 50, 100])
    between = weights.map(lambda weight: TrafficSplit.between(STABLE, candidate, weight))
    return st.one_of(st.none(), st.just(TrafficSplit.only(STABLE)), between)


def shares() -> st.SearchStrategy[Share | None]:
    def share(since: datetime, stable: int, candidate: int) -> Share:
        return Share(since, since, {STABLE: stable, CANDIDATE: candidate}, {})

    counted = st.sampled_from([0, 10, 1000])
    return st.one_of(st.none(), st.builds(share, ago().map(lambda at: at - timedelta(seconds=6)), counted, counted))


def verdicts() -> st.SearchStrategy[Verdict]:
    def verdict(answer: Answer) -> Verdict:
        if answer is Answer.CANNOT_SEE:
            return Verdict(answer, "MetricsUnavailable", "Prometheus is away")
        return Verdict(answer, "Because", "the numbers say so", Evidence(1, 100, 1, 20), (), Counts(70, 3))

    return st.sampled_from(Answer).map(verdict)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    spec = draw(specs())
    stable = draw(st.sampled_from([STABLE, STABLE, STABLE, None]))
    # Now and then under another spec than today's: the user edits the strategy while a rollout lasts.
    before = draw(st.one_of(st.just(spec), st.just(spec), specs()))
    rollout = draw(st.one_of(st.none(), rollouts(before))) if stable else None
    desired = draw(st.sampled_from([STABLE, CANDIDATE, CANDIDATE, THIRD]))
    rejected = draw(st.sampled_from([None, Rejected(desired, "plan", "ErrorRateWorse", "it failed")]))
    recorded = Status(stable, rollout, None if rollout else rejected, draw(st.one_of(st.none(), ago())))
    names = draw(st.sets(st.sampled_from([STABLE, CANDIDATE, THIRD])))
    return Observation(
        now=NOW,
        namespace="shop",
        name="digits",
        generation=3,
        spec=spec,
        desired=desired,
        plan="plan",
        recorded=recorded,
        revisions={name: draw(states(name)) for name in sorted(names)},
        route=RouteState(
            draw(splits(rollout)) if stable else None,
            applied_by=draw(st.sampled_from([frozenset[str](), frozenset({"router"})])),
        ),
        route_settings_match=True,
        share=draw(shares()),
        verdict=draw(verdicts()) if rollout else NOTHING_TO_JUDGE,
        propagation_delay=timedelta(seconds=5),
    )


@st.composite
def returns(draw: st.DrawFn) -> Observation:
    """A rollout to a revision that was stable a short while ago, which gets all traffic in one shift."""
    seen = draw(observations())
    rollout = seen.recorded.rollout
    if rollout is None:
        return seen
    shifted = draw(st.booleans())
    rollout = replace(
        rollout,
        fast_track=True,
        step=seen.spec.strategy.step_of_all if shifted else 0,
        shifts=(Shift(rollout.step_started_at, 100),) if shifted else (),
    )
    return replace(seen, recorded=replace(seen.recorded, rollout=rollout))


def shifts_of(decision: Decision) -> list[TrafficSplit]:
    return [action.split for action in decision.actions if isinstance(action, ShiftTraffic)]


def edited(seen: Observation, rollout: Rollout) -> bool:
    """Whether the step stands for another weight than was granted, or for a canary's end that a switch led to."""
    if weight_of(seen.spec, rollout.step) != (rollout.shifts[-1].weight if rollout.shifts else 0):
        return True
    strategy = seen.spec.strategy
    past_its_steps = isinstance(strategy, Canary) and rollout.step > len(strategy.steps)
    return past_its_steps and all(shift.weight == 100 for shift in rollout.shifts)


def out_of_time(seen: Observation, rollout: Rollout) -> bool:
    return bool(rollout.shifts) and NOW - rollout.shifts[0].at >= seen.spec.analysis.deadline


def outage_lasts(seen: Observation, rollout: Rollout) -> bool:
    unseen = rollout.since.unseen
    return unseen is not None and NOW - unseen >= seen.spec.progress_deadline


@given(observations())
@settings(max_examples=100, deadline=None)
def test_traffic_grows_only_to_what_was_granted_or_on_an_acceptable_verdict(seen: Observation) -> None:
    rollout = seen.recorded.rollout
    for split in shifts_of(decide(seen)):
        if seen.recorded.stable is None:
            assert seen.state(seen.desired).ready > 0
            continue
        assert {name for name, _ in split} <= {STABLE, CANDIDATE, THIRD}
        for name, weight in split:
            before = seen.split.weight(name) if seen.split else 0
            if name == STABLE or weight <= before:
                continue
            assert rollout is not None
            assert name == rollout.candidate == seen.desired
            assert weight <= _grantable(seen, rollout)


def _grantable(seen: Observation, rollout: Rollout) -> int:
    granted = weight_of(seen.spec, rollout.step)
    if edited(seen, rollout):
        return 0
    answer = seen.verdict.answer
    if answer is Answer.WORSE:
        return 0
    if isinstance(seen.spec.strategy, Canary):
        first = rollout.step == 0 and answer is not Answer.CANNOT_SEE
        promoted = out_of_time(seen, rollout) and seen.spec.analysis.on_inconclusive == "Promote"
        if promoted:
            return 100
        return weight_of(seen.spec, rollout.step + 1) if first or answer is Answer.ACCEPTABLE else granted
    return 100 if rollout.step >= 1 and answer is not Answer.CANNOT_SEE else granted


@given(observations())
@settings(max_examples=100, deadline=None)
def test_without_a_verdict_nothing_is_promoted_or_rolled_back_before_the_deadline(seen: Observation) -> None:
    rollout = seen.recorded.rollout
    unsure = seen.verdict.answer in (Answer.NOT_ENOUGH, Answer.CANNOT_SEE)
    if rollout is None or not unsure or rollout.candidate != seen.desired or out_of_time(seen, rollout):
        return
    healthy = replace(seen, revisions={name: _healthy(state) for name, state in seen.revisions.items()})
    if rollout.step == 0 and NOW - rollout.started_at >= seen.spec.progress_deadline:
        return
    if edited(seen, rollout):
        return  # the rollout begins anew
    if outage_lasts(seen, rollout) and seen.spec.analysis.on_metrics_unavailable == "Rollback":
        return  # what the user wants then
    last = seen.spec.strategy.steps_with_traffic + 1
    decision = decide(healthy)

    if rollout.step == last and isinstance(seen.spec.strategy, Canary):
        return  # its promotion was granted; all that is missing is to see the old revision silent
    after = decision.status.rollout
    assert decision.status.history == seen.recorded.history
    assert after is not None
    free = (1, 2) if not isinstance(seen.spec.strategy, Canary) else (1,)
    assert after.step <= rollout.step or (after.step in free and after.step == rollout.step + 1)
    if seen.verdict.answer is Answer.CANNOT_SEE:
        assert weight_of(seen.spec, after.step) <= weight_of(seen.spec, rollout.step)


def _healthy(state: RevisionState) -> RevisionState:
    return replace(state, failure=None, facts=None)


@given(observations())
@settings(max_examples=100, deadline=None)
def test_worse_takes_the_traffic_away_before_anything_is_recorded(seen: Observation) -> None:
    rollout = seen.recorded.rollout
    if rollout is None or rollout.candidate != seen.desired or seen.verdict.answer is not Answer.WORSE:
        return
    if edited(seen, rollout):
        return  # the rollout begins anew, which takes the traffic away too
    if seen.state(STABLE).ready == 0 and serving(seen):
        return  # whoever answers goes on answering until stable can
    decision = decide(seen)
    written = [action for action in decision.actions if isinstance(action, ShiftTraffic | RecordStatus)]

    assert decision.status.history[0].outcome == "RolledBack"
    if seen.split != TrafficSplit.only(STABLE):
        assert written[0] == ShiftTraffic(TrafficSplit.only(STABLE))


def serving(seen: Observation) -> list[str]:
    """Who has traffic, and a ready pod."""
    return [name for name, weight in seen.split or () if weight > 0 and seen.state(name).ready > 0]


@given(st.one_of(observations(), returns()))
@settings(max_examples=100, deadline=None)
def test_nothing_stands_before_what_takes_traffic_away(seen: Observation) -> None:
    decision = decide(seen)
    for split in shifts_of(decision):
        loses = [name for name, weight in seen.split or () if split.weight(name) < weight]
        if any(name != decision.status.stable for name in loses):
            assert decision.actions[0] == ShiftTraffic(split)


@given(st.one_of(observations(), returns()))
@settings(max_examples=100, deadline=None)
def test_no_traffic_goes_where_no_ready_pod_is_while_somebody_answers(seen: Observation) -> None:
    decision = decide(seen)
    for split in shifts_of(decision):
        for name, weight in split:
            if serving(seen) and seen.split and weight > seen.split.weight(name):
                assert seen.state(name).ready > 0


@given(st.one_of(observations(), returns()))
@settings(max_examples=100, deadline=None)
def test_what_could_serve_is_not_deleted_while_stable_has_no_ready_pod(seen: Observation) -> None:
    decision = decide(seen)
    for action in decision.actions:
        if isinstance(action, DeleteWorkload) and seen.state(action.revision).ready > 0:
            assert seen.state(decision.status.stable).ready > 0


@given(st.one_of(observations(), returns()))
@settings(max_examples=100, deadline=None)
def test_nothing_with_traffic_is_retired_and_never_the_stable_revision(seen: Observation) -> None:
    decision = decide(seen)
    after = shifts_of(decision)
    for action in decision.actions:
        if isinstance(action, DeleteWorkload | DeleteSnapshot):
            assert action.revision not in (seen.recorded.stable, decision.status.stable)
            assert seen.split is None or seen.split.weight(action.revision) == 0
            assert all(split.weight(action.revision) == 0 for split in after)


@given(observations())
@settings(max_examples=100, deadline=None)
def test_what_is_recorded_can_be_read_back(seen: Observation) -> None:
    status = decide(seen).status

    assert Status.parse(status.to_dict()) == status


@given(st.one_of(observations(), returns()))
@settings(max_examples=100, deadline=None)
def test_deciding_again_comes_to_rest(seen: Observation) -> None:
    for _ in range(6):
        decision = decide(seen)
        if not decision.actions:
            return
        seen = carried_out(seen, decision)

    assert decide(seen).actions == ()


def carried_out(seen: Observation, decision: Decision) -> Observation:
    """The same instant, with the decision's writes in the world."""
    for action in decision.actions:
        seen = _written(seen, action)
    return seen if seen.recorded.rollout else replace(seen, verdict=NOTHING_TO_JUDGE)


def _written(seen: Observation, action: Action) -> Observation:
    def change(revision: str, **fields: Any) -> Observation:
        state = replace(seen.state(revision), **fields)
        return replace(seen, revisions={**seen.revisions, revision: state})

    match action:
        case EnsureRevision(revision=revision, replicas=replicas):
            held = seen.state(revision)
            if held.snapshot is None and revision != seen.desired:
                # Its record was deleted by hand and can't be made again; this asks for ever, and harms nothing.
                return change(revision, snapshot=LOST, replicas=held.replicas or replicas)
            return change(revision, snapshot=held.snapshot or LOST, replicas=held.replicas or replicas)
        case EnsureClientServices():
            return replace(seen, found_by_clients=True)
        case ScaleRevision() | RestartRevision():
            return change(action.revision, **_of_workload(seen, action))
        case PinModel(revision=revision, sha256=sha256):
            return change(revision, pinned=sha256)
        case ShiftTraffic(split=split):
            return replace(seen, route=replace(seen.route, split=split))
        case RecordStatus(status=status):
            return replace(seen, recorded=status)
        case DeleteWorkload(revision=revision):
            return change(revision, replicas=None, ready=0)
        case DeleteSnapshot(revision=revision):
            rest = {name: state for name, state in seen.revisions.items() if name != revision}
            return replace(seen, revisions=rest)
        case EnsureBudget() | DeleteBudget():
            return seen
        case _ as unhandled:
            assert_never(unhandled)


def _of_workload(seen: Observation, action: ScaleRevision | RestartRevision) -> dict[str, Any]:
    state = seen.state(action.revision)
    if isinstance(action, RestartRevision):
        return {"restarted_at": action.at, "renewed": state.replicas or 0}
    return {"replicas": action.replicas, "ready": min(action.replicas, state.ready)}


LOST = Snapshot(Model("http://models/1", "ab" * 32), Server(None, {}, ()), "server:1", 8082)
