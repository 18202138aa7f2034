"""What a revision's pods say of themselves: facts about the model, and why they aren't ready."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidegate.model.reasons import Reason
from tidegate.model.revision import Labels, ModelFacts, PodFailure, Tensor
from tidegate.model.units import parse_instant
from tidegate.resources.names import FETCH, REVISION, SERVE

LOST = frozenset({"ContainerStatusUnknown", "Unknown"})
"""What kubelet says of containers that it knows no end of, after its node was restarted."""
CANNOT_START = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}
)
"""What kubelet says of containers that it can't make, also where the image is missing that one of their volumes is."""
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?")
"""A condition's reason, as Kubernetes takes it. What a container says may be anything, up to 4 KiB."""
LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod."""

    name: str
    revision: str | None
    node: str | None
    """None while no node has taken it."""
    facts: ModelFacts | None
    failure: PodFailure | None
    crashed_at: datetime | None = None
    """When its server last died by itself; None for never."""


def parse_pod(manifest: Mapping[str, Any]) -> Pod:
    """What a pod says of itself, small: a cluster may have thousands."""
    node = manifest.get("spec", {}).get("nodeName")
    return Pod(
        manifest["metadata"]["name"],
        revision_of(manifest),
        sys.intern(node) if node else None,
        None if is_leaving(manifest) else read_facts(manifest),
        read_failure(manifest),
        _crashed_at(manifest),
    )


def revision_of(manifest: Mapping[str, Any]) -> str | None:
    """The revision that an object belongs to, by its label."""
    revision = (manifest["metadata"].get("labels") or {}).get(REVISION)
    return sys.intern(revision) if revision else None


def is_deleting(manifest: Mapping[str, Any]) -> bool:
    """Whether an object is about to go."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def is_leaving(pod: Mapping[str, Any]) -> bool:
    """Whether a pod goes, or has gone, for the cluster's reasons: deleted, evicted, preempted, drained, or its node is.

    The pods of a Deployment are never Failed for their own: their containers are started again.
    """
    status = pod.get("status", {})
    disrupted = ("DisruptionTarget", "True")
    conditions = ((each["type"], each["status"]) for each in status.get("conditions", ()))
    return is_deleting(pod) or status.get("phase") == "Failed" or disrupted in conditions


def _crashed_at(pod: Mapping[str, Any]) -> datetime | None:
    if is_leaving(pod):
        return None
    for container in pod.get("status", {}).get("containerStatuses", ()):
        ended = _ended(container)
        if container["name"] == SERVE and ended and ended.get("finishedAt") and _is_crash(ended):
            return parse_instant(ended["finishedAt"])
    return None


def _ended(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How it ended last."""
    ended: Mapping[str, Any] | None = container.get("state", {}).get("terminated")
    return ended or container.get("lastState", {}).get("terminated")


def _is_crash(ended: Mapping[str, Any]) -> bool:
    """Not where a node was restarted or lost, and nobody knows how the container ended."""
    return ended.get("exitCode", 0) != 0 and ended.get("reason") not in LOST


def read_facts(pod: Mapping[str, Any]) -> ModelFacts | None:
    """What a pod's init container reported of the model; None while it hasn't."""
    for container in pod.get("status", {}).get("initContainerStatuses", ()):
        ended = container.get("state", {}).get("terminated")
        if container["name"] == FETCH and ended and ended.get("exitCode") == 0:
            report = _report(ended)
            if "sha256" in report:
                return ModelFacts(
                    report["sha256"],
                    _tensors(report.get("inputs", ())),
                    _tensors(report.get("outputs", ())),
                    report.get("files_sha256"),
                    _labels(report.get("labels")),
                )
    return None


def _tensors(raw: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(item["name"], item["datatype"], tuple(item["shape"])) for item in raw)


def _labels(raw: Any) -> Labels | None:
    """Thousands of pods have the same names, each of which is kept once."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("count"), int):
        return None
    first = tuple(sys.intern(str(name)) for name in raw.get("first", ()))
    return Labels(raw["count"], sys.intern(str(raw.get("sha256", ""))), first)


def _report(ended: Mapping[str, Any]) -> dict[str, Any]:
    try:
        report = json.loads(ended.get("message", ""))
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def read_failure(pod: Mapping[str, Any]) -> PodFailure | None:
    """Why a pod isn't ready, as far as it says; None where all is well or it has only just begun."""
    if is_leaving(pod):
        return None
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if failure := _container_failure(container):
            return failure
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return PodFailure(
                Reason.UNSCHEDULABLE, f"no node takes its pod: {condition.get('message', 'no reason given')}"
            )
    return None


def _container_failure(container: Mapping[str, Any]) -> PodFailure | None:
    waiting = container.get("state", {}).get("waiting", {})
    ended = _ended(container)
    if ended and _is_crash(ended) and not container.get("ready"):
        return replace(_ended_failure(container["name"], ended), looping=waiting.get("reason") == "CrashLoopBackOff")
    if waiting.get("reason") in CANNOT_START:
        detail = waiting.get("message", "no reason given")
        return PodFailure(waiting["reason"], f"container {container['name']} can't start: {detail}")
    return None


def _ended_failure(container: str, ended: Mapping[str, Any]) -> PodFailure:
    report, crashed = _report(ended), container == SERVE
    if container in (FETCH, SERVE) and "message" in report:
        said = str(report.get("reason", ""))
        plain = Reason.SERVER_FAILED if crashed else Reason.FETCH_FAILED
        reason = said if REASON.fullmatch(said) else plain
        return PodFailure(
            reason, str(report["message"])[:LONGEST_MESSAGE], permanent=bool(report.get("permanent")), crashed=crashed
        )
    said = ended.get("message", "").strip()
    last_line = f": {said.splitlines()[-1][:LONGEST_MESSAGE]}" if said else ""
    code = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") == "OOMKilled":
        code = "out of memory; raise spec.server.resources.limits.memory"
    return PodFailure(Reason.CONTAINER_FAILED, f"container {container} ended with {code}{last_line}", crashed=crashed)


def worst(failures: Iterable[PodFailure | None]) -> PodFailure | None:
    """The one that most needs somebody: for good, then of what had been serving."""
    found = [failure for failure in failures if failure]
    return max(found, key=lambda failure: (failure.permanent, failure.looping, failure.crashed), default=None)
