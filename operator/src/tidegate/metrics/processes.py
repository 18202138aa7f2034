"""Which scrape targets are one process, and whether they are of one cluster. PURE."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tidegate.metrics.increments import Process

CLUSTER_LABELS = ("cluster", "cluster_name", "cluster_id", "k8s_cluster_name")
"""What stores that hold several clusters call them."""
Labels = Mapping[str, str]
T = TypeVar("T")


def processes_of(targets: Iterable[Process]) -> dict[Process, Process]:
    """The process behind each scrape target: the same for those of one pod, or of one address.

    A job that doesn't tell the pod's name, or its namespace, is completed by another that does.
    """
    targets = tuple(targets)
    namespaces: defaultdict[str, set[str]] = defaultdict(set)
    pods: defaultdict[str, set[Process]] = defaultdict(set)
    for target in targets:
        if target.pod and target.namespace:
            namespaces[target.pod].add(target.namespace)

    def named(target: Process) -> Process:
        return Process(target.namespace or _only(namespaces[target.pod]) or "", target.pod)

    for target in targets:
        if target.pod:
            pods[target.instance].add(named(target))
    return {
        target: named(target)
        if target.pod
        else _only(pods.get(target.instance, set())) or Process(instance=target.instance)
        for target in targets
    }


def _only(found: set[T]) -> T | None:
    return next(iter(found)) if len(found) == 1 else None


def two_clusters(seen: Mapping[Process, Sequence[Labels]]) -> tuple[Labels, Labels] | None:
    """The labels of two processes that no cluster has both of; None where all are of one."""
    clusters = {process: {_cluster(each) for each in labels} for process, labels in seen.items()}
    ordered = sorted(clusters, key=lambda process: sorted(clusters[process]))
    for process in ordered[1:]:
        if not clusters[process] & clusters[ordered[0]]:
            return seen[ordered[0]][0], seen[process][0]
    return None


def _cluster(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in CLUSTER_LABELS)
