"""A pod as people know it from `kubectl get pods`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.model.units import parse_instant
from tidegate.resources.pod_status import is_deleting, read_failure, revision_of


@dataclass(frozen=True)
class PodView:
    """One pod of a revision."""

    name: str
    revision: str
    ready: bool
    state: str
    """One word: Running, Pending, Init:Error, CrashLoopBackOff, Terminating …"""
    restarts: int
    created_at: datetime | None
    node: str
    problem: str
    """Why it isn't ready, in one sentence; empty where all is well or it has only just begun."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "PodView":
        """Reads a Pod; `revision` is empty where no label says it."""
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        failure = read_failure(manifest)
        created = metadata.get("creationTimestamp")
        containers = status.get("containerStatuses") or ()
        return cls(
            name=metadata["name"],
            revision=revision_of(manifest) or "",
            ready=_is_ready(status) and not is_deleting(manifest),
            state=_state(manifest, status),
            restarts=sum(each.get("restartCount", 0) for each in containers),
            created_at=parse_instant(created) if created else None,
            node=(manifest.get("spec") or {}).get("nodeName") or "",
            problem=failure.message if failure else "",
        )


def _is_ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _state(manifest: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if is_deleting(manifest):
        return "Terminating"
    if why := _reason(status.get("initContainerStatuses") or ()):
        return f"Init:{why}"
    phase = str(status.get("reason") or status.get("phase") or "Unknown")
    return _reason(status.get("containerStatuses") or ()) or phase


def _reason(containers: Sequence[Mapping[str, Any]]) -> str:
    """Why one of the containers doesn't run; empty where they do, or have done what they are for."""
    for container in containers:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return str(waiting["reason"])
        if ended.get("exitCode", 0) != 0:
            return str(ended.get("reason") or f"ExitCode:{ended['exitCode']}")
    return ""
