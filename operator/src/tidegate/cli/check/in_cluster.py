"""What the API server tells: itself, your rights, the CRD, the operator, its Lease, the routers, the models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.cli.check.finding import Finding, State
from tidegate.cli.common.cluster import FORBIDDEN, Cluster
from tidegate.cli.common.crd_file import schema_of_all
from tidegate.errors import ClusterUnavailable, InvalidSpec, MalformedObject
from tidegate.kube.api import DEPLOYMENTS, LEASES, MODEL_DEPLOYMENTS, Manifest, Resource
from tidegate.kube.leader_election import DURATION_SECONDS
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.units import parse_instant
from tidegate.resources.crd_schema import Schema
from tidegate.resources.names import GROUP, VERSION
from tidegate.resources.router_report import LIFETIME_SECONDS, ROUTER, read_report

CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
REVIEWS = Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
OPERATOR = "app.kubernetes.io/name=tidegate,app.kubernetes.io/component=operator"
HOME = "tidegate"
"""The namespace that the chart's own instructions use."""
RIGHTS = (("list", GROUP, "modeldeployments"), ("patch", GROUP, "modeldeployments"), ("list", "", "pods"))
MOST = 5
"""Fields or models that are named in one sentence."""


@dataclass(frozen=True)
class Operator:
    """One installation: where it is, and what it was told."""

    namespace: str
    name: str
    environment: Mapping[str, str]


def nobody_is_told(operators: Sequence[Operator], variable: str) -> bool:
    """Whether none of the operators that are there has what a variable of its environment switches on."""
    return bool(operators) and not any(each.environment.get(variable) for each in operators)


def readable_spec(manifest: Mapping[str, Any]) -> ModelDeploymentSpec | None:
    """A ModelDeployment's; None for one that makes no sense, which is told elsewhere."""
    try:
        return ModelDeploymentSpec.parse(manifest["spec"])
    except InvalidSpec:
        return None


def api_server(cluster: Cluster) -> Finding:
    """Raises ClusterUnavailable: without it nothing else can be looked at."""
    return Finding("API server", State.OK, f"Kubernetes {cluster.api.read('/version').get('gitVersion')} answers")


def rights(cluster: Cluster) -> Iterator[Finding]:
    """What you may do in the namespace."""
    for verb, group, resource in RIGHTS:
        attributes = {"namespace": cluster.namespace, "verb": verb, "group": group, "resource": resource}
        body = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "metadata": {"namespace": None}}
        try:
            made = cluster.api.create(REVIEWS, {**body, "spec": {"resourceAttributes": attributes}}) or {}
        except ClusterUnavailable:
            continue  # who may not even ask will hear of it from what follows
        if not (made.get("status") or {}).get("allowed"):
            what = f"you may not {verb} {resource} in {cluster.namespace}; ask for the right if you need it"
            yield Finding("your rights", State.WARNING, what)


def crd(cluster: Cluster) -> Finding:
    """Whether the cluster's CRD has every field that this version knows."""
    name = f"{MODEL_DEPLOYMENTS.plural}.{GROUP}"
    try:
        found = cluster.api.read(CRDS.path(name=name))
    except ClusterUnavailable as error:
        if error.status == FORBIDDEN:
            return Finding("CRD", State.UNSEEN, f"you have no right to read the CRD {name}")
        return Finding("CRD", State.WRONG, f"the CRD {name} isn't there: install the chart, or apply crds/")
    version = next((each for each in found["spec"]["versions"] if each["name"] == VERSION and each["served"]), None)
    if version is None:
        return Finding("CRD", State.WRONG, f"the CRD {name} doesn't serve {VERSION}: apply crds/ of this version")
    missing = sorted(paths(schema_of_all()) - paths(version["schema"]["openAPIV3Schema"]))
    if missing:
        named = ", ".join(missing[:MOST]) + (f" and {len(missing) - MOST} more" if len(missing) > MOST else "")
        return Finding(
            "CRD", State.WARNING, f"the CRD {name} is older than this command: it lacks {named}; apply crds/"
        )
    return Finding("CRD", State.OK, f"{name} {VERSION} has every field that this version knows")


def paths(schema: Schema, path: str = "") -> set[str]:
    """Every field of a schema, as `spec.model.uri`."""
    found: set[str] = set()
    for name, field in (schema.get("properties") or {}).items():
        at = f"{path}.{name}" if path else name
        found |= {at} | paths(field, at)
    return found | (paths(schema["items"], path) if "items" in schema else set())


