"""The first of the four verbs: reads the cluster into one Observation. Reads only."""

from datetime import datetime, timedelta

from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.kube.api import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_ROUTES,
    PODS,
    Manifest,
    Resource,
)
from tidegate.kube.cluster import Cluster
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, plan_digest, revision_name
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.revision import revision_of, revision_state
from tidegate.traffic_routing.builtin import bounded_timeout, read_route_settings, read_split, route_applied


def observe(cluster: Cluster, manifest: Manifest, *, scrape_interval: timedelta, now: datetime) -> Observation:
    """One ModelDeployment and its cluster, not yet judged. Raises InvalidSpec on a spec that makes no sense."""
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = ModelDeploymentSpec.parse(manifest["spec"])
    route = next(iter(cluster.children(MODEL_ROUTES, namespace, name)), None)
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
        split=_split(route),
        route_settings_match=route is not None
        and read_route_settings(route) == (spec.preview_header, bounded_timeout(spec.timeout)),
        route_applied=route is not None and route_applied(route),
        share=None,
        verdict=NOTHING_TO_JUDGE,
        propagation_delay=max(spec.analysis.interval, scrape_interval),
    )


def _revisions(cluster: Cluster, namespace: str, name: str) -> dict[str, RevisionState]:
    def by_revision(resource: Resource) -> dict[str, Manifest]:
        return {
            revision: manifest
            for manifest in cluster.children(resource, namespace, name)
            if (revision := revision_of(manifest)) and not manifest["metadata"].get("deletionTimestamp")
        }

    snapshots, deployments = by_revision(CONTROLLER_REVISIONS), by_revision(DEPLOYMENTS)
    pods: dict[str, list[Manifest]] = {}
    for pod in cluster.children(PODS, namespace, name):
        pods.setdefault(revision_of(pod) or "", []).append(pod)
    return {
        revision: revision_state(
            revision,
            snapshots.get(revision),
            deployments.get(revision),
            pods.get(revision, ()),
        )
        for revision in snapshots.keys() | deployments.keys()
    }


def _split(route: Manifest | None) -> TrafficSplit | None:
    if route is None:
        return None
    try:
        return read_split(route)
    except ValueError:
        # Somebody edited it into something that isn't a split; it will be written anew.
        return None
