"""What the API server refuses, what is lost, and whose it is: people are told, and traffic stays where it is."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.kstatus import compute
from tests.operator.world import Behaviour, World
from tidegate.errors import WriteRefused
from tidegate.kube.api import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_ROUTES,
    SERVICES,
    Manifest,
    Resource,
)
from tidegate.simulation.world import SECOND

CANARY = {"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}}
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.9),
}
QUOTA = (
    'deployments.apps "digits" is forbidden: exceeded quota: compute, requested: pods=4, used: pods=8, limited: pods=8'
)
KINDS = (CONTROLLER_REVISIONS, SERVICES, DEPLOYMENTS, MODEL_ROUTES, CONFIG_MAPS)


class Refusing(Disturbed):
    """Its API server refuses writes of some kinds."""

    refused: tuple[Resource, ...] = ()
    tries = 0

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self._refuse(resource)
        super().create(resource, manifest)

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        self._refuse(DEPLOYMENTS)
        super().scale(namespace, deployment, replicas)

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        self._refuse(resource)
        super().apply(resource, manifest, version)

    def _refuse(self, resource: Resource) -> None:
        if resource in self.refused:
            self.tries += 1
            raise WriteRefused(f"POST {resource.plural}: {QUOTA}", 403, said=QUOTA)


def release(world: World, uri: str, **fields: Any) -> None:
    world.kubectl_apply(model={"uri": uri}, strategy=CANARY, **{"replicas": 4, **fields})


@pytest.fixture
def empty(spec_schema: Mapping[str, Any]) -> Refusing:
    return Refusing(spec_schema, MODELS)


@pytest.fixture
def world(empty: Refusing) -> Refusing:
    """v1 live for a minute."""
    release(empty, "http://models/1")
    empty.run(60)
    return empty


def message(world: World, kind: str) -> str:
    return str(next(each["message"] for each in world.status["conditions"] if each["type"] == kind))


def events(world: World, reason: str) -> list[str]:
    return [line for line in world.transcript if f"event {reason}: " in line]


def stable_of(world: World) -> str:
    return str(world.status["stable"]["revision"])


# --- writes that are refused ------------------------------------------------------------------------------------------


def test_a_write_that_is_refused_for_good_is_told_with_the_servers_sentence(empty: Refusing) -> None:
    empty.refused = (DEPLOYMENTS,)
    release(empty, "http://models/1")
    empty.run(30)

    assert empty.condition("Stalled") == ("True", "WriteRefused")
    assert QUOTA in message(empty, "Stalled")
    assert empty.condition("Ready") == ("False", "WriteRefused")
    assert empty.condition("Reconciling") == ("False", "Idle")
    assert empty.status["observedGeneration"] == 1
    assert len(events(empty, "WriteRefused")) == 1

    empty.refused = ()
    empty.run(90)
    assert empty.condition("Ready") == ("True", "StableServing")
    assert empty.condition("Stalled") == ("False", "Idle")


def test_a_refused_write_is_tried_again_ever_more_seldom_and_at_once_for_a_new_spec(empty: Refusing) -> None:
    empty.refused = (DEPLOYMENTS,)
    release(empty, "http://models/1")
    empty.run(600)
    before = empty.tries
    assert 10 <= before <= 20

    release(empty, "http://models/1", server={"image": "other:1"})
    empty.run(2)
    assert empty.tries == before + 1


def test_the_deadline_of_a_refused_candidate_runs_and_stable_serves_on(world: Refusing) -> None:
    stable = stable_of(world)
    world.refused = (DEPLOYMENTS,)
    release(world, "http://models/2", progressDeadline="5m")
    world.run(60)
    assert world.condition("Stalled") == ("True", "WriteRefused")
    assert world.condition("Ready") == ("True", "StableServing")
    assert world.status["observedGeneration"] == 2

    world.run(300)
    assert world.status["history"][0]["reason"] == "ProgressDeadlineExceeded"
    assert QUOTA in world.status["history"][0]["message"]
    assert world.split is not None
    assert world.split.weight(stable) == 100


def test_a_rollback_goes_on_while_writes_of_pods_are_refused(world: Refusing) -> None:
    stable = stable_of(world)
    release(world, "http://models/failing")
    world.run(8)
    world.refused = (DEPLOYMENTS,)
    release(world, "http://models/failing", replicas=5)
    world.run(40)

    assert world.split is not None
    assert world.split.weight(stable) == 100
    assert world.status["history"][0]["outcome"] == "RolledBack"


def test_a_route_that_may_not_be_written_is_told_and_the_record_stays(world: Refusing) -> None:
    stable = stable_of(world)
    release(world, "http://models/failing")
    world.run(8)
    world.refused = (MODEL_ROUTES,)
    world.run(60)

    assert world.condition("Stalled") == ("True", "WriteRefused")
    assert len(events(world, "WriteRefused")) == 1
    assert "history" not in world.status

    world.refused = ()
    world.run(60)
    assert world.split is not None
    assert world.split.weight(stable) == 100
    assert world.status["history"][0]["outcome"] == "RolledBack"


# --- children that are lost -------------------------------------------------------------------------------------------


def test_a_lost_service_is_made_again(world: Refusing) -> None:
    stable = stable_of(world)
    for name in (stable, "digits"):
        del world._objects[(SERVICES, name)]
        world.reconcile()

        assert name in world.names(SERVICES)


def test_a_lost_service_that_can_not_be_made_again_makes_ready_false(world: Refusing) -> None:
    del world._objects[(SERVICES, stable_of(world))]
    world._objects[(SERVICES, stable_of(world))] = foreign(SERVICES, stable_of(world))
    world.run(20)

    assert world.condition("Ready") == ("False", "NameTaken")


def test_a_service_that_leads_elsewhere_is_set_right(world: Refusing) -> None:
    alias = world._objects[(SERVICES, "digits")]
    wanted = copy.deepcopy(alias)
    alias["spec"]["externalName"] = "router-of-a-release-that-moved.elsewhere.svc.cluster.local"
    world.reconcile()
    assert world._objects[(SERVICES, "digits")] == wanted

    revision = world._objects[(SERVICES, stable_of(world))]
    revision["spec"]["selector"] = {"app": "other"}
    world.reconcile()
    assert world._objects[(SERVICES, stable_of(world))]["spec"]["selector"] != {"app": "other"}


def test_a_lost_pin_is_written_again(world: Refusing) -> None:
    stable = stable_of(world)
    pin = world.pin(stable)
    del world._objects[(CONFIG_MAPS, stable)]
    world.reconcile()

    assert world.pin(stable) == pin


# --- whose it is ------------------------------------------------------------------------------------------------------


def foreign(resource: Resource, name: str, uid: str | None = None) -> Manifest:
    """An object of that name that isn't ours; `uid` is that of another ModelDeployment of our name."""
    manifest: Manifest = {"kind": resource.kind, "metadata": {"name": name}, "spec": {"selector": {"app": "theirs"}}}
    if uid:
        owner = {"kind": "ModelDeployment", "name": "digits", "uid": uid, "controller": True}
        manifest["metadata"]["ownerReferences"] = [owner]
    return manifest


