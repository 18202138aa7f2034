"""The first of the four verbs: reads the cluster into one Observation. Reads only."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from tidegate.controller.config import config_kept, with_config
from tidegate.errors import ConfigUnusable, ReferenceUnknown
from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.kube.api import Manifest
from tidegate.kube.cluster import BUDGET, PIN, POD, RECORD, SERVICE, WORKLOAD, Cluster
from tidegate.kube.informer import Kind
from tidegate.model.control import given_controls
from tidegate.model.disruption import DisruptionBudgets
from tidegate.model.followed import Answers, FollowedModel, caution, followed_model
from tidegate.model.metric_template import with_templates
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, find_revision, plan_digest
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.resources.disruption_budget import disruption_budgets
from tidegate.resources.ownership import Owner
from tidegate.resources.pod_status import Pod
from tidegate.resources.revision import (
    Pin,
    RevisionRecord,
    ServiceState,
    Workload,
    parse_service,
    revision_state,
    service_manifest,
)
from tidegate.settings import Settings
from tidegate.traffic_routing import BACKENDS, backend_of

WATCHED: tuple[Kind[Any], ...] = (
    RECORD,
    WORKLOAD,
    SERVICE,
    PIN,
    POD,
    BUDGET,
    *(kind for each in BACKENDS.values() for kind in each.kinds if not kind.optional),
)
"""Every kind of child: decisions rest on them, and what is lost is made again."""


def followed_kinds(settings: Settings) -> tuple[Kind[Any], ...]:
    """What is watched beside ModelDeployments."""
    routers = [BACKENDS[name] for name in settings.optional_routers]
    return (*WATCHED, *(kind for each in routers for kind in each.kinds))


T = TypeVar("T")
Child = TypeVar("Child", RevisionRecord, Workload, Pin)


def observe(
    cluster: Cluster, settings: Settings, manifest: Manifest, now: datetime, answers: Answers | None = None
) -> Observation:
    """One ModelDeployment and its cluster, not yet judged. `answers`: on what the name of its model means.

    Raises InvalidSpec on a spec that makes no sense, ConfigUnusable where it asks for a new revision that can't be made
    for want of a ConfigMap or Secret, and ReferenceUnknown where nobody has said yet which revision it asks for.
    """
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    owner = Owner(namespace, name, metadata["uid"])
    spec, recorded = ModelDeploymentSpec.parse(manifest["spec"]), Status.parse(manifest.get("status", {}))
    spec, followed = _with_followed(spec, recorded, answers, now) if spec.follow else (spec, None)
    # Of the templates' names, not of what is in them: an edit of one starts nobody's rejected revision anew.
    plan, spec = plan_digest(spec), _with_templates(cluster, owner, spec)
    backend = backend_of(spec)
    route = backend.read(owner, spec.route_settings, FollowedFor(cluster, owner), cluster.routers())
    services = frozenset(cluster.children(SERVICE, owner))
    revisions = _revisions(cluster, owner, services)
    spec, problem = with_config(cluster, settings, owner, spec, revisions) if spec.server.config_uses else (spec, None)
    desired = find_revision(name, spec, revisions, _used(recorded, newest_first=problem is not None))
    if problem and (desired not in revisions or revisions[desired].snapshot is None):
        raise ConfigUnusable(problem)
    return Observation(
        now=now.replace(microsecond=0),
        namespace=namespace,
        name=name,
        generation=metadata["generation"],
        spec=spec,
        desired=desired,
        plan=plan,
        recorded=recorded,
        revisions=revisions,
        route=route,
        route_settings_match=route.settings == backend.settings(owner, spec.route_settings),
        share=None,
        verdict=NOTHING_TO_JUDGE,
        propagation_delay=max(spec.analysis.interval, settings.scrape_interval),
        found_by_clients=services.issuperset(
            map(parse_service, backend.client_services(owner, settings.router_service))
        ),
        budgets=_budgets(cluster, settings, owner, revisions),
        config_problem=problem,
        controls=given_controls(metadata.get("annotations")),
        followed=followed,
        reference_caution=caution(followed, answers) if followed else None,
    )


def _with_followed(
    spec: ModelDeploymentSpec, recorded: Status, answers: Answers | None, now: datetime
) -> tuple[ModelDeploymentSpec, FollowedModel]:
    """The spec, of the model that its name means, and that. Raises ReferenceUnknown."""
    uri, asked = spec.model.uri, answers is None or not answers.problem
    followed = followed_model(uri, recorded.model, answers, now.replace(microsecond=0))
    if followed is None:
        why = "it is being asked what it means" if asked or answers is None else answers.problem
        raise ReferenceUnknown(f"spec.model.uri, {uri}, can't be followed yet: {why}", asked=asked)
    return spec.of_model(followed.resolved), followed


@dataclass(frozen=True)
class FollowedFor:
    """See traffic_routing.backend.Followed."""

    cluster: Cluster
    owner: Owner

    def own(self, kind: Kind[T]) -> list[T]:
        return self.cluster.children(kind, self.owner)

    def everybody(self, kind: Kind[T]) -> list[T]:
        return self.cluster.everybody(kind)

    def unfollowed(self, kind: Kind[T]) -> str | None:
        return self.cluster.unfollowed(kind, self.owner.namespace)


def _with_templates(cluster: Cluster, owner: Owner, spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    names = {query.template for query in spec.analysis.queries if query.template}
    return with_templates(spec, cluster.metric_templates(owner, names).get) if names else spec


def _budgets(cluster: Cluster, settings: Settings, owner: Owner, revisions: Iterable[str]) -> DisruptionBudgets | None:
    found = cluster.with_others(BUDGET, owner)
    if found is None:
        return None
    return disruption_budgets(owner, revisions, found, wanted=settings.disruption_budgets)


def _used(recorded: Status, *, newest_first: bool) -> tuple[str | None, ...]:
    """The revisions that are recorded, what serves first, or what was asked for last.

    The latter where revisions can't be told apart, as nobody knows what a ConfigMap has: then nothing changes.
    """
    rollout, rejected = recorded.rollout, recorded.rejected
    used = recorded.stable, rollout.candidate if rollout else None, rejected.revision if rejected else None
    return (used[1], used[2], used[0]) if newest_first else used


def _revisions(cluster: Cluster, owner: Owner, services: Set[ServiceState]) -> dict[str, RevisionState]:
    def by_revision(kind: Kind[Child]) -> dict[str, Child]:
        children = cluster.children(kind, owner)
        return {child.revision: child for child in children if child.revision and not child.deleting}

    records, workloads, pins = by_revision(RECORD), by_revision(WORKLOAD), by_revision(PIN)
    kept = frozenset(pin.copy for pin in cluster.children(PIN, owner) if pin.copy and not pin.deleting)
    pods: dict[str | None, list[Pod]] = {}
    for pod in cluster.children(POD, owner):
        pods.setdefault(pod.revision, []).append(pod)
    return {
        revision: revision_state(
            revision,
            records.get(revision),
            workloads.get(revision),
            pods.get(revision, ()),
            reachable=parse_service(service_manifest(*owner, revision)) in services,
            pin_kept=revision in pins,
            config_kept=config_kept(records[revision].snapshot if revision in records else None, revision, kept),
        )
        for revision in records.keys() | workloads.keys()
    }
