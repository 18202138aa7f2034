"""A simulated world with a clock: an API server that remembers, pods that start, routers that split, Prometheus.

The real observe, decide and act run against it; only what is outside the process is simulated.
"""

import copy
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.clock import ClockWatch
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.reconciler import Reconciler
from tidegate.errors import MetricsUnavailable, ObjectChanged, ObjectGone
from tidegate.kube.api import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    METRIC_TEMPLATES,
    MODEL_ROUTES,
    PODS,
    SECRETS,
    Manifest,
    Resource,
)
from tidegate.kube.cluster import Orphan
from tidegate.kube.informer import Kind
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.increments import Counted, Sample, SeriesKey
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.model.config import ConfigKind, ConfigSource, Found, Held, Keys
from tidegate.model.control import Intent
from tidegate.model.decision import Event
from tidegate.model.metric_template import FoundTemplate, parse_template
from tidegate.model.traffic import TrafficSplit, Writer
from tidegate.resources.config_copy import held
from tidegate.resources.crd_schema import with_defaults
from tidegate.resources.names import checkpoint_name
from tidegate.resources.ownership import Owner, controller_of, is_managed_by, is_orphan, refusal
from tidegate.resources.revision import owner as owner_reference
from tidegate.resources.router_report import RouterReport
from tidegate.settings import Settings
from tidegate.simulation.world import Pods, SimulatedWorld
from tidegate.traffic_routing.builtin import read_state