def test_a_name_that_is_taken_is_told_and_what_has_it_is_left_alone(empty: Refusing) -> None:
    theirs = foreign(SERVICES, "digits")
    empty._objects[(SERVICES, "digits")] = copy.deepcopy(theirs)
    release(empty, "http://models/1")
    empty.run(60)

    assert empty.condition("Stalled") == ("True", "NameTaken")
    assert message(empty, "Stalled") == (
        "Service digits is there already and isn't Tidegate's; delete it or rename it, or give the ModelDeployment "
        "another name"
    )
    assert empty.condition("Ready") == ("False", "NameTaken")
    assert empty._objects[(SERVICES, "digits")] == theirs
    assert len(events(empty, "NameTaken")) == 1

    del empty._objects[(SERVICES, "digits")]
    empty.run(10)
    assert empty.condition("Ready") == ("True", "StableServing")
    assert empty.condition("Stalled") == ("False", "Idle")


def test_a_copy_with_our_labels_is_not_read_as_ours(world: Refusing) -> None:
    stable = stable_of(world)
    copied = copy.deepcopy(world._objects[(DEPLOYMENTS, stable)])
    copied["metadata"]["name"] = "a-copy"
    copied["spec"]["replicas"] = 9
    world._objects[(DEPLOYMENTS, "a-copy")] = copied
    world._created_at["a-copy"] = world.now
    before = list(world.transcript)
    world.run(120)

    assert world.status["replicas"] == 4
    assert world.condition("Ready") == ("True", "StableServing")
    assert world._objects[(DEPLOYMENTS, "a-copy")]["spec"]["replicas"] == 9
    assert world.transcript == before


