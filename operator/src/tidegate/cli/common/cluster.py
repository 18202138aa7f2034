"""What the commands for people ask of the API server, and how they say what it wouldn't do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.cli.common.where import Where
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import (
    CONTROLLER_REVISIONS,
    METRIC_TEMPLATES,
    MODEL_DEPLOYMENTS,
    PODS,
    KubernetesApi,
    Manifest,
    Resource,
)
from tidegate.model.metric_template import FoundTemplate, parse_template
from tidegate.resources.names import MODEL_DEPLOYMENT

T = TypeVar("T")
PAGE = 250
"""Objects of one answer: a thousand models needn't be in memory at once."""
FORBIDDEN, NOT_FOUND, CONFLICT, GONE = 403, 404, 409, 410


def open_cluster(where: Where) -> "Cluster":
    """Raises ClusterUnavailable where nothing says which cluster is meant."""
    namespace = where.namespace or default_namespace(where.kubeconfig, where.context)
    return Cluster(connect(where.kubeconfig, where.context), namespace, where.all_namespaces)


@dataclass(frozen=True)
class Cluster:
    """A connection, and the namespace that is meant."""

    api: KubernetesApi
    namespace: str
    all_namespaces: bool = False

    def model(self, name: str) -> Manifest:
        """A ModelDeployment. Raises NotDone where there is none, or it mayn't be read."""
        found = self.find(name)
        if found is None:
            raise NotDone(self._nothing_called(name))
        return found

    def find(self, name: str) -> Manifest | None:
        """The same, or None where there is none."""
        return told(
            f"{self.namespace}/{name} can't be read", lambda: self.api.get(MODEL_DEPLOYMENTS, self.namespace, name)
        )

    def models(self, keep: Callable[[Manifest], T]) -> Iterator[T]:
        """What `keep` makes of each ModelDeployment, page by page."""
        namespace = None if self.all_namespaces else self.namespace
        for manifest in self.pages(MODEL_DEPLOYMENTS, namespace):
            yield keep(manifest)

    def pages(self, resource: Resource, namespace: str | None, selector: str | None = None) -> Iterator[Manifest]:
        """Every object of a kind. Raises NotDone where the cluster doesn't know it, or it mayn't be listed."""
        token, where = "", f"in {namespace}" if namespace else "of all namespaces"
        while True:
            page = told(
                f"the {resource.kind}s {where} can't be listed",
                lambda: self.api.list(resource, namespace, selector, limit=PAGE, continue_token=token),  # noqa: B023
            )
            for item in page.get("items") or ():
                yield {"apiVersion": resource.api_version, "kind": resource.kind, **item}
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def metric_template(self, namespace: str, name: str) -> FoundTemplate:
        """A MetricTemplate, or why it can't be read."""
        try:
            found = self.api.get(METRIC_TEMPLATES, namespace, name)
        except ClusterUnavailable as error:
            return str(refused(f"the MetricTemplate {namespace}/{name} can't be read", error))
        return parse_template(found) if found else None

    def pods(self, name: str) -> list[Manifest]:
        """The model's pods."""
        return list(self.pages(PODS, self.namespace, pods_of(name)))

    def revisions(self, name: str) -> list[Manifest]:
        """The snapshots of the model's revisions, the newest first."""
        found = self.pages(CONTROLLER_REVISIONS, self.namespace, pods_of(name))
        return sorted(found, key=lambda each: int(each.get("revision") or 0), reverse=True)

    def _nothing_called(self, name: str) -> str:
        others = [each["metadata"]["name"] for each in self.pages(MODEL_DEPLOYMENTS, self.namespace)]
        if not others:
            return (
                f"there is no ModelDeployment {name} in the namespace {self.namespace}, nor any other; is it -n OTHER?"
            )
        listed = ", ".join(sorted(others)[:5]) + (" …" if len(others) > 5 else "")
        return f"there is no ModelDeployment {name} in the namespace {self.namespace}; there are {listed}"


def pods_of(name: str) -> str:
    """The label selector of what belongs to a model."""
    return f"{MODEL_DEPLOYMENT}={name}"


def told(what: str, ask: Callable[[], T]) -> T:
    """What the API server answers; NotDone with a sentence that says what to do where it refuses."""
    try:
        return ask()
    except ClusterUnavailable as error:
        raise refused(what, error) from error


def refused(what: str, error: ClusterUnavailable) -> NotDone:
    """`what` couldn't be done, why, and what helps."""
    if error.status is None:
        return NotDone(f"{what}: the API server gives no answer: {error}")
    if error.status == 401:
        return NotDone(f"{what}: the API server doesn't know you: {error.said}; log in again")
    if error.status == FORBIDDEN:
        return NotDone(f"{what}: you have no right to: {error.said}")
    if error.status == NOT_FOUND:
        return NotDone(f"{what}: the cluster doesn't know of it: {error.said}; is Tidegate installed there?")
    if error.status == CONFLICT:
        return NotDone(f"{what}: somebody changed it at the same moment; look at it again and repeat the command")
    return NotDone(f"{what}: {error.said}")


def name_of(manifest: Mapping[str, Any]) -> str:
    """As `kubectl get -o name` writes it."""
    return f"modeldeployment.tidegate.dev/{manifest['metadata']['name']}"
