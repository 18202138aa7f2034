"""Reads the cluster and Prometheus into one Observation. Reads only."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tidegate.clients.cluster import Cluster
from tidegate.clients.counters import Counters, counters_for
from tidegate.clients.kubernetes_api import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_ROUTES,
    PODS,
    Manifest,
    Resource,
)
from tidegate.clients.sight import Witness
from tidegate.decide.move import INGESTION_LAG
from tidegate.decide.question import question_for
from tidegate.judge.docket import Docket
from tidegate.model.evidence import Answer, Verdict
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, plan_digest, revision_name
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Status
from tidegate.model.traffic import Arms, Share, TrafficSplit
from tidegate.resources.revision import revision_of, revision_state
from tidegate.resources.route import read_manner, read_split, route_applied, within_bounds

NOTHING_TO_JUDGE = Verdict(Answer.NOT_ENOUGH, "NoRollout", "there is no rollout to judge")


def observe(
    cluster: Cluster,
    witness: Witness,
    docket: Docket,
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
    settle = max(spec.analysis.interval, scrape_interval)
    revisions = _revisions(cluster, namespace, name)
    # Before the share, which is told from the same counters.
    verdict = _verdict(witness, docket, namespace, name, spec, recorded, revisions, settle, now)
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
        route_as_asked=route is not None and read_manner(route) == (spec.preview_header, within_bounds(spec.timeout)),
        route_applied=route is not None and route_applied(route),
        share=_share(witness, namespace, name, spec, settle, now)
        if route and _anybody_beside(recorded, revisions)
        else None,
        verdict=verdict,
        settle=settle,
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
    witness: Witness, namespace: str, name: str, spec: ModelDeploymentSpec, settle: timedelta, now: datetime
) -> Share | None:
    return witness.share(namespace, name, _counters(spec), settle, now - INGESTION_LAG)


def _counters(spec: ModelDeploymentSpec) -> Counters:
    return counters_for(spec.router, spec.analysis.requests_from)


def _verdict(
    witness: Witness,
    docket: Docket,
    namespace: str,
    name: str,
    spec: ModelDeploymentSpec,
    recorded: Status,
    revisions: Mapping[str, RevisionState],
    settle: timedelta,
    now: datetime,
) -> Verdict:
    rollout: Rollout | None = recorded.rollout
    if rollout is None or recorded.stable is None:
        witness.forget(namespace, name)
        docket.forget(namespace, name)
        return NOTHING_TO_JUDGE
    arms = Arms(namespace, name, recorded.stable, rollout.candidate)
    sight = witness.sight(arms, rollout, spec.analysis, _counters(spec), settle=settle, until=now - INGESTION_LAG)
    candidate = revisions.get(rollout.candidate)
    nodes = candidate.nodes if candidate else {}
    return docket.judge((namespace, name), sight, question_for(spec, rollout), nodes)