def recreate(world: World, uid: str) -> None:
    """`kubectl replace --force`: the same ModelDeployment with another uid, and no status."""
    assert world._deployment is not None
    metadata = {**world._deployment["metadata"], "uid": uid, "generation": 1}
    world._deployment = {**world._deployment, "metadata": metadata}
    world._deployment.pop("status", None)
    world.restart()


def test_an_object_made_anew_waits_for_the_collector_and_then_makes_its_own(world: Refusing) -> None:
    split, before = world.split, {key: copy.deepcopy(world._objects[key]) for key in world._objects}
    recreate(world, "u-2")
    world.run(30)

    assert world.condition("Reconciling") == ("True", "PredecessorRemains")
    assert world.condition("Stalled") == ("False", "Progressing")
    assert "belongs to an earlier ModelDeployment digits (uid u-1)" in message(world, "Reconciling")
    assert world.split == split
    assert world._objects == before

    world._objects.clear()  # the collector
    world.run(60)
    assert world.condition("Ready") == ("True", "StableServing")
    owners = {held["metadata"]["ownerReferences"][0]["uid"] for held in world._objects.values()}
    assert owners == {"u-2"}


def test_children_that_a_backup_restored_without_an_owner_are_taken_up_again(world: Refusing) -> None:
    stable = stable_of(world)
    release(world, "http://models/failing")
    world.run(5)
    for held in world._objects.values():
        held["metadata"].pop("ownerReferences")
    recreate(world, "u-2")
    world.run(3)

    assert stable_of(world) == stable
    assert len(events(world, "StableAdopted")) == 1
    owners = [held["metadata"]["ownerReferences"][0]["uid"] for held in world._objects.values()]
    assert owners == ["u-2"] * len(owners)

    world.run(200)
    assert world.split is not None
    assert world.split.weight(stable) == 100
    assert world.lost == 0


# --- the spec ---------------------------------------------------------------------------------------------------------


def spelt(cpu: str | int, memory: str, *variables: str) -> Mapping[str, Any]:
    amounts = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": "4Gi"}}
    return {"resources": amounts, "env": [{"name": name, "value": "a"} for name in variables]}


def test_another_spelling_starts_no_rollout(empty: Refusing) -> None:
    release(empty, "http://models/1", server=spelt("1", "1Gi", "A", "B"))
    empty.run(60)
    stable = stable_of(empty)
    for server in (spelt(1, "1Gi", "A", "B"), spelt("1000m", "1024Mi", "A", "B"), spelt("1e0", "1Gi", "B", "A")):
        release(empty, "http://models/1", server=server)
        empty.run(30)

        assert "rollout" not in empty.status
        assert "history" not in empty.status
    assert empty.names(DEPLOYMENTS) == [stable]


# --- pods -------------------------------------------------------------------------------------------------------------


class Cluster(Refusing):
    """Its pods are whatever a test adds to them."""

    more: tuple[Manifest, ...] = ()

    def _pod_manifests(self) -> list[Manifest]:
        return [*super()._pod_manifests(), *self.more]


@pytest.fixture
def cluster(spec_schema: Mapping[str, Any]) -> Cluster:
    cluster = Cluster(spec_schema, MODELS)
    release(cluster, "http://models/1")
    cluster.run(60)
    return cluster


def a_pod(world: World, revision: str, name: str, **status: Any) -> Manifest:
    """A pod of a revision whose server ended with 137 a second ago."""
    at = (world.now - SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"terminated": {"exitCode": 137, "finishedAt": at}}
    server = {"name": "server", "ready": False, "restartCount": 1, "state": {"running": {}}, "lastState": ended}
    labels = world._objects[(DEPLOYMENTS, revision)]["metadata"]["labels"]
    return {"metadata": {"name": name, "labels": labels}, "status": {"containerStatuses": [server], **status}}