def operators(cluster: Cluster) -> tuple[list[Operator], list[Finding]]:
    """The installations, and how they are."""
    try:
        listed = _listed(cluster)
    except ClusterUnavailable as error:
        return [], [Finding("operator", State.UNSEEN, f"you have no right to look for it: {error.said}")]
    if not listed:
        return [], [Finding("operator", State.WRONG, "no operator is installed where you may look; install the chart")]
    return [_operator(each) for each in listed], [_how(each) for each in listed]


def _listed(cluster: Cluster) -> list[Manifest]:
    """Of the whole cluster, else of the namespace that is meant, else of the chart's own instructions."""
    for namespace in (None, cluster.namespace):
        try:
            return list(cluster.api.list(DEPLOYMENTS, namespace, OPERATOR)["items"])
        except ClusterUnavailable:
            continue
    return list(cluster.api.list(DEPLOYMENTS, HOME, OPERATOR)["items"])


def _operator(manifest: Manifest) -> Operator:
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    environment = {each["name"]: each.get("value") or "" for each in container.get("env") or ()}
    return Operator(manifest["metadata"]["namespace"], manifest["metadata"]["name"], environment)


def _how(manifest: Manifest) -> Finding:
    metadata, ready = manifest["metadata"], (manifest.get("status") or {}).get("readyReplicas", 0)
    image = manifest["spec"]["template"]["spec"]["containers"][0].get("image")
    name = f"{metadata['namespace']}/{metadata['name']}"
    if not ready:
        return Finding("operator", State.WRONG, f"{name} has no pod ready: kubectl -n {metadata['namespace']} get pods")
    return Finding("operator", State.OK, f"{name} runs {image}, {ready} ready")


def lease(cluster: Cluster, operator: Operator, now: datetime) -> Finding:
    """Whether somebody leads."""
    name = operator.environment.get("TIDEGATE_LEASE") or operator.name
    try:
        found = cluster.api.get(LEASES, operator.namespace, name)
    except ClusterUnavailable as error:
        return Finding("leader", State.UNSEEN, f"the Lease {operator.namespace}/{name} can't be read: {error.said}")
    spec = (found or {}).get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return Finding(
            "leader", State.WRONG, f"nobody holds the Lease {operator.namespace}/{name}; see the operator's log"
        )
    seconds = (now - parse_instant(spec["renewTime"])).total_seconds()
    if seconds > 2 * DURATION_SECONDS:
        what = f"{spec['holderIdentity']} hasn't renewed its Lease for {seconds:.0f} s; see the operator's log"
        return Finding("leader", State.WRONG, what)
    return Finding("leader", State.OK, f"{spec['holderIdentity']} leads")


def routers(cluster: Cluster, operator: Operator, now: datetime) -> list[Finding]:
    """Those that renew their Leases, and the routes that they won't have."""
    try:
        listed = cluster.api.list(LEASES, operator.namespace, ROUTER)["items"]
    except ClusterUnavailable as error:
        return [Finding("router", State.UNSEEN, f"the routers' Leases can't be read: {error.said}")]
    live = [each for each in listed if _age(each, now) < LIFETIME_SECONDS]
    if not live:
        return [
            Finding("router", State.WRONG, f"no router of {operator.namespace} renews its Lease; are its pods ready?")
        ]
    found = [Finding("router", State.OK, f"{len(live)} of {len(listed)} routers of {operator.namespace} report")]
    return [*found, *_refused(live)]


def _age(manifest: Manifest, now: datetime) -> float:
    renewed = (manifest.get("spec") or {}).get("renewTime")
    return (now - parse_instant(renewed)).total_seconds() if renewed else float("inf")


def _refused(live: Sequence[Manifest]) -> Iterator[Finding]:
    for each in live:
        try:
            report = read_report(each)
        except MalformedObject as error:
            yield Finding("router", State.WARNING, f"{each['metadata']['name']} says what can't be read: {error}")
            continue
        if report.certificate:
            yield Finding("router", State.WRONG, f"{report.name} can't serve its TLS Secret: {report.certificate}")
        for (namespace, name), why in report.refused.items():
            yield Finding("router", State.WRONG, f"{report.name} won't have the route of {namespace}/{name}: {why}")


def models(manifests: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Those that are stalled, and those that nobody has looked at."""
    found = [finding for each in manifests for finding in _model(each)]
    return found or [Finding("models", State.OK, f"{len(manifests)} ModelDeployments, none of them stalled")]


def _model(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    name = f"{metadata['namespace']}/{metadata['name']}"
    if status.get("observedGeneration") != metadata.get("generation"):
        yield Finding("models", State.WARNING, f"the operator hasn't looked at the newest spec of {name}; does it run?")
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("Stalled", "True"):
            yield Finding("models", State.WARNING, f"{name} is stalled: {condition.get('message')}")
