"""What a revision's pods say of themselves: facts about the model, and why they aren't ready."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.reasons import Reason
from tidegate.model.revision import ModelFacts, PodFailure, Tensor
from tidegate.resources.names import FETCH, REVISION, SERVE


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod."""

    name: str
    revision: str | None
    node: str | None
    """None while no node has taken it."""
    facts: ModelFacts | None
    failure: PodFailure | None


def parse_pod(manifest: Mapping[str, Any]) -> Pod:
    """What a pod says of itself, small: a cluster may have thousands."""
    node = manifest.get("spec", {}).get("nodeName")
    return Pod(
        manifest["metadata"]["name"],
        revision_of(manifest),
        sys.intern(node) if node else None,
        read_facts(manifest),
        read_failure(manifest),
    )


def revision_of(manifest: Mapping[str, Any]) -> str | None:
    """The revision that an object belongs to, by its label."""
    revision = (manifest["metadata"].get("labels") or {}).get(REVISION)
    return sys.intern(revision) if revision else None


def is_deleting(manifest: Mapping[str, Any]) -> bool:
    """Whether an object is about to go."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


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
                )
    return None


def _tensors(raw: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(item["name"], item["datatype"], tuple(item["shape"])) for item in raw)


def _report(ended: Mapping[str, Any]) -> dict[str, Any]:
    try:
        report = json.loads(ended.get("message", ""))
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def read_failure(pod: Mapping[str, Any]) -> PodFailure | None:
    """Why a pod isn't ready, as far as it says; None where all is well or it has only just begun."""
    if is_deleting(pod):
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
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if ended and ended.get("exitCode", 0) != 0 and not container.get("ready"):
        return _ended_failure(container["name"], ended)
    if waiting.get("reason") in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"}:
        detail = waiting.get("message", "no reason given")
        return PodFailure(waiting["reason"], f"container {container['name']} can't start: {detail}")
    return None


def _ended_failure(container: str, ended: Mapping[str, Any]) -> PodFailure:
    report, crashed = _report(ended), container == SERVE
    if container in (FETCH, SERVE) and "message" in report:
        reason = str(report.get("reason") or (Reason.SERVER_FAILED if crashed else Reason.FETCH_FAILED))
        return PodFailure(reason, str(report["message"]), permanent=bool(report.get("permanent")), crashed=crashed)
    said = ended.get("message", "").strip()
    last_line = f": {said.splitlines()[-1]}" if said else ""
    code = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") == "OOMKilled":
        code = "out of memory; raise spec.server.resources.limits.memory"
    return PodFailure(Reason.CONTAINER_FAILED, f"container {container} ended with {code}{last_line}", crashed=crashed)


def worst(failures: Iterable[PodFailure | None]) -> PodFailure | None:
    """The one that most needs somebody: for good, then of what had been serving."""
    found = [failure for failure in failures if failure]
    return max(found, key=lambda failure: (failure.permanent, failure.crashed), default=None)