GONE = [
    pytest.param({"phase": "Failed", "reason": "Evicted"}, id="evicted"),
    pytest.param({"phase": "Failed", "reason": "Terminated"}, id="its node was shut down"),
    pytest.param({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}, id="drained or preempted"),
]


@pytest.mark.parametrize("status", GONE)
@pytest.mark.parametrize("when", ["before traffic", "with traffic"])
def test_a_pod_that_the_cluster_took_away_is_no_crash(cluster: Cluster, status: dict[str, Any], when: str) -> None:
    release(cluster, "http://models/2")
    cluster.run(1 if when == "before traffic" else 30)
    candidate = str(cluster.status["candidate"]["revision"])
    cluster.more = (a_pod(cluster, candidate, "gone", **status),)
    cluster.run(60)

    assert "history" not in cluster.status
    assert cluster.split is not None
    assert cluster.split.weight(candidate) == 50


@pytest.mark.parametrize(("crashes", "of_stable", "outcome"), [(1, 0, None), (2, 0, "CandidateCrashed"), (3, 2, None)])
def test_crashes_are_compared_with_stables(cluster: Cluster, crashes: int, of_stable: int, outcome: str | None) -> None:
    release(cluster, "http://models/2")
    cluster.run(30)
    stable, candidate = stable_of(cluster), str(cluster.status["candidate"]["revision"])
    cluster.more = (
        *(a_pod(cluster, candidate, f"candidate-{number}") for number in range(crashes)),
        *(a_pod(cluster, stable, f"stable-{number}") for number in range(of_stable)),
    )
    cluster.run(30)

    assert [entry["reason"] for entry in cluster.status.get("history", ())] == ([outcome] if outcome else [])


def fetched(world: World, revision: str, sha256: str) -> Manifest:
    """A pod of a revision that has fetched another file than the others."""
    pod = a_pod(world, revision, "the-other")
    report = json.dumps({"sha256": sha256, "inputs": [], "outputs": []})
    ended = {"terminated": {"exitCode": 0, "message": report}}
    pod["status"] = {"initContainerStatuses": [{"name": "fetch", "ready": True, "state": ended}]}
    return pod


def test_pods_that_fetched_different_files_get_no_traffic(cluster: Cluster) -> None:
    stable = stable_of(cluster)
    release(cluster, "http://models/2")
    cluster.run(1)
    candidate = str(cluster.status["candidate"]["revision"])
    cluster.more = (fetched(cluster, candidate, "cd" * 32),)
    cluster.run(30)

    (entry,) = cluster.status["history"]
    assert entry["reason"] == "FilesDiffer"
    assert all(each in entry["message"] for each in ("ab" * 32, "cd" * 32, f"{candidate}-0", "the-other"))
    assert "shifts" not in entry
    assert cluster.split is not None
    assert cluster.split.weight(stable) == 100


# --- who waits --------------------------------------------------------------------------------------------------------


def kstatus(world: World) -> str:
    """What Helm 4 and Flux make of it."""
    assert world._deployment is not None
    return compute(world._deployment)


def test_a_wait_by_kstatus_ends_as_the_release_does(empty: Refusing) -> None:
    strategy = {"canary": {"steps": [{"weight": 50}]}}
    empty.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=4)
    assert empty._deployment is not None
    empty._deployment["status"] = {"observedGeneration": 0}  # the CRD's default
    assert kstatus(empty) == "InProgress"
    empty.run(60)
    assert kstatus(empty) == "Current"

    empty.kubectl_apply(model={"uri": "http://models/failing"}, strategy=strategy, replicas=4)
    assert kstatus(empty) == "InProgress"
    empty.run(6)
    assert kstatus(empty) == "InProgress"
    empty.run(60)
    assert (empty.condition("Ready")[0], kstatus(empty)) == ("True", "Failed")

    empty.kubectl_apply(model={"uri": "http://models/failing"}, strategy=strategy, replicas=5)
    empty.run(60)
    assert kstatus(empty) == "Failed"

    empty.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=5)
    empty.run(60)
    assert kstatus(empty) == "Current"
