"""What the operator writes and reads of a cluster, against a real API server."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from queue import Queue
from typing import Any

import pytest

from tests.conftest import until
from tidegate.controller.observe import WATCHED
from tidegate.errors import ObjectGone
from tidegate.kube.api import (
    DEPLOYMENTS,
    EVENTS,
    MODEL_DEPLOYMENTS,
    MODEL_ROUTES,
    KubernetesApi,
    Manifest,
)
from tidegate.kube.cluster import RECORD, WORKLOAD, KubernetesCluster
from tidegate.model.decision import Event
from tidegate.model.revision import Snapshot
from tidegate.model.spec import Model, Server
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.model_route import route_manifest
from tidegate.resources.names import PINNED
from tidegate.resources.revision import controller_revision_manifest, deployment_manifest
from tidegate.traffic_routing.builtin import MODEL_ROUTE

pytestmark = pytest.mark.apiserver
REVISION = "digits-6f9c1d2e"
SNAPSHOT = Snapshot(Model("http://models/1", None), Server(None, {}, ()), "server:1", 8082)
Changes = Queue[tuple[str, str]]


@pytest.fixture
def changes() -> Changes:
    return Queue()


@pytest.fixture
def cluster(connect: Callable[[], KubernetesApi], namespace: str, changes: Changes) -> Iterator[KubernetesCluster]:
    cluster = KubernetesCluster(connect(), WATCHED, lambda *key: changes.put(key), (namespace,), "operator-1")
    cluster.start()
    until(cluster.complete)
    yield cluster
    for informer in cluster.informers():
        informer.stop()


@pytest.fixture
def digits(cluster: KubernetesCluster, api: KubernetesApi, namespace: str) -> Manifest:
    """A ModelDeployment, with its defaults."""
    made = api.create(
        MODEL_DEPLOYMENTS,
        {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": "digits", "namespace": namespace},
            "spec": {"model": {"uri": "http://models/1"}},
        },
    )
    assert made is not None
    cluster.seen(made, deleted=False)
    return made


def test_a_status_is_exactly_what_was_recorded_last(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    first = {"phase": "Canary", "rollout": {"step": 1, "candidate": "digits-b"}, "traffic": {"candidate": 5}}
    second = {"phase": "Live", "stable": {"revision": "digits-b"}}
    for status in (first, second):
        cluster.record_status(namespace, "digits", status)
        stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")

        assert stored is not None
        assert stored["status"] == status
        assert cluster.model_deployment(namespace, "digits") == stored


def test_a_deleted_model_deployment_is_forgotten(cluster: KubernetesCluster, digits: Manifest, namespace: str) -> None:
    assert cluster.model_deployments() == [digits]
    cluster.seen(digits, deleted=True)

    assert cluster.model_deployment(namespace, "digits") is None


def test_a_status_of_an_object_that_is_gone_makes_it_forgotten(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    api.delete(MODEL_DEPLOYMENTS, namespace, "digits")

    with pytest.raises(ObjectGone, match=f"ModelDeployment {namespace}/digits was deleted"):
        cluster.record_status(namespace, "digits", {"phase": "Live"})
    assert cluster.model_deployment(namespace, "digits") is None


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
    with pytest.raises(ObjectGone):
        cluster.confirm(namespace, "digits", uid)
    assert cluster.model_deployment(namespace, "digits") == successor
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
    for kind, manifest in objects(namespace, digits["metadata"]["uid"]).items():
        cluster.create(kind.resource, manifest)

        assert [child.revision for child in cluster.children(kind, namespace, "digits")] == [REVISION]
        assert cluster.children(kind, namespace, "others") == []
    cluster.scale(namespace, REVISION, 3)
    assert cluster.children(WORKLOAD, namespace, "digits")[0].replicas == 3

    cluster.annotate(namespace, REVISION, PINNED, "ab" * 32)
    assert cluster.children(WORKLOAD, namespace, "digits")[0].pinned == "ab" * 32

    cluster.delete(DEPLOYMENTS, namespace, REVISION)
    until(lambda: cluster.children(WORKLOAD, namespace, "digits") == [])
    assert changes.get(timeout=5) == (namespace, "digits")


def test_a_route_is_read_back_as_it_was_applied(cluster: KubernetesCluster, digits: Manifest, namespace: str) -> None:
    for split in (TrafficSplit.between("digits-a", "digits-b", 5), TrafficSplit.only("digits-b")):
        ids = (namespace, "digits", digits["metadata"]["uid"])
        cluster.apply(MODEL_ROUTES, route_manifest(*ids, split, RouteSettings("x-r", timedelta(seconds=9))))

        assert [route.split for route in cluster.children(MODEL_ROUTE, namespace, "digits")] == [split]


def test_an_announcement_is_an_event_of_the_model_deployment(
    cluster: KubernetesCluster, api: KubernetesApi, digits: Manifest, namespace: str
) -> None:
    cluster.emit(digits, Event("RolledBack", "x" * 3000, warning=True), datetime(2026, 1, 1, tzinfo=UTC))
    (event,) = api.list(EVENTS, namespace, None)["items"]

    assert (event["type"], event["reason"], len(event["message"])) == ("Warning", "RolledBack", 1024)
    assert event["involvedObject"]["uid"] == digits["metadata"]["uid"]
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
