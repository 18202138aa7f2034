"""What the operator writes and reads of a cluster, against a real API server."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import Queue
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.kube.following import Leader, following
from tidegate.errors import (
    ClusterUnavailable,
    LeadershipLost,
    NameTaken,
    ObjectChanged,
    ObjectGone,
    PredecessorRemains,
    WriteRefused,
)
from tidegate.kube.api import (
    DEPLOYMENTS,
    EVENTS,
    MODEL_DEPLOYMENTS,
    MODEL_ROUTES,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    KubernetesApi,
    Manifest,
    Resource,
)
from tidegate.kube.cluster import BUDGET, RECORD, SERVICE, WORKLOAD, KubernetesCluster
from tidegate.kube.routers import Routers
from tidegate.model.decision import Event
from tidegate.model.disruption import DisruptionBudgets, OtherBudget
from tidegate.model.revision import Snapshot
from tidegate.model.spec import Model, Server
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.disruption_budget import budget_manifest, disruption_budgets
from tidegate.resources.model_route import route_manifest
from tidegate.resources.names import PINNED, labels
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import controller_revision_manifest, deployment_manifest, parse_service
from tidegate.resources.revision import owner as owner_reference
from tidegate.traffic_routing.builtin import MODEL_ROUTE

pytestmark = pytest.mark.apiserver


REVISION = "digits-6f9c1d2e"
SNAPSHOT = Snapshot(Model("http://models/1", None), Server(None, {}, ()), "server:1", 8082)
Changes = Queue[tuple[str, str]]


@pytest.fixture
def changes() -> Changes:
    return Queue()


@pytest.fixture
def leader() -> Leader:
    return Leader()


@pytest.fixture
def cluster(
    connect: Callable[[], KubernetesApi], namespace: str, changes: Changes, leader: Leader
) -> Iterator[KubernetesCluster]:
    with following(connect, namespace, leader=leader, tell=lambda *key: changes.put(key)) as cluster:
        yield cluster


def test_each_change_of_a_model_deployment_is_told_once_as_it_was_and_as_it_is(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    told: list[tuple[Any, Any]] = []
    cluster.changed_from = lambda before, after: told.append(((before or {}).get("status"), after.get("status")))
    cluster.record_status(namespace, "digits", {"phase": "Live"}, version_of(cluster, namespace))
    stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")
    assert stored is not None
    cluster.seen(stored, deleted=False)
    cluster.seen(digits, deleted=False)

    assert told == [({"observedGeneration": 0}, {"phase": "Live"})]


def test_a_status_is_exactly_what_was_recorded_last(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    first = {
        "observedGeneration": 1,
        "phase": "Canary",
        "rollout": {"step": 1, "candidate": "digits-b"},
        "traffic": {"candidate": 5},
    }
    second = {"observedGeneration": 1, "phase": "Live", "stable": {"revision": "digits-b"}}
    for status in (first, second):
        cluster.record_status(namespace, "digits", status, version_of(cluster, namespace))
        stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")

        assert stored is not None
        assert stored["status"] == status
        assert cluster.model_deployment(namespace, "digits") == as_kept(stored)


def test_a_status_changes_nothing_else_and_replaces_one_that_an_older_release_applied(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    labelled = api.merge(MODEL_DEPLOYMENTS, namespace, "digits", {"metadata": {"labels": {"team": "nlp"}}})
    applied = {key: digits[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": "digits"}}
    path = MODEL_DEPLOYMENTS.path(namespace, "digits", "status") + "?fieldManager=tidegate"
    old = {**applied, "status": {"phase": "Canary", "traffic": {"candidate": 5}}}
    cluster.seen(api._json("PATCH", path, old, "application/apply-patch+yaml"), deleted=False)

    cluster.record_status(namespace, "digits", {"phase": "Live"}, version_of(cluster, namespace))
    stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")

    assert stored is not None
    assert stored["status"] == {"phase": "Live"}
    assert written_by_others(stored) == written_by_others(labelled)


def written_by_others(manifest: Manifest) -> Manifest:
    """All but the status, with who wrote it."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "resourceVersion"}
    metadata["managedFields"] = [each for each in metadata["managedFields"] if "subresource" not in each]
    return {**manifest, "metadata": metadata, "status": None}


