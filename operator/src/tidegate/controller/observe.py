"""The first of the four verbs: reads the cluster into one Observation. Reads only."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.kube.api import Manifest
from tidegate.kube.cluster import POD, RECORD, WORKLOAD, Cluster
from tidegate.kube.informer import Kind
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, plan_digest, revision_name
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.resources.pod_status import Pod
from tidegate.resources.revision import RevisionRecord, Workload, revision_state
from tidegate.traffic_routing import BACKENDS, backend_for

WATCHED: tuple[Kind[Any], ...] = (RECORD, WORKLOAD, POD, *(kind for each in BACKENDS.values() for kind in each.kinds))
"""The children that decisions rest on."""
Child = TypeVar("Child", RevisionRecord, Workload)


def observe(cluster: Cluster, manifest: Manifest, *, scrape_interval: timedelta, now: datetime) -> Observation:
    """One ModelDeployment and its cluster, not yet judged. Raises InvalidSpec on a spec that makes no sense."""
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = ModelDeploymentSpec.parse(manifest["spec"])
    backend = backend_for(spec.router)
    route = backend.read(namespace, lambda kind: cluster.children(kind, namespace, name), cluster.routers())
    return Observation(
        now=now.replace(microsecond=0),
        namespace=namespace,
        name=name,
        generation=metadata["generation"],
        spec=spec,
        desired=revision_name(name, spec),
        plan=plan_digest(spec),
        recorded=Status.parse(manifest.get("status", {})),
        revisions=_revisions(cluster, namespace, name),
        route=route,
        route_settings_match=route.settings == backend.settings(spec.route_settings),
        share=None,
        verdict=NOTHING_TO_JUDGE,
        propagation_delay=max(spec.analysis.interval, scrape_interval),
    )


def _revisions(cluster: Cluster, namespace: str, name: str) -> dict[str, RevisionState]:
    def by_revision(kind: Kind[Child]) -> dict[str, Child]:
        children = cluster.children(kind, namespace, name)
        return {child.revision: child for child in children if child.revision and not child.deleting}

    records, workloads = by_revision(RECORD), by_revision(WORKLOAD)
    pods: dict[str | None, list[Pod]] = {}
    for pod in cluster.children(POD, namespace, name):
        pods.setdefault(pod.revision, []).append(pod)
    return {
        revision: revision_state(revision, records.get(revision), workloads.get(revision), pods.get(revision, ()))
        for revision in records.keys() | workloads.keys()
    }