T = TypeVar("T")
NEWEST = 10**9
CHECKPOINT, RECORD = checkpoint_name(""), "-record-"
START = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = tuple(0.0005 * 1.2**k for k in range(56))
SETTINGS = Settings.from_env(
    {
        "TIDEGATE_PROMETHEUS_URL": "http://prometheus",
        "TIDEGATE_SERVER_IMAGE": "server:1",
        "TIDEGATE_SCRAPE_INTERVAL_SECONDS": "5",
    }
)
SIGNATURE = {
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


@dataclass(frozen=True)
class Behaviour:
    """How a model does, by its URI."""

    error_rate: float = 0.0
    latency: float = 0.004
    starts_after: float | None = 3.0
    """Seconds until its pods are ready; None for never."""
    fetch_failure: Mapping[str, Any] | None = None
    serve_failure: Mapping[str, Any] | None = None
    """What its server says before it ends."""
    files_sha256: str | None = None
    signature: Mapping[str, Any] = field(default_factory=lambda: SIGNATURE)
    classes: Mapping[str, float] = field(default_factory=dict)
    """Share of each class among its answers."""
    ages: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """What its training profile says of the bins of a feature, and the share of live inputs in each."""


def is_evidence(name: str) -> bool:
    """Whether a ConfigMap is a checkpoint, or a record of a rollout that has ended."""
    return name.endswith(CHECKPOINT) or RECORD in name


class Crash(Exception):
    """The operator died at a write."""


class World(SimulatedWorld):
    """One ModelDeployment named shop/digits and everything around it."""

    writer = Writer("tidegate/tidegate-operator", 1)

    def __init__(
        self,
        schema: Mapping[str, Any],
        models: Mapping[str, Behaviour],
        *,
        rps: int = 100,
        settings: Settings = SETTINGS,
    ) -> None:
        super().__init__(START)
        self.settings = settings
        self.models = models
        self.rps = rps
        self.prometheus_up = True
        self.prometheus_asked = self.status_writes = 0
        self.own_series: dict[str, list[float]] = {}
        """What the user's own queries give: the value of each series."""
        self.transcript: list[str] = []
        self.lost = 0
        self.failed = 0.0
        """Users' requests that failed."""
        self.matching = 0.1
        """The share of requests that match any rule."""
        self.follower: Any = None
        """Whoever looks at what the name of the model means."""
        self._schema = schema
        self._objects: dict[tuple[Resource, str], Manifest] = {}
        self._deployment: Manifest | None = None
        self._created_at: dict[str, datetime] = {}
        self._counters: dict[tuple[str, str], float] = {}
        self._away: set[tuple[str, str]] = set()
        self._history: dict[datetime, dict[tuple[str, str], float]] = {}
        self.applied: dict[str, int | None] = {"router": None}
        """The live routers, and up to which version each has taken the routes; None for whatever is written."""
        self.refusing_routers: dict[str, str] = {}
        """The live routers that won't have the route as it is now, and what their Envoy says."""
        self._writes = 0
        self._versions = 1
        self._crash_at: int | None = None
        self._crash_after_write = False
        self.enqueued = False
        """Whether a write of ours asked for another pass at once."""
        self.restart()

    # --- what a user does -------------------------------------------------------------------------------------------

    def kubectl_apply(self, **spec: Any) -> None:
        """kubectl apply of a spec; what isn't named has the CRD's default."""
        filled = with_defaults(self._schema, spec)
        if self._deployment is None:
            metadata = {"name": "digits", "namespace": "shop", "uid": "u-1", "generation": 1, "resourceVersion": "1"}
            self._deployment = {
                "apiVersion": "tidegate.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": metadata,
                "spec": filled,
            }
        elif self._deployment["spec"] != filled:
            before = self._deployment["metadata"]
            given = {"generation": before["generation"] + 1, "resourceVersion": self._next_version()}
            self._deployment = {**self._deployment, "metadata": {**before, **given}, "spec": filled}
        self._note(f"apply {spec['model']['uri']}")

    def put_config(self, name: str, *, kind: str = "ConfigMap", **data: str) -> None:
        """kubectl apply of a ConfigMap, or of a Secret."""
        metadata = {"name": name, "namespace": "shop", "uid": f"u-{name}", "resourceVersion": self._next_version()}
        self._objects[(CONFIG_MAPS if kind == "ConfigMap" else SECRETS, name)] = {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": metadata,
            "data": data,
        }
        self._note(f"apply {kind} {name}")

    def put_template(self, name: str = "accuracy", **spec: Any) -> None:
        """kubectl apply of a MetricTemplate."""
        before = self._objects.get((METRIC_TEMPLATES, name))
        generation = before["metadata"]["generation"] + 1 if before else 1
        metadata = {"name": name, "namespace": "shop", "generation": generation}
        self._objects[METRIC_TEMPLATES, name] = {"kind": "MetricTemplate", "metadata": metadata, "spec": spec}
        self._note(f"apply MetricTemplate {name}")

    def delete_template(self, name: str = "accuracy") -> None:
        """kubectl delete metrictemplate."""
        del self._objects[METRIC_TEMPLATES, name]
        self._note(f"delete MetricTemplate {name} by hand")

    def delete_config(self, name: str) -> None:
        """kubectl delete configmap."""
        del self._objects[(CONFIG_MAPS, name)]
        self._note(f"delete ConfigMap {name} by hand")

    def edit_spec(self, **fields: Any) -> None:
        """Fields that no CRD of ours would let through."""
        assert self._deployment is not None
        before = self._deployment["metadata"]
        given = {"generation": before["generation"] + 1, "resourceVersion": self._next_version()}
        spec = {**self._deployment["spec"], **fields}
        self._deployment = {**self._deployment, "metadata": {**before, **given}, "spec": spec}

    def kubectl_annotate(self, intent: Intent) -> None:
        """kubectl annotate --overwrite."""
        self.kubectl_annotate_with(intent.annotation, intent.text)

    def kubectl_annotate_with(self, annotation: str, value: str) -> None:
        """The same with whatever is written."""
        assert self._deployment is not None
        before = self._deployment["metadata"]
        given = {"annotations": {**self.annotations, annotation: value}, "resourceVersion": self._next_version()}
        self._deployment = {**self._deployment, "metadata": {**before, **given}}
        self._note(f"annotate {annotation}={value}")

    def run(self, seconds: float) -> None:
        """Time passes."""
        end = self.now + timedelta(seconds=seconds)
        self.run_until(lambda: self.now >= end)

    def reconcile(self) -> timedelta | None:
        """One pass of the operator."""
        self.enqueued = False
        after = self._reconciler.reconcile("shop", "digits", self.now)
        return timedelta() if self.enqueued else after

    def restart(self) -> None:
        """The operator starts anew, with nothing in memory."""
        judge = RolloutJudge(MetricsCollector(self, kept=Checkpoints(self).kept))
        clock = ClockWatch(self.steady)
        self._reconciler = Reconciler(self, judge, self.settings, lambda *_: None, clock=clock, follower=self.follower)

    def steady(self) -> float:
        """Seconds by a clock that nobody sets."""
        return self.now.timestamp()

    @contextmanager
    def crashing_at(self, write: int, *, after: bool) -> Iterator[None]:
        """Inside, the operator dies at its n-th write, before or after it took effect."""
        self._writes, self._crash_at, self._crash_after_write = 0, write, after
        try:
            yield
        finally:
            self._crash_at = None

    # --- what is to be seen -----------------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        assert self._deployment is not None
        status: dict[str, Any] = self._deployment.get("status", {})
        return status

    @property
    def annotations(self) -> dict[str, str]:
        """Of the ModelDeployment."""
        assert self._deployment is not None
        annotations: dict[str, str] = self._deployment["metadata"].get("annotations", {})
        return annotations

    @property
    def split(self) -> TrafficSplit | None:
        route = self._objects.get((MODEL_ROUTES, "digits"))
        return read_state(route).split if route else None

    @property
    def route_timeout(self) -> int:
        """Seconds, as the route has it."""
        return int(self._objects[(MODEL_ROUTES, "digits")]["spec"]["timeoutSeconds"])

    def names(self, resource: Resource) -> list[str]:
        return sorted(name for kind, name in self._objects if kind == resource)

    def condition(self, kind: str) -> tuple[str, str]:
        for condition in self.status["conditions"]:
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        raise KeyError(kind)

    def pin(self, revision: str) -> dict[str, str]:
        """What a revision's later pods are held to."""
        data: dict[str, str] = self._objects[(CONFIG_MAPS, revision)]["data"]
        return data

    @property
    def latest_version(self) -> int:
        """Of whatever was written last."""
        return self._versions

    # --- the cluster ------------------------------------------------------------------------------------------------

    def model_deployment(self, namespace: str, name: str) -> Manifest | None:
        return self._deployment

    def children(self, kind: Kind[T], owner: Owner) -> list[T]:
        manifests = self._manifests(kind.resource)
        return [kind.parse(manifest) for manifest in manifests if not kind.owned or _may_be_ours(manifest, owner)]

    def with_others(self, kind: Kind[T], owner: Owner) -> list[T] | None:
        return [kind.parse(manifest) for manifest in self._manifests(kind.resource)]

    def everybody(self, kind: Kind[T]) -> list[T]:
        return [kind.parse(manifest) for manifest in self._manifests(kind.resource)]

    def unfollowed(self, kind: Kind[T], namespace: str) -> str | None:
        return None

    def orphans(self, owner: Owner) -> list[Orphan]:
        return [Orphan(kind, name, "") for (kind, name), held in self._objects.items() if is_orphan(held, owner)]

    def adopt(self, orphan: Orphan, owner: Owner) -> None:
        with self._write(f"adopt {orphan.resource.kind} {orphan.name}"):
            metadata = self._objects[orphan.resource, orphan.name]["metadata"]
            metadata["ownerReferences"] = owner_reference(owner.name, owner.uid)

    def routers(self) -> list[RouterReport]:
        found = {name: NEWEST if version is None else version for name, version in self.applied.items()}
        refused = {name: {("shop", "digits"): said} for name, said in self.refusing_routers.items()}
        return [RouterReport(name, {"": version}, refused=refused.get(name, {})) for name, version in found.items()]

    def confirm(self, namespace: str, name: str, uid: str) -> None:
        if self._deployment is None or self._deployment["metadata"]["uid"] != uid:
            raise ObjectGone(f"ModelDeployment {namespace}/{name} was deleted")

    def _manifests(self, resource: Resource) -> list[Manifest]:
        if resource == PODS:
            return self._pod_manifests()
        return [self._observed(manifest) for (kind, _), manifest in self._objects.items() if kind == resource]

    def stored(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return self._objects.get((resource, name))

    def object(self, resource: Resource, name: str) -> Manifest:
        """An object that there is."""
        return self._objects[(resource, name)]

    def config(self, owner: Owner, wanted: Mapping[ConfigSource, Keys]) -> dict[ConfigSource, Found]:
        read = {source: self.read_config(owner, source, keys) for source, keys in wanted.items()}
        return {source: found[0] if found else None for source, found in read.items()}

    def metric_templates(self, owner: Owner, names: Collection[str]) -> dict[str, FoundTemplate]:
        manifests = {name: self._objects.get((METRIC_TEMPLATES, name)) for name in names}
        return {name: parse_template(manifest) if manifest else None for name, manifest in manifests.items()}

    def read_config(self, owner: Owner, source: ConfigSource, keys: Keys) -> tuple[Held, Manifest] | None:
        manifest = self._objects.get((CONFIG_MAPS if source.kind is ConfigKind.CONFIG_MAP else SECRETS, source.name))
        return (held(manifest, keys, None), manifest) if manifest else None

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        with self._write(f"create {resource.kind} {name}"):
            self._refuse_others(resource, manifest)
            if (resource, name) not in self._objects:
                self._objects[(resource, name)] = copy.deepcopy(dict(manifest))
                self._created_at[name] = self.now

    def _refuse_others(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        held = self._objects.get((resource, metadata["name"]))
        if held is None or "ownerReferences" not in metadata:
            return
        owner = Owner("shop", "digits", metadata["ownerReferences"][0]["uid"])
        if not (is_managed_by(controller_of(held), owner) or is_orphan(held, owner)):
            raise refusal(resource.kind, metadata["name"], controller_of(held), owner.name)

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        what = f"{'repair' if (resource, name) in self._objects else 'create'} {resource.kind} {name}"
        with self._write("" if is_evidence(name) else what):
            self._refuse_others(resource, manifest)
            self._objects[(resource, name)] = copy.deepcopy(dict(manifest))

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        name = manifest["metadata"]["name"]
        self._refuse_others(resource, manifest)
        told = " ".join(f"{each['revision']}={each['weight']}" for each in manifest["spec"]["backends"])
        if mirror := manifest["spec"].get("mirror"):
            told += f" and copies of {mirror['percent']} to {mirror['revision']}"
        if match := manifest["spec"].get("match"):
            told += f" and those that match to {match['revision']}"
        with self._write(f"route {told}"):
            held = self._objects.get((resource, name))
            if version != (held["metadata"]["resourceVersion"] if held else ""):
                raise ObjectChanged(f"{resource.kind} {name} was written by somebody else meanwhile")
            generation = (held["metadata"]["generation"] if held else 0) + 1
            given = {"generation": generation, "resourceVersion": self._next_version()}
            taken = {**manifest, "metadata": {**manifest["metadata"], **given}}
            self._objects[(resource, name)] = taken

    def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        raise AssertionError("nothing here is a user's")

    def hold(self, namespace: str, name: str, finalizer: str) -> None:
        assert self._deployment is not None
        before = self._deployment["metadata"]
        if finalizer in before.get("finalizers", ()):
            return
        given = {"finalizers": [*before.get("finalizers", ()), finalizer], "resourceVersion": self._next_version()}
        self._deployment = {**self._deployment, "metadata": {**before, **given}}
        self.enqueued = True
        raise ObjectChanged(f"ModelDeployment {name} has the finalizer {finalizer} now")

    def let_go(self, namespace: str, name: str, finalizer: str) -> None:
        assert self._deployment is not None
        before = self._deployment["metadata"]
        kept = [each for each in before.get("finalizers", ()) if each != finalizer]
        self._deployment = {**self._deployment, "metadata": {**before, "finalizers": kept}}

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        with self._write(f"scale {deployment} to {replicas}"):
            self._objects[(DEPLOYMENTS, deployment)]["spec"]["replicas"] = replicas

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        with self._write(""):
            self._objects[(DEPLOYMENTS, deployment)]["metadata"].setdefault("annotations", {})[annotation] = value

    def annotate_pods(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        with self._write(f"restart {deployment}"):
            template = self._objects[(DEPLOYMENTS, deployment)]["spec"]["template"]
            template["metadata"].setdefault("annotations", {})[annotation] = value
            self.enqueued = True

    def remove_annotation(self, namespace: str, name: str, annotation: str, value: str) -> None:
        with self._write(""):
            assert self._deployment is not None
            before = self._deployment["metadata"]
            kept = {key: each for key, each in before["annotations"].items() if (key, each) != (annotation, value)}
            metadata = {**before, "annotations": kept, "resourceVersion": self._next_version()}
            self._deployment = {**self._deployment, "metadata": metadata}
            self.enqueued = True

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        with self._write("" if is_evidence(name) else f"delete {resource.kind} {name}"):
            if resource == DEPLOYMENTS and self.split and self.split.weight(name) > 0:
                raise AssertionError(f"{name} is deleted while it has {self.split.weight(name)}% of the traffic")
            self._objects.pop((resource, name), None)

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        with self._write(""):
            assert self._deployment is not None
            if version != self._deployment["metadata"]["resourceVersion"]:
                raise ObjectChanged(f"ModelDeployment {name} was written by somebody else meanwhile")
            metadata = {**self._deployment["metadata"], "resourceVersion": self._next_version()}
            self._deployment = {**self._deployment, "metadata": metadata, "status": dict(status)}
            self.status_writes += 1

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        self._note(f"event {event.reason}: {event.message}")

    # --- Prometheus -------------------------------------------------------------------------------------------------

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        self.prometheus_asked += 1
        if not self.prometheus_up:
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        instants = [start + index * step for index in range(points)]
        samples = [self._sample(query, at) for at in instants]
        counted = [at.timestamp() for at, sample in zip(instants, samples, strict=True) if sample]
        return Readings(samples, max(counted, default=None))

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        self.prometheus_asked += 1
        if not self.prometheus_up:
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        return [[value] * points for value in self.own_series.get(promql, ())]

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        """What Prometheus calls one counter."""
        return _labels(revision, measure)

    def be_made_anew(self, revision: str, seconds: float) -> None:
        """Its model is deleted, and is back after so long: the routers, which live on, count it from nothing."""
        self._away = {key for key in self._counters if key[0] == revision and self._is_of_router(*key)}
        for key in self._away:
            del self._counters[key]
        self.run(seconds)
        self._away = set()

    def _is_of_router(self, revision: str, measure: str) -> bool:
        return self.labels(revision, measure)["__name__"].startswith("envoy_")

    def _sample(self, query: CounterQuery, at: datetime) -> Sample:
        found: dict[SeriesKey, Counted] = {}
        for (revision, measure), value in self._history.get(at, {}).items():
            labels = self.labels(revision, measure)
            if selects(query.promql, labels) and (key := query.key(labels)):
                found[key] = Counted(value, at.timestamp())
        return found

    # --- time -------------------------------------------------------------------------------------------------------

    def pass_time(self, due: datetime | None) -> None:
        """Requests are answered, and Prometheus reads the counters."""
        super().pass_time(due)
        matched = self.split.matched if self.split else None
        chosen = self.rps * self.matching if matched else 0.0
        if matched:
            self._serve(matched.revision, chosen, "/match")
        for revision, weight in self.split or ():
            self._serve(revision, (self.rps - chosen) * weight / 100)
        if mirror := self.split.mirror if self.split else None:
            self._serve(mirror.revision, self.rps * mirror.percent / 100, "/mirror")
        self._history[self.now] = dict(self._counters)

    def _serve(self, revision: str, requests: float, came_by: str = "") -> None:
        """`came_by`: what routers append to the revision's name in their counters."""
        ready = self._ready(revision)
        behaviour = self._behaviour(revision)
        failed = requests * (behaviour.error_rate if ready else 1.0)
        if requests and not ready and came_by != "/mirror":
            self.lost += round(requests)
        if came_by != "/mirror":
            self.failed += failed
        self._count(revision + came_by, "requests", requests)
        self._count(revision, "answered 200", requests - failed)
        self._count(revision, "answered 500", failed)
        self._count(revision + came_by, "failed", failed)
        for bound in (*BOUNDS, float("inf")):
            self._count(revision, "+Inf" if bound > 1e9 else str(bound), requests * _below(bound, behaviour.latency))

        for name, share in behaviour.classes.items():
            self._count(revision, f"class {name}", requests * share)
        for name, (trained, share) in behaviour.ages.items():
            self._counters[revision, f"trained {name}"] = trained
            self._count(revision, f"asked {name}", requests * share)

    def _count(self, revision: str, measure: str, gain: float) -> None:
        if (revision, measure) in self._away:
            return
        self._counters[(revision, measure)] = self._counters.get((revision, measure), 0.0) + gain

    def _behaviour(self, revision: str) -> Behaviour:
        record = self._objects.get((CONTROLLER_REVISIONS, revision))
        return self.models[record["data"]["model"]["uri"]] if record else Behaviour()

    def pods(self) -> dict[str, Pods]:
        """As many as the Deployments want."""
        return {name: self._pods_of(name) for name in self.names(DEPLOYMENTS)}

    def _pods_of(self, revision: str) -> Pods:
        after = self._behaviour(revision).starts_after
        ready_from = None if after is None else self._created_at[revision] + timedelta(seconds=after)
        return Pods(int(self._objects[(DEPLOYMENTS, revision)]["spec"]["replicas"]), ready_from)

    def _ready(self, revision: str) -> int:
        return self.ready().get(revision, 0)

    def _observed(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] != "Deployment":
            return manifest
        ready = self._ready(manifest["metadata"]["name"])
        return {**manifest, "status": {"readyReplicas": ready, "updatedReplicas": ready}}

    def _pod_manifests(self) -> list[Manifest]:
        pods = []
        for name in self.names(DEPLOYMENTS):
            workload = self._objects[(DEPLOYMENTS, name)]
            ended = self._fetch_ended(name)
            fetched = [{"name": "fetch", "ready": ended["exitCode"] == 0, "state": {"terminated": ended}}]
            serving = self._serving(name) if ended["exitCode"] == 0 else []
            pods.append(
                {
                    "metadata": {"name": f"{name}-0", "labels": workload["metadata"]["labels"]},
                    "status": {"initContainerStatuses": fetched, "containerStatuses": serving},
                }
            )
        return pods

    def _fetch_ended(self, revision: str) -> Manifest:
        behaviour = self._behaviour(revision)
        if behaviour.fetch_failure:
            return {"exitCode": 1, "message": json.dumps(behaviour.fetch_failure)}
        files = {"files_sha256": behaviour.files_sha256} if behaviour.files_sha256 else {}
        return {"exitCode": 0, "message": json.dumps({"sha256": "ab" * 32, **files, **behaviour.signature})}

    def _serving(self, revision: str) -> list[Manifest]:
        failure = self._behaviour(revision).serve_failure
        if failure is None:
            return [{"name": "server", "ready": self._ready(revision) > 0, "state": {"running": {}}}]
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        ended = {"terminated": {"exitCode": 1, "message": json.dumps(failure)}}
        return [{"name": "server", "ready": False, "state": waiting, "lastState": ended}]

    @contextmanager
    def _write(self, what: str) -> Iterator[None]:
        self._writes += 1
        dies = self._writes == self._crash_at
        if dies and not self._crash_after_write:
            raise Crash(what)
        yield
        if what:
            self._note(what)
        if dies:
            raise Crash(what)

    def _next_version(self) -> str:
        self._versions += 1
        return str(self._versions)

    def _note(self, what: str) -> None:
        seconds = int((self.now - START).total_seconds())
        self.transcript.append(f"{seconds:4d} s  {what}")


def _may_be_ours(manifest: Manifest, owner: Owner) -> bool:
    return controller_of(manifest) is None or is_managed_by(controller_of(manifest), owner)


def _labels(revision: str, measure: str) -> dict[str, str]:
    if measure in ("requests", "failed"):
        name = "envoy_cluster_upstream_rq_completed" if measure == "requests" else "envoy_cluster_upstream_rq_xx"
        code = {"envoy_response_code_class": "5"} if measure == "failed" else {}
        return {"__name__": name, "envoy_cluster_name": f"shop/digits/{revision}", "instance": "router", **code}
    owner = {"model_deployment": "shop/digits", "revision": revision, "instance": f"pod-of-{revision}"}
    if measure.startswith("answered "):
        return {"__name__": "tidegate_server_requests_total", "code": measure.removeprefix("answered "), **owner}
    if measure.startswith("class "):
        return {"__name__": "tidegate_server_predictions_total", "class": measure.removeprefix("class "), **owner}
    kind, _, bin_name = measure.partition(" ")
    if kind in ("asked", "trained"):
        name = f"tidegate_server_input_{'values_total' if kind == 'asked' else 'training_values'}"
        return {"__name__": name, "feature": "age", "bin": bin_name, **owner}
    return {"__name__": "tidegate_server_request_duration_seconds_bucket", "le": measure, **owner}


def selects(promql: str, labels: Mapping[str, str]) -> bool:
    name, _, matchers = promql.partition("{")
    if name and labels["__name__"] != name:
        return False
    for label, operator, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers):
        found = labels.get(label, "")
        value = value.replace("\\\\", "\\")  # PromQL's strings have escapes of their own
        if not (re.fullmatch(value, found) if operator == "=~" else found == value):
            return False
    return True


def _below(bound: float, median: float) -> float:
    """Share of requests that took at most `bound`: a long-tailed distribution, the same shape for every median."""
    return 1 / (1 + (median / bound) ** 6) if bound < 1e9 else 1.0
