"""Drained nodes and autoscalers that aim at the wrong object: people are told, and traffic stays where it is."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.operator.scenarios.test_children import MODELS, Refusing, events, foreign, message, release, stable_of
from tests.operator.world import SETTINGS, World
from tidegate.controller.reconciler import Reconciler
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, Manifest, Resource
from tidegate.kube.informer import Kind
from tidegate.resources.names import MODEL_DEPLOYMENT
from tidegate.resources.ownership import Owner


@pytest.fixture
def empty(spec_schema: Mapping[str, Any]) -> Refusing:
    return Refusing(spec_schema, MODELS)


@pytest.fixture
def world(empty: Refusing) -> Refusing:
    """v1 live for a minute."""
    release(empty, "http://models/1")
    empty.run(60)
    return empty


def budget(world: World, revision: str) -> Manifest:
    return world._objects[(POD_DISRUPTION_BUDGETS, revision)]


def put_theirs(world: World, name: str, **spec: Any) -> None:
    """A PodDisruptionBudget of the user's over all of the model's pods."""
    selector = {"matchLabels": {MODEL_DEPLOYMENT: "digits"}}
    manifest = {"kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": {"selector": selector, **spec}}
    world._objects[(POD_DISRUPTION_BUDGETS, name)] = manifest


def goes_back(world: World, stable: str) -> bool:
    """Whether a bad release gets traffic, and loses it again."""
    release(world, "http://models/failing")
    world.run(200)
    return str(world.status["history"][0]["outcome"]) == "RolledBack" and dict(world.split or ()) == {stable: 100}


# --- ours -------------------------------------------------------------------------------------------------------------


def test_each_revision_has_a_disruption_budget_as_long_as_it_has_pods(world: Refusing) -> None:
    stable = stable_of(world)
    assert world.names(POD_DISRUPTION_BUDGETS) == [stable]

    release(world, "http://models/2")
    world.run(20)
    assert world.names(POD_DISRUPTION_BUDGETS) == world.names(DEPLOYMENTS)
    assert len(world.names(DEPLOYMENTS)) == 2

    release(world, "http://models/1")
    world.run(200)
    assert world.names(POD_DISRUPTION_BUDGETS) == world.names(DEPLOYMENTS) == [stable]


def test_a_disruption_budget_that_is_lost_or_edited_is_made_again(world: Refusing) -> None:
    stable = stable_of(world)
    wanted = copy.deepcopy(budget(world, stable))
    budget(world, stable)["spec"]["maxUnavailable"] = 0
    world.reconcile()
    assert budget(world, stable) == wanted

    del world._objects[(POD_DISRUPTION_BUDGETS, stable)]
    world.reconcile()
    assert budget(world, stable) == wanted

    budget(world, stable)["metadata"].pop("ownerReferences")  # as a backup tool restores it
    world.reconcile()
    assert budget(world, stable) == wanted


def test_disruption_budgets_that_are_turned_off_go(world: Refusing) -> None:
    settings = replace(SETTINGS, disruption_budgets=False)
    world._reconciler = Reconciler(world, world._reconciler.judge, settings, lambda *_: None)
    world.reconcile()

    assert world.names(POD_DISRUPTION_BUDGETS) == []


def test_a_disruption_budget_that_has_the_name_and_is_somebody_elses_is_left_alone(world: Refusing) -> None:
    stable = stable_of(world)
    theirs = foreign(POD_DISRUPTION_BUDGETS, stable)
    theirs["spec"] = {"selector": {"matchLabels": {"app": "theirs"}}, "maxUnavailable": 2}
    world._objects[(POD_DISRUPTION_BUDGETS, stable)] = copy.deepcopy(theirs)
    world.reconcile()

    assert budget(world, stable) == theirs
    assert len(events(world, "NameTaken")) == 1
    assert world.condition("Stalled") == ("False", "Idle")


@pytest.mark.parametrize("status", [403, None], ids=["forbidden", "a webhook that hangs"])
def test_a_refused_disruption_budget_is_told_and_stops_nothing(
    status: int | None, empty: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def refuse(resource: Resource, manifest: Mapping[str, Any]) -> None:
        if resource == POD_DISRUPTION_BUDGETS:
            tries.append(manifest["metadata"]["name"])
            raise ClusterUnavailable("not allowed", status)
        Refusing.repair(empty, resource, manifest)

    monkeypatch.setattr(empty, "repair", refuse)
    release(empty, "http://models/1")
    empty.run(120)
    stable = stable_of(empty)
    assert tries == [stable]
    (told,) = events(empty, "WriteFailed")
    refused = f"the API server refuses a write for PodDisruptionBudget {stable}, which is tried again: not allowed"
    assert told.endswith(refused)
    assert empty.condition("Ready") == ("True", "StableServing")
    assert empty.condition("Stalled") == ("False", "Idle")

    assert goes_back(empty, stable)


class Blind(Refusing):
    """Its operator may not list PodDisruptionBudgets."""

    def with_others(self, kind: Kind[Any], owner: Owner) -> None:
        return None


def test_disruption_budgets_that_can_not_be_seen_are_left_alone(spec_schema: Mapping[str, Any]) -> None:
    world = Blind(spec_schema, MODELS)
    release(world, "http://models/1")
    world.run(60)

    assert world.names(POD_DISRUPTION_BUDGETS) == []
    assert goes_back(world, stable_of(world))


# --- the user's -------------------------------------------------------------------------------------------------------


def test_a_disruption_budget_of_the_users_replaces_ours(world: Refusing) -> None:
    stable = stable_of(world)
    put_theirs(world, "theirs", minAvailable="50%")
    world.reconcile()
    world.reconcile()

    assert world.names(POD_DISRUPTION_BUDGETS) == ["theirs"]
    (told,) = events(world, "OtherDisruptionBudget")
    assert f"the PodDisruptionBudget theirs is over the pods of {stable}, so Tidegate makes none for them" in told

    del world._objects[(POD_DISRUPTION_BUDGETS, "theirs")]
    world.reconcile()
    assert world.names(POD_DISRUPTION_BUDGETS) == [stable]


def test_a_disruption_budget_that_forbids_all_is_told_and_stops_nothing(world: Refusing) -> None:
    stable = stable_of(world)
    put_theirs(world, "theirs", maxUnavailable=0)
    world.reconcile()
    (told,) = events(world, "DisruptionsForbidden")

    assert told.endswith(
        f"the PodDisruptionBudget theirs lets no pod of {stable} be evicted (maxUnavailable: 0), so nodes can't be "
        "drained: give it maxUnavailable: 1, or delete it"
    )
    assert world.condition("Ready") == ("True", "StableServing")
    assert world.condition("Stalled") == ("False", "Idle")
    assert goes_back(world, stable)
    assert world.lost == 0


def test_two_disruption_budgets_over_the_same_pods_are_told(world: Refusing) -> None:
    put_theirs(world, "one", maxUnavailable=1)
    put_theirs(world, "two", maxUnavailable=1)
    world.reconcile()
    (told,) = events(world, "DisruptionsForbidden")

    assert "are under 2 PodDisruptionBudgets, one, two, and Kubernetes evicts no pod that has more than one" in told


# --- autoscalers ------------------------------------------------------------------------------------------------------


def test_an_autoscaler_of_a_revisions_deployment_is_told_and_set_right(world: Refusing) -> None:
    stable = stable_of(world)
    workload = world._objects[(DEPLOYMENTS, stable)]
    for replicas in (2, 9, 2):
        workload["spec"]["replicas"] = replicas
        workload["metadata"]["managedFields"] = [
            {
                "manager": "kube-controller-manager",
                "operation": "Update",
                "subresource": "scale",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }
        ]
        world.reconcile()
        assert workload["spec"]["replicas"] == 4
        workload["metadata"]["managedFields"] = []
        world.run(15)

    (told,) = events(world, "ScaledByOthers")
    assert told.endswith(
        f"an autoscaler (a HorizontalPodAutoscaler, or KEDA) has scaled the Deployment {stable}, whose pods Tidegate "
        "counts and sets right: scale the ModelDeployment digits instead, which is what an autoscaler's scaleTargetRef "
        "has to name"
    )
    assert world.condition("Stalled") == ("False", "Idle")
    assert message(world, "Ready")
    assert world.lost == 0


def test_a_hint_is_told_again_while_it_is_true(world: Refusing) -> None:
    put_theirs(world, "theirs", maxUnavailable=0)
    for _ in range(3):
        world.reconcile()
        world.run(600)

    assert len(events(world, "DisruptionsForbidden")) == 1
    world.reconcile()
    assert len(events(world, "DisruptionsForbidden")) == 2
