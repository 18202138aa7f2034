"""How many pods each weight takes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.decide.builder import BLUE_GREEN, CANDIDATE, NOW, STABLE, a_canary, a_spec, rollout_of
from tidegate.decide.capacity import candidate_size, full_size, replicas_at_start
from tidegate.decide.rollout import decide
from tidegate.model.actions import EnsureRevision, ScaleRevision
from tidegate.model.decision import Decision
from tidegate.model.revision import RevisionState
from tidegate.model.status import HistoryEntry, Rollout, Status
from tidegate.model.traffic import TrafficSplit

ROLLOUT = Rollout(CANDIDATE, NOW, 1, NOW)


def canary(weight: int, max_surge: int | str = "100%", **step: int | str) -> dict[str, Any]:
    return {"canary": {"steps": [{"weight": weight, **step}], "maxSurge": max_surge}}


@pytest.mark.parametrize(
    ("strategy", "replicas", "step", "pods"),
    [
        pytest.param(canary(10), 10, 1, 2, id="each pod gets at most what one of stable's gets"),
        pytest.param(canary(25), 9, 1, 3, id="a third of stable's pods for a quarter of the requests"),
        pytest.param(canary(26), 9, 1, 4, id="a little more is a whole pod"),
        pytest.param(canary(1), 3, 1, 1, id="never less than one"),
        pytest.param(canary(50), 10, 1, 10, id="half of the requests: as many as stable"),
        pytest.param(canary(90), 10, 1, 10, id="never more than all requests need"),
        pytest.param(canary(10), 3, 2, 3, id="all requests: all pods"),
        pytest.param(canary(50, "60%"), 10, 1, 6, id="no more than the surge"),
        pytest.param(canary(50, 2), 10, 1, 5, id="but never fewer than carry the weight"),
        pytest.param(canary(50, 2), 10, 2, 10, id="all requests take all pods, whatever the surge"),
        pytest.param(canary(10, replicas=4), 10, 1, 4, id="a step's own number"),
        pytest.param(canary(10, replicas="100%"), 10, 1, 10, id="or percentage"),
        pytest.param(canary(50, replicas=1), 10, 1, 5, id="which carries the weight, too"),
        pytest.param(canary(10, replicas=40), 10, 1, 10, id="and is at most what all requests need"),
        pytest.param(BLUE_GREEN, 3, 0, 3, id="a switch needs all of them before it"),
    ],
)
def test_the_candidates_pods(strategy: dict[str, Any], replicas: int, step: int, pods: int) -> None:
    assert candidate_size(a_spec(strategy=strategy, replicas=replicas), ROLLOUT, step) == pods


@pytest.mark.parametrize("full", [1, 3, 10, 30, 999])
@pytest.mark.parametrize("weight", range(1, 100))
def test_no_pod_of_the_candidate_gets_more_than_stables_did_before(full: int, weight: int) -> None:
    pods = candidate_size(a_spec(strategy=canary(weight), replicas=full), ROLLOUT, 1)

    assert weight / pods <= max(100 - weight, 100 if weight > 50 else 0) / full + 1e-9


def test_what_all_requests_need_only_grows_in_a_rollout() -> None:
    at_start = replace(ROLLOUT, replicas=10)

    assert full_size(a_spec(replicas=4), at_start) == 10
    assert full_size(a_spec(replicas=12), at_start) == 12
    assert full_size(a_spec(replicas=4), None) == 4


def test_a_rollout_starts_from_the_pods_that_there_are() -> None:
    seen = sized(a_canary(step=None, spec_replicas=4), stable=10)

    assert replicas_at_start(seen) == 10
    assert rollout_of_status(decide(seen)).replicas == 10


def test_a_status_of_an_older_operator_gets_its_number() -> None:
    assert rollout_of(a_canary()).replicas == 0
    assert rollout_of_status(decide(a_canary())).replicas == 4


def test_fewer_replicas_take_no_pod_away_in_a_rollout() -> None:
    seen = with_replicas(sized(a_canary(step=2, spec_replicas=2), stable=10, candidate=10), 10)

    assert sizes(decide(seen)) == {}


def test_more_replicas_are_more_pods_of_both() -> None:
    seen = with_replicas(sized(a_canary(step=2, spec_replicas=12), stable=10, candidate=10), 10)

    assert sizes(decide(seen)) == {STABLE: 12, CANDIDATE: 12}


def test_pods_go_a_while_after_a_rollout_a_tenth_at_a_time() -> None:
    ended = HistoryEntry(CANDIDATE, "RolledBack", "", "", NOW, NOW - timedelta(minutes=2), replicas=10)
    seen = sized(a_canary(step=None, spec_replicas=2, desired=STABLE, split=TrafficSplit.only(STABLE)), stable=10)
    seen = replace(seen, recorded=Status(stable=STABLE, history=(ended,)), revisions={STABLE: seen.state(STABLE)})
    decision = decide(seen)

    assert sizes(decision) == {}
    assert decision.requeue_after == timedelta(minutes=3)
    later = [decide(replace(seen, now=NOW + timedelta(minutes=minutes))) for minutes in (3, 4.5, 11, 20)]
    assert [sizes(each)[STABLE] for each in later] == [9, 8, 2, 2]
    assert [each.requeue_after for each in later] == [timedelta(minutes=1), timedelta(seconds=30), None, None]


def test_no_rollout_begins_while_no_pods_are_asked_for() -> None:
    seen = sized(a_canary(step=None, spec_replicas=0), stable=0)
    decision = decide(replace(seen, revisions={STABLE: seen.state(STABLE)}))

    assert decision.status.rollout is None
    assert sizes(decision) == {}
    assert [(it.type, it.status, it.reason) for it in decision.status.conditions] == [
        ("Ready", "True", "ScaledToZero"),
        ("Reconciling", "True", "ScaledToZero"),
        ("Stalled", "False", "Progressing"),
    ]


def test_a_rollout_under_way_keeps_its_pods_when_none_are_asked_for() -> None:
    seen = with_replicas(sized(a_canary(step=2, spec_replicas=0), stable=4, candidate=4), 4)

    assert sizes(decide(seen)) == {}


def test_a_first_revision_waits_while_no_pods_are_asked_for() -> None:
    seen = a_canary(step=None, spec_replicas=0, split=None, recorded=Status(), revisions={})
    decision = decide(seen)

    assert (decision.status.rollout, sizes(decision)) == (None, {})
    assert decision.status.message == f"spec.replicas is 0, so {CANDIDATE} waits: it comes up when pods are asked for"


def test_an_autoscaler_sees_all_pods_of_the_model() -> None:
    status = decide(sized(a_canary(step=2), stable=4, candidate=3)).status

    assert (status.replicas, status.selector) == (7, "tidegate.dev/model-deployment=digits")


def sized(seen: Any, **pods: int) -> Any:
    names = {"stable": STABLE, "candidate": CANDIDATE}
    changed: dict[str, RevisionState] = {
        names[arm]: replace(seen.state(names[arm]), replicas=count, ready=count) for arm, count in pods.items()
    }
    return replace(seen, revisions={**seen.revisions, **changed})


def with_replicas(seen: Any, replicas: int) -> Any:
    rollout = replace(rollout_of(seen), replicas=replicas)
    return replace(seen, recorded=replace(seen.recorded, rollout=rollout))


def sizes(decision: Decision) -> dict[str, int]:
    """Pods that are asked for, by revision."""
    return {
        action.revision: action.replicas
        for action in decision.actions
        if isinstance(action, ScaleRevision | EnsureRevision)
    }


def rollout_of_status(decision: Decision) -> Rollout:
    assert decision.status.rollout is not None
    return decision.status.rollout
