"""Reads the cluster and Prometheus into one Observation. Reads only."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidegate.controller.verdict_cache import VerdictCache
from tidegate.decide.criteria import criteria_for
from tidegate.judge.sampling import INGESTION_LAG
from tidegate.kube.api import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_ROUTES,
    PODS,
    Manifest,
    Resource,
)
from tidegate.kube.cluster import Cluster
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.observers import Counters, counters_for
from tidegate.model.evidence import Answer, Verdict
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.revision import RevisionState, plan_digest, revision_name
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Status
from tidegate.model.traffic import Arms, Share, TrafficSplit
from tidegate.resources.revision import revision_of, revision_state
from tidegate.traffic_routing.builtin import bounded_timeout, read_route_settings, read_split, route_applied

NOTHING_TO_JUDGE = Verdict(Answer.NOT_ENOUGH, Reason.NO_ROLLOUT, "there is no rollout to judge")


def observe(
    cluster: Cluster,
    collector: MetricsCollector,
    verdict_cache: VerdictCache,
    manifest: Manifest,
    *,
    scrape_interval: timedelta,
    now: datetime,
) -> Observation:
    """One ModelDeployment and its world. Raises InvalidSpec on a spec that makes no sense."""
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    now = now.replace(microsecond=0)
    spec = ModelDeploymentSpec.parse(manifest["spec"])
    recorded = Status.parse(manifest.get("status", {}))
    route = next(iter(cluster.children(MODEL_ROUTES, namespace, name)), None)
    propagation_delay = max(spec.analysis.interval, scrape_interval)
    revisions = _revisions(cluster, namespace, name)
    # Before the share, which is told from the same counters.
    verdict = _verdict(collector, verdict_cache, namespace, name, spec, recorded, revisions, propagation_delay, now)
    return Observation(
        now=now,
        namespace=namespace,
        name=name,
        generation=metadata["generation"],
        spec=spec,
        desired=revision_name(name, spec),
        plan=plan_digest(spec),
        recorded=recorded,
        revisions=revisions,
        split=_split(route),
        route_settings_match=route is not None
        and read_route_settings(route) == (spec.preview_header, bounded_timeout(spec.timeout)),
        route_applied=route is not None and route_applied(route),
        share=_share(collector, namespace, name, spec, propagation_delay, now)
        if route and _anybody_beside(recorded, revisions)
        else None,
        verdict=verdict,
        propagation_delay=propagation_delay,
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


def _anybody_beside(recorded: Status, revisions: Mapping[str, RevisionState]) -> bool:
    """Whether traffic could go to anybody but stable: only then is it worth asking Prometheus where it goes."""
    return any(state.replicas is not None and state.name != recorded.stable for state in revisions.values())


def _share(
    collector: MetricsCollector,
    namespace: str,
    name: str,
    spec: ModelDeploymentSpec,
    propagation_delay: timedelta,
    now: datetime,
) -> Share | None:
    return collector.share(namespace, name, _counters(spec), propagation_delay, now - INGESTION_LAG)


def _counters(spec: ModelDeploymentSpec) -> Counters:
    return counters_for(spec.router, spec.analysis.requests_from)


def _verdict(
    collector: MetricsCollector,
    verdict_cache: VerdictCache,
    namespace: str,
    name: str,
    spec: ModelDeploymentSpec,
    recorded: Status,
    revisions: Mapping[str, RevisionState],
    propagation_delay: timedelta,
    now: datetime,
) -> Verdict:
    rollout: Rollout | None = recorded.rollout
    if rollout is None or recorded.stable is None:
        collector.forget(namespace, name)
        verdict_cache.forget(namespace, name)
        return NOTHING_TO_JUDGE
    arms = Arms(namespace, name, recorded.stable, rollout.candidate)
    measurements = collector.measurements(
        arms, rollout, spec.analysis, _counters(spec), propagation_delay=propagation_delay, until=now - INGESTION_LAG
    )
    candidate = revisions.get(rollout.candidate)
    nodes = candidate.nodes if candidate else {}
    return verdict_cache.judge((namespace, name), measurements, criteria_for(spec, rollout), nodes)