def as_kept(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}


def version_of(cluster: KubernetesCluster, namespace: str) -> str:
    manifest = cluster.model_deployment(namespace, "digits")
    assert manifest is not None
    return str(manifest["metadata"]["resourceVersion"])


def test_a_status_that_rests_on_an_older_version_is_not_recorded(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    old = version_of(cluster, namespace)
    api.merge(MODEL_DEPLOYMENTS, namespace, "digits", {"spec": {"replicas": 3}})
    with pytest.raises(ObjectChanged, match=f"ModelDeployment {namespace}/digits was written by somebody else"):
        cluster.record_status(namespace, "digits", {"phase": "Live"}, old)
    known = cluster.model_deployment(namespace, "digits")

    stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")
    assert known is not None
    assert stored is not None
    assert known == as_kept(stored)
    assert (known["spec"]["replicas"], known.get("status", {}).get("phase")) == (3, None)
    cluster.record_status(namespace, "digits", {"phase": "Live"}, version_of(cluster, namespace))


ABORT = "tidegate.dev/abort"


def annotated(cluster: KubernetesCluster, api: KubernetesApi, namespace: str, value: str) -> None:
    """Somebody asks for something, and the operator sees it."""
    patch = {"metadata": {"annotations": {ABORT: value, "theirs": "kept"}}}
    cluster.seen(api.merge(MODEL_DEPLOYMENTS, namespace, "digits", patch), deleted=False)


def annotations_of(api: KubernetesApi, namespace: str) -> Any:
    return (api.get(MODEL_DEPLOYMENTS, namespace, "digits") or {})["metadata"]["annotations"]


def test_an_annotation_that_was_acted_on_goes_alone_and_the_next_look_comes_at_once(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str, changes: Changes
) -> None:
    annotated(cluster, api, namespace, "digits-6f9c1d2e by alice")

    cluster.remove_annotation(namespace, "digits", ABORT, "digits-6f9c1d2e by alice")

    assert annotations_of(api, namespace) == {"theirs": "kept"}
    assert (cluster.model_deployment(namespace, "digits") or {})["metadata"]["annotations"] == {"theirs": "kept"}
    assert changes.get(timeout=5) == (namespace, "digits")


def test_an_annotation_that_somebody_has_written_anew_is_not_taken_away_unread(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    annotated(cluster, api, namespace, "digits-6f9c1d2e by alice")
    api.merge(MODEL_DEPLOYMENTS, namespace, "digits", {"metadata": {"annotations": {ABORT: "digits-ca4d1da7 by bob"}}})

    with pytest.raises(ObjectChanged):
        cluster.remove_annotation(namespace, "digits", ABORT, "digits-6f9c1d2e by alice")
    cluster.remove_annotation(namespace, "digits", ABORT, "digits-6f9c1d2e by alice")

    assert annotations_of(api, namespace) == {ABORT: "digits-ca4d1da7 by bob", "theirs": "kept"}


def test_who_does_not_lead_writes_nothing(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str, leader: Leader
) -> None:
    leader.leads = False
    ids = (namespace, "digits", digits["metadata"]["uid"])
    route = route_manifest(*ids, TrafficSplit.only("digits-a"), RouteSettings("x-r", timedelta(seconds=9)))
    writes: tuple[Callable[[], None], ...] = (
        lambda: cluster.apply(MODEL_ROUTES, route, ""),
        lambda: cluster.create(MODEL_ROUTES, route),
        lambda: cluster.scale(namespace, REVISION, 3),
        lambda: cluster.annotate(namespace, REVISION, PINNED, "ab"),
        lambda: cluster.annotate_pods(namespace, REVISION, PINNED, "ab"),
        lambda: cluster.remove_annotation(namespace, "digits", "tidegate.dev/abort", "x"),
        lambda: cluster.delete(DEPLOYMENTS, namespace, REVISION),
        lambda: cluster.record_status(namespace, "digits", {"phase": "Live"}, version_of(cluster, namespace)),
    )
    for write in writes:
        with pytest.raises(LeadershipLost, match="this operator doesn't lead any more"):
            write()

    assert api.get(MODEL_DEPLOYMENTS, namespace, "digits") == digits
    assert api.get(MODEL_ROUTES, namespace, "digits") is None


def test_a_deleted_model_deployment_is_forgotten(cluster: KubernetesCluster, digits: Manifest, namespace: str) -> None:
    assert [known["metadata"]["uid"] for known in cluster.model_deployments()] == [digits["metadata"]["uid"]]
    cluster.seen(digits, deleted=True)

    assert cluster.model_deployment(namespace, "digits") is None


def test_of_a_model_deployment_nothing_is_kept_twice(
    cluster: KubernetesCluster, digits: Manifest, namespace: str
) -> None:
    note, metadata = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}, digits["metadata"]
    applied = {**digits, "metadata": {**metadata, "annotations": {"team": "nlp", **note}, "resourceVersion": "999999"}}
    cluster.seen(applied, deleted=False)

    kept = cluster.model_deployment(namespace, "digits")

    assert "managedFields" in metadata
    assert kept is not None
    assert kept["metadata"]["annotations"] == {"team": "nlp"}
    assert kept["metadata"].keys() == applied["metadata"].keys() - {"managedFields"}
    assert {**kept, "metadata": None} == {**digits, "metadata": None}


def test_a_status_of_an_object_that_is_gone_makes_it_forgotten(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    api.delete(MODEL_DEPLOYMENTS, namespace, "digits")

    with pytest.raises(ObjectGone, match=f"ModelDeployment {namespace}/digits was deleted"):
        cluster.record_status(namespace, "digits", {"phase": "Live"}, digits["metadata"]["resourceVersion"])
    assert cluster.model_deployment(namespace, "digits") is None


def test_nobody_asks_whether_an_object_is_there_whose_status_was_just_taken(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.record_status(namespace, "digits", {"phase": "Starting"}, version_of(cluster, namespace))
    asked: list[str] = []
    monkeypatch.setattr(api, "get", lambda *what: asked.append(what[-1]))
    monkeypatch.setattr(cluster, "_api", api)

    cluster.confirm(namespace, "digits", digits["metadata"]["uid"])
    assert asked == []

    monkeypatch.setattr("tidegate.kube.cluster.CONFIRMED_SECONDS", 0.0)
    with pytest.raises(ObjectGone):
        cluster.confirm(namespace, "digits", digits["metadata"]["uid"])
    assert asked == ["digits"]


def test_an_object_is_there_by_its_uid(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str, changes: Changes
) -> None:
    uid = digits["metadata"]["uid"]
    cluster.confirm(namespace, "digits", uid)
    api.delete(MODEL_DEPLOYMENTS, namespace, "digits")
    with pytest.raises(ObjectGone):
        cluster.confirm(namespace, "digits", uid)
    assert cluster.model_deployment(namespace, "digits") is None

    bare = {name: digits["metadata"][name] for name in ("name", "namespace")}
    successor = api.create(MODEL_DEPLOYMENTS, {**digits, "metadata": bare})
    assert successor is not None
    with pytest.raises(ObjectGone):
        cluster.confirm(namespace, "digits", uid)
    assert cluster.model_deployment(namespace, "digits") == as_kept(successor)
    assert changes.get(timeout=5) == (namespace, "digits")


def objects(namespace: str, uid: str) -> Mapping[Any, Manifest]:
    ids = (namespace, "digits", uid)
    return {
        RECORD: controller_revision_manifest(*ids, REVISION, SNAPSHOT, 1),
        WORKLOAD: deployment_manifest(*ids, REVISION, SNAPSHOT, 2, "Always"),
    }


def test_what_is_created_is_read_at_once_and_told(
    cluster: KubernetesCluster, digits: Manifest, namespace: str, changes: Changes
) -> None:
    owner = Owner(namespace, "digits", digits["metadata"]["uid"])
    for kind, manifest in objects(namespace, owner.uid).items():
        cluster.create(kind.resource, manifest)

        assert [child.revision for child in cluster.children(kind, owner)] == [REVISION]
        assert cluster.children(kind, owner._replace(name="others")) == []
    cluster.scale(namespace, REVISION, 3)
    assert cluster.children(WORKLOAD, owner)[0].replicas == 3

    cluster.annotate(namespace, REVISION, PINNED, "ab" * 32)
    assert cluster.children(WORKLOAD, owner)[0].pinned == "ab" * 32

    cluster.delete(DEPLOYMENTS, namespace, REVISION)
    until(lambda: cluster.children(WORKLOAD, owner) == [])
    assert changes.get(timeout=5) == (namespace, "digits")


def test_a_route_is_read_back_as_it_was_applied(cluster: KubernetesCluster, digits: Manifest, namespace: str) -> None:
    ids = (namespace, "digits", digits["metadata"]["uid"])
    version = ""
    for split in (TrafficSplit.between("digits-a", "digits-b", 5), TrafficSplit.only("digits-b")):
        cluster.apply(MODEL_ROUTES, route_manifest(*ids, split, RouteSettings("x-r", timedelta(seconds=9))), version)
        (route,) = cluster.children(MODEL_ROUTE, Owner(*ids))

        assert route.split == split
        version = route.version


@pytest.mark.parametrize("old", ["", "known"])
def test_a_route_that_somebody_wrote_meanwhile_is_left_and_known_at_once(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str, old: str
) -> None:
    ids, settings = (namespace, "digits", digits["metadata"]["uid"]), RouteSettings("x-r", timedelta(seconds=9))
    cluster.apply(MODEL_ROUTES, route_manifest(*ids, TrafficSplit.only("digits-a"), settings), "")
    (before,) = cluster.children(MODEL_ROUTE, Owner(*ids))
    api.merge(MODEL_ROUTES, namespace, "digits", {"spec": {"timeoutSeconds": 5}})
    late = route_manifest(*ids, TrafficSplit.only("digits-b"), settings)
    with pytest.raises(ObjectChanged):
        cluster.apply(MODEL_ROUTES, late, before.version if old else "")
    (after,) = cluster.children(MODEL_ROUTE, Owner(*ids))

    assert after.split == TrafficSplit.only("digits-a")
    assert after.settings == RouteSettings("x-r", timedelta(seconds=5))
    cluster.apply(MODEL_ROUTES, late, after.version)


def test_a_route_that_was_deleted_meanwhile_is_made_again(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    ids, settings = (namespace, "digits", digits["metadata"]["uid"]), RouteSettings("x-r", timedelta(seconds=9))
    manifest = route_manifest(*ids, TrafficSplit.only("digits-a"), settings)
    cluster.apply(MODEL_ROUTES, manifest, "")
    (before,) = cluster.children(MODEL_ROUTE, Owner(*ids))
    api.delete(MODEL_ROUTES, namespace, "digits")
    cluster.apply(MODEL_ROUTES, manifest, before.version)

    assert [route.split for route in cluster.children(MODEL_ROUTE, Owner(*ids))] == [before.split]


def test_an_announcement_is_an_event_of_the_model_deployment(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    cluster.emit(digits, Event("RolledBack", "x" * 3000, warning=True), datetime(2026, 1, 1, tzinfo=UTC))
    (event,) = api.list(EVENTS, namespace, None)["items"]

    assert (event["type"], event["reason"], len(event["message"])) == ("Warning", "RolledBack", 1024)
    assert event["involvedObject"]["uid"] == digits["metadata"]["uid"]
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"


def service(owner: Owner, name: str = "digits") -> Manifest:
    """A Service as ours are."""
    metadata = {
        "name": name,
        "namespace": owner.namespace,
        "labels": labels(owner.name),
        "ownerReferences": owner_reference(owner.name, owner.uid),
    }
    spec = {"type": "ExternalName", "externalName": "router.example", "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.fixture
def owner(digits: Manifest, namespace: str) -> Owner:
    return Owner(namespace, "digits", digits["metadata"]["uid"])


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        pytest.param({"labels": {"app": "other"}, "ownerReferences": []}, NameTaken, id="nobody's"),
        pytest.param({"labels": {}, "ownerReferences": owner_reference("faces", "u-9")}, NameTaken, id="another's"),
        pytest.param({"ownerReferences": owner_reference("digits", "u-9")}, PredecessorRemains, id="a predecessor's"),
    ],
)
def test_what_another_owns_is_neither_taken_nor_changed_nor_deleted(
    cluster: KubernetesCluster, api: KubernetesApi, owner: Owner, theirs: Manifest, expected: type[Exception]
) -> None:
    wanted = service(owner)
    made = api.create(SERVICES, {**wanted, "metadata": {**wanted["metadata"], **theirs}})
    assert made is not None
    for write in (cluster.create, cluster.repair):
        with pytest.raises(expected, match="Service digits"):
            write(SERVICES, wanted)
    cluster.delete(SERVICES, owner.namespace, "faces")

    assert cluster.children(SERVICE, owner) == []
    assert api.get(SERVICES, owner.namespace, "digits") == made


def test_a_route_that_another_owns_is_not_overwritten(
    cluster: KubernetesCluster, api: KubernetesApi, owner: Owner
) -> None:
    settings = RouteSettings("x-r", timedelta(seconds=9))
    theirs = route_manifest(owner.namespace, "digits", "u-9", TrafficSplit.only("digits-a"), settings)
    made = api.create(MODEL_ROUTES, theirs)
    assert made is not None
    with pytest.raises(PredecessorRemains):
        cluster.apply(MODEL_ROUTES, route_manifest(*owner, TrafficSplit.only("digits-b"), settings), "")

    assert api.get(MODEL_ROUTES, owner.namespace, "digits") == made


def test_what_nobody_manages_is_taken_up_again(cluster: KubernetesCluster, api: KubernetesApi, owner: Owner) -> None:
    wanted = service(owner)
    api.create(SERVICES, {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": []}})
    until(lambda: cluster.orphans(owner))
    (orphan,) = cluster.orphans(owner)
    cluster.adopt(orphan, owner)
    found = api.get(SERVICES, owner.namespace, "digits")

    assert found is not None
    assert found["metadata"]["ownerReferences"] == owner_reference(owner.name, owner.uid)
    assert cluster.orphans(owner) == []
    with pytest.raises(ClusterUnavailable):  # another object by now
        cluster.adopt(orphan._replace(uid="u-9"), owner)


def test_a_service_that_leads_elsewhere_is_repaired_whoever_edited_it(
    cluster: KubernetesCluster, api: KubernetesApi, owner: Owner
) -> None:
    cluster.repair(SERVICES, service(owner))
    wanted = cluster.children(SERVICE, owner)
    api.merge(SERVICES, owner.namespace, "digits", {"spec": {"externalName": "elsewhere.example"}})
    until(lambda: cluster.children(SERVICE, owner) != wanted)
    cluster.repair(SERVICES, service(owner))

    assert cluster.children(SERVICE, owner) == wanted == [parse_service(service(owner))]


def test_an_object_that_was_made_anew_under_its_name_is_not_deleted(api: KubernetesApi, owner: Owner) -> None:
    api.create(SERVICES, service(owner))
    api.delete(SERVICES, owner.namespace, "digits", "00000000-0000-0000-0000-000000000000")
    assert api.get(SERVICES, owner.namespace, "digits") is not None

    api.delete(SERVICES, owner.namespace, "digits")
    assert api.get(SERVICES, owner.namespace, "digits") is None


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        pytest.param({"requests": {"nvidia.com/gpu": 1}}, "Limit must be set for non over", id="a GPU in requests"),
        pytest.param(
            {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
            "less than or equal to memory limit",
            id="more",
        ),
    ],
)
def test_what_the_server_refuses_for_good_is_told_apart(
    cluster: KubernetesCluster, owner: Owner, resources: dict[str, dict[str, str | int]], sentence: str
) -> None:
    snapshot = replace(SNAPSHOT, server=Server(None, resources, ()))
    with pytest.raises(WriteRefused, match=sentence) as refused:
        cluster.create(DEPLOYMENTS, deployment_manifest(*owner, REVISION, snapshot, 2, "Always"))

    assert refused.value.status == 422
    assert f'Deployment.apps "{REVISION}" is invalid' in refused.value.said


def test_a_quota_is_a_refusal_with_the_servers_sentence(
    cluster: KubernetesCluster, api: KubernetesApi, owner: Owner
) -> None:
    quotas = Resource("v1", "ResourceQuota", "resourcequotas")
    spec = {"hard": {"count/services": "0"}}
    api.create(
        quotas,
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": owner.namespace},
            "spec": spec,
        },
    )
    api._json("PATCH", quotas.path(owner.namespace, "none", "status"), {"status": spec}, "application/merge-patch+json")

    def refused() -> WriteRefused | None:
        try:
            cluster.create(SERVICES, service(owner, "other"))
        except WriteRefused as error:
            return error
        cluster.delete(SERVICES, owner.namespace, "other")
        return None

    told = until(refused)
    assert told is not None
    assert told.said.startswith('services "other" is forbidden: ')
    assert "quota: none" in told.said


def test_disruption_budgets_of_others_are_seen_and_wake_every_model_of_the_namespace(
    cluster: KubernetesCluster, api: KubernetesApi, owner: Owner, changes: Changes
) -> None:
    until(lambda: cluster.with_others(BUDGET, owner) is not None)
    cluster.repair(POD_DISRUPTION_BUDGETS, budget_manifest(*owner, "digits-b"))
    other = owner._replace(name="other")
    cluster.repair(POD_DISRUPTION_BUDGETS, budget_manifest(*other, "other-b"))
    while not changes.empty():
        changes.get()
    theirs = {"selector": {"matchLabels": {"tidegate.dev/model-deployment": "digits"}}, "maxUnavailable": 0}
    manifest = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "theirs", "namespace": owner.namespace},
        "spec": theirs,
    }
    api.create(POD_DISRUPTION_BUDGETS, manifest)
    while changes.get(timeout=10) != (owner.namespace, "digits"):
        pass

    found = cluster.with_others(BUDGET, owner)
    assert found is not None
    assert disruption_budgets(owner, ["digits-b"], found, wanted=True) == DisruptionBudgets(
        wanted=True, ours={"digits-b": True}, others={"digits-b": (OtherBudget("theirs", "maxUnavailable: 0"),)}
    )


def test_nothing_waits_for_disruption_budgets_that_can_not_be_listed(
    connect: Callable[[], KubernetesApi], namespace: str, leader: Leader, owner: Owner
) -> None:
    unknown = replace(BUDGET, resource=Resource("policy/v1", "PodDisruptionBudget", "unknowns"))
    routers = Routers(connect(), namespace, "r")
    cluster = KubernetesCluster(
        connect(), (SERVICE, unknown), lambda *_: None, (namespace,), "operator-1", leader, routers
    )
    cluster.start()
    until(cluster.complete)

    assert cluster.with_others(unknown, owner) is None
    for informer in cluster.informers():
        informer.stop()
